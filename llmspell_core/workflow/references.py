"""Whether what steps say of other steps can be true: names in placeholders and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmspell_core.errors import WorkflowError
from llmspell_core.workflow.placeholder import steps_named
from llmspell_core.workflow.problems import each
from llmspell_core.workflow.step import Step

__all__ = ["check_references"]


def check_references(steps: Iterable[Step]) -> None:
    """Raises: WorkflowError or ValidationError that tells of every step that is named and does not exist."""
    known = {name for step in steps for name in (step.name, step.id)}
    each(lambda problem, _: _raise(problem), [p for step in steps for p in _problems(step, known)])


def _problems(step: Step, known: set[str]) -> Iterator[WorkflowError]:
    given = [step.input, *([step.compensate.input] if step.compensate is not None else [])]
    for text, names in steps_named(given):
        if not known.intersection(names):
            yield WorkflowError(f"step '{step.name}': there is no step for the placeholder {text}", step=step.name)
    for name in step.condition.steps() if step.condition is not None else ():
        if name not in known:
            yield WorkflowError(f"step '{step.name}': its condition asks about step '{name}', which does not exist")


def _raise(problem: WorkflowError) -> None:
    raise problem
