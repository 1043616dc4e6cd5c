"""Sessions of many cells."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell_core.errors import ComponentError, ScriptError


async def test_globals_stay_and_locals_do_not(cell: Any) -> None:
    await cell("x = 5 local y = 6")
    assert (await cell("return {x, y == nil}")).value == [5, True]


@pytest.mark.parametrize(
    ("source", "display"),
    [
        ("1 + 1", "2"),
        ("'a'", '"a"'),
        ("nil", "nil"),
        ("x = 1", None),
        ("{1, {a = true}}", "{1, {a = true}}"),
        ("print('x')", None),
    ],
)
async def test_an_expression_shows_its_value(cell: Any, source: str, display: str | None) -> None:
    assert (await cell(source)).display == display


async def test_an_error_leaves_the_session_alive(cell: Any) -> None:
    await cell("x = 1")
    with pytest.raises(ScriptError):
        await cell("error('no')")
    assert (await cell("x")).value == 1


@pytest.mark.parametrize(
    "endless",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
        "Test.later(1, 60)",
        "pcall(Test.later, 1, 60) while true do end",
        "Async.sleep(60000)",
        "Test.later_async(1, 60):await()",
        "Test.later_async(1, 60):and_then(function() end) Async.sleep(60000)",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local function f() local ok, e = xpcall(error, f) while true do end end f()",
        "local s while true do s = ('x'):rep(100000) end",
        "local x <close> = setmetatable({}, {__close = function() while true do end end}) error('x')",
        "local co = coroutine.create(function() while true do coroutine.yield() end end) while true do coroutine.resume(co) end",
    ],
)
async def test_an_interrupt_stops_a_cell_and_keeps_the_variables(cell: Any, endless: str) -> None:
    await cell("x = 41")
    running = asyncio.ensure_future(cell(endless))
    await asyncio.sleep(0.1)
    cell.session.interrupt()
    with pytest.raises(ScriptError) as caught:
        await running
    assert caught.value.phase == "interrupted"
    assert (await cell("x + 1")).value == 42


async def test_an_interrupt_that_comes_before_the_cell_has_begun_is_not_lost(cell: Any) -> None:
    await cell("x = 41")
    for turns in range(6):
        running = asyncio.ensure_future(cell("while true do end"))
        for _ in range(turns):
            await asyncio.sleep(0)
        while not cell.session._running:
            await asyncio.sleep(0)
        cell.session.interrupt()
        with pytest.raises(ScriptError) as caught:
            await running
        assert caught.value.message == "interrupted"
        assert (await cell("x + 1")).value == 42


async def test_code_that_cannot_be_stopped_ends_its_session(cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell_core.script.host.GRACE", 0.3)
    running = asyncio.ensure_future(cell("string.find(('a'):rep(50000), '.-.-.-.-b')"))
    await asyncio.sleep(0.1)
    cell.session.interrupt()
    with pytest.raises(ScriptError, match="interrupted in code that cannot be stopped") as caught:
        await running
    assert caught.value.phase == "interrupted"
    assert not cell.session.alive


async def test_a_cell_that_ends_in_time_is_not_followed_by_an_interrupt(
    cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell_core.script.host.GRACE", 1.0)
    running = asyncio.ensure_future(cell("while true do end"))
    await asyncio.sleep(0.1)
    cell.session.interrupt()
    with pytest.raises(ScriptError, match="interrupted"):
        await running
    assert (await cell("Test.later(5, 1.3)")).value == 5


async def test_cancelling_the_waiting_task_interrupts_the_cell(cell: Any) -> None:
    await cell("x = 1")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cell("while true do end"), 0.1)
    for _ in range(100):
        try:
            assert (await cell("x")).value == 1
            return
        except ComponentError:  # the interrupt is on its way
            await asyncio.sleep(0.02)
    pytest.fail("the cell was not interrupted")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("Tes", ["Test"]),
        ("print(Test.appl", ["Test.apply", "Test.apply_together"]),
        ("c:ad", ["c:add_up"]),
        ("c.na", ["c.name"]),
        ("string.rep", ["string.rep"]),
        ("own_v", ["own_value"]),
        ("nothing.here.x", []),
    ],
)
async def test_words_are_completed_from_declarations_and_live_globals(cell: Any, typed: str, found: list[str]) -> None:
    await cell("own_value = 1 c = Test.counter('x')")
    assert await cell.session.complete(typed) == found


async def test_the_last_value_is_kept(cell: Any) -> None:
    await cell("40 + 2")
    await cell("print('nothing to keep')")
    assert (await cell("_ + 1")).value == 43
    await cell("do setmetatable(_G, {__newindex = function() error('no') end}) end")
    assert (await cell("'still'")).value == "still"


async def test_exit_ends_the_session(cell: Any) -> None:
    assert (await cell("os.exit(4)")).exited
    with pytest.raises(ScriptError):
        await cell("1")


async def test_two_cells_at_one_time_are_refused(cell: Any) -> None:
    running = asyncio.ensure_future(cell("Test.later(1, 0.2)"))
    await asyncio.sleep(0.05)
    with pytest.raises(ComponentError, match="running a script already"):
        await cell("1")
    await running
