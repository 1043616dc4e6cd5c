"""A text of 10 MB from a tool to a script: its time against `json.dumps` and `json.loads` of it, and the memory it takes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from pydantic import BaseModel

from benchmarks.measure import Row, report, within
from llmspell_core import ExecutionContext, Runtime, Tool, ToolResult

SIZE = 10_000_000
ROUNDS = 7
TEXT = "All happy families are alike; every unhappy one is so in its own way.\n" * (SIZE // 71)
TIMES, MEMORY = 4, 6
SOURCES = {
    "lua": "local r = Tool.execute('novel', {}) assert(#r.text > 9000000 and r.result.input == r.text)",
    "javascript": "const r = await Tool.execute('novel', {}); if (r.text.length < 9000000) throw new Error('short')",
}


class Nothing(BaseModel):
    pass


class Novel(Tool[Nothing]):
    """Answers as a tool does that has read a file."""

    name = "novel"
    description = "A long text."
    parameters = Nothing

    def __init__(self, started: list[float], text: str) -> None:
        super().__init__()
        self._started = started
        self._text = text

    async def run(self, params: Nothing, ctx: ExecutionContext) -> ToolResult:
        self._started.append(time.perf_counter())
        return ToolResult({"input": self._text}, text=self._text)


def peak(pid: int | str) -> int:
    """Bytes that a process has used at the most since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def forget_peak(pid: int | str) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")


async def one_run(language: str, text: str) -> tuple[float, int]:
    """Milliseconds between the tool's start and the end of the script, and the peak of host and worker in bytes."""
    started: list[float] = []
    async with Runtime() as runtime:
        runtime.registry.register("tools", "novel", Novel(started, text))
        engine = runtime.registry.get("engines", language)
        session = await runtime.scripts.open(engine, interactive=True)
        await session.run("1", mode="cell")
        worker = session.scope.process_id
        measured = os.access(f"/proc/{worker}/clear_refs", os.W_OK)
        before = 0
        if measured:
            for pid in ("self", worker):
                forget_peak(pid)
                before += peak(pid)
        await session.run(SOURCES[language], mode="cell")
        taken = (time.perf_counter() - started[-1]) * 1000
        memory = peak("self") + peak(worker) - before if measured else 0
        await session.close()
    return taken, memory


def there_and_back(text: str) -> float:
    begin = time.perf_counter()
    json.loads(json.dumps(text, ensure_ascii=False))
    return (time.perf_counter() - begin) * 1000


def size_rows() -> list[Row]:
    times: dict[str, list[float]] = {"json": [], **{language: [] for language in SOURCES}}
    memory: dict[str, list[int]] = {language: [] for language in SOURCES}
    for _ in range(ROUNDS):
        times["json"].append(there_and_back(TEXT))
        for language in SOURCES:
            taken, used = asyncio.run(one_run(language, TEXT))
            times[language].append(taken)
            memory[language].append(used)
    best = {name: min(values) for name, values in times.items()}
    what = "10 MB text from a tool"
    rows = [
        within(TIMES, f"{what}, {language}", "ms", best[language], best["json"], "json.dumps + json.loads")
        for language in SOURCES
    ]
    rows += [
        within(MEMORY, f"{what}, {language}, peak", "MB", min(used) / 1e6, len(TEXT) / 1e6, "the text")
        for language, used in memory.items()
        if min(used) > 0
    ]
    return rows


def main() -> None:
    report(size_rows())


if __name__ == "__main__":
    main()
