"""Executors: how the many calls of a fan-out or a map-reduce are run. The contract, and the one for this process.

A job is plain data wherever possible, so that an executor may send it to another machine: a process there hands
`job.to_dict()` to `llmspell_core.workflow.perform_job(runtime, data)` with a runtime of its own. An executor that stays
here awaits `work(job)`. Workflows see no difference.

    [project.entry-points."llmspell.executors"]
    cluster = "llmspell_executor_cluster:ClusterExecutor"

    [workflows]            # configuration
    executor = "cluster"
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from llmspell_core.messages import Record

__all__ = ["Done", "Executor", "Job", "LocalExecutor", "Work"]


@dataclass(frozen=True, slots=True)
class Job(Record):
    """One call to be made.

    Attributes:
        index: position among the jobs of one run; answers carry it.
        step: the step's table, as scripts write it.
        input: the fields of the workflow's input.
        variables: what placeholders of the step may name besides (`item`, `current_index`, ...).
        shared: the workflow's shared data when the job was made.
        outputs: of the steps that ran before.
        config: the workflow's `WorkflowConfig`.
        portable: False when the step holds something that exists in this process only (a function, an instance).
    """

    index: int
    step: dict[str, Any]
    input: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    portable: bool = True


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to a job: what `work` returned, or the exception it raised."""

    index: int
    value: Any = None
    error: Exception | None = None


BEGUN_AT_ONCE = 64
"""Jobs that are begun in one turn of the event loop, however many may run at once."""
Work = Callable[[Job], Awaitable[Any]]


class Executor(ABC):
    """Runs jobs, at most `limit` at one time."""

    name: ClassVar[str]
    description: ClassVar[str] = ""

    @abstractmethod
    def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        """The answers, in the order in which they are ready.

        `jobs` is drawn from only as fast as there is room, so it may be endless. Whoever closes the iterator early gets
        everything that is still running cancelled before `aclose` returns.
        """

    async def close(self) -> None:
        """Release what is held; called once, when the runtime ends."""


class LocalExecutor(Executor):
    """In this process, as tasks of the caller's event loop."""

    name = "local"
    description = "Runs jobs concurrently in this process."

    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        waiting = iter(jobs)
        running: set[asyncio.Task[Done]] = set()
        finished: asyncio.Queue[asyncio.Task[Done]] = asyncio.Queue()
        try:
            await _fill(running, finished, waiting, work, max(1, limit))
            while running:
                task = await finished.get()
                running.discard(task)
                yield task.result()
                await _fill(running, finished, waiting, work, max(1, limit))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _fill(
    running: set[asyncio.Task[Done]],
    finished: asyncio.Queue[asyncio.Task[Done]],
    waiting: Iterator[Job],
    work: Work,
    limit: int,
) -> None:
    loop = asyncio.get_running_loop()
    begun = 0
    while len(running) < limit:
        job = next(waiting, None)
        if job is None:
            return
        task = loop.create_task(_answer(job, work))
        task.add_done_callback(finished.put_nowait)
        running.add(task)
        begun += 1
        if begun % BEGUN_AT_ONCE == 0:
            await asyncio.sleep(0)  # the loop runs all that is ready before it serves anybody else


async def _answer(job: Job, work: Work) -> Done:
    try:
        return Done(job.index, await work(job))
    except Exception as error:  # noqa: BLE001 - the caller decides what a failed job means
        return Done(job.index, error=error)
