"""What a hook sees, what it may answer, and what the chain made of the answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmspell_core.errors import LLMSpellError
from llmspell_core.messages import plain

__all__ = ["HookContext", "HookOutcome", "HookResult"]

log = logging.getLogger("llmspell.hooks")

ResultKind = Literal["continue", "modified", "cancel", "redirect", "replace", "retry", "fork", "cache", "skipped"]


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
            data["error"] = data["error_message"] = error.message
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
