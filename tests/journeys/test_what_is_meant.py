"""What is written in the wrong way is named as that: a colon for a dot, a dot for a colon, an await that is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core.testing import say

COLONS = {
    "Tool:execute('calculator', {input = '1'})": "Tool.execute",
    "Tool:list()": "Tool.list",
    "Tools:list()": "Tool.list",
    "State:save('global', 'k', 1)": "State.save",
    "Event:publish('x', {})": "Event.publish",
    "Hook:list()": "Hook.list",
    "Agent:builder()": "Agent.builder",
    "Agent:create({})": "Agent.create",
    "Workflow:sequential({})": "Workflow.sequential",
    "Template:list()": "Template.list",
    "Config:get('x')": "Config.get",
    "Provider:list()": "Provider.list",
    "Debug:info('x')": "Debug.info",
    "Debug:dump({})": "Debug.dump",
    "JSON:parse('{}')": "JSON.parse",
    "Async:sleep(1)": "Async.sleep",
    "Logger:info('x')": "Logger.info",
}
DOTS = {
    "Agent.builder().name('x')": "Agent.builder():name is a method of a builder; call it with a colon",
    "Agent.builder().build()": "Agent.builder():build is a method of a builder; call it with a colon",
    "Tool.execute_async('calculator', {input = '1'}).await()": "task:await is a method; call it with a colon",
    "Tool.execute_async('calculator', {input = '1'}).text": "a task has no 'text'",
}
WORKS = (
    "t.execute({input = '1+1'}).result.result",
    "t:execute({input = '1+1'}).result.result",
    "a.complete('x')",
    "a:complete('x')",
)


def test_a_colon_for_a_dot_and_a_dot_for_a_colon_are_named(run_script: Callable[..., Any]) -> None:
    tries = "\n".join(f"try(function() local x = {call} return x end)" for call in (*COLONS, *DOTS, *WORKS))
    told = run_script(
        f"""local t, a, told = Tool.get("calculator"), Agent.create({{name = "a", model = "scripted/any"}}), {{}}
        local function try(call)
          local ok, found = pcall(call)
          told[#told + 1] = ok and found or {{found, Debug.error_info(found).code}}
        end
        {tries}
        return told""",
        "lua",
        replies=[say("x")] * 2,
    ).value
    for label, (message, code) in zip(COLONS.values(), told[: len(COLONS)], strict=True):
        assert f"{label} is a function: call it with a dot, as in {label}(...), not with a colon" in message
        assert code == "validation"
    for expected, (message, code) in zip(DOTS.values(), told[len(COLONS) : -4], strict=True):
        assert (expected in message, code) == (True, "validation"), message
    assert told[-4:] == [2, 2, "x", "x"]


FORGOTTEN = {
    "p.text": "has no 'text'; write (await Tool.execute(...)).text",
    "p.length": "has no 'length'",
    "(({result}) => result)(p)": "has no 'result'",
    "p.toUpperCase()": "has no 'toUpperCase'",
    "`${p}`": "where it becomes text",
    "p + 'x'": "where it becomes text",
    "String(p)": "where it becomes text",
    "p == 2": "or is compared",
    "JSON.stringify(p)": "where it becomes JSON text",
    "JSON.stringify({a: [p]})": "where it becomes JSON text",
    "[...p]": "where it is looped over",
    "tool.execute({input: '1'}).result": "write (await tool.execute(...)).result",
    "Agent.create({name: 'a', model: 'scripted/any'}).execute('x')": "write (await Agent.create(...)).execute",
    "State.save('global', 'x', p)": "'value' is a Promise; await it first",
    "State.save('global', 'x', {a: p})": "'value'.a is a Promise; await it first",
    "Agent.builder().name(p)": "'name' is a Promise; await it first",
    "[...agent.stream('x')]": "write for await (const chunk of stream)",
}


def test_a_forgotten_await_is_named_where_the_value_is_wanted(run_script: Callable[..., Any]) -> None:
    tries = "\n".join(
        f"try {{ told.push({call}) }} catch (e) {{ told.push([e.message, e.code]) }}" for call in FORGOTTEN
    )
    told = run_script(
        f"""const told = [], p = Tool.execute("calculator", {{input: "1+1"}}), tool = Tool.get("calculator");
        const agent = await Agent.create({{name: "b", model: "scripted/any"}});
        {tries}
        await p;
        return told""",
        "javascript",
        replies=[say("x")] * 3,
    ).value
    missed = [(call, got) for (call, text), got in zip(FORGOTTEN.items(), told, strict=True) if text not in got[0]]
    assert missed == []
    assert {code for _, code in told} == {"validation"}


def test_a_promise_of_a_call_is_a_promise_of_the_language_in_every_other_way(run_script: Callable[..., Any]) -> None:
    source = """
        const p = Tool.execute("calculator", {input: "1+1"}), value = (r) => r.result.result;
        const all = await Promise.all([p, 5]);
        let last; await p.finally(() => { last = "finally" });
        return [p instanceof Promise, p.constructor === Promise, Promise.resolve(p) === p, typeof p.then,
          Object.prototype.toString.call(p), value(await p), await p.then(value), value(all[0]), value(await Promise.race([p])), last,
          await Tool.execute("nosuch", {}).catch((e) => e.code), Object.keys(p), p ? "yes" : "no"]"""
    assert run_script(source, "javascript").value == [
        *(True, True, True, "function", "[object Promise]", 2, 2, 2, 2, "finally", "not_found", [], "yes")
    ]


@pytest.mark.parametrize("source", ["const p = Tool.execute('calculator', {input: '1'}); console.log(p)"])
def test_a_promise_is_shown_as_one_that_has_to_be_awaited(run_script: Callable[..., Any], source: str) -> None:
    assert run_script(source, "javascript").output == "Promise { Tool.execute(...): await it for its value }\n"


ALERTS = {
    "{type: 'metric_threshold', metric_name: 'nosuch', operator: '>', threshold: 1}": "'nosuch' is not a metric",
    "{type: 'metric_threshold', metric_name: 'error_rate', operator: '>', threshold: 'much'}": "a number is expected",
    "{type: 'health_status', status: 'sick'}": "'sick' is not a status: healthy, unhealthy",
    "{type: 'error_rate', rate_percent: 'x'}": "a number is expected",
}


def test_an_alert_that_could_never_come_is_refused(run_script: Callable[..., Any]) -> None:
    tries = "\n".join(
        f"try {{ told.push(a.configure_alerts({{name: 'x', condition: {c}}})) }} catch (e) {{ told.push(e.message) }}"
        for c in ALERTS
    )
    making = 'const told = [], a = await Agent.create({name: "b", model: "scripted/any"});'
    told = run_script(f"{making}\n{tries}\nreturn told", "javascript", replies=[say("x")]).value
    assert [text in got for text, got in zip(ALERTS.values(), told, strict=True)] == [True] * len(ALERTS), told


def test_what_is_accepted_and_does_nothing_is_said_once(run_script: Callable[..., Any], caplog: Any) -> None:
    source = """for i = 1, 2 do Agent.builder():name("n" .. i):model("scripted/any"):max_memory_mb(5):build() end"""
    run_script(source, "lua", replies=[say("x")])
    assert [r.getMessage() for r in caplog.records if "max_memory_mb" in r.getMessage()] == [
        "agent 'n1': max_memory_mb is accepted, but nothing follows from it"
    ]
