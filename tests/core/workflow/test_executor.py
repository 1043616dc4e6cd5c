"""The executor: bounded, lazy, ordered by readiness, clean at the end; and a stranger's one that runs jobs elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import PluginError, WorkflowError
from llmspell_core.executor import Done, Executor, Job, LocalExecutor, Work
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
