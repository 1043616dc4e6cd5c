"""Counts of one runtime: what the parts count by themselves, and what scripts add.

The built-in counts are plain integers that are added to where things happen; nothing is computed before somebody asks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from llmspell_core.errors import ResourceLimitError, ValidationError

__all__ = ["COUNTED", "Histogram", "Metrics"]

COUNTED = (
    *("agent.executions", "agent.errors", "tool.executions", "tool.errors", "workflow.executions", "workflow.errors"),
    *("component.executions", "component.errors", "provider.tokens", "rag.searches", "rag.ingested", "kernel.messages"),
)
MAX_SERIES = 10_000
MAX_HISTOGRAMS = 2_000
"""A full one takes 33 kB: it keeps its last values."""
LONGEST_NAME = 1000
WINDOW = 1024

Number = int | float


class Histogram:
    """Count, sum, smallest and largest of all values; percentiles of the last 1,024."""

    __slots__ = ("_recent", "count", "max", "min", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum: Number = 0
        self.min: Number = math.inf
        self.max: Number = -math.inf
        self._recent: deque[Number] = deque(maxlen=WINDOW)

    def add(self, value: Number) -> None:
        self.count += 1
        self.sum += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self._recent.append(value)

    def to_dict(self) -> dict[str, Number]:
        """`count sum min max avg p50 p95 p99`. Never asked of an empty one: it is made with its first value."""
        ranked = sorted(self._recent)
        at = {f"p{p}": ranked[math.ceil(len(ranked) * p / 100) - 1] for p in (50, 95, 99)}
        return {
            "count": self.count,
            "sum": self.sum,
            "min": self.min,
            "max": self.max,
            "avg": self.sum / self.count,
            **at,
        }


class Metrics:
    """The metrics of one runtime.

    Args:
        sources: name -> function that answers a count which a part of the runtime keeps itself.
        series: answers counts whose names, with their labels, come to be as the runtime goes.

    Attributes:
        counts: the counts that are added to in place, e.g. `counts["tool.executions"] += 1`.
    """

    def __init__(
        self,
        sources: Mapping[str, Callable[[], Number]] | None = None,
        series: Callable[[], Mapping[str, Number]] = dict,
    ) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self._sources = dict(sources or {})
        self._kept = series
        self._own: dict[str, tuple[str, Any]] = {}

    def names(self, prefix: str = "") -> list[str]:
        """Sorted names that begin with `prefix`."""
        return sorted(
            name for name in (*self.counts, *self._sources, *self._kept(), *self._own) if name.startswith(prefix)
        )

    def get(self, name: str) -> Number | dict[str, Number] | None:
        """A number, a histogram's table, or None."""
        if name in self.counts:
            return self.counts[name]
        if name in self._sources:
            return self._sources[name]()
        if name.startswith("provider.") and (kept := self._kept().get(name)) is not None:
            return kept
        _, value = self._own.get(name, ("", None))
        return value.to_dict() if isinstance(value, Histogram) else value

    def snapshot(self) -> dict[str, Any]:
        """All of them: name -> number or histogram table."""
        return {name: self.get(name) for name in self.names()}

    def increment(self, name: str, by: Number = 1, labels: Mapping[str, Any] | None = None) -> None:
        """Raises: ValidationError, ResourceLimitError; as `gauge` and `histogram` do."""
        series = self._series(name, "counter", by, labels)
        self._own[series] = ("counter", self._own.get(series, ("", 0))[1] + by)

    def gauge(self, name: str, value: Number, labels: Mapping[str, Any] | None = None) -> None:
        self._own[self._series(name, "gauge", value, labels)] = ("gauge", value)

    def histogram(self, name: str, value: Number, labels: Mapping[str, Any] | None = None) -> None:
        series = self._series(name, "histogram", value, labels)
        self._own.setdefault(series, ("histogram", Histogram()))[1].add(value)

    def reset(self, name: str | None = None) -> None:
        """Forget one metric with all its labels, or all that were added; the built-in counts stay."""
        if name is None:
            self._own.clear()
            return
        self._refuse_built_in(name)
        for series in [s for s in self._own if s == name or s.startswith(f"{name}{{")]:
            del self._own[series]

    # -- inner --------------------------------------------------------------------------------------------------------

    def _series(self, name: str, kind: str, value: Number, labels: Mapping[str, Any] | None) -> str:
        """The key of a name with its labels, `name{a=1,b=2}`, after all checks."""
        if not name:
            raise ValidationError("a metric needs a name", field="name", hint="Use a dotted name, e.g. 'app.requests'.")
        self._refuse_built_in(name)
        if not math.isfinite(value):
            raise ValidationError(f"metric '{name}': the value must be a finite number", field="value")
        tags = ",".join(f"{key}={labels[key]}" for key in sorted(labels)) if labels else ""
        series = f"{name}{{{tags}}}" if tags else name
        if len(series) > LONGEST_NAME:
            raise ValidationError(
                f"a metric's name with its labels may have {LONGEST_NAME} characters, this one has {len(series):,}",
                field="name",
                hint="What differs from case to case is a value, not a name.",
            )
        present = self._own.get(series)
        if present is None and len(self._own) >= MAX_SERIES:
            raise self._too_many("metrics", MAX_SERIES)
        if present is None and kind == "histogram" and self._histograms() >= MAX_HISTOGRAMS:
            raise self._too_many("histograms", MAX_HISTOGRAMS)
        if present is not None and present[0] != kind:
            raise ValidationError(
                f"metric '{name}' is a {present[0]}, not a {kind}", field="name", hint="Use another name."
            )
        return series

    def _refuse_built_in(self, name: str) -> None:
        if name in self.counts or name in self._sources:
            raise ValidationError(
                f"metric '{name}' is built in and counts by itself", field="name", hint="Use a name of your own."
            )

    def _histograms(self) -> int:
        return sum(kind == "histogram" for kind, _ in self._own.values())

    def _too_many(self, what: str, limit: int) -> ResourceLimitError:
        return ResourceLimitError(
            f"there are {limit:,} {what} already",
            hint="Labels with many values, such as ids, make one metric each; leave them out.",
            resource=what,
            limit=limit,
            used=limit,
        )
