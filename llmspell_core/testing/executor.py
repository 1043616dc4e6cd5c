"""The contract of an executor, as tests to inherit.

    from llmspell_core.testing import ExecutorContract
    from llmspell_executor_cluster import ClusterExecutor

    class TestCluster(ExecutorContract):
        executor_class = ClusterExecutor
        example = {"tool": "calculator", "input": {"input": "{{item}} + 1"}}     # if it sends jobs elsewhere
        items, outputs = [1, 2], [2, 3]

Jobs that hold functions exist in this process only: an executor that sends others elsewhere awaits `work(job)` for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from importlib.metadata import entry_points
from typing import Any, ClassVar

import pytest

from llmspell_core.errors import ApprovalRequiredError, WorkflowError
from llmspell_core.executor import Done, Executor, Job, Work
from llmspell_core.testing.contract import Contract, Leftovers, cancelled_at

__all__ = ["ExecutorContract"]

AHEAD = 2
"""How many times the limit may have been drawn when the first answer is there."""


def _jobs(count: int | None = None, drawn: list[int] | None = None) -> Iterator[Job]:
    index = 0
    while count is None or index < count:
        if drawn is not None:
            drawn.append(index)
        yield Job(index, {"name": "a", "type": "function"}, portable=False)
        index += 1


async def _index(job: Job) -> int:
    await asyncio.sleep(0)
    return job.index


async def _forever(_: Job) -> None:
    await asyncio.sleep(60)


class ExecutorContract(Contract):
    """Attributes: executor_class; example, items, outputs: a map step for plain jobs. Override `make_executor`."""

    executor_class: ClassVar[type[Executor]]
    example: ClassVar[dict[str, Any] | None] = None
    items: ClassVar[list[Any]] = []
    outputs: ClassVar[list[Any]] = []

    def make_executor(self) -> Executor:
        return self.executor_class()

    async def answers(self, jobs: Iterable[Job], work: Work, limit: int = 3) -> list[Done]:
        executor = self.make_executor()
        try:
            async with aclosing(executor.run(jobs, work, limit=limit)) as answers:
                return [done async for done in answers]
        finally:
            await executor.close()

    def test_it_is_registered_under_its_own_name(self) -> None:
        """The entry point, `name` and the `workflows.executor` of the configuration are one word.

        If this fails, make the entry point's name and the class attribute `name` equal, and write a `description`.
        """
        assert self.executor_class.name
        assert self.executor_class.description, "set `description`"
        for point in entry_points(group="llmspell.executors"):
            if point.value.endswith(f":{self.executor_class.__qualname__}"):
                assert point.name == self.executor_class.name

    async def test_every_job_is_answered_once(self) -> None:
        """Each job has one answer, which carries the job's index and what `work` returned.

        If this fails, yield `Done(job.index, value)` for every job, also for the last ones.
        """
        found = await self.answers(_jobs(20), _index)
        assert sorted(done.index for done in found) == list(range(20))
        assert all(done.value == done.index and done.error is None for done in found)

    async def test_no_jobs_are_no_answers(self) -> None:
        """Nothing to do ends at once.

        If this fails, look for a wait that expects at least one job.
        """
        async with asyncio.timeout(5):
            assert await self.answers([], _index) == []

    async def test_an_error_is_an_answer(self) -> None:
        """What `work` raises is the `error` of the job's answer, and the other jobs go on.

        If this fails, catch Exception (not BaseException) around `await work(job)`.
        """

        async def odd(job: Job) -> int:
            if job.index % 2:
                raise ValueError("odd")
            return job.index

        found = {done.index: done for done in await self.answers(_jobs(6), odd)}
        assert [str(found[i].error) if i % 2 else found[i].value for i in range(6)] == [0, "odd", 2, "odd", 4, "odd"]

    async def test_a_question_to_a_person_is_an_answer_too(self) -> None:
        """ApprovalRequiredError arrives as it was raised: the workflow waits then, and nothing has failed.

        If this fails, do not wrap or rename the errors of `work`.
        """

        async def asks(_: Job) -> None:
            raise ApprovalRequiredError("may I?", agent="a")

        (done,) = await self.answers(_jobs(1), asks)
        assert isinstance(done.error, ApprovalRequiredError)

    @pytest.mark.parametrize("limit", [1, 4])
    async def test_no_more_than_the_limit_run_at_once(self, limit: int) -> None:
        """`limit` is the largest number of jobs under way.

        If this fails, start the next job only when one has ended.
        """
        active = most = 0

        async def work(_: Job) -> None:
            nonlocal active, most
            active += 1
            most = max(most, active)
            await asyncio.sleep(0.001)
            active -= 1

        await self.answers(_jobs(20), work, limit)
        assert 1 <= most <= limit

    async def test_jobs_are_drawn_as_there_is_room(self) -> None:
        """`jobs` may be endless: it is drawn from as fast as answers are taken.

        If this fails, do not make a list of `jobs`; take the next one when an answer has been taken.
        """
        drawn: list[int] = []
        executor = self.make_executor()
        async with asyncio.timeout(10), aclosing(executor.run(_jobs(None, drawn), _index, limit=3)) as answers:
            for _ in range(3):
                await anext(answers)
                await asyncio.sleep(0.01)  # a slow reader holds up the rest
        await executor.close()
        assert len(drawn) <= 3 + AHEAD * 3

    async def test_closing_early_cancels_the_rest(self) -> None:
        """Whoever stops reading gets everything that runs cancelled before `aclose` returns.

        If this fails, cancel and await what is running in the `finally` of `run`.
        """
        before, cancelled = Leftovers(), []

        async def work(job: Job) -> None:
            if job.index == 0:
                return
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(job.index)
                raise

        executor = self.make_executor()
        started: AsyncGenerator[Done, None] = executor.run(_jobs(4), work, limit=4)
        async with asyncio.timeout(10), aclosing(started) as answers:
            await anext(answers)
        running = len(cancelled)
        await executor.close()
        assert running == len(cancelled)
        assert await before.new_after_a_moment() == []

    @pytest.mark.parametrize("moment", [0.0, 0.002, 0.02])
    async def test_cancelling_leaves_nothing_behind(self, moment: float) -> None:
        """Whoever cancels the reader gets everything back.

        If this fails, a task, process or connection was made that nobody owns.
        """
        before = Leftovers()
        await cancelled_at(moment, lambda: self.answers(_jobs(5), _forever))
        assert await before.new_after_a_moment() == []

    async def test_a_workflow_runs_through_it(self, make_runtime: Any) -> None:
        """`map_reduce` and `fan_out` give the same results as with the executor of this process.

        If this fails, the tests above say why; run them first.
        """
        runtime = await make_runtime({"workflows": {"executor": self.executor_class.name}})
        runtime.registry.register("executors", self.executor_class.name, self.make_executor(), replace=True)
        found = await _scattered(runtime, [{"execute": lambda c: c["n"] * 2}] * 5)
        assert found == [0, 2, 4, 6, 8]
        with pytest.raises(WorkflowError, match="on purpose"):
            await _scattered(runtime, [{"execute": lambda _c: _fail()}])

    async def test_plain_jobs_give_the_same(self, make_runtime: Any) -> None:
        """A step that is plain data gives the same result, wherever it ran.

        If this fails, compare `Job.to_dict()` with what the other side gets, and `perform_job`'s answer with what
        arrives as `Done.value`.
        """
        if self.example is None:
            pytest.skip("the suite names no `example`")
        runtime = await make_runtime({"workflows": {"executor": self.executor_class.name}})
        runtime.registry.register("executors", self.executor_class.name, self.make_executor(), replace=True)
        assert await _scattered(runtime, [self.example] * len(self.items), self.items) == self.outputs


def _fail() -> None:
    raise ValueError("on purpose")


async def _scattered(runtime: Any, steps: list[dict[str, Any]], items: list[Any] | None = None) -> list[Any]:
    """The outputs of these steps, each with its number as `n` and `item`, run through the runtime's executor."""
    from llmspell_core.workflow import Definition, Outcome, Step, Workflow, WorkflowRun, WorkflowType, workflow_input

    class Scattered(WorkflowType):
        name = "scattered"
        made = tuple(Step.read(step, f"s{number}") for number, step in enumerate(steps))

        def all_steps(self) -> Iterable[Step]:
            return self.made

        async def run(self, run: WorkflowRun) -> Outcome:
            frames = (run.root.child({"n": n, "item": items[n] if items else n}) for n in range(len(self.made)))
            found: dict[int, Any] = {}
            async with aclosing(run.scatter(zip(self.made, frames, strict=True), limit=2)) as answers:
                async for index, result in answers:
                    if result.stops:
                        raise run.failure(result)
                    found[index] = result.output
            return Outcome(output=[found[index] for index in sorted(found)])

    workflow = Workflow(Definition("scattered", "scattered"), Scattered)
    output = await workflow.execute(workflow_input(None), runtime.context())
    found: list[Any] = output.metadata.extra["output"]
    return found
