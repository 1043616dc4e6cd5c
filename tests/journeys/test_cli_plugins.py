"""Broken plugins cost their own row and nothing else: `llmspell plugin` and everything beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.testing.fixtures import CliResult
from llmspell_core.testing.terminal import Terminal

Cli = Callable[..., CliResult]

TOOL = """
from pydantic import BaseModel
from llmspell_core.tool import Tool

class Parameters(BaseModel):
    word: str = "hello"

class Made(Tool[Parameters]):
    name = "{name}"
    description = "Says a word."
    parameters = Parameters
    example = {{"word": "hi"}}

    async def run(self, params, ctx):
        return "{name} says " + params.word
"""
BROKEN = {
    "raising": ("raise RuntimeError('the moon is full')", "the moon is full"),
    "misspelt": ("def broken(:\n    pass\n", "syntax"),
    "lacking": ("import surely_not_installed_anywhere", "surely_not_installed_anywhere"),
    "leaving": ("raise SystemExit(3)", "exit"),
    "dying": ("import os\nos._exit(7)", "exit code 7"),
}


def lay(site: Path, distribution: str, source: str, point: str, kind: str = "tools", attribute: str = "Made") -> None:
    """An installed distribution, the way an installer leaves it behind."""
    module = distribution.replace("-", "_")
    (site / f"{module}.py").write_text(source)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nSummary: Made for a test.\n"
    )
    (info / "entry_points.txt").write_text(f"[llmspell.{kind}]\n{point} = {module}:{attribute}\n")


@pytest.fixture
def site(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A further folder with installed distributions."""
    folder = isolated / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(isolated / "cache"))
    return folder


def rows(invoke_cli: Cli, *more: str) -> list[dict[str, Any]]:
    found = json.loads(invoke_cli("plugin", "list", *more, "--output", "json").assert_success().stdout)
    assert isinstance(found, list)
    return found


def test_each_broken_plugin_is_one_row_and_everything_else_works(site: Path, invoke_cli: Cli) -> None:
    lay(site, "fine-tools", TOOL.format(name="fine"), "fine")
    for name, (source, _) in BROKEN.items():
        lay(site, f"{name}-tools", source, name)
    found = {row["name"]: row for row in rows(invoke_cli) if row["distribution"].endswith("-tools")}
    assert set(found) == {"fine", *BROKEN}
    assert found["fine"]["status"] == "ok"
    for name, (_, words) in BROKEN.items():
        assert found[name]["status"] == "broken"
        assert words in found[name]["note"]
    assert "fine says yes" in invoke_cli("tool", "invoke", "fine", "--param", "word=yes").assert_success().stdout
    assert "2" in invoke_cli("exec", "print(1 + 1)").assert_success().stdout
    assert "fine" in invoke_cli("tool", "list").assert_success().stdout
    invoke_cli("--help").assert_success()
    for name, (_, words) in BROKEN.items():
        done = invoke_cli("tool", "invoke", name)
        assert done.exit_code == 1
        assert words in done.stderr.lower()
        assert f"{name}-tools" in done.stderr
        assert "Hint: " in done.stderr
        assert "Traceback" not in done.stderr


def test_check_names_what_is_wrong_and_fails(site: Path, invoke_cli: Cli) -> None:
    lay(site, "raising-tools", BROKEN["raising"][0], "raising")
    done = invoke_cli("plugin", "check", "raising-tools")
    assert done.exit_code == 1
    assert "tools 'raising' of raising-tools 1.0: RuntimeError: the moon is full" in done.stdout
    assert "1 components, 1 with problems" in done.stdout
    assert invoke_cli("plugin", "check", "llmspell-tools-utility").exit_code == 0


def test_two_plugins_with_one_name_clash_until_the_configuration_prefers_one(
    site: Path, invoke_cli: Cli, trusted_settings: Callable[[str], Path]
) -> None:
    lay(site, "my-tools", TOOL.format(name="calculator"), "calculator")
    found = [row for row in rows(invoke_cli, "--kind", "tools") if row["name"] == "calculator"]
    assert [row["distribution"] for row in found] == ["llmspell-tools-utility", "my-tools"]
    assert {row["status"] for row in found} == {"conflict"}
    done = invoke_cli("tool", "invoke", "calculator")
    assert done.exit_code == 1
    assert "llmspell-tools-utility and my-tools both offer 'calculator'" in done.stderr
    assert "prefer" in done.stderr
    assert "uuid-generator" in invoke_cli("tool", "list").assert_success().stdout
    trusted_settings('[plugins]\nprefer = ["my-tools"]\n')
    assert "calculator says hello" in invoke_cli("tool", "invoke", "calculator").assert_success().stdout
    assert "Says a word." in invoke_cli("tool", "info", "calculator").assert_success().stdout


def test_a_blocked_plugin_is_listed_as_such_and_not_used(
    site: Path, invoke_cli: Cli, trusted_settings: Callable[[str], Path]
) -> None:
    lay(site, "dying-tools", BROKEN["dying"][0], "dying")
    blocked = {"LLMSPELL_PLUGINS_BLOCK": "dying-tools"}
    out = invoke_cli("plugin", "list", env=blocked).assert_success().stdout
    line = next(line for line in out.splitlines() if "dying-tools" in line)
    assert "blocked" in line.split()
    assert "not found" in invoke_cli("tool", "invoke", "dying", env=blocked).stderr
    trusted_settings('[plugins]\nblock = ["dying-tools"]\n')
    assert "not found" in invoke_cli("tool", "invoke", "dying").stderr


def test_installing_makes_a_tool_appear_and_removing_makes_it_go(site: Path, invoke_cli: Cli) -> None:
    assert "fresh" not in invoke_cli("tool", "list").stdout.split()
    lay(site, "fresh-tools", TOOL.format(name="fresh"), "fresh")
    assert "fresh" in invoke_cli("tool", "list").stdout.split()
    assert "fresh says hi" in invoke_cli("exec", 'print(Tool.execute("fresh", {word = "hi"}).text)').stdout
    for path in (site / "fresh_tools-1.0.dist-info").iterdir():
        path.unlink()
    (site / "fresh_tools-1.0.dist-info").rmdir()
    assert "fresh" not in invoke_cli("tool", "list").stdout.split()


def test_a_plugin_can_bring_a_command(site: Path, invoke_cli: Cli) -> None:
    source = (
        "import click\n"
        "@click.command()\n"
        "@click.option('--name', default='you')\n"
        "@click.pass_obj\n"
        "def greet(shell, name):\n"
        "    '''Greet somebody.'''\n"
        "    shell.emit({'greeting': name}, f'hello {name}')\n"
    )
    lay(site, "greeting-commands", source, "greet", kind="commands", attribute="greet")
    assert "Greet somebody." in invoke_cli("--help").assert_success().stdout
    assert invoke_cli("greet", "--name", "her").assert_success().stdout == "hello her\n"
    assert json.loads(invoke_cli("greet", "--output", "json").assert_success().stdout) == {"greeting": "you"}


def test_info_describes_a_distribution_or_the_one_that_offers_a_component(invoke_cli: Cli) -> None:
    out = invoke_cli("plugin", "info", "calculator").assert_success().stdout
    assert out.startswith("llmspell-tools-utility ")
    data = json.loads(invoke_cli("plugin", "info", "llmspell-tools-utility", "--output", "json").stdout)
    assert "calculator" in [c["name"] for c in data["components"]]
    done = invoke_cli("plugin", "info", "calculater")
    assert done.exit_code == 1
    assert "calculator" in done.stderr


def test_an_unknown_kind_is_a_usage_error(invoke_cli: Cli) -> None:
    done = invoke_cli("plugin", "list", "--kind", "toys")
    assert done.exit_code == 2
    assert "tools" in done.stderr


def page(kind: str) -> str:
    """The smallest plugin on the page of its kind."""
    text = (Path(__file__).parents[2] / "docs" / "plugin-authors" / f"{kind}.md").read_text(encoding="utf-8")
    return text.partition("```python\n")[2].partition("```")[0]


def test_the_command_of_the_guide_is_one_like_our_own(site: Path, invoke_cli: Cli) -> None:
    lay(site, "llmspell-command-double", page("command"), "double", "commands", "double")
    assert invoke_cli("double", "20+1").assert_success().stdout == "42\n"
    shown = json.loads(invoke_cli("double", "20+1", "--output", "json").assert_success().stdout)
    assert shown == {"expression": "20+1", "answer": 42}
    assert "Calculate something, twice as much." in invoke_cli("--help").assert_success().stdout
    assert invoke_cli("double", "20+").exit_code == 1


def test_the_observer_of_the_guide_is_told_when_its_table_is_there(
    site: Path, invoke_cli: Cli, trusted_settings: Callable[[str], Path]
) -> None:
    lay(site, "llmspell-observer-slow", page("observer"), "slow", "observers", "Slow")
    script = "print(Tool.execute('calculator', {expression = '1+1'}).success)"
    assert "slow:" not in invoke_cli("exec", script).assert_success().stdout
    trusted_settings("[slow]\nlimit_ms = 0.001\n")
    assert "slow: tool calculator" in invoke_cli("exec", script).assert_success().stdout
    assert invoke_cli("config", "set", "slow.limit_ms", "5").assert_success().stderr == ""
    assert "fast: nothing reads this setting" in invoke_cli("config", "set", "fast.limit_ms", "5").stderr
    checked = invoke_cli("config", "check").assert_success().stdout
    assert "fast: nothing reads this setting" in checked
    assert "slow:" not in checked


DRAWING = TOOL.format(name="drawer").replace(
    "Says a word.", r"Draws \x1b[31mred\u202e and\tturns\x07 [bold]text[/bold]."
)


def test_what_a_plugin_says_of_itself_cannot_draw_in_a_table(site: Path, invoke_cli: Cli) -> None:
    lay(site, "drawing-tools", DRAWING, "drawer")
    for command in (("tool", "list"), ("tool", "info", "drawer"), ("plugin", "info", "drawer")):
        terminal = Terminal(*command, columns=160)
        assert terminal.end() == 0
        assert "Draws \\x1b[31mred\\u202e and turns\\x07 [bold]text[/bold]." in terminal.text.replace("\t", " ")
        assert "\x1b[31m" not in terminal.seen
        assert "\x07" not in terminal.seen
    assert invoke_cli("tool", "list", "--detailed").stdout.count("drawer\t") == 1


def test_a_damaged_line_in_somebodys_entry_points_stops_no_command(site: Path, invoke_cli: Cli) -> None:
    """Python's own reader, and whoever asks it for all distributions, gives up with the first such line."""
    lay(site, "sunny-tools", TOOL.format(name="sun"), "sun")
    points = site / "sunny_tools-1.0.dist-info" / "entry_points.txt"
    points.write_text(f"{points.read_text()}weather\n")
    (site / "sunny_tools-1.0.dist-info" / "METADATA").write_bytes(b"Name: sunny-tools\nSummary: gr\xfc\xdfe\n")
    done = invoke_cli(
        "exec", 'print(Tool.execute("sun", {}).result, Tool.execute("calculator", {input = "1+1"}).result.value)'
    )
    assert (done.assert_success().stdout, done.stderr) == ("sun says hello\t2\n", "")
    problems = invoke_cli("plugin", "list", "--problems").stdout
    assert "'weather' in its entry_points.txt" in problems
    assert "Pair" not in problems
