"""Hooks: functions that see an operation before and after it happens, and may change it.

A hook is a callable that takes a `HookContext` and returns a `HookResult`, None (continue), or what a script may
return: a word, or a table with `type`. Hooks of one point run in order of priority (lower first, then in order of
registration). A point nobody listens to costs one look-up.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmspell_core.errors import CancelledByHookError, LLMSpellError, ValidationError
from llmspell_core.messages import new_id, plain

if TYPE_CHECKING:
    from llmspell_core.component import BaseAgent
    from llmspell_core.context import ExecutionContext

__all__ = [
    "HOOK_POINTS",
    "PRIORITIES",
    "HookContext",
    "HookHandle",
    "HookOutcome",
    "HookResult",
    "Hooks",
    "parse_point",
]

log = logging.getLogger("llmspell.hooks")

HOOK_POINTS: tuple[str, ...] = (
    "BeforeAgentInit",
    "AfterAgentInit",
    "BeforeAgentExecution",
    "AfterAgentExecution",
    "AgentError",
    "BeforeAgentShutdown",
    "AfterAgentShutdown",
    "BeforeToolDiscovery",
    "AfterToolDiscovery",
    "BeforeToolExecution",
    "AfterToolExecution",
    "ToolValidation",
    "ToolError",
    "BeforeWorkflowStart",
    "WorkflowStageTransition",
    "BeforeWorkflowStage",
    "AfterWorkflowStage",
    "WorkflowCheckpoint",
    "WorkflowRollback",
    "AfterWorkflowComplete",
    "WorkflowError",
    "BeforeStateRead",
    "AfterStateRead",
    "BeforeStateWrite",
    "AfterStateWrite",
    "StateConflict",
    "StateMigration",
    "SystemStartup",
    "SystemShutdown",
    "ConfigurationChange",
    "ResourceLimitExceeded",
    "SecurityViolation",
    "SessionStart",
    "SessionEnd",
    "SessionCheckpoint",
    "SessionRestore",
    "SessionSave",
    "BeforeEventEmit",
    "AfterEventEmit",
    "EventHandlerError",
    "PerformanceThresholdExceeded",
    "MemoryUsageHigh",
    "CpuUsageHigh",
)

WORKFLOW_PHASES = frozenset(
    (
        "workflow_start",
        "workflow_complete",
        "workflow_step_boundary",
        "workflow_state_change",
        "workflow_shared_data",
        "condition_evaluation",
        "branch_selection",
        "loop_iteration_start",
        "loop_iteration_complete",
        "loop_termination",
        "parallel_fork",
        "parallel_join",
        "parallel_synchronization",
    )
)
CUSTOM_PREFIXES = ("custom:", "kernel_", "artifact:", "agent_")
PRIORITIES = {"highest": -(2**31), "high": -100, "normal": 0, "low": 100, "lowest": 2**31 - 1}
DEFAULT_TIMEOUT = 5.0

ResultKind = Literal["continue", "modified", "cancel", "redirect", "replace", "retry", "fork", "cache", "skipped"]
_BY_SNAKE = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in HOOK_POINTS}


def parse_point(name: str) -> str:
    """The canonical name of a point: `BeforeToolExecution`, `before_tool_execution`, or a custom one.

    Raises:
        ValidationError: "Unknown hook point: x", with the nearest names.
    """
    if name in _BY_SNAKE.values() or name in WORKFLOW_PHASES:
        return name
    if name in _BY_SNAKE:
        return _BY_SNAKE[name]
    lowered = name[:7].lower() + name[7:]
    if lowered.startswith(CUSTOM_PREFIXES) and not lowered.endswith(":"):
        return lowered
    from difflib import get_close_matches

    near = get_close_matches(name, HOOK_POINTS, n=3)
    hint = f"Did you mean {', '.join(near)}?" if near else "Custom points are written 'custom:<name>'."
    raise ValidationError(f"Unknown hook point: {name}", field="point", hint=hint)


def parse_priority(value: str | float | None) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        if value not in PRIORITIES:
            raise ValidationError(
                f"'{value}' is not a priority",
                field="priority",
                hint=f"Use a number or one of {', '.join(PRIORITIES)}.",
            )
        return PRIORITIES[value]
    return int(value)


@dataclass(frozen=True, slots=True)
class HookResult:
    """What a hook wants to happen. Make one with the class methods below."""

    kind: ResultKind = "continue"
    data: Any = None
    reason: str | None = None
    target: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def proceed(cls) -> HookResult:
        """Go on as if the hook were not there."""
        return cls()

    @classmethod
    def modified(cls, data: Mapping[str, Any]) -> HookResult:
        """Merge `data` into the operation's data: the input before, the result after."""
        return cls("modified", data)

    @classmethod
    def cancel(cls, reason: str = "cancelled by a hook") -> HookResult:
        """Do not run the operation (before) or discard its result (after); the caller gets an error."""
        return cls("cancel", reason=reason)

    @classmethod
    def replace(cls, data: Any) -> HookResult:
        """Do not run the operation: `data` is its result."""
        return cls("replace", data)

    @classmethod
    def skipped(cls, reason: str = "") -> HookResult:
        return cls("skipped", reason=reason)

    @classmethod
    def from_value(cls, value: Any) -> HookResult:
        """Reads what a hook returned. A string other than `continue`, `skip`, `skipped` cancels with that reason."""
        if value is None or value is True:
            return _CONTINUE
        if isinstance(value, HookResult):
            return value
        if isinstance(value, str):
            return cls._from_word(value)
        if isinstance(value, Mapping):
            return cls._from_mapping(value)
        log.warning("a hook returned %s, which means nothing; going on", type(value).__name__)
        return _CONTINUE

    @classmethod
    def _from_word(cls, word: str) -> HookResult:
        if word == "continue":
            return _CONTINUE
        return cls("skipped") if word in {"skip", "skipped"} else cls("cancel", reason=word)

    @classmethod
    def _from_mapping(cls, value: Mapping[str, Any]) -> HookResult:
        kind = value.get("type", value.get("action", "continue"))
        data = next((value[k] for k in ("data", "modified_data", "modifiedData") if k in value), None)
        if kind not in ResultKind.__args__:  # type: ignore[attr-defined]
            log.warning("a hook returned type '%s', which does not exist; going on", kind)
            return _CONTINUE
        rest = {k: v for k, v in value.items() if k not in {"type", "action", "data", "reason", "target"}}
        return cls(kind, data, value.get("reason"), value.get("target"), rest)


_CONTINUE = HookResult()


@dataclass(slots=True)
class HookContext:
    """What a hook sees. `data` and `metadata` may be changed; everything is plain data and goes to JSON."""

    point: str
    component_name: str
    component_type: str
    data: dict[str, Any]
    correlation_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    operation: dict[str, Any] | None = None
    language: str = "python"
    timestamp: float = field(default_factory=time.time)

    def at(self, point: str, *, result: Any = None, error: LLMSpellError | None = None) -> HookContext:
        """The same operation at a later point, with its result or its error."""
        operation = None
        data = dict(self.data)
        if error is not None:
            operation = {"error": error.message, "error_type": type(error).__name__}
            data["error"] = error.message
        elif result is not None:
            data["result"] = result
        return HookContext(
            point, self.component_name, self.component_type, data, self.correlation_id, self.metadata, operation
        )

    def is_error(self) -> bool:
        return self.operation is not None and "error" in self.operation

    def error_message(self) -> str | None:
        return self.operation["error"] if self.operation and "error" in self.operation else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "point": self.point,
            "hook_point": self.point,
            "component_id": {"type": self.component_type, "name": self.component_name},
            "correlation_id": self.correlation_id,
            "language": self.language,
            "metadata": dict(self.metadata),
            "data": plain(self.data),
            "operation": self.operation,
            "timestamp": self.timestamp,
        }


@dataclass(frozen=True, slots=True)
class HookOutcome:
    """What the chain decided: `replaced` with `value`, or `modified` data in the context, or nothing."""

    replaced: bool = False
    modified: bool = False
    value: Any = None


_NOTHING = HookOutcome()
_MODIFIED = HookOutcome(modified=True)


@dataclass(slots=True, eq=False)
class HookHandle:
    """One registration. `unregister` is idempotent and says whether the hook was still there."""

    id: str
    point: str
    name: str
    priority: int
    function: Callable[[HookContext], Any]
    language: str = "python"
    description: str = ""
    tags: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    order: int = 0
    registry: Hooks | None = None

    def unregister(self) -> bool:
        registry, self.registry = self.registry, None
        return registry is not None and registry.remove(self)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "hook_point": self.point,
            "priority": self.priority,
            "language": self.language,
            "version": "1.0.0",
            "description": self.description,
            "tags": list(self.tags),
        }


class Hooks:
    """The hooks of one runtime, and the chain that runs them."""

    def __init__(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.active: dict[str, tuple[HookHandle, ...]] = {}
        self.timeout = timeout
        self.executions = 0
        self._order = itertools.count()
        self._warned: set[tuple[str, str]] = set()

    def register(
        self,
        point: str,
        function: Callable[[HookContext], Any],
        priority: str | int | None = None,
        *,
        name: str | None = None,
        language: str = "python",
        description: str = "",
        tags: Iterable[str] = (),
        timeout: float | None = None,
    ) -> HookHandle:
        """Listen at a point.

        Args:
            function: called with a `HookContext`; may be async.
            priority: a number or highest, high, normal, low, lowest; lower numbers run first.
            timeout: seconds after which an async hook is stopped and skipped.

        Raises:
            ValidationError: unknown point or priority, or a name that is taken at this point.
        """
        point = parse_point(point)
        id_ = new_id("hook")
        handle = HookHandle(
            id_,
            point,
            name or str(getattr(function, "__name__", id_)),
            parse_priority(priority),
            function,
            language,
            description,
            tuple(tags),
            self.timeout if timeout is None else timeout,
            next(self._order),
            self,
        )
        self._add(handle, explicit_name=name is not None)
        return handle

    def _add(self, handle: HookHandle, *, explicit_name: bool) -> None:
        present = self.active.get(handle.point, ())
        if explicit_name and any(h.name == handle.name for h in present):
            raise ValidationError(f"a hook named '{handle.name}' is already registered at {handle.point}", field="name")
        # A new tuple each time: a chain that is running keeps the one it started with.
        self.active[handle.point] = tuple(sorted((*present, handle), key=lambda h: (h.priority, h.order)))

    def remove(self, handle: HookHandle) -> bool:
        present = self.active.get(handle.point, ())
        left = tuple(h for h in present if h is not handle)
        if left:
            self.active[handle.point] = left
        else:
            self.active.pop(handle.point, None)
        return len(left) < len(present)

    def find(self, id_: str) -> HookHandle | None:
        return next((h for h in self.registered() if h.id == id_), None)

    def registered(
        self,
        point: str | None = None,
        *,
        language: str | None = None,
        priority: int | None = None,
        tag: str | None = None,
    ) -> list[HookHandle]:
        chosen = self.active.get(parse_point(point), ()) if point else itertools.chain(*self.active.values())
        return [
            h
            for h in chosen
            if (language is None or h.language == language)
            and (priority is None or h.priority == priority)
            and (tag is None or tag in h.tags)
        ]

    def any_active(self, *points: str) -> bool:
        active = self.active
        return bool(active) and not active.keys().isdisjoint(points)

    def context(self, point: str, component: BaseAgent, context: ExecutionContext, data: dict[str, Any]) -> HookContext:
        metadata = {
            key: value
            for key, value in (("session_id", context.session_id), ("user_id", context.user_id))
            if value is not None
        }
        return HookContext(point, component.name, component.component_type, data, context.correlation_id, metadata)

    async def fire(self, point: str, name: str, data: dict[str, Any], *, type: str = "system") -> HookOutcome:
        """Run the chain of a point that does not belong to a component's execution."""
        if point not in self.active:
            return _NOTHING
        return await self.run(HookContext(point, name, type, data, new_id()))

    async def run(self, context: HookContext) -> HookOutcome:
        """Run the chain of `context.point`.

        Raises:
            CancelledByHookError: a hook said so; the message carries its reason.
        """
        outcome = _NOTHING
        for handle in self.active.get(context.point, ()):
            result = await self._call(handle, context)
            kind = result.kind
            if kind == "continue" or kind == "skipped":
                continue
            if kind == "modified":
                _merge(context.data, result.data)
                outcome = _MODIFIED
            elif kind == "cancel":
                raise _cancelled(handle, result)
            elif kind == "replace":
                return HookOutcome(replaced=True, value=result.data)
            else:
                self._warn_once(handle, kind)
        return outcome

    async def _call(self, handle: HookHandle, context: HookContext) -> HookResult:
        self.executions += 1
        try:
            value = handle.function(context)
            if inspect.isawaitable(value):
                async with asyncio.timeout(handle.timeout):
                    value = await value
            return HookResult.from_value(value)
        except TimeoutError:
            log.warning(
                "hook %s at %s took longer than %s s and was skipped", handle.name, handle.point, handle.timeout
            )
        except Exception as error:  # noqa: BLE001 - a broken hook must not break what it watches
            log.warning("hook %s at %s raised %s: %s; going on", handle.name, handle.point, type(error).__name__, error)
        return _CONTINUE

    def _warn_once(self, handle: HookHandle, kind: str) -> None:
        if (handle.id, kind) not in self._warned:
            self._warned.add((handle.id, kind))
            log.warning("%s cannot honour '%s' (hook %s); going on", handle.point, kind, handle.name)

    def load_plugin(self, plugin: object, name: str) -> list[HookHandle]:
        """Register a pluggy plugin: its implementations are checked against the specs, then join the chains.

        Raises:
            PluginError: an implementation's signature or name does not fit a spec.
        """
        from llmspell_core.hook_plugins import implementations

        return [
            self.register(point, call, priority, name=f"{name}:{point}", tags=("plugin",))
            for point, call, priority in implementations(plugin, name)
        ]


def _cancelled(handle: HookHandle, result: HookResult) -> CancelledByHookError:
    reason = result.reason or "cancelled by a hook"
    return CancelledByHookError(
        reason, hint=f"Hook '{handle.name}' at {handle.point} cancelled it.", hook_point=handle.point
    )


def _merge(data: dict[str, Any], changes: Any) -> None:
    """Merge a hook's data. Without a key of the operation's own it is taken for its main part."""
    if not isinstance(changes, Mapping):
        return
    main = next((key for key in ("result", "parameters", "input") if key in data), None)
    if main is not None and not set(changes) & set(data):
        changes = {main: changes}
    for key, value in changes.items():
        present = data.get(key)
        if isinstance(present, dict) and isinstance(value, Mapping):
            present.update(value)
        else:
            data[key] = value
