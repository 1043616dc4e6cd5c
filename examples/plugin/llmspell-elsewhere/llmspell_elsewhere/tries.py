"""Step after step, until one succeeds."""

from __future__ import annotations

from collections.abc import Iterable

from llmspell_core.errors import ValidationError
from llmspell_core.workflow import Definition, Outcome, Step, StepResult, WorkflowRun, WorkflowType, read_steps


class Tries(WorkflowType):
    """Its steps are different ways to the same thing."""

    name = "tries"
    description = "Runs its steps in order until one succeeds, and gives its output."
    features = ("alternatives",)

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.steps = read_steps(definition.option("steps"))
        if not self.steps:
            raise ValidationError("tries needs 'steps'", field="steps", hint="Give it at least one.")

    def all_steps(self) -> Iterable[Step]:
        return self.steps

    async def run(self, run: WorkflowRun) -> Outcome:
        failed: list[StepResult] = []
        for step in self.steps:
            result = await run.step(step)
            if result.success:
                return Outcome(output=result.output, extra={"tried": len(failed) + 1}, success=True)
            failed.append(result)
        if failed[-1].stops:
            raise run.failure(failed[-1])
        return Outcome(extra={"tried": len(failed)}, success=False)
