"""Text of others cannot draw on a person's terminal; what a script prints, and what goes into a pipe, is unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llmspell_core.cli.harmless import harmless
from llmspell_core.testing.fixtures import CliResult
from llmspell_core.testing.terminal import Terminal

Cli = Callable[..., CliResult]
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b1A\u202eevil"

ERRORS = {
    "script": ("exec", 'error("\\27[2J\\27]0;owned\\7")'),
    "javascript": ("exec", "--engine", "js", 'throw new Error("\\x1b[2J\\x1b]0;owned\\x07")'),
    "command": ("\x1b[2Jnonsense",),
    "script's name": ("run", "\x1b[2J.lua"),
    "tool": ("tool", "invoke", "\x1b[2J"),
    "with traceback": ("--trace", "debug", "exec", 'error("\\27[2J")'),
    "json": ("--output", "json", "exec", 'error("\\27[2J")'),
}


@pytest.mark.parametrize("arguments", ERRORS.values(), ids=ERRORS)
def test_an_error_cannot_draw(invoke_cli: Cli, arguments: tuple[str, ...]) -> None:
    done = invoke_cli(*arguments)
    assert done.exit_code != 0
    assert "\x1b" not in done.stderr + done.stdout
    assert "\x07" not in done.stderr
    assert "[2J" in done.stderr


def test_only_characters_lines_and_tabs_are_left() -> None:
    assert harmless(EVIL) == "\\x1b]0;owned\\x07\\x1b[2J\\x9b1A\\u202eevil"
    assert harmless("a\tb\nÄ 👩\u200d👩 \r") == "a\tb\nÄ 👩\u200d👩 \\r"


def test_an_answer_cannot_draw_on_a_terminal_and_goes_unchanged_into_a_pipe(isolated: Path, invoke_cli: Cli) -> None:
    (isolated / "f").write_text(f"before {EVIL} after", "utf-8")
    call = ("tool", "invoke", "file-operations", "--param", "operation=read", "--param", "path=f")
    assert EVIL in invoke_cli(*call).stdout or "\\u001b" in invoke_cli(*call).stdout
    terminal = Terminal(*call)
    assert terminal.end() == 0
    assert "after" in terminal.seen
    assert "\x1b]0;" not in terminal.seen
    assert "\x9b" not in terminal.seen


def test_a_script_prints_what_it_wants(isolated: Path) -> None:
    terminal = Terminal("exec", 'print("\\27[31mred\\27[0m")')
    assert terminal.end() == 0
    assert "\x1b[31mred\x1b[0m" in terminal.seen
