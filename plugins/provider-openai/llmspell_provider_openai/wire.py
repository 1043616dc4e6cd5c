"""A request of ours as the JSON body of a chat completion, and the answer back."""

from __future__ import annotations

import json
from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.messages import Media, Message, ToolCall, Usage
from llmspell_core.provider import Completion, CompletionRequest, FinishReason, ProviderSettings
from llmspell_core.provider.reading import count_of, text_of, tool_call_of
from llmspell_provider_openai.failure import Failures
from llmspell_provider_openai.presets import Dialect

__all__ = [
    "FILTERED",
    "body_of",
    "check_finish",
    "completion_of",
    "estimated",
    "finish_of",
    "function_of",
    "items_of",
    "usage_of",
]

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
}
"""The protocol's words, and those that gateways hand on from other protocols."""
FAILED = frozenset({"error", "malformed_function_call", "unexpected_tool_call"})
ENDED = frozenset({*FINISH, "eos_token", "eos", "stop_sequence", "end_turn", "end"})
CHARACTERS_A_TOKEN = 4
FILTERED = "the answer was stopped by the content filter"
AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def body_of(request: CompletionRequest, settings: ProviderSettings, dialect: Dialect) -> dict[str, Any]:
    """The body's fields; what is None is left out, `options` come last and win."""
    temperature = settings.temperature if request.temperature is None else request.temperature
    fields: dict[str, Any] = {
        "model": request.model,
        "messages": [message_of(m, dialect) for m in request.messages],
        "temperature": temperature,
        dialect.max_tokens_field: request.max_tokens or settings.max_tokens,
        "stop": request.stop or None,
        dialect.seed_field: request.seed,
        "response_format": schema_format(request.response_schema, dialect.schema_form),
        **tool_fields(request, dialect),
    }
    return {k: v for k, v in fields.items() if v is not None} | request.options


def message_of(message: Message, dialect: Dialect) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": content_of(message)}
    if message.role == "tool":
        return wire | {"tool_call_id": message.tool_call_id or ""}
    if message.tool_calls:
        wire["tool_calls"] = [wire_call(call) for call in message.tool_calls]
        wire["content"] = wire["content"] or ("" if dialect.empty_text else None)
    return wire | ({"name": message.name} if message.name else {})


def wire_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.tool_name, "arguments": json.dumps(call.parameters, ensure_ascii=False)}
    return {"id": call.tool_id, "type": "function", "function": function}


def content_of(message: Message) -> str | list[dict[str, Any]]:
    """Plain text where that is all there is: some servers know nothing else."""
    if not message.media:
        return message.content
    text = [{"type": "text", "text": message.content}] if message.content else []
    return text + [part_of(media) for media in message.media]


def part_of(media: Media) -> dict[str, Any]:
    """Raises: ValidationError for a kind of content that the protocol cannot carry."""
    if media.type == "text":
        return {"type": "text", "text": media.data}
    if media.type == "image":
        linked = media.data.startswith(("data:", "https://", "http://"))
        url = media.data if linked else f"data:{media.mime_type or 'image/png'};base64,{media.data}"
        return {"type": "image_url", "image_url": {"url": url}}
    audio = AUDIO_FORMATS.get(media.mime_type or "audio/wav") if media.type == "audio" else None
    if audio is None:
        raise ValidationError(
            f"a message cannot carry {media.mime_type or media.type} content to this provider",
            field="media",
            hint="Send images, WAV or MP3 audio, or text.",
        )
    return {"type": "input_audio", "input_audio": {"data": media.data, "format": audio}}


def tool_fields(request: CompletionRequest, dialect: Dialect) -> dict[str, Any]:
    if not request.tools:
        return {}
    tools = [{"type": "function", "function": tool.to_dict()} for tool in request.tools]
    words: dict[str, Any] = {"auto": "auto", "none": "none", "required": dialect.required_word}
    named = {"type": "function", "function": {"name": request.tool_choice}}
    return {"tools": tools, "tool_choice": words.get(request.tool_choice, named)}


def schema_format(schema: dict[str, Any] | None, form: str = "json_schema") -> dict[str, Any] | None:
    if schema is None:
        return None
    if form == "json_object":
        return {"type": "json_object", "schema": schema}
    name = "".join(c if c.isalnum() or c in "_-" else "_" for c in str(schema.get("title") or "answer"))[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": is_strict(schema)}}


def is_strict(schema: Any) -> bool:
    """Whether the vendor's strict mode accepts it: every object closed and all its properties required."""
    if isinstance(schema, list):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(schema.get("properties", {})):
            return False
    return all(is_strict(value) for value in schema.values())


def completion_of(reply: Any, failures: Failures, model: str) -> Completion:
    """Raises: ProviderError when the reply is not a chat completion, or an error; ContentRefusedError when it refuses."""
    choice = next(iter(items_of(getattr(reply, "choices", None))), None)
    message = getattr(choice, "message", None)
    if message is None and getattr(reply, "error", None):
        raise failures.in_answer(reply.error, model)
    legacy = None if choice is None else getattr(choice, "text", None)
    if message is None and legacy is None:
        raise failures.garbage(model)
    text = text_of(legacy if message is None else getattr(message, "content", None))
    refusal = text_of(getattr(message, "refusal", None))
    if refusal and not text:
        raise failures.refused(refusal, model)
    calls = calls_of(message)
    word = getattr(choice, "finish_reason", None)
    finish = finish_of(word, bool(calls))
    if finish == "content_filter" and not text:
        raise failures.refused(FILTERED, model)
    check_finish(word, bool(text or calls), failures, model)
    usage = usage_of(getattr(reply, "usage", None)) or Usage()
    return Completion(text, calls, usage, str(getattr(reply, "model", None) or ""), finish)


def calls_of(message: Any) -> list[ToolCall]:
    made = [(getattr(each, "id", None), *function_of(each)) for each in items_of(getattr(message, "tool_calls", None))]
    if not made and getattr(message, "function_call", None) is not None:  # what calls were before there were tools
        made = [(None, *function_of(message))]
    return [tool_call_of(call_id or f"call_{i}", *rest) for i, (call_id, *rest) in enumerate(made)]


def function_of(call: Any) -> tuple[Any, Any]:
    """Name and arguments of a call, or of a piece of one; a custom tool's input is a text."""
    function = getattr(call, "function", None) or getattr(call, "function_call", None)
    custom = getattr(call, "custom", None)
    if function is None and custom is not None:
        return _field(custom, "name"), _field(custom, "input")
    return _field(function, "name"), _field(function, "arguments")


def _field(value: Any, name: str) -> Any:
    """The package keeps as a table what its own types do not fit."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def items_of(value: Any) -> list[Any]:
    """The entries of a list, none for whatever else a server sends in its place."""
    return [each for each in value if each is not None] if isinstance(value, list) else []


def finish_of(word: str | None, has_calls: bool) -> FinishReason:
    """Some servers say `stop` after tool calls, or `tool_calls` after none."""
    reason = FINISH.get(str(word or "stop").lower(), "stop")
    if reason == "tool_calls" and not has_calls:
        return "stop"
    return "tool_calls" if has_calls and reason == "stop" else reason


def check_finish(word: str | None, has_answer: bool, failures: Failures, model: str) -> None:
    """Raises: ProviderError for a reason that is a failure: one of those words, or an unknown one and nothing said."""
    known = str(word or "stop").lower()
    if known in FAILED or (known not in ENDED and not has_answer):
        raise failures.ended(str(word), model)


def estimated(request: CompletionRequest, made: int) -> Usage:
    """For a server that counts nothing: a token for every four characters; `made` is the answer's length."""
    asked = sum(len(message.content) for message in request.messages)
    return Usage(max(1, asked // CHARACTERS_A_TOKEN), max(1, made // CHARACTERS_A_TOKEN))


def usage_of(usage: Any) -> Usage | None:
    """None when the server tells nothing."""
    if usage is None:
        return None
    return Usage(count_of(_field(usage, "prompt_tokens")), count_of(_field(usage, "completion_tokens")))
