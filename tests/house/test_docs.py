"""What the documentation says is what happens: its scripts run, its commands exist, its generated pages are current."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"(?:<!--\s*(?P<mark>[^>]*?)\s*-->\s*\n)?```(?P<language>\w+)\n(?P<code>.*?)\n```", re.DOTALL)
MODEL_WORDS = ("local/smollm2", "Agent.builder", "agent_builder")


class Block(NamedTuple):
    """One fenced block. A comment line above it may say `not run: why` or `fails`."""

    page: str
    number: int
    language: str
    code: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page}#{self.number}"


def blocks(*languages: str) -> Iterator[Any]:
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), 1):
            block = Block(name, number, match["language"], match["code"], match["mark"] or "")
            if block.language in languages and not block.mark.startswith("not run"):
                model = pytest.mark.model if any(word in block.code for word in MODEL_WORDS) else ()
                yield pytest.param(block, id=str(block), marks=model)


@pytest.mark.parametrize("block", list(blocks("lua", "js")))
def test_every_script_of_the_docs_runs(block: Block, run_script: Callable[..., Any], smollm2: Path) -> None:
    (Path.cwd() / "notes.txt").write_text("a note", encoding="utf-8")
    run_script(block.code, "lua" if block.language == "lua" else "javascript", timeout=60)


@pytest.mark.parametrize("block", list(blocks("python")))
def test_every_python_example_of_the_docs_runs(block: Block, isolated: Path, smollm2: Path) -> None:
    file = isolated / "example.py"
    file.write_text(block.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, timeout=100, check=False, cwd=isolated
    )
    assert done.returncode == 0, done.stderr


def commands() -> Iterator[Any]:
    for param in blocks("console"):
        block: Block = param.values[0]
        for line in block.code.splitlines():
            if line.startswith("llmspell "):
                yield pytest.param(line, id=f"{block}:{line[:50]}")


@pytest.mark.parametrize("line", list(commands()))
def test_every_command_of_the_docs_parses(line: str) -> None:
    from llmspell_core.cli.app import app

    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index("|")] if "|" in words else words
    _parse(app, click.Context(app, info_name="llmspell"), words)


def _parse(command: click.Command, context: click.Context, words: list[str]) -> None:
    """Walk down to the subcommand and parse its options, without running it."""
    while isinstance(command, click.Group) and words:
        while words and words[0].startswith("-"):
            takes = any(words[0] in p.opts and not getattr(p, "is_flag", False) for p in command.params)
            words = words[2 if takes else 1 :]
        if not words:
            return
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context)
    command.parse_args(context, list(words))


def typed(block: Block) -> str:
    """What a reader types; `$ ` may stand before it. Installing is another test's: `.ci/run` runs the README's commands."""
    lines = [line.removeprefix("$ ") for line in block.code.splitlines()]
    return "\n".join(
        line for line in lines if "llmspell " in line and not line.startswith(("pip ", "eval ", "python3 -m venv"))
    )


FILES = {
    "llmspell.toml": "[hooks]\ntimeout_ms = 1000\n",
    "hello.lua": "print('hello')",
    "hello.js": "console.log('hello')",
    "story.lua": "print('once')",
    "report.lua": "print(Tool.execute('calculator', {expression = '1 + 1'}).result.value)",
    "report.txt": "It rained.",
    "notes.txt": "a note",
}


@pytest.mark.model
@pytest.mark.parametrize("block", [each for each in blocks("console") if typed(each.values[0])])
def test_every_command_of_the_docs_works(block: Block, isolated: Path, smollm2: Path) -> None:
    """The lines of a block one after another, in a folder with the files that pages speak of and an empty home."""
    for name, text in FILES.items():
        (isolated / name).write_text(text, encoding="utf-8")
    own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(isolated / "home")}
    first = "mkdir -p ~/.config/fish/completions\n"
    if block.page.endswith("tracing.md"):
        first += "llmspell run report.lua --trace > /dev/null 2>&1\n"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", first + typed(block)],
        capture_output=True, text=True, timeout=110, check=False, cwd=isolated, env={**os.environ, **own},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_generated_pages_are_current() -> None:
    script = ROOT / "scripts" / "reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http") and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert broken == []


def test_no_page_names_a_path_of_somebodys_machine() -> None:
    home = re.compile(r"/(home|root|Users|work)/\w+")
    assert [str(p) for p in PAGES if home.search(p.read_text(encoding="utf-8"))] == []


def test_the_index_names_every_page() -> None:
    docs = ROOT / "docs"
    index = docs / "index.md"
    named = {docs / target for target in re.findall(r"\]\(([^)#\s]+)", index.read_text(encoding="utf-8"))}
    assert [str(page) for page in docs.rglob("*.md") if page not in named | {index}] == []


SECTIONS = (
    "What it is for",
    "The smallest one",
    "The contract",
    "The hooks around it",
    "Testing it",
    "Publishing it",
    "When it fails",
)


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "plugin-authors").glob("[!i]*.md")), ids=lambda page: page.stem
)
def test_each_kind_of_plugin_is_explained_in_the_same_order(page: Path) -> None:
    assert tuple(re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)) == SECTIONS
