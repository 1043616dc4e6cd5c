"""A request of ours as the body of `/api/chat`, and the answer back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.messages import Media, Message, ToolCall, Usage, new_id
from llmspell_core.provider import (
    Completion,
    CompletionRequest,
    FinishReason,
    LocalModel,
    ProviderSettings,
    PullProgress,
)
from llmspell_core.provider.reading import count_of, text_of, tool_call_of
from llmspell_provider_ollama.failure import Failures

if TYPE_CHECKING:
    from llmspell_provider_ollama.client import Reply

__all__ = [
    "BACKEND",
    "PullReader",
    "body_of",
    "calls_of",
    "completion_of",
    "finish_of",
    "local_model",
    "message_of",
    "short",
    "usage_of",
]

BACKEND = "ollama"
ENDS = frozenset({"stop", "length", "load", "unload", "tool_calls"})
FAILED = frozenset({"error", "malformed_function_call", "unexpected_tool_call"})
BODY_OPTIONS = frozenset({"keep_alive", "think", "logprobs", "top_logprobs", "format"})
"""Of a request's options: what stands in the body itself. The rest are the model's own parameters."""


def body_of(request: CompletionRequest, settings: ProviderSettings, *, stream: bool) -> dict[str, Any]:
    beside = {k: v for k, v in (settings.options | request.options).items() if k in BODY_OPTIONS}
    fields: dict[str, Any] = {
        "model": request.model,
        "messages": list(messages_of(request.messages)),
        "tools": tools_of(request),
        "format": request.response_schema,
        "options": parameters_of(request, settings) or None,
        "stream": stream,
        **beside,
    }
    return {k: v for k, v in fields.items() if v is not None}


def parameters_of(request: CompletionRequest, settings: ProviderSettings) -> dict[str, Any]:
    temperature = settings.temperature if request.temperature is None else request.temperature
    known: dict[str, Any] = {
        "temperature": temperature,
        "num_predict": request.max_tokens or settings.max_tokens,
        "stop": request.stop or None,
        "seed": request.seed,
        "num_ctx": settings.options.get("context_size"),
    }
    given = {k: v for k, v in request.options.items() if k not in BODY_OPTIONS}
    return {k: v for k, v in known.items() if v is not None} | given


def messages_of(messages: Iterable[Message]) -> Iterable[dict[str, Any]]:
    """Results are told apart by the tool's name: the protocol has no ids of calls."""
    names: dict[str, str] = {}
    for message in messages:
        names |= {call.tool_id: call.tool_name for call in message.tool_calls}
        wire: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.media:
            wire["images"] = [image_of(media) for media in message.media]
        if message.tool_calls:
            wire["tool_calls"] = [
                {"function": {"name": call.tool_name, "arguments": call.parameters}} for call in message.tool_calls
            ]
        if message.role == "tool":
            wire["tool_name"] = message.name or names.get(message.tool_call_id or "", "")
        yield wire


def image_of(media: Media) -> str:
    """Base64. Raises: ValidationError for what is not an image, or lies elsewhere."""
    if media.type != "image" or media.data.startswith(("http://", "https://")):
        what = "a linked image" if media.type == "image" else f"{media.mime_type or media.type} content"
        raise ValidationError(
            f"a message cannot carry {what} to this provider", field="media", hint="Send the image itself, in base64."
        )
    return media.data.partition(",")[2] if media.data.startswith("data:") else media.data


def tools_of(request: CompletionRequest) -> list[dict[str, Any]] | None:
    if not request.tools or request.tool_choice == "none":
        return None
    return [{"type": "function", "function": tool.to_dict()} for tool in request.tools]


def completion_of(reply: Reply, failures: Failures, model: str) -> Completion:
    """Raises: ProviderError when the reply has no message."""
    message = message_of(reply)
    if message is None:
        raise failures.garbage(model)
    text, calls = text_of(message.get("content")), calls_of(message)
    finish = finish_of(reply, bool(text), bool(calls), failures, model)
    return Completion(text, calls, usage_of(reply), str(reply.fields.get("model") or ""), finish)


def message_of(reply: Reply) -> dict[str, Any] | None:
    message = reply.fields.get("message")
    return message if isinstance(message, dict) else None


def calls_of(message: dict[str, Any]) -> list[ToolCall]:
    listed = message.get("tool_calls")
    functions = [each.get("function") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [tool_call_of(new_id("call"), f.get("name"), f.get("arguments")) for f in functions if isinstance(f, dict)]


def finish_of(reply: Reply, has_text: bool, has_calls: bool, failures: Failures, model: str) -> FinishReason:
    """Raises: ProviderError for a reason that is a failure, or an unknown one after which nothing was said."""
    word = str(reply.fields.get("done_reason") or "stop")
    if word in FAILED or not (word in ENDS or has_text or has_calls):
        raise failures.ended(word, model)
    if word == "length":
        return "length"
    return "tool_calls" if has_calls else "stop"


def usage_of(reply: Reply) -> Usage:
    """It runs on one's own machine: it costs nothing."""
    return Usage(count_of(reply.fields.get("prompt_eval_count")), count_of(reply.fields.get("eval_count")), 0.0)


def short(name: str) -> str:
    """`llama3.2:latest` is what `llama3.2` means."""
    return name.removesuffix(":latest")


def local_model(found: Any, loaded: set[str]) -> LocalModel:
    details, changed = found.details, found.modified_at
    return LocalModel(
        short(found.model),
        BACKEND,
        int(found.size or 0),
        details.quantization_level if details else None,
        changed.timestamp() if isinstance(changed, datetime) else None,
        (details.format if details else None) or "gguf",
        loaded=short(found.model) in loaded,
        description=f"{details.parameter_size or ''} {details.family or ''}".strip() if details else "",
    )


class PullReader:
    """Adds up the parts of a model as they come."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._parts: dict[str, tuple[int, int]] = {}
        self.finished = False

    def read(self, event: Any) -> PullProgress:
        if event.digest and event.total:
            self._parts[event.digest] = (int(event.completed or 0), int(event.total))
        done = sum(part[0] for part in self._parts.values())
        total = sum(part[1] for part in self._parts.values()) or None
        return PullProgress(self.model, self._status(str(event.status or ""), event), done, total)

    def _status(self, words: str, event: Any) -> Any:
        if words == "success":
            self.finished = True
            return "complete"
        if event.digest:
            return "downloading"
        return "verifying" if words.startswith(("verifying", "writing", "removing")) else "starting"
