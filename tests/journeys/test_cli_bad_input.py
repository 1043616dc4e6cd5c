"""What people read when what they typed cannot work: one message, a hint, an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]


@pytest.fixture
def refused(invoke_cli: Cli) -> Callable[..., str]:
    """Runs a command that must fail; gives what it said."""

    def run(*arguments: str, code: int = 1, **options: object) -> str:
        done = invoke_cli(*arguments, **options)
        assert done.exit_code == code, done
        assert "Traceback" not in done.stderr
        assert "Error: " in done.stderr
        assert done.stdout == ""
        return done.stderr

    return run


Refused = Callable[..., str]


def test_an_unknown_tool_gets_near_names(refused: Refused) -> None:
    said = refused("tool", "invoke", "calculater")
    assert "Tool 'calculater' not found" in said
    assert "calculator" in said
    assert "calculator" in refused("tool", "info", "calculater")


def test_an_unknown_tool_is_told_to_programs_too(invoke_cli: Cli) -> None:
    done = invoke_cli("tool", "invoke", "calculater", "--output", "json")
    data = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (data["status"], data["tool"], data["error_type"]) == ("error", "calculater", "not_found")
    assert data["error"]["kind"] == "Not found"


def test_a_parameter_of_the_wrong_type_is_named_with_what_was_given(refused: Refused) -> None:
    said = refused("tool", "invoke", "calculator", "--param", "expression=[1]")
    assert "expression" in said or "input" in said
    assert "string" in said
    assert "[1]" in said


@pytest.mark.parametrize(("text", "example"), [("expression", "expression"), ("=4", "key"), ("", "key")])
def test_a_parameter_without_equals_sign_shows_the_right_form(refused: Refused, text: str, example: str) -> None:
    said = refused("tool", "invoke", "calculator", "--param", text, code=2)
    assert "KEY=VALUE" in said
    assert f"--param {example}=value" in said


@pytest.mark.parametrize(("text", "words"), [("{nope", "not JSON"), ("[1]", "must be a JSON object, got a list")])
def test_parameters_that_are_no_json_object_are_a_usage_error(refused: Refused, text: str, words: str) -> None:
    assert words in refused("tool", "invoke", "calculator", "--params", text, code=2)


def test_json_nested_without_an_end_is_told_as_any_other_wrong_json(refused: Refused, isolated: Path) -> None:
    deep = "[" * 5000 + "]" * 5000
    said = refused("tool", "invoke", "json-processor", "--params", f'{{"input": {deep}}}', code=2)
    assert "--params is not JSON: it is nested too deeply" in said
    assert "RecursionError" not in refused("tool", "invoke", "calculator", "--param", f"x={deep}")
    (isolated / "waiting.json").write_text(deep)
    said = refused("agent", "resume", "./waiting.json", "--approve")
    assert "waiting.json is not the record of a run: it is nested too deeply" in said


@pytest.mark.parametrize("command", [("exec", "print(1)"), ("run", "x.lua"), ("repl",)])
def test_a_time_that_no_clock_reaches_is_no_deadline(refused: Refused, command: tuple[str, ...]) -> None:
    for text in ("nan", "inf"):
        assert f"'{text}' is not a number of seconds" in refused(*command, "--timeout", text, code=2)


@pytest.mark.parametrize("engine", ["lua", "javascript"])
def test_times_beyond_what_the_system_counts_to_are_long_and_nothing_else(engine: str) -> None:
    program = [sys.executable, "-m", "llmspell_core", "exec", "--engine", engine, "--timeout"]
    done = subprocess.run([*program, "1e300", "return 7"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("7\n", "")
    sleep = "await Async.sleep(1e300)" if engine == "javascript" else "Async.sleep(1e300)"
    done = subprocess.run([*program, "1", sleep], capture_output=True, text=True, timeout=30, check=False)
    assert "did not end within 1 s: it was waiting" in done.stderr


def test_a_missing_parameter_file_is_a_usage_error(refused: Refused) -> None:
    said = refused("tool", "invoke", "calculator", "--params", "@nowhere.json", code=2)
    assert "cannot read nowhere.json: No such file" in said


def test_a_missing_script_gets_the_nearest_file(refused: Refused, isolated: Path) -> None:
    (isolated / "hello.lua").write_text("print(1)")
    said = refused("run", "helo.lua")
    assert "there is no script helo.lua" in said
    assert "hello.lua" in said


def test_a_folder_is_not_a_script(refused: Refused, isolated: Path) -> None:
    (isolated / "folder").mkdir()
    assert "is a directory" in refused("run", "folder")


@pytest.mark.parametrize(
    ("name", "source", "where"),
    [
        ("bad.lua", "local x = 1\nprint('a'\nlocal y = 2\n", "bad.lua:3"),
        ("bad.js", "const x = 1;\nconst = 2;\n", "bad.js:2"),
    ],
)
def test_a_syntax_error_is_shown_with_its_line(
    refused: Refused, isolated: Path, name: str, source: str, where: str
) -> None:
    (isolated / name).write_text(source)
    said = refused("run", name)
    assert where in said
    assert source.splitlines()[int(where.partition(":")[2]) - 1] in said


@pytest.mark.parametrize("name", ["noise.lua", "noise.js"])
def test_binary_garbage_is_not_a_script(refused: Refused, isolated: Path, name: str) -> None:
    (isolated / name).write_bytes(b"\x7fELF\x02\x01\x00\xff\xfe\x00\x9c" * 100)
    said = refused("run", name)
    assert "not a text file" in said
    assert len(said) < 500


@pytest.mark.parametrize("name", ["huge.lua", "huge.js"])
def test_a_script_of_a_hundred_megabytes_is_refused_before_it_is_read(
    refused: Refused, isolated: Path, name: str
) -> None:
    with (isolated / name).open("wb") as file:
        file.truncate(100_000_000)
    said = refused("run", name)
    assert "100,000,000 bytes" in said


def test_an_engine_that_does_not_exist(refused: Refused) -> None:
    assert "Script engine 'luaa' not found" in refused("exec", "--engine", "luaa", "print(1)")


def test_bad_toml_names_file_and_line(refused: Refused, isolated: Path) -> None:
    (isolated / "llmspell.toml").write_text("[runtime]\nscript_timeout_seconds = = 3\n")
    said = refused("exec", "print(1)")
    assert "llmspell.toml" in said
    assert "line 2" in said
    assert "llmspell.toml" in refused("tool", "invoke", "calculator", "--param", "expression=1")


def test_a_setting_of_the_wrong_type_says_where_it_was_set(refused: Refused, isolated: Path) -> None:
    (isolated / "llmspell.toml").write_text('[runtime]\nscript_timeout_seconds = "soon"\n')
    said = refused("exec", "print(1)")
    assert "runtime.script_timeout_seconds" in said
    assert "soon" in said


def test_a_missing_configuration_file_is_an_error(refused: Refused) -> None:
    assert "nowhere.toml" in refused("--config", "nowhere.toml", "exec", "print(1)")


AGENT = """
local agent = Agent.builder():name("a"):model("openai/gpt-4o-mini"):build()
print(agent:execute({text = "hello"}).text)
"""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, held so that nobody else gets it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_server_that_cannot_be_reached_is_named(
    refused: Refused, trusted_settings: Callable[[str], Path], closed_port: int
) -> None:
    address = f"http://127.0.0.1:{closed_port}/v1"
    trusted_settings(f'[providers.openai]\nbase_url = "{address}"\napi_key = "sk-hidden-away"\nmax_retries = 0\n')
    said = refused("exec", AGENT)
    assert f"127.0.0.1:{closed_port}" in said
    assert "sk-hidden-away" not in said
    said = refused("provider", "test", "openai")
    assert "does not answer" in said
    assert f"127.0.0.1:{closed_port}" in said


def test_a_key_that_is_refused_is_not_shown(
    refused: Refused, trusted_settings: Callable[[str], Path], httpserver: object
) -> None:
    httpserver.expect_request("/v1/chat/completions").respond_with_json(  # type: ignore[attr-defined]
        {"error": {"message": "Incorrect API key provided: sk-hidden-away", "code": "invalid_api_key"}}, status=401
    )
    address = httpserver.url_for("/v1")  # type: ignore[attr-defined]
    trusted_settings(f'[providers.openai]\nbase_url = "{address}"\napi_key = "sk-hidden-away"\nmax_retries = 0\n')
    said = refused("exec", AGENT)
    assert "key" in said
    assert "sk-hidden-away" not in said


def test_a_key_of_the_environment_never_appears_whoever_wrote_the_message(refused: Refused, isolated: Path) -> None:
    environment = {"OPENAI_API_KEY": "sk-very-hidden-away"}
    said = refused("exec", "error('it was sk-very-hidden-away')", env=environment)
    assert "it was ********" in said


def test_a_missing_key_says_which_variable_to_set(refused: Refused) -> None:
    assert "OPENAI_API_KEY" in refused("exec", AGENT)


LOCAL = 'print(Agent.builder():name("a"):model("local/{}"):build():execute({{text = "hello"}}).text)'


def test_a_model_that_is_not_here_says_how_to_get_it(refused: Refused) -> None:
    assert "llmspell model pull" in refused("exec", LOCAL.format("no-such-model"))


def test_a_truncated_model_file_is_recognised(refused: Refused, isolated: Path) -> None:
    models = isolated / "home" / "models"
    if models.is_symlink():
        models.unlink()
    (isolated / "cut.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 272, 33) + b"\x00" * 40)
    said = refused("model", "pull", str(isolated / "cut.gguf"))
    assert "cut.gguf" in said
    (isolated / "text.gguf").write_text("this is not a model")
    assert "text.gguf" in refused("model", "pull", str(isolated / "text.gguf"))


def test_a_missing_model_file_is_named(refused: Refused) -> None:
    assert "nowhere.gguf" in refused("model", "pull", "./nowhere.gguf")


def test_removing_a_model_without_being_asked_needs_yes(refused: Refused) -> None:
    assert "--yes" in refused("model", "remove", "smollm2")


def test_a_script_that_uses_up_its_memory_is_told_what_helps(refused: Refused) -> None:
    assert "runtime.security.max_memory_bytes" in refused("exec", 'local s = "x" while true do s = s .. s end')
    assert "calls itself without an end" in refused("exec", "local function f() return 1 + f() end f()")


def as_process(*words: str | bytes, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "llmspell_core", *words]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, timeout=30, check=False, shell=False
    )


def test_code_that_is_not_utf_8_is_refused_in_both_languages(tmp_path: Path) -> None:
    for engine, code in (("lua", b'error("\xff")'), ("js", b'throw new Error("\xff")')):
        done = as_process("exec", "--engine", engine, code, cwd=tmp_path)
        assert done.returncode == 1
        assert b"is not UTF-8" in done.stderr
        assert b"defect" not in done.stderr


def test_json_stays_json_where_the_output_is_not_utf_8(tmp_path: Path) -> None:
    done = as_process(
        "--output", "json", "exec", 'return "\N{SPOOL OF THREAD}"', cwd=tmp_path, PYTHONIOENCODING="ascii"
    )
    assert json.loads(done.stdout)["result"] == "\N{SPOOL OF THREAD}"


def test_a_folder_that_is_gone_is_named_as_the_reason(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(Path(sys.executable).with_name("llmspell")), "exec", "print(1)"],
        cwd=gone,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert b"current folder does not exist" in done.stderr
