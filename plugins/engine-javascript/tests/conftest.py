from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from llmspell_engine_javascript.engine import JavaScriptEngine

from llmspell_core.errors import ScriptError, ToolError
from llmspell_core.script.api import ScriptApi
from llmspell_core.script.declare import Builder, Function, Global, Handle, Param, Setter
from llmspell_core.script.globals import debug, json
from llmspell_core.script.host import ScriptSession
from llmspell_core.script.result import Limits, ScriptResult

MB = 1024 * 1024


class Meter:
    """Counts how many calls are under way at one time."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.calls = 0

    async def wait_for(self, others: int) -> int:
        """Returns when `others` calls are under way together."""
        self.now += 1
        self.calls += 1
        self.most = max(self.most, self.now)
        async with asyncio.timeout(5):
            while self.most < others:
                await asyncio.sleep(0.001)
        self.now -= 1
        return self.most


class Counter:
    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0

    def add(self, n: int) -> int:
        self.total += n
        return self.total


def _text(size: int, piece: str) -> str:
    """About so many bytes of `piece`."""
    return piece * (size // len(piece.encode()) + 1)


async def _text_later(_scope: Any, size: int, piece: str) -> str:
    await asyncio.sleep(0)
    return _text(size, piece)


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


async def _fail(_scope: Any, message: str) -> None:
    raise ToolError(message, hint="Do it differently.", tool_name="hammer")


def _fail_now(_scope: Any, message: str) -> None:
    raise ToolError(message, hint="Do it differently.", tool_name="hammer")


def _keep(scope: Any, function: int) -> None:
    scope.data.setdefault("kept", []).append(scope.callback(function))


def _find(_scope: Any, name: str) -> str | None:
    return None if name == "nothing" else f"found {name}"


ANY = Param("value", "any")
FUNCTION = Param("f", "function")
VALUES = Param("values", "array")
COUNTER = Handle(
    "Counter",
    fields=("name",),
    methods=(
        Function("add_up", lambda _s, counter, n: counter.add(n), (Param("n", "integer"),)),
        Function("numbers", lambda s, counter: _numbers(s, counter.total), returns="stream", blocking=True),
    ),
)
BUILDER = Builder(
    "builder",
    (
        Setter("system_prompt", Param("prompt", "string")),
        Setter("tool", Param("name", "string"), field="tools", mode="append"),
        Setter("settings", Param("settings", "object"), mode="merge"),
        Setter("fast", value=True, field="speed"),
    ),
    Function("build", lambda _s, fields: fields),
)
FUNCTIONS = (
    Function("echo", lambda _s, value: value, (ANY,)),
    Function("text", lambda _s, size, piece: _text(size, piece), (Param("size", "integer"), Param("piece", "string"))),
    Function("text_later", _text_later, (Param("size", "integer"), Param("piece", "string")), blocking=True),
    Function("size", lambda _s, text: len(text.encode()), (Param("text", "string"),)),
    Function("rows", lambda _s, n: [{"n": i, "name": f"row {i}"} for i in range(n)], (Param("n", "integer"),)),
    Function("type_of", lambda _s, value: type(value).__name__, (ANY,)),
    Function("later", _later, (ANY, Param("delay", "number", default=0.0)), blocking=True, async_variant=True),
    Function("numbers", _numbers, (Param("count", "integer"),), returns="stream", blocking=True),
    Function("apply", _apply, (FUNCTION, VALUES), blocking=True),
    Function("apply_now", _apply, (FUNCTION, VALUES)),
    Function("apply_together", _apply_together, (FUNCTION, VALUES), blocking=True),
    Function("fail", _fail, (Param("message", "string"),), blocking=True),
    Function("fail_now", _fail_now, (Param("message", "string"),)),
    Function("keep", _keep, (FUNCTION,)),
    Function("counter", lambda _s, name: Counter(name), (Param("name", "string"),), "Counter"),
    Function("configure", lambda _s, options: options, (Param("options", "object", options=True),)),
    Function("define", lambda _s, spec: spec, (Param("spec", "object", callbacks=("handler",)),)),
)


def _global(meter: Meter, posted: list[Any]) -> Global:
    return Global(
        "Test",
        doc="What the tests call.",
        constants={"LIMIT": 7},
        handles=(COUNTER,),
        functions=(
            *FUNCTIONS,
            Function("together", lambda _s, n: meter.wait_for(n), (Param("n", "integer"),), blocking=True),
            Function("note", lambda _s, value: posted.append(value), (ANY,), post=True),
        ),
        builders=(BUILDER,),
        subglobals=(Global("Sub", functions=(Function("answer", lambda _s: 42),)),),
        index=Function("find", _find, (Param("name", "string"),)),
    )


MODULES = {
    "lib.js": "const secret = 41;\nexports.answer = () => secret + 1;",
    "broken.js": "exports.x = 1;\nthrow new Error('no good');",
    "data.json": '{"a": [1, 2]}',
    "inner/counted.js": "exports.again = require('lib'); exports.times = globalThis.times = (globalThis.times || 0) + 1;",
}


class Bench:
    """Runs scripts against the test's globals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meter = Meter()
        self.posted: list[Any] = []
        self.printed: list[tuple[str, str]] = []
        self.api = ScriptApi((_global(self.meter, self.posted), json.GLOBAL, debug.GLOBAL))

    @asynccontextmanager
    async def session(self, *, interactive: bool = False, **limits: Any) -> AsyncIterator[ScriptSession]:
        profile = limits.pop("profile", "medium")
        bounds = Limits(**{"timeout": 5.0, "memory_bytes": 64 * MB, **limits})
        session = await ScriptSession.open(
            JavaScriptEngine(),
            self.api,
            None,
            profile=profile,
            limits=bounds,
            output=lambda stream, text: self.printed.append((stream, text)),
            interactive=interactive,
        )
        try:
            yield session
        finally:
            await session.close()

    async def result(self, source: str | bytes, *, args: Any = (), **limits: Any) -> ScriptResult:
        async with self.session(**limits) as session:
            return await session.run(source, name="script.js", args=args, directory=str(self.folder))

    async def value(self, source: str, **limits: Any) -> Any:
        return (await self.result(source, **limits)).value

    async def error(self, source: str | bytes, **limits: Any) -> ScriptError:
        with pytest.raises(ScriptError) as caught:
            await self.result(source, **limits)
        return caught.value

    async def output(self, source: str) -> str:
        await self.result(source)
        return "".join(text for _, text in self.printed)


@pytest.fixture
def js(tmp_path: Path) -> Bench:
    for name, source in MODULES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
    return Bench(tmp_path)


Cell = Callable[[str], Awaitable[ScriptResult]]


@pytest.fixture
async def cell(js: Bench) -> AsyncIterator[Cell]:
    """Runs cells of one interactive session."""
    async with js.session(interactive=True) as session:

        async def run(source: str) -> ScriptResult:
            return await session.run(source, name="cell", mode="cell")

        run.session = session  # type: ignore[attr-defined]
        yield run
