"""What a script gets from the program around it: input, exit codes, security of its own choice, one language's modules."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]

LINES = {
    "lua": 'print(io.read(), io.read("n"), io.read("l")) print(io.read("a")) print(io.read())',
    "js": """
        console.log(await process.stdin.readLine(), await process.stdin.readLine());
        for await (const line of process.stdin) { console.log(line); if (line === "é") break }
        console.log(await process.stdin.read(), await process.stdin.readLine());""",
}
EXPECTED = {"lua": "first\t2\t\né\nlast\n\nnil\n", "js": "first 2\né\nlast\n null\n"}


@pytest.mark.parametrize("language", ["lua", "js"])
@pytest.mark.parametrize("profile", ["low", "medium"])
def test_a_script_reads_standard_input(invoke_cli: Cli, isolated: Path, language: str, profile: str) -> None:
    (isolated / f"a.{language}").write_text(LINES[language])
    done = invoke_cli("--security-profile", profile, "run", f"a.{language}", input="first\n2\né\nlast\n")
    assert done.assert_success().stdout == EXPECTED[language]


@pytest.mark.parametrize(
    ("language", "code"), [("lua", "print(io.read('a'):len())"), ("js", "print((await process.stdin.read()).length)")]
)
def test_a_million_lines_of_input_are_read_at_once(invoke_cli: Cli, language: str, code: str) -> None:
    done = invoke_cli("exec", "--engine", language, code, input="1234567\n" * 1_000_000)
    assert done.assert_success().stdout == "8000000\n"


@pytest.mark.parametrize(
    ("language", "code"), [("lua", "print(io.read, io.stdin)"), ("js", "print(typeof process.stdin, typeof require)")]
)
def test_the_high_profile_has_no_input(invoke_cli: Cli, language: str, code: str) -> None:
    done = invoke_cli("--security-profile", "high", "exec", "--engine", language, code, input="secret\n")
    assert set(done.assert_success().stdout.split()) <= {"nil", "undefined"}


@pytest.mark.parametrize(
    ("language", "code", "status"),
    [
        ("lua", "os.exit()", 0),
        ("lua", "os.exit(false)", 1),
        ("lua", "pcall(os.exit, 7) print('never')", 7),
        ("lua", "coroutine.wrap(function() os.exit(300) end)()", 300 & 255),
        ("lua", "os.exit(256)", 1),
        ("js", "process.exit()", 0),
        ("js", "process.exit('5')", 5),
        ("js", "process.exit(-256)", 1),
        ("js", "try { process.exit(7) } finally { print('never') }", 7),
        ("js", "await sleep(1); os.exit(3)", 3),
        ("js", "setTimeout(() => process.exit(9), 1)", 9),
        ("js", "throw new Error('no')", 1),
    ],
)
def test_a_script_ends_the_program_with_its_code(invoke_cli: Cli, language: str, code: str, status: int) -> None:
    done = invoke_cli("exec", "--engine", language, code)
    assert (done.exit_code, done.stdout) == (status, "")


def test_an_exit_code_that_is_none_is_an_error_and_no_success(invoke_cli: Cli) -> None:
    codes = "['x', NaN, 1.5, {}, 2**32]"
    js = f"for (const c of {codes}) try {{ process.exit(c) }} catch (e) {{ console.log(e.message) }} process.exit(2)"
    done = invoke_cli("exec", "--engine", "js", js)
    assert (done.exit_code, done.stdout) == (2, "exit: the code must be a whole number\n" * 5)
    lua = "for _, c in ipairs({'x', 0/0, {}, 1e300}) do print(pcall(os.exit, c)) end os.exit(2)"
    done = invoke_cli("exec", lua)
    assert (done.exit_code, done.stdout.count("bad argument #1 to 'exit'")) == (2, 4)


PRIVATE = {"lua": "print(io.open == nil, require == nil)", "js": "print(typeof require, typeof process.stdin)"}
COMMENT = {"lua": "--", "js": "//"}
CLOSED = {"lua": "true\ttrue\n", "js": "undefined undefined\n"}


@pytest.mark.parametrize("language", ["lua", "js"])
def test_a_script_may_ask_for_more_security(invoke_cli: Cli, isolated: Path, language: str) -> None:
    source = f"#!/usr/bin/env llmspell\n{COMMENT[language]} About it.\n\n{COMMENT[language]} llmspell: security=high\n"
    (isolated / f"a.{language}").write_text(source + PRIVATE[language])
    assert invoke_cli("run", f"a.{language}").assert_success().stdout == CLOSED[language]


def test_what_the_script_asks_for_holds_for_its_tools_too(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "note.txt").write_text("private")
    code = "print(pcall(Tool.execute, 'file-operations', {operation = 'read', path = 'note.txt'}))"
    assert "private" not in invoke_cli("exec", "-", input="-- llmspell: security=high\n" + code).assert_success().stdout


@pytest.mark.parametrize("profile", ["medium", "high"])
def test_a_script_cannot_ask_for_less(invoke_cli: Cli, profile: str) -> None:
    code = "-- llmspell: security=low\nprint(os.remove)"
    assert invoke_cli("--security-profile", profile, "exec", "-", input=code).assert_success().stdout == "nil\n"


def test_settings_that_were_loosened_are_tightened_by_the_script(
    invoke_cli: Cli, isolated: Path, trusted_settings: Callable[[str], Path]
) -> None:
    trusted_settings('[tools.permissions]\nfile-operations = "safe"\n[runtime.security]\nprofile = "low"')
    (isolated / "note.txt").write_text("private")
    code = "-- llmspell: security=high\nprint(pcall(Tool.execute, 'file-operations', {operation = 'read', path = 'note.txt'}))"
    done = invoke_cli("exec", "-", input=code).assert_success()
    assert "private" not in done.stdout
    assert done.stdout.startswith("false")


def test_only_comments_at_the_top_are_a_wish(invoke_cli: Cli) -> None:
    code = "local text = [[\n-- llmspell: security=high\n]] print(io.open ~= nil)"
    assert invoke_cli("exec", code).assert_success().stdout == "true\n"


def test_a_misspelt_wish_is_an_error(invoke_cli: Cli) -> None:
    done = invoke_cli("exec", "-", input="-- llmspell: security=hihg\nprint('ran')")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "low, medium, high" in done.stderr


def test_a_script_may_be_an_es_module(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "word.js").write_text('export const word = "hello";')
    (isolated / "a.mjs").write_text('import { word } from "./word.js";\nconsole.log(word);\nexport default { word };')
    assert invoke_cli("run", "a.mjs").assert_success().stdout == "hello\n"
    (isolated / "b.mjs").write_text('// comment\nimport fs from "fs";\nexport default 1;')
    done = invoke_cli("run", "b.mjs")
    assert done.exit_code == 1
    assert "module 'fs' not found" in done.stderr
    assert "b.mjs:2" in done.stderr


def test_lua_comes_in_the_variant_that_is_configured(invoke_cli: Cli, trusted_settings: Callable[[str], Path]) -> None:
    code = "print(_VERSION, type(jit), math.type and 'integers' or 'doubles')"
    for variant, shown in {"lua54": "Lua 5.4\tnil\tintegers\n", "luajit": "Lua 5.1\tnil\tdoubles\n"}.items():
        trusted_settings(f'[engines.lua]\nvariant = "{variant}"')
        assert invoke_cli("exec", code).assert_success().stdout == shown
    trusted_settings('[engines.lua]\nvariant = "lua1"')
    assert "luajit" in invoke_cli("exec", code).stderr


PROGRAMS = """
    print(os.execute())
    print(os.execute("echo out; echo err >&2; exit 3"))
    print(os.execute("true"))
    print(os.execute("kill -9 $$"))
    local pipe = io.popen("printf 'a\\\\nb'; exit 2")
    print(pipe:read("l"), pipe:read("a"), pipe:close())"""
LOW = '[runtime.security]\nprofile = "low"\n[tools.system]\nallowed_commands = [{}]\n'


@pytest.mark.skipif(sys.platform == "win32", reason="these programs are POSIX")
def test_the_low_profile_starts_the_programs_that_are_allowed(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "a.lua").write_text(PROGRAMS)
    (isolated / "low.toml").write_text(LOW.format('"sh"'))
    done = invoke_cli("-c", "low.toml", "run", "a.lua").assert_success()
    assert done.stdout == "true\nout\nnil\texit\t3\ntrue\texit\t0\nnil\tsignal\t9\na\tb\tnil\texit\t2\n"
    assert done.stderr == "err\n"


def test_without_a_permitted_shell_the_low_profile_starts_nothing(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "low.toml").write_text(LOW.format(""))
    source = "print(os.execute('touch pwned')) print(io.popen('touch pwned')) print(os.execute())"
    done = invoke_cli("-c", "low.toml", "exec", source).assert_success()
    assert done.stdout.startswith("nil\texit\t1\nnil\ttouch pwned: 'sh' is not a program that tools may start")
    assert done.stdout.endswith("false\n")
    assert 'Add "sh" to tools.system.allowed_commands.' in done.stderr
    assert not (isolated / "pwned").exists()
