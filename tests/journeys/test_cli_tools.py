"""`llmspell tool` with the tools that are installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]


def test_list_prints_one_name_per_line(invoke_cli: Cli) -> None:
    names = invoke_cli("tool", "list").assert_success().stdout.split()
    assert "calculator" in names
    assert names == sorted(names)
    assert json.loads(invoke_cli("tool", "list", "--format", "json").stdout) == names


def test_list_in_detail_says_what_each_tool_is(invoke_cli: Cli) -> None:
    data = json.loads(invoke_cli("tool", "list", "--detailed", "--output", "json").assert_success().stdout)
    record = next(each for each in data if each["name"] == "calculator")
    assert record["available"] is True
    assert record["security_level"] == "safe"
    assert record["distribution"] == "llmspell-tools-utility"


def test_list_can_be_narrowed_to_a_category(invoke_cli: Cli) -> None:
    names = invoke_cli("tool", "list", "--category", "Filesystem").assert_success().stdout.split()
    assert "file-operations" in names
    assert "calculator" not in names


def test_pretty_counts_what_it_lists(invoke_cli: Cli) -> None:
    out = invoke_cli("tool", "list", "--output", "pretty").assert_success().stdout
    assert "• calculator" in out
    assert f"Tools: {out.count('•')}" in out


def test_info_shows_parameters_and_on_demand_the_schema(invoke_cli: Cli) -> None:
    out = invoke_cli("tool", "info", "calculator").assert_success().stdout
    assert "Parameters:" in out
    assert "expression" in out.lower()
    data = json.loads(invoke_cli("tool", "info", "calculator", "--show-schema", "--output", "json").stdout)
    assert data["schema"]["type"] == "object"


def test_list_in_detail_is_a_line_a_tool_with_tabs_between_its_cells(invoke_cli: Cli) -> None:
    lines = invoke_cli("tool", "list", "--detailed").assert_success().stdout.splitlines()
    rows = {cells[0]: cells for cells in (line.split("\t") for line in lines)}
    assert {len(cells) for cells in rows.values()} == {4}
    name, what, level, origin = rows["calculator"]
    assert (name, level, origin) == ("calculator", "safe", "llmspell-tools-utility")
    assert "expression" in what


def test_invoke_prints_the_value_and_as_json_all_of_the_answer(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "note.txt").write_text("two\nlines\n")
    call = ("tool", "invoke", "calculator", "--param", "expression=2+2")
    out = invoke_cli(*call).assert_success().stdout
    assert json.loads(out)["result"] == 4
    assert out.startswith('{\n  "')
    assert json.loads(invoke_cli(*call, "--output", "json").stdout)["result"]["operation"] == "evaluate"
    read = ("tool", "invoke", "file-operations", "--param", "operation=read", "--param", "path=note.txt")
    assert invoke_cli(*read).assert_success().stdout.rstrip("\n") == "two\nlines"


def test_invoke_as_json_tells_tool_status_and_duration(invoke_cli: Cli) -> None:
    done = invoke_cli("--output", "json", "tool", "invoke", "calculator", "--params", '{"expression":"2+2"}')
    data = json.loads(done.assert_success().stdout)
    assert (data["status"], data["tool"], data["streaming"]) == ("success", "calculator", False)
    assert data["result"]["result"]["result"] == 4
    assert data["duration_ms"] >= 0


def test_parameters_come_from_a_file_or_from_stdin_and_single_ones_win(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "p.json").write_text('{"expression": "1+1"}')
    done = invoke_cli("tool", "invoke", "calculator", "--params", "@p.json").assert_success()
    assert json.loads(done.stdout)["result"] == 2
    done = invoke_cli("tool", "exec", "calculator", "--params", "-", input='{"expression": "3+3"}').assert_success()
    assert json.loads(done.stdout)["result"] == 6
    done = invoke_cli("tool", "invoke", "calculator", "--params", "@p.json", "--param", "expression=5+5")
    assert json.loads(done.assert_success().stdout)["result"] == 10


def test_a_file_of_parameters_may_be_marked_as_utf_8_and_holds_json_to_the_letter(
    invoke_cli: Cli, isolated: Path
) -> None:
    (isolated / "p.json").write_bytes(b'\xef\xbb\xbf{"expression": "1+1"}')
    done = invoke_cli("tool", "invoke", "calculator", "--params", "@p.json").assert_success()
    assert json.loads(done.stdout)["result"] == 2
    for text in (
        '{"input": "x", "variables": {"x": NaN}}',
        '{"input": "1", "variables": {"x": -Infinity}}',
        "[" * 100_000,
    ):
        done = invoke_cli("tool", "invoke", "calculator", "--params", text)
        assert (done.exit_code, "Traceback" in done.stderr) == (2, False), text
        assert "--params is not JSON" in done.stderr
    done = invoke_cli("tool", "invoke", "calculator", "--params", '{"input": "x", "variables": {"x": 1e999}}')
    assert (done.exit_code, done.stdout) == (1, "")
    assert "variables.x" in done.stderr


def test_a_parameter_is_json_where_it_can_be(invoke_cli: Cli) -> None:
    done = invoke_cli("tool", "invoke", "calculator", "--param", "expression=x+1", "--param", 'variables={"x": 41}')
    assert json.loads(done.assert_success().stdout)["result"] == 42


def test_search_finds_any_of_the_words(invoke_cli: Cli) -> None:
    names = invoke_cli("tool", "search", "uuid", "expression").assert_success().stdout.split()
    assert {"calculator", "uuid-generator"} <= set(names)
    done = invoke_cli("tool", "search", "xyzzy").assert_success()
    assert done.stdout == ""
    assert "No tool matches" in done.stderr


def test_test_runs_the_tools_own_example(invoke_cli: Cli) -> None:
    assert "calculator: passed" in invoke_cli("tool", "test", "calculator").assert_success().stdout
    data = json.loads(invoke_cli("tool", "test", "calculator", "--output", "json").assert_success().stdout)
    assert data["success"] is True
    assert invoke_cli("tool", "test", "no-such-tool").exit_code == 1


def test_a_string_parameter_stays_a_string_though_it_reads_as_json(invoke_cli: Cli) -> None:
    done = invoke_cli("tool", "invoke", "calculator", "--param", "input=1", "--output", "json").assert_success()
    assert json.loads(done.stdout)["result"]["result"]["result"] == 1
    done = invoke_cli("tool", "invoke", "text-manipulator", "--param", "operation=uppercase", "--param", "input=true")
    assert '"result": "TRUE"' in done.assert_success().stdout
