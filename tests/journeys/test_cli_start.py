"""How the program starts, what it says about itself, and how little it imports for that."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from llmspell_core.cli import main
from llmspell_core.cli.app import COMMANDS, app
from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]
HEAVY = ("pydantic", "rich", "stevedore", "asyncio", "tomlkit", "pluggy", "importlib.metadata", "llmspell_core.runtime")


def imported(*arguments: str) -> set[str]:
    """The modules that a command imports, once the catalog is up to date."""
    command = [sys.executable, "-X", "importtime", "-m", "llmspell_core", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("arguments", [["--help"], ["tool", "list"], ["tool", "--help"], ["plugin", "list"]])
def test_listing_imports_neither_plugins_nor_heavy_libraries(isolated: Path, arguments: list[str]) -> None:
    modules = imported(*arguments)
    assert "click" in modules
    assert not [m for m in modules if m in HEAVY or m.startswith(("llmspell_tool", "llmspell_prov", "llmspell_eng"))]


def commands() -> list[tuple[str, click.Command]]:
    """Every command with its words."""
    found: list[tuple[str, click.Command]] = []
    context = click.Context(app)
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", each) for sub, each in command.commands.items()]
    return found


def test_the_table_of_commands_says_what_each_command_says_itself() -> None:
    for name, entry in COMMANDS.items():
        command = app.get_command(click.Context(app), name)
        assert command is not None
        if not entry.hidden:
            assert entry.help == (command.help or "").strip().splitlines()[0]


def test_every_help_text_holds_an_example() -> None:
    without = [name for name, command in commands() if not command.hidden and "llmspell " not in (command.help or "")]
    assert without == []


def test_help_lists_the_commands(invoke_cli: Cli) -> None:
    out = invoke_cli("--help").assert_success().stdout
    for name in ("run", "exec", "repl", "tool", "plugin", "provider", "model", "config", "info", "completion"):
        assert re.search(rf"^  {name} ", out, re.MULTILINE), name
    assert invoke_cli("-h").stdout == out


def test_the_version_is_the_distributions(invoke_cli: Cli) -> None:
    from importlib.metadata import version

    assert invoke_cli("--version").assert_success().stdout == f"llmspell {version('llmspell')}\n"
    assert invoke_cli("version", "--short").stdout.strip() == version("llmspell")


def test_a_mistyped_command_gets_the_nearest_one(invoke_cli: Cli) -> None:
    done = invoke_cli("tol", "list")
    assert done.exit_code == 2
    assert "No such command 'tol'. Did you mean 'tool'?" in done.stderr
    done = invoke_cli("tool", "lst")
    assert done.exit_code == 2
    assert "Did you mean 'list'" in done.stderr


def test_a_mistyped_option_gets_the_nearest_one(invoke_cli: Cli) -> None:
    done = invoke_cli("tool", "list", "--categry", "data")
    assert done.exit_code == 2
    assert "--category" in done.stderr


def test_usage_errors_are_a_json_document_when_json_was_asked_for(invoke_cli: Cli) -> None:
    done = invoke_cli("tool", "lst", "--output", "json")
    assert json.loads(done.stdout)["error"]["kind"] == "Usage"


def test_global_options_may_stand_anywhere(invoke_cli: Cli) -> None:
    before = invoke_cli("--output", "json", "tool", "list").assert_success().stdout
    between = invoke_cli("tool", "--output", "json", "list").assert_success().stdout
    after = invoke_cli("tool", "list", "--output", "json").assert_success().stdout
    assert before == between == after
    assert "calculator" in json.loads(after)
    by_environment = invoke_cli("tool", "list", env={"LLMSPELL_OUTPUT": "json"}).assert_success().stdout
    assert by_environment == after


def test_logs_go_to_stderr_at_the_level_that_was_asked_for(invoke_cli: Cli) -> None:
    code = "print(Agent.builder():name('a'):build() ~= nil)"
    said = invoke_cli("exec", code).assert_success()
    assert said.stdout == "true\n"
    assert "WARNING llmspell: No provider is configured" in said.stderr
    assert invoke_cli("--trace", "error", "exec", code).assert_success().stderr == ""
    assert invoke_cli("--quiet", "exec", code).assert_success().stderr == ""
    assert invoke_cli("--trace", "warn", "exec", code, env={"LLMSPELL_LOG": "error"}).assert_success().stderr == ""
    assert "DEBUG" in invoke_cli("exec", code, "--trace", "debug").assert_success().stderr


def test_the_program_alone_shows_its_help(invoke_cli: Cli) -> None:
    done = invoke_cli()
    assert done.exit_code == 2
    assert "Usage: llmspell" in done.stderr


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-files")]
)
def test_completion_scripts_for_the_usual_shells(invoke_cli: Cli, shell: str, word: str) -> None:
    out = invoke_cli("completion", shell).assert_success().stdout
    assert word in out
    assert "_LLMSPELL_COMPLETE" in out


def complete(words: str) -> list[str]:
    """What bash would be offered."""
    environment = os.environ | {
        "_LLMSPELL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "llmspell_core"], env=environment, capture_output=True, text=True, check=False
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_the_shell_completes_commands_options_and_tools(isolated: Path) -> None:
    assert complete("llmspell to") == ["tool"]
    assert "list" in complete("llmspell tool ")
    assert complete("llmspell tool info calc") == ["calculator"]


def test_the_shell_completes_settings_models_plugins_and_runs(isolated: Path) -> None:
    home = isolated / "home"
    (home / "profiles").mkdir()
    (home / "profiles" / "mine.toml").write_text("")
    (home / "traces").mkdir()
    (home / "traces" / "20260101-000000-abc.jsonl").write_text("")
    if not (home / "models").exists():
        (home / "models" / "llamacpp" / "smollm2").mkdir(parents=True)
    offered = {
        "ask -t calc": ["calculator"],
        "ask --model anth": ["anthropic/"],
        "config set tools.http_request.rate": ["tools.http_request.rate_limit_per_minute"],
        "plugin new too": ["tool"],
        "config set runtime.security.allow_f": ["runtime.security.allow_file_access"],
        "config get providers.groq.default_m": ["providers.groq.default_model"],
        "config show tools.net": ["tools.network"],
        "config show-profile mi": ["mine", "minimal"],
        "--profile envs/": ["envs/dev", "envs/prod"],
        "model pull smol": ["smollm2"],
        "model remove smol": ["smollm2"],
        "plugin info llmspell-engine-": ["llmspell-engine-javascript", "llmspell-engine-lua"],
        "plugin list --kind too": ["tools"],
        "template exec as": ["ask"],
        "provider test anth": ["anthropic"],
        "run --engine jav": ["javascript"],
        "trace show 2026": ["20260101-000000-abc"],
    }
    assert {words: complete(f"llmspell {words}") for words in offered} == offered


def test_every_setting_that_the_shell_offers_is_one(isolated: Path, invoke_cli: Cli) -> None:
    from llmspell_core.config.checks import is_declared

    keys = complete("llmspell config get ")
    assert len(keys) > 80
    others = ("prompts.", "tools.calculator.", "tools.http_request.rate_limit")  # what scripts read, what is a tool's
    assert [k for k in keys if not is_declared(tuple(k.split("."))) and not k.startswith(others)] == []


def test_completion_imports_nothing_heavy(isolated: Path) -> None:
    code = "import sys, llmspell_core.cli.lazy; print([m for m in ('pydantic', 'rich', 'asyncio', 'pathlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.stdout == "[]\n", done.stderr


def test_a_reader_that_goes_away_is_no_error(isolated: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "llmspell_core", "exec", "for i = 1, 200000 do print(i) end"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline() == b"1\n"
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    child.wait(timeout=30)


def test_a_defect_of_ours_is_one_message_and_a_traceback_only_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh dear")

    monkeypatch.setattr("llmspell_core.plugins.catalog.Catalog.components", broken)
    assert main(["tool", "list"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Error: ZeroDivisionError: oh dear\nHint: This looks like a defect")
    assert "Traceback" not in err
    assert main(["tool", "list", "--trace", "debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
