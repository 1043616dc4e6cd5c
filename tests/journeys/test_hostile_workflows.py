"""Workflows of scripts that go wrong, or are written by somebody who tries: the same in both languages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core.errors import ScriptError
from llmspell_core.testing import call, say

Run = Callable[..., Any]


def unplaced(value: Any) -> Any:
    """Without the place that Lua puts before a message."""
    if isinstance(value, list):
        return [unplaced(item) for item in value]
    return re.sub(r"^<lua>:\d+: ", "", value) if isinstance(value, str) else value


@pytest.fixture
def both(run_script: Run) -> Callable[[str, str], Any]:
    """Runs a pair of scripts and returns their common value."""

    def run(lua: str, js: str, **options: Any) -> Any:
        values = [run_script(text, name, **options).value for text, name in ((lua, "lua"), (js, "javascript"))]
        assert unplaced(values[0]) == values[1]
        return values[1]

    return run


def test_everything_that_is_wrong_is_said_at_once_with_the_line_of_the_script(run_script: Run) -> None:
    lua = """
Workflow.sequential({name = "w", steps = {
  {name = "a", type = "magic"}, {name = "b", tool = "calculator", timeout_ms = -5}, {name = "c", execute = 5},
  {name = "d", type = "parallel", steps = {{name = "e", type = "agent"}, {name = "f", tool = "x", condition = "1 +"}}},
}})"""
    js = """
Workflow.sequential({name: "w", steps: [
  {name: "a", type: "magic"}, {name: "b", tool: "calculator", timeoutMs: -5}, {name: "c", execute: 5},
  {name: "d", type: "parallel", steps: [{name: "e", type: "agent"}, {name: "f", tool: "x", condition: "1 +"}]},
]})"""
    messages = []
    for source, language in ((lua, "lua"), (js, "javascript")):
        with pytest.raises(ScriptError) as caught:
            run_script(source, language)
        messages.append(unplaced(caught.value.message))
        for step in "abcef":
            assert f"step '{step}'" in caught.value.message
        assert "Unknown step type: 'magic'" in caught.value.message
    assert messages[0] == messages[1]


def test_validate_tells_of_names_that_are_not_there(both: Any) -> None:
    value = both(
        """
        local wf = Workflow.sequential({name = "w", steps = {
          {name = "a", tool = "ghost", depends_on = {"x"}, input = {v = "{{step.y.result}}"}},
          {name = "b", agent = "nobody", condition = "step_result.z.success"}}})
        local v = wf:validate()
        return {v.valid, #v.errors, v.errors[1]:find("'x'") ~= nil, v.errors[2]:find("step.y") ~= nil,
                v.errors[3]:find("'z'") ~= nil, #v.warnings}""",
        """
        const wf = Workflow.sequential({name: "w", steps: [
          {name: "a", tool: "ghost", dependsOn: ["x"], input: {v: "{{step.y.result}}"}},
          {name: "b", agent: "nobody", condition: "step_result.z.success"}]})
        const v = wf.validate()
        return [v.valid, v.errors.length, v.errors[0].includes("'x'"), v.errors[1].includes("step.y"),
                v.errors[2].includes("'z'"), v.warnings.length]""",
    )
    assert value == [False, 3, True, True, True, 2]


EXPRESSIONS = [
    ("shared_data.n > 2 and not (shared_data.n >= 5)", True),
    ("shared_data.n == '3'", False),
    ("input.n == 3 or shared_data.gone > 1", True),
    ("os.execute('rm -rf /')", "cannot be read"),
    ("__import__('os').system('true')", "cannot be read"),
    ("shared_data.n == 3; return true", "cannot be read"),
    ("(" * 300 + "true" + ")" * 300, "nested too deeply"),
    ("true " * 1000, "longer than 2000"),
    ("step_result.ghost.success", "asks about step 'ghost', which does not exist"),
    ("shared_data.gone > 1", "compares nothing (nil) with a number"),
    ("shared_data.n.constructor.prototype == nil", True),
    ("shared_data.__class__ == nil", True),
    ("1 < 2 == true", "does not belong there"),
    ("", "it is empty"),
]


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS, ids=[text[:30] for text, _ in EXPRESSIONS])
def test_expressions_decide_or_say_why_not(both: Any, text: str, expected: Any) -> None:
    value = both(
        """
        local ok, out = pcall(function()
          return Workflow.builder():conditional():name("w"):condition({type = "custom", expression = [==[TEXT]==]})
            :add_then_step({name = "t", execute = function() return "then" end})
            :add_else_step({name = "e", execute = function() return "else" end}):build():execute({n = 3}).output end)
        return {ok, ok and out or tostring(out)}""".replace("TEXT", text),
        """
        try {
          const wf = Workflow.builder().conditional().name("w").condition({type: "custom", expression: String.raw`TEXT`})
            .addThenStep({name: "t", execute: () => "then"}).addElseStep({name: "e", execute: () => "else"}).build()
          return [true, (await wf.execute({n: 3})).output]
        } catch (e) { return [false, e.message] }""".replace("TEXT", text),
    )
    if isinstance(expected, bool):
        assert value == [True, "then" if expected else "else"]
    else:
        assert value[0] is False
        assert expected in value[1]


def test_callbacks_that_fail_are_errors_of_their_step_or_are_logged(both: Any) -> None:
    value = both(
        """
        local function try(f) local ok, err = pcall(f) return ok and "fine" or tostring(err):match("[^\\n]*") end
        local boom = function() error("boom") end
        local one = {name = "a", execute = function() return 1 end}
        return {
          try(function() Workflow.conditional({branches = {{condition = boom, steps = {one}}}}):execute() end)
            :find("condition function failed") ~= nil,
          try(function() Workflow.loop({iterator = {while_condition = boom}, body = {one}}):execute() end):find("boom") ~= nil,
          try(function() Workflow.map_reduce({items = {1}, map_step = one, reduce_step = {execute = boom}}):execute() end)
            :find("'reduce' failed") ~= nil,
          try(function()
            local wf = Workflow.sequential({one})
            wf:on_before_step(boom)
            wf:on_after_execute(boom)
            wf:execute()
          end),
          try(function() Workflow.setDefaultErrorHandler(boom)
            Workflow.sequential({{name = "x", execute = function() error("first") end}}):execute() end):find("first") ~= nil,
        }""",
        """
        const attempt = async (f) => { try { await f(); return "fine" } catch (e) { return e.message } }
        const boom = () => { throw new Error("boom") }
        const one = {name: "a", execute: () => 1}
        return [
          (await attempt(() => Workflow.conditional({branches: [{condition: boom, steps: [one]}]}).execute()))
            .includes("condition function failed"),
          (await attempt(() => Workflow.loop({iterator: {while_condition: boom}, body: [one]}).execute())).includes("boom"),
          (await attempt(() => Workflow.mapReduce({items: [1], map_step: one, reduce_step: {execute: boom}}).execute()))
            .includes("'reduce' failed"),
          await attempt(async () => {
            const wf = Workflow.sequential([one])
            wf.onBeforeStep(boom)
            wf.onAfterExecute(boom)
            await wf.execute()
          }),
          (await attempt(() => { Workflow.setDefaultErrorHandler(boom)
            return Workflow.sequential([{name: "x", execute: () => { throw new Error("first") }}]).execute() })).includes("first"),
        ]""",
    )
    assert value == [True, True, True, "fine", True]


def test_every_strategy_of_a_script(both: Any) -> None:
    value = both(
        """
        local calls = 0
        local function bad() calls = calls + 1 error("bad") end
        local function run(strategy, name)
          calls = 0
          local wf = Workflow.sequential({name = "w", steps = {
            {name = name or "a", execute = bad, error_strategy = strategy},
            {name = "b", execute = function() return "B" end}}})
          local ok, r = pcall(function() return wf:execute() end)
          return {ok, calls, ok and r.outputs or "", ok and r.status or ""}
        end
        return {
          run(nil), run("fail_fast"), run("abort"), run("continue"),
          run({type = "retry", max_attempts = 3, backoff_ms = 1}),
          run(ErrorStrategy.retry({max_attempts = 2, backoff_ms = 1})), run(ErrorStrategy.fallback({value = 0})),
          run(ErrorStrategy.fallback({step = {execute = function(c) return "saved " .. tostring(c.error):sub(1, 0) end}})),
          run(ErrorStrategy.cascade({retry_count = 2, backoff_ms = 1, on_exhausted = "continue"})),
          run(ErrorStrategy.cascade({retry_count = 4, backoff_ms = 1, circuit_breaker = {failure_threshold = 2}, fallback = "f"})),
          run(ErrorStrategy.circuit_breaker({failure_threshold = 1})), run(ErrorStrategy.continue_on_error()),
          run(ErrorStrategy.fail_fast()),
        }""",
        """
        let calls = 0
        const bad = () => { calls++; throw new Error("bad") }
        const run = async (strategy, name) => {
          calls = 0
          const wf = Workflow.sequential({name: "w", steps: [{name: name ?? "a", execute: bad, errorStrategy: strategy},
            {name: "b", execute: () => "B"}]})
          try { const r = await wf.execute(); return [true, calls, r.outputs, r.status] } catch (e) { return [false, calls, "", ""] }
        }
        return [
          await run(), await run("fail_fast"), await run("abort"), await run("continue"),
          await run({type: "retry", maxAttempts: 3, backoffMs: 1}),
          await run(ErrorStrategy.retry({max_attempts: 2, backoff_ms: 1})), await run(ErrorStrategy.fallback({value: 0})),
          await run(ErrorStrategy.fallback({step: {execute: (c) => "saved "}})),
          await run(ErrorStrategy.cascade({retryCount: 2, backoffMs: 1, onExhausted: "continue"})),
          await run(ErrorStrategy.cascade({retry_count: 4, backoff_ms: 1, circuit_breaker: {failure_threshold: 2}, fallback: "f"})),
          await run(ErrorStrategy.circuitBreaker({failureThreshold: 1})), await run(ErrorStrategy.continueOnError()),
          await run(ErrorStrategy.failFast()),
        ]""",
    )
    failed, gone_on = [False, 1, "", ""], [True, 1, {"b": "B"}, "partially_completed"]
    assert value[:5] == [failed, failed, failed, gone_on, [False, 3, "", ""]]
    assert value[5:8] == [
        [False, 2, "", ""],
        [True, 1, {"a": 0, "b": "B"}, "completed"],
        [True, 1, {"a": "saved ", "b": "B"}, "completed"],
    ]
    assert value[8:10] == [[True, 3, {"b": "B"}, "partially_completed"], [True, 2, {"a": "f", "b": "B"}, "completed"]]
    assert value[10:] == [failed, gone_on, failed]


def test_one_workflow_object_many_times_at_once(both: Any) -> None:
    value = both(
        """
        local wf = Workflow.sequential({name = "w", steps = {
          {name = "a", execute = function(c) Async.sleep(20 - c.input.n) return c.input.n * 2 end},
          {name = "b", tool = "calculator", input = {input = "{{step.a.result}} + {{n}}"}}}})
        local handles, sums = {}, {}
        for n = 1, 20 do handles[n] = wf:execute_async({n = n}) end
        for n = 1, 20 do sums[n] = handles[n]:await().output end
        return {sums, wf:get_metrics().execution.total_executions}""",
        """
        const wf = Workflow.sequential({name: "w", steps: [
          {name: "a", execute: async (c) => { await new Promise((r) => setTimeout(r, 20 - c.input.n)); return c.input.n * 2 }},
          {name: "b", tool: "calculator", input: {input: "{{step.a.result}} + {{n}}"}}]})
        const runs = Array.from({length: 20}, (_, i) => wf.execute({n: i + 1}))
        const sums = (await Promise.all(runs)).map((r) => r.output)
        return [sums, wf.getMetrics().execution.total_executions]""",
    )
    assert value == [[n * 3 for n in range(1, 21)], 20]


def test_time_limits_of_steps_and_workflows(both: Any) -> None:
    began = time.perf_counter()
    value = both(
        """
        local function slow() Async.sleep(400) end
        local function try(t)
          local ok, err = pcall(function() Workflow.sequential(t):execute() end)
          return tostring(err):match("did not finish within [%d.]+ s")
        end
        return {try({steps = {{name = "a", execute = slow, timeout_ms = 50}}}),
                try({steps = {{name = "a", execute = slow}}, timeout_ms = 60})}""",
        """
        const slow = () => new Promise((r) => setTimeout(r, 400))
        const attempt = async (t) => {
          try { await Workflow.sequential(t).execute() } catch (e) { return e.message.match(/did not finish within [\\d.]+ s/)[0] }
        }
        return [await attempt({steps: [{name: "a", execute: slow, timeout_ms: 50}]}),
                await attempt({steps: [{name: "a", execute: slow}], timeout_ms: 60})]""",
    )
    assert value == ["did not finish within 0.05 s", "did not finish within 0.06 s"]
    assert time.perf_counter() - began < 10


def test_reducers_and_deep_data_cross_the_border(both: Any) -> None:
    value = both(
        """
        local r = Workflow.map_reduce({items = {{id = 1, tags = {"a", "b"}}, {id = 2, tags = {}}},
          map_step = {execute = function(c) return {n = c.item.id, count = #c.item.tags, at = c.current_index} end},
          reduce_step = {execute = function(c)
            local s = ""
            for _, m in ipairs(c.map.results) do s = s .. m.n .. m.count .. m.at end
            return s
          end},
        }):execute()
        return {r.output, r.metadata.extra.total_items}""",
        """
        const r = await Workflow.mapReduce({items: [{id: 1, tags: ["a", "b"]}, {id: 2, tags: []}],
          map_step: {execute: (c) => ({n: c.item.id, count: (c.item.tags.length ?? 0), at: c.current_index})},
          reduce_step: {execute: (c) => c.map.results.map((m) => `${m.n}${m.count}${m.at}`).join("")},
        }).execute()
        return [r.output, r.metadata.extra.total_items]""",
    )
    assert value == ["120201", 2]


def test_a_step_that_waits_for_consent_is_a_wait_and_no_failure(both: Any) -> None:
    def reply(request: Any) -> Any:
        return say("done") if request.messages[-1].role == "tool" else call("calculator", {"input": "1+1"})

    value = both(
        """
        Agent.builder():name("careful"):model("scripted/any"):ask_tool("calculator"):build()
        local seen = {}
        local cascade = ErrorStrategy.cascade({retry_count = 3, fallback = "no"})
        local wf = Workflow.sequential({name = "w", error_strategy = cascade, steps = {
          {name = "a", execute = function() return 1 end, compensate = function() seen[#seen + 1] = "undone" end},
          {name = "ask", agent = "careful", input = "go"}}})
        wf:on_error(function() seen[#seen + 1] = "error" end)
        wf:on_step_error(function() seen[#seen + 1] = "step error" end)
        local ok, err = pcall(function() return wf:execute() end)
        return {ok, tostring(err):find("needs consent") ~= nil, seen, wf:get_metrics().execution.total_executions}""",
        """
        Agent.builder().name("careful").model("scripted/any").askTool("calculator").build()
        const seen = []
        const cascade = ErrorStrategy.cascade({retry_count: 3, fallback: "no"})
        const wf = Workflow.sequential({name: "w", error_strategy: cascade, steps: [
          {name: "a", execute: () => 1, compensate: () => { seen.push("undone") }},
          {name: "ask", agent: "careful", input: "go"}]})
        wf.onError(() => { seen.push("error") })
        wf.onStepError(() => { seen.push("step error") })
        let ok = true, message = ""
        try { await wf.execute() } catch (e) { ok = false; message = e.message }
        return [ok, message.includes("needs consent"), seen.length ? seen : {}, wf.getMetrics().execution.total_executions]""",
        replies=[reply],
    )
    assert value == [False, True, {}, 0]
