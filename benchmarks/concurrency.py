"""A thousand agents at once against a server with 50 ms latency: runs per second, against what one client package does."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import openai

from benchmarks.measure import Row, report
from llmspell_core.runtime import Runtime

COUNT = 1_000
LATENCY = 0.05
Work = Callable[[], Awaitable[None]]
ROUNDS = 3
SERVER = """
import asyncio, json
message = {"role": "assistant", "content": "hello"}
choice = {"index": 0, "message": message, "finish_reason": "stop"}
usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
body = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage})
reply = f"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}".encode()
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\\r\\n")[0])
            await reader.readexactly(length)
            await asyncio.sleep(LATENCY)
            writer.write(reply)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@asynccontextmanager
async def _ours(url: str) -> AsyncIterator[Work]:
    table = {"openai": {"base_url": url, "api_key": "sk-bench", "max_retries": 0}}
    async with Runtime({"providers": table}) as runtime:
        agents = [runtime.agents.builder().name(f"a{i}").model("openai/m").build() for i in range(COUNT)]

        async def once() -> None:
            await asyncio.gather(*(runtime.run_agent(agent, "hi") for agent in agents))
            for agent in agents:
                agent.clear_conversation()

        yield once


@asynccontextmanager
async def _bare(url: str) -> AsyncIterator[Work]:
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-bench", max_retries=0, timeout=60) as client:
        call = client.chat.completions.create

        async def once() -> None:
            await asyncio.gather(*(call(model="m", messages=[{"role": "user", "content": "hi"}]) for _ in range(COUNT)))

        yield once


async def _timed(once: Work) -> float:
    started = time.perf_counter()
    await once()
    return time.perf_counter() - started


async def _in_turn(ours: Work, bare: Work) -> tuple[float, float]:
    """The best of the rounds with warm connections, in seconds; a busy moment hits both alike."""
    taken = [(await _timed(ours), await _timed(bare)) for _ in range(ROUNDS + 1)][1:]
    return min(ours for ours, _ in taken), min(bare for _, bare in taken)


async def _measure() -> tuple[float, float]:
    """Runs per second of both."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER.replace("LATENCY", str(LATENCY)), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(await server.stdout.readline())}/v1"
    try:
        async with _ours(url) as ours, _bare(url) as bare:
            best, best_bare = await _in_turn(ours, bare)
        return COUNT / best, COUNT / best_bare
    finally:
        server.kill()
        await server.wait()


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 8 * COUNT), hard), hard))
    ours, bare = asyncio.run(_measure())
    ideal = COUNT / LATENCY
    report(
        [
            Row(
                "1,000 agents at once, 50 ms",
                "runs/s",
                ours,
                bare,
                "openai package",
                "at least 0.8 x",
                ours >= 0.8 * bare,
            ),
            Row("the openai package alone", "runs/s", bare, ideal, "nothing but the latency"),
        ]
    )


if __name__ == "__main__":
    main()
