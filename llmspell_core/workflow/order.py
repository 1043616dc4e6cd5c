"""The order of steps: as written, but never before what a step depends on."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence

from llmspell_core.errors import WorkflowError
from llmspell_core.workflow.problems import each
from llmspell_core.workflow.step import Step

__all__ = ["in_order"]


def in_order(steps: Sequence[Step], elsewhere: Collection[str] = ()) -> list[Step]:
    """Kahn's order; among steps that are ready, the one written first.

    Args:
        elsewhere: names and ids of steps of the same workflow that are not in this list; whoever arranges the lists sees
            to it that these run before.

    Raises:
        WorkflowError: a dependency that does not exist, or a cycle; ValidationError when there are several such.
    """
    if not any(step.dependencies for step in steps):
        return list(steps)
    places = {step.id: at for at, step in enumerate(steps)} | {step.name: at for at, step in enumerate(steps)}
    wanted = [(step, name) for step in steps for name in step.dependencies if name in places or name not in elsewhere]
    pairs = each(lambda pair, _: (places[pair[0].name], _place(pair[0], pair[1], places, steps)), wanted)
    waits: list[set[int]] = [set() for _ in steps]
    unblocks: list[set[int]] = [set() for _ in steps]
    for at, needed in pairs:
        waits[at].add(needed)
        unblocks[needed].add(at)
    return _sorted(steps, waits, unblocks)


def _place(step: Step, wanted: str, places: dict[str, int], steps: Sequence[Step]) -> int:
    if wanted not in places:
        raise WorkflowError(
            f"step '{step.name}' depends on '{wanted}', which is not a step here",
            step=step.name,
            hint=f"There are: {', '.join(s.name for s in steps[:20])}.",
        )
    return places[wanted]


def _sorted(steps: Sequence[Step], waits: list[set[int]], unblocks: list[set[int]]) -> list[Step]:
    ready = [at for at, needed in enumerate(waits) if not needed]
    ordered: list[Step] = []
    while ready:
        at = heapq.heappop(ready)
        ordered.append(steps[at])
        for other in unblocks[at]:
            waits[other].discard(at)
            if not waits[other]:
                heapq.heappush(ready, other)
    if len(ordered) < len(steps):
        raise _circle(steps, waits)
    return ordered


def _circle(steps: Sequence[Step], waits: list[set[int]]) -> WorkflowError:
    """The error for steps of which none can be the first; it names one circle."""
    at = next(at for at, needed in enumerate(waits) if needed)
    seen: list[int] = []
    while at not in seen:
        seen.append(at)
        at = min(waits[at])
    circle = [steps[i].name for i in (*seen[seen.index(at) :], at)]
    return WorkflowError(
        f"steps depend on each other: {' waits for '.join(circle)}", step=circle[0], hint="Break the cycle."
    )
