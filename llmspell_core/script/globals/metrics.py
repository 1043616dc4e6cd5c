"""The script global `Metrics`: counts of the runtime, and counters, gauges and histograms of scripts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from llmspell_core.purse import Purse
from llmspell_core.script.declare import Function, Global, Handle, Param

if TYPE_CHECKING:
    from llmspell_core.metrics import Metrics
    from llmspell_core.script.scope import ScriptScope

LAP_BYTES = 4_000_000
NAME = Param("name", "string", doc="A dotted name, e.g. `app.requests`.")
LABELS = Param("labels", "object", required=False, doc="Words that make a series of its own: `name{key=value}`.")
VALUE = Param("value", "number")


class Timer:
    """A stopwatch whose time becomes a value of a histogram; milliseconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.laps: list[tuple[str, float]] = []
        self.duration: float | None = None
        self._started = time.perf_counter()

    def elapsed(self) -> float:
        return (time.perf_counter() - self._started) * 1000 if self.duration is None else self.duration


def _metrics(scope: ScriptScope) -> Metrics:
    metrics: Metrics = scope.runtime.metrics
    return metrics


def increment(scope: ScriptScope, name: str, by: float, labels: dict[str, Any] | None) -> None:
    _metrics(scope).increment(name, by, labels)


def gauge(scope: ScriptScope, name: str, value: float, labels: dict[str, Any] | None) -> None:
    _metrics(scope).gauge(name, value, labels)


def histogram(scope: ScriptScope, name: str, value: float, labels: dict[str, Any] | None) -> None:
    _metrics(scope).histogram(name, value, labels)


def stop(scope: ScriptScope, timer: Timer) -> float | None:
    if timer.duration is not None:
        return None
    timer.duration = timer.elapsed()
    _metrics(scope).histogram(timer.name, timer.duration)
    return timer.duration


def lap(scope: ScriptScope, timer: Timer, name: str) -> bool:
    if timer.duration is not None:
        return False
    purse: Purse = scope.data.setdefault("Metrics", Purse("laps", LAP_BYTES, scope.purse))
    purse.spend(name)
    timer.laps.append((name, timer.elapsed()))
    return True


GLOBAL = Global(
    "Metrics",
    doc="What this runtime counts, and what scripts count.",
    handles=(
        Handle(
            "MetricsTimer",
            fields=("name",),
            doc="A stopwatch.",
            methods=(
                Function("stop", stop, returns="number", doc="Milliseconds, recorded; nil when it was stopped before."),
                Function("lap", lap, (Param("name", "string"),), returns="boolean"),
                Function("elapsed", lambda _, timer: timer.elapsed(), returns="number", doc="Milliseconds so far."),
            ),
        ),
    ),
    functions=(
        Function(
            "get",
            lambda scope, name: _metrics(scope).get(name),
            (NAME,),
            "any",
            "A number, a histogram (`count sum min max avg p50 p95 p99`), or nil.",
        ),
        Function(
            "list",
            lambda scope, prefix: _metrics(scope).names(prefix),
            (Param("prefix", "string", default=""),),
            "array",
            "Names, those that begin with a prefix.",
        ),
        Function(
            "all",
            lambda scope: _metrics(scope).snapshot(),
            returns="object",
            aliases=("snapshot",),
            doc="Name -> value of all of them.",
        ),
        Function("increment", increment, (NAME, Param("by", "number", default=1), LABELS), "null", "Add to a counter."),
        Function("gauge", gauge, (NAME, VALUE, LABELS), "null", "Set a value that goes up and down."),
        Function("histogram", histogram, (NAME, VALUE, LABELS), "null", "Record one of many values."),
        Function(
            "timer",
            lambda _, name: Timer(name),
            (NAME,),
            "MetricsTimer",
            "Start a stopwatch; its `stop` records the milliseconds in the histogram of that name.",
        ),
        Function(
            "reset",
            lambda scope, name: _metrics(scope).reset(name),
            (Param("name", "string", required=False),),
            "null",
            "Forget one metric that scripts made, or all of them.",
        ),
    ),
)
