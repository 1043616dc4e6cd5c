"""A script global of a distribution nobody here knows gets all that our own have: both languages, stubs, pages, completion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DICE = ROOT / "examples" / "plugin" / "llmspell-dice" / "llmspell_dice"

LUA = """
local ok, wrong = pcall(Dice.throw, "six")
local missing = select(2, pcall(function() return Dice.thrwo(6) end))
local cup = Dice.cup(4)
return {#Dice.throw(6, 3), #Dice.roll(), cup.sides, cup:shake_it(2) >= 2, ok, wrong, type(missing)}
"""
JS = """
const failed = (f) => { try { f(); return null; } catch (e) { return e.message; } };
const cup = Dice.cup(4);
const wrong = failed(() => Dice.throw("six"));
return [Dice.throw(6, 3).length, Dice.roll().length, cup.sides, cup.shakeIt(2) >= 2, wrong === null, wrong,
  typeof failed(() => Dice.thrwo(6))];
"""
COMPLETE = """
import asyncio, json, sys
from llmspell_core.runtime import Runtime

async def main():
    async with Runtime() as runtime:
        found = {}
        for engine, words in {"lua": ["Dic", "Dice.r", "Dice.th"], "javascript": ["Dic", "Dice.r", "Dice.th"]}.items():
            session = await runtime.scripts.console(engine)
            found[engine] = [sorted(await session.complete(word)) for word in words]
        print(json.dumps(found))

asyncio.run(main())
"""


class Elsewhere:
    """Commands in a process that finds the distribution on its path, as an installed one is found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(DICE, folder / "site" / "llmspell_dice", ignore=shutil.ignore_patterns("__pycache__"))
        info = folder / "site" / "llmspell_dice-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmspell-dice\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(
            "[llmspell.globals]\nDice = llmspell_dice.script_global:GLOBAL\n\n"
            "[llmspell.tools]\ndice = llmspell_dice.tool:Dice\n"
        )

    def python(self, *arguments: str) -> str:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
        env |= {"PYTHONPATH": str(self.folder / "site"), "LLMSPELL_CACHE_DIR": str(self.folder / "cache")}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def llmspell(self, *arguments: str) -> str:
        return self.python("-c", "from llmspell_core.cli import main; main()", *arguments)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    return Elsewhere(tmp_path_factory.mktemp("elsewhere"))


@pytest.mark.parametrize(("language", "source"), [("lua", LUA), ("javascript", JS)])
def test_scripts_call_it_with_validation_aliases_and_objects(elsewhere: Elsewhere, language: str, source: str) -> None:
    told = json.loads(elsewhere.llmspell("--output", "json", "exec", "--engine", language, source))
    assert told["result"][:5] == [3, 1, 4, True, False]
    assert "'sides' must be an integer" in told["result"][5]
    assert told["result"][6] == "string"


def test_editors_know_it(elsewhere: Elsewhere) -> None:
    lua = elsewhere.llmspell("stubs", "lua")
    for line in (
        "function Dice.throw(sides, count) end",
        "function Dice.roll(sides, count) end",
        "---@class llmspell.Cup",
    ):
        assert line in lua
    assert "shake_it" in lua
    typed = elsewhere.llmspell("stubs", "ts")
    assert "roll(sides?: number | null, count?: number | null): any[]" in typed
    assert "shakeIt(count?: number | null): number" in typed
    assert "interface LLMSpellCup" in typed


def test_the_reference_page_has_it(elsewhere: Elsewhere) -> None:
    code = "import runpy, sys; sys.stdout.write(runpy.run_path(sys.argv[1])['api_page']())"
    page = elsewhere.python("-c", code, str(ROOT / "scripts" / "reference.py"))
    section = page.split("\n## Dice\n")[1].split("\n## ")[0]
    assert "`Dice.throw(sides?: integer, count?: integer)` (also `roll`)" in section
    assert "### Cup objects" in section


def test_the_prompt_completes_it(elsewhere: Elsewhere) -> None:
    found = json.loads(elsewhere.python("-c", COMPLETE))
    assert found == {engine: [["Dice"], ["Dice.roll"], ["Dice.throw"]] for engine in ("lua", "javascript")}
