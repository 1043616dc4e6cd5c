"""A chain of models, given as a list, wherever a model is named: the first server is down, the second answers."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.agent import AgentConfig
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Reply
from llmspell_core.trace import Span

pytestmark = pytest.mark.usefixtures("isolated")
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m2-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "From the second."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}
CHAIN = ["first/m1", "second/m2"]


class Watcher:
    """Keeps the spans of model calls."""

    def __init__(self) -> None:
        self.calls: list[Span] = []

    def started(self, span: Span) -> None: ...

    def ended(self, span: Span) -> None:
        self.calls += [span] if span.kind == "model" else []

    def close(self) -> None: ...


@pytest.fixture
async def tables() -> AsyncIterator[dict[str, Any]]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    down = {"provider_type": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "key-1", "max_retries": 0}
    async with FakeServer(Reply(body=ANSWER)) as server:
        yield {"first": down, "second": down | {"base_url": f"{server.url}/v1"}}


def check(runtime: Runtime, watcher: Watcher) -> None:
    """The second answered, the trace says instead of whom, and each is counted by itself."""
    (span,) = watcher.calls
    assert span.model == "second/m2-2026"
    assert str(span.attributes["instead_of"]).startswith("first/m1 (NetworkError: first cannot be reached")
    rows = {(row.provider, row.model): (row.requests, row.errors) for row in runtime.providers.totals.rows()}
    assert rows == {("first", "m1"): (1, 1), ("second", "m2"): (1, 0)}
    assert runtime.metrics.get("provider.tokens") == runtime.providers.totals.whole().total_tokens == 7


SCRIPTS = {
    "lua builder": ("lua", 'print(Agent.builder():model({"first/m1", "second/m2"}):build():execute("Hi.").text)'),
    "lua create": ("lua", 'print(Agent.create{model={"first/m1", "second/m2"}}:execute("Hi.").text)'),
    "lua comma": ("lua", 'print(Agent.builder():model("first/m1, second/m2"):build():execute("Hi.").text)'),
    "js builder": (
        "javascript",
        'const a = Agent.builder().model(["first/m1", "second/m2"]).build(); console.log((await a.execute("Hi.")).text)',
    ),
    "js create": (
        "javascript",
        'const a = await Agent.create({model: ["first/m1", "second/m2"]}); console.log((await a.execute("Hi.")).text)',
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_in_scripts(tables: dict[str, Any], name: str) -> None:
    engine, source = SCRIPTS[name]
    async with Runtime({"providers": tables}) as runtime:
        runtime.observe(watcher := Watcher())
        result = await runtime.run_script(source=source, engine=engine)
        assert result.output.strip() == "From the second."
        check(runtime, watcher)


async def test_in_python(tables: dict[str, Any]) -> None:
    async with Runtime({"providers": tables}) as runtime:
        runtime.observe(watcher := Watcher())
        agent = runtime.agents.builder().name("a").model(CHAIN).build()
        output = await runtime.run_agent(agent, "Hi.")
        assert output.text == "From the second."
        assert output.metadata.model == "second/m2-2026"
        check(runtime, watcher)


async def test_in_the_configuration_of_an_agent(tables: dict[str, Any]) -> None:
    async with Runtime({"providers": tables}) as runtime:
        runtime.observe(watcher := Watcher())
        output = await runtime.run_agent(runtime.agents.create(AgentConfig("a", model=CHAIN)), "Hi.")
        assert output.text == "From the second."
        check(runtime, watcher)


async def test_as_the_default_of_a_provider_in_a_file(
    tables: dict[str, Any], trusted_settings: Callable[[str], Path]
) -> None:
    lines = ["[providers]", 'default_provider = "first"']
    for name, table in tables.items():
        lines += [f"[providers.{name}]", *(f"{k} = {v!r}" for k, v in table.items())]
        lines += ['default_model = ["m1", "second/m2"]'] if name == "first" else []
    path = trusted_settings("\n".join(lines))
    async with Runtime(cwd=path.parent) as runtime:
        runtime.observe(watcher := Watcher())
        agent = runtime.agents.builder().name("a").build()
        assert (await runtime.run_agent(agent, "Hi.")).text == "From the second."
        check(runtime, watcher)
