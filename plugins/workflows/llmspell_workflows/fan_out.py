"""One input to many targets at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any

from llmspell_core.component import BaseAgent
from llmspell_core.errors import NotFoundError, ValidationError, WorkflowError
from llmspell_core.messages import as_list
from llmspell_core.workflow import Definition, Outcome, Step, StepResult, WorkflowRun, WorkflowType, each

__all__ = ["FanOut"]

JOIN = "Use all, any, first_success, or {quorum = 2}."


class FanOut(WorkflowType):
    name = "fan_out"
    description = "Gives one input to many agents, tools or workflows at once and gathers what they answer."
    features = ("concurrency limit", "all, any, quorum or first success", "executor")
    steps_option = "targets"

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        given = [*as_list(definition.option("targets")), *as_list(definition.option("steps"))]
        self.input = definition.option("input")
        self.targets = tuple(each(self._target, given))
        self.max_concurrency = definition.number("max_concurrency", default=4)
        self.join, self.needed = _read_join(definition.option("join", default="all"), len(self.targets))

    def _target(self, value: Any, number: int) -> Step | str:
        """A step; or a name whose kind is found out when it runs."""
        if isinstance(value, str):
            return value
        if isinstance(value, BaseAgent):
            kind = value.component_type
            value = {"name": value.name, kind: value if kind != "tool" else value.name}
        table = dict(value) if isinstance(value, Mapping) else value
        if isinstance(table, dict) and self.input is not None:
            table.setdefault("input", self.input)
        return Step.read(table, f"target_{number}")

    def all_steps(self) -> Iterable[Step]:
        return tuple(t for t in self.targets if isinstance(t, Step))

    async def run(self, run: WorkflowRun) -> Outcome:
        steps = _distinct([self._found(target, run) for target in self.targets])
        await run.phase("parallel_fork", {"targets": [step.name for step in steps]})
        results: dict[int, StepResult] = {}
        good = 0
        answers = run.scatter(((step, run.root) for step in steps), limit=self.max_concurrency)
        async with aclosing(answers):
            async for index, result in answers:
                results[index] = result
                good += result.success
                if self._decided(good, len(results) - good, len(steps)):
                    break
        await run.phase("parallel_join", {"finished": len(results)})
        return self._outcome(run, steps, results)

    def _found(self, target: Step | str, run: WorkflowRun) -> Step:
        if isinstance(target, Step):
            return target
        desk = run.desk
        if target in desk.agents:
            kind = "agent"
        elif desk.registry.has("tools", target):
            kind = "tool"
        elif any(workflow.name == target or key == target for key, workflow in desk.workflows.items()):
            kind = "workflow"
        else:
            raise NotFoundError(f"there is no agent, tool or workflow '{target}'", what="targets", name=target)
        given = self.input if self.input is not None else self._default_input(kind, run)
        return Step.read({"name": target, kind: target, "input": given})

    @staticmethod
    def _default_input(kind: str, run: WorkflowRun) -> Any:
        return dict(run.fields) if kind == "tool" else None

    def _decided(self, good: int, bad: int, total: int) -> bool:
        """Whether what is still running cannot change the verdict any more, or is not wanted."""
        if self.join in {"quorum", "first_success"}:
            return good >= self.needed or total - bad < self.needed
        return self.join == "all" and bad > 0 and not self.definition.config.strategy.tolerate

    def _outcome(self, run: WorkflowRun, steps: list[Step], results: Mapping[int, StepResult]) -> Outcome:
        good = sum(result.success for result in results.values())
        failed = next((r for r in results.values() if not r.success), None)
        if good < self.needed and not self.definition.config.strategy.tolerate:
            if failed is not None and self.join == "all":
                raise run.failure(failed)
            reason = f"; the first failure: {failed.error}" if failed else ""
            raise WorkflowError(f"{good} of {self.needed} targets succeeded{reason}", workflow=run.workflow.name)
        rows = [_row(step, results.get(i)) for i, step in enumerate(steps)]
        extra = {
            "total_targets": len(steps),
            "successful_targets": good,
            "failed_targets": len(results) - good,
            "join": self.join,
            "max_concurrency": self.max_concurrency,
            "results": rows,
        }
        return Outcome(output=rows, extra=extra, success=good >= self.needed)


def _row(step: Step, result: StepResult | None) -> dict[str, Any]:
    if result is None:
        return {"target": step.name, "success": False, "output": None, "error": "cancelled"}
    return {"target": step.name, "success": result.success, "output": result.output, "error": result.error}


def _distinct(steps: list[Step]) -> list[Step]:
    """Asking one target twice is fine; the results need names of their own."""
    from dataclasses import replace

    seen: dict[str, int] = {}
    made = []
    for step in steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        made.append(step if seen[step.name] == 1 else replace(step, name=f"{step.name}_{seen[step.name]}"))
    return made


def _read_join(value: Any, total: int) -> tuple[str, int]:
    """The word, and how many targets must succeed."""
    match = re.fullmatch(r"quorum\((\d+)\)", value) if isinstance(value, str) else None
    quorum = value.get("quorum", value.get("n")) if isinstance(value, Mapping) else int(match[1]) if match else None
    if quorum is not None:
        if isinstance(quorum, bool) or not isinstance(quorum, (int, float)) or not 1 <= quorum <= max(total, 1):
            raise ValidationError(f"a quorum is a number from 1 to {total}", field="join", hint=JOIN)
        return "quorum", int(quorum)
    if value not in ("all", "any", "first_success"):
        raise ValidationError(f"Unknown join: {value}", field="join", hint=JOIN)
    return str(value), total if value == "all" else min(1, total)
