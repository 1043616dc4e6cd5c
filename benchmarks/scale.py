"""Scripts in numbers: starting cold and warm, big values, long streams, many that wait at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Row, report, within
from llmspell_core.plugins.catalog import Catalog
from llmspell_core.plugins.registry import Registry
from llmspell_core.script.api import ScriptApi
from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.script.engine import ScriptEngine
from llmspell_core.script.host import ScriptSession
from llmspell_core.script.process import WorkerPool, WorkerProcess
from llmspell_core.script.result import ScriptResult

ENGINES = Registry(Catalog.load())
SUSPENDED = 200
CHUNKS = 10_000
TRIPS = 500
MESSAGES = [{"role": "user", "content": "x" * 200, "meta": {"id": number, "tags": ["a", "b"]}} for number in range(50)]
STARTS = {"lua": "return 1", "javascript": "1"}
LOOPS = {
    "lua": "local s = 0 for i = 1, 20000000 do s = s + i % 7 end return s",
    "javascript": "let s = 0; for (let i = 0; i < 10000000; i++) s += i % 7; s",
}
DOCUMENTS = {
    "lua": f"local d = Bench.echo(Bench.document()) for i = 1, {TRIPS} do d = Bench.echo(d) end",
    "javascript": f"let d = Bench.echo(Bench.document()); for (let i = 0; i < {TRIPS}; i++) d = Bench.echo(d)",
}
STREAMS = {
    "lua": "local n = 0 for chunk in Bench.stream() do n = n + 1 end return n",
    "javascript": "let n = 0; for await (const chunk of Bench.stream()) n++; return n",
}
WAITS = {"lua": "Bench.wait()", "javascript": "await Bench.wait()"}


class Bench:
    """The global `Bench` and what it remembers."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.waiting = 0
        self.everybody, self.released = asyncio.Event(), asyncio.Event()
        self.api = ScriptApi(
            [
                Global(
                    "Bench",
                    functions=(
                        Function("document", lambda _scope: MESSAGES, (), "array"),
                        Function("echo", self.echo, (Param("value", "any"),), "any"),
                        Function("stream", self.stream, (), "stream"),
                        Function("wait", self.wait, (), "any", blocking=True),
                    ),
                )
            ]
        )

    def echo(self, _scope: Any, value: Any) -> Any:
        self.times.append(time.perf_counter())
        return value

    async def stream(self, _scope: Any) -> AsyncIterator[str]:
        for number in range(CHUNKS):
            yield f"chunk {number}"

    async def wait(self, _scope: Any) -> None:
        self.waiting += 1
        if self.waiting == SUSPENDED:
            self.everybody.set()
        await self.released.wait()

    async def run(self, engine: ScriptEngine, source: str, worker: WorkerProcess | None = None) -> ScriptResult:
        session = await ScriptSession.open(engine, self.api, None, worker=worker)
        try:
            return await session.run(source)
        finally:
            await session.close()


def engine_of(language: str) -> ScriptEngine:
    found: ScriptEngine = ENGINES.get("engines", language)
    return found


async def start(language: str) -> Row:
    """A whole script that does nothing: with a worker of its own, and with one that waited."""
    engine, bench = engine_of(language), Bench()
    cold, warm = [], []
    pool = WorkerPool(engine, 1)
    for _ in range(7):
        started = time.perf_counter()
        await bench.run(engine, STARTS[language])
        cold.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.2)  # until the pool's worker has booted
        started = time.perf_counter()
        await bench.run(engine, STARTS[language], pool.take())
        warm.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.2)
    await pool.close()
    return Row(f"script start, {language}, warm", "ms", median(warm), median(cold), "cold")


async def document(language: str) -> Row:
    bench = Bench()
    await bench.run(engine_of(language), DOCUMENTS[language])
    ours = (bench.times[-1] - bench.times[0]) / (len(bench.times) - 1) * 1e6
    started = time.perf_counter()
    for _ in range(TRIPS):
        json.loads(json.dumps(MESSAGES))
    codec = (time.perf_counter() - started) / TRIPS * 1e6
    size = len(json.dumps(MESSAGES)) // 1000
    return Row(f"{size} kB document both ways, {language}", "us", ours, codec, "json.dumps + json.loads")


async def stream(language: str) -> Row:
    bench, started = Bench(), time.perf_counter()
    result = await bench.run(engine_of(language), STREAMS[language])
    assert result.value == CHUNKS, result
    return Row(f"stream of {CHUNKS:,} chunks, {language}", "us/chunk", (time.perf_counter() - started) / CHUNKS * 1e6)


async def suspended(language: str) -> Row:
    """Memory of one of many scripts that wait for the host: resident and not shared."""
    engine, bench = engine_of(language), Bench()
    workers = [WorkerProcess.spawn(engine) for _ in range(SUSPENDED)]
    tasks = [asyncio.create_task(bench.run(engine, WAITS[language], worker)) for worker in workers]
    await bench.everybody.wait()
    own = [own_bytes(worker.process.pid) for worker in workers]
    bench.released.set()
    await asyncio.gather(*tasks)
    return Row(f"{SUSPENDED} waiting scripts, {language}, each", "MB", sum(own) / len(own) / 1e6)


async def console(language: str) -> Row:
    """A loop as a cell of the console, which an interrupt stops, and as a script."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for is_cell in (True, False) * 5:
        session = await ScriptSession.open(engine_of(language), Bench().api, None, interactive=is_cell)
        await session.run(STARTS[language], mode="cell" if is_cell else "code") if is_cell else None
        started = time.perf_counter()
        await session.run(LOOPS[language], mode="cell" if is_cell else "code")
        taken[is_cell].append((time.perf_counter() - started) * 1000)
        await session.close()
    return within(1.2, f"loop in the console, {language}", "ms", min(taken[True]), min(taken[False]), "as a script")


def own_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        _size, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return 0


async def measured() -> list[Row]:
    return [await work(language) for work in (start, document, stream, console, suspended) for language in STARTS]


def main() -> None:
    report(asyncio.run(measured()))


if __name__ == "__main__":
    main()
