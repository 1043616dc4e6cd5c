"""The contract of workflow types catches what is wrong with them, and a stranger's type works once it is registered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.testing import WorkflowContract
from llmspell_core.workflow import Definition, Outcome, Step, WorkflowRun, WorkflowType, read_steps


class Backwards(WorkflowType):
    """A correct one."""

    name = "backwards"
    description = "Runs its steps from the last to the first."

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.steps = read_steps(definition.option("steps"))

    def all_steps(self) -> Iterable[Step]:
        return self.steps

    async def run(self, run: WorkflowRun) -> Outcome:
        done = await run.sequence(tuple(reversed(self.steps)))
        if done.stopped:
            raise run.failure(done.stopped)
        return Outcome(output=done.output)


class TestBackwards(WorkflowContract):
    workflow_class = Backwards


class SwallowsFailures(Backwards):
    async def run(self, run: WorkflowRun) -> Outcome:
        return Outcome(output=(await run.sequence(self.steps)).output)


class NeverTolerates(Backwards):
    async def run(self, run: WorkflowRun) -> Outcome:
        for step in self.steps:
            result = await run.step(step)
            if not result.success:
                raise run.failure(result)
        return Outcome()


class HidesSteps(Backwards):
    def all_steps(self) -> Iterable[Step]:
        return ()


class RemembersOnSelf(Backwards):
    async def run(self, run: WorkflowRun) -> Outcome:
        self.current = run
        await asyncio.sleep(0)
        return await super().run(self.current)


class LeaksTasks(Backwards):
    async def run(self, run: WorkflowRun) -> Outcome:
        self.task = asyncio.get_running_loop().create_task(asyncio.sleep(30))
        return await super().run(run)


class IgnoresItsEnd(Backwards):
    async def run(self, run: WorkflowRun) -> Outcome:
        try:
            return await super().run(run)
        except asyncio.CancelledError:
            await asyncio.sleep(6)
            raise


class CallsDirectly(Backwards):
    async def run(self, run: WorkflowRun) -> Outcome:
        from llmspell_core.workflow.action import act

        for step in self.steps:
            await act(step, step.input, run.root)
        return Outcome()


class Silent(Backwards):
    description = ""


def suite(kind: type[WorkflowType]) -> WorkflowContract:
    return type("Broken", (WorkflowContract,), {"workflow_class": kind})()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "test", "arguments"),
    [
        (SwallowsFailures, "test_a_failing_step_fails_the_workflow", {}),
        (NeverTolerates, "test_failures_can_be_tolerated", {}),
        (HidesSteps, "test_all_steps_names_what_runs", {}),
        (RemembersOnSelf, "test_runs_do_not_share_anything", {}),
        (LeaksTasks, "test_failing_leaves_nothing_behind", {}),
        (LeaksTasks, "test_cancelling_leaves_nothing_behind", {"moment": 0.002}),
        (IgnoresItsEnd, "test_it_ends_when_its_time_is_up", {}),
        (CallsDirectly, "test_hooks_and_events_see_the_steps", {}),
        (CallsDirectly, "test_it_runs_its_steps", {}),
    ],
)
async def test_a_broken_type_is_caught(runtime: Runtime, kind: Any, test: str, arguments: Any) -> None:
    await getattr(suite(Backwards), test)(runtime, **arguments)
    with pytest.raises((Exception, pytest.fail.Exception)):
        await getattr(suite(kind), test)(runtime, **arguments)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


@pytest.mark.parametrize(("kind", "test", "arguments"), [
    (Silent, "test_it_is_registered_under_its_own_name", {}),
])  # fmt: skip
def test_a_broken_definition_is_caught(kind: Any, test: str, arguments: Any) -> None:
    getattr(suite(Backwards), test)(**arguments)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(suite(kind), test)(**arguments)


async def test_a_strangers_type_is_used_by_name(runtime: Runtime) -> None:
    runtime.registry.register("workflows", "backwards", Backwards)
    order: list[str] = []
    steps = [{"name": n, "execute": lambda _c, n=n: order.append(n)} for n in "abc"]
    await runtime.run_workflow(runtime.workflows.make("backwards", {"steps": steps}))
    assert order == ["c", "b", "a"]
