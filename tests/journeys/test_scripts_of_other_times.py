"""Spellings and habits of scripts that were written for earlier releases: they run as they are, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core.testing import say

Run = Callable[..., Any]

PAIRS = {
    "an agent is invoked": (
        """local a = Agent.createAsync({name = "one", model = "scripted/any"})
           return {a:invoke({text = "x"}).text, Agent.get("one"):invoke("x").text}""",
        """const a = await Agent.createAsync({name: "one", model: "scripted/any"});
           return [(await a.invoke({text: "x"})).text, (await Agent.get("one").invoke("x")).text];""",
        ["hi", "hi"],
    ),
    "events and contexts of hooks have the spelling of the language": (
        """local id = Event.subscribe("spelled.*")
           Event.publish("spelled.one", {my_key = 1}, {correlation_id = "550e8400-e29b-41d4-a716-446655440000"})
           local e, seen = Event.receive(id, 1000), nil
           Hook.register("BeforeToolExecution", function(c) seen = {c.component_id.name, c.hook_point, c.componentId == nil} end)
           Tool.execute("calculator", {expression = "1"})
           return {e.event_type, e.data, e.metadata.correlation_id == e.correlation_id, e.eventType == nil, seen}""",
        """const id = Event.subscribe("spelled.*");
           Event.publish("spelled.one", {my_key: 1}, {correlationId: "550e8400-e29b-41d4-a716-446655440000"});
           const e = await Event.receive(id, 1000);
           let seen;
           Hook.register("BeforeToolExecution", (c) => { seen = [c.componentId.name, c.hookPoint, c.component_id !== undefined]; });
           await Tool.execute("calculator", {expression: "1"});
           return [e.eventType, e.data, e.metadata.correlationId === e.correlation_id, e.event_type === "spelled.one", seen];""",
        ["spelled.one", {"my_key": 1}, True, True, ["calculator", "BeforeToolExecution", True]],
    ),
    "every name has a spelling in camelCase": (
        """local a = Agent.builder():agent_type("llm"):model({provider = "scripted", model_id = "any", settings = {}})
             :systemPrompt("p"):name("a"):build()
           return {Agent.wrapAsTool("a"), a:getConfig().system_prompt, Tool.getInfo("calculator").name, a.noSuch == nil,
             Agent.noSuch == nil, Tool.noSuch == nil, Workflow.builder():addStep({tool = "calculator"}) ~= nil, #Tool.list() > 0}""",
        """const a = Agent.builder().agentType("llm").model({provider: "scripted", modelId: "any", model_id: "any", settings: {}})
             .systemPrompt("p").name("a").build();
           return [Agent.wrapAsTool("a"), a.getConfig().system_prompt, Tool.getInfo("calculator").name, a.noSuch === undefined,
             Agent.noSuch === undefined, !Tool.noSuch, Workflow.builder().addStep({tool: "calculator"}) !== null,
             Tool.list().length > 0];""",
        ["a_tool", "p", "calculator", True, True, True, True, True],
    ),
    "hooks find what went wrong and how much was found": (
        """local seen = {}
           Hook.register("ToolError", function(c) seen[1] = c.data.error_message return "continue" end)
           Hook.register("AfterToolDiscovery", function(c) seen[2] = c.data.discovered_count end)
           pcall(Tool.execute, "uuid-generator", {operation = "generate", version = "v5", name = "n", namespace = "nowhere"})
           return {seen[1]:find("nowhere") ~= nil, #Tool.list() == seen[2]}""",
        """const seen = [];
           Hook.register("ToolError", (c) => { seen[0] = c.data.error_message; return "continue"; });
           Hook.register("AfterToolDiscovery", (c) => { seen[1] = c.data.discovered_count; });
           try {
             await Tool.execute("uuid-generator", {operation: "generate", version: "v5", name: "n", namespace: "nowhere"});
           } catch { /* that is what the hook is for */ }
           return [seen[0].includes("nowhere"), Tool.list().length === seen[1]];""",
        [True, True],
    ),
    "an agent streams to a function, or into a loop": (
        """local a = Agent.builder():model("scripted/any"):build()
           local pieces = {}
           local r = a:invokeStream({text = "x"}, function(c) pieces[#pieces + 1] = c.text end)
           local looped = 0
           for _ in a:invokeStream("x") do looped = looped + 1 end
           return {r.success, r.chunks_received == #pieces, looped == #pieces}""",
        """const a = Agent.builder().model("scripted/any").build();
           const pieces = [];
           const r = await a.invokeStream({text: "x"}, (c) => { pieces.push(c.text); });
           let looped = 0;
           for await (const _ of a.invokeStream("x")) looped += 1;
           return [r.success, r.chunks_received === pieces.length, looped === pieces.length];""",
        [True, True, True],
    ),
    "an agent goes without a tool that is not installed": (
        """local name = Agent.register({name = "n", model = {provider = "scripted", model_id = "any", settings = {}},
             allowed_tools = {"calculator", "not-installed-here"}})
           return {Agent.get(name):get_config().allowed_tools, Agent.get(name):execute("x").text}""",
        """const name = await Agent.register({name: "n", model: {provider: "scripted", model_id: "any", settings: {}},
             allowed_tools: ["calculator", "not-installed-here"]});
           return [Agent.get(name).getConfig().allowed_tools, (await Agent.get(name).execute("x")).text];""",
        [["calculator"], "hi"],
    ),
    "an agent itself is made a tool, and members of a team have roles": (
        """local a = Agent.builder():name("writer"):model("scripted/any"):build()
           local tool = Agent.wrap_as_tool(a, {name = "writing", description = "writes", parameters = {prompt = "what"}})
           Agent.create_composite({name = "team", agents = {{role = "w", agent_name = "writer", weight = 0.5}}})
           return {tool, Tool.exists("writing"), Agent.get("team"):invoke("x").text}""",
        """const a = Agent.builder().name("writer").model("scripted/any").build();
           const tool = Agent.wrapAsTool(a, {name: "writing", description: "writes", parameters: {prompt: "what"}});
           await Agent.createComposite({name: "team", agents: [{role: "w", agent_name: "writer", weight: 0.5}]});
           return [tool, Tool.exists("writing"), (await Agent.get("team").invoke("x")).text];""",
        ["writing", True, "hi"],
    ),
    "the whole result of a step is written out where a tool wants a text": (
        """local w = Workflow.builder():sequential()
             :add_step({name = "id", type = "tool", tool = "uuid-generator",
               input = {operation = "deterministic", namespace = "agent", name = "a"}})
             :add_step({name = "length", type = "tool", tool = "text-manipulator",
               input = {operation = "uppercase", input = "{{step.id.result}}"}})
             :build()
           return w:execute({}).outputs.length:sub(1, 2)""",
        """const w = Workflow.builder().sequential()
             .addStep({name: "id", type: "tool", tool: "uuid-generator",
               input: {operation: "deterministic", namespace: "agent", name: "a"}})
             .addStep({name: "length", type: "tool", tool: "text-manipulator",
               input: {operation: "uppercase", input: "{{step.id.result}}"}})
             .build();
           return (await w.execute({})).outputs.length.slice(0, 2);""",
        '{"',
    ),
    "a condition function finds the fields of the input": (
        """local function step(name) return {name = name, tool = "text-manipulator",
             input = {operation = "count", input = "{{task}}", count_type = "words"}} end
           local w = Workflow.builder():conditional():condition(function(ctx) return ctx.task:find("urgent") ~= nil end)
             :add_then_step(step("now")):add_else_step(step("later")):build()
           return {w:execute({task = "an urgent thing"}).outputs, w:execute({task = "a thing"}).outputs}""",
        """const step = (name) => ({name, tool: "text-manipulator",
             input: {operation: "count", input: "{{task}}", count_type: "words"}});
           const w = Workflow.builder().conditional().condition((ctx) => ctx.task.includes("urgent"))
             .addThenStep(step("now")).addElseStep(step("later")).build();
           return [(await w.execute({task: "an urgent thing"})).outputs, (await w.execute({task: "a thing"})).outputs];""",
        [{"now": 3}, {"later": 2}],
    ),
    "a loop only says how often": (
        """local w = Workflow.builder():loop_workflow():max_iterations(3)
             :add_step({name = "s", tool = "calculator", input = {input = "{{loop_index}} + 10"}}):build()
           return {w:execute({}).output, pcall(Workflow.loop, {iterator = {}, max_iterations = 3, body = {}})}""",
        """const w = Workflow.builder().loopWorkflow().maxIterations(3)
             .addStep({name: "s", tool: "calculator", input: {input: "{{loop_index}} + 10"}}).build();
           try { Workflow.loop({iterator: {}, maxIterations: 3, body: []}); } catch (e) {
             return [(await w.execute({})).output, false, e.message]; }""",
        [12, False, "a loop needs an iterator: range, collection or while_condition"],
    ),
    "the range of a loop stands beside the word": (
        """local w = Workflow.loop({name = "l", iterator = "range", start = 1, ["end"] = 6, step = 2,
             body = {{name = "s", tool = "calculator", input = {input = "{{loop:current_value}} + 1"}}}})
           local before = 0
           w:onBeforeExecute(function() before = before + 1 end)
           w:setState("k", 5)
           return {w:execute().output, before, w:getState("k"), w:getInfo().type, w:getMetrics().execution.total_executions}""",
        """const w = Workflow.loop({name: "l", iterator: "range", start: 1, end: 6, step: 2,
             body: [{name: "s", tool: "calculator", input: {input: "{{loop:current_value}} + 1"}}]});
           let before = 0;
           w.onBeforeExecute(() => { before += 1; });
           await w.setState("k", 5);
           return [(await w.execute()).output, before, await w.getState("k"), w.getInfo().type,
             w.getMetrics().execution.total_executions];""",
        [6, 1, 5, "loop", 1],
    ),
}


@pytest.mark.parametrize("language", ["lua", "javascript"])
@pytest.mark.parametrize("name", PAIRS)
def test_it_still_works(run_script: Run, name: str, language: str) -> None:
    lua, js, expected = PAIRS[name]
    found = run_script(lua if language == "lua" else js, language, replies=[lambda _: say("hi")])
    assert found.value == expected
