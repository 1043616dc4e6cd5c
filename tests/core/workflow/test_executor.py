"""The executor: bounded, lazy, ordered by readiness, clean at the end; and a stranger's one that runs jobs elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import PluginError, WorkflowError
from llmspell_core.executor import Done, Executor, Job, LocalExecutor, Work
from llmspell_core.testing import ExecutorContract
from llmspell_core.testing.contract import Leftovers
from llmspell_core.workflow import perform_job


def jobs(count: int, drawn: list[int] | None = None) -> Iterator[Job]:
    for index in range(count):
        if drawn is not None:
            drawn.append(index)
        yield Job(index, {})


async def test_no_more_than_the_limit_runs_at_once() -> None:
    active = most = 0

    async def work(job: Job) -> int:
        nonlocal active, most
        active += 1
        most = max(most, active)
        await asyncio.sleep(0)
        active -= 1
        return job.index

    found = [done.value async for done in LocalExecutor().run(jobs(100), work, limit=7)]
    assert sorted(found) == list(range(100))
    assert most == 7


async def test_jobs_are_drawn_only_when_there_is_room() -> None:
    drawn: list[int] = []

    async def work(job: Job) -> int:
        return job.index

    async with aclosing(LocalExecutor().run(jobs(10_000, drawn), work, limit=3)) as answers:
        async for _ in answers:
            break
    assert len(drawn) <= 6


async def test_errors_are_answers_and_an_early_end_cancels() -> None:
    before, cancelled = Leftovers(), []

    async def work(job: Job) -> None:
        if job.index == 0:
            raise ValueError("first")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(job.index)
            raise

    async with aclosing(LocalExecutor().run(jobs(4), work, limit=4)) as answers:
        async for done in answers:
            assert str(done.error) == "first"
            break
    assert sorted(cancelled) == [1, 2, 3]
    assert await before.new_after_a_moment() == []


class Elsewhere(Executor):
    """Sends every job as JSON to another runtime, as a distributed executor would."""

    name = "elsewhere"

    def __init__(self, far: Runtime) -> None:
        self.far = far
        self.sent: list[str] = []

    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        for job in jobs:
            if not job.portable:
                yield Done(job.index, await work(job))
                continue
            self.sent.append(json.dumps(job.to_dict()))
            answer = json.dumps(await perform_job(self.far, json.loads(self.sent[-1])))
            yield Done(job.index, json.loads(answer))


@pytest.fixture
def runtime_config() -> dict[str, Any]:
    return {"workflows": {"executor": "elsewhere"}}


async def test_a_strangers_executor_takes_the_jobs_of_a_map_reduce(make_runtime: Any) -> None:
    near, far = await make_runtime(), await make_runtime()
    executor = Elsewhere(far)
    near.registry.register("executors", "elsewhere", executor)
    table = {
        "items": [1, 2, 3],
        "map_step": {"tool": "calculator", "input": {"input": "{{item}} * {{input.factor}} + {{shared.plus}}"}},
        "reduce_step": {"execute": lambda c: sum(c["map"]["results"])},
    }
    workflow = near.workflows.make("map_reduce", table)
    workflow.shared["plus"] = 1
    output = await near.run_workflow(workflow, {"factor": 10})
    assert (output.metadata.extra["map_results"], output.metadata.extra["output"]) == ([11, 21, 31], 63)
    assert len(executor.sent) == 3


async def test_a_job_that_fails_elsewhere_fails_here(make_runtime: Any) -> None:
    near, far = await make_runtime(), await make_runtime()
    near.registry.register("executors", "elsewhere", Elsewhere(far))
    workflow = near.workflows.make("map_reduce", {"items": [1], "map_step": {"tool": "ghost"}})
    with pytest.raises(WorkflowError, match="Tool 'ghost' not found"):
        await near.run_workflow(workflow)


async def test_what_is_no_executor_is_a_plugin_error(make_runtime: Any) -> None:
    runtime = await make_runtime()
    runtime.registry.register("executors", "elsewhere", object())
    workflow = runtime.workflows.make("map_reduce", {"items": [1], "map_step": {"execute": lambda _c: 1}})
    with pytest.raises(PluginError, match="is not an Executor"):
        await runtime.run_workflow(workflow)


class TestLocal(ExecutorContract):
    executor_class = LocalExecutor
    example: ClassVar = {"tool": "calculator", "input": {"input": "{{item}} * 2"}}
    items: ClassVar = [1, 2, 3]
    outputs: ClassVar = [2, 4, 6]


class Loses(LocalExecutor):
    """Forgets the last answer."""

    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        found = [done async for done in super().run(jobs, work, limit=limit)]
        for done in found[:-1]:
            yield done


class Repeats(LocalExecutor):
    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        async for done in super().run(jobs, work, limit=limit):
            yield done
            yield done


class Raises(Executor):
    name = "raises"
    description = "Lets errors of jobs out."

    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        for job in jobs:
            yield Done(job.index, await work(job))


class Eager(LocalExecutor):
    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        taken = [job for job, _ in zip(jobs, range(10_000), strict=False)]
        async with aclosing(super().run(taken, work, limit=limit)) as answers:
            async for done in answers:
                yield done


class Unbounded(LocalExecutor):
    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        async with aclosing(super().run(jobs, work, limit=limit * 3)) as answers:
            async for done in answers:
                yield done


class Leaves(LocalExecutor):
    """Runs on when nobody listens any more."""

    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        async def one(job: Job) -> Done:
            return Done(job.index, await work(job))

        for task in [asyncio.get_running_loop().create_task(one(job)) for job in jobs]:
            yield await task


def suite(kind: type[Executor]) -> ExecutorContract:
    return type("Broken", (ExecutorContract,), {"executor_class": kind})()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "test", "arguments"),
    [
        (Loses, "test_every_job_is_answered_once", {}),
        (Repeats, "test_every_job_is_answered_once", {}),
        (Raises, "test_an_error_is_an_answer", {}),
        (Raises, "test_a_question_to_a_person_is_an_answer_too", {}),
        (Eager, "test_jobs_are_drawn_as_there_is_room", {}),
        (Unbounded, "test_no_more_than_the_limit_run_at_once", {"limit": 4}),
        (Leaves, "test_closing_early_cancels_the_rest", {}),
        (Leaves, "test_cancelling_leaves_nothing_behind", {"moment": 0.002}),
    ],
)
async def test_a_broken_executor_is_caught(kind: Any, test: str, arguments: Any) -> None:
    await getattr(suite(LocalExecutor), test)(**arguments)
    with pytest.raises((Exception, pytest.fail.Exception)):
        await getattr(suite(kind), test)(**arguments)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


@pytest.mark.parametrize(
    ("kind", "text"), [(Loses, "left 1 jobs without an answer"), (Repeats, r"answered job \d, which does not wait")]
)
async def test_an_executor_that_miscounts_is_named(make_runtime: Any, kind: Any, text: str) -> None:
    runtime = await make_runtime()
    runtime.registry.register("executors", "elsewhere", kind())
    workflow = runtime.workflows.make("map_reduce", {"items": [1, 2], "map_step": {"execute": lambda _c: 1}})
    with pytest.raises(PluginError, match=text):
        await runtime.run_workflow(workflow)


async def test_ten_thousand_targets_do_not_wait_in_memory(make_runtime: Any) -> None:
    """However many there are, no more jobs exist than are under way, and each job holds what it needs itself."""
    runtime = await make_runtime()
    alive: set[int] = set()
    most = 0

    class Counting(LocalExecutor):
        async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
            def counted() -> Iterator[Job]:
                nonlocal most
                for job in jobs:
                    alive.add(job.index)
                    most = max(most, len(alive))
                    assert not job.outputs
                    yield job

            async with aclosing(super().run(counted(), work, limit=limit)) as answers:
                async for done in answers:
                    alive.discard(done.index)
                    yield done

    runtime.registry.register("executors", "elsewhere", Counting())
    before = len(asyncio.all_tasks())
    tasks: list[int] = []

    async def work(context: dict[str, Any]) -> int:
        tasks.append(len(asyncio.all_tasks()) - before)
        return int(context["execution_id"] != "")

    targets = [{"name": f"t{i}", "execute": work} for i in range(10_000)]
    table = {"targets": targets, "max_concurrency": 8}
    output = await runtime.run_workflow(runtime.workflows.make("fan_out", table))
    assert output.metadata.extra["successful_targets"] == 10_000
    assert most <= 16
    assert max(tasks) <= 9
