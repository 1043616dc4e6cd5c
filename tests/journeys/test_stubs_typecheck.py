"""TypeScript's own compiler reads the declarations, and the examples and the documentation against them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from llmspell_core.testing.fixtures import CliResult

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```js\n(.*?)\n```", re.DOTALL)
OPTIONS = [
    "--noEmit",
    "--strict",
    "--allowJs",
    "--checkJs",
    "--noImplicitAny",
    "false",
    "--useUnknownInCatchVariables",  # plain JavaScript has no way to say what it catches
    "false",
    "--target",
    "es2022",
    "--lib",
    "es2022",
]
MODULES = ["--module", "es2022", "--moduleDetection", "force", "--types", ""]


@pytest.fixture(scope="module")
def tsc() -> str:
    """LLMSPELL_TSC, or the one on the path."""
    found = os.environ.get("LLMSPELL_TSC") or shutil.which("tsc")
    if found is None:
        pytest.skip("needs TypeScript: npm install typescript, then LLMSPELL_TSC=node_modules/.bin/tsc")
    return found


@pytest.fixture
def declared(invoke_cli: Callable[..., CliResult], isolated: Path) -> Path:
    invoke_cli("stubs", "ts", "-o", "llmspell.d.ts").assert_success()
    return isolated / "llmspell.d.ts"


def check(tsc: str, *files: Path) -> str:
    done = subprocess.run(
        [tsc, *OPTIONS, *MODULES, *map(str, files)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def as_function(code: str) -> str:
    """A script may return at its top, as the body of a function does."""
    return f"async function script() {{\n{code}\n}}\nvoid script;\n"


def test_the_declarations_are_valid(tsc: str, declared: Path) -> None:
    assert check(tsc, declared) == ""


def test_examples_and_documentation_fit_the_declarations(tsc: str, declared: Path) -> None:
    codes = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "js").glob("*.js")}
    for page in (ROOT / "docs").rglob("*.md"):
        for number, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            codes[f"{page.stem}-{number}"] = code
    files = [declared.with_name(f"{name}.js") for name in codes]
    for file, code in zip(files, codes.values(), strict=True):
        file.write_text(as_function(code), encoding="utf-8")
    assert check(tsc, declared, *files) == ""


def test_a_mistake_is_found(tsc: str, declared: Path) -> None:
    wrong = declared.with_name("wrong.js")
    wrong.write_text(as_function("Event.publsh('a'); Agent.builder().temperature('hot');"), encoding="utf-8")
    said = check(tsc, declared, wrong)
    assert "publsh" in said
    assert "number" in said
