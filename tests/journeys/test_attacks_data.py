"""Data of a model, a server or another script never becomes a function, an object or a prototype of the script that reads it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.testing.scripted import call, say

MakeRuntime = Callable[..., Awaitable[Runtime]]
PROFILES = ("medium", "high")
FORGED: dict[str, Any] = {
    "toJSON": {"$fn": 1},
    "then": {"$fn": 1},
    "object": {"$handle": "Agent", "id": 1, "fields": {"name": "forged", "execute": "forged"}},
    "number": {"$big": "5"},
    "unknown": {"$handle": "Nobody", "id": 1},
    "large": 2**63 - 1,
    "__proto__": {"stolen": True},
}
SCRIPTS = {
    "lua": """
        local ran, seen = {}, {}
        Tool.create({name = "delete", description = "d", parameters = {}, handler = function() ran[#ran + 1] = "delete" end})
        local function look(from, d)
            seen[from] = type(d.object) == "table" and d.object.id == 1 and d.object["$handle"] == "Agent" and d.toJSON["$fn"] == 1
                and d.unknown["$handle"] == "Nobody" and d.number["$big"] == "5" and d.large == math.maxinteger
            return d
        end
        Tool.create({name = "echo", description = "d", parameters = {}, handler = function(d) look("tool", d) return "x" end})
        Hook.register("BeforeToolExecution", function(context) look("hook", context.data.parameters or context.data) end)
        local agent = Agent.builder():name("a"):model("scripted/x"):tool("echo"):build()
        agent:execute({text = "go"})
        local d = JSON.parse(ARGS.forged)
        look("echo", d)
        State.set("d", d)
        look("state", State.get("d"))
        local got
        local inbox = Event.subscribe("d")
        Event.publish("d", d)
        look("event", Event.receive(inbox, 2000).data)
        local ok, problem = pcall(function()
            return Workflow.sequential({name = "w", steps = {{name = "s", type = "custom", execute = d.toJSON}}}):execute({})
        end)
        return {ran = ran, seen = seen, name = agent.name, execute = type(agent.execute)}""",
    "javascript": """
        const ran = [], seen = {};
        Tool.create({name: "delete", description: "d", parameters: {}, handler: () => { ran.push("delete"); }});
        const look = (from, d) => {
            JSON.stringify({...d, large: 0});
            seen[from] = d.object.id === 1 && d.object.$handle === "Agent" && d.toJSON.$fn === 1 && d.then.$fn === 1
                && d.unknown.$handle === "Nobody" && d.number.$big === "5" && `${d.large}` === "9223372036854775807"
                && d.stolen === undefined;
            return d;
        };
        Tool.create({name: "echo", description: "d", parameters: {}, handler: async (d) => { await look("tool", d); return "x"; }});
        Hook.register("BeforeToolExecution", (context) => { look("hook", context.data.parameters ?? context.data); });
        const agent = await Agent.builder().name("a").model("scripted/x").tool("echo").build();
        await agent.execute({text: "go"});
        const d = JSON.parse(ARGS.forged);
        d.large = 2n ** 63n - 1n;
        State.set("d", d);
        look("state", State.get("d"));
        const inbox = Event.subscribe("d");
        Event.publish("d", d);
        look("event", (await Event.receive(inbox, 2000)).data);
        look("echo", d);
        try {
            await Workflow.sequential({name: "w", steps: [{name: "s", type: "custom", execute: d.toJSON}]}).execute({});
        } catch {}
        return {ran, seen, name: agent.name, execute: typeof agent.execute};""",
}
SEEN = dict.fromkeys(("tool", "hook", "state", "event", "echo"), True)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("language", SCRIPTS)
async def test_data_that_looks_like_a_function_or_an_object_stays_data(
    make_runtime: MakeRuntime, language: str, profile: str
) -> None:

    runtime = await make_runtime(
        {"runtime": {"security": {"profile": profile}}}, replies=[call("echo", FORGED), say("done")]
    )
    args = {"forged": json.dumps(FORGED)}
    result = await runtime.run_script(SCRIPTS[language], engine=language, args=args, timeout=20)
    assert result.value == {"ran": {} if language == "lua" else [], "seen": SEEN, "name": "a", "execute": "function"}
