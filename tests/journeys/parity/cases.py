"""The cases: what they cover, and the neutral text (see neutral.py). The expected values are in expected.json."""
# ruff: noqa: E501 - a case reads best on one line

from __future__ import annotations

AGENT = 'Agent.builder().model("scripted/any")'
STEP = '{"name": "s", "tool": "calculator", "input": {"expression": "1+1"}}'

OBJECTS = {
    "Agent": f"{AGENT}.build()",
    "DebugTimer": 'Debug.timer("t")',
    "Hook": 'Hook.register("BeforeToolExecution", lambda c: None)',
    "MetricsTimer": 'Metrics.timer("t")',
    "Spell": 'Spell.create({"name": "s", "steps": [' + STEP + "]})",
    "Tool": 'Tool.get("calculator")',
    "Workflow": 'Workflow.sequential({"name": "w", "steps": [' + STEP + "]})",
}
"""An expression that makes an object of each kind."""

WITHOUT_CHECKS = {
    *("JSON.parse", "JSON.stringify", "JSON.array", "Streaming.create", "Async.all", "Async.race", "Async.all_settled"),
    *(
        "Debug.log",
        "Debug.logWithData",
        "Debug.setEnabled",
        "Debug.setLevel",
        "Debug.stackTrace",
        "Debug.stackTraceJson",
    ),
    *("Debug.memoryStats", "Debug.errorInfo", "Async.sleep"),
}
"""Work that is done by the VM, which takes any value as its language does."""

CASES: dict[str, list[tuple[str, str]]] = {
    "State": [
        ("State.save State.load", 'State.save("c", ":a", {"x": [1, 2]}); State.load("c", "a")'),
        ("State.set State.get", 'State.set("k", 1); [State.get("k"), State.load("global", "k")]'),
        (
            "State.delete State.exists",
            'State.set("d", 1); [State.exists("d"), State.delete("global", "d"), State.exists("d"), State.delete("d")]',
        ),
        ("State.list_keys", 'State.save("ls", "b", 1); State.save("ls", "a", 1); State.list_keys("ls")'),
        ("State.keys", 'State.set("ks", 1); has(State.keys(), "global:ks")'),
        ("State.all", 'State.set("al", {"n": 1}); State.all()["global:al"]'),
        (
            "State.workflow_get State.workflow_list",
            'State.save("workflow", "w1:a", 5); [State.workflow_get("w1", "a"), State.workflow_list("w1")]',
        ),
        ("State.agent_set State.agent_get", 'State.agent_set("a", "k", True); State.agent_get("a", "k")'),
        (
            "State.tool_set State.tool_get",
            'State.tool_set("a", "k", "v"); [State.tool_get("a", "k"), kind(State.tool_get("a", "z"))]',
        ),
    ],
    "Tool": [
        (
            "Tool.execute",
            'r = Tool.execute("calculator", {"expression": "2+3"}); [r.success, r.result.result, kind(r.text)]',
        ),
        (
            "Tool.execute Tool.exists",
            '[Tool.exists("calculator"), Tool.exists("no-such-tool"), fails(lambda: Tool.execute("no-such-tool", {}))]',
        ),
        ("Tool.list", 'has(pick(Tool.list(), "name"), "calculator")'),
        (
            "Tool.get Tool#execute Tool#get_schema",
            't = Tool.get("calculator"); r = t.execute({"expression": "1+1"}); [t.name, r.result.result, t.get_schema().name, kind(Tool.get("nope"))]',
        ),
        ("Tool.categories", 'has(Tool.categories(), "utility")'),
        (
            "Tool.discover",
            '[has(pick(Tool.discover({"category": "utility"}), "name"), "calculator"), len(Tool.discover({"category": "nope"}))]',
        ),
        ("Tool.get_info", 'Tool.get_info("calculator").name'),
        ("Tool.get_schema", '[kind(Tool.get_schema("calculator").parameters), fails(lambda: Tool.get_schema("nope"))]'),
        (
            "Tool.create",
            'Tool.create({"name": "echo", "description": "d", "parameters": {"x": "integer"}, "handler": lambda p: {"got": p.x}}); Tool.execute("echo", {"x": 4}).result.got',
        ),
        (
            "Tool.register",
            'Tool.register("bare", lambda p: "said"); [Tool.exists("bare"), fails(lambda: Tool.register("more"))]',
        ),
    ],
    "Hook": [
        (
            "Hook.register Hook#id Hook#hook_point Hook#unregister",
            'h = Hook.register("BeforeToolExecution", lambda c: {"type": "cancel", "reason": "no"}, "high"); e = fails(lambda: Tool.execute("calculator", {"expression": "1"})); [e, kind(h.id()), h.hook_point(), h.unregister(), h.unregister(), fails(lambda: h.id()), Tool.execute("calculator", {"expression": "1"}).success]',
        ),
        ("Hook.register", 'fails(lambda: Hook.register("NoSuchPoint", lambda c: None))'),
        (
            "Hook.list",
            'h = Hook.register("ToolError", lambda c: None, "low"); x = Hook.list("ToolError"); h.unregister(); [len(x), x[0].priority, x[0].hook_point]',
        ),
        (
            "Hook.unregister",
            'h = Hook.register("ToolError", lambda c: None); [Hook.unregister(h), Hook.unregister(h), Hook.unregister("nope")]',
        ),
    ],
    "Event": [
        (
            "Event.publish Event.subscribe Event.receive",
            'id = Event.subscribe("t.*"); ok = Event.publish("t.a", [1, 2], {"correlation_id": "c"}); e = Event.receive(id, 1000); [ok, e.event_type, e.data, e.correlation_id, e.topic, kind(Event.receive(id, 10))]',
        ),
        (
            "Event.unsubscribe",
            'id = Event.subscribe("u"); [Event.unsubscribe(id), Event.unsubscribe(id), fails(lambda: Event.receive("gone", 1))]',
        ),
        (
            "Event.list_subscriptions",
            'id = Event.subscribe("l.*"); x = pick(Event.list_subscriptions(), "pattern"); Event.unsubscribe(id); has(x, "l.*")',
        ),
        ("Event.get_stats", "s = Event.get_stats(); [keys(s), keys(s.event_bus_stats), keys(s.bridge_stats)]"),
    ],
    "Logger": [
        (
            "Logger.trace Logger.debug Logger.info Logger.warn Logger.error",
            'Debug.clearCaptured(); Debug.setLevel("trace"); Logger.trace("a"); Logger.debug("b"); Logger.info("c"); Logger.warn("d", "m"); Logger.error("e"); [pick(Debug.getCapturedEntries(), "level"), kind(Utils)]',
        ),
    ],
    "Config": [
        ("Config.get", '[Config.get("default_engine"), kind(Config.get("no.such")), kind(Config.get())]'),
        ("Config.get_all", "keys(Config.get_all()) == keys(Config.get())"),
        ("Config.has", '[Config.has("default_engine"), Config.has("nope")]'),
        ("Config.list", 'has(Config.list("hooks"), "hooks.timeout_ms")'),
        ("Config.getSection", '[kind(Config.getSection("tools")), fails(lambda: Config.getSection("nope"))]'),
        ("Config.getDefaultEngine", "Config.getDefaultEngine()"),
        (
            "Config.getProvider Config.setProvider",
            'Config.setProvider("mine", {"provider_type": "openai", "api_key": "secret-key", "model": "m"}); [Config.getProvider("mine"), kind(Config.getProvider("nope"))]',
        ),
        ("Config.listProviders", 'Config.setProvider("two", {}); has(Config.listProviders(), "two")'),
        ("Config.getSecurity", "Config.getSecurity().allow_file_access"),
        ("Config.getTools", "kind(Config.getTools().file_operations)"),
        (
            "Config.isFileAccessAllowed Config.isNetworkAccessAllowed",
            "[Config.isFileAccessAllowed(), Config.isNetworkAccessAllowed()]",
        ),
        ("Config.getPermissions", "Config.getPermissions()"),
        (
            "Config.set",
            'Config.set("hooks.timeout_ms", 77); [Config.get("hooks.timeout_ms"), fails(lambda: Config.set("runtime.security.profile", "low")), fails(lambda: Config.set("security", {})), fails(lambda: Config.set("tools.permissions.calculator", "safe"))]',
        ),
        ("Config.setSecurity", "fails(lambda: Config.setSecurity({}))"),
        ("Config.addAllowedPath", 'fails(lambda: Config.addAllowedPath("/"))'),
        (
            "Config.snapshot Config.restoreSnapshot",
            's = Config.snapshot(); Config.set("hooks.timeout_ms", 1); Config.restoreSnapshot(s); [kind(s), Config.get("hooks.timeout_ms"), fails(lambda: Config.restoreSnapshot(1))]',
        ),
        ("Config.toJson", "kind(Config.toJson().tools)"),
    ],
    "Provider": [
        ("Provider.list", "kind(Provider.list()[0].name)"),
        ("Provider.get", '[kind(Provider.get("nope")), Provider.get("scripted").name]'),
        (
            "Provider.getCapabilities",
            '[kind(Provider.getCapabilities("scripted").supports_streaming), kind(Provider.getCapabilities("nope"))]',
        ),
        (
            "Provider.usage",
            'Agent.builder().name("pu").model("scripted/any").build().execute("x"); r = Provider.usage("scripted")[0]; [r.provider, r.model, r.requests > 0, r.total_tokens > 4, kind(r.cost_usd), kind(Provider.usage("nope")[0])]',
        ),
        ("Provider.isAvailable", '[Provider.isAvailable("nope"), kind(Provider.isAvailable("scripted"))]'),
    ],
    "Metrics": [
        ("Metrics.get", '[Metrics.get("kernel.uptime") > 0, kind(Metrics.get("nope"))]'),
        ("Metrics.list", 'Metrics.increment("ml.a"); Metrics.list("ml.")'),
        ("Metrics.all", 'Metrics.increment("all.a", 2); Metrics.all()["all.a"]'),
        (
            "Metrics.increment",
            'Metrics.increment("i"); Metrics.increment("i", 2); Metrics.increment("i", 1, {"k": "v"}); [Metrics.get("i"), Metrics.get("i{k=v}"), fails(lambda: Metrics.increment("tool.errors"))]',
        ),
        ("Metrics.gauge", 'Metrics.gauge("g", 1.5); [Metrics.get("g"), fails(lambda: Metrics.increment("g"))]'),
        ("Metrics.histogram", 'Metrics.histogram("h", 1); Metrics.histogram("h", 3); Metrics.get("h")'),
        (
            "Metrics.timer MetricsTimer#stop MetricsTimer#lap MetricsTimer#elapsed",
            't = Metrics.timer("tm"); l = t.lap("a"); e = t.elapsed(); s = t.stop(); [l, kind(e), kind(s), kind(t.stop()), t.lap("b"), Metrics.get("tm").count]',
        ),
        (
            "Metrics.reset",
            'Metrics.increment("r"); Metrics.reset("r"); a = kind(Metrics.get("r")); Metrics.increment("r"); Metrics.reset(); [a, kind(Metrics.get("r")), fails(lambda: Metrics.reset("tool.errors"))]',
        ),
    ],
    "Debug": [
        ("Debug.setLevel Debug.getLevel", '[Debug.setLevel("trace"), Debug.getLevel(), Debug.setLevel("loud")]'),
        (
            "Debug.log Debug.trace Debug.debug Debug.info Debug.warn Debug.error Debug.logWithData Debug.getCapturedEntries Debug.clearCaptured",
            'Debug.clearCaptured(); Debug.log("info", "a", "m"); Debug.trace("b"); Debug.debug("c"); Debug.info("d"); Debug.warn("e"); Debug.error("f"); Debug.logWithData("warn", "g", {"x": 1}); x = Debug.getCapturedEntries(); [pick(x, "message"), pick(x, "level"), x[6].metadata, len(Debug.getCapturedEntries(2))]',
        ),
        (
            "Debug.setEnabled Debug.isEnabled",
            "Debug.setEnabled(False); a = Debug.isEnabled(); Debug.setEnabled(True); [a, Debug.isEnabled()]",
        ),
        (
            "Debug.addModuleFilter Debug.removeModuleFilter Debug.clearModuleFilters",
            'Debug.addModuleFilter("x.*", False); a = Debug.removeModuleFilter("x.*"); b = Debug.removeModuleFilter("x.*"); Debug.clearModuleFilters(); [a, b]',
        ),
        (
            "Debug.setDefaultFilterEnabled Debug.addAdvancedFilter Debug.getFilterSummary",
            'Debug.setDefaultFilterEnabled(False); a = Debug.addAdvancedFilter("m", "exact", True); b = Debug.addAdvancedFilter("m", "odd", True); s = Debug.getFilterSummary(); Debug.setDefaultFilterEnabled(True); Debug.clearModuleFilters(); [a, b, s]',
        ),
        (
            "Debug.timer DebugTimer#stop DebugTimer#lap DebugTimer#elapsed Debug.recordEvent",
            't = Debug.timer("w"); a = t.lap("x"); e = t.elapsed(); b = Debug.recordEvent(t.id, "ev"); s = t.stop(); [t.name, a, kind(e), b, kind(s), kind(t.stop()), Debug.recordEvent("nope", "ev")]',
        ),
        (
            "Debug.errorInfo",
            'i = Debug.errorInfo("Tool said: nothing we know"); [i.message, i.code, i.type, i.retryable]',
        ),
        ("Debug.dump", '[Debug.dump(True), Debug.dump("s", "label")]'),
        ("Debug.dumpCompact", 'Debug.dumpCompact({"a": "x"}, "l")'),
        ("Debug.dumpVerbose", 'kind(Debug.dumpVerbose({"a": 1}))'),
        (
            "Debug.dumpWithOptions",
            'Debug.dumpWithOptions({"a": {"b": "x"}}, {"compact_mode": True, "show_types": False})',
        ),
        (
            "Debug.stackTrace Debug.stackTraceJson",
            '[kind(Debug.stackTrace()), kind(JSON.parse(Debug.stackTraceJson({"max_depth": 2})).frames)]',
        ),
        (
            "Debug.performanceReport Debug.jsonReport Debug.flameGraph",
            "[kind(Debug.performanceReport()), keys(JSON.parse(Debug.jsonReport())), kind(Debug.flameGraph())]",
        ),
        ("Debug.memoryStats", "keys(Debug.memoryStats())"),
        ("Debug.memorySnapshot", "keys(Debug.memorySnapshot())"),
    ],
    "JSON": [
        (
            "JSON.parse JSON.stringify",
            'x = JSON.parse(JSON.stringify({"a": [1, 2.5, "é"]})); [x, JSON.stringify({"b": [True]}), kind(JSON.parse("null"))]',
        ),
        ("JSON.parse", 'JSON.stringify(fails(lambda: JSON.parse("{"))) != "no error"'),
        ("JSON.array", "JSON.stringify(JSON.array())"),
        (
            "JSON.query",
            '[JSON.query({"a": [{"n": 1}, {"n": 2}]}, ".a[1].n"), kind(fails(lambda: JSON.query({}, "((")))]',
        ),
    ],
    "Streaming": [
        (
            "Streaming.create",
            "s = Streaming.create(); s.push(1); s.push(2); a = s.next(); s.close(); [a, s.is_done(), s.collect(), s.is_done(), kind(fails(lambda: s.push(3)))]",
        ),
        ("Streaming.yield", 'kind(Streaming["yield"])'),
    ],
    "Async": [
        ("Async.sleep", "kind(Async.sleep(1))"),
        ("Async.all", "Async.all([1, 2])"),
        ("Async.race", "Async.race([5])"),
        ("Async.all_settled", "Async.all_settled([1])"),
    ],
    "Spell": [
        ("Spell.create Spell#cast", f"s = {OBJECTS['Spell']}; r = s.cast(); [s.name, kind(r.text)]"),
    ],
    "ErrorStrategy": [
        ("ErrorStrategy.cascade", "ErrorStrategy.cascade()"),
        ("ErrorStrategy.retry", 'ErrorStrategy.retry({"max_attempts": 2})'),
        ("ErrorStrategy.circuit_breaker", "ErrorStrategy.circuit_breaker()"),
        ("ErrorStrategy.fallback", "ErrorStrategy.fallback()"),
        ("ErrorStrategy.fail_fast", "ErrorStrategy.fail_fast()"),
        ("ErrorStrategy.continue_on_error", "ErrorStrategy.continue_on_error()"),
    ],
    "Template": [
        ("Template.list", 'has(pick(Template.list(), "id"), "ask")'),
        ("Template.search", '[len(Template.search("ask")) > 0, len(Template.search("zzz"))]'),
        (
            "Template.info",
            '[Template.info("ask").metadata.id, kind(Template.info("ask", True).schema), fails(lambda: Template.info("nope"))]',
        ),
        ("Template.schema", 'keys(Template.schema("ask"))'),
        (
            "Template.execute",
            '[Template.execute("ask", {"question": "x", "model": "scripted/any"}).success, fails(lambda: Template.execute("nope", {}))]',
        ),
        ("Template.estimate_cost", 'kind(Template.estimate_cost("ask", {"question": "x", "model": "scripted/any"}))'),
    ],
}
