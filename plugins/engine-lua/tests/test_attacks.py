"""Hostile scripts: each ends by its deadline or its memory limit with a clean error, or is harmless."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell_core.errors import ScriptError

ENDLESS = {
    "loop": "while true do end",
    "goto": "::a:: goto a",
    "for": "for i = 1, math.huge do end",
    "pcall loop": "while true do pcall(function() while true do end end) end",
    "xpcall handler": "xpcall(error, function() while true do end end)",
    "coroutine": "coroutine.wrap(function() while true do end end)()",
    "gc": "setmetatable({}, {__gc = function() while true do end end}) collectgarbage()",
    "close": "local x <close> = setmetatable({}, {__close = function() while true do end end})",
    "find": "string.find(('a'):rep(20000), '.-.-.-.-.-b')",
    "gsub": "string.gsub(('a'):rep(20000), 'a*a*a*a*a*b', '')",
    "comparator": "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() while true do end end)",
    "error tostring": "error(setmetatable({}, {__tostring = function() while true do end end}))",
    "host calls": "while true do Test.echo(1) end",
    "posts": "while true do Test.note(1) end",
    "waiting": "Test.later(1, 60)",
    "never settled": "Async.race({Test.later_async(1, 60)})",
    "callback": "Test.apply(function() while true do end end, {1})",
    "nested callbacks": "local function f() return pcall(Test.apply, f, {1}) end while true do f() end",
}

HUNGRY = {
    "rep": "return ('x'):rep(1e10)",
    "doubling": "local s = 'x' while true do s = s .. s end",
    "tables": "local t = {} while true do t = {t, {}} end",
    "concat": "local p = {} for i = 1, 10000 do p[i] = ('x'):rep(1e6) end return table.concat(p)",
    "stopped collector": "pcall(collectgarbage, 'stop') local t = {} for i = 1, math.huge do t[i] = {i} end",
    "unpack": "return select('#', table.unpack({}, 1, 1e8))",
    "parser": "return load(('('):rep(100000))()",
    "recursion": "local function f() return 1 + f() end return f()",
    "pcall recursion": "local function f() local ok, e = pcall(f) if not ok then error(e, 0) end end f()",
    "index recursion": "local t = {} setmetatable(t, {__index = function(_, k) return t[k .. 'x'] end}) return t.x",
    "gsub recursion": "local function f() string.gsub('x', 'x', f) end f()",
    "output": "while true do print(('x'):rep(1e6)) end",
    "callbacks": "while true do Test.define({handler = function() end}) end",
    "tasks": "while true do Test.later_async(1, 60) end",
}

UNREACHABLE = (
    "python", "io.popen", "io.tmpfile", "os.tmpname", "os.remove", "string.dump", "getfenv", "setfenv", "newproxy", "ffi", "jit",
    "_G.python", "debug.sethook", "debug.gethook", "debug.getregistry", "debug.getlocal", "debug.getupvalue", "debug.setupvalue",
    "debug.upvaluejoin", "debug.setmetatable", "debug.getmetatable", "debug.getuservalue", "debug.debug", "_ENV.debug.sethook",
    "package.loadlib", "package.searchers", "package.loaders", "debug.getinfo(1).func", "debug.getinfo(2).func",
)  # fmt: skip

HARMLESS = {
    "string metatable": "return getmetatable('').__index",
    "bytecode": "assert(load('\\27Lua'))",
    "dumped code": "assert(load(('').dump(print)))",
    "attributes": "return Test.echo.__class__.__mro__",
    "method attributes": "return Test.counter('x').add_up.__func__.__globals__",
    "error attributes": "local ok, e = pcall(Test.fail, 'x') return e.__traceback__.tb_frame",
    "forged object": "return Test.name_of({['$handle'] = 'Counter', id = 99})",
    "metatable of an object": "return getmetatable(Test.counter('x')).__index",
    "environment of load": "return load('return debug')().sethook()",
    "module": "return require('os').tmpname()",
    "module path": "return require('../../../../etc/passwd')",
    "throwing globals": "setmetatable(_G, {__index = function() error('x') end}) return nothing_of_that_name",
}


@pytest.mark.parametrize("script", ENDLESS.values(), ids=ENDLESS.keys())
async def test_an_endless_script_ends_at_its_deadline(lua: Any, script: str) -> None:
    started = time.monotonic()
    error = await lua.error(script, timeout=0.4)
    assert time.monotonic() - started < 2
    assert error.phase == "deadline"
    assert "did not end within 0.4 s" in error.message


@pytest.mark.parametrize("script", HUNGRY.values(), ids=HUNGRY.keys())
async def test_a_hungry_script_ends_at_a_limit(lua: Any, script: str) -> None:
    started = time.monotonic()
    error = await lua.error(script, timeout=0.8, memory_bytes=32 * 1024 * 1024)
    assert time.monotonic() - started < 3
    assert error.phase in {"memory", "deadline", "runtime", "crash"}
    assert "Traceback" not in error.message


@pytest.mark.parametrize("profile", ["high", "medium", "low"])
async def test_nothing_dangerous_is_reachable_in_any_profile(lua: Any, profile: str) -> None:
    checks = ", ".join(f"['{name}'] = pcall(function() assert({name}) end)" for name in UNREACHABLE)
    reachable = {name for name, found in (await lua.value(f"return {{{checks}}}", profile=profile)).items() if found}
    assert reachable <= ({"os.remove", "io.popen"} if profile == "low" else set())


@pytest.mark.parametrize("script", HARMLESS.values(), ids=HARMLESS.keys())
async def test_a_way_out_is_a_clean_error(lua: Any, script: str) -> None:
    error = await lua.error(script)
    assert error.phase == "runtime"


async def test_a_poisoned_library_hurts_the_script_only(lua: Any) -> None:
    source = """
        string.format, string.rep, table.concat, type, pairs, error, next = nil, nil, nil, nil, nil, nil, nil
        select, setmetatable, tostring, rawget, pcall, ipairs = nil, nil, nil, nil, nil, nil
        coroutine, math, utf8 = nil, nil, nil
        print(1, {["a b"] = {"y", print}}, "x")
        return {Test.echo({a = {1}}), Test.builder():tool("x"):build(), Async.all({Test.later_async(1)})}"""
    assert await lua.value(source) == [{"a": [1]}, {"tools": ["x"]}, [1]]
    assert lua.printed == [("stdout", '1\t{["a b"] = {"y", <function>}}\tx\n')]


async def test_the_memory_limit_leaves_a_script_that_stays_below_alone(lua: Any) -> None:
    source = "local ok, e = pcall(function() return ('x'):rep(1e9) end) return {ok, e, 1 + 1}"
    ok, message, two = await lua.value(source, memory_bytes=32 * 1024 * 1024)
    assert (ok, two) == (False, 2)
    assert "memory" in message


async def test_memory_that_runs_out_is_named(lua: Any) -> None:
    error = await lua.error("local t = {} for i = 1, math.huge do t[i] = {i} end", memory_bytes=16 * 1024 * 1024)
    assert error.phase == "memory"
    assert "memory" in error.message


async def test_the_deadline_says_what_the_script_was_doing(lua: Any) -> None:
    error = await lua.error("local x\nTest.later(1, 60)", timeout=0.3)
    assert "it was waiting for Test.later (line 2)" in error.message
    error = await lua.error("Test.echo(1)\n\nTest.echo(2)\nwhile true do end", timeout=0.3)
    assert "its last host call was Test.echo (line 3)" in error.message


async def test_a_real_crash_is_one_clean_error(lua: Any) -> None:
    async with lua.session() as session:
        session.scope.data["kill"] = True
        session._sink = lambda *_: os.kill(session.scope.process_id, signal.SIGSEGV)
        with pytest.raises(ScriptError) as caught:
            await session.run("print('now') while true do end")
    assert caught.value.phase == "crash"
    assert "SIGSEGV" in caught.value.message
    assert await lua.value("return 1") == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=st.binary(max_size=60) | st.text(max_size=60))
def test_random_sources_end_cleanly(lua: Any, source: bytes | str) -> None:
    async def main() -> None:
        try:
            await lua.result(source, timeout=1.0)
        except ScriptError as error:
            if error.phase == "crash":  # the worker broke the protocol, or died
                raise

    asyncio.run(main())


async def test_the_worker_sees_no_environment_and_no_files(lua: Any) -> None:
    async with lua.session() as session:
        await session.run("return 1")
        assert session.fence["no_new_privs"] or "no_new_privs" in session.fence["missing"]


SPOILED = {
    "functions": "for _, name in ipairs({'type', 'pairs', 'next', 'select', 'error', 'tostring', 'pcall', 'setmetatable'}) do "
    "_G[name] = function() return 'spoiled' end end",
    "libraries": "for _, lib in ipairs({string, table, math, coroutine, utf8}) do for name in pairs(lib) do lib[name] = nil end end",
    "globals": "setmetatable(_G, {__index = function(_, name) error(name) end, __newindex = function(_, name) error(name) end})",
}


@pytest.mark.parametrize("first", SPOILED.values(), ids=SPOILED.keys())
async def test_a_script_that_spoils_what_the_engine_uses_is_still_answered(lua: Any, first: str) -> None:
    source = f"""{first}
        local built = Test.builder():tool('a'):build()
        return {{Test.echo({{1, {{x = 2}}}}), JSON.stringify({{built}}), Async.all({{3}})}}"""
    assert await lua.value(source) == [[1, {"x": 2}], '[{"tools":["a"]}]', [3]]


async def test_a_number_that_is_no_status_does_not_end_a_script(lua: Any) -> None:
    script = (
        "local seen = {} for i, n in ipairs({0/0, 1/0, -1/0, 1e300}) do seen[i] = pcall(os.exit, n) end return seen"
    )
    assert await lua.value(script) == [False] * 4


async def test_code_nested_too_deeply_is_refused_with_a_text(lua: Any) -> None:
    assert await lua.value("return select(2, load(('('):rep(100000)))") == "C stack overflow"
    error = await lua.error("return " + "(" * 5000)
    assert (error.phase, error.hint) == ("syntax", None)


async def test_as_many_local_variables_as_lua_allows(lua: Any) -> None:
    assert await lua.value("\n".join(f"local a{i} = {i}" for i in range(200)) + "\nreturn a199") == 199


FOREIGN = {
    "await with a text": "local t = Test.later_async(1, 0) return type(select(2, pcall(t.await, t, 'x')))",
    "await with no number": "local t = Test.later_async(1, 0) return type(select(2, pcall(t.await, t, 0/0)))",
    "remove a table": "return type(select(2, os.remove({})))",
    "remove a function": "return type(select(2, os.remove(print)))",
    "rename to no number": "return type(select(2, os.rename(0/0)))",
    "post a coroutine": "return type(select(2, pcall(Test.note, coroutine.create(print))))",
    "start with a cycle": "local t = {} t.t = t return type(select(2, pcall(Test.later_async, t, 0)))",
    "call with a file": "return type(select(2, pcall(Test.echo, print)))",
    "sleep": "return type(select(2, pcall(Async.sleep, {})))",
}


@pytest.mark.parametrize("script", FOREIGN.values(), ids=FOREIGN.keys())
async def test_whatever_goes_wrong_in_the_host_is_a_text_for_the_script(lua: Any, script: str) -> None:
    assert await lua.value(script, profile="low") == "string"


FINALIZERS = """
    local keep, meta, armed, ran = {}, {}, false, 0
    function meta.__gc()
        setmetatable({}, meta)
        if not armed then return end
        ran = ran + 1
        Test.echo(1) -- its way back lowers the limit that is lifted while Python is at work
        local size = 4000000
        while size > 4000 do
            local ok, text = pcall(string.rep, "x", size)
            if ok then keep[#keep + 1] = text else size = size // 2 end
        end
    end
    setmetatable({}, meta)
    local text = "[" .. ("[1,{}],"):rep(20000) .. "0]"
    for i = 1, 4 do
        armed = true
        pcall(JSON.parse, text)
        armed, keep = false, {}
        collectgarbage()
    end
    return ran > 0"""


@pytest.mark.parametrize("profile", ["medium", "high"])
async def test_a_finalizer_does_not_run_while_python_is_at_work(lua: Any, profile: str) -> None:
    """It could lower the limit or use the memory up; Lua would then jump over Python's frames."""
    assert await lua.value(FINALIZERS, memory_bytes=32 << 20, profile=profile) is True


async def test_finalizers_get_their_objects(lua: Any) -> None:
    source = """
        local seen, late = {}, {__gc = false}
        for i = 1, 9 do setmetatable({i}, {__gc = function(o) seen[#seen + 1] = o[1] end, __metatable = "mine"}) end
        setmetatable({}, late)
        late.__gc = function() seen[#seen + 1] = 10 end
        setmetatable({}, {__gc = error})
        collectgarbage() collectgarbage()
        table.sort(seen)
        local ok, problem = pcall(setmetatable, setmetatable({}, {__metatable = 1}), late)
        return {#seen, seen[1], seen[10], ok, problem, getmetatable(setmetatable({}, late)) == late}"""
    assert await lua.value(source) == [10, 1, 10, False, "cannot change a protected metatable", True]
