"""Workflows as scripts write them: every form, the same in both languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import ScriptError
from llmspell_core.testing import say

EXAMPLES = Path(__file__).parents[2] / "examples"
Run = Callable[..., Any]


def answer(request: Any) -> Any:
    return say(f"<{request.messages[-1].content}>")


@pytest.fixture
def both(run_script: Run) -> Callable[[str, str], Any]:
    """Runs a pair of scripts and returns their common value."""

    def run(lua: str, js: str, **options: Any) -> Any:
        options.setdefault("replies", [answer])
        values = [
            run_script(source, language, **options).value for source, language in ((lua, "lua"), (js, "javascript"))
        ]
        assert values[0] == values[1]
        return values[0]

    return run


def test_conformance_a_sequence_of_tools(both: Any) -> None:
    value = both(
        """
        local wf = Workflow.builder():name("w"):sequential()
          :add_step({name = "a", type = "tool", tool = "calculator", input = {input = "2+3"}})
          :add_step({name = "b", type = "tool", tool = "calculator", input = {input = "{{step.a.result}} * {{k}}"}})
          :build()
        local r = wf:execute({k = 4})
        return {
          type(r.metadata.extra.execution_id), r.text:find("completed successfully") ~= nil, r.outputs, r.output, r.status,
          r.success, r.workflow_type, r.metadata.extra.workflow_name, r.metadata.extra.total_steps, r.metadata.extra.success_rate,
          wf:get_output("a") == State.workflow_get(r.execution_id, "a"), wf:list_outputs(), wf:get_all_outputs(),
          wf:get_execution_id() == r.execution_id, wf.name, wf.type, wf:get_info().type, #r.media, #r.tool_calls,
          wf:get_metrics().execution.total_executions, wf:get_status().state, wf:validate().valid,
          wf:clear_outputs().deleted, wf:get_output("a") == nil, wf:debug().name, Workflow.get("w").id == wf.id,
        }""",
        """
        const wf = Workflow.builder().name("w").sequential()
          .addStep({name: "a", type: "tool", tool: "calculator", input: {input: "2+3"}})
          .add_step({name: "b", type: "tool", tool: "calculator", input: {input: "{{step.a.result}} * {{k}}"}})
          .build()
        const r = await wf.execute({k: 4})
        return [
          typeof r.metadata.extra.execution_id, r.text.includes("completed successfully"), r.outputs, r.output, r.status,
          r.success, r.workflow_type, r.metadata.extra.workflow_name, r.metadata.extra.total_steps, r.metadata.extra.success_rate,
          wf.getOutput("a") === await State.workflowGet(r.execution_id, "a"), wf.listOutputs(), wf.get_all_outputs(),
          wf.getExecutionId() === r.execution_id, wf.name, wf.type, wf.getInfo().type, r.media.length, r.tool_calls.length,
          wf.getMetrics().execution.total_executions, wf.getStatus().state, wf.validate().valid,
          (await wf.clearOutputs()).deleted, wf.getOutput("a") === null, wf.debug().name, Workflow.get("w").id === wf.id,
        ]""",
    )
    assert value[1:8] == [True, {"a": 5, "b": 20}, 20, "completed", True, "sequential", "w"]
    assert value[8:11] == [2, 100, True]


def test_conformance_agent_steps_and_their_outputs(both: Any) -> None:
    value = both(
        """
        local agent = Agent.builder():name("poet"):model("scripted/any"):build()
        local wf = Workflow.sequential({name = "w", steps = {
          {name = "one", type = "agent", agent = "poet", input = "about {{topic}}"},
          {name = "two", type = "agent", agent = agent, prompt = "again $one.output"},
        }})
        local r = wf:execute({topic = "owls"})
        return {r.metadata.extra.agent_outputs, r.outputs, State.load("workflow:" .. r.execution_id, "agent:poet:output")}""",
        """
        const agent = Agent.builder().name("poet").model("scripted/any").build()
        const wf = Workflow.sequential({name: "w", steps: [
          {name: "one", type: "agent", agent: "poet", input: "about {{topic}}"},
          {name: "two", type: "agent", agent, prompt: "again $one.output"},
        ]})
        const r = await wf.execute({topic: "owls"})
        return [r.metadata.extra.agent_outputs, r.outputs, await State.load("workflow:" + r.execution_id, "agent:poet:output")]""",
    )
    assert value == [
        {"poet": "<again <about owls>>"},
        {"one": "<about owls>", "two": "<again <about owls>>"},
        "<again <about owls>>",
    ]


def test_conformance_conditions_follow_shared_data(both: Any) -> None:
    value = both(
        """
        local wf = Workflow.builder():conditional():name("c")
          :add_step({name = "first", execute = function() return "before" end})
          :condition({type = "shared_data_equals", key = "mode", value = "fast"})
          :add_then_step({name = "t", execute = function(ctx) return "then after " .. ctx.steps.first end})
          :add_branch({type = "custom", evaluate = function(ctx) return ctx.shared_data.mode == "odd" end},
                      {{name = "o", execute = function() return "else-if" end}})
          :add_else_step({name = "e", execute = function() return "else" end})
          :build()
        local found = {}
        for _, mode in ipairs({"fast", "odd", "slow"}) do
          wf:set_shared_data("mode", mode)
          local r = wf:execute()
          found[#found + 1] = {r.output, r.metadata.extra.matched_branches, wf:get_shared_data("mode")}
        end
        return found""",
        """
        const wf = Workflow.builder().conditional().name("c")
          .addStep({name: "first", execute: () => "before"})
          .condition({type: "shared_data_equals", key: "mode", value: "fast"})
          .addThenStep({name: "t", execute: (ctx) => "then after " + ctx.steps.first})
          .addBranch({type: "custom", evaluate: (ctx) => ctx.shared_data.mode === "odd"},
                     [{name: "o", execute: () => "else-if"}])
          .addElseStep({name: "e", execute: () => "else"})
          .build()
        const found = []
        for (const mode of ["fast", "odd", "slow"]) {
          await wf.setSharedData("mode", mode)
          const r = await wf.execute()
          found.push([r.output, r.metadata.extra.matched_branches, wf.getSharedData("mode")])
        }
        return found""",
    )
    assert value == [["then after before", 1, "fast"], ["else-if", 1, "odd"], ["else", 0, "slow"]]


def test_conformance_loops(both: Any) -> None:
    value = both(
        """
        local step = {name = "i", execute = function(ctx) return ctx.current_value end}
        local function go(b) return b:add_step(step):build():execute().metadata.extra.aggregated_results end
        local found = {
          go(Workflow.builder():loop():with_range({start = 1, ["end"] = 6, step = 2})),
          go(Workflow.builder():loop_workflow():with_collection({"a", "b", "c"}):max_iterations(2)),
          go(Workflow.builder():loop():with_while("loop_index < 3")),
          go(Workflow.builder():loop():with_range({start = 0, ["end"] = 99}):loop_condition(function(c) return c.current_index < 2 end)),
        }
        local t = Workflow.loop({name = "t", iterator = {range = {["end"] = 3}}, body = {step},
          break_conditions = {{expression = "$iteration == 1", message = "enough"}}}):execute()
        return {found, t.metadata.extra.break_reason, t.metadata.extra.iterator_type, t.metadata.extra.range_end}""",
        """
        const step = {name: "i", execute: (ctx) => ctx.current_value}
        const go = async (b) => (await b.addStep(step).build().execute()).metadata.extra.aggregated_results
        const found = [
          await go(Workflow.builder().loop().withRange({start: 1, end: 6, step: 2})),
          await go(Workflow.builder().loopWorkflow().withCollection(["a", "b", "c"]).maxIterations(2)),
          await go(Workflow.builder().loop().withWhile("loop_index < 3")),
          await go(Workflow.builder().loop().withRange({start: 0, end: 99}).loopCondition((c) => c.current_index < 2)),
        ]
        const t = await Workflow.loop({name: "t", iterator: {range: {end: 3}}, body: [step],
          break_conditions: [{expression: "$iteration == 1", message: "enough"}]}).execute()
        return [found, t.metadata.extra.break_reason, t.metadata.extra.iterator_type, t.metadata.extra.range_end]""",
    )
    assert value == [[[1, 3, 5], ["a", "b"], [0, 1, 2], [0, 1]], "enough", "range", 3]


def test_parallel_fan_out_and_map_reduce(both: Any) -> None:
    value = both(
        """
        local p = Workflow.parallel({name = "p", max_concurrency = 2, branches = {
          {name = "l", steps = {{name = "a", tool = "calculator", params = {input = "1+1"}}}},
          {name = "r", steps = {{name = "b", tool = "calculator", params = {input = "2+2"}}}},
        }}):execute()
        local f = Workflow.fan_out({targets = {"calculator"}, input = {input = "3+3"}}):execute()
        local m = Workflow.map_reduce():items({1, 2, 3}):max_concurrency(2)
          :map_step({tool = "calculator", input = {input = "{{item}}^2"}})
          :reduce_step({execute = function(ctx) local s = 0 for _, n in ipairs(ctx.results) do s = s + n end return s end})
          :build():execute()
        return {p.outputs, p.output, p.metadata.extra.total_branches, p.metadata.extra.max_concurrency,
                f.output[1].output, m.output, m.metadata.extra.map_results}""",
        """
        const p = await Workflow.parallel({name: "p", max_concurrency: 2, branches: [
          {name: "l", steps: [{name: "a", tool: "calculator", params: {input: "1+1"}}]},
          {name: "r", steps: [{name: "b", tool: "calculator", params: {input: "2+2"}}]},
        ]}).execute()
        const f = await Workflow.fanOut({targets: ["calculator"], input: {input: "3+3"}}).execute()
        const m = await Workflow.mapReduce().items([1, 2, 3]).maxConcurrency(2)
          .mapStep({tool: "calculator", input: {input: "{{item}}^2"}})
          .reduceStep({execute: (ctx) => ctx.results.reduce((a, b) => a + b, 0)})
          .build().execute()
        return [p.outputs, p.output, p.metadata.extra.total_branches, p.metadata.extra.max_concurrency,
                f.output[0].output, m.output, m.metadata.extra.map_results]""",
    )
    assert value[:4] == [{"a": 2, "b": 4}, {"l": 2, "r": 4}, 2, 2]
    assert value[4:] == [6, 14, [1, 4, 9]]


def test_functions_callbacks_state_and_events(both: Any) -> None:
    value = both(
        """
        local log = {}
        local wf = Workflow.builder():name("w"):sequential()
          :add_step({name = "a", type = "custom", execute = function(ctx)
            return {success = true, output = ctx.input.n + 1, state_updates = {k = "kept"}}
          end})
          :add_step({name = "b", type = "function", execute = function(ctx) return ctx.shared_data.k end})
          :build()
        local shape = wf:on_before_execute(function(d) log[#log + 1] = "before " .. d.workflow_name end)
        wf:on_after_execute(function(d) log[#log + 1] = "after " .. d.status end)
        wf:on_after_step(function(d) log[#log + 1] = d.step_name; error("ignored") end)
        wf:on_error(function(d) log[#log + 1] = "error " .. d.message end)
        local id = Event.subscribe("mine.*")
        local emitted = wf:emit("mine.said", {x = 1})
        local event = Event.receive(id, 2000)
        local r = wf:execute({n = 1})
        wf:add_step({name = "c", execute = function() return {success = false, error = "broken"} end})
        local ok, err = pcall(function() return wf:execute({n = 1}) end)
        return {r.outputs, log, shape.hook_type, emitted.event_name, event.data.workflow_name, event.data.data,
                ok, err:find("broken") ~= nil, wf:set_state("s", 5), wf:get_state("s"), wf:get_status().state,
                wf:get_metrics().execution.failed_executions}""",
        """
        const log = []
        const wf = Workflow.builder().name("w").sequential()
          .addStep({name: "a", type: "custom", execute: (ctx) =>
            ({success: true, output: ctx.input.n + 1, state_updates: {k: "kept"}})})
          .addStep({name: "b", type: "function", execute: async (ctx) => ctx.shared_data.k})
          .build()
        const shape = wf.onBeforeExecute((d) => { log.push("before " + d.workflow_name) })
        wf.onAfterExecute((d) => { log.push("after " + d.status) })
        wf.onAfterStep((d) => { log.push(d.step_name); throw new Error("ignored") })
        wf.onError((d) => { log.push("error " + d.message) })
        const id = Event.subscribe("mine.*")
        const emitted = wf.emit("mine.said", {x: 1})
        const event = await Event.receive(id, 2000)
        const r = await wf.execute({n: 1})
        wf.addStep({name: "c", execute: () => ({success: false, error: "broken"})})
        let ok = true, err = ""
        try { await wf.execute({n: 1}) } catch (e) { ok = false; err = e.message }
        return [r.outputs, log, shape.hook_type, emitted.event_name, event.data.workflow_name, event.data.data,
                ok, err.includes("broken"), await wf.setState("s", 5), await wf.getState("s"), wf.getStatus().state,
                wf.getMetrics().execution.failed_executions]""",
    )
    assert value[0] == {"a": 2, "b": "kept"}
    assert value[1][:4] == ["before w", "a", "b", "after completed"]
    assert value[1][-1] == "error step 'c' failed: broken"
    assert value[2:6] == ["before_execute", "mine.said", "w", {"x": 1}]
    assert value[6:] == [False, True, True, 5, "failed", 1]


def test_strategies_handlers_and_nesting(both: Any) -> None:
    value = both(
        """
        local calls = 0
        Workflow.setDefaultErrorHandler(function(err, ctx)
          calls = calls + 1
          return err.message:find("flaky") and "skip" or "fail"
        end)
        local function bad() error("flaky") end
        local good = {name = "b", execute = function() return 1 end}
        local skipped = Workflow.sequential({steps = {{name = "a", execute = bad}, good}}):execute()
        Workflow.setDefaultErrorHandler()
        local on = Workflow.sequential({error_strategy = "continue", steps = {{name = "a", execute = bad}}}):execute()
        local saved = Workflow.sequential({steps = {{name = "a", execute = bad,
          error_strategy = ErrorStrategy.cascade({retry_count = 1, backoff_ms = 1, fallback = "saved"})}}}):execute()
        local inner = Workflow.sequential({name = "inner", steps = {{name = "x", execute = function(c) return c.input.v end}}})
        local nested = {name = "n", type = "workflow", workflow = inner, input = {v = "{{top}}"}}
        local outer = Workflow.sequential({steps = {nested}}):execute({top = 7})
        local undone = {}
        local ok = pcall(function() Workflow.sequential({steps = {
          {name = "a", execute = function() return "A" end, compensate = {execute = function(c) undone[#undone + 1] = c.steps.a end}},
          {name = "b", execute = bad}}}):execute() end)
        return {calls, skipped.outputs, on.status, on.success, saved.output, outer.outputs, ok, undone}""",
        """
        let calls = 0
        Workflow.setDefaultErrorHandler((err, ctx) => { calls++; return err.message.includes("flaky") ? "skip" : "fail" })
        const bad = () => { throw new Error("flaky") }
        const skipped = await Workflow.sequential({steps: [{name: "a", execute: bad}, {name: "b", execute: () => 1}]}).execute()
        Workflow.setDefaultErrorHandler()
        const on = await Workflow.sequential({error_strategy: "continue", steps: [{name: "a", execute: bad}]}).execute()
        const saved = await Workflow.sequential({steps: [{name: "a", execute: bad,
          error_strategy: ErrorStrategy.cascade({retry_count: 1, backoff_ms: 1, fallback: "saved"})}]}).execute()
        const inner = Workflow.sequential({name: "inner", steps: [{name: "x", execute: (c) => c.input.v}]})
        const nested = {name: "n", type: "workflow", workflow: inner, input: {v: "{{top}}"}}
        const outer = await Workflow.sequential({steps: [nested]}).execute({top: 7})
        const undone = []
        let ok = true
        try { await Workflow.sequential({steps: [
          {name: "a", execute: () => "A", compensate: {execute: (c) => { undone.push(c.steps.a) }}},
          {name: "b", execute: bad}]}).execute() } catch { ok = false }
        return [calls, skipped.outputs, on.status, on.success, saved.output, outer.outputs, ok, undone]""",
    )
    assert value == [1, {"b": 1}, "partially_completed", False, "saved", {"n": 7}, False, ["A"]]


def test_the_shortest_form_is_a_spell(both: Any) -> None:
    value = both(
        """
        for _, n in ipairs({"Scholar", "Reporter", "Editor"}) do Agent.builder():name(n):model("scripted/any"):build() end
        local spell = Spell.create({
          name = "research",
          workflow = Workflow.sequential({
            {name = "research_phase", type = "parallel", agents = {
              {agent = "Scholar", tools = {"calculator"}}, {agent = "Reporter"}}},
            {name = "synthesis_phase", agent = "Editor", tools = {"text-manipulator"}},
          }),
          error_strategy = ErrorStrategy.cascade({retry_count = 3, circuit_breaker = {failure_threshold = 5}}),
        })
        local r = spell:cast({topic = "owls", output_format = "markdown"})
        return {spell.name, r.success, r.outputs.research_phase, r.output:find("topic: owls", 1, true) ~= nil}""",
        """
        for (const n of ["Scholar", "Reporter", "Editor"]) Agent.builder().name(n).model("scripted/any").build()
        const spell = Spell.create({
          name: "research",
          workflow: Workflow.sequential([
            {name: "research_phase", type: "parallel", agents: [
              {agent: "Scholar", tools: ["calculator"]}, {agent: "Reporter"}]},
            {name: "synthesis_phase", agent: "Editor", tools: ["text-manipulator"]},
          ]),
          error_strategy: ErrorStrategy.cascade({retry_count: 3, circuit_breaker: {failure_threshold: 5}}),
        })
        const r = await spell.cast({topic: "owls", output_format: "markdown"})
        return [spell.name, r.success, r.outputs.research_phase, r.output.includes("topic: owls")]""",
    )
    text = "<output_format: markdown\ntopic: owls>"
    assert value == ["research", True, {"Scholar": text, "Reporter": text}, True]


def test_the_registry_of_workflows(both: Any) -> None:
    value = both(
        """
        local types = Workflow.list()
        local id = Workflow.register("sequential", {name = "w", steps = {{name = "a", tool = "calculator", input = {input = "1+1"}}}})
        local row = Workflow.list()[1]
        local out = Workflow.execute("w").output
        Workflow.remove(id)
        local ok, err = pcall(Workflow.get, "w")
        Workflow.create({type = "sequential", name = "x"})
        Workflow.clear()
        Workflow.enableDebug()
        return {#types, types[1].features[1], id:sub(1, 9), row.name, row.type, out, ok, err:find("Workflow not found") ~= nil,
                Workflow.list()[1].type, Workflow.types()[1], Workflow.isDebugEnabled()}""",
        """
        const types = Workflow.list()
        const id = Workflow.register("sequential", {name: "w", steps: [{name: "a", tool: "calculator", input: {input: "1+1"}}]})
        const row = Workflow.list()[0]
        const out = (await Workflow.execute("w")).output
        Workflow.remove(id)
        let ok = true, err = ""
        try { Workflow.get("w") } catch (e) { ok = false; err = e.message }
        Workflow.create({type: "sequential", name: "x"})
        Workflow.clear()
        Workflow.enableDebug()
        return [types.length, types[0].features[0], id.slice(0, 9), row.name, row.type, out, ok, err.includes("Workflow not found"),
                Workflow.list()[0].type, Workflow.types()[0], Workflow.isDebugEnabled()]""",
    )
    assert value[2:] == ["workflow_", "w", "instance", 2, False, True, "sequential", "sequential", True]


WRONG = [
    ('Workflow.builder():name("x"):build()', 'Workflow.builder().name("x").build()', "Workflow type not specified"),
    ('Workflow.sequential({steps = {{name = "a", type = "magic"}}})',
     'Workflow.sequential({steps: [{name: "a", type: "magic"}]})', "Unknown step type: 'magic'"),
    ('Workflow.builder():add_step({name = "a", type = "agent", agent = nil})',
     'Workflow.builder().addStep({name: "a", type: "agent", agent: undefined})', "step 'a' of type 'agent' needs 'agent'"),
    ('Workflow.conditional({branches = {{condition = {type = "moon"}, steps = {}}}})',
     'Workflow.conditional({branches: [{condition: {type: "moon"}, steps: []}]})', "Unknown condition type: moon"),
    ('Workflow.loop({body = {}})', 'Workflow.loop({body: []})', "a loop needs an iterator"),
    ('Workflow.get("nothing")', 'Workflow.get("nothing")', "Workflow not found"),
    ('Workflow.sequential({steps = {}}):get_output("a")', 'Workflow.sequential({steps: []}).getOutput("a")',
     "No workflow execution found. Run execute() first."),
    ('Workflow.sequential({steps = {{name = "a", tool = "ghost"}}}):execute()',
     'await Workflow.sequential({steps: [{name: "a", tool: "ghost"}]}).execute()', "Tool 'ghost' not found"),
    ('Workflow.sequential({steps = {{name = "a", tool = "calculator", input = {input = "{{step.no.result}}"}}}}):execute()',
     'await Workflow.sequential({steps: [{name: "a", tool: "calculator", input: {input: "{{step.no.result}}"}}]}).execute()',
     "there is no step 'no'"),
    (('Workflow.conditional({branches = {{condition = {type = "always"}, steps = {{name = "a", execute = print}}}, '
     '{name = "never", condition = {type = "step_succeeded", step = "ghost"}, steps = {}}}}):execute()'),
     ('await Workflow.conditional({branches: [{condition: {type: "always"}, steps: [{name: "a", execute: print}]}, '
     '{name: "never", condition: {type: "step_succeeded", step: "ghost"}, steps: []}]}).execute()'),
     "branch 'never': its condition asks about step 'ghost', which does not exist"),
    (('Workflow.loop({iterator = {range = {start = 1, ["end"] = 1}}, body = {{name = "tally", execute = print}}, '
     'break_conditions = {"step:taly:done"}}):execute()'),
     ('await Workflow.loop({iterator: {range: {start: 1, end: 1}}, body: [{name: "tally", execute: print}], '
     'breakConditions: ["step:taly:done"]}).execute()'),
     "a break condition asks about step 'taly', which does not exist (did you mean 'tally'?)"),
]  # fmt: skip


@pytest.mark.parametrize(("lua", "js", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_mistakes_are_said_alike(run_script: Run, lua: str, js: str, message: str) -> None:
    for source, language in ((lua, "lua"), (js, "javascript")):
        with pytest.raises(ScriptError) as caught:
            run_script(source, language)
        assert message in caught.value.message
        assert caught.value.line == 1


def test_a_workflow_runs_without_waiting(both: Any) -> None:
    value = both(
        """
        local function slow(n) return {name = n, steps = {{name = n, execute = function() Async.sleep(5) return n end}}} end
        local a, b = Workflow.sequential(slow("a")):execute_async(), Workflow.sequential(slow("b")):execute_async()
        return {a:await().output, b:await().output}""",
        """
        const slow = (n) => ({name: n, steps: [{name: n, execute: async () => { await new Promise((r) => setTimeout(r, 5)); return n }}]})
        const [a, b] = await Promise.all([Workflow.sequential(slow("a")).execute(), Workflow.sequential(slow("b")).executeAsync()])
        return [a.output, b.output]""",
    )
    assert value == ["a", "b"]


@pytest.mark.parametrize("name", ["research_pipeline", "map_reduce_summary"])
@pytest.mark.parametrize(("folder", "language", "suffix"), [("lua", "lua", "lua"), ("js", "javascript", "js")])
def test_the_examples_do_what_they_say(run_script: Run, name: str, folder: str, language: str, suffix: str) -> None:
    source = (EXAMPLES / folder / f"{name}.{suffix}").read_text(encoding="utf-8")
    Path("notes").mkdir()
    for n in ("one", "two", "three"):
        Path("notes", f"{n}.txt").write_text(f"Notes about {n}.", encoding="utf-8")
    result = run_script(source, language, replies=[answer], args=["--model", "scripted/any", "--folder", "notes"])
    assert result.value["success"] is True
    assert result.value["status"] == "completed"
    assert "<" in result.value["report"]


def test_option_tables_take_both_spellings(run_script: Run) -> None:
    source = """
        const r = await Workflow.loop({
          name: "w", aggregationStrategy: "last_only", breakConditions: ["$iteration == 1"],
          iterator: {whileCondition: "true", maxIterations: 5},
          body: [{name: "a", timeoutMs: 500, retryCount: 1, execute: (c) => c.input.someKey, input: {someKey: "kept"},
                  errorStrategy: {type: "cascade", retryCount: 1, circuitBreaker: {failureThreshold: 2}}}],
        }).execute()
        return [r.output, r.metadata.extra.total_iterations, r.metadata.extra.max_iterations, r.metadata.extra.aggregated_results]"""
    assert run_script(source, "javascript").value == ["kept", 2, 5, "kept"]


def test_functions_at_the_same_time_may_call_the_host(both: Any) -> None:
    value = both(
        """
        local function square(ctx)
          local inner = Workflow.sequential({{name = "s", tool = "calculator", input = {input = ctx.item .. "^2"}}}):execute()
          return inner.output
        end
        local r = Workflow.map_reduce({items = {1, 2, 3, 4, 5, 6}, max_concurrency = 6, map_step = {execute = square}}):execute()
        return r.output""",
        """
        const square = async (ctx) => {
          const inner = await Workflow.sequential([{name: "s", tool: "calculator", input: {input: ctx.item + "^2"}}]).execute()
          return inner.output
        }
        const r = await Workflow.mapReduce({items: [1, 2, 3, 4, 5, 6], max_concurrency: 6, map_step: {execute: square}}).execute()
        return r.output""",
    )
    assert value == [1, 4, 9, 16, 25, 36]
