"""Cases of workflows; see cases.py."""
# ruff: noqa: E501 - a case reads best on one line

from __future__ import annotations

S = '{"name": "s", "tool": "calculator", "input": {"expression": "1+1"}}'
YES, NO = S.replace('"s"', '"yes"'), S.replace('"s"', '"no"')
NEW = f'w = Workflow.sequential({{"name": "w", "steps": [{S}]}}); '
B = "w = Workflow.builder()"

CASES = [
    (
        "Workflow.sequential Workflow#execute Workflow#get_output Workflow#get_all_outputs Workflow#list_outputs Workflow#clear_outputs Workflow#get_execution_id",
        NEW
        + 'e = fails(lambda: w.get_output("s")); r = w.execute(); o = w.get_output("s"); [e, r.success, r.status, kind(o), keys(w.get_all_outputs()), w.list_outputs(), w.get_execution_id() == r.execution_id, w.clear_outputs().deleted]',
    ),
    (
        "Workflow.parallel",
        f'w = Workflow.parallel({{"name": "p", "steps": [{S}]}}); w.execute().metadata.extra.total_branches',
    ),
    (
        "Workflow.conditional",
        f'w = Workflow.conditional({{"name": "c", "branches": [{{"name": "b", "condition": "always", "steps": [{S}]}}]}}); w.execute().success',
    ),
    (
        "Workflow.loop",
        f'w = Workflow.loop({{"name": "l", "iterator": {{"collection": [1, 2]}}, "body": [{S}]}}); w.execute().success',
    ),
    ("Workflow.fan_out", f'w = Workflow.fan_out({{"name": "f", "targets": [{S}]}}); w.type'),
    ("Workflow.map_reduce", f'w = Workflow.map_reduce({{"name": "m", "items": [1], "map_step": {S}}}); w.type'),
    (
        "Workflow.create Workflow.get",
        f'w = Workflow.create({{"type": "sequential", "name": "made", "steps": [{S}]}}); [w.name, Workflow.get("made").name, fails(lambda: Workflow.get("nope")), fails(lambda: Workflow.create({{"name": "x"}}))]',
    ),
    ("Workflow.types", "Workflow.types()"),
    ("Workflow.list", NEW + 'has(pick(Workflow.list(), "name"), "w")'),
    (
        "Workflow.register Workflow.remove",
        f'i = Workflow.register("sequential", {{"name": "reg", "steps": [{S}]}}); Workflow.remove(i); [kind(i), fails(lambda: Workflow.get("reg"))]',
    ),
    ("Workflow.clear", NEW + 'Workflow.clear(); fails(lambda: Workflow.get("w"))'),
    (
        "Workflow.set_default_error_handler",
        'Workflow.set_default_error_handler(lambda e, c: "skip"); kind(Workflow.set_default_error_handler(None))',
    ),
    (
        "Workflow.enable_debug Workflow.is_debug_enabled",
        "Workflow.enable_debug(); a = Workflow.is_debug_enabled(); Workflow.enable_debug(False); [a, Workflow.is_debug_enabled()]",
    ),
    ("Workflow.execute", NEW + "Workflow.execute(w).success"),
    ("Workflow#get_info", NEW + "i = w.get_info(); [i.name, i.type, i.id == w.id]"),
    (
        "Workflow#set_shared_data Workflow#get_shared_data Workflow#set_state Workflow#get_state",
        NEW
        + 'w.set_shared_data("k", [1]); [w.get_shared_data("k"), w.set_state("s", 2), w.get_state("s"), kind(w.get_state("z"))]',
    ),
    (
        "Workflow#on_before_execute Workflow#on_after_execute Workflow#on_error Workflow#on_before_step Workflow#on_after_step Workflow#on_step_error Workflow#on",
        NEW
        + 'f = lambda x: Metrics.increment("wf.hooks"); a = [keys(w.on_before_execute(f)), kind(w.on_after_execute(f)), kind(w.on_error(f)), kind(w.on_before_step(f)), kind(w.on_after_step(f)), kind(w.on_step_error(f)), fails(lambda: w.on("nope", f))]; w.execute(); [a, Metrics.get("wf.hooks")]',
    ),
    ("Workflow#emit", NEW + 'w.emit("wf.ev", {"a": 1}).event_name'),
    (
        "Workflow#debug Workflow#validate Workflow#get_metrics Workflow#get_status",
        NEW + "[keys(w.debug()), w.validate().valid, keys(w.get_metrics()), w.get_status().state]",
    ),
    ("Workflow#add_step", NEW + f"w.add_step({YES}); w.execute(); w.list_outputs()"),
    (
        "Workflow.builder:sequential Workflow.builder:name Workflow.builder:description Workflow.builder:add_step Workflow.builder:build",
        B
        + f'.name("bs").description("d").sequential().add_step({S}).build(); [w.name, w.type, w.execute().success, fails(lambda: Workflow.builder().name("x").add_step({S}).build())]',
    ),
    (
        "Workflow.builder:parallel Workflow.builder:max_concurrency Workflow.builder:fail_fast Workflow.builder:merge_strategy",
        B
        + f'.parallel().max_concurrency(2).fail_fast(True).merge_strategy("list").add_step({S}).build(); [w.type, w.execute().success]',
    ),
    (
        "Workflow.builder:conditional Workflow.builder:condition Workflow.builder:add_then_step Workflow.builder:add_else_step",
        B
        + f'.conditional().condition({{"type": "shared_data_equals", "key": "k", "value": 1}}).add_then_step({YES}).add_else_step({NO}).build(); w.set_shared_data("k", 1); w.execute(); a = w.list_outputs(); w.set_shared_data("k", 2); w.execute(); [a, w.list_outputs(), fails(lambda: Workflow.builder().conditional().condition({{"type": "odd"}}).build())]',
    ),
    (
        "Workflow.builder:when_true Workflow.builder:when_false Workflow.builder:add_branch Workflow.builder:branch",
        B
        + f'.conditional().condition({{"type": "always"}}).when_true({YES}).when_false({NO}).add_branch({{"type": "never"}}, [{S}]).build(); p = Workflow.builder().parallel().branch("b", {{"steps": [{S}]}}).build(); [w.execute().success, p.execute().success]',
    ),
    (
        "Workflow.builder:loop Workflow.builder:with_range Workflow.builder:body",
        B
        + f'.loop().with_range({{"start": 1, "end": 6, "step": 2}}).body({S}).build(); r = w.execute(); [r.success, r.metadata.extra.range_end]',
    ),
    (
        "Workflow.builder:with_collection Workflow.builder:max_iterations Workflow.builder:break_condition Workflow.builder:aggregation_strategy",
        B
        + f'.loop().with_collection([1, 2, 3]).max_iterations(2).break_condition("never").aggregation_strategy("collect_all").add_step({S}).build(); w.execute().success',
    ),
    (
        "Workflow.builder:with_while Workflow.builder:loop_condition",
        B
        + f'.loop().with_while("false").add_step({S}).build(); v = Workflow.builder().loop().loop_condition(lambda c: False).add_step({S}).build(); [w.execute().success, v.execute().success]',
    ),
    (
        "Workflow.builder:fan_out Workflow.builder:target Workflow.builder:join",
        B + f'.fan_out().target({S}).join("all").build(); w.execute().success',
    ),
    (
        "Workflow.builder:map_reduce Workflow.builder:items Workflow.builder:map_step Workflow.builder:reduce_step Workflow.builder:chunk_size Workflow.builder:on_item_error",
        B
        + f'.map_reduce().items([1, 2]).map_step({S}).reduce_step({YES}).chunk_size(1).on_item_error("fail").build(); w.execute().success',
    ),
    (
        "Workflow.builder:type Workflow.builder:error_strategy Workflow.builder:max_retries Workflow.builder:timeout_ms",
        B
        + f'.type("sequential").error_strategy("continue").max_retries(1).timeout_ms(5000).add_step({S}).build(); [w.type, w.execute().success]',
    ),
    (
        "Workflow.builder:step Workflow.builder:add_template_step",
        B
        + '.sequential().step("one", {"tool": "calculator", "params": {"expression": "1"}}).add_template_step("two", "ask", {"question": "x", "model": "scripted/any"}).build(); w.execute(); w.list_outputs()',
    ),
    (
        "Workflow.builder:input Workflow.builder:option",
        B
        + '.fan_out().input({"input": "1+1"}).option({"join": "all"}).target({"name": "t", "tool": "calculator"}).build(); w.execute().success',
    ),
]
