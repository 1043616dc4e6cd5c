"""What an error tells a script, a person at the terminal and a program that reads JSON, in both languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import RateLimitError
from llmspell_core.testing.fixtures import CliResult

LANGUAGES = ("lua", "javascript")
BUSY = RateLimitError("the model is busy", hint="Wait a moment.", provider="scripted", retry_after=2)
CAUGHT = {
    "lua": """
        local function said(err)
          local info = Debug.error_info(err)
          return {info.code, info.type, info.hint or "none", info.retryable, info.message}
        end
        local function caught(...) return select(2, pcall(...)) end
        local missing = caught(Tool.execute, "nosuch", {})
        local agent = Agent.create({name = "a", model = "scripted/any"})
        local again = caught(function() error("while asking: " .. caught(agent.execute, agent, "x")) end)
        local found = caught(function() return State.save("global", "x", print) end)
        return {said(missing), said(again), said(found), said(caught(Agent.builder().name, 5)), said("my own text"),
          {type(missing), missing .. "!", tostring(missing), missing:upper(), string.find(missing, "not found", 1, true) ~= nil},
          said({message = "no stock", code = "stock", retryable = true}), Debug.errorInfo(nil) == nil}""",
    "javascript": """
        const said = ({code, type, hint, retryable, message}) => [code, type, hint ?? "none", retryable, message];
        const caught = async (f) => { try { await f() } catch (e) { return e } };
        const missing = await caught(() => Tool.execute("nosuch", {}));
        const agent = await Agent.create({name: "a", model: "scripted/any"});
        const again = await caught(() => agent.execute("x"));
        const found = await caught(() => State.save("global", "x", print));
        const wrong = await caught(() => Agent.builder().name(5));
        return [said(missing), said(Debug.errorInfo(`while asking: ${again.message}`)), said(found), said(wrong),
          said(Debug.error_info("my own text")), [missing instanceof Error, missing.name, Object.keys(missing).includes("name")],
          said(Debug.errorInfo(Object.assign(new Error("no stock"), {code: "stock", retryable: true}))),
          Debug.errorInfo(null) === null, said(again), [again.provider, again.retry_after]]""",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_error_has_a_code_a_type_a_hint_and_whether_to_try_again(
    run_script: Callable[..., Any], language: str
) -> None:
    missing, again, found, wrong, own, as_value, thrown, nothing, *more = run_script(
        CAUGHT[language], language, replies=[BUSY] * 9
    ).value
    assert missing == ["not_found", "NotFoundError", "See: llmspell tool list", False, "Tool 'nosuch' not found"]
    assert again == ["rate_limit", "RateLimitError", "Wait a moment.", True, "the model is busy"]
    assert found[:4] == wrong[:4] == ["validation", "ValidationError", "none", False]
    assert own == ["script", "ScriptError", "none", False, "my own text"]
    assert thrown == ["stock", "ScriptError", "none", True, "no stock"]
    assert nothing is True
    text = "Tool 'nosuch' not found"
    assert as_value == (
        ["string", f"{text}!", text, text.upper(), True] if language == "lua" else [True, "Error", False]
    )
    if language == "javascript":
        assert more == [again, ["scripted", 2]]


FAILING = {
    "lua": 'print("before")\nlocal function inner() local x = Tool.execute("nosuch", {}) return x end\n'
    "local function outer() local x = inner() return x end\nlocal x = outer()\n",
    "javascript": 'print("before");\nasync function inner() { return await Tool.execute("nosuch", {}) }\n'
    "async function outer() { await inner() }\nawait outer()\n",
}
SUFFIX = {"lua": "lua", "javascript": "js"}
OURS = ("llmspell]", "<input>", "native", "Traceback", "xpcall", "bridge")


def failing(folder: Path, language: str, source: str) -> str:
    (folder / f"fails.{SUFFIX[language]}").write_text(source, encoding="utf-8")
    return f"fails.{SUFFIX[language]}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_terminal_shows_the_scripts_own_call_stack(
    isolated: Path, invoke_cli: Callable[..., CliResult], language: str
) -> None:
    name = failing(isolated, language, FAILING[language])
    done = invoke_cli("run", name)
    assert (done.exit_code, done.stdout) == (1, "before\n")
    stack = done.stderr.partition("  call stack:\n")[2].splitlines()
    places = [line for line in stack if line.startswith("    ")]
    assert [f"{name}:{line}" in place for line, place in zip((2, 3, 4), places, strict=True)] == [True] * 3, done.stderr
    assert not any(word in done.stderr for word in OURS), done.stderr
    assert "Hint: See: llmspell tool list" in done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_json_keeps_what_was_printed_and_the_code_and_hint_of_what_was_thrown(
    isolated: Path, invoke_cli: Callable[..., CliResult], language: str
) -> None:
    done = invoke_cli("--output", "json", "run", failing(isolated, language, FAILING[language]))
    told = json.loads(done.stdout)
    assert (done.exit_code, told["output"]) == (1, "before\n")
    error = told["error"]
    assert [error[key] for key in ("type", "code", "hint", "line", "retryable")] == [
        *("ScriptError", "not_found", "See: llmspell tool list", 2, False)
    ]
    assert error["cause"]["type"] == "NotFoundError"
    assert not any(word in done.stdout for word in OURS), done.stdout


@pytest.mark.parametrize(
    ("language", "thrown"),
    [
        ("lua", 'print("x") error({message = "no more stock", code = "stock", hint = "Order some."})'),
        (
            "javascript",
            'print("x"); throw Object.assign(new Error("no more stock"), {code: "stock", hint: "Order some."})',
        ),
    ],
)
def test_a_script_gives_its_own_errors_a_code_and_a_hint(
    isolated: Path, invoke_cli: Callable[..., CliResult], language: str, thrown: str
) -> None:
    done = invoke_cli("--output", "json", "run", failing(isolated, language, thrown))
    told = json.loads(done.stdout)
    error = told["error"]
    assert [told["output"], error["message"], error["code"], error["hint"]] == [
        *("x\n", "no more stock", "stock", "Order some.")
    ]
    assert "Hint: Order some." in done.stderr


def test_a_stack_that_a_script_reads_has_no_lines_of_ours(run_script: Callable[..., Any]) -> None:
    calls = [
        "Agent.builder().name(5)",
        "Agent.builder().name(() => 1)",
        "State.save('global', 'x', () => 1)",
        "JSON.parse('{')",
        "await Tool.execute('nosuch', {})",
        "await Tool.execute(5)",
        "Tool.execute('calculator', {input: '1'}).text",
        "null.x",
    ]
    tries = "\n".join(f"try {{ {call} }} catch (e) {{ found.push(e.stack) }}" for call in calls)
    stacks = run_script(f"const found = [];\n{tries}\nreturn found", "javascript").value
    assert [stack.strip().splitlines()[-1].split("(")[-1].split(":")[1] for stack in stacks] == [
        str(line) for line in range(2, 2 + len(calls))
    ]
    assert [len(stack.strip().splitlines()) for stack in stacks] == [1] * len(calls), stacks
    assert not any("<input>" in stack for stack in stacks)
