"""A request of ours as the JSON body of a chat completion, and the answer back."""

from __future__ import annotations

import json
from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.messages import Media, Message, ToolCall, Usage
from llmspell_core.provider import INVALID_JSON, Completion, CompletionRequest, FinishReason, ProviderSettings
from llmspell_provider_openai.failure import Failures
from llmspell_provider_openai.presets import Dialect

__all__ = ["FILTERED", "body_of", "completion_of", "estimated", "finish_of", "tool_call_of", "usage_of"]

FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
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
    """Raises: ProviderError when the reply is not a chat completion; ContentRefusedError when it is a refusal."""
    choices: Any = getattr(reply, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    if message is None:
        raise failures.garbage(model)
    if getattr(message, "refusal", None) and not message.content:
        raise failures.refused(message.refusal, model)
    calls = [
        tool_call_of(call.id, call.function.name, call.function.arguments, i)
        for i, call in enumerate(message.tool_calls or ())
        if getattr(call, "function", None) is not None
    ]
    finish = finish_of(choices[0].finish_reason, bool(calls))
    if finish == "content_filter" and not message.content:
        raise failures.refused(FILTERED, model)
    return Completion(message.content or "", calls, usage_of(reply.usage), reply.model or "", finish)


def finish_of(word: str | None, has_calls: bool) -> FinishReason:
    """Some servers say `stop` after tool calls."""
    reason = FINISH.get(word or "stop", "stop")
    return "tool_calls" if has_calls and reason == "stop" else reason


def tool_call_of(call_id: str | None, name: str | None, arguments: Any, index: int) -> ToolCall:
    """Arguments that are not a JSON object are marked as such, so that the model hears of it."""
    try:
        parsed = json.loads(arguments or "{}") if isinstance(arguments, str | None) else arguments
    except json.JSONDecodeError:
        parsed = None
    parameters = parsed if isinstance(parsed, dict) else {INVALID_JSON: arguments}
    return ToolCall(call_id or f"call_{index}", name or "", parameters)


def estimated(request: CompletionRequest, made: int) -> Usage:
    """For a server that counts nothing: a token for every four characters; `made` is the answer's length."""
    asked = sum(len(message.content) for message in request.messages)
    return Usage(max(1, asked // CHARACTERS_A_TOKEN), max(1, made // CHARACTERS_A_TOKEN))


def usage_of(usage: Any) -> Usage:
    """Zeros when the server tells nothing."""
    if usage is None:
        return Usage()
    return Usage(getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0)
