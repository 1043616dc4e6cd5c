"""The contract of a workflow type, as tests to inherit.

    from llmspell_core.testing import WorkflowContract
    from llmspell_workflow_backwards import Backwards

    class TestBackwards(WorkflowContract):
        workflow_class = Backwards

        def table(self, steps):              # left out: {"steps": steps}
            return {"steps": steps}

The steps that the tests put into it are functions; nothing is called but them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, ClassVar

import pytest

from llmspell_core.errors import LLMSpellError, TimeoutError, ValidationError, WorkflowError
from llmspell_core.messages import AgentOutput
from llmspell_core.runtime import Runtime
from llmspell_core.testing.contract import Contract, Leftovers, cancelled_at
from llmspell_core.workflow import Definition, Workflow, WorkflowType, workflow_input

__all__ = ["WorkflowContract"]

RUNS_AT_ONCE = 8
STEP = "the_step"


def _step(function: Callable[[dict[str, Any]], Any], **more: Any) -> dict[str, Any]:
    return {"name": STEP, "execute": function, **more}


async def _forever(_: dict[str, Any]) -> None:
    await asyncio.sleep(60)


def _fails(_: dict[str, Any]) -> None:
    raise ValueError("on purpose")


class WorkflowContract(Contract):
    """Attributes: workflow_class. Override `table` when the type's steps do not stand under `steps`."""

    workflow_class: ClassVar[type[WorkflowType]]

    def table(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        """A definition that runs each of these steps at least once."""
        return {"steps": steps}

    def make(self, *steps: dict[str, Any], **options: Any) -> Workflow:
        table = {"name": "contract", **self.table(list(steps)), **options}
        return Workflow(Definition.read(self.workflow_class.name, table), self.workflow_class)

    @staticmethod
    async def run(runtime: Runtime, workflow: Workflow, input: Mapping[str, Any] | None = None) -> AgentOutput:
        return await workflow.execute(workflow_input(input), runtime.context())

    def test_it_is_registered_under_its_own_name(self) -> None:
        """The entry point, `name` and the `type` in scripts are one word.

        If this fails, make the entry point's name and the class attribute `name` equal, and write a `description`.
        """
        found = [
            p for p in entry_points(group="llmspell.workflows") if p.value.endswith(self.workflow_class.__qualname__)
        ]
        assert self.workflow_class.name
        assert self.workflow_class.description, "set `description`"
        for point in found:
            assert point.name == self.workflow_class.name

    async def test_it_runs_its_steps(self, runtime: Runtime) -> None:
        """Every step runs, its output is in the result, and the result is plain data.

        If this fails, run steps with `run.sequence`, `run.step` or `run.scatter`, and return an `Outcome`.
        """
        output = await self.run(runtime, self.make(_step(lambda _: "done")))
        assert output.metadata.extra["outputs"] == {STEP: "done"}
        assert output.metadata.extra["status"] == "completed"
        assert "completed successfully" in output.text
        json.dumps(output.metadata.extra)

    async def test_all_steps_names_what_runs(self, runtime: Runtime) -> None:
        """`all_steps` and `plan` know every step: placeholders and `validate` depend on it.

        If this fails, return the steps of every branch from `all_steps`.
        """
        workflow = self.make(_step(lambda _: 1))
        await self.run(runtime, workflow)
        known = {step.name for step in workflow.get_steps()}
        assert {result.step_name for result in workflow.get_results()} <= known
        assert set(workflow.plan_execution()) == known

    async def test_a_failing_step_fails_the_workflow(self, runtime: Runtime) -> None:
        """Without an error strategy the first failure is raised, with the step's name.

        If this fails, raise `run.failure(result)` for a result that `stops`.
        """
        with pytest.raises(WorkflowError, match="on purpose") as caught:
            await self.run(runtime, self.make(_step(_fails)))
        assert caught.value.workflow == "contract"

    async def test_failures_can_be_tolerated(self, runtime: Runtime) -> None:
        """With `error_strategy = "continue"` a failure is recorded and nothing is raised.

        If this fails, look at `result.stops`, not at `result.success`, to decide whether to go on.
        """
        output = await self.run(runtime, self.make(_step(_fails), error_strategy="continue"))
        assert output.metadata.extra["status"] == "partially_completed"
        assert "on purpose" in output.metadata.extra["error"]

    async def test_runs_do_not_share_anything(self, runtime: Runtime) -> None:
        """One instance runs many times at once, and each run sees its own input.

        If this fails, keep what changes in the `WorkflowRun`, not on `self`.
        """

        async def echo(context: dict[str, Any]) -> Any:
            await asyncio.sleep(0.001 * (RUNS_AT_ONCE - context["input"]["n"]))
            return context["input"]["n"]

        workflow = self.make(_step(echo))
        runs = [self.run(runtime, workflow, {"n": n}) for n in range(RUNS_AT_ONCE)]
        outputs = [output.metadata.extra["outputs"][STEP] for output in await asyncio.gather(*runs)]
        assert outputs == list(range(RUNS_AT_ONCE))

    async def test_it_ends_when_its_time_is_up(self, runtime: Runtime) -> None:
        """`timeout_ms` of the workflow ends it, wherever it is.

        If this fails, it catches cancellation or `TimeoutError` of the event loop; let them pass.
        """
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await self.run(runtime, self.make(_step(_forever), timeout_ms=30))

    @pytest.mark.parametrize("moment", [0.0, 0.002, 0.02])
    async def test_cancelling_leaves_nothing_behind(self, runtime: Runtime, moment: float) -> None:
        """Whoever cancels the run gets everything back.

        If this fails, a task was made that nobody owns: use a TaskGroup, or cancel and await it in a `finally`.
        """
        before = Leftovers()
        workflow = self.make(_step(_forever))
        await cancelled_at(moment, lambda: self.run(runtime, workflow))
        assert await before.new_after_a_moment() == []

    async def test_failing_leaves_nothing_behind(self, runtime: Runtime) -> None:
        """A failure ends what else was running.

        If this fails, cancel and await the other tasks before the error is raised.
        """
        before = Leftovers()
        with pytest.raises(LLMSpellError):
            await self.run(runtime, self.make(_step(_fails)))
        assert await before.new_after_a_moment() == []

    @pytest.mark.parametrize("wrong", [5, [5], [{"name": "x"}], [{"name": "x", "type": "no-such-type"}]])
    def test_a_wrong_definition_is_refused(self, wrong: Any) -> None:
        """What is no step is refused when the workflow is made, with an error that names the field.

        If this fails, read steps with `Step.read` or `read_steps` in `__init__`.
        """
        table = self.table([{"name": STEP, "tool": "calculator"}])
        broken = _replace_steps(table, wrong)
        with pytest.raises(ValidationError):
            Workflow(Definition.read(self.workflow_class.name, broken), self.workflow_class)

    async def test_hooks_and_events_see_the_steps(self, runtime: Runtime) -> None:
        """Hooks fire around every step, and events tell of it.

        If this fails, a step was called directly instead of through the run.
        """
        seen: list[str] = []
        runtime.hooks.register("BeforeWorkflowStage", lambda c: seen.append(c.data["step_name"]))
        with runtime.events.subscribe("workflow.step.*") as subscription:
            await self.run(runtime, self.make(_step(lambda _: 1)))
            assert subscription.pending() >= 2
        assert STEP in seen


def _replace_steps(value: Any, wrong: Any) -> Any:
    """The table with the step in it, wherever it stands, replaced."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("name") == STEP:
        return wrong
    if isinstance(value, dict) and value.get("name") == STEP:
        return wrong[0] if isinstance(wrong, list) else wrong
    if isinstance(value, dict):
        return {key: _replace_steps(item, wrong) for key, item in value.items()}
    return [_replace_steps(item, wrong) for item in value] if isinstance(value, list) else value
