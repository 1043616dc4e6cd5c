"""Functions of a script that the runtime calls, in both languages; the rules are in docs/explanation/callbacks.md."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmspell_core.errors import LLMSpellError, ScriptError
from llmspell_core.hooks import HookContext
from llmspell_core.runtime import Runtime
from llmspell_core.testing.scripted import call, say

MakeRuntime = Callable[..., Awaitable[Runtime]]
CALCULATE = {
    "lua": "Tool.execute('calculator', {expression = '1 + 1'})",
    "javascript": "await Tool.execute('calculator', {expression: '1 + 1'})",
}

BLOCKING = {
    "lua": """
        local seen = {}
        Hook.register("BeforeToolExecution", function(context) seen[#seen + 1] = context.point end)
        Tool.execute("calculator", {expression = "1 + 1"})
        return seen""",
    "javascript": """
        const seen = [];
        Hook.register("BeforeToolExecution", context => { seen.push(context.point) });
        await Tool.execute("calculator", {expression: "1 + 1"});
        return seen""",
}


@pytest.mark.parametrize("language", BLOCKING)
async def test_a_callback_runs_while_the_script_waits(runtime: Runtime, language: str) -> None:
    assert (await runtime.run_script(BLOCKING[language], engine=language)).value == ["BeforeToolExecution"]


REENTRANT = {
    "lua": """
        local depth, deepest = 0, 0
        Hook.register("BeforeToolExecution", function()
          depth = depth + 1
          deepest = math.max(deepest, depth)
          if depth < 8 then Tool.execute("calculator", {expression = "1 + 1"}) end
          depth = depth - 1
        end)
        local sum = Tool.execute("calculator", {expression = "2 + 2"}).result.result
        return {deepest, sum}""",
    "javascript": """
        let depth = 0, deepest = 0;
        Hook.register("BeforeToolExecution", async () => {
          deepest = Math.max(deepest, ++depth);
          if (depth < 8) await Tool.execute("calculator", {expression: "1 + 1"});
          depth--;
        });
        const sum = (await Tool.execute("calculator", {expression: "2 + 2"})).result.result;
        return [deepest, sum]""",
}


@pytest.mark.parametrize("language", REENTRANT)
async def test_a_hook_does_not_see_what_it_brings_about(runtime: Runtime, language: str) -> None:
    assert (await runtime.run_script(REENTRANT[language], engine=language, timeout=10)).value == [1, 4]


BOTTOMLESS = {
    "lua": """
        Tool.create({name = "deeper", description = "d", parameters = {}, handler = function() return Tool.execute("deeper", {}) end})
        Tool.execute("deeper", {})""",
    "javascript": """
        Tool.create({name: "deeper", description: "d", parameters: {}, handler: async () => Tool.execute("deeper", {})});
        await Tool.execute("deeper", {})""",
}


@pytest.mark.parametrize("language", BOTTOMLESS)
async def test_callbacks_that_never_return_end_at_the_deadline(runtime: Runtime, language: str) -> None:
    with pytest.raises(ScriptError):
        await runtime.run_script(BOTTOMLESS[language], engine=language, timeout=1)
    assert (await runtime.run_script("return 1", engine=language)).value == 1


RAISING = {
    "lua": """
        Hook.register("BeforeToolExecution", function() error("the hook is broken") end)
        local id = Event.subscribe("a.b", function() error("the handler is broken") end)
        Event.publish("a.b", {})
        return Tool.execute("calculator", {expression = "1 + 1"}).result.result""",
    "javascript": """
        Hook.register("BeforeToolExecution", () => { throw new Error("the hook is broken") });
        Event.subscribe("a.b", async () => { throw new Error("the handler is broken") });
        Event.publish("a.b", {});
        return (await Tool.execute("calculator", {expression: "1 + 1"})).result.result""",
}


@pytest.mark.parametrize("language", RAISING)
async def test_a_hook_or_handler_that_raises_harms_nobody(
    runtime: Runtime, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await runtime.run_script(RAISING[language], engine=language)).value == 2
    assert "the hook is broken" in caplog.text


STREAM = {
    "lua": """
        local agent = Agent.builder():name("a"):model("scripted/any"):build()
        agent:invokeStream({text = "go"}, function() error("no more") end)""",
    "javascript": """
        const agent = Agent.builder().name("a").model("scripted/any").build();
        await agent.invokeStream({text: "go"}, () => { throw new Error("no more") })""",
}


@pytest.mark.parametrize("language", STREAM)
async def test_the_callback_of_a_stream_ends_it_with_its_error(make_runtime: MakeRuntime, language: str) -> None:
    runtime = await make_runtime(replies=[say("one two three")])
    with pytest.raises(ScriptError, match="no more"):
        await runtime.run_script(STREAM[language], engine=language, timeout=10)


AFTERWARDS = {
    "lua": "Hook.register('BeforeToolExecution', function() return 'cancel' end) "
    "Tool.create({name = 'mine', description = 'd', parameters = {}, handler = function() end}) "
    "Event.subscribe('later.*', function() error('too late') end)",
    "javascript": "Hook.register('BeforeToolExecution', () => 'cancel'); "
    "Tool.create({name: 'mine', description: 'd', parameters: {}, handler: () => 1}); "
    "Event.subscribe('later.*', () => { throw new Error('too late') })",
}


@pytest.mark.parametrize("language", AFTERWARDS)
async def test_nothing_of_a_script_that_ended_is_called(
    runtime: Runtime, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    await runtime.run_script(AFTERWARDS[language], engine=language)
    runtime.events.emit("later.on", {})
    assert (await runtime.invoke_tool("calculator", {"expression": "1 + 1"})).text
    assert "mine" not in runtime.tools.names()
    assert runtime.events.subscriptions() == []
    assert "too late" not in caplog.text


@pytest.mark.parametrize("language", AFTERWARDS)
async def test_between_the_cells_of_a_session_callbacks_are_called(runtime: Runtime, language: str) -> None:
    session = await runtime.scripts.console(language)
    await session.run(AFTERWARDS[language], mode="cell")
    with pytest.raises(LLMSpellError, match="cancel"):
        await runtime.invoke_tool("calculator", {"expression": "1 + 1"})
    await runtime.scripts.close_session(session)
    assert (await runtime.invoke_tool("calculator", {"expression": "1 + 1"})).text


THOUSAND = {
    "lua": """
        local count = 0
        Tool.create({name = "count", description = "d", parameters = {}, handler = function() count = count + 1 return count end})
        local handles = {}
        for i = 1, 1000 do handles[i] = Tool.execute_async("count", {}) end
        local answers = Async.all(handles)
        return {count, #answers}""",
    "javascript": """
        let count = 0;
        Tool.create({name: "count", description: "d", parameters: {}, handler: async () => { await null; return ++count }});
        const answers = await Promise.all(Array.from({length: 1000}, () => Tool.execute("count", {})));
        return [count, answers.length]""",
}


@pytest.mark.parametrize("language", THOUSAND)
async def test_a_thousand_callbacks_wait_for_their_turn(runtime: Runtime, language: str) -> None:
    result = await runtime.run_script(THOUSAND[language], engine=language, timeout=20)
    assert result.value == [1000, 1000]


FOREIGN = {
    "lua": """
        local gone = {}
        for _, hook in ipairs(Hook.list()) do gone[#gone + 1] = Hook.unregister(hook.id) end
        for _, subscription in ipairs(Event.list_subscriptions()) do
          gone[#gone + 1] = Event.unsubscribe(subscription.id)
          gone[#gone + 1] = (pcall(Event.receive, subscription.id, 10))
        end
        return gone""",
    "javascript": """
        const gone = Hook.list().map(hook => Hook.unregister(hook.id));
        for (const {id} of Event.listSubscriptions()) {
          gone.push(Event.unsubscribe(id), await Event.receive(id, 10).then(() => true, () => false));
        }
        return gone""",
}


@pytest.mark.parametrize("language", FOREIGN)
async def test_hooks_and_subscriptions_of_others_are_not_a_scripts_to_end_or_read(
    runtime: Runtime, language: str
) -> None:
    called: list[Any] = []

    async def guard(context: HookContext) -> None:
        called.append(context.point)

    runtime.hooks.register("BeforeToolExecution", guard)
    theirs = runtime.events.subscribe("private.*")
    runtime.events.emit("private.letter", {"text": "secret"})
    assert (await runtime.run_script(FOREIGN[language], engine=language)).value == [False, False, False]
    await runtime.invoke_tool("calculator", {"expression": "1 + 1"})
    assert called
    async with asyncio.timeout(1):
        assert await theirs.receive(0.5) is not None


FAILING = {
    "lua": """
        local agent = Agent.builder():model("scripted/x"):build()
        local shown = {}
        local function note(ok, problem) shown[#shown + 1] = problem end
        note(pcall(function() agent:invokeStream("hi", function() error("boom") end) end))
        note(pcall(function() Tool.execute_async("calculator", {expression = "1"}):and_then(function() error("bang") end):await() end))
        return shown""",
    "javascript": """
        const agent = Agent.builder().model("scripted/x").build();
        const shown = [];
        const note = async (work) => { try { await work(); } catch (error) { shown.push(error.message); } };
        await note(() => agent.invokeStream("hi", () => { throw new Error("boom") }));
        await note(() => Tool.executeAsync("calculator", {expression: "1"}).then(() => { throw new Error("bang") }));
        return shown""",
}
MESSAGES = {"lua": ["<lua>:5: boom", "<lua>:6: bang"], "javascript": ["boom", "bang"]}


@pytest.mark.parametrize("language", FAILING)
async def test_the_error_of_a_callback_has_its_place_once(make_runtime: MakeRuntime, language: str) -> None:
    runtime = await make_runtime(replies=[say("hi")])
    assert (await runtime.run_script(FAILING[language], engine=language)).value == MESSAGES[language]


DECIDING = {
    "lua": """
        local agent = Agent.builder():model("scripted/x"):ask_tool("calculator")
          :on_approval(function() return DECISION end):build()
        return select(2, pcall(function() return agent:execute("go").text end))""",
    "javascript": """
        const agent = Agent.builder().model("scripted/x").askTool("calculator")
          .onApproval(() => (DECISION)).build();
        try { return (await agent.execute("go")).text } catch (error) { return error.message }""",
}


@pytest.mark.parametrize("language", DECIDING)
@pytest.mark.parametrize(
    ("decision", "says"),
    [
        ('{approved = true, parameters = "2 * 2"}', "the parameters of a decision are a table, not '2 * 2'"),
        ('{approved = "yes"}', "a table whose 'approved' is not true or false is not a decision"),
        ('"perhaps"', "'perhaps' is not a decision"),
    ],
)
async def test_what_is_no_decision_is_not_taken_for_one(
    make_runtime: MakeRuntime, language: str, decision: str, says: str
) -> None:
    runtime = await make_runtime(replies=[call("calculator", {"expression": "1 + 1"}), say("done")])
    written = decision if language == "lua" else decision.replace(" =", ":")
    value = (await runtime.run_script(DECIDING[language].replace("DECISION", written), engine=language)).value
    assert says in value
