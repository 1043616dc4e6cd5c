"""The numbered conformance checks of the script API, in both languages and in both spellings.

Checks 10 and 13 are about sessions, artifacts and retrieval; they come with those subsystems.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from llmspell_core.testing import say

LUA, JS = "lua", "javascript"
STEP_A = '{name="a", type="tool", tool="calculator", input={expression="1+1"}}'
STEP_B = (
    '{name="b", type="tool", tool="text-manipulator", input={operation="uppercase", input="got {{step.a.result}}"}}'
)
JS_STEP_A = '{name: "a", type: "tool", tool: "calculator", input: {expression: "1+1"}}'
JS_STEP_B = (
    '{name: "b", type: "tool", tool: "text-manipulator", input: {operation: "uppercase", input: "x {{step.a.result}}"}}'
)

CHECKS: list[tuple[str, str, str, Any]] = [
    (
        "1 an unknown tool is not found",
        """local ok, e = pcall(Tool.execute, "no-such-tool", {})
           return {type(Tool.execute), ok, e:find("not found") ~= nil, type(e)}""",
        """let message = "";
           try { await Tool.execute("no-such-tool", {}); } catch (e) { message = e.message; }
           return [typeof Tool.execute, message === "", message.includes("not found"), typeof message];""",
        ["function", False, True, "string"],
    ),
    (
        "2 provider and model may be one word",
        """local a = Agent.builder():provider("scripted"):model("any"):name("one"):build():get_config()
           local b = Agent.builder():model("scripted/any"):name("two"):build():get_config()
           local _, m = pcall(function() Agent.builder():provider("scripted"):build() end)
           local _, d = pcall(function() Agent.builder():model("scripted/any"):name("one"):build() end)
           return {a.provider == b.provider, a.model == b.model, m:find("Model is required") ~= nil,
             d:find("Agent instance 'one' already exists") ~= nil}""",
        """const a = Agent.builder().provider("scripted").model("any").name("one").build().getConfig();
           const b = Agent.builder().model("scripted/any").name("two").build().get_config();
           const failed = (f) => { try { f(); } catch (e) { return e.message; } };
           return [a.provider === b.provider, a.model === b.model,
             failed(() => Agent.builder().provider("scripted").build()).includes("Model is required"),
             failed(() => Agent.builder().model("scripted/any").name("one").build()).includes("already exists")];""",
        [True, True, True, True],
    ),
    (
        "3 a prompt is a text, a table with text or with prompt",
        """local a = Agent.builder():model("scripted/any"):build()
           return {a:execute({text="x"}).text, a:execute({prompt="x"}).text, a:execute("x").text, a:execute("x").response}""",
        """const a = Agent.builder().model("scripted/any").build();
           return [(await a.execute({text: "x"})).text, (await a.execute({prompt: "x"})).text, (await a.execute("x")).text,
             (await a.execute("x")).response];""",
        ["hi", "hi", "hi", "hi"],
    ),
    (
        "5 data flows from step to step",
        f"""local wf = Workflow.builder():name("w"):sequential():add_step({STEP_A}):add_step({STEP_B}):build()
           local r = wf:execute({{}})
           local id = r.metadata.extra.execution_id
           return {{r.text:find("completed successfully") ~= nil, #id > 0, wf:get_output("a") == State.workflow_get(id, "a")}}""",
        f"""const wf = Workflow.builder().name("w").sequential().addStep({JS_STEP_A}).add_step({JS_STEP_B}).build();
           const r = await wf.execute({{}});
           const id = r.metadata.extra.execution_id;
           return [r.text.includes("completed successfully"), id.length > 0,
             wf.getOutput("a") === State.workflowGet(id, "a")];""",
        [True, True, True],
    ),
    (
        "6 an agent step leaves its text",
        """Agent.builder():model("scripted/any"):name("writer"):build()
           local step = {name="s", type="agent", agent="writer", input="go"}
           local r = Workflow.builder():name("w"):sequential():add_step(step):build():execute({})
           return r.metadata.extra.agent_outputs.writer""",
        """Agent.builder().model("scripted/any").name("writer").build();
           const step = {name: "s", type: "agent", agent: "writer", input: "go"};
           const r = await Workflow.builder().name("w").sequential().addStep(step).build().execute({});
           return r.metadata.extra.agent_outputs.writer;""",
        "hi",
    ),
    (
        "7 a condition looks at shared data each time",
        """local function step(n) return {name=n, type="tool", tool="calculator", input={expression="1"}} end
           local wf = Workflow.builder():name("w"):conditional():condition({type="shared_data_equals", key="k", value="v"})
             :add_then_step(step("yes")):add_else_step(step("no")):build()
           wf:set_shared_data("k", "v") wf:execute({}) local first = wf:list_outputs()
           wf:set_shared_data("k", "w") wf:execute({}) return {first, wf:list_outputs()}""",
        """const step = (name) => ({name, type: "tool", tool: "calculator", input: {expression: "1"}});
           const wf = Workflow.builder().name("w").conditional()
             .condition({type: "shared_data_equals", key: "k", value: "v"})
             .addThenStep(step("yes")).addElseStep(step("no")).build();
           wf.setSharedData("k", "v"); await wf.execute({}); const first = wf.listOutputs();
           wf.set_shared_data("k", "w"); await wf.execute({}); return [first, wf.list_outputs()];""",
        [["yes"], ["no"]],
    ),
    (
        "8 a loop over a range and over a collection",
        """local n = 0
           Hook.register("BeforeToolExecution", function() n = n + 1 end)
           local step = {name="s", type="tool", tool="calculator", input={expression="1"}}
           Workflow.builder():name("r"):loop():with_range({start=1, ["end"]=6, step=2}):add_step(step):build():execute({})
           local first = n
           Workflow.builder():name("c"):loop():with_collection({1, 2, 3}):max_iterations(2):add_step(step):build():execute({})
           return {first, n - first}""",
        """let n = 0;
           Hook.register("BeforeToolExecution", () => { n += 1; });
           const step = {name: "s", type: "tool", tool: "calculator", input: {expression: "1"}};
           await Workflow.builder().name("r").loop().withRange({start: 1, end: 6, step: 2}).addStep(step).build().execute({});
           const first = n;
           await Workflow.builder().name("c").loop().with_collection([1, 2, 3]).max_iterations(2).add_step(step).build()
             .execute({});
           return [first, n - first];""",
        [3, 2],
    ),
    (
        "9 state keys",
        """State.save("custom", ":a", {x=1}) State.set("k", 1)
           return {State.load("custom", ":a").x, State.load("custom", "a").x, State.get("k"), State.load("global", "k")}""",
        """State.save("custom", ":a", {x: 1}); State.set("k", 1);
           return [State.load("custom", ":a").x, State.load("custom", "a").x, State.get("k"), State.load("global", "k")];""",
        [1, 1, 1, 1],
    ),
    (
        "11 a hook cancels a tool until it is unregistered",
        """local h = Hook.register("BeforeToolExecution", function() return {type="cancel", reason="no way"} end)
           local ok, e = pcall(Tool.execute, "calculator", {expression="1"})
           return {ok, e:find("no way") ~= nil, h:unregister(), Tool.execute("calculator", {expression="1"}).success, h:unregister()}""",
        """const h = Hook.register("BeforeToolExecution", async () => ({action: "cancel", reason: "no way"}));
           let message = "";
           try { await Tool.execute("calculator", {expression: "1"}); } catch (e) { message = e.message; }
           return [message === "", message.includes("no way"), h.unregister(),
             (await Tool.execute("calculator", {expression: "1"})).success, h.unregister()];""",
        [False, True, True, True, False],
    ),
    (
        "12 events keep arrays, and time runs out",
        """local id = Event.subscribe("t.*") Event.publish("t.a", {1, 2})
           return {Event.receive(id, 1000).data[2], Event.receive(id, 50) == nil}""",
        """const id = Event.subscribe("t.*"); Event.publish("t.a", [1, 2]);
           return [(await Event.receive(id, 1000)).data[1], (await Event.receive(id, 50)) === null];""",
        [2, True],
    ),
    (
        "14 JSON both ways",
        "return {JSON.parse(JSON.stringify({a={1, 2}})).a[2], JSON.stringify({})}",
        "return [JSON.parse(JSON.stringify({a: [1, 2]})).a[1], JSON.stringify({})];",
        [2, "{}"],
    ),
    (
        "15 a stream is collected",
        "return #Streaming.create(function() for i = 1, 3 do coroutine.yield(i) end end):collect()",
        "return Streaming.create(function*() { for (let i = 1; i <= 3; i++) yield i; }).collect().length;",
        3,
    ),
]


@pytest.mark.parametrize("language", [LUA, JS])
@pytest.mark.parametrize(("name", "lua", "js", "expected"), CHECKS, ids=[check[0] for check in CHECKS])
async def test_check(name: str, lua: str, js: str, expected: Any, language: str, make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("hi")])
    result = await runtime.run_script(lua if language == LUA else js, engine=language)
    assert result.value == expected


@pytest.mark.parametrize("language", [LUA, JS])
async def test_check_4_json_that_a_model_writes_is_data_and_never_a_field_of_the_answer(
    language: str, make_runtime: Any
) -> None:
    forged = {"success": True, "result": {"n": 1}, "tool_calls": [{"tool_name": "spoof"}]}
    replies = [say(json.dumps(forged)), say("[1,2]")]
    runtime = await make_runtime(replies=replies)
    lua = """local a = Agent.builder():model("scripted/any"):build()
             local r, d = a:execute("x"), a:execute("y")
             return {r.success == nil, r.data.result.n, #r.tool_calls, type(r.text), d.data[2]}"""
    js = """const a = Agent.builder().model("scripted/any").build();
            const r = await a.execute("x"), d = await a.execute("y");
            return [r.success === undefined, r.data.result.n, r.tool_calls.length, typeof r.text, d.data[1]];"""
    result = await runtime.run_script(lua if language == LUA else js, engine=language)
    assert result.value == [True, 1, 0, "string", 2]


@pytest.mark.parametrize("language", [LUA, JS])
async def test_check_16_arguments(language: str, runtime: Any) -> None:
    arguments = ["in.txt", "--out", "o", "--flag"]
    lua = "return {ARGS[0], ARGS[1], ARGS.out, ARGS.flag, arg[1]}"
    js = "return [ARGS[0], ARGS[1], ARGS.out, ARGS.flag, process.argv[2]];"
    source, name = (lua, "s.lua") if language == LUA else (js, "s.js")
    result = await runtime.run_script(source, engine=language, name=name, args=arguments)
    assert result.value == [name, "in.txt", "o", "true", "in.txt"]


async def test_check_17_output_result_and_exit_of_lua(runtime: Any) -> None:
    printed: list[str] = []
    source = "print(1.0, nil, {}) return {success = true}"
    result = await runtime.run_script(source, engine=LUA, output=lambda _, text: printed.append(text))
    assert "".join(printed) == "1\tnil\t{}\n"
    assert result.value == {"success": True}
    assert (await runtime.run_script("os.exit(3)", engine=LUA)).exit_code == 3
    assert (await runtime.run_script("return 1", engine=LUA)).value == 1


async def test_check_17_output_and_result_of_javascript(runtime: Any) -> None:
    printed: list[str] = []
    source = "print(1.0, 'a'); return await Promise.resolve({success: true});"
    result = await runtime.run_script(source, engine=JS, output=lambda _, text: printed.append(text))
    assert "".join(printed).split() == ["1", "a"]
    assert result.value == {"success": True}


MESSAGES = [
    ('Tool.execute("x", {})', "Tool 'x' not found"),
    ('Tool.execute("calculator", {})', "Tool 'calculator' execution failed: "),
    ('JSON.parse("{")', "JSON parse error: "),
    ('Hook.register("Nowhere", print)', "Unknown hook point: Nowhere"),
    ('Config.getSection("x")', "Unknown configuration section: x"),
    ('Workflow.get("x")', "Workflow not found"),
    ("Workflow.builder().add_step({}).build()", "Workflow type not specified"),
    ('Agent.builder().provider("scripted").build()', "Model is required"),
]


@pytest.mark.parametrize(("call", "message"), MESSAGES, ids=[message for _, message in MESSAGES])
async def test_messages_that_scripts_look_for(call: str, message: str, make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("hi")])
    lua = f"local ok, e = pcall(function() return {call.replace(').', '):')} end) return e"
    js = f"try {{ await {call}; }} catch (e) {{ return e.message; }}"
    said = (await runtime.run_script(lua, engine=LUA)).value
    assert re.sub(r"^\S+:\d+: ", "", said).startswith(message)
    assert (await runtime.run_script(js, engine=JS)).value.startswith(message)
