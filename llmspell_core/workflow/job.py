"""Performing a job that another process made: what an executor runs on the far side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.executor import Job
from llmspell_core.workflow.kind import Outcome, WorkflowType
from llmspell_core.workflow.record import Definition, StepResult, WorkflowConfig, workflow_input
from llmspell_core.workflow.run import WorkflowRun
from llmspell_core.workflow.step import Step
from llmspell_core.workflow.workflow import Workflow

if TYPE_CHECKING:
    from llmspell_core.runtime import Runtime

__all__ = ["perform_job"]


class _OneStep(WorkflowType):
    name = "job"
    later_options = ("step",)

    def all_steps(self) -> Iterable[Step]:
        return (self.definition.options["step"],)

    async def run(self, run: WorkflowRun) -> Outcome:
        result = await run.step(self.definition.options["step"])
        return Outcome(output=result.output, success=result.success)


async def perform_job(runtime: Runtime, data: Mapping[str, Any]) -> dict[str, Any]:
    """Run a job's step in `runtime`: its tools, agents, hooks and policy are those of that runtime.

    Args:
        data: what `Job.to_dict()` gave, perhaps after a trip through JSON.

    Returns: `StepResult.to_dict()`, which the executor hands back as `Done(index, value)`.
    """
    job = Job.from_dict(data)
    step = Step.read(job.step)
    definition = Definition("job", step.name, "", WorkflowConfig.from_dict(job.config), {"step": step})
    run = WorkflowRun(Workflow(definition, _OneStep), workflow_input(job.input), runtime.context(), (step,))
    run.shared.update(job.shared)
    run.results = {name: StepResult("", name, success=True, output=output) for name, output in job.outputs.items()}
    run.step_names |= job.outputs.keys()
    result = await run.attempt(step, run.root.child(job.variables))
    return result.to_dict()
