"""The contract of a workflow type, which decides how steps are arranged.

A type is one class in the entry-point group `llmspell.workflows`:

    class Backwards(WorkflowType):
        name = "backwards"
        description = "Runs its steps from the last to the first."

        def __init__(self, definition):
            super().__init__(definition)
            self.steps = read_steps(definition.option("steps"))

        def all_steps(self):
            return self.steps

        async def run(self, run):
            done = await run.sequence(tuple(reversed(self.steps)))
            if done.stopped:
                raise run.failure(done.stopped)
            return Outcome(output=done.output, extra={"total_steps": len(self.steps)})

    runtime.workflows.make("backwards", {"name": "w", "steps": [...]})     Workflow.create({type = "backwards", ...})

An instance belongs to one workflow and is used by any number of runs at once: what changes belongs into `run`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from llmspell_core.workflow.condition import Condition
from llmspell_core.workflow.order import in_order
from llmspell_core.workflow.record import Definition
from llmspell_core.workflow.run import WorkflowRun
from llmspell_core.workflow.step import Step

__all__ = ["Outcome", "WorkflowType"]


@dataclass(slots=True)
class Outcome:
    """What a type's `run` returns.

    Attributes:
        output: the workflow's result; usually that of its last step.
        extra: facts for `metadata.extra` of the result (counts, which branch was taken, ...); plain data.
        success: whether everything that had to succeed did.
    """

    output: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    success: bool | None = None


class WorkflowType(ABC):
    """How the steps of a workflow are arranged.

    Class attributes:
        name: that of the entry point, and the `type` in scripts.
        description, features: shown by `Workflow.list()`.
        steps_option: the option that `add_step` appends to.
        later_options: those that `run` asks the definition for; any other one that `__init__` does not ask for is an
            error.

    Raises (from `__init__`): ValidationError when the definition's options make no sense.
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    features: ClassVar[tuple[str, ...]] = ()
    steps_option: ClassVar[str] = "steps"
    later_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, definition: Definition) -> None:
        self.definition = definition

    @abstractmethod
    def all_steps(self) -> Iterable[Step]:
        """Every step that may run, in the order of the text."""

    @abstractmethod
    async def run(self, run: WorkflowRun) -> Outcome:
        """One execution. Raises: `run.failure(result)` for a step that ends it, or another LLMSpellError."""

    def conditions(self) -> Iterable[tuple[str, Condition]]:
        """Those that belong to no step, and which they are: "branch 'a': its condition". What they ask about has to exist."""
        return ()

    def plan(self) -> list[str]:
        """The names of the steps in the order in which they would run. Raises: WorkflowError for wrong dependencies."""
        return [step.name for step in in_order(tuple(self.all_steps()))]
