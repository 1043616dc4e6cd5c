"""A thousand agents at once on one runtime."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

COUNT = 1_000
LATENCY = 0.05


class EchoServer(FakeServer):
    """Answers with the last message, after the latency."""

    def __init__(self) -> None:
        super().__init__(self._echo)

    def _echo(self, received: Received) -> Reply:
        message = {"role": "assistant", "content": f"echo {received.json()['messages'][-1]['content']}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        return Reply(pieces=[LATENCY, Reply(body=body).data()])


def settings(url: str) -> dict[str, Any]:
    return {"providers": {"openai": {"base_url": f"{url}/v1", "api_key": "sk-many", "max_retries": 0}}}


@pytest.fixture
def enough_descriptors() -> Iterator[None]:
    """Client and server sit in one process here: two descriptors for each run."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4 * COUNT), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def peak_memory() -> int:
    """The most that the process ever had, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.usefixtures("isolated", "enough_descriptors")
@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX")
async def test_a_thousand_concurrent_runs_are_right_bounded_and_leave_nothing_behind() -> None:
    async with EchoServer() as server, Runtime(settings(server.url)) as runtime:
        agents = [runtime.agents.builder().name(f"a{i}").model("openai/m").build() for i in range(COUNT)]
        await runtime.run_agent(agents[0], "warm up")
        before, memory = asyncio.all_tasks(), peak_memory()
        begun = time.perf_counter()
        outputs = await asyncio.gather(*(runtime.run_agent(agent, f"q{i}") for i, agent in enumerate(agents)))
        took = time.perf_counter() - begun
        grown = (peak_memory() - memory) / 1024**2
        assert [output.text for output in outputs] == [f"echo q{i}" for i in range(COUNT)]
        assert all(output.metadata.token_count == 5 for output in outputs)
        left = {t for t in asyncio.all_tasks() - before if t.get_name() != "fake server"}
        assert not left
        assert grown < 300, f"{grown:.0f} MiB for client and server"
        assert took < 30, f"{took:.1f} s"
