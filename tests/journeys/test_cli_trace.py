"""`run --trace` and `llmspell trace`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]
SCRIPT = """
print("out")
Workflow.sequential({name = "w", steps = {{name = "sum", tool = "calculator", input = {expression = "1+1"}}}}):execute({})
"""


def test_run_shows_its_tree_on_stderr_and_keeps_a_record(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "a.lua").write_text(SCRIPT)
    for words in (("run", "--trace", "a.lua"), ("run", "a.lua", "--trace"), ("run", "a.lua", "--trace", "tree")):
        done = invoke_cli(*words).assert_success()
        assert done.stdout == "out\n"
        assert [line.strip("├└│─ ").split("  ")[0] for line in done.stderr.splitlines()[:4]] == [
            "✓ script a.lua",
            "✓ workflow w",
            "✓ step sum",
            "✓ tool calculator",
        ]
    listed = json.loads(invoke_cli("trace", "list", "--output", "json").assert_success().stdout)
    assert [(row["name"], row["status"], row["spans"]) for row in listed] == [("a.lua", "ok", 4)] * 3
    shown = invoke_cli("trace", "show", listed[0]["run"]).assert_success().stdout
    assert shown == invoke_cli("trace", "show", "last").stdout
    data = json.loads(invoke_cli("trace", "show", "last", "--output", "json").assert_success().stdout)
    assert data["children"][0]["children"][0]["attributes"] == {"type": "tool", "target": "calculator"}


def test_levels_stay_log_levels_and_nothing_is_recorded(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "a.lua").write_text(SCRIPT)
    for words in (("run", "a.lua", "--trace", "debug"), ("--trace", "debug", "run", "a.lua")):
        done = invoke_cli(*words).assert_success()
        assert "DEBUG" in done.stderr
        assert "✓" not in done.stderr
    assert "No run is recorded" in invoke_cli("trace", "list").assert_success().stdout


def test_what_follows_two_dashes_is_the_scripts(invoke_cli: Cli) -> None:
    done = invoke_cli("exec", "print(ARGS.trace)", "--", "--trace", "x").assert_success()
    assert (done.stdout, done.stderr) == ("x\n", "")


def test_a_failing_script_still_shows_its_tree(invoke_cli: Cli) -> None:
    done = invoke_cli("exec", "error('boom')", "--trace")
    assert done.exit_code == 1
    assert "✗ script" in done.stderr
    assert "Error:" in done.stderr


def test_an_unknown_run_is_named_with_a_hint(invoke_cli: Cli) -> None:
    done = invoke_cli("trace", "show", "nothing")
    assert done.exit_code == 1
    assert "no record of a run 'nothing'" in done.stderr
    assert "trace list" in done.stderr
