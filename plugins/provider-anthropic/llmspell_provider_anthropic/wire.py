"""A request of ours as the body of a message, and the answer back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.messages import Media, Message, ToolCall, Usage
from llmspell_core.provider import (
    INVALID_JSON,
    Completion,
    CompletionRequest,
    FinishReason,
    ProviderSettings,
    ToolDefinition,
)
from llmspell_core.provider.reading import count_of, text_of, tool_call_of
from llmspell_provider_anthropic.failure import Failures

__all__ = [
    "ANSWER_TOOL",
    "Thoughts",
    "answer_request",
    "as_answer",
    "blocks_of",
    "body_of",
    "check_finish",
    "completion_of",
    "finish_of",
    "plain_block",
    "usage_of",
]

DEFAULT_MAX_TOKENS = 4096
ANSWER_TOOL = "answer"
FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
FAILED = frozenset({"error", "malformed_function_call", "unexpected_tool_call"})
"""Words that gateways hand on from other protocols."""


class Thoughts:
    """The thoughts before a turn's calls, which the vendor wants back unchanged with those calls.

    A message of ours has no place for them: they are kept by the turn's first call, the latest of them.
    """

    KEPT = 10_000

    def __init__(self) -> None:
        self._kept: dict[str, list[dict[str, Any]]] = {}

    def keep(self, blocks: list[dict[str, Any]], calls: list[ToolCall]) -> None:
        thoughts = [block for block in blocks if block.get("type") in {"thinking", "redacted_thinking"}]
        if thoughts and calls:
            self._kept[calls[0].tool_id] = thoughts
        while len(self._kept) > self.KEPT:
            del self._kept[next(iter(self._kept))]

    def of(self, message: Message) -> list[dict[str, Any]]:
        return self._kept.get(message.tool_calls[0].tool_id, []) if message.tool_calls else []


def body_of(request: CompletionRequest, settings: ProviderSettings, thoughts: Thoughts | None = None) -> dict[str, Any]:
    """The body's fields; what is None is left out, `options` come last and win. The protocol knows no seed."""
    known = thoughts or Thoughts()
    temperature = settings.temperature if request.temperature is None else request.temperature
    system = "\n\n".join(m.content for m in request.messages if m.role == "system" and m.content)
    fields: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens or settings.max_tokens or DEFAULT_MAX_TOKENS,
        "system": system or None,
        "messages": merged(turn_of(m, known) for m in request.messages if m.role != "system"),
        "temperature": temperature,
        "stop_sequences": request.stop or None,
        "output_config": schema_format(request.response_schema),
        **tool_fields(request),
    }
    return {k: v for k, v in fields.items() if v is not None} | request.options


def turn_of(message: Message, thoughts: Thoughts) -> dict[str, Any]:
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id or "", "content": message.content}
        return {"role": "user", "content": [result]}
    blocks = [*thoughts.of(message), *(block_of(media) for media in message.media)]
    blocks += [{"type": "text", "text": message.content}] if message.content.strip() else []
    blocks += [
        {"type": "tool_use", "id": call.tool_id, "name": call.tool_name, "input": call.parameters}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": blocks}


def merged(turns: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring turns of one role as one: all results of a turn's calls belong into a single message."""
    made: list[dict[str, Any]] = []
    for turn in turns:
        if made and made[-1]["role"] == turn["role"]:
            made[-1]["content"] = [*made[-1]["content"], *turn["content"]]
        elif turn["content"]:
            made.append(turn)
    return made


def block_of(media: Media) -> dict[str, Any]:
    """Raises: ValidationError for a kind of content that the protocol cannot carry."""
    if media.type == "text":
        return {"type": "text", "text": media.data}
    kind = "document" if media.mime_type == "application/pdf" else media.type
    if kind not in {"image", "document"}:
        raise ValidationError(
            f"a message cannot carry {media.mime_type or media.type} content to this provider",
            field="media",
            hint="Send images, PDF documents or text.",
        )
    if media.data.startswith(("https://", "http://")):
        return {"type": kind, "source": {"type": "url", "url": media.data}}
    mime, data = media.mime_type or "image/png", media.data
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        mime = head.removeprefix("data:").partition(";")[0] or mime
    return {"type": kind, "source": {"type": "base64", "media_type": mime, "data": data}}


def tool_fields(request: CompletionRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    words = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
    choice = words.get(request.tool_choice, {"type": "tool", "name": request.tool_choice})
    tools = [{"name": t.name, "description": t.description, "input_schema": t.parameters} for t in request.tools]
    return {"tools": tools, "tool_choice": choice}


def schema_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """The package knows which keywords the vendor's grammar takes; it turns the others into descriptions."""
    if schema is None:
        return None
    from anthropic import transform_schema

    return {"format": {"type": "json_schema", "schema": transform_schema(single_types(schema))}}


def single_types(schema: Any) -> Any:
    """Several types of one value as alternatives: the package knows one type at a time."""
    if isinstance(schema, list):
        return [single_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: single_types(value) for key, value in schema.items()}
    types = made.get("type")
    if not isinstance(types, list):
        return made
    rest = {key: value for key, value in made.items() if key not in {"type", "description"}}
    options = [{"type": "null"} if each == "null" else rest | {"type": each} for each in types]
    return {key: made[key] for key in ("description",) if key in made} | {"anyOf": options}


def answer_request(request: CompletionRequest) -> dict[str, Any]:
    """The fields to replace in a request with a schema, for a server that holds only tools to a schema."""
    tool = ToolDefinition(ANSWER_TOOL, "Gives the answer to the user.", request.response_schema or {"type": "object"})
    return {"tools": [tool], "tool_choice": ANSWER_TOOL, "response_schema": None}


def as_answer(answer: Completion) -> Completion:
    """The call of the answer tool as the JSON text that it stands for."""
    given = next((c.parameters for c in answer.tool_calls if c.tool_name == ANSWER_TOOL), None)
    if given is None:
        return answer
    text = given[INVALID_JSON] if INVALID_JSON in given else json.dumps(given, ensure_ascii=False)
    finish: FinishReason = "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
    return Completion(str(text), [], answer.usage, answer.model, finish)


def plain_block(block: Any) -> dict[str, Any]:
    """A block as the server sent it, with fields that the package does not know."""
    if isinstance(block, dict):
        return block
    if isinstance(block, str):  # content that is a text in place of a list
        return {"type": "text", "text": block}
    made: dict[str, Any] = block.to_dict(mode="json", warnings=False) if hasattr(block, "to_dict") else {}
    return made


def blocks_of(reply: Any) -> list[dict[str, Any]] | None:
    """None when the reply is not a message."""
    content = getattr(reply, "content", None)
    if getattr(reply, "role", None) != "assistant" or not isinstance(content, list | str | None):
        return None
    return [plain_block(block) for block in ([content] if isinstance(content, str) else content or ())]


def completion_of(reply: Any, failures: Failures, model: str) -> Completion:
    """Raises: ProviderError when the reply is not a message, or is an error."""
    blocks = blocks_of(reply)
    if blocks is None:
        error = getattr(reply, "error", None)
        raise failures.in_answer(error, model) if error else failures.garbage(model)
    text = "".join(text_of(block.get("text")) for block in blocks if block.get("type") == "text")
    calls = [tool_call_of(b.get("id"), b.get("name"), b.get("input")) for b in blocks if b.get("type") == "tool_use"]
    word = getattr(reply, "stop_reason", None)
    check_finish(word, bool(text or calls), failures, model)
    usage = usage_of(getattr(reply, "usage", None))
    return Completion(text, calls, usage, str(getattr(reply, "model", None) or ""), finish_of(word, bool(calls)))


def finish_of(word: str | None, has_calls: bool) -> FinishReason:
    """Some servers say `tool_use` after no call."""
    reason = FINISH.get(word or "end_turn", "stop")
    if reason == "tool_calls" and not has_calls:
        return "stop"
    return "tool_calls" if has_calls and reason == "stop" else reason


def check_finish(word: str | None, has_answer: bool, failures: Failures, model: str) -> None:
    """Raises: ProviderError for a reason that nobody knows, after which nothing was said; gateways send such."""
    known = word or "end_turn"
    if known in FAILED or (known not in FINISH and not has_answer):
        raise failures.ended(known, model)


def usage_of(usage: Any) -> Usage:
    """What was read from or written to the prompt cache was input, too."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    asked = sum(count_of(getattr(usage, name, 0)) for name in names)
    return Usage(asked, count_of(getattr(usage, "output_tokens", 0)))
