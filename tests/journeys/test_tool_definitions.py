"""What a script's own tools look like to a model: names that every vendor takes, and schemas that are schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell_core.testing.scripted import say

NAMES = ("my tool", "größe", "a.b", "a" * 70, "")
CREATE = {
    "lua": """
        local told = {}
        for i, name in ipairs({NAMES}) do
          local ok, why = pcall(Tool.create, {name = name, handler = function() end})
          told[#told + 1] = ok and "made" or tostring(why)
          ok, why = pcall(Tool.register, name, function() end)
          told[#told + 1] = ok and "made" or tostring(why)
        end
        return told
    """,
    "javascript": """
        const told = []
        for (const name of [NAMES]) {
          try { Tool.create({name, handler: () => 1}); told.push("made") } catch (error) { told.push(`${error}`) }
          try { Tool.register(name, () => 1); told.push("made") } catch (error) { told.push(`${error}`) }
        }
        return told
    """,
}
SCHEMA = {
    "lua": """
        local inner = {type = "object", properties = {required = {type = "string", enum = {}}}, required = {}}
        local tool = Tool.create{name = "t", handler = function() return 1 end,
          parameters = {type = "object", properties = {a = inner}, required = {}}}
        local short = Tool.create{name = "s", handler = function() return 1 end, parameters = {a = {anyOf = {inner}}}}
        local agent = Agent.builder():model("scripted/any"):tool("t"):tool("s"):build()
        local typed = Agent.builder():model("scripted/any"):response_schema{type = "object", required = {}}:build()
        agent:execute("x")
        return typed:execute("x").data
    """,
    "javascript": """
        const inner = {type: "object", properties: {required: {type: "string", enum: []}}, required: []}
        Tool.create({name: "t", handler: () => 1, parameters: {type: "object", properties: {a: inner}, required: []}})
        Tool.create({name: "s", handler: () => 1, parameters: {a: {anyOf: [inner]}}})
        const agent = Agent.builder().model("scripted/any").tool("t").tool("s").build()
        const typed = Agent.builder().model("scripted/any").response_schema({type: "object", required: []}).build()
        await agent.execute("x")
        return (await typed.execute("x")).data
    """,
}


@pytest.mark.parametrize("language", CREATE)
async def test_a_name_that_vendors_refuse_is_refused_when_the_tool_is_made(make_runtime: Any, language: str) -> None:
    runtime = await make_runtime()
    names = ", ".join(json.dumps(name, ensure_ascii=False) for name in NAMES)
    result = await runtime.run_script(CREATE[language].replace("NAMES", names), engine=language)
    assert len(result.value) == 2 * len(NAMES)
    for name, told in zip([n for n in NAMES for _ in range(2)], result.value, strict=True):
        assert "is no name for a tool" in told or (not name and "name" in told), (name, told)


@pytest.mark.parametrize("language", SCHEMA)
async def test_an_empty_list_of_a_schema_is_sent_as_a_list(make_runtime: Any, language: str) -> None:
    runtime = await make_runtime(replies=[say("{}")])
    result = await runtime.run_script(SCHEMA[language], engine=language)
    assert result.value in ({}, [])
    requests = runtime.registry.load("providers", "scripted")().requests
    sent = {tool.name: tool.parameters for tool in requests[0].tools}
    inner = {"type": "object", "properties": {"required": {"type": "string", "enum": []}}, "required": []}
    assert sent["t"] == {"type": "object", "properties": {"a": inner}, "required": []}
    assert sent["s"]["properties"]["a"] == {"anyOf": [inner]}
    assert requests[1].response_schema == {"type": "object", "required": []}


async def test_an_agent_as_a_tool_gets_a_name_that_vendors_take(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("ok")])
    agent = runtime.agents.builder().name("Größe, the 2nd " + "x" * 80).model("scripted/any").build()
    name = runtime.agents.wrap(agent)
    assert name.isascii()
    assert len(name) <= 64
    runtime.agents.builder().name("b").model("scripted/any").tool(name).build().tool_definitions()
