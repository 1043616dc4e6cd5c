"""The order of steps: as written, but never before what a step depends on."""

from __future__ import annotations

from collections.abc import Sequence

from llmspell_core.errors import WorkflowError
from llmspell_core.workflow.step import Step

__all__ = ["in_order"]


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Kahn's order; among steps that are ready, the one written first.

    Raises:
        WorkflowError: a dependency that does not exist, or a cycle.
    """
    if not any(step.dependencies for step in steps):
        return list(steps)
    waiting = {step.name: _needed(step, steps) for step in steps}
    ordered: list[Step] = []
    while waiting:
        ready = next((step for step in steps if step.name in waiting and not waiting[step.name]), None)
        if ready is None:
            names = ", ".join(waiting)
            raise WorkflowError(
                f"these steps depend on each other: {names}", step=next(iter(waiting)), hint="Break the cycle."
            )
        del waiting[ready.name]
        ordered.append(ready)
        for needed in waiting.values():
            needed.discard(ready.name)
    return ordered


def _needed(step: Step, steps: Sequence[Step]) -> set[str]:
    needed = set()
    for wanted in step.dependencies:
        found = next((other for other in steps if wanted in {other.id, other.name}), None)
        if found is None:
            raise WorkflowError(
                f"step '{step.name}' depends on '{wanted}', which is not a step here",
                step=step.name,
                hint=f"There are: {', '.join(s.name for s in steps)}.",
            )
        needed.add(found.name)
    return needed
