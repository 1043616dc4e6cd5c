"""What is different when a person sits in front of a terminal."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmspell_core.testing.fixtures import CliResult
from llmspell_core.testing.terminal import Terminal

pytest.importorskip("pty", reason="pseudo terminals are POSIX")


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


BUILT = {
    "lua": ("b = Agent.builder():name('x')", "b", 'Agent.builder {name = "x"}'),
    "javascript": ("let b = Agent.builder().name('x')", "b", "Agent.builder { name: 'x' }"),
}
ASKED = {
    "Tool.execute?": ("Tool.execute(name: string, params?: object) -> object, waits", "The tool's parameters."),
    "?Agent": ("Build agents and talk to them.", "create(config: object)"),
    "b?": ("Collects how an agent is to be.", "temperature(temperature: number)"),
    "Agent.create?": ("Keys: name, description, type, model", "Also: new, createAsync"),
    "nosuch?": ("Nothing is declared as nosuch",),
}


@pytest.mark.parametrize("language", BUILT)
def test_a_builder_is_shown_and_a_question_is_answered(invoke_cli: Callable[..., CliResult], language: str) -> None:
    assigned, name, shown = BUILT[language]
    typed = "\n".join([assigned, name, *ASKED, ""])
    out = invoke_cli("repl", "--engine", language, input=typed).assert_success().stdout
    assert shown in out
    for words in ASKED.values():
        for word in words:
            assert word in out


TABS = {
    "lua": {
        "Agent.builder():tempe": "rature",
        "Agent.builder():name('q'):temp": "erature",
        "Agent.create{tempe": "rature",
        "Agent.create{name = 'a,{', resource_limits = {max_total": "_tokens",
        "Agent.builder():allow_tool('calc": "ulator",
        "Agent.create{tools = {'calc": "ulator",
        "Tool.execute('datetime-h": "andler",
        "Tool.execute('calculator', {vari": "ables",
        "Agent.create{provider = 'anthr": "opic",
        "Hook.register('BeforeToolEx": "ecution",
        "b:tempe": "rature",
    },
    "javascript": {
        "Agent.builder().tempe": "rature",
        "Agent.create({maxTotalT": "okens",
        'Agent.create({tools: ["calc': "ulator",
        "await Tool.execute('calculator', {vari": "ables",
        "b.tempe": "rature",
    },
}


@pytest.mark.parametrize("editor", ["prompt_toolkit", "readline"])
@pytest.mark.parametrize("language", TABS)
def test_tab_completes_members_options_tools_and_models(
    terminals: list[Terminal], isolated: Path, monkeypatch: pytest.MonkeyPatch, language: str, editor: str
) -> None:
    pytest.importorskip(editor)
    if editor == "readline":
        (isolated / "without").mkdir()
        (isolated / "without" / "prompt_toolkit.py").write_text("raise ImportError('not here')")
        monkeypatch.setenv("PYTHONPATH", str(isolated / "without"))
    terminal = Terminal("repl", "--engine", language, "--history", str(isolated / "kept"), columns=160)
    terminals.append(terminal)
    terminal.expect(f"{language}>")
    terminal.type(("b = " if language == "lua" else "var b = ") + "Agent.builder()\r")
    terminal.expect("builder()")
    terminal.expect(f"{language}>")
    for typed, rest in list(TABS[language].items())[:: 1 if editor == "prompt_toolkit" else 4]:
        terminal.type(typed)
        terminal.expect(typed)
        terminal.type("\t")
        terminal.expect(rest)
        if editor == "prompt_toolkit":
            terminal.type("\x03")  # draws the line once more, and then a fresh one
            terminal.expect(f"{language}>")
            terminal.expect(f"{language}>")
        else:
            terminal.type("\x15")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_pulling_a_model_shows_a_bar(terminals: list[Terminal], isolated: Path) -> None:
    shared = isolated / "home" / "models"
    if shared.is_symlink():
        shared.unlink()
    (isolated / "tiny.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + bytes(40))
    terminal = Terminal("model", "pull", "./tiny.gguf")
    terminals.append(terminal)
    assert terminal.end() == 0
    assert "complete" in terminal.seen
    assert "64/64 bytes" in terminal.text


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


@pytest.mark.parametrize(
    ("command", "heading"),
    [
        (("tool", "list"), ["name", "what it does", "level", "from"]),
        (("model", "available"), ["model", "backend", "size"]),
        (("template", "list"), ["name", "what it does", "category", "from"]),
        (("plugin", "list", "--kind", "engines"), ["kind", "name", "distribution"]),
        (("provider", "list"), ["name", "type", "enabled"]),
    ],
)
def test_a_list_has_a_heading_for_a_person_and_none_for_a_program(
    terminals: list[Terminal], invoke_cli: Callable[..., CliResult], command: tuple[str, ...], heading: list[str]
) -> None:
    piped = invoke_cli(*command).assert_success().stdout.splitlines()
    terminal = Terminal(*command)
    terminals.append(terminal)
    terminal.expect(piped[-1].split()[0])
    assert terminal.end() == 0
    shown = re.split(r"\s{2,}", terminal.text.splitlines()[0])
    assert shown[: len(heading)] == heading
    assert piped[0].split("\t")[: len(heading)] != heading


@pytest.mark.parametrize("columns", [160, 80, 40])
def test_a_table_fits_its_terminal_and_says_everything(
    terminals: list[Terminal], invoke_cli: Callable[..., CliResult], columns: int
) -> None:
    for command in (("tool", "list", "--detailed"), ("model", "available")):
        terminal = Terminal(*command, columns=columns)
        terminals.append(terminal)
        assert terminal.end() == 0
        assert max(map(len, terminal.text.splitlines())) <= columns
        shown = "".join(terminal.text.split())
        for word in invoke_cli(*command).assert_success().stdout.split():
            assert word in shown or columns == 40, word
    terminal = Terminal("tool", "info", "calculator", columns=columns)
    terminals.append(terminal)
    assert terminal.end() == 0
    assert ("parameter" in terminal.text) is (columns > 40)
    assert "what it is" in terminal.text
