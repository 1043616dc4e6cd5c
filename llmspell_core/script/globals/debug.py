"""The script global `Debug`: logging with levels and filters, timers, reports, and a look at values."""

from __future__ import annotations

import datetime
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ResourceLimitError, ValidationError
from llmspell_core.purse import ENTRY, OBJECT, Purse, weigh
from llmspell_core.script.declare import Function, Global, Handle, Param
from llmspell_core.script.pattern import LONGEST, glob, regex

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

LEVELS = ("off", "error", "warn", "info", "debug", "trace")
_PYTHON_LEVELS = {"error": 40, "warn": 30, "info": 20, "debug": 10, "trace": 5}
_KEPT = 1000
_LONGEST = 10_000
"""Characters of a message, and bytes of its data, that are logged and captured."""
_LONGEST_MODULE = LONGEST
"""Characters of a module's name; what is beyond them is cut off."""
_MOST_RULES = 100
_VERDICTS = 1000
"""Modules of which is remembered whether they may log."""
_TIMER_BYTES = 16_000_000
_CAPTURE_BYTES = 16_000_000
log = logging.getLogger("llmspell.script")


@dataclass(slots=True)
class Rule:
    """Which modules may log."""

    pattern: str
    kind: str
    enabled: bool
    matches: Callable[[str], bool]

    @classmethod
    def make(cls, pattern: str, kind: str, enabled: bool) -> Rule:
        """Raises: ValidationError when it is too long, or no pattern of that kind."""
        if len(pattern) > _LONGEST_MODULE:
            raise ValidationError(
                f"a module filter may have {_LONGEST_MODULE} characters, this one has {len(pattern):,}", field="pattern"
            )
        return cls(pattern, kind, enabled, _MATCHERS[kind](pattern))


def _below(pattern: str) -> Callable[[str], bool]:
    inner = (f"{pattern}.", f"{pattern}::")
    return lambda module: module == pattern or module.startswith(inner)


_MATCHERS: dict[str, Callable[[str], Callable[[str], bool]]] = {
    "exact": lambda pattern: pattern.__eq__,
    "wildcard": glob,
    "regex": regex,
    "hierarchical": _below,
}


def _rule(pattern: str, enabled: bool) -> Rule:
    return Rule.make(pattern, "wildcard" if any(c in pattern for c in "*?[") else "hierarchical", enabled)


@dataclass(slots=True)
class Timer:
    """One stopwatch; times in milliseconds."""

    id: str
    name: str
    started: float = field(default_factory=time.perf_counter)
    memory: int = 0
    laps: list[tuple[str, float]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    duration: float | None = None

    def now(self) -> float:
        return (time.perf_counter() - self.started) * 1000


class Desk:
    """What `Debug` keeps for one script; it begins as the table `[debug]` says."""

    def __init__(self, settings: dict[str, Any], purse: Purse) -> None:
        level = str(settings.get("level") or "info")
        self.level = "warn" if level == "warning" else level
        self.enabled = bool(settings.get("enabled", True))
        self.default_enabled = True
        modules = settings.get("module_filters") or {}
        self.rules = [_rule(pattern, True) for pattern in modules.get("enabled") or ()]
        self.rules += [_rule(pattern, False) for pattern in modules.get("disabled") or ()]
        self.captured: deque[tuple[int, dict[str, Any]]] = deque()
        self.purse = Purse("timers", _TIMER_BYTES, purse)
        self._captures = Purse("log", _CAPTURE_BYTES, purse)
        self.timers: dict[str, Timer] = {}
        self._verdicts: dict[str, bool] = {}

    def add(self, rule: Rule) -> None:
        """Raises: ResourceLimitError."""
        if len(self.rules) >= _MOST_RULES:
            raise ResourceLimitError(
                f"there are {_MOST_RULES} module filters already",
                resource="module filters",
                limit=_MOST_RULES,
                used=len(self.rules),
                hint="Remove those that are not needed any more, or use a wildcard.",
            )
        self.set_rules([*self.rules, rule])

    def set_rules(self, rules: list[Rule]) -> None:
        self.rules = rules
        self._verdicts.clear()

    def lets_through(self, level: str, module: str | None) -> bool:
        if not self.enabled or LEVELS.index(level) > LEVELS.index(self.level):
            return False
        if module is None:
            return self.default_enabled
        if not self.rules:
            return self.default_enabled
        verdict = self._verdicts.get(module)
        if verdict is None:
            matching = (rule.enabled for rule in reversed(self.rules) if rule.matches(module))
            verdict = next(matching, self.default_enabled)
            if len(self._verdicts) >= _VERDICTS:
                self._verdicts.clear()
            self._verdicts[module] = verdict
        return verdict

    def capture(self, entry: dict[str, Any]) -> None:
        """Keeps an entry; the oldest go when there are too many of them, or too large ones."""
        size = ENTRY + weigh(entry)
        while self.captured and (len(self.captured) >= _KEPT or not self._captures.has_room(size)):
            self._captures.give_back(self.captured.popleft()[0])
        if self._captures.has_room(size):
            self.captured.append((self._captures.take(size), entry))

    def forget(self) -> None:
        """Drops what was captured."""
        self._captures.give_back(sum(size for size, _ in self.captured))
        self.captured.clear()


def _desk(scope: ScriptScope) -> Desk:
    desk: Desk | None = scope.data.get("Debug")
    if desk is None:
        desk = scope.data["Debug"] = Desk(scope.runtime.config.section("debug"), scope.purse)
    return desk


# -- logging -------------------------------------------------------------------------------------------------------------


def log_message(scope: ScriptScope, level: str, message: Any, module: str | None, data: Any) -> None:
    desk, word = _desk(scope), level.lower()
    where = module[:_LONGEST_MODULE] if module else module
    if word not in _PYTHON_LEVELS or not desk.lets_through(word, where):
        return
    now = datetime.datetime.now(datetime.UTC).isoformat()
    kept = data if weigh(data, _LONGEST) < _LONGEST else "[too large to be kept]"
    text = str(message)[:_LONGEST]
    entry = {"timestamp": now, "level": word.upper(), "message": text, "module": where, "metadata": kept}
    desk.capture({key: value for key, value in entry.items() if value is not None})
    log.log(_PYTHON_LEVELS[word], "%s%s", f"[{where}] " if where else "", text)


def _set_level(scope: ScriptScope, level: str) -> bool:
    if level.lower() not in LEVELS:
        return False
    _desk(scope).level = level.lower()
    return True


def _set_enabled(scope: ScriptScope, enabled: bool) -> None:
    _desk(scope).enabled = enabled


def _set_default(scope: ScriptScope, enabled: bool) -> None:
    _desk(scope).default_enabled = enabled
    _desk(scope).set_rules(_desk(scope).rules)


def _add_filter(scope: ScriptScope, pattern: str, enabled: bool) -> None:
    _desk(scope).add(_rule(pattern, enabled))


def _add_advanced(scope: ScriptScope, pattern: str, kind: str, enabled: bool) -> bool:
    if kind not in _MATCHERS:
        return False
    _desk(scope).add(Rule.make(pattern, kind, enabled))
    return True


def _remove_filter(scope: ScriptScope, pattern: str) -> bool:
    desk = _desk(scope)
    kept = [rule for rule in desk.rules if rule.pattern != pattern]
    removed = len(kept) < len(desk.rules)
    desk.set_rules(kept)
    return removed


def _filter_summary(scope: ScriptScope) -> dict[str, Any]:
    desk = _desk(scope)
    rules = [{"pattern": r.pattern, "pattern_type": r.kind, "enabled": r.enabled} for r in desk.rules]
    return {"default_enabled": desk.default_enabled, "total_rules": len(rules), "rules": rules}


def _captured(scope: ScriptScope, limit: int | None) -> list[dict[str, Any]]:
    entries = [entry for _, entry in _desk(scope).captured]
    return entries[-limit:] if limit else entries


# -- timers and reports ----------------------------------------------------------------------------------------------------


def _timer(scope: ScriptScope, name: str) -> Timer:
    timers = _desk(scope).timers
    _desk(scope).purse.take(OBJECT + weigh(name))
    timer = Timer(f"timer_{len(timers) + 1}", name, memory=_resident(scope))
    timers[timer.id] = timer
    return timer


def _stop(_: ScriptScope, timer: Timer) -> float | None:
    if timer.duration is not None:
        return None
    timer.duration = timer.now()
    return timer.duration


def _lap(scope: ScriptScope, timer: Timer, name: str) -> bool:
    if timer.duration is not None:
        return False
    _desk(scope).purse.spend(name)
    timer.laps.append((name, timer.now()))
    return True


def _elapsed(_: ScriptScope, timer: Timer) -> float:
    return timer.now() if timer.duration is None else timer.duration


def _record(scope: ScriptScope, timer_id: str, name: str, metadata: Any) -> bool:
    timer = _desk(scope).timers.get(timer_id)
    if timer is None:
        return False
    _desk(scope).purse.spend(name, metadata)
    timer.events.append({"name": name, "at_ms": timer.now(), "metadata": metadata})
    return True


def _report_data(scope: ScriptScope) -> dict[str, Any]:
    timers = [
        {
            "id": t.id,
            "name": t.name,
            "duration_ms": round(_elapsed(scope, t), 3),
            "running": t.duration is None,
            "laps": [{"name": name, "at_ms": round(at, 3)} for name, at in t.laps],
            "events": t.events,
        }
        for t in _desk(scope).timers.values()
    ]
    return {"timers": timers, "captured_entries": len(_desk(scope).captured)}


def _performance_report(scope: ScriptScope) -> str:
    lines = ["Performance report"]
    for timer in _report_data(scope)["timers"]:
        running = " (running)" if timer["running"] else ""
        lines.append(f"  {timer['name']}: {timer['duration_ms']:.3f} ms{running}")
        lines += [f"    lap {lap['name']}: {lap['at_ms']:.3f} ms" for lap in timer["laps"]]
        lines += [f"    event {event['name']}: {event['at_ms']:.3f} ms" for event in timer["events"]]
    return "\n".join(lines if len(lines) > 1 else [*lines, "  no timers"])


def _flame_graph(scope: ScriptScope) -> str:
    """Folded stacks, microseconds: `timer;lap 1234`."""
    lines = []
    for timer in _desk(scope).timers.values():
        last = 0.0
        for name, at in timer.laps:
            lines.append(f"{timer.name};{name} {round((at - last) * 1000)}")
            last = at
        lines.append(f"{timer.name} {round((_elapsed(scope, timer) - last) * 1000)}")
    return "\n".join(lines)


# -- memory ----------------------------------------------------------------------------------------------------------------


def _resident(scope: ScriptScope) -> int:
    """Bytes the script's process has in memory; 0 where the system does not say."""
    try:
        pages = Path(f"/proc/{scope.process_id}/statm").read_text("ascii").split()
    except OSError:
        return 0
    return int(pages[1]) * 4096


def _memory_stats(scope: ScriptScope, used: int | None, collections: int | None) -> dict[str, int]:
    resident = _resident(scope)
    own = resident if used is None else used
    return {
        "used_bytes": own,
        "allocated_bytes": max(own, resident),
        "resident_bytes": resident,
        "collections": collections or 0,
    }


def _memory_snapshot(scope: ScriptScope) -> dict[str, Any]:
    now = _resident(scope)
    trackers = {
        t.name: {"start_bytes": t.memory, "end_bytes": now, "delta_bytes": now - t.memory}
        for t in _desk(scope).timers.values()
        if t.duration is None
    }
    return {
        "timestamp_secs": int(time.time()),
        "active_trackers": len(trackers),
        "total_memory_delta_bytes": sum(t["delta_bytes"] for t in trackers.values()),
        "tracker_memory_usage": trackers,
    }


# -- the declaration -------------------------------------------------------------------------------------------------------

_LEVEL = Param("level", "string", doc="off, error, warn, info, debug or trace")
_MESSAGE = Param("message")
_MODULE = Param("module", "string", required=False)
_DATA = Param("data", required=False)
_LABEL = Param("label", "string", required=False)
_PATTERN = Param("pattern", "string")
_ENABLED = Param("enabled", "boolean")
_NAME = Param("name", "string")
_LIMIT = Param("limit", "integer", required=False)
_KIND = Param("kind", "string", doc="exact, wildcard, regex or hierarchical")
_OPTIONS = Param("options", "object", required=False, options=True)


def _of_vm(name: str, *params: Param, returns: str = "string", doc: str = "") -> Function:
    return Function(name, None, params, returns=returns, doc=doc)


GLOBAL = Global(
    "Debug",
    doc="Logging, timers and a look at values. The terminal shows warnings and errors; `--trace info` shows more.",
    handles=(
        Handle(
            "DebugTimer",
            fields=("id", "name"),
            doc="A stopwatch.",
            methods=(
                Function("stop", _stop, returns="number", doc="Milliseconds; nil when it was stopped before."),
                Function("lap", _lap, (_NAME,), returns="boolean", doc="False when it was stopped."),
                Function("elapsed", _elapsed, returns="number", doc="Milliseconds so far."),
            ),
        ),
    ),
    functions=(
        Function(
            "log", log_message, (_LEVEL, _MESSAGE, _MODULE, _DATA), post=True, returns="nil", doc="Logs a message."
        ),
        *(
            _of_vm(level, _MESSAGE, _MODULE, returns="nil", doc=f"Logs at level {level}.")
            for level in ("trace", "debug", "info", "warn", "error")
        ),
        _of_vm("logWithData", _LEVEL, _MESSAGE, _DATA, _MODULE, returns="nil", doc="Logs a message with data."),
        Function("setLevel", _set_level, (_LEVEL,), returns="boolean", doc="False for an unknown word."),
        Function("getLevel", lambda scope: _desk(scope).level.upper(), returns="string", doc="INFO, ..."),
        Function("setEnabled", _set_enabled, (_ENABLED,), returns="nil", doc="Switches logging off and on."),
        Function("isEnabled", lambda scope: _desk(scope).enabled, returns="boolean", doc="Whether logging is on."),
        Function("addModuleFilter", _add_filter, (_PATTERN, _ENABLED), returns="nil", doc="Lets a module log, or not."),
        Function("removeModuleFilter", _remove_filter, (_PATTERN,), returns="boolean", doc="Whether there was one."),
        Function(
            "clearModuleFilters", lambda scope: _desk(scope).set_rules([]), returns="nil", doc="Drops all filters."
        ),
        Function(
            "setDefaultFilterEnabled", _set_default, (_ENABLED,), returns="nil", doc="For modules without a filter."
        ),
        Function(
            "addAdvancedFilter",
            _add_advanced,
            (_PATTERN, _KIND, _ENABLED),
            returns="boolean",
            doc="False for an unknown kind. A regex without look-around and back-references.",
        ),
        Function("getFilterSummary", _filter_summary, returns="object", doc="The filters in force."),
        Function("getCapturedEntries", _captured, (_LIMIT,), returns="array", doc="What was logged, newest last."),
        Function("clearCaptured", lambda scope: _desk(scope).forget(), returns="nil", doc="Forgets what was logged."),
        Function("timer", _timer, (_NAME,), returns="DebugTimer", doc="Starts a stopwatch."),
        Function(
            "recordEvent", _record, (Param("timer_id", "string"), Param("name", "string"), _DATA), returns="boolean"
        ),
        _of_vm("dump", Param("value"), _LABEL, doc="The value as text."),
        _of_vm("dumpCompact", Param("value"), _LABEL, doc="The value on one line."),
        _of_vm("dumpVerbose", Param("value"), _LABEL, doc="The value with types and addresses."),
        _of_vm("dumpWithOptions", Param("value"), _OPTIONS, _LABEL, doc="The value, in a style of one's own."),
        _of_vm(
            "errorInfo",
            Param("error"),
            returns="object",
            doc="`message`, `code`, `type`, `hint` and `retryable` of what was caught; see the page on errors.",
        ),
        _of_vm("stackTrace", _OPTIONS, doc="Where the script is."),
        _of_vm("stackTraceJson", _OPTIONS, doc="The same as JSON text."),
        Function("performanceReport", _performance_report, returns="string", doc="All timers as text."),
        Function(
            "jsonReport",
            lambda scope: json.dumps(_report_data(scope)),
            returns="string",
            doc="All timers as JSON text.",
        ),
        Function(
            "flameGraph", _flame_graph, returns="string", doc="Folded stacks of timers and laps, in microseconds."
        ),
        Function(
            "memoryStats",
            _memory_stats,
            (Param("used", "integer", required=False), Param("collections", "integer", required=False)),
            returns="object",
            doc="Bytes in use; engines fill in what they know themselves.",
        ),
        Function("memorySnapshot", _memory_snapshot, returns="object", doc="Memory since each running timer began."),
    ),
    sources={
        "lua": Path(__file__).with_suffix(".lua").read_text("ascii"),
        "javascript": Path(__file__).with_suffix(".js").read_text("ascii"),
    },
)
