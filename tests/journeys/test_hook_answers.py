"""What a hook's answer does at each point, as docs/reference/answers.md has it, in both languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core.testing import say

MODIFIED = [
    ("AfterAgentExecution", "agent", {"result": {"text": "other"}}, "other"),
    ("BeforeToolExecution", "tool", {"parameters": {"input": "40+2"}}, {"result": 42}),
    ("BeforeToolExecution", "tool", {"parameters": {"expression": "40+2"}}, {"result": 42}),
    ("AfterWorkflowStage", "flow", {"result": {"output": 7}}, {"output": 7}),
    ("AfterStateRead", "read", {"result": "other"}, "other"),
    ("BeforeStateWrite", "write", {"value": "tidy"}, "tidy"),
    ("AfterToolDiscovery", "tools", {"result": ["only"]}, ["only"]),
    ("BeforeEventEmit", "event", {"data": {"b": 2}}, {"a": 1, "b": 2}),
]
REPLACED = [
    ("BeforeAgentExecution", "agent", "instead", "instead"),
    ("AfterAgentExecution", "agent", "instead", "instead"),
    ("BeforeToolExecution", "tool", {"success": True, "result": {"x": 1}}, {"x": 1}),
    ("AfterToolExecution", "tool", {"success": True, "result": {"x": 1}}, {"x": 1}),
    ("BeforeWorkflowStage", "flow", "instead", {"output": "instead"}),
    ("AfterWorkflowStage", "flow", "instead", {"output": "instead"}),
    ("BeforeWorkflowStart", "flow", "instead", {"text": "instead"}),
    ("AfterWorkflowComplete", "flow", "instead", {"text": "instead"}),
    ("BeforeStateRead", "read", "instead", "instead"),
    ("AfterStateRead", "read", "instead", "instead"),
    ("BeforeStateWrite", "write", "instead", "untouched"),
]
CASES = [(point, op, {"type": "modified", "data": data}, want) for point, op, data, want in MODIFIED]
CASES += [(point, op, {"type": "replace", "data": data}, want) for point, op, data, want in REPLACED]
CASES += [
    (point, op, {"type": "cancel", "reason": f"not at {point}"}, f"not at {point}")
    for point, op in {(point, op): None for point, op, _, _ in MODIFIED + REPLACED}
]

LUA = """
local agent = Agent.create({name = "a", model = "scripted/any"})
local flow = Workflow.builder():name("w"):sequential():add_step({name = "s", tool = "calculator", parameters = {input = "1+2"}}):build()
local heard
Event.subscribe("x.y", function(event) heard = event.data end)
local seen = {}
for i, case in ipairs(JSON.parse(CASES)) do
  local point, operation, answer = case[1], case[2], case[3]
  State.set("kept", "before") State.set("place", "untouched")
  heard = nil
  local hook = Hook.register(point, function() return answer end)
  local ok, value = pcall(function()
    if operation == "agent" then return agent:execute("hi").text end
    if operation == "tool" then return Tool.execute("calculator", {input = "1+1"}).result end
    if operation == "flow" then return flow:execute({}) end
    if operation == "read" then return State.get("kept") end
    if operation == "write" then State.set("place", "written") return State.get("place") end
    if operation == "tools" then return Tool.list() end
    Event.publish("x.y", {a = 1})
    for _ = 1, 100 do if heard then break end Async.sleep(5) end
    return heard
  end)
  hook:unregister()
  seen[i] = {ok = ok, value = ok and value or tostring(value)}
end
return JSON.stringify(seen)
"""
JAVASCRIPT = """
const agent = await Agent.create({name: "a", model: "scripted/any"});
const flow = await Workflow.builder().name("w").sequential()
  .addStep({name: "s", tool: "calculator", parameters: {input: "1+2"}}).build();
let heard;
Event.subscribe("x.y", (event) => { heard = event.data; });
const operations = {
  agent: async () => (await agent.execute("hi")).text,
  tool: async () => (await Tool.execute("calculator", {input: "1+1"})).result,
  flow: async () => await flow.execute({}),
  read: async () => await State.get("kept"),
  write: async () => { await State.set("place", "written"); return await State.get("place"); },
  tools: async () => await Tool.list(),
  event: async () => {
    await Event.publish("x.y", {a: 1});
    for (let i = 0; i < 100 && heard === undefined; i++) await Async.sleep(5);
    return heard;
  },
};
const seen = [];
for (const [point, operation, answer] of JSON.parse(CASES)) {
  await State.set("kept", "before");
  await State.set("place", "untouched");
  heard = undefined;
  const hook = Hook.register(point, () => answer);
  try {
    seen.push({ok: true, value: await operations[operation]()});
  } catch (error) {
    seen.push({ok: false, value: String(error.message)});
  }
  await hook.unregister();
}
return JSON.stringify(seen);
"""


@pytest.mark.parametrize(("language", "source"), [("lua", LUA), ("javascript", JAVASCRIPT)])
def test_a_hooks_answer_does_what_the_reference_says(
    run_script: Callable[..., Any], language: str, source: str
) -> None:
    cases = json.dumps([case[:3] for case in CASES])
    quoted = f"[==[{cases}]==]" if language == "lua" else json.dumps(cases)
    code = source.replace("JSON.parse(CASES)", f"JSON.parse({quoted})")
    result = run_script(code, language, replies=[say("said")] * len(CASES))
    seen = json.loads(result.value)
    for (point, _, answer, want), got in zip(CASES, seen, strict=True):
        where = f"{answer['type']} at {point}: {got}"
        assert got["ok"] is (answer["type"] != "cancel"), where
        if isinstance(want, dict):
            assert {key: got["value"].get(key) for key in want} == want, where
        elif answer["type"] == "cancel":
            assert want in got["value"], where
        else:
            assert got["value"] == want, where
