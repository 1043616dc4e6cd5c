"""What a hook sees, what it may answer, and what the chain made of the answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from llmspell_core.errors import LLMSpellError, ValidationError
from llmspell_core.messages import plain
from llmspell_core.names import check_known, suggestion

__all__ = ["HookContext", "HookOutcome", "HookResult"]

log = logging.getLogger("llmspell.hooks")

ResultKind = Literal["continue", "modified", "cancel", "redirect", "replace", "retry", "fork", "cache", "skipped"]
TYPES: tuple[str, ...] = get_args(ResultKind)
FIELDS = (
    *("type", "action", "data", "modified_data", "modifiedData", "reason", "target"),
    *("delay_ms", "max_attempts", "operations", "key", "ttl_ms"),
)


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
        """Reads what a hook returned: nothing, one of the `WORDS`, or a table with `type` and what belongs to it.

        Raises:
            ValidationError: a word, a type or a field that does not exist.
        """
        if value is None or value is True:
            return _CONTINUE
        if isinstance(value, HookResult):
            return value
        if isinstance(value, str):
            return cls._from_word(value)
        if isinstance(value, Mapping):
            return cls._from_mapping(value)
        if value is False:
            raise _unknown("false")
        log.warning("a hook returned %s, which means nothing; going on", type(value).__name__)
        return _CONTINUE

    @classmethod
    def _from_word(cls, word: str) -> HookResult:
        if word not in WORDS:
            raise _unknown(f"'{word}'{suggestion(word, WORDS)}")
        return _WORDS[word]

    @classmethod
    def _from_mapping(cls, value: Mapping[str, Any]) -> HookResult:
        check_known("a hook's answer", value, FIELDS, "field")
        kind = value.get("type", value.get("action"))
        if kind is None and not value:
            return _CONTINUE
        data = next((value[k] for k in ("data", "modified_data", "modifiedData") if k in value), None)
        if kind not in TYPES:
            raise _unknown(f"the type {kind!r}{suggestion(str(kind), TYPES)}" if kind else "a table without a type")
        rest = {k: v for k, v in value.items() if k not in {"type", "action", "data", "reason", "target"}}
        return cls(kind, data, value.get("reason"), value.get("target"), rest)


def _unknown(what: str) -> ValidationError:
    return ValidationError(
        f"it returned {what}, which is no answer of a hook",
        field="type",
        hint=f"Return nothing, one of {', '.join(WORDS)}, or a table with one of the types {', '.join(TYPES)}; "
        "a reason to cancel is written {type = 'cancel', reason = '...'}.",
    )


_CONTINUE = HookResult()
_WORDS = {
    "continue": _CONTINUE,
    "skip": HookResult("skipped"),
    "skipped": HookResult("skipped"),
    "cancel": HookResult("cancel"),
}
WORDS = tuple(_WORDS)


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
