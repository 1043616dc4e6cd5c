"""A body of steps, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmspell_core.errors import ValidationError, WorkflowError
from llmspell_core.messages import as_list
from llmspell_core.names import check_known
from llmspell_core.workflow import (
    Condition,
    Definition,
    Frame,
    Outcome,
    Progress,
    Step,
    WorkflowRun,
    WorkflowType,
    each,
    read_steps,
)
from llmspell_core.workflow.options import milliseconds, whole
from llmspell_core.workflow.placeholder import substitute

__all__ = ["Loop"]

WHILE_LIMIT = 100
ITERATORS = ("range", "collection", "while_condition", "while", "loop_condition", "max_iterations")
ITERATOR = "Use iterator = {range = {...}}, {collection = {...}} or {while_condition = ...}."


@dataclass(frozen=True, slots=True)
class Break:
    condition: Condition
    message: str

    @classmethod
    def read(cls, value: Any) -> Break:
        if isinstance(value, Mapping) and "type" not in value:
            check_known("break condition", value, ("expression", "condition", "evaluate", "message"))
            given = value.get("expression", value.get("condition", value.get("evaluate")))
            condition = Condition.read(given)
            return cls(condition, str(value.get("message") or _text(given)))
        return cls(Condition.read(value), _text(value))


class Loop(WorkflowType):
    name = "loop"
    description = "Runs its body for every item of a list, every number of a range, or while a condition holds."
    features = ("collections", "ranges", "while conditions", "break conditions", "aggregation")
    steps_option = "body"

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.body = read_steps(
            _flat([*as_list(definition.option("body")), *as_list(definition.option("steps"))]), "body"
        )
        given = definition.option("iterator", default={})
        given = _by_name(definition, given) if isinstance(given, str) else given
        if not isinstance(given, Mapping):
            raise ValidationError("a loop's iterator is a table", field="iterator", hint=ITERATOR)
        self.iterator = _Iterator(definition, definition.beside(given, *ITERATORS))
        self.breaks = tuple(each(lambda entry, _: Break.read(entry), as_list(definition.option("break_conditions"))))
        self.aggregate = _aggregation(definition.option("aggregation_strategy", "aggregation", default="collect_all"))
        self.delay = (
            milliseconds(definition.beside({}, "iteration_delay", "iteration_delay_ms"), "iteration_delay") or 0.0
        )
        self.tolerant = definition.flag("continue_on_error", default=False) or definition.config.strategy.tolerate

    def all_steps(self) -> Iterable[Step]:
        return self.body

    def conditions(self) -> Iterable[tuple[str, Condition]]:
        yield from (("the iterator's condition", condition) for condition in self.iterator.conditions)
        yield from (("a break condition", stop.condition) for stop in self.breaks)

    async def run(self, run: WorkflowRun) -> Outcome:
        results: list[Any] = []
        failed = completed = 0
        reason = "completed"
        total, items = self.iterator.items(run)
        for index, item in enumerate(items):
            frame = run.root.child(_variables(index, item, total), label=f"iteration_{index}")
            if not await self.iterator.goes_on(run, frame):
                reason = "condition is false"
                break
            if index and self.delay:
                await asyncio.sleep(self.delay)
            done = await self._iteration(run, frame, index)
            completed += not done.failed
            failed += done.failed > 0
            results.append(done.output)
            stop = await self._break(run, frame)
            if stop is not None:
                reason = stop
                break
            await run.pace.breathe()
        else:
            reason = await self.iterator.end(run, total)
        await run.phase("loop_termination", {"iterations": len(results), "break_reason": reason})
        return await self._outcome(run, results, completed, failed, reason)

    async def _iteration(self, run: WorkflowRun, frame: Frame, index: int) -> Progress:
        await run.set_shared({k: frame.variables[k] for k in ("loop_index", "current_item", "total_iterations")})
        await run.phase("loop_iteration_start", {"iteration": index})
        done = await run.sequence(self.body, frame)
        if done.stopped is not None and not self.tolerant:
            raise run.failure(done.stopped)
        await run.phase("loop_iteration_complete", {"iteration": index, "success": not done.failed})
        return done

    async def _break(self, run: WorkflowRun, frame: Frame) -> str | None:
        for stop in self.breaks:
            if await run.holds(stop.condition, frame, name=stop.message):
                return stop.message
        return None

    async def _outcome(self, run: WorkflowRun, results: list[Any], completed: int, failed: int, reason: str) -> Outcome:
        aggregated = self.aggregate(results)
        await run.put("aggregated", aggregated)
        extra = {
            **self.iterator.facts(),
            "continue_on_error": self.tolerant,
            "total_iterations": len(results),
            "completed_iterations": completed,
            "failed_iterations": failed,
            "aggregated_results": aggregated,
            "break_reason": reason,
        }
        return Outcome(output=results[-1] if results else None, extra=extra, success=not failed)


def _by_name(definition: Definition, kind: str) -> Mapping[str, Any]:
    """`iterator = "range", start = 1, end = 5`: what the iterator needs stands beside it."""
    if kind not in {"range", "collection", "while", "while_condition"}:
        raise ValidationError(f"a loop has no iterator '{kind}'", field="iterator", hint=ITERATOR)
    if kind != "range":
        return {}
    return {"range": definition.beside({}, "start", "end", "step")}


class _Iterator:
    """What a loop goes over. `option` is the definition's table with the iterator's laid over it."""

    def __init__(self, definition: Definition, option: Mapping[str, Any]) -> None:
        self.limit = definition.number("max_iterations", default=0, least=0) or _whole(option.get("max_iterations"))
        self.range = _read_range(option["range"]) if option.get("range") is not None else None
        self.collection = option.get("collection")
        condition = option.get("while_condition", option.get("while"))
        extra = option.get("loop_condition")
        self.conditions = tuple(Condition.read(c) for c in (condition, extra) if c is not None)
        self.text = _text(condition if condition is not None else extra) if self.conditions else None
        counts = bool(self.limit) and definition.option("iterator") is None  # `max_iterations` alone: so many times
        if self.range is None and self.collection is None and not self.conditions and not counts:
            raise ValidationError(
                "a loop needs an iterator: range, collection or while_condition", field="iterator", hint=ITERATOR
            )
        self.kind = "range" if self.range is not None else "collection" if self.collection is not None else "while"

    def items(self, run: WorkflowRun) -> tuple[int | None, Iterator[Any]]:
        """How many there will be at most, None when nobody knows; and the items."""
        if self.kind == "while":
            limit = self.limit or WHILE_LIMIT
            return None, iter(range(limit))
        values = self.range if self.range is not None else self._values(run)
        total = min(len(values), self.limit) if self.limit else len(values)
        return total, iter(values[:total])

    def _values(self, run: WorkflowRun) -> list[Any]:
        found = substitute(self.collection, run.root)
        if isinstance(found, str):
            found = run.root.shared_value(found)
        if isinstance(found, Mapping) and not found:
            return []
        if not isinstance(found, (list, tuple)):
            raise ValidationError("a loop's collection must be a list", field="collection")
        return list(found)

    async def goes_on(self, run: WorkflowRun, frame: Frame) -> bool:
        for condition in self.conditions:
            if not await run.holds(condition, frame, name="loop condition"):
                return False
        return True

    async def end(self, run: WorkflowRun, total: int | None) -> str:
        """Why it ended. Raises: WorkflowError when nobody said how often a condition may hold."""
        if total is not None:
            return "completed"
        frame = run.root.child(_variables(self.limit or WHILE_LIMIT, None, None))
        if not await self.goes_on(run, frame):
            return "condition is false"
        if not self.limit:
            raise WorkflowError(
                f"the loop's condition still holds after {WHILE_LIMIT} iterations",
                hint="Set max_iterations to how many there may be, or change what the condition looks at.",
                workflow=run.workflow.name,
            )
        return f"max_iterations ({self.limit}) reached"

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"iterator_type": self.kind}
        if self.range is not None:
            found |= {"range_start": self.range.start, "range_end": self.range.stop, "range_step": self.range.step}
        if self.kind == "while" or self.text is not None:
            found["condition"] = self.text
        if self.limit or self.kind == "while":
            found["max_iterations"] = self.limit or WHILE_LIMIT
        return found


def _variables(index: int, item: Any, total: int | None) -> dict[str, Any]:
    return {
        "loop_index": index,
        "current_index": index,
        "iteration": index,
        "current_item": item,
        "current_value": item,
        "loop_value": item,
        "total_iterations": total,
    }


def _read_range(value: Any) -> range:
    if not isinstance(value, Mapping):
        raise ValidationError("a loop's range is a table with start, end and step", field="range")
    check_known("range", value, ("start", "end", "step"))
    start, end, step = (value.get(k, d) for k, d in (("start", 0), ("end", None), ("step", 1)))
    for name, number in (("start", start), ("end", end), ("step", step)):
        whole(number, f"range.{name}", least=-(10**15))
    if int(step) == 0:
        raise ValidationError("range: 'step' must not be 0", field="step")
    return range(int(start), int(end), int(step))


def _whole(value: Any, name: str = "max_iterations") -> int:
    return 0 if value is None else whole(value, name, least=1)


def _aggregation(value: Any) -> Callable[[list[Any]], Any]:
    table = value if isinstance(value, Mapping) else {"type": value}
    word = str(table.get("type")).replace("_", "").lower()
    number = _whole(table.get("n", table.get("count")), "n") or 1
    found: dict[str, Callable[[list[Any]], Any]] = {
        "collectall": lambda results: results,
        "lastonly": lambda results: results[-1] if results else None,
        "firstn": lambda results: results[:number],
        "lastn": lambda results: results[-number:],
        "none": lambda _: None,
    }
    if word not in found:
        raise ValidationError(
            f"Unknown aggregation strategy: {table.get('type')}",
            field="aggregation_strategy",
            hint="Use collect_all, last_only, {type='first_n', n=3}, {type='last_n', n=3} or none.",
        )
    return found[word]


def _flat(entries: list[Any]) -> list[Any]:
    """`body({steps = {...}})` and `body({step, step})` as well as steps one by one."""
    found: list[Any] = []
    for entry in entries:
        if isinstance(entry, list):
            found += entry
        elif isinstance(entry, Mapping) and "steps" in entry and "type" not in entry:
            found += as_list(entry["steps"])
        else:
            found.append(entry)
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return str(value.get("expression") or value.get("type") or "condition")
    return "function" if callable(value) else str(value)
