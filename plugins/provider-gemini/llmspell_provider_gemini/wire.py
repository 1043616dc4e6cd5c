"""A request of ours as contents and configuration of `generateContent`, and the answer back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.messages import Media, Message, ToolCall, Usage, new_id
from llmspell_core.provider import CompletionRequest, FinishReason, ProviderSettings
from llmspell_core.provider.reading import arguments_of, count_of
from llmspell_provider_gemini.failure import Failures

__all__ = [
    "calls_of",
    "check_finish",
    "config_of",
    "contents_of",
    "finish_of",
    "finish_word",
    "refusal_of",
    "text_of",
    "usage_of",
]

MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
ENDS = frozenset({"STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED"})
FAILED = frozenset(
    {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS"}
)
"""Words for an answer that is none, whatever was said until then."""
REFUSALS = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR"})


def config_of(request: CompletionRequest, settings: ProviderSettings) -> dict[str, Any]:
    """What is None is left out; `options` come last and win."""
    system = "\n\n".join(m.content for m in request.messages if m.role == "system" and m.content)
    schema = request.response_schema
    fields: dict[str, Any] = {
        "system_instruction": system or None,
        "temperature": settings.temperature if request.temperature is None else request.temperature,
        "max_output_tokens": request.max_tokens or settings.max_tokens,
        "stop_sequences": request.stop or None,
        "seed": request.seed,
        "response_mime_type": "application/json" if schema else None,
        "response_json_schema": schema,
        "automatic_function_calling": {"disable": True},
        **tool_fields(request),
    }
    return {k: v for k, v in fields.items() if v is not None} | request.options


def tool_fields(request: CompletionRequest) -> dict[str, Any]:
    if not request.tools:
        return {}
    calling: dict[str, Any] = {"mode": MODES.get(request.tool_choice, "ANY")}
    if request.tool_choice not in MODES:
        calling["allowed_function_names"] = [request.tool_choice]
    tools = [
        {"name": t.name, "description": t.description, "parameters_json_schema": t.parameters} for t in request.tools
    ]
    return {"tools": [{"function_declarations": tools}], "tool_config": {"function_calling_config": calling}}


def contents_of(messages: Iterable[Message], signatures: dict[str, bytes]) -> list[dict[str, Any]]:
    """Neighbouring turns of one role as one: the results of a turn's calls belong together.

    Args:
        signatures: call id -> what the vendor wants back with that call.
    """
    names: dict[str, str] = {}
    made: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        names |= {call.tool_id: call.tool_name for call in message.tool_calls}
        role, parts = "model" if message.role == "assistant" else "user", list(parts_of(message, names, signatures))
        if made and made[-1]["role"] == role:
            made[-1]["parts"] += parts
        elif parts:
            made.append({"role": role, "parts": parts})
    return made


def parts_of(message: Message, names: dict[str, str], signatures: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        name = message.name or names.get(message.tool_call_id or "", "")
        yield {"function_response": {"name": name, "response": result_of(message.content)}}
        return
    for media in message.media:
        yield part_of(media)
    if message.content:
        yield {"text": message.content}
    for call in message.tool_calls:
        signed = {"thought_signature": signatures[call.tool_id]} if call.tool_id in signatures else {}
        yield {"function_call": {"name": call.tool_name, "args": call.parameters}} | signed


def result_of(content: str) -> dict[str, Any]:
    """The protocol wants an object."""
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"result": content}


def part_of(media: Media) -> dict[str, Any]:
    """Raises: ValidationError for a linked file, which the protocol takes only from the vendor's own store."""
    if media.type == "text":
        return {"text": media.data}
    if media.data.startswith(("http://", "https://")):
        raise ValidationError(
            "a message cannot carry a link to this provider", field="media", hint="Send the data itself, in base64."
        )
    mime, data = media.mime_type or "image/png", media.data
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        mime = head.removeprefix("data:").partition(";")[0] or mime
    return {"inline_data": {"mime_type": mime, "data": base64.b64decode(data)}}


def answer_parts(reply: Any) -> list[Any]:
    candidate = reply.candidates[0] if reply.candidates else None
    content = candidate.content if candidate else None
    return list(content.parts or ()) if content else []


def text_of(reply: Any) -> str:
    return "".join(part.text for part in answer_parts(reply) if part.text and not part.thought)


def calls_of(reply: Any, signatures: dict[str, bytes]) -> list[ToolCall]:
    """The calls of a reply, under ids of our own; what must come back with them is kept in `signatures`."""
    calls = []
    for part in answer_parts(reply):
        if part.function_call is not None:
            call = ToolCall(new_id("call"), part.function_call.name or "", arguments_of(part.function_call.args))
            calls.append(call)
            if part.thought_signature:
                signatures[call.tool_id] = part.thought_signature
    return calls


def refusal_of(reply: Any) -> str | None:
    """Why nothing is said; None when there is no refusal."""
    blocked = reply.prompt_feedback.block_reason if reply.prompt_feedback else None
    if blocked:
        return f"the prompt was blocked ({blocked.value})"
    word = finish_word(reply)
    return f"the answer was stopped ({word})" if word in REFUSALS else None


def finish_word(reply: Any) -> str | None:
    reason = reply.candidates[0].finish_reason if reply.candidates else None
    return reason.value if reason else None


def check_finish(word: str, why: str, has_answer: bool, failures: Failures, model: str) -> None:
    """Raises: ProviderError for a word that is a failure, or one for any other end after which nothing was said."""
    if word in FAILED or (word not in ENDS and not has_answer):
        raise failures.ended(word, model, why)


def finish_of(reply: Any, *, has_calls: bool) -> FinishReason | None:
    """None: the server has not said why it finished."""
    word = finish_word(reply)
    if word is None:
        return None
    return "length" if word == "MAX_TOKENS" else "tool_calls" if has_calls else "stop"


def usage_of(reply: Any) -> Usage:
    """Thoughts are output and are charged as such."""
    usage = reply.usage_metadata
    if usage is None:
        return Usage()
    made = count_of(usage.candidates_token_count) + count_of(usage.thoughts_token_count)
    return Usage(count_of(usage.prompt_token_count) + count_of(usage.tool_use_prompt_token_count), made)
