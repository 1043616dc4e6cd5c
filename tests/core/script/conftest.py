from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from llmspell_core.errors import ScriptError, ToolError
from llmspell_core.script.api import ScriptApi
from llmspell_core.script.declare import Function, Global, Handle, Param
from llmspell_core.script.engine import ScriptEngine
from llmspell_core.script.host import ScriptSession
from llmspell_core.script.result import Limits, ScriptResult


class Hostile(ScriptEngine):
    """Runs Python in the worker: for tests of the host side."""

    name = "hostile"
    language = "python"
    extensions: ClassVar[tuple[str, ...]] = (".py",)
    vm = "hostile_vm:HostileVM"
    library = "json"

    def import_paths(self) -> list[str]:
        import llmspell_core

        return [str(Path(llmspell_core.__file__).parent.parent), str(Path(__file__).parent / "hostile")]


async def _wait(_scope: Any, seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def _call(scope: Any, function: int, value: Any) -> Any:
    return await scope.callback(function)(value)


def _busy(_scope: Any) -> None:
    """Neither gives the loop its turn nor lets itself be stopped by an ordinary exception."""
    while True:
        with contextlib.suppress(Exception):
            sum(range(1000))


async def _busy_later(scope: Any) -> None:
    await asyncio.sleep(0)
    _busy(scope)


def _fail(_scope: Any) -> None:
    raise ToolError("no nail", hint="Buy one.", tool_name="hammer")


class Box:
    def __init__(self) -> None:
        self.items: list[Any] = []


class Bench:
    engine = Hostile

    def __init__(self) -> None:
        self.printed: list[tuple[str, str]] = []
        self.posted: list[Any] = []
        self.pids: list[int] = []
        self.api = ScriptApi(
            (
                Global(
                    "Test",
                    handles=(
                        Handle(
                            "Box", methods=(Function("put", lambda _s, box, v: box.items.append(v), (Param("v"),)),)
                        ),
                    ),
                    functions=(
                        Function("echo", lambda _s, v: v, (Param("value"),)),
                        Function("wait", _wait, (Param("seconds", "number"),), blocking=True),
                        Function("call", _call, (Param("f", "function"), Param("value")), blocking=True),
                        Function("box", lambda _s: Box(), returns="Box"),
                        Function("fail", _fail),
                        Function("busy", _busy),
                        Function("busy_later", _busy_later, blocking=True),
                        Function("note", lambda _s, v: self.posted.append(v), (Param("value"),), post=True),
                    ),
                ),
            )
        )

    @asynccontextmanager
    async def session(self, engine: ScriptEngine | None = None, **options: Any) -> AsyncIterator[ScriptSession]:
        interactive = options.pop("interactive", False)
        session = await ScriptSession.open(
            engine or self.engine(),
            self.api,
            None,
            limits=Limits(**{"timeout": 10.0, "memory_bytes": 256 * 1024 * 1024, **options}),
            output=lambda stream, text: self.printed.append((stream, text)),
            interactive=interactive,
        )
        self.pids.append(session.scope.process_id)
        try:
            yield session
        finally:
            await session.close()

    async def result(self, source: str, **options: Any) -> ScriptResult:
        async with self.session(**options) as session:
            return await session.run(source, name="script.py")

    async def value(self, source: str, **options: Any) -> Any:
        return (await self.result(source, **options)).value

    async def error(self, source: str, **options: Any) -> ScriptError:
        with pytest.raises(ScriptError) as caught:
            await self.result(source, **options)
        return caught.value


@pytest.fixture
def worker() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for pid in bench.pids:  # no worker may outlive its session
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
