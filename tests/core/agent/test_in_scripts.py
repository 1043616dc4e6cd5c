"""The script global Agent says the same in Lua and JavaScript."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.testing import call, say

ASK = call("calculator", {"expression": "1+1"}, ("calculator", {"expression": "2+2"}))
HAND_OVER = call("transfer_to_agent", {"agent": "b", "message": "hi"})

CASES: dict[str, tuple[str, str, list[Any], str]] = {
    "lifecycle": (
        """
        local a = Agent.builder():name("a"):model("scripted/any"):build()
        print(a:get_state()) a:initialize() a:start() a:pause() print(a:get_state())
        print(pcall(a.initialize, a) and "went" or "refused") a:resume() a:stop() a:set_error("bad")
        print(a:get_last_error(), a:is_healthy()) a:recover() print(a:get_recovery_attempts(), #a:get_state_history())
        print(a:get_state_metrics().current_state)
        """,
        """
        const a = Agent.builder().name("a").model("scripted/any").build();
        console.log(a.getState()); a.initialize(); a.start(); a.pause(); console.log(a.getState());
        try { a.initialize(); console.log("went"); } catch { console.log("refused"); }
        a.resume(); a.stop(); a.setError("bad");
        console.log(a.getLastError(), a.isHealthy()); a.recover();
        console.log(a.getRecoveryAttempts(), a.getStateHistory().length);
        console.log(a.getStateMetrics().current_state);
        """,
        [say("x")],
        "Uninitialized Paused refused bad false 1 9 Ready",
    ),
    "consent": (
        """
        local a = Agent.builder():name("a"):model("scripted/any"):ask_tool("calculator"):on_approval(function(r)
          return r.parameters.expression == "1+1" end):build()
        local r = a:execute("x")
        print(r.text, r.tool_calls[1].result.success, r.tool_calls[2].result.error)
        """,
        """
        const a = Agent.builder().name("a").model("scripted/any").askTool("calculator")
          .onApproval((r) => r.parameters.expression === "1+1").build();
        const r = await a.execute("x");
        console.log(r.text, r.tool_calls[0].result.success, r.tool_calls[1].result.error);
        """,
        [ASK, say("two")],
        "two true the user did not allow this call",
    ),
    "teams": (
        """
        local b = Agent.builder():name("b"):model("scripted/any"):build()
        local a = Agent.builder():name("a"):model("scripted/any"):tool(b):handoff("b"):build()
        print(a:execute("go").metadata.handoff_chain[2], Agent.get_hierarchy("a").root.children[1].name)
        Agent.create_composite("c", {"a", "b"}, function(text, names) return names[2] end)
        print(Agent.get("c"):execute("q").text, Agent.discover_by_capability("composite")[1])
        print(Agent.wrap_as_tool("b", {tool_name = "ask_b"}), Tool.exists("ask_b"))
        print(Tool.execute("ask_b", {text = "hm"}).result)
        """,
        """
        const b = Agent.builder().name("b").model("scripted/any").build();
        const a = Agent.builder().name("a").model("scripted/any").tool(b).handoff("b").build();
        console.log((await a.execute("go")).metadata.handoff_chain[1], Agent.getHierarchy("a").root.children[0].name);
        await Agent.createComposite("c", ["a", "b"], (text, names) => names[1]);
        console.log((await Agent.get("c").execute("q")).text, Agent.discoverByCapability("composite")[0]);
        console.log(Agent.wrapAsTool("b", {toolName: "ask_b"}), Tool.exists("ask_b"));
        console.log((await Tool.execute("ask_b", {text: "hm"})).result);
        """,
        [HAND_OVER, say("bee")],
        "b b bee c ask_b true bee",
    ),
    "contexts": (
        """
        local id = Agent.create_context({scope = {type = "session", id = "s"}, data = {k = 1}})
        local child = Agent.create_child_context(id, "global", "share")
        Agent.update_context(id, "n", 2)
        print(Agent.get_context_data(id, "k"), Agent.get_context_data(child, "n"))
        Agent.set_shared_memory({type = "user", id = "u"}, "m", 3) Agent.set_shared_memory("g", 4)
        print(Agent.get_shared_memory({type = "user", id = "u"}, "m"), Agent.get_shared_memory("global", "g"))
        local a = Agent.builder():name("a"):model("scripted/any"):build()
        print(a:execute_with_context("x", id).text)
        Agent.remove_context(id)
        local ok, err = pcall(Agent.get_context_data, id, "k")
        print(ok, string.find(err, "not found") ~= nil)
        """,
        """
        const id = Agent.createContext({scope: {type: "session", id: "s"}, data: {k: 1}});
        const child = Agent.createChildContext(id, "global", "share");
        Agent.updateContext(id, "n", 2);
        console.log(Agent.getContextData(id, "k"), Agent.getContextData(child, "n"));
        Agent.setSharedMemory({type: "user", id: "u"}, "m", 3); Agent.setSharedMemory("g", 4);
        console.log(Agent.getSharedMemory({type: "user", id: "u"}, "m"), Agent.getSharedMemory("global", "g"));
        const a = Agent.builder().name("a").model("scripted/any").build();
        console.log((await a.executeWithContext("x", id)).text);
        Agent.removeContext(id);
        try { Agent.getContextData(id, "k"); } catch (e) { console.log(false, e.message.includes("not found")); }
        """,
        [say("in it")],
        "1 2 3 4 in it false true",
    ),
    "memory and numbers": (
        """
        local a = Agent.builder():name("a"):model("scripted/any"):response_schema({type = "object"}):build()
        a:configure_alerts({name = "used", condition = {type = "metric_threshold", metric_name = "requests_total",
          operator = ">=", threshold = 1}})
        print(a:execute("x").data.n, #a:get_alerts(), a:get_alerts()[1].severity)
        a:save_state() a:clear_conversation() print(a:conversation_length(), a:load_state(), a:conversation_length())
        a:delete_state() print(a:load_state()) a:set_state({k = "v"}) print(State.agent_get("a", "k"))
        print(a:get_metrics().requests_total, a:get_metrics().memory_bytes > 0)
        print(a:get_bridge_metrics().active_agents) a:logEvent("note", "hi") a:destroy() print(Agent.get("a"))
        """,
        """
        const a = Agent.builder().name("a").model("scripted/any").responseSchema({type: "object"}).build();
        a.configureAlerts({name: "used", condition: {type: "metric_threshold", metric_name: "requests_total",
          operator: ">=", threshold: 1}});
        console.log((await a.execute("x")).data.n, a.getAlerts().length, a.getAlerts()[0].severity);
        a.saveState(); a.clearConversation();
        console.log(a.conversationLength(), a.loadState(), a.conversationLength());
        a.deleteState(); console.log(a.loadState()); a.setState({k: "v"}); console.log(State.agentGet("a", "k"));
        console.log(a.getMetrics().requests_total, a.getMetrics().memory_bytes > 0);
        console.log(a.getBridgeMetrics().active_agents); a.logEvent("note", "hi"); a.destroy();
        console.log(Agent.get("a") === null ? "nil" : "there");
        """,
        [say('{"n": 5}')],
        "5 1 warning 0 true 2 false v 1 true 1 nil",
    ),
}


@pytest.mark.parametrize("language", ["lua", "javascript"])
@pytest.mark.parametrize("case", CASES)
def test_both_languages_say_the_same(case: str, language: str, run_script: Any) -> None:
    lua, javascript, replies, expected = CASES[case]
    made = run_script(lua if language == "lua" else javascript, language, replies=replies)
    assert " ".join(made.output.split()) == expected
