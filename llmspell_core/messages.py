"""Plain data that travels: messages, inputs, outputs, chunks, usage.

Every record is a dataclass with `to_dict` / `from_dict`, so that it survives JSON with the field names written here.
Nothing in this module imports more than the standard library: scripts that never talk to a model still load it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, Self

from llmspell_core.errors import ResourceLimitError, ValidationError
from llmspell_core.media_forms import media_fields

__all__ = [
    "AgentChunk",
    "AgentInput",
    "AgentOutput",
    "ChunkKind",
    "HandoffRequest",
    "Media",
    "Message",
    "OutputMetadata",
    "Record",
    "Role",
    "ToolCall",
    "ToolOutput",
    "Usage",
]

Role = Literal["system", "user", "assistant", "tool"]
MediaKind = Literal["text", "image", "audio", "video", "binary"]
ChunkKind = Literal[
    "text",
    "tool_call_progress",
    "tool_call",
    "tool_result",
    "handoff",
    "restart",
    "start",
    "end",
    "cancelled",
    "error",
]

MIB = 1024 * 1024
MEDIA_LIMITS: dict[str, int] = {"image": 100 * MIB, "audio": 500 * MIB, "video": 5 * 1024 * MIB, "binary": 1024 * MIB}


def plain(value: Any) -> Any:
    """`value` as the JSON data model; records become mappings, other objects their string."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, Record):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    dump = getattr(value, "model_dump", None)
    return plain(dump(mode="json")) if callable(dump) else str(value)


class Record:
    """A dataclass that goes to plain data and back."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Unknown keys are ignored, so that a newer writer does not break an older reader."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        return cls(**{k: v for k, v in data.items() if k in known})


@dataclass(slots=True)
class Usage(Record):
    """Tokens of one or more model calls; `cost_usd` is None when no price is known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        costs = [c for c in (self.cost_usd, other.cost_usd) if c is not None]
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            sum(costs) if costs else None,
        )


@dataclass(slots=True)
class Media(Record):
    """One piece of content that is not the prompt text. `data` is base64 (text for kind `text`)."""

    type: MediaKind
    data: str
    mime_type: str | None = None
    filename: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> Media:
        """A path, or a table with `path`, `base64`, `bytes` or `url`; the file is read when it is sent.

        Raises: ValidationError for every other form.
        """
        return value if isinstance(value, Media) else cls(**media_fields(value))

    def validate_size(self) -> None:
        """Raises: ResourceLimitError above 100 MiB image, 500 MiB audio, 5 GiB video, 1 GiB binary."""
        limit = MEDIA_LIMITS.get(self.type)
        size = len(self.data) * 3 // 4
        if limit is not None and size > limit:
            raise ResourceLimitError(f"{self.type} is too large", resource=f"{self.type} bytes", limit=limit, used=size)


@dataclass(slots=True)
class ToolOutput(Record):
    success: bool
    data: Any = None
    error: str | None = None
    execution_time_ms: int | None = None


@dataclass(slots=True)
class ToolCall(Record):
    """A call that a model asked for. `tool_id` is the model's call id, `result` is filled in once it ran."""

    tool_id: str
    tool_name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    result: ToolOutput | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ToolCall:
        result = data.get("result")
        made = ToolOutput.from_dict(result) if isinstance(result, Mapping) else None
        return cls(str(data["tool_id"]), str(data["tool_name"]), dict(data.get("parameters") or {}), made)


@dataclass(slots=True)
class Message(Record):
    """One turn of a conversation. `tool_calls` on an assistant turn are answered by `tool` turns with that `tool_call_id`."""

    role: Role
    content: str = ""
    media: list[Media] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None
    name: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Message:
        return cls(
            role=data["role"],
            content=data.get("content") or "",
            media=[Media.from_dict(m) for m in data.get("media") or ()],
            tool_calls=[ToolCall.from_dict(c) for c in data.get("tool_calls") or ()],
            tool_call_id=data.get("tool_call_id"),
            name=data.get("name"),
        )


@dataclass(slots=True)
class AgentInput(Record):
    """What goes into a component. Tools read their arguments from `parameters`."""

    text: str = ""
    media: list[Media] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    output_modalities: list[MediaKind] = field(default_factory=lambda: ["text"])

    @classmethod
    def of(cls, value: AgentInput | str | Mapping[str, Any]) -> AgentInput:
        """Accepts an input, a bare prompt, or a mapping with `text` (aliases `prompt`, `input`, `message`, `content`).

        Other scalar keys of the mapping become parameters, e.g. a `temperature` for this call.

        Raises:
            ValidationError: when `value` is none of these.
        """
        if isinstance(value, AgentInput):
            return value
        if isinstance(value, str):
            return cls(text=value)
        if not isinstance(value, Mapping):
            given = "nothing" if value is None else type(value).__name__
            raise ValidationError(f"expected a prompt or a table with 'text', got {given}", field="input")
        return cls._from_mapping(value)

    @classmethod
    def _from_mapping(cls, value: Mapping[str, Any]) -> AgentInput:
        text = next((value[k] for k in PROMPT_KEYS if isinstance(value.get(k), str)), "")
        parameters = {k: v for k, v in value.items() if k not in INPUT_KEYS}
        given = value.get("parameters")
        parameters.update(given if isinstance(given, Mapping) else {})
        media = [Media.of(each) for name in ("media", "image") for each in as_list(value.get(name))]
        return cls(
            text=text, media=media, parameters=parameters, output_modalities=value.get("output_modalities") or ["text"]
        )


PROMPT_KEYS = ("text", "prompt", "input", "message", "content")
INPUT_KEYS = frozenset((*PROMPT_KEYS, "parameters", "media", "image", "output_modalities", "context"))


@dataclass(slots=True)
class HandoffRequest(Record):
    """An agent asks that another one goes on."""

    target: str
    reason: str = ""
    input: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
    return_control: bool = False


@dataclass(slots=True)
class OutputMetadata(Record):
    model: str | None = None
    token_count: int | None = None
    execution_time_ms: int | None = None
    confidence: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class AgentOutput(Record):
    """What comes out of a component."""

    text: str = ""
    media: list[Media] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    metadata: OutputMetadata = field(default_factory=OutputMetadata)
    handoff_request: HandoffRequest | None = None

    @property
    def transfer_to(self) -> str | None:
        return self.handoff_request.target if self.handoff_request else None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AgentOutput:
        handoff = data.get("handoff_request")
        return cls(
            text=data.get("text") or "",
            media=[Media.from_dict(m) for m in data.get("media") or ()],
            tool_calls=[ToolCall.from_dict(c) for c in data.get("tool_calls") or ()],
            metadata=OutputMetadata.from_dict(data.get("metadata") or {}),
            handoff_request=HandoffRequest.from_dict(handoff) if handoff else None,
        )


@dataclass(slots=True)
class AgentChunk(Record):
    """One piece of a stream, tagged by `type`; the other fields belong to these tags:

    `text`: text, the new piece and nothing that was there before. `tool_call_progress`: call_id, tool_name, arguments (all
    of them so far). `tool_call`: call. `tool_result`: call (with its result). `handoff`: data. `restart`: data (`reason`);
    the text of this turn was no answer and comes anew. `end`: usage, output (the whole). `error`: data.
    """

    type: ChunkKind
    text: str = ""
    stream_id: str = ""
    chunk_index: int = 0
    call_id: str | None = None
    tool_name: str | None = None
    call: ToolCall | None = None
    usage: Usage | None = None
    output: AgentOutput | None = None
    data: dict[str, Any] | None = None
    arguments: str | None = None
    timestamp: float = field(default_factory=time.time)

    @property
    def is_final(self) -> bool:
        return self.type in {"end", "cancelled", "error"}


def new_id(prefix: str = "") -> str:
    """A fresh random identifier, e.g. `agent_1f0c9a2b` for prefix `agent`."""
    raw = uuid.uuid4()
    return f"{prefix}_{raw.hex[:8]}" if prefix else str(raw)


def as_list(value: Any) -> list[Any]:
    """One item or many, as a list; an empty script table arrives as `{}` and means none."""
    if value is None or value == {}:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
