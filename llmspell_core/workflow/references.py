"""Whether what steps say of other steps can be true: names in placeholders and conditions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from llmspell_core.errors import WorkflowError
from llmspell_core.names import suggestion
from llmspell_core.workflow.condition import Condition
from llmspell_core.workflow.placeholder import steps_named
from llmspell_core.workflow.problems import each
from llmspell_core.workflow.step import Step

__all__ = ["check_conditions", "check_references"]

Placed = tuple[str, Condition]
"""Where it stands, and the condition."""


def check_references(steps: Sequence[Step], conditions: Iterable[Placed]) -> None:
    """Raises: WorkflowError or ValidationError that tells of every step that is named and does not exist."""
    known = _names(steps)
    each(_raise, [p for step in steps for p in _placeholders(step, known)])
    check_conditions(steps, conditions)


def check_conditions(steps: Sequence[Step], conditions: Iterable[Placed], outside: Collection[str] = ()) -> None:
    """Conditions alone, which may stand in a branch that no run of a test comes to.

    Args:
        conditions: those that belong to no step.
        outside: other steps that may be named.
    """
    known = {*outside, *_names(steps)}
    own = [(f"step '{step.name}': its condition", step.condition) for step in steps if step.condition is not None]
    each(_raise, [problem for where, condition in [*own, *conditions] for problem in _asked(where, condition, known)])


def _names(steps: Iterable[Step]) -> set[str]:
    return {name for step in steps for name in (step.name, step.id)}


def _placeholders(step: Step, known: set[str]) -> Iterator[WorkflowError]:
    given = [step.input, *([step.compensate.input] if step.compensate is not None else [])]
    for text, names in steps_named(given):
        if not known.intersection(names):
            yield WorkflowError(f"step '{step.name}': there is no step for the placeholder {text}", step=step.name)


def _asked(where: str, condition: Condition, known: set[str]) -> Iterator[WorkflowError]:
    for name in condition.steps():
        if name not in known:
            near = suggestion(name, sorted(known))
            yield WorkflowError(f"{where} asks about step '{name}', which does not exist{near}")


def _raise(problem: WorkflowError, _: int) -> None:
    raise problem
