"""A request of ours as a prompt of `llm`. Runs in the child process.

Newer plugins read `prompt.messages`; older ones read the prompt's text, its system prompt and the responses of the
conversation. Both are given.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

__all__ = ["options_for", "response_for"]

NAMES = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_output_tokens", "max_completion_tokens", "num_predict"),
    "stop": ("stop", "stop_sequences"),
    "seed": ("seed", "random_seed"),
}
"""What plugins call the options that every provider has."""


def response_for(model: Any, asked: dict[str, Any], *, is_async: bool) -> Any:
    """The response that runs when its events are read. Raises: ValueError for what the model cannot do."""
    from llm import AsyncConversation, AsyncResponse, Conversation, Response

    turns = asked["messages"]
    check_media(model, turns)
    conversation = (AsyncConversation if is_async else Conversation)(model=model)
    made = AsyncResponse if is_async else Response
    past, last = split(turns)
    for turn in turns_of(past):
        conversation.responses.append(answered(made(prompt_of(model, turn[:-1]), model, stream=False), turn[-1]))
    prompt = prompt_of(model, last, asked=asked, history=turns)
    return made(prompt, model, stream=bool(model.can_stream), conversation=conversation)


def answered(response: Any, answer: dict[str, Any]) -> Any:
    """A response that was given before. The package has no public way to make one with calls."""
    vars(response).update(_chunks=[answer["content"]], _done=True)
    for call in answer["calls"]:
        response.add_tool_call(call_of(call))
    return response


def split(turns: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was answered, and what is asked now; the system prompt goes with both."""
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=-1)
    system = [turn for turn in turns[: last + 1] if turn["role"] == "system"]
    return turns[: last + 1], [*system, *turns[last + 1 :]]


def turns_of(past: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Each answer with what it answers, last."""
    turn: list[dict[str, Any]] = []
    for message in past:
        turn.append(message)
        if message["role"] == "assistant":
            yield turn
            turn = []


def prompt_of(
    model: Any,
    turn: list[dict[str, Any]],
    *,
    asked: dict[str, Any] | None = None,
    history: list[dict[str, Any]] | None = None,
) -> Any:
    import llm
    from llm import Tool, ToolResult

    def of(role: str) -> list[dict[str, Any]]:
        return [message for message in turn if message["role"] == role]

    given = asked or {"tools": [], "schema": None, "options": {}, "settings": {}}
    made: Any = llm.Prompt
    return made(
        "\n\n".join(m["content"] for m in of("user")),
        model,
        system="\n\n".join(m["content"] for m in of("system")),
        attachments=[attachment_of(media) for m in of("user") for media in m["media"]],
        tool_results=[ToolResult(m["name"], m["content"], tool_call_id=m["call_id"]) for m in of("tool")],
        tools=[Tool(t["name"], t["description"], t["parameters"]) for t in given["tools"]],
        schema=given["schema"],
        options=options_for(model, given["settings"], given["options"]),
        messages=None if history is None else [message_of(message) for message in history],
    )


def options_for(model: Any, settings: dict[str, Any], options: dict[str, Any]) -> Any:
    """`settings` under the model's own names, if it has one for them; `options` as they are.

    Raises: ValueError for a stop sequence that the model cannot take, and for an option that it does not know.
    """
    known = model.Options.model_fields
    made = {}
    for name, value in settings.items():
        own = next((each for each in NAMES[name] if each in known), None)
        if own is not None:
            made[own] = value if name != "stop" else stop_for(known[own], value)
        elif name == "stop":
            raise ValueError(f"the model '{model.model_id}' does not support stop sequences")
    return model.Options(**made | options)


def stop_for(field: Any, stops: list[str]) -> Any:
    """Some take one string and no list."""
    if "list" in str(field.annotation).lower():
        return stops
    if len(stops) > 1:
        raise ValueError("the model does not support more than one stop sequence")
    return stops[0]


def message_of(message: dict[str, Any]) -> Any:
    from llm import Message
    from llm.parts import AttachmentPart, Part, TextPart, ToolCallPart, ToolResultPart

    if message["parts"] is not None:
        return Message(message["role"], [Part.from_dict(part) for part in message["parts"]])
    if message["role"] == "tool":
        result = ToolResultPart(message["name"], message["content"], message["call_id"])
        return Message("tool", [result])
    parts: list[Any] = [TextPart(message["content"])] if message["content"] else []
    parts += [AttachmentPart(attachment_of(media)) for media in message["media"]]
    parts += [ToolCallPart(call["name"], call["arguments"], call["id"]) for call in message["calls"]]
    return Message(message["role"], parts)


def call_of(call: dict[str, Any]) -> Any:
    from llm import ToolCall

    return ToolCall(call["name"], call["arguments"], call["id"])


def attachment_of(media: dict[str, Any]) -> Any:
    from llm import Attachment

    data, mime = media["data"], media["mime_type"]
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        mime = head.removeprefix("data:").partition(";")[0] or mime
    if media["type"] == "text":
        return Attachment(type=mime or "text/plain", content=data.encode())
    return Attachment(type=mime or "image/png", content=base64.b64decode(data))


def check_media(model: Any, turns: list[dict[str, Any]]) -> None:
    """Raises: ValueError for a kind that the model does not take."""
    types = [attachment_of(media).type for turn in turns for media in turn["media"]]
    wrong = sorted({str(kind) for kind in types if kind not in model.attachment_types})
    if wrong:
        takes = ", ".join(sorted(model.attachment_types)) or "text only"
        raise ValueError(f"the model '{model.model_id}' does not support {', '.join(wrong)}; it takes {takes}")
