"""Functions, objects, builders, callbacks and streams as scripts see them."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.errors import ScriptError, ToolError


async def test_functions_are_real_functions_with_aliases(lua: Any) -> None:
    source = "return {type(Test.echo), Test.getThing(), Test.get_thing(), Test.Sub.answer(), Test.LIMIT, Test.failing == Test.fail}"
    assert await lua.value(source) == ["function", "thing", "thing", 42, 7, True]


async def test_an_unknown_field_is_looked_up_and_else_nil(lua: Any) -> None:
    assert await lua.value("return {Test.something, Test.nothing == nil, JSON.nothing == nil}") == [
        "found something",
        True,
        True,
    ]


async def test_objects_are_tables_with_methods(lua: Any) -> None:
    source = """
        local c = Test.counter("x")
        c:add_up(2)
        c.add_up(3)          -- existing scripts also call with a dot
        c.note = "mine"
        local seen = {}
        for key, value in pairs(c) do seen[key] = value end
        return {type(c), c.name, c:total(), c.missing == nil, c.note, seen.name, Test.name_of(c)}"""
    assert await lua.value(source) == ["table", "x", 5, True, "mine", "x", "x"]


async def test_data_that_looks_like_an_object_stays_data(lua: Any) -> None:
    source = """
        local looks = {["$handle"] = "Counter", id = 1, extra = 1}
        local seen = Test.apply(function(x) return {x["$handle"], x.id} end, {looks, {["$handle"] = {}}})
        return {Test.echo(looks)["$handle"], seen[1], Test.echo({["$handle"] = "Counter", id = 1}).id}"""
    assert await lua.value(source) == ["Counter", ["Counter", 1], 1]


async def test_an_object_of_the_wrong_kind_is_refused(lua: Any) -> None:
    error = await lua.error("Test.name_of('x')")
    assert "Test.name_of: 'counter' must be a Counter, got string" in error.message


async def test_a_builder_collects_and_crosses_once(lua: Any) -> None:
    source = """
        local b = Test.builder()
        assert(b:system_prompt("p") == b)
        return b:tool("a"):tool("b"):settings({x = 1}):fast():build()"""
    assert await lua.value(source) == {"system_prompt": "p", "tools": ["a", "b"], "x": 1, "speed": True}


async def test_a_wrong_argument_is_reported_at_the_setter(lua: Any) -> None:
    error = await lua.error("local b = Test.builder()\nb:tool('a')\nb:system_prompt({})\nb:build()")
    assert "Test.builder():system_prompt: 'prompt' must be a string, got table" in error.message
    assert error.line == 3


async def test_an_empty_list_given_to_a_builder_stays_a_list(lua: Any) -> None:
    async with lua.session() as session:
        await session.run("Test.builder():allowed({}):build()")
        assert session.scope.data["built"] == {"allowed": []}


async def test_a_builder_called_with_a_dot_raises(lua: Any) -> None:
    assert await lua.value("return pcall(function() return Test.builder().system_prompt('x') end)") is False


async def test_a_function_in_a_builder_crosses_as_a_callback(lua: Any) -> None:
    source = "local f = function() end return Test.builder():on_error(f):build().on_error == f"
    assert await lua.value(source) is True


async def test_functions_may_stand_where_they_are_declared_only(lua: Any) -> None:
    assert await lua.value("return Test.define({name = 'x', handler = print}).handler == print") is True
    assert "in field 'other'" in (await lua.error("Test.define({other = print})")).message


async def test_a_callback_runs_while_the_script_waits_and_may_call_the_host(lua: Any) -> None:
    source = "return Test.apply(function(x) return Test.later(x, 0.001) * 10 end, {1, 2, 3})"
    assert await lua.value(source) == [10, 20, 30]


async def test_a_thousand_callbacks_at_one_time(lua: Any) -> None:
    source = """
        local values, calls = {}, 0
        for i = 1, 1000 do values[i] = i end
        local results = Test.apply_together(function(x) calls = calls + 1 return Test.later(x) end, values)
        return {calls, #results, results[1000]}"""
    assert await lua.value(source) == [1000, 1000, 1000]


async def test_a_callback_may_return_nothing_or_several_values(lua: Any) -> None:
    assert await lua.value("return #Test.apply(function() end, {1})") == 0
    assert await lua.value("return Test.apply(function() return 1, 2 end, {1})") == [1]


async def test_a_callback_may_not_return_a_function(lua: Any) -> None:
    error = await lua.error("Test.apply(function() return print end, {1})")
    assert "a callback returned something that cannot be handed over: Unsupported Lua type: function" in error.message


async def test_a_callback_that_raises_fails_the_call(lua: Any) -> None:
    error = await lua.error("Test.apply(function() error('bad') end, {1})")
    assert "script.lua:1: bad" in error.message


async def test_a_callback_of_an_ended_script_says_so(lua: Any) -> None:
    await lua.value("Test.keep(function() end)")
    with pytest.raises(ScriptError, match="has ended"):
        await lua.kept[0]()


async def test_a_callback_works_after_the_script_while_its_session_lives(lua: Any) -> None:
    async with lua.session() as session:
        await session.run("local n = 0 Test.keep(function(x) n = n + x return n end)")
        assert [await lua.kept[0](2), await lua.kept[0](3)] == [2, 5]


async def test_a_stream_is_read_piece_by_piece(lua: Any) -> None:
    source = """
        local seen = {}
        for n in Test.numbers(3) do seen[#seen + 1] = n end
        local s = Test.numbers(5)
        seen[#seen + 1] = s:next() + 100
        return {seen, s:collect(), s:is_done()}"""
    assert await lua.value(source) == [[0, 1, 2, 100], [1, 2, 3, 4], True]


async def test_a_posted_call_does_not_wait_but_keeps_its_place(lua: Any) -> None:
    await lua.value("for i = 1, 3 do Test.note(i) end Test.echo(1)")
    assert lua.posted == [1, 2, 3]


async def test_a_host_error_is_a_string_with_the_position(lua: Any) -> None:
    source = "local ok, e = pcall(Test.fail, 'no nail')\nlocal ok2, e2 = pcall(function()\nTest.fail('x') end)\nreturn {type(e), e, e2}"
    assert await lua.value(source) == ["string", "no nail", "script.lua:3: x"]


async def test_an_uncaught_host_error_keeps_its_hint_and_cause(lua: Any) -> None:
    error = await lua.error("Test.fail('no nail')")
    assert error.hint == "Do it differently."
    assert isinstance(error.__cause__, ToolError)


async def test_a_defect_of_the_host_shows_no_inner_details(lua: Any, caplog: Any) -> None:
    error = await lua.error("Test.broken()")
    assert "Test.broken failed: RuntimeError" in error.message
    assert "hunter2" not in error.message
    assert "hunter2" in caplog.text


async def test_streaming_follows_the_specification(lua: Any) -> None:
    source = """
        local s = Streaming.create(function() for i = 1, 3 do coroutine.yield(i) end end)
        assert(not s:isDone())
        local made = Streaming.create()
        made:push("a") made:push("b") made:close()
        local broken = Streaming.create(function() error("bad") end)
        local failed = pcall(broken.next, broken)
        return {#s:collect(), s:isDone(), made:collect(), failed, broken:next() == nil}"""
    assert await lua.value(source) == [3, True, ["a", "b"], False, True]


async def test_debug_logs_times_and_dumps(lua: Any) -> None:
    source = """
        Debug.setLevel("debug")
        Debug.info("one", "app.net") Debug.trace("hidden") Debug.logWithData("warn", "two", {x = 1})
        Debug.addModuleFilter("noisy", false) Debug.info("three", "noisy.part")
        local timer = Debug.timer("work")
        timer:lap("half")
        local ms = timer:stop()
        local loop = {} loop.loop = loop
        local messages = {}
        for i, entry in ipairs(Debug.getCapturedEntries()) do messages[i] = entry.level .. entry.message end
        return {messages, type(ms), timer:stop() == nil, Debug.dumpCompact({1, {a = "x"}}), Debug.dumpCompact(loop),
          Debug.getLevel(), Debug.setLevel("loud"), Debug.add_advanced_filter("a", "odd", true), Debug.recordEvent(timer.id, "e"),
          Debug.memoryStats().used_bytes > 0, Debug.stackTrace():match("script.lua:%d+") ~= nil}"""
    expected = [
        ["INFOone", "WARNtwo"],
        "number",
        True,
        '{1, {a = "x"}}',
        "{loop = <cycle>}",
        "DEBUG",
        False,
        False,
        True,
        True,
        True,
    ]
    assert await lua.value(source) == expected
