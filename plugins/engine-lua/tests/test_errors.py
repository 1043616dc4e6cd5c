"""Where and why a script failed, also where Lua itself forgets it."""

from __future__ import annotations

from typing import Any

import pytest

LAST_CALLS = {
    "host call": "local x = 1\nreturn Test.fail('no')",
    "parse": "local x = 1\nreturn JSON.parse('{x')",
    "builder": "local x = 1\nreturn Test.builder():tool()",
    "handle": "local c = Test.counter('a')\nreturn c.add_up('b')",
}


@pytest.mark.parametrize("script", LAST_CALLS.values(), ids=LAST_CALLS.keys())
async def test_an_error_in_the_call_that_ends_a_script_has_its_line(lua: Any, script: str) -> None:
    error = await lua.error(script)
    assert (error.file, error.line, error.source_line) == ("script.lua", 2, script.split("\n")[1])


async def test_an_error_in_the_call_that_ends_a_callback_names_the_callback(lua: Any) -> None:
    script = "local x = 1\nTest.keep(function()\n  return Test.fail('no')\nend)\nTest.later(1, 0.1)"
    async with lua.session() as session:
        await session.run(script, name="script.lua")
        with pytest.raises(Exception, match="no") as caught:
            await lua.kept[0]()
    assert (getattr(caught.value, "file", None), getattr(caught.value, "line", None)) == ("script.lua", 2)


async def test_a_syntax_error_in_the_first_line_shows_the_scripts_own_text(lua: Any) -> None:
    error = await lua.error("local = 1")
    assert (error.line, error.source_line) == (1, "local = 1")
    assert "chunk" not in error.message


RECURSION = {
    "plain": "local x = 1\nlocal function f() return 1 + f() end\nf()",
    "with much data": "local t = {} for i = 1, 20000 do t[i] = {i} end\nlocal function f(a) return a + f(a) end\nf(1)",
    "with tables": "local x = 1\nlocal function f(n) return {f(n + 1)} end\nf(1)",
    "mutual": "local a, b\nfunction a() return 1 + b() end function b() return 1 + a() end\na()",
    "in a coroutine": "local x = 1\nlocal function f() return 1 + f() end assert(coroutine.resume(coroutine.create(f)))",
}


@pytest.mark.parametrize("megabytes", [16, 50, 512])
@pytest.mark.parametrize("script", RECURSION.values(), ids=RECURSION.keys())
async def test_endless_recursion_is_a_stack_overflow_with_its_line(lua: Any, script: str, megabytes: int) -> None:
    error = await lua.error(script, memory_bytes=megabytes << 20)
    assert (error.phase, error.line) == ("runtime", 2)
    assert "stack overflow" in error.message
    assert error.hint == "Look for a function that calls itself without an end."


async def test_a_stack_overflow_can_be_caught_and_deep_recursion_is_fine(lua: Any) -> None:
    script = """
        local function endless() return 1 + endless() end
        local function depth(n) if n == 0 then return 0 end return 1 + depth(n - 1) end
        local seen = {}
        for i = 1, 8 do seen[i] = select(2, pcall(endless)):match('stack overflow') end
        return {seen, depth(50000)}"""
    assert await lua.value(script) == [["stack overflow"] * 8, 50000]


async def test_an_interactive_session_is_still_interruptible_after_a_stack_overflow(cell: Any) -> None:
    import asyncio

    from llmspell_core.errors import ScriptError

    with pytest.raises(ScriptError, match="stack overflow"):
        await cell("local function f() return 1 + f() end f()")
    running = asyncio.ensure_future(
        cell("n = 5 pcall(function() local function f() return 1 + f() end f() end) while true do end")
    )
    await asyncio.sleep(0.3)
    cell.session.interrupt()
    with pytest.raises(ScriptError, match="interrupted"):
        await running
    assert (await cell("n")).value == 5
