"""What goes to a provider, and what comes from one, such that everybody behind it can write it down.

A half of a character (of a file's name that is no UTF-8, of a script's text, of a model that was cut off within one) ends
as U+FFFD here, whichever way it came; and what a provider returns has the types that the contract names.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from llmspell_core.messages import AgentChunk, Media, Message, ToolCall, Usage
from llmspell_core.provider.contract import Completion, CompletionRequest
from llmspell_core.provider.reading import Seam, arguments_of, count_of, text_of, whole_characters

__all__ = ["intact_answer", "intact_chunks", "intact_data", "sendable"]


def sendable(request: CompletionRequest) -> CompletionRequest:
    """`request` itself when nothing in it has to be changed; the caller's is never touched."""
    changed: dict[str, Any] = {}
    for message in request.messages:
        if not message.content.isascii() or message.media or message.tool_calls:
            messages = [_message(each) for each in request.messages]
            if any(new is not old for new, old in zip(messages, request.messages, strict=True)):
                changed["messages"] = messages
            break
    if not (request.response_schema or request.options or request.stop or changed):
        return request
    for name in ("response_schema", "options", "stop"):
        value = getattr(request, name)
        if value and (made := intact_data(value)) is not value:
            changed[name] = made
    return replace(request, **changed) if changed else request


def _message(message: Message) -> Message:
    content = message.content if _is_whole(message.content) else whole_characters(message.content)
    media = _media(message.media) if message.media else message.media
    calls = _calls(message.tool_calls) if message.tool_calls else message.tool_calls
    if content is message.content and media is message.media and calls is message.tool_calls:
        return message
    return replace(message, content=content, media=media, tool_calls=calls)


def _media(media: list[Media]) -> list[Media]:
    return (
        media if all(_is_whole(m.data) for m in media) else [replace(m, data=whole_characters(m.data)) for m in media]
    )


def _calls(calls: list[ToolCall]) -> list[ToolCall]:
    made = [intact_data(call.parameters) for call in calls]
    if all(new is call.parameters for new, call in zip(made, calls, strict=True)):
        return calls
    return [replace(call, parameters=new) for new, call in zip(made, calls, strict=True)]


def _is_whole(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def intact_data(value: Any) -> Any:
    """Plain data with whole characters only; `value` itself when it has them."""
    return value if _has_whole(value) else _put_together(value)


def _has_whole(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return value.isascii() or _is_whole(value)
    if kind is dict:
        for key, inner in value.items():  # noqa: SIM110 - on the way of every call of a tool; a generator is slower
            if not (_has_whole(key) and _has_whole(inner)):
                return False
        return True
    if kind is list:
        for inner in value:  # noqa: SIM110 - as above
            if not _has_whole(inner):
                return False
        return True
    return not isinstance(value, (str, dict, list)) or _put_together(value) == value


def _put_together(value: Any) -> Any:
    if isinstance(value, str):
        return value if _is_whole(value) else whole_characters(value)
    if isinstance(value, dict):
        return {_put_together(key): _put_together(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_put_together(inner) for inner in value]
    return value


def intact_answer(answer: Completion) -> Completion:
    """The same object, put right."""
    text = answer.text if isinstance(answer.text, str) else text_of(answer.text)
    answer.text = text if text.isascii() else whole_characters(text)
    if answer.tool_calls:
        for call in answer.tool_calls:
            _put_right(call)
    answer.usage = _usage(answer.usage)
    return answer


def _put_right(call: ToolCall) -> None:
    call.tool_id, call.tool_name = str(call.tool_id or ""), whole_characters(str(call.tool_name or ""))
    call.parameters = intact_data(arguments_of(call.parameters))


def _usage(usage: Usage | None) -> Usage:
    if usage is None:
        return Usage()
    if type(usage.input_tokens) is not int or type(usage.output_tokens) is not int:
        return replace(usage, input_tokens=count_of(usage.input_tokens), output_tokens=count_of(usage.output_tokens))
    return usage


async def intact_chunks(chunks: AsyncGenerator[AgentChunk, None]) -> AsyncGenerator[AgentChunk, None]:
    """The chunks of a stream; a character that two of them share is put together."""
    seam, last = Seam(), AgentChunk("text")
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.type == "text":
                text = chunk.text if isinstance(chunk.text, str) else text_of(chunk.text)
                chunk.text, last = seam.join(text), chunk
                if chunk.text or not text:
                    yield chunk
                continue
            if rest := seam.rest():
                yield replace(last, text=rest)
            if chunk.type == "tool_call_progress":
                chunk.arguments = whole_characters(chunk.arguments or "")
            elif chunk.call is not None:
                _put_right(chunk.call)
            if chunk.usage is not None:
                chunk.usage = _usage(chunk.usage)
            yield chunk
