"""What is different when a person sits in front of a terminal."""

from __future__ import annotations

import os
import re
import select
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="pseudo terminals are POSIX")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A person's terminal with `llmspell` in it."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1")  # nobody here answers where the cursor is
            os.execv(sys.executable, [sys.executable, "-m", "llmspell_core", *arguments])
        self.seen = ""
        self._expected = 0
        self.exit_code: int | None = None

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def expect(self, text: str, timeout: float = 20.0) -> None:
        """Waits until `text` was shown after what was expected before, control sequences aside."""
        deadline = time.monotonic() + timeout
        while (found := ESCAPES.sub("", self.seen).find(text, self._expected)) < 0:
            assert time.monotonic() < deadline, f"{text!r} was not shown in {self.seen!r}"
            assert self._read(0.2), f"it ended without {text!r}: {self.seen!r}"
        self._expected = found + len(text)

    def end(self) -> int:
        """Waits for the program's own end; its exit code."""
        deadline = time.monotonic() + 20
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it does not end: {self.seen!r}"
        _, status = os.waitpid(self.pid, 0)
        os.close(self._descriptor)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code

    def _read(self, wait: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], wait)
        if not ready:
            return True
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.seen += piece.decode(errors="replace")
        return bool(piece)

    def kill(self) -> None:
        if self.exit_code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
            os.close(self._descriptor)


@pytest.fixture
def terminals(isolated: Path) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.kill()


def test_the_repl_edits_completes_and_survives_an_interrupt(terminals: list[Terminal], isolated: Path) -> None:
    pytest.importorskip("prompt_toolkit", reason="editing and completion come from the extra 'repl'")
    terminal = Terminal("repl", "--history", str(isolated / "kept"))
    terminals.append(terminal)
    terminal.expect("lua>")
    terminal.type("x = 40\r")
    terminal.expect("lua> x = 40")
    terminal.type("x + 2\r")
    terminal.expect("42")
    terminal.type("print('on') while true do end\r")
    terminal.expect("\non")
    terminal.type("\x03")
    terminal.expect("interrupted")
    terminal.expect("lua>")
    terminal.type("Tool.exec\t")
    terminal.expect("Tool.execute")
    terminal.type("\x03")
    terminal.type("x + 1000\r")
    terminal.expect("1040")
    terminal.expect("lua>")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert "x + 1000" in (isolated / "kept").read_text()


TYPED = {
    "lua": ("function twice(n)", "return n * 2", "end", "print('o' .. 'n') while true do end"),
    "javascript": ("const twice = n => {", "return n * 2", "}", "print('o' + 'n'); while (true) {}"),
}


@pytest.mark.parametrize("language", TYPED)
def test_a_person_talks_to_both_languages(terminals: list[Terminal], isolated: Path, language: str) -> None:
    pytest.importorskip("prompt_toolkit", reason="editing and completion come from the extra 'repl'")
    first, middle, last, endless = TYPED[language]
    terminal = Terminal("repl", "--engine", language, "--history", str(isolated / "kept"))
    terminals.append(terminal)

    def enter(text: str, shown: str, prompt: str = f"{language}>") -> None:
        terminal.type(text + "\r")
        terminal.expect(shown)
        terminal.expect(prompt)

    terminal.expect(f"{language}>")
    enter(first, "", "...")
    enter(middle, "", "...")
    enter(last, last)
    enter("twice(21)", "42")
    enter("_ + 1", "43")
    time.sleep(0.5)  # the history is read while the prompt is shown
    terminal.type("\x1b[A\x1b[A")
    terminal.expect("twice(21)")
    enter("", "42")
    enter(".globals", "Workflow")
    enter(".help", ".globals")
    terminal.type(endless + "\r")
    terminal.expect("\non")
    terminal.type("\x03")
    terminal.expect("interrupted")
    enter("twice(50)", "100")
    terminal.type("Tool.exis\t")
    time.sleep(0.5)  # completing asks the script's process
    enter("", "unction")
    enter("error('boom')" if language == "lua" else "throw new Error('boom')", "boom")
    terminal.type(".exit\r")
    assert terminal.end() == 0


def test_the_repl_does_without_prompt_toolkit(
    terminals: list[Terminal], isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated / "without").mkdir()
    (isolated / "without" / "prompt_toolkit.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(isolated / "without"))
    terminal = Terminal("repl", "--engine", "js", "--history", str(isolated / "kept"))
    terminals.append(terminal)
    terminal.expect("javascript> ")
    terminal.type("[40,\r")
    terminal.expect("... ")
    terminal.type("2].length + 40\r")
    terminal.expect("42")
    terminal.expect("javascript> ")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert "[40," in (isolated / "kept").read_text()


def test_pulling_a_model_shows_a_bar(terminals: list[Terminal], isolated: Path) -> None:
    shared = isolated / "home" / "models"
    if shared.is_symlink():
        shared.unlink()
    (isolated / "tiny.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + bytes(40))
    terminal = Terminal("model", "pull", "./tiny.gguf")
    terminals.append(terminal)
    assert terminal.end() == 0
    assert "complete" in terminal.seen
    assert "64/64 bytes" in ESCAPES.sub("", terminal.seen)


def test_a_missing_model_is_offered_and_no_is_an_answer(terminals: list[Terminal], isolated: Path) -> None:
    shared = isolated / "home" / "models"
    if shared.is_symlink():
        shared.unlink()
    code = "Agent.builder():name('a'):model('local/smollm2'):build():execute({text = 'hi'})"
    terminal = Terminal("exec", code)
    terminals.append(terminal)
    terminal.expect("Fetch it now?")
    terminal.type("n\r")
    assert terminal.end() == 1
    assert "llmspell model pull smollm2" in terminal.seen


@pytest.mark.parametrize(("variable", "coloured"), [("LLMSPELL_NOTHING", True), ("NO_COLOR", False)])
def test_tables_are_coloured_unless_no_color_says_otherwise(
    terminals: list[Terminal], monkeypatch: pytest.MonkeyPatch, variable: str, coloured: bool
) -> None:
    monkeypatch.setenv(variable, "1")
    terminal = Terminal("plugin", "list", "--kind", "tools", "--output", "pretty")
    terminals.append(terminal)
    assert terminal.end() == 0
    assert "calculator" in terminal.seen
    assert ("\x1b[" in terminal.seen) is coloured


def test_ctrl_c_at_a_question_is_an_interrupt(terminals: list[Terminal]) -> None:
    terminal = Terminal("model", "remove", "smollm2")
    terminals.append(terminal)
    terminal.expect("Delete the model smollm2?")
    time.sleep(0.5)  # between showing a question and waiting for the answer, readline misses signals
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "Interrupted" in terminal.seen
