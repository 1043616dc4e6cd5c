"""Hooks and other functions of a script that start themselves, or never return: nothing stalls, and the error says which."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from llmspell_core.errors import ScriptError
from llmspell_core.runtime import Runtime

MakeRuntime = Callable[..., Awaitable[Runtime]]
SHORT = {"hooks": {"timeout_ms": 300}}

ITSELF = {
    "lua": """
        local calls = 0
        Hook.register("BeforeStateWrite", function() calls = calls + 1 State.set("seen", calls) end)
        State.set("a", 1) State.set("b", 2)
        return calls""",
    "javascript": """
        let calls = 0;
        Hook.register("BeforeStateWrite", () => { State.set("seen", ++calls) });
        await State.set("a", 1); await State.set("b", 2);
        return calls""",
}


@pytest.mark.parametrize("language", ITSELF)
async def test_a_hook_that_does_what_it_listens_to_runs_once_each_time(runtime: Runtime, language: str) -> None:
    assert (await runtime.run_script(ITSELF[language], engine=language, timeout=10)).value == 2


EACH_OTHER = {
    "lua": """
        local seen = {}
        local function listen(name)
          Hook.register("BeforeToolExecution", function()
            seen[#seen + 1] = name
            Tool.execute("calculator", {expression = "1"})
          end)
        end
        listen("a") listen("b")
        Tool.execute("calculator", {expression = "2"})
        return table.concat(seen)""",
    "javascript": """
        let seen = "";
        for (const name of ["a", "b"]) Hook.register("BeforeToolExecution", async () => {
          seen += name;
          await null;
          await Tool.execute("calculator", {expression: "1"});
          await new Promise(resolve => setTimeout(resolve, 1));
          await Tool.execute("calculator", {expression: "3"});
        });
        await Tool.execute("calculator", {expression: "2"});
        return seen""",
}


@pytest.mark.parametrize("language", EACH_OTHER)
async def test_a_hook_sees_what_another_one_brings_about(runtime: Runtime, language: str) -> None:
    seen = (await runtime.run_script(EACH_OTHER[language], engine=language, timeout=10)).value
    assert seen == {"lua": "abba", "javascript": "abbbaa"}[language]


MANY = {
    "lua": """
        local problem
        for i = 1, 10 do
          Hook.register("BeforeToolExecution", function()
            local ok, said = pcall(Tool.execute, "calculator", {expression = "1"})
            if not ok then problem = problem or said end
          end, i)
        end
        Hook.register("BeforeToolExecution", function() if problem then return "seen enough" end end, "highest")
        pcall(Tool.execute, "calculator", {expression = "2"})
        return problem""",
    "javascript": """
        let problem = null;
        Hook.register("BeforeToolExecution", () => problem === null ? "continue" : "seen enough", "highest");
        for (let i = 0; i < 10; i++) Hook.register("BeforeToolExecution", async () => {
          try { await Tool.execute("calculator", {expression: "1"}) }
          catch (error) { problem ??= error.message }
        }, i);
        try { await Tool.execute("calculator", {expression: "2"}) } catch { }
        return problem""",
}


@pytest.mark.parametrize("language", MANY)
async def test_hooks_that_start_each_other_end_in_a_clear_error(runtime: Runtime, language: str) -> None:
    said = (await runtime.run_script(MANY[language], engine=language, timeout=20)).value
    assert "hooks run inside one another 8 deep: BeforeToolExecution > " in said


RECURSIVE = {
    "lua": """
        Tool.create({name = "deeper", description = "d", parameters = {}, handler = function() return Tool.execute("deeper", {}) end})
        return select(2, pcall(Tool.execute, "deeper", {}))""",
    "javascript": """
        Tool.create({name: "deeper", description: "d", parameters: {}, handler: async () => Tool.execute("deeper", {})});
        try { await Tool.execute("deeper", {}) } catch (error) { return error.message }""",
}


@pytest.mark.parametrize("language", RECURSIVE)
async def test_a_tool_that_uses_itself_gets_an_error_and_does_not_stall(runtime: Runtime, language: str) -> None:
    said = (await runtime.run_script(RECURSIVE[language], engine=language, timeout=10)).value
    assert said.endswith("functions of this script call each other 16 deep through the host")


TOGETHER = {
    "lua": """
        local hooks = 0
        Hook.register("BeforeToolExecution", function() hooks = hooks + 1 Tool.list() end)
        Tool.create({name = "count", description = "d", parameters = {}, handler = function()
          return Tool.execute("calculator", {expression = "1"}).result.result
        end})
        local tasks = {}
        for i = 1, 60 do tasks[i] = Tool.execute_async("count", {}) end
        return {#Async.all(tasks), hooks}""",
    "javascript": """
        let hooks = 0;
        Hook.register("BeforeToolExecution", async () => { hooks++; await Tool.list() });
        Tool.create({name: "count", description: "d", parameters: {}, handler: async () =>
          (await Tool.execute("calculator", {expression: "1"})).result.result });
        const all = await Promise.all(Array.from({length: 60}, () => Tool.execute("count", {})));
        return [all.length, hooks]""",
}


@pytest.mark.parametrize("language", TOGETHER)
async def test_functions_that_wait_for_hooks_never_wait_for_each_other(
    make_runtime: MakeRuntime, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await make_runtime()
    assert (await runtime.run_script(TOGETHER[language], engine=language, timeout=20)).value == [60, 120]
    assert "skipped" not in caplog.text


COMPUTING = {
    "lua": """
        Hook.register("before_tool_execution", function() while true do end end)
        Tool.execute("calculator", {expression = "1"})""",
    "javascript": """
        Hook.register("before_tool_execution", () => { while (true); });
        await Tool.execute("calculator", {expression: "1"})""",
}


@pytest.mark.parametrize("language", COMPUTING)
async def test_a_hook_that_computes_for_ever_ends_its_script_with_its_name(
    make_runtime: MakeRuntime, language: str
) -> None:
    runtime = await make_runtime(SHORT)
    with pytest.raises(ScriptError, match=r"the hook on 'BeforeToolExecution' of '.*' did not return within 0\.3 s"):
        await runtime.run_script(COMPUTING[language], engine=language, timeout=30)
    assert (await runtime.invoke_tool("calculator", {"expression": "1 + 1"})).text


WAITING = {
    "lua": """
        Hook.register("BeforeToolExecution", function() Async.sleep(60000) end)
        return Tool.execute("calculator", {expression = "1 + 1"}).result.result""",
    "javascript": """
        Hook.register("BeforeToolExecution", () => new Promise(() => {}));
        return (await Tool.execute("calculator", {expression: "1 + 1"})).result.result""",
}


@pytest.mark.parametrize("language", WAITING)
async def test_a_hook_that_waits_for_ever_is_stopped_and_the_operation_goes_on(
    make_runtime: MakeRuntime, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await make_runtime(SHORT)
    async with asyncio.timeout(20):
        assert (await runtime.run_script(WAITING[language], engine=language, timeout=30)).value == 2
    assert "took longer than 0.3 s and was skipped" in caplog.text


async def test_the_time_of_a_hook_begins_when_it_does(make_runtime: MakeRuntime) -> None:
    """The script is busy with something else first; what the hook guards may not slip through meanwhile."""
    runtime = await make_runtime(SHORT)
    source = """
        Hook.register("BeforeToolExecution", () => ({ type: "cancel", reason: "not this one" }));
        const call = Tool.execute("calculator", {expression: "1"});
        for (const end = Date.now() + 1000; Date.now() < end;);
        return call.then(() => "it ran", error => error.message)"""
    assert (await runtime.run_script(source, engine="javascript", timeout=20)).value == "not this one"


SILENT = [
    ("lua", 'error("")'),
    ("lua", "error()"),
    ("lua", 'error("", 0)'),
    ("lua", 'error(setmetatable({}, {__tostring = function() return "" end}))'),
    ("lua", "error({message = ''})"),
    ("javascript", "throw null"),
    ("javascript", "throw new Error()"),
    ("javascript", "throw new Error(null)"),
    ("javascript", "throw ''"),
    ("javascript", "await Promise.reject()"),
    ("javascript", "throw Object.assign(new Error('x'), {message: null})"),
]


@pytest.mark.parametrize(("language", "source"), SILENT)
async def test_an_error_that_says_nothing_is_said_to_say_nothing(runtime: Runtime, language: str, source: str) -> None:
    with pytest.raises(ScriptError) as caught:
        await runtime.run_script(source, engine=language)
    assert len(caught.value.message) > len("<lua>:1: ")
    assert caught.value.message not in {"null", "undefined"}
