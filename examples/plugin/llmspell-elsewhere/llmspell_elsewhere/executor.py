"""Jobs in a process of their own. The other side is `llmspell_elsewhere.worker`; each line between them is JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from typing import Any, Self

from llmspell_core.errors import ComponentError
from llmspell_core.executor import Done, Executor, Job, LocalExecutor, Work

LONGEST = 2**26  # bytes of one answer


class Elsewhere(Executor):
    """What holds a function cannot leave this process; everything else does."""

    name = "elsewhere"
    description = "Runs jobs in a process of their own."

    async def run(self, jobs: Iterable[Job], work: Work, *, limit: int) -> AsyncGenerator[Done, None]:
        async with Child() as child:

            async def there(job: Job) -> Any:
                return await (child.perform(job) if job.portable else work(job))

            async with aclosing(LocalExecutor().run(jobs, there, limit=limit)) as answers:
                async for done in answers:
                    yield done


class Child:
    """The other process. It begins with the first job and ends with the run."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is None or self._reader is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.gather(self._reader, self._process.wait(), return_exceptions=True)

    async def perform(self, job: Job) -> Any:
        async with self._starting:
            if self._process is None:
                await self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._waiting[job.index] = answer = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps(job.to_dict()).encode() + b"\n")
        return await answer

    async def _start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "llmspell_elsewhere.worker")
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LONGEST)
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            found = json.loads(line)
            answer = self._waiting.pop(found["index"])
            if answer.done():
                continue  # nobody waits for it any more
            if "error" in found:
                answer.set_exception(ComponentError(found["error"]))
            else:
                answer.set_result(found["result"])
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ComponentError("the other process has ended", hint="Look at its error output."))
