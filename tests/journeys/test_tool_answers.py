"""What scripts of both languages get of the built-in tools, where other tools and earlier versions went wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.testing.fixtures import CliResult

Run = Callable[..., Any]
Cli = Callable[..., CliResult]

CALLS: list[tuple[str, dict[str, Any], str, Any]] = [
    ("datetime-handler", {"input": "2024-03-15 10:30:00 UTC+3"}, "parsed.utc", "2024-03-15T07:30:00Z"),
    ("datetime-handler", {"input": 2024}, "parsed.timestamp", 2024),
    (
        "datetime-handler",
        {"operation": "add", "input": "2024-03-09 02:30", "timezone": "America/New_York", "amount": 1, "unit": "days"},
        "result",
        "2024-03-10T03:30:00-04:00",
    ),
    ("uuid-generator", {"operation": "validate", "uuid": "550e8400e29b41d4a71644665544_000"}, "valid", False),
    ("base64-encoder", {"operation": "decode", "input": "-_-_", "variant": "url-safe"}, "output", "fbffbf"),
    ("hash-calculator", {"operation": "hash", "input": ""}, "algorithm", "SHA-256"),
    ("file-operations", {"operation": "read", "path": "data.json"}, "text", '{"a": [1]}'),
    ("file-operations", {"operation": "read", "path": "data.json"}, "bom", True),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("datetime-handler", {"input": "2024-03-15 10:30 PST"}, "'PST' is not a time zone"),
    ("datetime-handler", {"input": "22-23 February"}, "is not a date"),
    ("base64-encoder", {"operation": "decode", "input": "+/+/", "variant": "url-safe"}, "is not url-safe base64"),
    ("file-operations", {"operation": "write", "path": "/etc/x", "input": "x"}, "is denied"),
    (
        "file-operations",
        {"operation": "read", "path": "nothing"},
        "Tool 'file-operations' execution failed: there is no",
    ),
    ("mine", {}, "Tool 'mine' execution failed: no luck"),
    ("nosuch", {}, "Tool 'nosuch' not found"),
]
MAKE = {
    "lua": 'Tool.create{name = "mine", description = "Fails.", handler = function() '
    'return {success = false, error = "no luck", result = {a = 1}} end}',
    "javascript": 'Tool.create({name: "mine", description: "Fails.", handler: () => '
    '({success: false, error: "no luck", result: {a: 1}})});',
}
SCRIPTS = {
    "lua": """
local cases, found = JSON.parse(ARGS.cases), {}
for number, case in ipairs(cases) do
  local ok, answer = pcall(Tool.execute, case[1], case[2])
  found[number] = {ok = ok, answer = ok and answer.result or tostring(answer)}
end
return found""",
    "javascript": """
const found = [];
for (const [name, parameters] of JSON.parse(ARGS.cases)) {
  try { found.push({ok: true, answer: (await Tool.execute(name, parameters)).result}); }
  catch (error) { found.push({ok: false, answer: error.message, envelope: error.envelope}); }
}
return found""",
}


@pytest.fixture
def data(isolated: Path) -> Path:
    (isolated / "data.json").write_bytes(b'\xef\xbb\xbf{"a": [1]}')
    return isolated


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("language", SCRIPTS)
def test_scripts_get_the_right_values_and_errors(run_script: Run, language: str) -> None:
    cases = json.dumps([case[:2] for case in (*CALLS, *REFUSED)])
    source = f"{MAKE[language]}\n{SCRIPTS[language]}"
    found = run_script(source, language, args={"cases": cases}).value
    for (name, given, path, expected), row in zip(CALLS, found, strict=False):
        assert row["ok"], (name, given, row)
        value = row["answer"]
        for key in path.split("."):
            value = value[key]
        assert value == expected, (name, given)
    for (name, given, message), row in zip(REFUSED, found[len(CALLS) :], strict=True):
        assert (row["ok"], message in row["answer"]) == (False, True), (name, given, row)
        if name == "mine" and language == "javascript":
            assert row["envelope"]["result"] == {"a": 1}


READERS = {
    "lua": """
local sum = Tool.execute("calculator", {input = "1/"})
local write = Tool.execute("file-operations", {operation = "write", path = "x/", input = "y"})
local query = Tool.execute("json-processor", {input = {a = {1, 2}}, query = ".a"})
local made = {}
for _, strategy in ipairs({"fail_fast", "continue"}) do
  local flow = Workflow.sequential({name = "w", error_strategy = strategy, steps = {
    {name = "bad", tool = "calculator", input = {input = "1/"}},
    {name = "good", tool = "calculator", input = {input = "40 + 2"}},
  }})
  local ok, result = pcall(function() return flow:execute() end)
  made[strategy] = ok and result.outputs or tostring(result)
end
return {sum = {sum.success, sum.error}, write = {write.success, write.result.error_type}, query = query.data, made = made}""",
    "javascript": """
const sum = await Tool.execute("calculator", {input: "1/"});
const write = await Tool.execute("file-operations", {operation: "write", path: "x/", input: "y"});
const query = await Tool.execute("json-processor", {input: {a: [1, 2]}, query: ".a"});
const made = {};
for (const strategy of ["fail_fast", "continue"]) {
  const flow = Workflow.sequential({name: "w", error_strategy: strategy, steps: [
    {name: "bad", tool: "calculator", input: {input: "1/"}},
    {name: "good", tool: "calculator", input: {input: "40 + 2"}},
  ]});
  try { made[strategy] = (await flow.execute()).outputs; } catch (error) { made[strategy] = error.message; }
}
return {sum: [sum.success, sum.error], write: [write.success, write.result.error_type], query: query.data, made};""",
}


@pytest.mark.parametrize("language", READERS)
def test_operations_whose_scripts_look_at_success_answer_it_and_steps_follow_their_strategy(
    run_script: Run, language: str
) -> None:
    found = run_script(READERS[language], language).value
    assert found["sum"][0] is False
    assert "cannot be read" in found["sum"][1]
    assert found["write"] == [False, "validation_error"]
    assert found["query"] == [1, 2]
    assert "step 'bad' failed" in found["made"]["fail_fast"]
    assert found["made"]["continue"] == {"good": 42}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_a_name_that_cannot_be_decoded_ends_no_run(run_script: Run, isolated: Path, language: str) -> None:
    with open(os.path.join(os.fsencode(isolated), b"bad\xff.txt"), "wb"):
        pass
    wait = "await " if language == "javascript" else ""
    call = 'Tool.execute("file-operations", JSON.parse(\'{"operation": "list_dir", "path": "."}\'))'
    assert "bad\ufffd.txt" in run_script(f"return ({wait}{call}).text", language).value


def test_tool_info_marks_what_answers_failure(invoke_cli: Cli) -> None:
    told = invoke_cli("tool", "info", "file-operations").assert_success().stdout
    marked = [line.split()[0] for line in told.splitlines() if "success = false" in line]
    assert marked == ["write"]
    data = json.loads(invoke_cli("--output", "json", "tool", "info", "calculator").assert_success().stdout)
    assert data["returns"]["evaluate"]["answers_failure"] is True
    assert data["returns"]["evaluate"]["fields"]["result"][0] == "number or string"
