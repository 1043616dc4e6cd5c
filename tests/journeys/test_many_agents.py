"""A thousand agents at once on one runtime, against a server that takes its time."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the limit on open files is read the POSIX way")

COUNT = 1_000
LATENCY = 0.05
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
MOST_BYTES = 60_000
"""Of memory that a run may keep on to: its agent with a conversation, and its part of what is shared."""


def echo(received: Received) -> Reply:
    message = {"role": "assistant", "content": f"re: {received.json()['messages'][-1]['content']}"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    import json

    return Reply(pieces=[LATENCY, json.dumps(body).encode()])


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of a thousand connections live in this process."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * COUNT
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident() -> int:
    path = Path("/proc/self/statm")
    if not path.exists():
        pytest.skip("only Linux tells how much memory is in use now")
    import resource

    return int(path.read_text(encoding="ascii").split()[1]) * resource.getpagesize()


async def test_a_thousand_runs_answer_rightly_and_leave_nothing_behind(
    isolated: Path, many_files: None, record_property: Any
) -> None:
    async with FakeServer(echo) as server:
        table = {"openai": {"base_url": f"{server.url}/v1", "api_key": "sk-many-agents", "max_retries": 0}}
        async with Runtime({"providers": table}) as runtime:
            builder = runtime.agents.builder().model("openai/m")
            agents = [builder.name(f"a{i}").build() for i in range(COUNT)]

            async def everybody(word: str) -> None:
                made = await asyncio.gather(*(runtime.run_agent(a, f"{word} {a.name}") for a in agents))
                assert [o.text for o in made] == [f"re: {word} {a.name}" for a in agents]

            loop = asyncio.get_running_loop()
            await everybody("one")
            gc.collect()
            before, started = resident(), loop.time()
            await everybody("two")
            record_property("runs_per_second", COUNT / (loop.time() - started))
            gc.collect()
            assert resident() - before < COUNT * MOST_BYTES
            assert runtime.metrics.counts["provider.tokens"] == 2 * COUNT * 5
            assert all(agent.state == "Ready" and len(agent.history) == 4 for agent in agents)
            assert others() == []
        await server.all_closed()


def others() -> list[str]:
    """Tasks that are neither this test nor the server's."""
    mine = asyncio.current_task()
    return [str(t) for t in asyncio.all_tasks() if t is not mine and t.get_name() != "fake server"]


async def test_one_of_a_thousand_that_fails_fails_alone_and_cancelling_ends_all(
    isolated: Path, many_files: None
) -> None:
    def answer(received: Received) -> Reply:
        return Reply(500, body={"error": {"message": "down"}}) if b"a7 " in received.body else echo(received)

    async with FakeServer(answer) as server:
        table = {"openai": {"base_url": f"{server.url}/v1", "api_key": "sk-many-agents", "max_retries": 0}}
        async with Runtime({"providers": table}) as runtime:
            builder = runtime.agents.builder().model("openai/m")
            agents = [builder.name(f"a{i}").build() for i in range(100)]
            work = [runtime.run_agent(a, f"{a.name} ") for a in agents]
            made = await asyncio.gather(*work, return_exceptions=True)
            assert [i for i, each in enumerate(made) if isinstance(each, BaseException)] == [7]
            tasks = [asyncio.create_task(runtime.run_agent(a, "again")) for a in agents]
            await asyncio.sleep(LATENCY / 2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(agent.state == "Ready" and agent.metrics()["requests_active"] == 0 for agent in agents)
            assert others() == []
        await server.all_closed()
