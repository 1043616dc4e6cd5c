"""Hook dispatch: what a point costs with no, one and ten listeners."""

from __future__ import annotations

import asyncio
import time

from benchmarks.measure import Row, cpu_us, report
from llmspell_core.hooks import HookContext, Hooks

POINT = "BeforeToolExecution"


def _listen(_: HookContext) -> None:
    return None


async def _with_listeners(count: int) -> float:
    hooks = Hooks()
    for index in range(count):
        hooks.register(POINT, _listen, name=f"listener-{index}")
    context = HookContext(POINT, "calculator", "tool", {"parameters": {}})
    return await cpu_us(lambda: hooks.run(context), 20_000)


def _without_listeners() -> float:
    """The guard that stands before every point, loop overhead taken off."""
    hooks, count = Hooks(), 200_000
    hooks.register("AfterToolExecution", _listen)
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(count):
            hooks.any_active(POINT)
        guarded = time.process_time()
        for _ in range(count):
            pass
        best = min(best, (guarded - started - (time.process_time() - guarded)) / count * 1e6)
    return best


def main() -> None:
    none, one, ten = _without_listeners(), asyncio.run(_with_listeners(1)), asyncio.run(_with_listeners(10))
    report(
        [
            Row("hook point, no listener", "us", none, budget="below 0.2 us", met=none < 0.2),
            Row("hook point, 1 listener", "us", one, budget="below 5 us", met=one < 5),
            Row("hook point, 10 listeners", "us", ten, one, "1 listener"),
        ]
    )


if __name__ == "__main__":
    main()
