"""Branches of which conditions choose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmspell_core.errors import LLMSpellError, ValidationError
from llmspell_core.messages import as_list, new_id
from llmspell_core.names import check_known
from llmspell_core.workflow import (
    Condition,
    Definition,
    Outcome,
    Progress,
    Step,
    WorkflowRun,
    WorkflowType,
    each,
    read_steps,
)
from llmspell_core.workflow.options import snake_keys
from llmspell_core.workflow.problems import located
from llmspell_workflows.sequential import counts

__all__ = ["Choice", "Conditional"]

BRANCH = ("id", "name", "condition", "steps", "is_default", "description", "definition")


@dataclass(frozen=True, slots=True)
class Choice:
    """Steps and the condition under which they run; the default one has none."""

    id: str
    name: str
    condition: Condition | None
    steps: tuple[Step, ...]
    is_default: bool = False

    @classmethod
    def read(cls, value: Any, number: int) -> Choice:
        """Raises: ValidationError when it is no table, or has no condition."""
        if not isinstance(value, Mapping):
            raise ValidationError(f"a branch is a table, got {type(value).__name__}", field="branches")
        given = {**value, **value["definition"]} if isinstance(value.get("definition"), Mapping) else value
        table = snake_keys(given)
        name = str(table.get("name") or f"branch_{number}")
        check_known(f"branch '{name}'", table, BRANCH)
        is_default = table.get("is_default") is True
        if table.get("condition") is None and not is_default:
            raise ValidationError(f"branch '{name}' needs a 'condition'", field="condition")
        condition = None if is_default else _condition(name, table["condition"])
        steps = read_steps(table.get("steps"), f"{name}_step")
        return cls(str(table.get("id") or new_id("branch")), name, condition, steps, is_default)


class Conditional(WorkflowType):
    name = "conditional"
    description = "Runs the first branch whose condition holds, or all of them; else the default branch."
    features = ("conditions", "expressions", "else-if branches", "default branch")

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.before = read_steps(definition.option("steps"))
        self.choices = tuple(_choices(definition))
        self.execute_all = definition.flag("execute_all_matching", default=False)
        self.default_on_no_match = definition.flag("execute_default_on_no_match", default=True)
        self.max_branches = definition.number("max_branches_to_evaluate", default=100)
        self.limit = definition.number("condition_evaluation_timeout_ms", default=1000) / 1000
        self.short_circuit = definition.flag("short_circuit_evaluation", default=True)

    def all_steps(self) -> Iterable[Step]:
        return (*self.before, *(step for choice in self.choices for step in choice.steps))

    def conditions(self) -> Iterable[tuple[str, Condition]]:
        return (
            (f"branch '{choice.name}': its condition", choice.condition) for choice in self.choices if choice.condition
        )

    def plan(self) -> list[str]:
        from llmspell_core.workflow.order import in_order

        groups = (self.before, *(choice.steps for choice in self.choices))
        before = {name for step in self.before for name in (step.name, step.id)}
        return [step.name for group in groups for step in in_order(group, before if group is not self.before else ())]

    async def run(self, run: WorkflowRun) -> Outcome:
        total = await self._sequence(run, self.before)
        chosen = await self._matching(run)
        matched = len(chosen)
        default = next((c for c in self.choices if c.is_default), None)
        if not chosen and default is not None and self.default_on_no_match:
            chosen = [default]
        for choice in chosen:
            await run.phase("branch_selection", {"branch": choice.name, "is_default": choice.is_default})
            done = await self._sequence(run, choice.steps, label=f"branch_{choice.name}")
            total.results.extend(done.results)
        return Outcome(output=total.output, extra=self._extra(total, matched, chosen))

    async def _sequence(self, run: WorkflowRun, steps: tuple[Step, ...], label: str | None = None) -> Progress:
        frame = run.root.child(label=label) if label else run.root
        if label:
            run.branches[label.removeprefix("branch_")] = frame.results
        done = await run.sequence(steps, frame)
        if done.stopped is not None:
            raise run.failure(done.stopped)
        return done

    async def _matching(self, run: WorkflowRun) -> list[Choice]:
        found: list[Choice] = []
        asked = [choice for choice in self.choices if choice.condition is not None][: self.max_branches]
        for choice in asked:
            if found and self.short_circuit and not self.execute_all:
                break
            assert choice.condition is not None
            if await run.holds(choice.condition, name=choice.name, limit=self.limit):
                found.append(choice)
            await run.pace.breathe()
        return found if self.execute_all else found[:1]

    def _extra(self, total: Progress, matched: int, chosen: list[Choice]) -> dict[str, Any]:
        return {
            "total_branches": len(self.choices),
            "matched_branches": matched,
            "executed_branches": len(chosen),
            "branches": [choice.name for choice in chosen],
            **counts(total, len(total.results)),
            "execute_all_matching": self.execute_all,
            "short_circuit_evaluation": self.short_circuit,
        }


def _choices(definition: Definition) -> Iterable[Choice]:
    """`condition` with `then_steps`, then `branches` (else-if), then the default."""
    given = definition.option("condition")
    if given is not None:
        then = read_steps(_parts(definition.option("then_steps", "when_true")), "then")
        yield Choice(new_id("branch"), "then", Condition.read(given), then)
    read = each(Choice.read, as_list(definition.option("branches")))
    yield from read
    otherwise = definition.option("default_branch", "else_steps", "when_false")
    if otherwise is not None and not any(choice.is_default for choice in read):
        name = "else" if definition.option("default_branch") is None else "default"
        yield Choice(new_id("branch"), name, None, read_steps(_parts(otherwise), name), is_default=True)


def _condition(branch: str, value: Any) -> Condition:
    try:
        return Condition.read(value)
    except LLMSpellError as error:
        raise located(f"branch '{branch}'", [error]) from None


def _parts(value: Any) -> list[Any]:
    """Steps given one by one, as lists, or as tables with `steps`."""
    found: list[Any] = []
    for entry in as_list(value):
        nested = isinstance(entry, list) or (isinstance(entry, Mapping) and "steps" in entry and "type" not in entry)
        inner = entry if isinstance(entry, list) else entry["steps"] if nested else entry
        found += as_list(inner) if nested else [entry]
    return found
