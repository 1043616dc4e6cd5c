"""What a script may return, in both languages: data. Whatever else stands in its result is named, with what to return instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core.errors import ScriptError
from llmspell_core.testing.fixtures import CliResult

Run = Callable[..., Any]
Cli = Callable[..., CliResult]

CALL = 'Tool.execute_async("calculator", {expression = "1 + 1"})'
LUA = {
    "return print": " is a function",
    "return {a = 1, f = {g = print}}": ".f.g is a function",
    "return {1, {f = print}}": "[2].f is a function",
    "return Agent.builder()": " is a builder",
    "return {b = Workflow.builder()}": ".b is a builder",
    "return {s = Streaming.create()}": ".s is a stream",
    "return Hook.register('BeforeToolExecution', function() end)": " is an object (Hook)",
    f"return {{{CALL}}}": "[1] is a task",
    "return {c = coroutine.create(print)}": ".c is a coroutine",
}
JAVASCRIPT = {
    "return print": " is a function",
    "return {a: 1, f: {g: print}}": ".f.g is a function",
    "return [1, {f: print}]": "[1].f is a function",
    "return Agent.builder()": " is a builder",
    "return {b: Workflow.builder()}": ".b is a builder",
    "return {s: Streaming.create()}": ".s is a stream",
    "return Hook.register('BeforeToolExecution', () => {})": " is an object (Hook)",
    "return [Promise.resolve(1)]": "[0] is a Promise",
    "return {c: (function* () {})()}": ".c is a stream",
}
CASES = [*(("lua", *case) for case in LUA.items()), *(("javascript", *case) for case in JAVASCRIPT.items())]


@pytest.mark.parametrize(("language", "source", "what"), CASES)
def test_what_is_no_data_is_named_with_its_place(run_script: Run, language: str, source: str, what: str) -> None:
    with pytest.raises(ScriptError) as caught:
        run_script(source, language)
    assert caught.value.message == f"the script's result{what}; only plain data can be returned"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("lua", "return {t = Tool.get('calculator'), a = Agent.builder():name('x'):model('local/smollm2'):build()}"),
        (
            "javascript",
            "return {t: Tool.get('calculator'), a: Agent.builder().name('x').model('local/smollm2').build()}",
        ),
    ],
)
def test_an_object_is_its_fields(run_script: Run, language: str, source: str) -> None:
    value = run_script(source, language).value
    assert value["a"] == {"name": "x"}
    assert value["t"]["name"] == "calculator"
    assert value["t"]["security_level"] == "safe"


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("lua", f"return {CALL}:and_then(function(r) return r.result.result end)"),
        ("javascript", "return sleep(1).then(() => 2)"),
    ],
)
def test_what_is_not_done_yet_is_awaited(run_script: Run, language: str, source: str) -> None:
    assert run_script(source, language).value == 2


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("lua", "return Tool.execute_async('nope', {})"),
        ("javascript", "return Tool.execute('nope', {})"),
    ],
)
def test_a_failure_of_what_is_awaited_is_the_script_s(run_script: Run, language: str, source: str) -> None:
    with pytest.raises(ScriptError, match="'nope' not found"):
        run_script(source, language)


@pytest.mark.parametrize(("engine", "source"), [("lua", "return {f = print}"), ("js", "return {f: print}")])
def test_the_command_line_says_it_as_json(invoke_cli: Cli, engine: str, source: str) -> None:
    done = invoke_cli("--output", "json", "exec", "--engine", engine, source)
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert error["message"] == "the script's result.f is a function; only plain data can be returned"
    assert error["hint"] == "Return what it gives when it is called."
