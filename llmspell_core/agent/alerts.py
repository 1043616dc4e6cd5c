"""Alerts on an agent's metrics, evaluated after each of its executions."""

from __future__ import annotations

import logging
import operator
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.names import check_known

if TYPE_CHECKING:
    from llmspell_core.agent.base import Agent

__all__ = ["Alert", "AlertRule", "Alerts"]

log = logging.getLogger("llmspell.agent")

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
    "greater_than": operator.gt,
    "less_than": operator.lt,
    "equals": operator.eq,
}
SEVERITIES = ("info", "warning", "error", "critical")
STATUSES = ("healthy", "unhealthy")
CONDITIONS = ("metric_threshold", "health_status", "error_rate")
KEPT = 100


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that was raised. `timestamp` in Unix seconds."""

    name: str
    severity: str
    message: str
    timestamp: float

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "severity": self.severity, "message": self.message, "timestamp": self.timestamp}


@dataclass(slots=True)
class AlertRule:
    """When to raise an alert: when its condition becomes true, and again every `cooldown` seconds if that is given.

    `duration` is the time in seconds over which an error rate is taken.
    """

    name: str
    condition: Mapping[str, Any]
    severity: str = "warning"
    duration: float = 60.0
    cooldown: float | None = None
    enabled: bool = True
    raised_at: float | None = None
    _past: deque[tuple[float, int, int]] = field(default_factory=deque)

    @classmethod
    def of(cls, given: Mapping[str, Any], metrics: Collection[str] | None = None) -> AlertRule:
        """Reads `{name, condition = {type, ...}, severity?, cooldown_seconds?, enabled?}`; `metrics`: what the agent counts.

        Raises: ValidationError.
        """
        condition = given.get("condition")
        if not isinstance(condition, Mapping) or condition.get("type") not in CONDITIONS:
            raise ValidationError(f"an alert needs a condition of type {', '.join(CONDITIONS)}", field="condition.type")
        _check(condition, metrics)
        severity = str(given.get("severity") or "warning").lower()
        if severity not in SEVERITIES:
            raise ValidationError(f"'{severity}' is not a severity: {', '.join(SEVERITIES)}", field="severity")
        cooldown = given.get("cooldown_seconds")
        return cls(
            str(given.get("name") or condition["type"]),
            condition,
            severity,
            float(condition.get("duration_seconds", given.get("duration_seconds", 60))),
            None if cooldown is None else float(cooldown),
            given.get("enabled") is not False,
        )

    def message(self, agent: Agent, now: float) -> str | None:
        """What to say when the condition is true, else None."""
        kind, condition = self.condition["type"], self.condition
        if kind == "metric_threshold":
            value = agent.metrics().get(condition["metric_name"])
            if value is None or not OPERATORS[condition["operator"]](value, condition["threshold"]):
                return None
            return f"{condition['metric_name']} is {value:g} ({condition['operator']} {condition['threshold']:g})"
        if kind == "health_status":
            status = "healthy" if agent.lifecycle.is_healthy else "unhealthy"
            return f"the agent is {status}" if status == str(condition["status"]).lower() else None
        rate = self._error_rate(agent, now)
        limit = float(condition["rate_percent"])
        return f"{rate:.0f} % of the executions failed (limit {limit:g} %)" if rate > limit else None

    def _error_rate(self, agent: Agent, now: float) -> float:
        """Percent of the executions of the last `duration` seconds that failed."""
        self._past.append((now, agent.executions, agent.failures))
        while len(self._past) > 1 and self._past[1][0] < now - self.duration:
            self._past.popleft()
        _, executions, failures = self._past[0] if self._past[0][0] < now - self.duration else (0.0, 0, 0)
        done = agent.executions - executions
        return 100.0 * (agent.failures - failures) / done if done else 0.0


def _check(condition: Mapping[str, Any], metrics: Collection[str] | None) -> None:
    needed = {
        "metric_threshold": ("metric_name", "operator", "threshold"),
        "health_status": ("status",),
        "error_rate": ("rate_percent",),
    }[condition["type"]]
    check_known("condition", condition, ("type", "duration_seconds", *needed), "field")
    for name in needed:
        if condition.get(name) is None:
            raise ValidationError(f"the condition {condition['type']} needs '{name}'", field=f"condition.{name}")
    _one_of(condition, "operator", OPERATORS)
    if metrics is not None:
        _one_of(condition, "metric_name", metrics)
    _one_of(condition, "status", STATUSES)
    for name in ("threshold", "rate_percent", "duration_seconds"):
        value = condition.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValidationError(f"{name}: a number is expected, got {value!r}", field=f"condition.{name}")


def _one_of(condition: Mapping[str, Any], name: str, known: Collection[str]) -> None:
    """A word that never comes up would be a condition that is never true."""
    word = condition.get(name)
    if word is not None and (not isinstance(word, str) or (word if word in known else word.lower()) not in known):
        what = name.replace("_name", "")
        article = "an" if what[0] in "aeiou" else "a"
        raise ValidationError(f"{word!r} is not {article} {what}: {', '.join(known)}", field=f"condition.{name}")


class Alerts:
    """The rules of one agent, and what they raised."""

    def __init__(self) -> None:
        self.rules: dict[str, AlertRule] = {}
        self.raised: deque[Alert] = deque(maxlen=KEPT)

    def configure(self, rule: AlertRule) -> None:
        """A rule of the same name is replaced."""
        self.rules[rule.name] = rule

    def evaluate(self, agent: Agent) -> None:
        now = time.time()
        for rule in self.rules.values():
            message = rule.message(agent, now) if rule.enabled else None
            if message is None:
                rule.raised_at = None
            elif rule.raised_at is None or (rule.cooldown is not None and now - rule.raised_at >= rule.cooldown):
                rule.raised_at = now
                self.raised.append(Alert(rule.name, rule.severity, message, now))
                log.warning("agent %s: alert %s (%s): %s", agent.name, rule.name, rule.severity, message)
