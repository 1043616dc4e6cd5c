"""`llmspell run`, `exec` and `repl`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmspell_core.cli import main
from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]


def test_run_prints_what_the_script_prints_and_nothing_else(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "a.lua").write_text('print("from lua") return {answer = 42}')
    (isolated / "a.js").write_text('console.log("from js")')
    assert invoke_cli("run", "a.lua").assert_success().stdout == "from lua\n"
    assert invoke_cli("run", "a.js").assert_success().stdout == "from js\n"


def test_run_as_json_is_one_document(invoke_cli: Cli, isolated: Path) -> None:
    source = 'print("noise") return {answer = 42}'
    (isolated / "a.lua").write_text(source)
    data = json.loads(invoke_cli("run", "a.lua", "--output", "json", "--", "x").assert_success().stdout)
    assert data["status"] == "success"
    assert data["mode"] == "embedded"
    assert data["script_length"] == len(source)
    assert data["args_count"] == 1
    assert data["result"] == {"answer": 42}
    assert data["output"] == "noise\n"


def test_what_follows_two_dashes_becomes_args(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "a.lua").write_text("print(ARGS[0], ARGS[1], ARGS.name, ARGS.flag, ARGS['dry-run'], ARGS.input)")
    done = invoke_cli(
        "--trace", "error", "run", "a.lua", "--input", "text", "--", "one", "--name=x", "--flag", "--dry-run", "no"
    )
    assert done.assert_success().stdout.split() == ["a.lua", "one", "x", "true", "no", "text"]


def test_the_engine_is_told_by_option_suffix_or_first_line(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "script").write_text("#!/usr/bin/env -S llmspell run --engine js\nconsole.log(typeof undefined)")
    assert invoke_cli("run", "script").assert_success().stdout == "undefined\n"
    (isolated / "odd.txt").write_text("console.log(1 + 1)")
    assert invoke_cli("run", "--engine", "javascript", "odd.txt").assert_success().stdout == "2\n"


def test_exec_runs_code_or_stdin_and_prints_a_returned_value(invoke_cli: Cli) -> None:
    assert invoke_cli("exec", "print(1)").assert_success().stdout == "1\n"
    assert invoke_cli("exec", "-", input="return 'plain'").assert_success().stdout == "plain\n"
    data = json.loads(invoke_cli("exec", "return {1, 2}", "--output", "json").assert_success().stdout)
    assert (data["status"], data["result"], data["code_length"]) == ("executed", [1, 2], 13)
    assert invoke_cli("exec", "console.log(2)", env={"LLMSPELL_ENGINE": "js"}).assert_success().stdout == "2\n"


VALUES = [
    ("lua", "1+1", "2\n"),
    ("lua", "return 1, 'a', {2}", "1\ta\t{2}\n"),
    ("lua", "nil, 2", "nil\t2\n"),
    ("lua", "print(3)", "3\n"),
    ("lua", "x = 3", ""),
    ("lua", "nil", ""),
    ("js", "1+1;", "2\n"),
    ("js", "await Promise.resolve('a') // late", "a\n"),
    ("js", "[1].length && 0/0", "NaN\n"),
    ("js", "console.log(3)", "3\n"),
    ("js", "// a\n/* b */ function f() {}", ""),
    ("js", "let x = 3; x", ""),
    ("js", "null", ""),
]


@pytest.mark.parametrize(("engine", "code", "shown"), VALUES)
async def test_exec_shows_what_an_expression_is_and_nothing_of_statements(
    capfd: pytest.CaptureFixture[str], isolated: Path, engine: str, code: str, shown: str
) -> None:
    exit_code = await asyncio.to_thread(main, ["exec", "--engine", engine, code])
    assert (exit_code, capfd.readouterr()) == (0, (shown, ""))


def test_an_expression_that_is_no_data_is_shown_and_its_mistakes_are_the_persons(invoke_cli: Cli) -> None:
    assert "unction" in invoke_cli("exec", "Tool.list").assert_success().stdout
    several = json.loads(invoke_cli("exec", "1, 'b'", "--output", "json").assert_success().stdout)
    assert (several["result"], several["display"]) == (1, "1\tb")
    assert "    error('no')\n" in invoke_cli("exec", "error('no')").stderr
    assert "SyntaxError" in invoke_cli("exec", "--engine", "js", "1) + (2").stderr


def test_a_scripts_file_alone_is_run_unless_it_is_a_commands_name(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "hello.lua").write_text("print('lua', ARGS[1], ARGS.flag)")
    (isolated / "hello.js").write_text("console.log('js', ARGS[1])")
    (isolated / "version").write_text("print('no')")
    assert invoke_cli("hello.lua", "a", "--", "--flag").assert_success().stdout == "lua\ta\ttrue\n"
    assert invoke_cli("-q", "./hello.js", "b").assert_success().stdout == "js b\n"
    assert invoke_cli("version").assert_success().stdout.startswith("llmspell ")
    assert "there is no script helo.lua\nHint: Did you mean hello.lua" in invoke_cli("helo.lua").stderr
    assert "No such command 'hello'" in invoke_cli("hello").stderr


@pytest.mark.parametrize(
    ("name", "told"), [("types.ts", "is no JavaScript yet"), ("main.py", "is Python, which no installed engine runs")]
)
def test_a_file_in_a_language_that_nobody_runs_is_named_as_that(
    invoke_cli: Cli, isolated: Path, name: str, told: str
) -> None:
    (isolated / name).write_text("print(1)")
    failed = invoke_cli("run", name)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert told in failed.stderr
    assert "Hint: " in failed.stderr
    assert invoke_cli("run", "--engine", "lua", name).assert_success().stdout == "1\n"


def test_code_may_begin_with_a_dash(invoke_cli: Cli) -> None:
    assert invoke_cli("exec", "-- a comment\nprint(1)", "--engine", "lua").assert_success().stdout == "1\n"
    assert invoke_cli("exec", "--[[ x ]] print(ARGS[1])", "--", "-a").assert_success().stdout == "-a\n"
    assert invoke_cli("exec", "--engine", "js", "-1 + 2; print(3)").assert_success().stdout == "3\n"
    assert invoke_cli("exec", "--engine", "js", "--", "-x").exit_code == 1


def test_what_looks_like_an_option_is_one_and_the_error_says_how_to_pass_code(invoke_cli: Cli) -> None:
    done = invoke_cli("exec", "--engin", "lua")
    assert done.exit_code == 2
    assert "'--engine'" in done.stderr
    assert "llmspell exec -- '-x'" in done.stderr
    assert "-1" in invoke_cli("exec", "--timeout", "-1", "print(1)").stderr


def test_run_reads_standard_input(invoke_cli: Cli) -> None:
    assert invoke_cli("run", "-", "--", "a", input="print(ARGS[1])").assert_success().stdout == "a\n"
    assert invoke_cli("run", "--engine", "js", "-", input="console.log([1])").assert_success().stdout == "[ 1 ]\n"
    shebang, elsewhere = "#!/usr/bin/env -S llmspell run --engine js\nconsole.log(2)", {"LLMSPELL_ENGINE": "lua"}
    assert invoke_cli("run", "-", input=shebang, env=elsewhere).assert_success().stdout == "2\n"
    assert "<stdin>:1: no" in invoke_cli("run", "-", input="error('no')").stderr
    data = json.loads(invoke_cli("run", "-", "--output", "json", input="return 5").assert_success().stdout)
    assert (data["result"], data["script_length"]) == (5, 8)


def test_an_unknown_engine_is_named_with_those_that_there_are(invoke_cli: Cli) -> None:
    assert "There is: javascript, lua" in invoke_cli("exec", "--engine", "pthon", "x").stderr
    assert "Did you mean javascript?" in invoke_cli("exec", "--engine", "javascrpt", "x").stderr


def test_the_scripts_exit_code_is_the_programs(invoke_cli: Cli) -> None:
    assert invoke_cli("exec", "os.exit(7)").exit_code == 7
    assert invoke_cli("exec", "error('no')").exit_code == 1


def test_a_deadline_ends_the_script_with_a_message(invoke_cli: Cli) -> None:
    done = invoke_cli("exec", "--timeout", "0.5", "while true do end")
    assert done.exit_code == 1
    assert "0.5" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runtime_error_shows_line_and_source_and_as_json_its_fields(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "a.lua").write_text("local t = nil\nprint(t.x)\n")
    done = invoke_cli("run", "a.lua")
    assert done.exit_code == 1
    assert "a.lua:2" in done.stderr
    assert "print(t.x)" in done.stderr
    data = json.loads(invoke_cli("run", "a.lua", "--output", "json").stdout)
    assert data["status"] == "error"
    assert (data["error"]["kind"], data["error"]["line"]) == ("Script", 2)


def test_timers_of_the_repl_fire_while_it_waits_for_a_line(isolated: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "llmspell_core", "repl", "--engine", "js"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("let t = setTimeout(() => print('by itself'), 20)\n")
    child.stdin.flush()
    assert child.stdout.readline() == "by itself\n"
    child.communicate("", timeout=20)
    assert child.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_ends_a_script_quietly_with_130(isolated: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "llmspell_core", "exec", "print('on') while true do end"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "on\n"
    os.kill(child.pid, signal.SIGINT)
    _, err = child.communicate(timeout=20)
    assert child.returncode == 130
    assert err.splitlines()[-1] == "Interrupted"
    assert "Traceback" not in err


def test_the_repl_keeps_variables_across_errors_and_asks_for_more(invoke_cli: Cli) -> None:
    lines = "x = 20\nx + 1\nerror('boom')\nfunction f(a)\n  return a * 2\nend\nf(x)\n.nonsense\n.history\n"
    done = invoke_cli("repl", input=lines).assert_success()
    shown = done.stdout.splitlines()
    assert "21" in shown
    assert "40" in shown
    assert "function f(a)" in shown
    assert "boom" in done.stderr
    assert "there is no .nonsense" in done.stderr


def test_the_repl_speaks_javascript_with_open_brackets_and_awaits(invoke_cli: Cli) -> None:
    lines = "let x = 20\n[x,\n  x + 1]\nawait Promise.resolve(7)\n"
    shown = invoke_cli("repl", "--engine", "js", input=lines).assert_success().stdout
    assert "21" in shown
    assert "7" in shown.split()


def test_the_repl_saves_and_loads(invoke_cli: Cli, isolated: Path) -> None:
    invoke_cli("repl", input="y = 5\n.save kept.lua\n").assert_success()
    assert (isolated / "kept.lua").read_text() == "y = 5\n"
    done = invoke_cli("repl", input=".load kept.lua\ny + 1\n.load nowhere.lua\n").assert_success()
    assert "6" in done.stdout.split()
    assert "cannot read nowhere.lua" in done.stderr


def test_a_script_can_end_the_repl_with_its_exit_code(invoke_cli: Cli) -> None:
    assert invoke_cli("repl", input="os.exit(4)\n").exit_code == 4


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_in_the_repl_stops_the_entry_and_keeps_the_variables(isolated: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "llmspell_core", "repl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("x = 42 print('on') while true do end\n")
    child.stdin.flush()
    assert child.stdout.readline() == "on\n"
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate("x\n", timeout=20)
    assert "42" in out.split()
    assert "interrupted" in err
    assert child.returncode == 0


@pytest.mark.parametrize(("language", "words"), [("lua", "---@meta"), ("ts", "declare ")])
def test_editors_get_declarations(invoke_cli: Cli, isolated: Path, language: str, words: str) -> None:
    text = invoke_cli("stubs", language).assert_success().stdout
    assert words in text
    assert "Tool" in text
    invoke_cli("stubs", language, "-o", "kept").assert_success()
    assert (isolated / "kept").read_text() == text
    assert "cannot write nowhere/kept" in invoke_cli("stubs", language, "-o", "nowhere/kept").stderr
