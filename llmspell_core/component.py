"""What a component is: identity, version, metadata, and the one public way to execute it.

Every agent, tool and workflow is a `BaseAgent`. The core owns `execute` (validate, hooks before, the component's own
work, hooks after, events); a component fills in `execute_impl`.
"""

from __future__ import annotations

import re
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import total_ordering
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from llmspell_core.errors import ComponentError, LLMSpellError, ValidationError
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput, MediaKind, new_id

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk
    from llmspell_core.hooks import HookContext
    from llmspell_core.trace import Tracer

__all__ = ["BaseAgent", "ComponentId", "ComponentMetadata", "ComponentType", "Version"]

ComponentType = Literal["agent", "tool", "workflow", "component"]
_COUNTS = {kind: (f"{kind}.executions", f"{kind}.errors") for kind in ("agent", "tool", "workflow", "component")}


@dataclass(frozen=True, slots=True)
class ComponentId:
    """A UUID that names a component; equal names give equal ids."""

    uuid: uuid.UUID

    @classmethod
    def new(cls) -> ComponentId:
        return cls(uuid.uuid4())

    @classmethod
    def from_name(cls, name: str) -> ComponentId:
        return cls(uuid.uuid5(uuid.NAMESPACE_DNS, name))

    @classmethod
    def parse_or_from_name(cls, text: str) -> ComponentId:
        """Strips one prefix of `workflow_`, `agent_`, `tool_`, then reads a UUID, else derives one from the name."""
        bare = re.sub(r"^(workflow|agent|tool)_", "", text)
        try:
            return cls(uuid.UUID(bare))
        except ValueError:
            return cls.from_name(text)

    def __str__(self) -> str:
        return str(self.uuid)


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    major: int = 0
    minor: int = 1
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Version:
        match = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
        if not match:
            raise ValidationError(f"{text!r} is not a version", field="version", hint="Write it as MAJOR.MINOR.PATCH.")
        return cls(*(int(part or 0) for part in match.groups()))

    def is_compatible_with(self, other: Version) -> bool:
        return self.major == other.major

    def __lt__(self, other: Version) -> bool:
        return (self.major, self.minor, self.patch) < (other.major, other.minor, other.patch)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class ComponentMetadata:
    name: str
    description: str = ""
    version: Version = field(default_factory=Version)
    component_type: ComponentType = "component"
    id: ComponentId = field(default=None)  # type: ignore[assignment]  # filled in from the name below
    created_at: datetime = field(default_factory=utc_now)
    updated_at: datetime = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        if self.id is None:
            self.id = ComponentId.from_name(self.name)

    def update_version(self, version: Version) -> None:
        self.version = version
        self.updated_at = utc_now()

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "name": self.name,
            "version": str(self.version),
            "description": self.description,
            "component_type": self.component_type,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(
            name=data["name"],
            description=data.get("description", ""),
            version=Version.parse(data.get("version", "0.1.0")),
            component_type=data.get("component_type", "component"),
            id=ComponentId(uuid.UUID(data["id"])),
            created_at=datetime.fromisoformat(data["created_at"]),
            updated_at=datetime.fromisoformat(data["updated_at"]),
        )


@dataclass(slots=True)
class SeenInput(AgentInput):
    """An input that the hooks before the execution have seen already; they do not see it twice."""


@dataclass(frozen=True, slots=True)
class HookPoints:
    """The hook points around one component type's execution."""

    before: str
    after: str
    error: str


class BaseAgent(ABC):
    """The contract of every component.

    A subclass sets `name`, `description` and `version` and writes `execute_impl`; callers use `execute`.
    """

    component_type: ClassVar[ComponentType] = "component"
    hook_points: ClassVar[HookPoints | None] = None
    name: str = ""
    description: str = ""
    version: str = "0.1.0"

    @property
    def metadata(self) -> ComponentMetadata:
        """Cheap and free of side effects."""
        return ComponentMetadata(self.name, self.description, Version.parse(self.version), self.component_type)

    @property
    def supports_streaming(self) -> bool:
        return False

    @property
    def supports_multimodal(self) -> bool:
        return False

    @property
    def supported_media_types(self) -> list[MediaKind]:
        return ["text"]

    @final
    async def execute(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        """Validate, run the hooks around `execute_impl`, and emit `<type>.started|completed|failed`.

        Raises:
            ValidationError: the input is not acceptable.
            CancelledByHookError: a hook said no.
            LLMSpellError: whatever the component raised; a foreign exception arrives as `ComponentError`.
        """
        desk = context.desk
        if desk is None:
            self.validate_input(input)
            return await self._attempt(input, context)
        counts = desk.metrics.counts
        executions, errors = _COUNTS[self.component_type]
        counts[executions] += 1
        try:
            if desk.tracer is None:
                output = await self._execute_at(desk, input, context)
            else:
                output = await self._execute_traced(desk.tracer, desk, input, context)
        except LLMSpellError:
            counts[errors] += 1
            raise
        return output

    async def _execute_traced(
        self, tracer: Tracer, desk: Desk, input: AgentInput, context: ExecutionContext
    ) -> AgentOutput:
        with tracer.span(self.component_type, self.name) as span:
            output = await self._execute_at(desk, input, context)
            span.take(output)
            return output

    async def _execute_at(self, desk: Desk, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        points = self.hook_points
        if points is not None and desk.hooks.any_active(points.before, points.after, points.error):
            return await self._execute_with_hooks(points, input, context)
        return await self._execute_with_events(input, context)

    @abstractmethod
    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        """The component's own work."""

    def validate_input(self, input: AgentInput) -> None:
        """Raises: ValidationError naming the field."""

    async def handle_error(self, error: LLMSpellError, context: ExecutionContext) -> AgentOutput:
        """Turn an error into an output, or raise it again, which is the default."""
        raise error

    def stream_execute(self, input: AgentInput, context: ExecutionContext) -> AsyncIterator[AgentChunk]:
        """Execute and yield what happens. Raises: ComponentError when the component cannot stream."""
        raise ComponentError(f"{self.component_type} '{self.name}' does not support streaming")

    async def _attempt(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        try:
            return await self.execute_impl(input, context)
        except LLMSpellError as error:
            return await self.handle_error(error, context)

    async def _execute_with_events(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        assert context.desk is not None
        events = context.desk.events
        self.validate_input(input)
        if not events.wants(f"{self.component_type}.started"):
            return await self._attempt(input, context)
        started = time.perf_counter()
        common = {"component_name": self.name, "component_id": str(ComponentId.from_name(self.name))}
        events.emit(f"{self.component_type}.started", self._started_data(input, context) | common, context)
        try:
            output = await self._attempt(input, context)
        except LLMSpellError as error:
            failed = {"duration_ms": _ms(started), "error": error.message, "error_type": type(error).__name__}
            events.emit(f"{self.component_type}.failed", common | failed, context)
            raise
        events.emit(f"{self.component_type}.completed", common | _completed_data(output, started), context)
        return output

    def _started_data(self, input: AgentInput, context: ExecutionContext) -> dict[str, Any]:
        return {
            "component_version": self.version,
            "input_text_length": len(input.text),
            "has_context": context.parent_id is not None,
            "parameter_keys": sorted(input.parameters),
            "session_id": context.session_id,
            "conversation_id": context.conversation_id,
        }

    def hook_input(self, input: AgentInput) -> dict[str, Any]:
        """What hooks see, and may change, of the input."""
        return {"input": input.to_dict()}

    def input_from_hook(self, data: dict[str, Any], input: AgentInput) -> AgentInput:
        """The input that hooks left behind; data without an `input` key is taken for the input itself."""
        changed = data.get("input", input)
        return AgentInput.of(changed)

    async def _execute_with_hooks(
        self, points: HookPoints, input: AgentInput, context: ExecutionContext
    ) -> AgentOutput:
        assert context.desk is not None
        hooks = context.desk.hooks
        hook = hooks.context(points.before, self, context, self.hook_input(input))
        if not isinstance(input, SeenInput):
            outcome = await hooks.run(hook)
            if outcome.replaced:
                return output_from_hook(outcome.value)
            input = self.input_from_hook(hook.data, input)
        try:
            output = await self._execute_with_events(input, context)
        except LLMSpellError as error:
            await hooks.run(hook.at(points.error, error=error))
            raise
        return await self._after(points, hook, output, context)

    async def _after(
        self, points: HookPoints, hook: HookContext, output: AgentOutput, context: ExecutionContext
    ) -> AgentOutput:
        assert context.desk is not None
        if not context.desk.hooks.any_active(points.after):
            return output
        after = hook.at(points.after, result=output.to_dict())
        outcome = await context.desk.hooks.run(after)
        if outcome.replaced:
            return output_from_hook(outcome.value)
        return output_from_hook(after.data["result"]) if outcome.modified else output


def output_from_hook(value: Any) -> AgentOutput:
    """What a hook handed back as a result: an output record, a bare text, or any data (then its JSON is the text)."""
    import json

    if isinstance(value, dict) and "text" in value:
        return AgentOutput.from_dict(value)
    return AgentOutput(text=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _completed_data(output: AgentOutput, started: float) -> dict[str, Any]:
    return {
        "duration_ms": _ms(started),
        "output_text_length": len(output.text),
        "has_tool_calls": bool(output.tool_calls),
        "tool_call_count": len(output.tool_calls),
        "confidence": output.metadata.confidence,
        "model_used": output.metadata.model,
    }


def _ms(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


async def stream_once(component: BaseAgent, input: AgentInput, context: ExecutionContext) -> AsyncIterator[AgentChunk]:
    """One text chunk and an end: the stream of a component that produces everything at once."""
    stream_id = f"{component.component_type}-{new_id()}"
    output = await component.execute(input, context)
    yield AgentChunk("text", text=output.text, stream_id=stream_id)
    yield AgentChunk("end", stream_id=stream_id, chunk_index=1, output=output)
