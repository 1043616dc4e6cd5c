"""Whatever a script makes the host do: `--timeout` is kept, Ctrl-C works, and the message is the ordinary one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ATTACKS = {
    "a loop of 10^8 tool calls": (
        "lua",
        "high",
        """Workflow.loop({name = "l", iterator = {range = {start = 1, ["end"] = 100000000}},
        body = {{name = "s", tool = "calculator", input = {expression = "1+1"}}}}):execute({})""",
    ),
    "a loop of conditions": (
        "lua",
        "medium",
        """Workflow.loop({name = "l", iterator = {range = {start = 1, ["end"] = 100000000}},
        body = {{name = "s", tool = "calculator", condition = "never", input = {expression = "1"}}}}):execute({})""",
    ),
    "20,000 branches": (
        "javascript",
        "low",
        """const branches = [...Array(20000).keys()].map((i) => ({name: "s" + i, type: "tool", tool: "calculator",
        input: {expression: "1+1"}}));
        await Workflow.parallel({name: "p", branches, max_concurrency: 20000}).execute({})""",
    ),
    "a million items": (
        "lua",
        "low",
        """local items = {} for i = 1, 300000 do items[i] = i end
        Workflow.map_reduce({name = "m", items = items, max_concurrency = 100000, map_step = {tool = "calculator",
        input = {expression = "{{current_item}}"}}}):execute({})""",
    ),
    "a query without an end": (
        "javascript",
        "medium",
        """const items = [...Array(20000).keys()];
        while (true) { try { JSON.query(items, "map(.)|".repeat(900) + "length") } catch (error) {} }""",
    ),
    "a query that sorts": (
        "lua",
        "high",
        """local items = {} for i = 1, 200000 do items[i] = {n = i} end
        while true do pcall(JSON.query, items, ("sort|unique|"):rep(100) .. "length") end""",
    ),
    "filters for every message": (
        "javascript",
        "high",
        """for (let i = 0; i < 60; i++) Debug.addAdvancedFilter("(x|y|.){1,20}z" + i, "regex", true);
        for (let i = 0; ; i++) Debug.warn("message", "ab".repeat(90) + i)""",
    ),
    "subscriptions for every event": (
        "lua",
        "medium",
        """for i = 1, 1000 do Event.subscribe(("**a*"):rep(60) .. i) end
        for i = 1, 1e9 do Event.publish(("a"):rep(240) .. i, 1) end""",
    ),
    "metrics": (
        "javascript",
        "low",
        """for (let i = 0; i < 10000; i++) Metrics.increment("m" + i);
        while (true) Metrics.snapshot()""",
    ),
}
MOST = 12.0
"""Seconds from the start of the program to its end for a script that has one; most of them on a busy machine."""


@pytest.mark.parametrize("name", ATTACKS)
def test_no_script_keeps_the_host_beyond_its_deadline(name: str, tmp_path: Path) -> None:
    language, profile, source = ATTACKS[name]
    file = tmp_path / f"attack.{'lua' if language == 'lua' else 'js'}"
    file.write_text(source, "utf-8")
    started = time.monotonic()
    ran = _llmspell("--security-profile", profile, "run", str(file), "--timeout", "1.5", folder=tmp_path)
    assert time.monotonic() - started < MOST
    assert "did not end within 1.5 s" in ran.stderr, ran.stderr[-2000:]
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 1


BUSY = """
import sys, time
from llmspell_core.cli.failures import _run
from llmspell_core.cli.shell import Shell
import llmspell_core.cli.app as app
import click

async def busy():
    print("begun", flush=True)
    while True:
        try:
            WORK
        except Exception:
            pass

@click.command()
@click.pass_obj
def command(shell):
    shell.ending.is_program = True
    shell.run(busy())

app.app = command
sys.exit(_run([], Shell()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize(
    ("work", "number", "code"),
    [
        ("sum(range(1000))", signal.SIGINT, 130),
        ("sum(range(1000))", signal.SIGTERM, 143),
        ("time.sleep(100)", signal.SIGINT, 130),
    ],
)
def test_an_interrupt_ends_a_program_whose_loop_is_busy(
    work: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", BUSY.replace("WORK", work)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "begun\n"
            started = time.monotonic()
            program.send_signal(number)
            _, errors = program.communicate(timeout=20)
        finally:
            program.kill()
    assert time.monotonic() - started < MOST
    assert (program.returncode, errors.strip()) == (code, "Interrupted")


def test_what_holds_up_the_end_does_not_hold_up_the_program(tmp_path: Path) -> None:
    """Nobody reads what the script prints: the host waits in a system call, and its stream cannot be flushed."""
    ours, theirs = os.pipe()
    command = [
        sys.executable,
        "-m",
        "llmspell_core",
        "exec",
        "--timeout",
        "1.5",
        "while true do print(('x'):rep(1000)) end",
    ]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as program:
        os.close(theirs)
        try:
            _, errors = program.communicate(timeout=20)
        finally:
            program.kill()
            os.close(ours)
    assert time.monotonic() - started < MOST
    assert "did not end within 1.5 s" in errors
    assert program.returncode == 1


def _llmspell(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmspell_core", *words]
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=60, check=False)
