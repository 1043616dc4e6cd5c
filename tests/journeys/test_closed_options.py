"""Every table that a script hands over is closed: what nobody reads is an error that names the nearest, in both languages."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from llmspell_core.testing import say

LANGUAGES = ("lua", "javascript")
STEP = "{name: 'a', tool: 'calculator', input: {input: '1+1'}}"
MISTAKES = [
    ("Agent.create({modle: 'scripted/any'})", "unknown option 'modle' (did you mean 'model'?)"),
    ("Agent.create({model: 'scripted/any', handoffs: []})", "(did you mean 'handoff_targets'?)"),
    ("Agent.create({model: {provider: 'scripted', model_idd: 'any'}})", "(did you mean 'model_id'?)"),
    ("Agent.create({model: 'scripted/any', resource_limits: {max_tool_cals: 1}})", "(did you mean 'max_tool_calls'?)"),
    ("Agent.create({model: 'scripted/any', tools: ['calculatr']})", "no tool 'calculatr' (did you mean 'calculator'?)"),
    ("Agent.get('known').execute({text: 'x', tempature: 1})", "unknown option 'tempature' (did you mean 'temperature'?)"),
    ("Agent.get('known').execute({text: 'x', max_token: 1})", "(did you mean 'max_tokens'?)"),
    ("Agent.create_composite({name: 'c', agents: ['known'], stratgy: 'vote'})", "(did you mean 'strategy'?)"),
    ("Agent.create_context({user: 'x'})", "unknown option 'user' (did you mean 'user_id'?)"),
    ("Agent.wrap_as_tool('known', {tol_name: 'x'})", "(did you mean 'tool_name'?)"),
    ("Agent.get('known').configure_alerts({name: 'x', conditon: {}})", "(did you mean 'condition'?)"),
    ("Tool.execute('calculator', {input: '1', inpt: '2'})", "unknown parameter 'inpt' (did you mean 'input'?)"),
    ("Tool.execute('text-manipulator', {input: 'a', operation: 'trim', option: {}})", "(did you mean 'options'?)"),
    ("Tool.discover({categry: 'web'})", "unknown option 'categry' (did you mean 'category'?)"),
    ("Tool.create({name: 'x', descrption: 'y', handler: f})", "(did you mean 'description'?)"),
    ("Tool.create({name: 'x', parameters: {a: 'strng'}, handler: f})", "unknown type 'strng' (did you mean 'string'?)"),
    ("Tool.create({name: 'x', parameters: {a: {type: 'string', defualt: 'x'}}, handler: f})", "(did you mean 'default'?)"),
    ("Tool.create({name: 'x', parameters: {type: 'object', reqired: ['a']}, handler: f})", "(did you mean 'required'?)"),
    ("Tool.create({name: 'x', parameters: {a: {type: 'string', default: 5}}, handler: f})", "the default: 5 is not"),
    ("Workflow.sequential({name: 'w', stpes: []})", "unknown option 'stpes' (did you mean 'steps'?)"),
    ("Workflow.sequential({name: 'w', steps: [{name: 'a', tol: 'calculator'}]})", "unknown field 'tol' (did you mean 'tool'?)"),
    ("Workflow.sequential({steps: [{name: 'a', tool: 'calculator', timout_ms: 1}]})", "(did you mean 'timeout_ms'?)"),
    ("Workflow.sequential({config: {max_executon_time: 1}, steps: []})", "(did you mean 'max_execution_time'?)"),
    ("Workflow.parallel({name: 'w', max_concurency: 1, steps: []})", "(did you mean 'max_concurrency'?)"),
    ("Workflow.parallel({branches: [{name: 'b', requird: true, steps: []}]})", "(did you mean 'required'?)"),
    ("Workflow.conditional({branches: [{name: 'b', condtion: 'always', steps: []}]})", "(did you mean 'condition'?)"),
    ("Workflow.loop({iterater: {range: {end: 2}}, body: []})", "(did you mean 'iterator'?)"),
    ("Workflow.loop({iterator: {rnge: {}}, body: []})", "(did you mean 'range'?)"),
    ("Workflow.loop({iterator: {range: {strt: 1, end: 2}}, body: []})", "(did you mean 'start'?)"),
    (f"Workflow.sequential({{steps: [{{name: 'in', type: 'loop', rang: {{end: 2}}, body: [{STEP}]}}]}})", "(did you mean 'range'?)"),
    ("Workflow.fan_out({targets: ['known'], jion: 'all'})", "(did you mean 'join'?)"),
    (f"Workflow.map_reduce({{items: [1], map_step: {STEP}, chunk_sise: 1}})", "(did you mean 'chunk_size'?)"),
    (f"Workflow.sequential({{error_strategy: 'contnue', steps: [{STEP}]}})", "(did you mean 'continue'?)"),
    (f"Workflow.sequential({{on_error: {{type: 'retry', max_atempts: 1}}, steps: [{STEP}]}})", "(did you mean 'max_attempts'?)"),
    ("Workflow.conditional({condition: {type: 'shared_data_equals', key: 'a', vlue: 1}})", "(did you mean 'value'?)"),
    ("Workflow.conditional({condition: {type: 'alwys'}})", "(did you mean 'always'?)"),
    ("Hook.unregister({})", "a hook, or its id, is expected"),
    ("Spell.create({name: 'x', workflw: []})", "(did you mean 'workflow'?)"),
    ("ErrorStrategy.retry({max_atempts: 1})", "(did you mean 'max_attempts'?)"),
    ("Event.publish('a.b', 1, {correlation: 'x'})", "(did you mean 'correlation_id'?)"),
    ("Event.subscribe('a.*', {langage: 'lua'})", "(did you mean 'language'?)"),
    ("Hook.list({point: 'x'})", "(did you mean 'hook_point'?)"),
]  # fmt: skip
RIGHT = [
    "Event.publish('a.b', 1, {correlationId: 'x', ttl_seconds: 5})",
    "Agent.create({name: 'n1', model: 'scripted/any', systemPrompt: 'x', maxTokens: 5})",
    "Agent.get('known').execute({text: 'x', temperature: 0, maxTokens: 5, parameters: {anything: 1}})",
    f"Workflow.sequential({{name: 'w', steps: [{STEP}], timeoutMs: 1000, errorStrategy: 'continue'}})",
    "Workflow.sequential({name: 'w', steps: [{name: 'in', type: 'conditional', condition: 'always', retry_count: 1, then_steps: []}]})",
    "Workflow.parallel({name: 'w', branches: [{name: 'b', description: 'x', optional: true, steps: []}]})",
]


def lua(call: str) -> str:
    """The same call in Lua: tables, and a colon before methods of what a call returned."""
    tables = re.sub(r"(\w+): ", r"\1 = ", call).replace("[", "{").replace("]", "}").replace("end =", '["end"] =')
    tables = re.sub(r"(systemPrompt|maxTokens)", lambda m: re.sub("([A-Z])", r"_\1", m[0]).lower(), tables)
    return re.sub(r"\)\.(\w+)\(", r"):\1(", tables)


def script(language: str, calls: list[str]) -> str:
    if language == "lua":
        lines = "\n".join(f"try(function() return {lua(call)} end)" for call in calls)
        return f"""Agent.create{{name = "known", model = "scripted/any"}}
            local f, told = function() end, {{}}
            local function try(call)
              local ok, err = pcall(call)
              told[#told + 1] = ok and "it worked" or tostring(err)
            end
            {lines}
            return told"""
    lines = "\n".join(f"await attempt(async () => {call})" for call in calls)
    return f"""Agent.create({{name: "known", model: "scripted/any"}})
        const f = () => null, told = []
        async function attempt(call) {{
          try {{ await call(); told.push("it worked") }} catch (e) {{ told.push(e.message) }}
        }}
        {lines}
        return told"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_that_nobody_reads_is_an_error_with_the_nearest(run_script: Any, language: str) -> None:
    calls = [call for call, _ in MISTAKES]
    told = run_script(script(language, calls), language, replies=[say("x")]).value
    missed = [(call, text, got) for (call, text), got in zip(MISTAKES, told, strict=True) if text not in got]
    assert missed == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_documented_is_still_understood_in_both_spellings(run_script: Any, language: str) -> None:
    told = run_script(script(language, RIGHT), language, replies=[say("x")]).value
    assert told == ["it worked"] * len(RIGHT), json.dumps(told, indent=1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_agent_may_name_one_that_comes_later_but_not_ask_a_model_without_it(run_script: Any, language: str) -> None:
    agents = [
        "Agent.create({name: 'a', model: 'scripted/any', handoff_targets: ['b']})",
        "Agent.get('a').execute('x')",
        "Agent.create({name: 'b', model: 'scripted/any'})",
        "Agent.get('a').execute('x')",
    ]
    told = run_script(script(language, agents), language, replies=[say("fine")]).value
    assert [told[0], told[2], told[3]] == ["it worked"] * 3
    assert "Agent 'b' not found" in told[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_tool_of_a_script_checks_what_it_declares(run_script: Any, language: str) -> None:
    spec = (
        "{color: {type: 'string', enum: ['red', 'blue'], default: 'red'}, n: {type: 'integer', minimum: 1, required: true}, "
        "opts: {type: 'object', properties: {deep: {type: 'boolean'}}}}"
    )
    as_schema = (
        "{type: 'object', required: ['n'], properties: {color: {type: 'string', enum: ['red', 'blue'], default: 'red'}, "
        "n: {type: 'integer', minimum: 1}, opts: {type: 'object', properties: {deep: {type: 'boolean'}}}}}"
    )
    wrong = {
        "{}": "'n' is required",
        "{n: 0}": "n: 0 is less than the minimum of 1",
        "{n: 1, color: 'green'}": 'color: "green" is not one of',
        "{n: 1, opts: {deep: 'x'}}": 'opts.deep: "x" is not of type "boolean"',
        "{n: 1, colour: 'red'}": "unknown parameter 'colour' (did you mean 'color'?)",
    }
    for form in (spec, as_schema):
        calls = [f"Tool.create({{name: 'pick', parameters: {form}, handler: f}})"]
        calls += [f"Tool.execute('pick', {given})" for given in (*wrong, "{n: 1}")]
        first, *told, last = run_script(script(language, calls), language, replies=[say("x")]).value
        assert (first, last) == ("it worked", "it worked")
        assert [text in got for text, got in zip(wrong.values(), told, strict=True)] == [True] * len(wrong), told


@pytest.mark.parametrize("language", LANGUAGES)
def test_schemas_of_scripts_fetch_nothing(run_script: Any, language: str, tmp_path: Any) -> None:
    (tmp_path / "secret.json").write_text('{"type": "string"}', encoding="utf-8")
    for reference in ("http://127.0.0.1:1/x", (tmp_path / "secret.json").as_uri()):
        calls = ["Tool.create({name: 'x', parameters: {a: REF}, handler: f})"]
        calls += ["Agent.create({name: 'y', model: 'scripted/any', response_schema: REF})"]
        written = f"{{'$ref': '{reference}'}}" if language == "javascript" else f"{{['$ref'] = '{reference}'}}"
        source = script(language, calls).replace("REF", written)
        told = run_script(source, language, replies=[say("x")]).value
        assert ["references to other documents are not followed" in got for got in told] == [True, True], told
