from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from llmspell_engine_lua import Lua

from llmspell_core.config import load_config
from llmspell_core.errors import ScriptError, ToolError
from llmspell_core.policy import Policy
from llmspell_core.script.api import ScriptApi
from llmspell_core.script.declare import Builder, Function, Global, Handle, Param, Setter
from llmspell_core.script.globals import asynchronous, debug, json, streaming
from llmspell_core.script.host import ScriptSession
from llmspell_core.script.result import Limits, ScriptResult

MB = 1024 * 1024


class Counter:
    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0


class Meter:
    """Counts how many calls are under way at one time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def wait_for(self, others: int) -> int:
        """Returns when `others` calls are under way together."""
        self.now += 1
        self.most = max(self.most, self.now)
        async with asyncio.timeout(5):
            while self.most < others:
                await asyncio.sleep(0.001)
        self.now -= 1
        return self.most


class Desk:
    """What globals need of a runtime: a configuration, files and environment behind a policy."""

    def __init__(self, folder: Path) -> None:
        self.config = load_config(environ={}, cwd=folder)
        self.policy = Policy(
            {"allowed_paths": [str(folder / "data")], "working_directory": str(folder), "allowed_env_vars": ["SEEN_*"]},
            environ={"SEEN_X": "yes", "SECRET": "no"},
        )

    def context(self) -> Any:
        from llmspell_core.context import ExecutionContext

        return ExecutionContext(self)  # type: ignore[arg-type]

    def files(self, context: Any) -> Any:
        from llmspell_core.policy import Files

        return Files(self.policy, context)


def _text(size: int, piece: str) -> str:
    """About so many bytes of `piece`."""
    return piece * (size // len(piece.encode()) + 1)


async def _later(_scope: Any, value: Any, delay: float) -> Any:
    await asyncio.sleep(delay)
    return value


async def _numbers(_scope: Any, count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def _apply(scope: Any, function: int, values: list[Any]) -> list[Any]:
    call = scope.callback(function)
    return [await call(value) for value in values]


async def _apply_together(scope: Any, function: int, values: list[Any]) -> list[Any]:
    call = scope.callback(function)
    return list(await asyncio.gather(*(call(value) for value in values)))


def _fail(_scope: Any, message: str) -> None:
    raise ToolError(message, hint="Do it differently.", tool_name="hammer")


def _break(_scope: Any) -> None:
    raise RuntimeError("password=hunter2")


VALUE = Param("value", "any")
FUNCTION = Param("f", "function")


def _functions(meter: Meter, posted: list[Any], kept: list[Any]) -> tuple[Function, ...]:
    return (
        Function("echo", lambda _s, v: v, (VALUE,)),
        Function(
            "text", lambda _s, size, piece: _text(size, piece), (Param("size", "integer"), Param("piece", "string"))
        ),
        Function("size", lambda _s, text: len(text.encode()), (Param("text", "string"),)),
        Function("rows", lambda _s, n: [{"n": i, "name": f"row {i}"} for i in range(n)], (Param("n", "integer"),)),
        Function("type_of", lambda _s, v: type(v).__name__, (VALUE,)),
        Function("strict", lambda _s, *a: list(a), (Param("name", "string"), Param("n", "integer", default=3))),
        Function("list_of", lambda _s, v: type(v).__name__, (Param("items", "array"),)),
        Function("later", _later, (VALUE, Param("delay", "number", default=0.0)), blocking=True, async_variant=True),
        Function(
            "together", lambda _s, n: meter.wait_for(n), (Param("n", "integer"),), blocking=True, async_variant=True
        ),
        Function("numbers", _numbers, (Param("count", "integer"),), returns="stream", blocking=True),
        Function("apply", _apply, (FUNCTION, Param("values", "array")), blocking=True),
        Function("apply_together", _apply_together, (FUNCTION, Param("values", "array")), blocking=True),
        Function("fail", _fail, (Param("message", "string"),), aliases=("failing",)),
        Function("broken", _break),
        Function("keep", lambda s, f: kept.append(s.callback(f)), (FUNCTION,)),
        Function("note", lambda _s, v: posted.append(v), (VALUE,), post=True),
        Function("counter", lambda _s, name: Counter(name), (Param("name", "string"),), "Counter"),
        Function("name_of", lambda s, c: s.get(c).name, (Param("counter", "handle", handle="Counter"),)),
        Function("define", lambda _s, spec: spec, (Param("spec", "object", callbacks=("handler",)),)),
        Function("getThing", lambda _s: "thing"),
    )


BUILDER = Builder(
    "builder",
    (
        Setter("system_prompt", Param("prompt", "string")),
        Setter("tool", Param("name", "string"), field="tools", mode="append"),
        Setter("settings", Param("settings", "object"), mode="merge"),
        Setter("allowed", Param("names", "array")),
        Setter("fast", value=True, field="speed"),
        Setter("on_error", Param("handler", "function")),
    ),
    Function("build", lambda s, fields: s.data.setdefault("built", fields)),
)


def _global(meter: Meter, posted: list[Any], kept: list[Any]) -> Global:
    return Global(
        "Test",
        constants={"LIMIT": 7},
        handles=(
            Handle(
                "Counter",
                fields=("name",),
                methods=(Function("add_up", _add, (Param("n", "integer"),)), Function("total", lambda _s, c: c.total)),
            ),
        ),
        functions=_functions(meter, posted, kept),
        builders=(BUILDER,),
        subglobals=(Global("Sub", functions=(Function("answer", lambda _s: 42),)),),
        index=Function(
            "find", lambda _s, name: None if name == "nothing" else f"found {name}", (Param("name", "string"),)
        ),
    )


def _add(_scope: Any, counter: Counter, n: int) -> int:
    counter.total += n
    return counter.total


class Bench:
    """Runs scripts against the test's globals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.posted: list[Any] = []
        self.kept: list[Any] = []
        self.printed: list[tuple[str, str]] = []
        core = (module.GLOBAL for module in (asynchronous, debug, json, streaming))
        self.api = ScriptApi((_global(Meter(), self.posted, self.kept), *core))
        self.desk = Desk(folder)
        self.pids: list[int] = []

    @asynccontextmanager
    async def session(self, *, variant: str = "lua54", **options: Any) -> AsyncIterator[ScriptSession]:
        profile, interactive = options.pop("profile", "medium"), options.pop("interactive", False)
        session = await ScriptSession.open(
            Lua({"variant": variant}),
            self.api,
            self.desk,
            profile=profile,
            limits=Limits(**{"timeout": 5.0, "memory_bytes": 64 * MB, **options}),
            output=lambda stream, text: self.printed.append((stream, text)),
            interactive=interactive,
        )
        self.pids.append(session.scope.process_id)
        try:
            yield session
        finally:
            await session.close()

    async def result(self, source: str | bytes, *, args: Any = (), **options: Any) -> ScriptResult:
        async with self.session(**options) as session:
            return await session.run(source, name="script.lua", args=args, directory=str(self.folder))

    async def value(self, source: str, **options: Any) -> Any:
        return (await self.result(source, **options)).value

    async def error(self, source: str | bytes, **options: Any) -> ScriptError:
        with pytest.raises(ScriptError) as caught:
            await self.result(source, **options)
        return caught.value

    async def output(self, source: str, **options: Any) -> str:
        await self.result(source, **options)
        return "".join(text for _, text in self.printed)


@pytest.fixture
def lua(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.txt").write_text("hidden")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "tools.lua").write_text("local M = {}\nfunction M.twice(x) return x * 2 end\nreturn M")
    (tmp_path / "broken.lua").write_text("local x = 1\nerror('no good')")
    (tmp_path / "again.lua").write_text("return require('again')")
    (tmp_path / "values.lua").write_text("return {a = 1}")
    bench = Bench(tmp_path)
    yield bench
    for pid in bench.pids:  # no worker may outlive its session
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


Cell = Callable[[str], Awaitable[ScriptResult]]


@pytest.fixture
async def cell(lua: Bench) -> AsyncIterator[Cell]:
    """Runs cells of one interactive session."""
    async with lua.session(interactive=True) as session:

        async def run(source: str) -> ScriptResult:
            return await session.run(source, name="cell", mode="cell")

        run.session = session  # type: ignore[attr-defined]
        yield run
