"""Steps one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmspell_core.workflow import Definition, Outcome, Progress, Step, WorkflowRun, WorkflowType, read_steps

__all__ = ["Sequential", "counts"]


class Sequential(WorkflowType):
    name = "sequential"
    description = "Runs steps one after the other; each sees the results of those before it."
    features = ("dependencies", "error handling", "retries", "compensation")

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.steps = read_steps(definition.option("steps"))

    def all_steps(self) -> Iterable[Step]:
        return self.steps

    async def run(self, run: WorkflowRun) -> Outcome:
        done = await run.sequence(self.steps)
        if done.stopped is not None:
            raise run.failure(done.stopped)
        return Outcome(output=done.output, extra=counts(done, len(self.steps)))


def counts(done: Progress, total: int) -> dict[str, Any]:
    """`total_steps`, `successful_steps`, `failed_steps` and `success_rate` (0 to 100)."""
    rate = 100.0 * done.successful / total if total else 100.0
    return {
        "total_steps": total,
        "successful_steps": done.successful,
        "failed_steps": done.failed,
        "success_rate": rate,
    }
