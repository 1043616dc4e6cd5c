"""Cases of agents; see cases.py."""
# ruff: noqa: E501 - a case reads best on one line

from __future__ import annotations

A = 'Agent.builder().model("scripted/any")'
NEW = f"a = {A}.build(); "


def named(name: str) -> str:
    return f'a = {A}.name("{name}").build(); '


FUNCTIONS = [
    ("Agent.create", 'a = Agent.create({"name": "c1", "model": "scripted/any"}); a.name'),
    (
        "Agent.register",
        '[Agent.register({"name": "r1", "model": {"provider": "scripted", "model_id": "any"}}), Agent.register("r2", {"model": "scripted/any"})]',
    ),
    (
        "Agent.list Agent.list_instances Agent.get Agent#destroy",
        named("l1")
        + 'x = has(pick(Agent.list(), "name"), "l1"); y = has(Agent.list_instances(), "l1"); g = Agent.get("l1").name; a.destroy(); [x, y, g, kind(Agent.get("l1"))]',
    ),
    ("Agent.discover", 'pick(Agent.discover(), "type")'),
    ("Agent.list_templates", "Agent.list_templates()"),
    (
        "Agent.create_from_template",
        'a = Agent.create_from_template("t1", "llm", {"model": "scripted/any"}); [a.name, fails(lambda: Agent.create_from_template("t2", "nope", {}))]',
    ),
    (
        "Agent.discover_by_capability",
        named("finder")
        + '[has(Agent.discover_by_capability("tools"), "finder"), has(Agent.discover_by_capability("FIND"), "finder")]',
    ),
    ("Agent.list_capabilities", named("caps") + 'keys(Agent.list_capabilities()["caps"])'),
    ("Agent.get_info", 'i = Agent.get_info("llm"); [i.name, i.category]'),
    ("Agent.get_details", named("det") + '[Agent.get_details("det").state, fails(lambda: Agent.get_details("nope"))]'),
    (
        "Agent.create_composite",
        (
            f'a = {A}.name("m1").build(); b = {A}.name("m2").build(); '
            'Agent.create_composite("both", ["m1", "m2"], "sequential"); [Agent.get("both").execute("x").text, fails(lambda: Agent.create_composite("bad", ["nobody"], "sequential"))]'
        ),
    ),
    ("Agent.wrap_as_tool", named("wrapped") + 'n = Agent.wrap_as_tool("wrapped"); [n, Tool.exists(n)]'),
    ("Agent.get_hierarchy", named("hier") + 'Agent.get_hierarchy("hier").root.name'),
    (
        "Agent.create_context Agent.create_child_context Agent.update_context Agent.get_context_data Agent.remove_context",
        'c = Agent.create_context({"data": {"k": 1}}); d = Agent.create_child_context(c, {"type": "agent", "id": "x"}, "inherit"); Agent.update_context(c, "n", [1]); v = [Agent.get_context_data(c, "n"), Agent.get_context_data(d, "k")]; Agent.remove_context(d); [kind(c), v, fails(lambda: Agent.create_child_context("nope", "global", "inherit"))]',
    ),
    (
        "Agent.set_shared_memory Agent.get_shared_memory",
        'Agent.set_shared_memory("global", "k", 5); Agent.set_shared_memory({"type": "user", "id": "u"}, "k", 6); [Agent.get_shared_memory("global", "k"), Agent.get_shared_memory({"type": "user", "id": "u"}, "k")]',
    ),
]

METHODS = [
    (
        "Agent#execute",
        NEW
        + 'r = a.execute({"text": "x"}); [r.text, r.response, a.execute({"prompt": "x"}).text, a.execute("x").content]',
    ),
    (
        "Agent#invoke_stream",
        NEW
        + 'r = a.invoke_stream("x", lambda c: None); [r.success, r.chunks_received > 0, kind(a.invoke_stream("x"))]',
    ),
    ("Agent#stream", NEW + 'kind(a.stream("x"))'),
    ("Agent#complete", NEW + 'a.complete("x")'),
    (
        "Agent#invoke_tool Agent#has_tool",
        (
            f'a = {A}.name("user").allow_tool("calculator").build(); '
            '[a.invoke_tool("calculator", {"expression": "1+1"}).result.result, a.has_tool("calculator"), a.has_tool("nope"), fails(lambda: a.invoke_tool("json-processor", {}))]'
        ),
    ),
    ("Agent#execute_with_context", NEW + 'c = Agent.create_context({}); a.execute_with_context("x", c).text'),
    ("Agent#discover_tools", NEW + 'has(a.discover_tools(), "calculator")'),
    (
        "Agent#get_tool_metadata Agent#get_all_tool_metadata",
        (
            f'a = {A}.allow_tool("calculator").build(); '
            '[keys(a.get_tool_metadata("calculator")), kind(a.get_tool_metadata("nope")), keys(a.get_all_tool_metadata())]'
        ),
    ),
    (
        "Agent#get_config",
        f'a = {A}.name("cfg").system_prompt("p").build(); c = a.get_config(); [c.name, c.model, c.system_prompt]',
    ),
    ("Agent#get_metrics", NEW + 'a.complete("x"); [a.get_metrics().requests_total, keys(a.get_metrics())]'),
    ("Agent#get_performance", NEW + 'a.complete("x"); p = a.get_performance(); [p.total_executions, p.success_rate]'),
    ("Agent#get_health", NEW + "kind(a.get_health().status)"),
    (
        "Agent#get_state Agent#initialize Agent#start Agent#pause Agent#resume Agent#stop Agent#terminate Agent#recover Agent#get_state_history",
        (
            f'a = {A}.name("life").build(); '
            's0 = a.get_state(); w = fails(lambda: a.start()); a.initialize(); e = [a.get_state(), a.start(), a.get_state(), a.pause(), a.get_state(), a.resume(), a.get_state(), a.stop(), a.get_state(), fails(lambda: a.recover()), a.terminate(), a.get_state()]; [s0, w, pick(a.get_state_history(), "to"), kind(e), len(a.get_state_history()) > 0]'
        ),
    ),
    (
        "Agent#get_conversation Agent#clear_conversation Agent#add_message Agent#trim_conversation Agent#conversation_length",
        NEW
        + 'a.add_message("user", "one"); a.add_message("assistant", "two"); n = a.conversation_length(); a.trim_conversation(1); m = a.conversation_length(); c = len(a.get_conversation()); a.clear_conversation(); [n, m, c, a.conversation_length(), fails(lambda: a.add_message("nobody", "x"))]',
    ),
    (
        "Agent#save_state Agent#load_state Agent#delete_state Agent#set_state",
        named("sv")
        + 'a.set_state({"k": 1}); a.save_state(); x = a.load_state(); a.delete_state(); [x, a.load_state()]',
    ),
    (
        "Agent#set_error Agent#get_last_error Agent#get_recovery_attempts Agent#is_healthy",
        NEW
        + 'h = a.is_healthy(); a.set_error("broke"); [h, a.get_last_error(), a.is_healthy(), a.get_recovery_attempts()]',
    ),
    ("Agent#get_state_metrics", NEW + "m = a.get_state_metrics(); [m.current_state, m.error_count]"),
    (
        "Agent#configure_alerts Agent#get_alerts",
        NEW
        + 'a.configure_alerts({"name": "n", "condition": {"type": "error_rate", "rate_percent": 50}}); [len(a.get_alerts()), fails(lambda: a.configure_alerts({"name": "n", "condition": {"type": "odd"}}))]',
    ),
    ("Agent#get_bridge_metrics", NEW + "keys(a.get_bridge_metrics())"),
    ("Agent#log_event", NEW + 'kind(a.log_event("t", "m"))'),
]

SETTERS = [
    (
        "Agent.builder:name Agent.builder:build",
        named("dup")
        + f'[a.name, fails(lambda: {A}.name("dup").build()), fails(lambda: Agent.builder().provider("scripted").build())]',
    ),
    (
        "Agent.builder:description Agent.builder:type Agent.builder:system_prompt",
        f'a = {A}.name("bd").description("d").type("llm").system_prompt("p").build(); c = a.get_config(); [c.description, c.type, c.system_prompt]',
    ),
    (
        "Agent.builder:model Agent.builder:provider",
        'a = Agent.builder().provider("scripted").model("any").build(); b = Agent.builder().model("scripted/any").build(); [a.get_config().provider == b.get_config().provider, a.get_config().model == b.get_config().model]',
    ),
    (
        "Agent.builder:temperature Agent.builder:max_tokens Agent.builder:max_conversation_length",
        f"a = {A}.temperature(0.5).max_tokens(7).max_conversation_length(4).build(); c = a.get_config(); [c.temperature, c.max_tokens, c.max_conversation_length]",
    ),
    (
        "Agent.builder:base_url Agent.builder:api_key",
        f'a = {A}.base_url("https://8.8.8.8/v1").api_key("hidden-key").build(); a.get_config().api_key == "hidden-key"',
    ),
    (
        "Agent.builder:allow_tool Agent.builder:allowed_tools",
        f'a = {A}.allow_tool("calculator").build(); b = {A}.allowed_tools(["calculator"]).build(); [a.get_config().allowed_tools, b.get_config().allowed_tools, fails(lambda: {A}.allow_tool("no-such").build())]',
    ),
    ("Agent.builder:allow_all_tools", f'a = {A}.allow_all_tools().build(); a.has_tool("calculator")'),
    (
        "Agent.builder:ask_tool Agent.builder:ask_tools Agent.builder:on_approval",
        f'a = {A}.ask_tool("calculator").on_approval(lambda r: True).build(); b = {A}.ask_tools(["calculator"]).build(); [a.has_tool("calculator"), b.has_tool("calculator")]',
    ),
    (
        "Agent.builder:handoff Agent.builder:handoff_targets",
        f'x = {A}.name("target").build(); a = {A}.handoff("target").build(); b = {A}.handoff_targets(["target"]).build(); [a.complete("x"), b.complete("x")]',
    ),
    ("Agent.builder:tool_choice", f'a = {A}.tool_choice("auto").build(); a.complete("x")'),
    (
        "Agent.builder:response_schema",
        f'a = {A}.response_schema({{"type": "object"}}).build(); fails(lambda: a.complete("x"))',
    ),
    (
        "Agent.builder:max_execution_time Agent.builder:max_memory_mb Agent.builder:max_tool_calls Agent.builder:max_iterations Agent.builder:max_recursion_depth Agent.builder:max_total_tokens Agent.builder:max_cost_usd",
        f"a = {A}.max_execution_time(3).max_memory_mb(4).max_tool_calls(5).max_iterations(6).max_recursion_depth(7).max_total_tokens(8).max_cost_usd(9).build(); a.get_config().resource_limits",
    ),
    (
        "Agent.builder:resource_limits",
        f'a = {A}.resource_limits({{"max_tool_calls": 3}}).build(); a.get_config().resource_limits.max_tool_calls',
    ),
    (
        "Agent.builder:custom_config",
        f'a = {A}.custom_config({{"system_prompt": "mine"}}).build(); a.get_config().system_prompt',
    ),
    (
        "Agent.builder:capability Agent.builder:memory_enabled Agent.builder:context_window",
        f'a = {A}.capability("x").memory_enabled(True).context_window(100).build(); a.complete("x")',
    ),
]

CASES = [*FUNCTIONS, *METHODS, *SETTERS]
