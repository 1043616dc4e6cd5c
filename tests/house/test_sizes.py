"""Rooms stay small: functions, files, and words that promise work nobody has done."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("llmspell_core", "plugins", "templates", "scripts", "benchmarks")
LONGEST_FUNCTION = 45
LONGEST_FILE = 500
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
BANNED_MODULES = ("utils", "util", "helpers", "helper", "common", "misc")


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if ".venv" not in path.parts]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring: explaining is not what makes a function long."""
    documented = bool(node.body) and isinstance(node.body[0], ast.Expr) and ast.get_docstring(node) is not None
    text = (node.body[0].end_lineno or 0) - node.body[0].lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - text


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{shown(path)}:{node.lineno} {node.name} has {length(node)} lines"
        for path in sources()
        for node in functions(path)
        if length(node) > LONGEST_FUNCTION
    ]
    assert not long, "split these:\n" + "\n".join(long)


def test_no_file_is_longer_than_five_hundred_lines() -> None:
    sizes = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    long = [f"{name} has {size} lines" for name, size in sizes.items() if size > LONGEST_FILE]
    assert not long, "split these by noun:\n" + "\n".join(long)


def test_nothing_is_left_to_do() -> None:
    files = [*sources(), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.*"), ROOT / "README.md"]
    found = [
        f"{shown(path)}:{number}"
        for path in files
        if path.is_file() and path.suffix in {".py", ".md", ".lua", ".js"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if any(word in line.split() or f"{word}:" in line for word in UNFINISHED)
    ]
    assert not found, "finish or remove what is announced here:\n" + "\n".join(found)


def test_no_module_is_a_drawer_for_everything() -> None:
    found = [shown(path) for path in sources() if path.stem in BANNED_MODULES]
    assert not found, "name these modules after what is in them:\n" + "\n".join(found)


@pytest.mark.parametrize("folder", ["llmspell_core", "plugins"])
def test_every_module_says_what_it_is(folder: str) -> None:
    silent = [
        shown(path)
        for path in sources()
        if path.is_relative_to(ROOT / folder)
        and "tests" not in path.parts
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert not silent, "these modules have no docstring:\n" + "\n".join(silent)
