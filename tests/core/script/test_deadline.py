"""Deadlines when the event loop is busy with what a script made it do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from llmspell_core import watchdog
from llmspell_core.pace import SLICE, Pace
from llmspell_core.script.query import query
from llmspell_core.time_limit import RunTime, run_time, within


@pytest.mark.parametrize("call", ["Test.busy", "Test.busy_later"])
async def test_a_deadline_ends_work_that_keeps_the_loop_busy(worker: Any, call: str) -> None:
    started = time.monotonic()
    error = await worker.error(f"host.call('{call}', [], 7)", timeout=0.3)
    assert time.monotonic() - started < 5
    assert error.phase == "deadline"
    assert f"did not end within 0.3 s: it was waiting for {call} (line 7)" in error.message


async def test_other_scripts_of_the_same_loop_go_on(worker: Any) -> None:
    other = asyncio.create_task(worker.value("result = host.call('Test.wait', [0.5], 1)", timeout=20))
    await asyncio.sleep(0.2)
    await worker.error("host.call('Test.busy', [], 1)", timeout=0.3)
    assert await other == 0.5
    assert await worker.value("result = 1") == 1


async def test_work_of_somebody_else_is_not_interrupted(worker: Any) -> None:
    """The loop is busy, the deadline passes: the script ends, and the others' work does what it wants to do."""
    script = asyncio.create_task(worker.error("host.call('Test.wait', [30], 1)", timeout=0.3))
    await asyncio.sleep(0.1)
    ends, turns = time.monotonic() + 1.0, 0
    while time.monotonic() < ends:
        turns += 1
    assert turns
    assert (await script).phase == "deadline"


async def test_the_deadline_of_a_cell_ends_with_the_cell(worker: Any) -> None:
    async with worker.session(interactive=True) as session:
        await session.run("result = 1", mode="cell", timeout=0.5)
        await asyncio.sleep(1)
        assert (await session.run("result = 2", mode="cell", timeout=5)).value == 2


def test_alarms_ring_in_their_order_and_not_when_they_were_cancelled() -> None:
    rung: list[str] = []
    now = time.monotonic()
    watchdog.at(now + 0.2, lambda: rung.append("second"))
    watchdog.at(now + 0.1, lambda: rung.append("first"))
    watchdog.at(now + 0.1, lambda: 1 / 0)  # one that fails does not keep the others from ringing
    watchdog.at(now + 0.15, lambda: rung.append("never")).cancel()
    until = now + 5
    while len(rung) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert rung == ["first", "second"]


async def test_of_many_tasks_that_share_a_pace_none_keeps_the_loop_long() -> None:
    pace, longest, last = Pace(), 0.0, time.monotonic()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            await asyncio.sleep(0)

    async def work() -> None:
        for _ in range(3):
            await pace.breathe()
            end = time.monotonic() + 0.002
            while time.monotonic() < end:
                pass

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(work() for _ in range(300)))
    watching.cancel()
    assert longest < 20 * SLICE  # without it: two thirds of a second in each turn


def test_a_bound_of_its_own_lies_before_the_deadline_of_the_script() -> None:
    assert within(30) == 30
    run = RunTime()
    token = run_time.set(run)
    try:
        assert within(30) == 30
        run.ends = time.monotonic() + 4
        assert 1 < within(30) <= 3
        assert within(0.5) == 0.5
    finally:
        run_time.reset(token)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, None, 2.5], 3.5),
        (["a", "b"], "ab"),
        ([[1], [], [2]], [1, 2]),
        ([{"a": 1}, {"b": 2}, {"a": 3}], {"a": 3, "b": 2}),
        ([], None),
        ([None], None),
        ({"x": 1, "y": 2}, 3),
        ([{f"k{i}": i} for i in range(90_000)], {f"k{i}": i for i in range(90_000)}),
    ],
)
def test_a_sum_takes_each_element_once(value: Any, expected: Any) -> None:
    assert query(value, "add", 5) == expected
