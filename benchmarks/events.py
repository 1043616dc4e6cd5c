"""Event bus: deliveries per second, one publisher and one subscriber."""

from __future__ import annotations

import asyncio
import time

from benchmarks.measure import Row, report
from llmspell_core.events import Event, EventBus

COUNT = 100_000
BATCH = 1_000


async def _through_the_bus() -> float:
    """Deliveries a second from a publishing task to a subscribing one."""
    bus = EventBus()
    subscription = bus.subscribe("bench.*")

    async def publish() -> None:
        for number in range(COUNT):
            bus.publish(Event("bench.tick", number))
            if number % BATCH == BATCH - 1:
                await asyncio.sleep(0)

    async def subscribe() -> None:
        for _ in range(COUNT):
            await subscription.receive()

    started = time.perf_counter()
    await asyncio.gather(publish(), subscribe())
    return COUNT / (time.perf_counter() - started)


async def _through_a_queue() -> float:
    """The same through a bare `asyncio.Queue`."""
    queue: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    async def publish() -> None:
        for number in range(COUNT):
            queue.put_nowait(("bench.tick", number))
            if number % BATCH == BATCH - 1:
                await asyncio.sleep(0)

    async def subscribe() -> None:
        for _ in range(COUNT):
            await queue.get()

    started = time.perf_counter()
    await asyncio.gather(publish(), subscribe())
    return COUNT / (time.perf_counter() - started)


def main() -> None:
    rounds = [(asyncio.run(_through_the_bus()), asyncio.run(_through_a_queue())) for _ in range(5)]
    ours, bare = max(r[0] for r in rounds), max(r[1] for r in rounds)
    report([Row("event deliveries", "1/s", ours, bare, "bare asyncio.Queue", "500,000 a second", ours >= 500_000)])


if __name__ == "__main__":
    main()
