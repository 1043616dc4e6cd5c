"""Scripts: starting one from the command line, and what a host call costs against a bare echo over a socket pair."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

from benchmarks.measure import Row, alternate, command, report, within
from llmspell_core.plugins.catalog import Catalog
from llmspell_core.plugins.registry import Registry
from llmspell_core.script.api import ScriptApi
from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.script.host import ScriptSession

CALLS = 5_000
WARM_UP = 500
ROUNDS = 5
PROGRAM = "import sys; from llmspell_core.cli import main; sys.exit(main(sys.argv[1:]))"
LANGUAGES = {"lua": "print(1)", "javascript": "console.log(1)"}
LOOPS = {
    "lua": "for i = 1, {count} do Bench.echo('0123456789') end",
    "javascript": "for (let i = 0; i < {count}; i++) Bench.echo('0123456789')",
}
AWAITED = {
    "lua": "for i = 1, {count} do Bench.echo_async('0123456789'):await() end",
    "javascript": "for (let i = 0; i < {count}; i++) await Bench.echo('0123456789')",
}
# The nearest peer's `--version` took 42 times a bare Python on one machine; half of that is the budget.
BARE_PYTHONS = 21

ECHO = """
import socket, sys
link = socket.socket(fileno=int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    link.send(b'\\0\\0\\0\\x24["call",1,"Bench.echo",["0123456789"],1]')
    link.recv(65536)
"""


class Clock:
    """Microseconds per call between the end of the warm-up and the last call."""

    def __init__(self) -> None:
        self.calls = 0
        self.begin = self.end = 0.0

    def tick(self) -> None:
        self.calls += 1
        if self.calls == WARM_UP:
            self.begin = time.perf_counter()
        elif self.calls == WARM_UP + CALLS:
            self.end = time.perf_counter()

    def us(self) -> float:
        return (self.end - self.begin) / CALLS * 1e6


class Echo(asyncio.Protocol):
    def __init__(self, clock: Clock, done: asyncio.Future[None]) -> None:
        self.clock, self.done = clock, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self.clock.tick()
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(None)


def echo_child() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        arguments = [sys.executable, "-I", "-S", "-c", ECHO, str(number), str(WARM_UP + CALLS)]
        return ours, subprocess.Popen(arguments, pass_fds=[number])


@contextlib.contextmanager
def child_on(cores: tuple[int, int] | None) -> Iterator[None]:
    """Processes started inside belong to the second core, this one to the first."""
    if cores is None:
        yield
        return
    os.sched_setaffinity(0, {cores[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {cores[0]})


def placements() -> dict[str, tuple[int, int] | None]:
    """Where the two processes run; left to luck, the same call takes 10 us or 45."""
    if not hasattr(os, "sched_getaffinity"):
        return {"anywhere": None}
    first, *others = sorted(os.sched_getaffinity(0))
    found: dict[str, tuple[int, int] | None] = {"one core": (first, first)}
    return {**found, "two cores": (first, others[0])} if others else found


async def bare(cores: tuple[int, int] | None) -> float:
    """The same bytes through the same kind of socket, without anything that looks at them."""
    clock, loop = Clock(), asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    with child_on(cores):
        ours, child = echo_child()
    await loop.create_connection(lambda: Echo(clock, done), sock=ours)
    await done
    child.wait()
    return clock.us()


async def called(language: str, cores: tuple[int, int] | None, *, awaited: bool = False) -> float:
    """`Bench.echo` in a loop, through declaration, validation, prelude and both codecs.

    Args:
        awaited: the handler is a coroutine, and the script awaits a task or a promise of it.
    """
    clock = Clock()

    async def later(_scope: Any, value: str) -> str:
        return echo(_scope, value)

    def echo(_scope: Any, value: str) -> str:
        clock.tick()
        return value

    handler: Callable[..., Any] = later if awaited else echo
    function = Function("echo", handler, (Param("value", "string"),), "string", blocking=awaited, async_variant=awaited)
    declared = Global("Bench", functions=(function,))
    engine = Registry(Catalog.load()).get("engines", language)
    with child_on(cores):
        session = await ScriptSession.open(engine, ScriptApi([declared]), None)
    try:
        await session.run((AWAITED if awaited else LOOPS)[language].format(count=WARM_UP + CALLS))
    finally:
        await session.close()
    return clock.us()


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    with contextlib.suppress(ImportError):
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    return found


def timed(work: Callable[[], Coroutine[Any, Any, float]], loop: Callable[[], asyncio.AbstractEventLoop]) -> float:
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work())


def host_calls() -> list[Row]:
    everywhere = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    places = placements()
    rows = [row for name, loop in loops().items() for row in host_calls_on(name, loop, places)]
    if everywhere is not None:
        os.sched_setaffinity(0, everywhere)
    return rows


def host_calls_on(
    name: str, loop: Callable[[], asyncio.AbstractEventLoop], places: Mapping[str, tuple[int, int] | None]
) -> list[Row]:
    rows = []
    for place, cores in places.items():
        works = {"bare": partial(timed, partial(bare, cores), loop)}
        works |= {language: partial(timed, partial(called, language, cores), loop) for language in LANGUAGES}
        later = partial(called, awaited=True)
        works |= {f"{each} awaited": partial(timed, partial(later, each, cores), loop) for each in LANGUAGES}
        usual = alternate(works, ROUNDS, median)
        rows += [
            Row(f"awaited call, {each}, {name}, {place}", "us", usual[f"{each} awaited"], usual[each], "host call")
            for each in LANGUAGES
        ]
        rows += [
            within(2, f"host call, {language}, {name}, {place}", "us", usual[language], usual["bare"], "bare echo")
            for language in LANGUAGES
        ]
    return rows


def exec_rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, "LLMSPELL_CACHE_DIR": str(Path(folder) / "cache")}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, every start compiles the whole program
        works = {"bare": command([sys.executable, "-c", "pass"], variables)}
        for language, source in LANGUAGES.items():
            words = ["exec", "--engine", language, source]
            works[language] = command([sys.executable, "-c", PROGRAM, *words], variables)
        for work in works.values():
            work()
        best = alternate(works, 7)
    return [
        within(BARE_PYTHONS, f"exec '{source}'", "ms", best[language], best["bare"], "python -c pass")
        for language, source in LANGUAGES.items()
    ]


def main() -> None:
    report([*exec_rows(), *host_calls()])


if __name__ == "__main__":
    main()
