"""Calls that do not wait."""

from __future__ import annotations

from typing import Any


async def test_a_hundred_calls_are_under_way_together(lua: Any) -> None:
    source = """
        local tasks = {}
        for i = 1, 100 do tasks[i] = Test.together_async(100) end
        return Async.all(tasks)[100]"""
    assert await lua.value(source) == 100


async def test_thousands_of_calls_may_be_open(lua: Any) -> None:
    source = "local t = {} for i = 1, 4000 do t[i] = Test.later_async(('x'):rep(500)) end return #Async.all(t)"
    assert await lua.value(source) == 4000


async def test_await_returns_raises_and_times_out(lua: Any) -> None:
    source = """
        local good, bad, slow = Test.later_async("x"), Test.later_async(1, "no number"), Test.later_async(1, 2)
        local value = good:await()
        local ok, message = pcall(bad.await, bad)
        local late, late_message = pcall(slow.await, slow, 20)
        return {value, good:is_done(), ok, message, late, late_message, slow:is_done(), slow:cancel(), slow:cancel()}"""
    value = await lua.value(source)
    assert value[:3] == ["x", True, False]
    assert "'delay' must be a number" in value[3]
    assert value[4:] == [False, "await: no result within 20 ms", False, True, False]


async def test_functions_are_chained_as_with_promises(lua: Any) -> None:
    source = """
        local log = {}
        local task = Test.later_async(2)
          :and_then(function(x) return Test.later_async(x * 10) end)
          :and_then(function(x) log[#log + 1] = x error("stop", 0) end)
          :catch(function(e) log[#log + 1] = e return "saved" end)
          :finally(function() log[#log + 1] = "end" end)
        local saved = task:await()
        local more = task["then"](task, function(x) return x .. "!" end):await()
        return {log, saved, more}"""
    assert await lua.value(source) == [[20, "stop", "end"], "saved", "saved!"]


async def test_what_listens_runs_before_the_script_ends(lua: Any) -> None:
    source = """
        Test.later_async("a", 0.01, function(result, problem) print("done", result, problem) end)
        Test.later_async("b", function(result) print("short", result) end)
        Test.later_async(1, "bad", function(result, problem) print("failed", result, problem ~= nil) end)"""
    assert sorted((await lua.output(source)).splitlines()) == ["done\ta\tnil", "failed\tnil\ttrue", "short\tb"]


async def test_a_failure_that_nobody_looks_at_is_told(lua: Any) -> None:
    await lua.output("Test.later_async(1, 'bad') Async.sleep(20)")
    assert any(stream == "stderr" and "unhandled error" in text for stream, text in lua.printed)


async def test_race_and_all_settled(lua: Any) -> None:
    source = """
        local slow = Test.later_async("slow", 5)
        local first = Async.race({slow, Test.later_async("fast")})
        slow:cancel()
        local settled = Async.all_settled({Test.later_async(1), Test.later_async(1, "bad"), "plain"})
        return {first, settled[1].value, settled[2].status, settled[3].value}"""
    assert await lua.value(source) == ["fast", 1, "rejected", "plain"]


async def test_all_raises_the_first_error(lua: Any) -> None:
    error = await lua.error("local x\nAsync.all({Test.later_async(1), Test.later_async(1, 'bad')})")
    assert "'delay' must be a number" in error.message
    assert error.line == 2


async def test_a_host_call_waits_inside_pcall_metamethods_sort_and_coroutines(lua: Any) -> None:
    source = """
        local seen = {}
        local meta = setmetatable({}, {__index = function(_, key) return Test.later(key) end})
        local list = {3, 1, 2}
        table.sort(list, function(a, b) return Test.later(a) < Test.later(b) end)
        local generator = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(Test.later(i)) end end)
        local replaced = string.gsub("ab", ".", function(c) return Test.later(c) .. c end)
        return {select(2, pcall(Test.later, 1)), meta.k, list[1], generator(), generator(), replaced}"""
    assert await lua.value(source) == [1, "k", 1, 1, 2, "aabb"]
