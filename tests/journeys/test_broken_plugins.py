"""A plugin that is broken in a way of its own takes no run down that goes well without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOOL = """
import asyncio
from pydantic import BaseModel
from llmspell_core import Tool

class Parameters(BaseModel):
    how: str = ""

class Odd(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        raise ValueError("no text")

class Broken(Tool[Parameters]):
    name = "broken"
    description = "Raises."
    parameters = Parameters

    async def run(self, params, ctx):
        raise {"exit": SystemExit(4), "cancel": asyncio.CancelledError(), "odd": Odd("base"), "mute": Mute()}[params.how]

class Unmade(Broken):
    name = "unmade"

    def __init__(self):
        raise RuntimeError("not made")
"""
HOOKS = """
from llmspell_core import hookimpl

class Unmade:
    def __init__(self):
        raise RuntimeError("no hook made")

class Misfit:
    @hookimpl
    def llmspell_before_tool_execution(self, wrong):
        pass

class Leaving:
    @hookimpl
    def llmspell_before_tool_execution(self, context):
        raise SystemExit(5)
"""
LOCKED = """
from llmspell_core import hookimpl

class Locked:
    @hookimpl
    def llmspell_before_tool_execution(self, context):
        pow(3**1000000, 10**9, 10**900000)  # one operation in C, far longer than the test waits
"""
ENTRIES = """
[llmspell.tools]
broken = broken_tool:Broken
unmade = broken_tool:Unmade
[llmspell.hooks]
unmade = broken_hooks:Unmade
misfit = broken_hooks:Misfit
leaving = broken_hooks:Leaving
"""
LUA = """
for _, how in ipairs({"exit", "cancel", "odd", "mute"}) do
  print(select(2, pcall(Tool.execute, "broken", {how = how})))
end
print(select(2, pcall(Tool.execute, "unmade", {})))
"""
JS = """
for (const how of ["exit", "cancel", "odd", "mute"]) {
  try { await Tool.execute("broken", {how}); } catch (e) { console.log(e.message); }
}
try { await Tool.execute("unmade", {}); } catch (e) { console.log(e.message); }
"""
WANTED = ("SystemExit: 4", "CancelledError", "Odd: base", "Mute: (its text cannot be read)", "RuntimeError: not made")


def _run(folder: Path, engine: str, code: str, seconds: int = 30) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder / "site"), "HOME": str(folder)}
    command = [sys.executable, "-m", "llmspell_core", "exec", "--engine", engine, "--timeout", str(seconds), code]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_broken_hooks_and_tools_are_told_by_name_and_the_run_goes_on(tmp_path: Path) -> None:
    info = tmp_path / "site" / "llmspell_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmspell-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (info.parent / "broken_tool.py").write_text(TOOL)
    (info.parent / "broken_hooks.py").write_text(HOOKS)
    for engine, code in (("lua", LUA), ("javascript", JS)):
        done = _run(tmp_path, engine, code)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == len(WANTED)
        for line, wanted in zip(lines, WANTED, strict=True):
            assert wanted in line
            assert "broken" in line
        assert "Traceback" not in done.stderr
        for name in ("'unmade' of llmspell-broken", "'misfit'", "leaving:before_tool_execution"):
            assert name in done.stderr


def test_a_hook_that_keeps_the_interpreter_for_itself_cannot_keep_the_program_past_its_deadline(tmp_path: Path) -> None:
    info = tmp_path / "site" / "llmspell_locked-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmspell-locked\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[llmspell.hooks]\nlocked = locked_hook:Locked\n")
    (info.parent / "locked_hook.py").write_text(LOCKED)
    done = _run(tmp_path, "lua", 'Tool.execute("calculator", {operation = "evaluate", expression = "1"})', 1)
    assert done.returncode == 1
    assert "locked_hook.py" in done.stderr


CARELESS = """
import os, sys
from pydantic import BaseModel
from llmspell_core import Tool, ToolResult

class Parameters(BaseModel):
    how: str

class NoText:
    def __str__(self):
        raise ValueError("no text")

def deep():
    made = []
    for _ in range(5000):
        made = [made]
    return made

def cyclic():
    made = {}
    made["me"] = made
    return made

MADE = {
    "deep": deep,
    "cyclic": cyclic,
    "nan": lambda: {"a": float("nan")},
    "infinite": lambda: float("inf"),
    "vast": lambda: 10**5000,
    "mute": NoText,
    "failure": lambda: ToolResult.failure("bad", a=float("nan")),
    "large": lambda: 10**400,
    "sys.stdout.close": lambda: sys.stdout.close(),
    "sys.stderr.close": lambda: sys.stderr.close(),
    "buffer.close": lambda: sys.stdout.buffer.close(),
    "detach": lambda: sys.stdout.detach(),
    "os.close": lambda: os.close(1),
}

class Careless(Tool[Parameters]):
    name = "careless"
    description = "Hands back what is no data, and closes what it did not open."
    parameters = Parameters

    async def run(self, params, ctx):
        return MADE[params.how]()
"""
NO_DATA = {
    "deep": "nested too deeply, or contains itself",
    "cyclic": "nested too deeply, or contains itself",
    "nan": "not JSON compliant",
    "infinite": "not JSON compliant",
    "vast": "4300 digits",
    "mute": "no text",
    "failure": "not JSON compliant",
}
LUA_NO_DATA = """
for how in ARGS.input:gmatch("%S+") do
  print(select(2, pcall(Tool.execute, "careless", {how = how})))
end
print(Tool.execute("careless", {how = "large"}).result == 1/0)
"""
JS_NO_DATA = """
for (const how of ARGS.input.split(" ")) {
  try { await Tool.execute("careless", {how}); console.log("no error"); } catch (e) { console.log(e.message); }
}
console.log((await Tool.execute("careless", {how: "large"})).result === Infinity);
"""


def _careless(folder: Path) -> dict[str, str]:
    info = folder / "site" / "llmspell_careless-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmspell-careless\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[llmspell.tools]\ncareless = careless_tool:Careless\n")
    (info.parent / "careless_tool.py").write_text(CARELESS)
    return os.environ | {"PYTHONPATH": str(folder / "site"), "HOME": str(folder)}


def test_a_result_that_is_no_data_is_an_error_that_names_the_tool(tmp_path: Path) -> None:
    environment = _careless(tmp_path)
    for engine, code in (("lua", LUA_NO_DATA), ("javascript", JS_NO_DATA)):
        command = [
            sys.executable,
            "-m",
            "llmspell_core",
            "exec",
            "--engine",
            engine,
            code,
            "--",
            "--input",
            " ".join(NO_DATA),
        ]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        *lines, large = done.stdout.splitlines()
        for line, wanted in zip(lines, NO_DATA.values(), strict=True):
            assert line.startswith("Tool 'careless' execution failed: careless: its result is no data: ")
            assert wanted in line
        assert large == "true"


def test_a_tool_that_closes_the_programs_streams_gets_no_traceback_printed(tmp_path: Path) -> None:
    """What only closes Python's stream is ignored; what takes it away is output that could not be written."""
    environment = _careless(tmp_path)
    for how, code in (
        ("sys.stdout.close", 0),
        ("sys.stderr.close", 0),
        ("buffer.close", 1),
        ("detach", 1),
        ("os.close", 1),
    ):
        command = ["exec", f"Tool.execute('careless', {{how = '{how}'}}) print('said')"]
        done = subprocess.run(
            [sys.executable, "-m", "llmspell_core", *command],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        lost = "Error: the output could not be written: Bad file descriptor\n"
        assert (done.returncode, done.stdout, done.stderr) == ((0, "said\n", "") if code == 0 else (1, "", lost)), how
