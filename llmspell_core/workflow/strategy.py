"""What happens when a step fails: run it again, stop calling what is broken, take something else, go on or stop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from llmspell_core.errors import ResourceError, ValidationError
from llmspell_core.messages import Record
from llmspell_core.names import check_known, suggestion
from llmspell_core.workflow.options import number, snake_keys, whole

if TYPE_CHECKING:
    from llmspell_core.workflow.step import Step

__all__ = ["CIRCUIT", "CONTINUE", "FAIL_FAST", "Breaker", "BreakerSettings", "Circuits", "ErrorStrategy", "Fallback"]

CIRCUIT = "circuit_breaker"

Kind = Literal["fail_fast", "continue", "retry", "cascade", "circuit_breaker", "fallback"]


@dataclass(frozen=True, slots=True)
class BreakerSettings(Record):
    """After `failure_threshold` failures within the window nobody is called for a while; then one probe at a time."""

    failure_threshold: int = 5
    success_threshold: int = 2
    failure_window_ms: int = 30_000
    open_duration_ms: int = 15_000

    @classmethod
    def read(cls, value: Any) -> BreakerSettings:
        """A table; whatever else (`true`) means the defaults. Raises: ValidationError."""
        given = snake_keys(value) if isinstance(value, Mapping) else {}
        check_known("circuit breaker", given, ("type", *cls.__slots__), "field")
        known = {k: v for k, v in given.items() if k in cls.__slots__ and v is not None}
        return cls(**{k: whole(v, k, least=1 if k.endswith("threshold") else 0) for k, v in known.items()})


@dataclass(frozen=True, slots=True)
class Fallback:
    """What stands in for a failed step: another step, or a value."""

    step: Step | None = None
    value: Any = None

    @classmethod
    def read(cls, value: Any, name: str) -> Fallback:
        from llmspell_core.workflow.step import Step

        if callable(value) or (isinstance(value, Mapping) and Step.is_step(value)):
            table = {"execute": value} if callable(value) else dict(value)
            return cls(step=Step.read({"name": f"{name}_fallback", **table}))
        return cls(value=value)


@dataclass(frozen=True, slots=True)
class ErrorStrategy(Record):
    """All strategies as one chain: attempts, circuit breaker, fallback, and then go on (`tolerate`) or fail."""

    kind: Kind = "fail_fast"
    max_attempts: int = 1
    backoff_ms: float | None = None
    breaker: BreakerSettings | None = None
    fallback: Fallback | None = None
    tolerate: bool = False

    @classmethod
    def read(cls, value: Any, name: str = "step") -> ErrorStrategy:
        """Reads a word or a table.

        Raises:
            ValidationError: an unknown word, `type` or field, or a number that makes no sense.
        """
        if isinstance(value, ErrorStrategy):
            return value
        if isinstance(value, str):
            word = value.lower().replace("-", "_")
            if word not in _WORDS:
                raise ValidationError(
                    f"Unknown error strategy: {value}{suggestion(word, _WORDS)}",
                    field="error_strategy",
                    hint=f"Use one of {', '.join(_WORDS)}, or a table with a type.",
                )
            return _WORDS[word]
        if not isinstance(value, Mapping):
            raise ValidationError("an error strategy is a word or a table with 'type'", field="error_strategy")
        return cls._from_table(value, name)

    @classmethod
    def _from_table(cls, table: Mapping[str, Any], name: str) -> ErrorStrategy:
        table = snake_keys(table)
        kind = str(table.get("type") or _guess(table)).lower()
        if kind not in _READERS:
            known = ", ".join(_READERS)
            raise ValidationError(
                f"Unknown error strategy: {kind}", field="error_strategy", hint=f"Use one of {known}."
            )
        check_known("error strategy", table, ("type", *_FIELDS.get(kind, ())), "field")
        made = _READERS[kind](table)
        given = (
            table.get("fallback", table.get("step", table.get("value"))) if kind in {"cascade", "fallback"} else None
        )
        return made if given is None else replace(made, fallback=Fallback.read(given, name))

    def to_dict(self) -> dict[str, Any]:
        """The table that `read` takes; a fallback step as its table."""
        data: dict[str, Any] = {"type": self.kind}
        if self.kind == "retry":
            data["max_attempts"] = self.max_attempts
        elif self.max_attempts > 1:
            data["retry_count"] = self.max_attempts - 1
        if self.backoff_ms is not None:
            data["backoff_ms"] = self.backoff_ms
        if self.breaker is not None:
            data["circuit_breaker"] = self.breaker.to_dict()
        if self.fallback is not None:
            data["fallback"] = self.fallback.step.to_dict() if self.fallback.step else self.fallback.value
        if self.kind == "cascade" and self.tolerate:
            data["on_exhausted"] = "continue"
        return data


def _guess(table: Mapping[str, Any]) -> str:
    if "circuit_breaker" in table or "retry_count" in table:
        return "cascade"
    return "retry" if "max_attempts" in table else "fallback" if "fallback" in table else "fail_fast"


def _retry(table: Mapping[str, Any]) -> ErrorStrategy:
    attempts = table.get("max_attempts")
    backoff = _backoff(table)
    return ErrorStrategy(
        "retry",
        3 if attempts is None else max(1, whole(attempts, "max_attempts")),
        1000.0 if backoff is None else backoff,
    )


def _backoff(table: Mapping[str, Any]) -> float | None:
    given = table.get("backoff_ms")
    return None if given is None else number(given, "backoff_ms")


def _breaker(table: Mapping[str, Any]) -> ErrorStrategy:
    return ErrorStrategy("circuit_breaker", breaker=BreakerSettings.read(table.get("circuit_breaker", table)))


def _cascade(table: Mapping[str, Any]) -> ErrorStrategy:
    breaker = table.get("circuit_breaker")
    ending = table.get("on_exhausted")
    if ending not in (None, "continue", "skip", "fail"):
        raise ValidationError(
            f"'on_exhausted' is {ending!r}", field="on_exhausted", hint="What then? Use continue or fail."
        )
    return ErrorStrategy(
        "cascade",
        1 + whole(table.get("retry_count") or 0, "retry_count"),
        _backoff(table),
        None if breaker is None or breaker is False else BreakerSettings.read(breaker),
        tolerate=ending in ("continue", "skip"),
    )


FAIL_FAST = ErrorStrategy()
CONTINUE = ErrorStrategy("continue", tolerate=True)
_WORDS = {
    "fail_fast": FAIL_FAST,
    "fail": FAIL_FAST,
    "stop": FAIL_FAST,
    "abort": FAIL_FAST,
    "continue": CONTINUE,
    "skip": CONTINUE,
    "retry": ErrorStrategy("retry", 3, 1000),
    "circuit_breaker": ErrorStrategy("circuit_breaker", breaker=BreakerSettings()),
}
_FIELDS: dict[str, tuple[str, ...]] = {
    "retry": ("max_attempts", "backoff_ms"),
    "cascade": ("retry_count", "backoff_ms", "circuit_breaker", "fallback", "step", "value", "on_exhausted"),
    "circuit_breaker": ("circuit_breaker", *BreakerSettings.__slots__),
    "fallback": ("fallback", "step", "value"),
}
_READERS: dict[str, Callable[[Mapping[str, Any]], ErrorStrategy]] = {
    "fail_fast": lambda _: FAIL_FAST,
    "fail": lambda _: FAIL_FAST,
    "continue": lambda _: CONTINUE,
    "skip": lambda _: CONTINUE,
    "retry": _retry,
    "cascade": _cascade,
    "circuit_breaker": _breaker,
    "fallback": lambda _: ErrorStrategy("fallback"),
}


class Breaker:
    """The circuit of one step target. `allow` before a call, then `succeeded` or `failed`."""

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._clock = clock
        self._failures: deque[float] = deque()
        self._opened: float | None = None
        self._probing = False
        self._successes = 0

    @property
    def state(self) -> str:
        """closed, open or half_open."""
        if self._opened is None:
            return "closed"
        waited = (self._clock() - self._opened) * 1000
        return "half_open" if waited >= self.settings.open_duration_ms else "open"

    def allow(self, target: str) -> None:
        """Raises: ResourceError "circuit open" while the target must not be called."""
        state = self.state
        if state == "open" or (state == "half_open" and self._probing):
            raise ResourceError(
                f"circuit open for {target}",
                resource_type=CIRCUIT,
                hint=f"It failed {self.settings.failure_threshold} times; it is tried again after a while.",
            )
        self._probing = state == "half_open"

    def succeeded(self) -> None:
        self._probing = False
        if self._opened is None:
            self._failures.clear()
            return
        self._successes += 1
        if self._successes >= self.settings.success_threshold:
            self._opened, self._successes = None, 0
            self._failures.clear()

    def failed(self) -> None:
        now = self._clock()
        self._successes = 0
        if self._opened is not None:
            self._opened, self._probing = now, False
            return
        self._failures.append(now)
        while self._failures and (now - self._failures[0]) * 1000 > self.settings.failure_window_ms:
            self._failures.popleft()
        if len(self._failures) >= self.settings.failure_threshold:
            self._opened = now

    def abandoned(self) -> None:
        """A call was cancelled: it says nothing about the target."""
        self._probing = False


class Circuits:
    """Breakers by step target and settings; whoever watches a target in the same way shares its circuit."""

    def __init__(self) -> None:
        self._breakers: dict[tuple[str, str, BreakerSettings], Breaker] = {}

    def of(self, kind: str, name: str, settings: BreakerSettings) -> Breaker:
        key = (kind, name, settings)
        if key not in self._breakers:
            self._breakers[key] = Breaker(settings)
        return self._breakers[key]
