"""Work in a process of its own: it answers, or it is ended and says why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from llmspell_core.errors import ResourceLimitError, TimeoutError, ToolError
from llmspell_core.isolated import is_installed, run_isolated


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`await run(source, given)` runs the source as a worker that may use the library `shouting`."""
    site = tmp_path / "site"
    (site / "shouting").mkdir(parents=True)
    (site / "shouting" / "__init__.py").write_text("def shout(text): return text.upper()\n")
    monkeypatch.syspath_prepend(site)

    async def call(
        source: str, given: bytes = b"", *, library: str = "shouting", seconds: float = 20, memory: int = 2**30
    ) -> bytes:
        worker = tmp_path / "worker.py"
        worker.write_text(source)
        return await run_isolated(worker, given, tool="shout", library=library, seconds=seconds, memory=memory)

    return call


async def test_worker_uses_its_library_and_answers(run):
    source = "import sys, shouting\nif __name__ == '__main__':\n    print(shouting.shout(sys.stdin.read()), end='')"
    assert await run(source, b"hi") == b"HI"


async def test_large_data_goes_both_ways(run):
    data = b"x" * 5_000_000
    assert await run("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", data) == data


async def test_worker_sees_no_environment_and_writes_no_files(run, tmp_path, monkeypatch):
    pytest.importorskip("resource", reason="the system has no limits for processes")
    monkeypatch.setenv("SECRET", "x")
    source = f"""
import json, os, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with open({str(tmp_path / "left")!r}, "w") as file:
        file.write("x" * 100)
    wrote = True
except OSError:
    wrote = False
print(json.dumps([dict(os.environ), wrote, "llmspell_core" in sys.modules]))
"""
    environment, wrote, imported = json.loads(await run(source))
    assert "SECRET" not in environment
    assert "PATH" not in environment
    assert (wrote, imported) == (False, False)


@pytest.mark.parametrize("source", ["while True: pass", "import time; time.sleep(60)"])
async def test_worker_that_does_not_end_is_killed(run, source):
    with pytest.raises(TimeoutError) as caught:
        await run(source, seconds=0.2)
    assert caught.value.duration_ms == 200
    assert "shout was not done" in caught.value.message
    assert not children()


async def test_worker_without_memory_says_so(run):
    pytest.importorskip("resource", reason="the system has no limits for processes")
    with pytest.raises(ResourceLimitError) as caught:
        await run("print(len(bytearray(2**29)))", memory=2**28)
    assert caught.value.limit == 2**28


@pytest.mark.parametrize(
    ("source", "words"),
    [("raise ValueError('odd')", "ValueError: odd"), ("import os; os.abort()", "exit code -6"), ("1 +", "SyntaxError")],
)
async def test_worker_that_breaks_is_a_tool_error(run, source, words):
    with pytest.raises(ToolError) as caught:
        await run(source)
    assert words in caught.value.message
    assert caught.value.hint


async def test_missing_library_says_what_to_install(run):
    assert not is_installed("no_such_library")
    assert is_installed("shouting")
    with pytest.raises(ToolError) as caught:
        await run("", library="no_such_library")
    assert caught.value.hint == "pip install no-such-library"


async def test_cancelling_ends_the_worker(run):
    task = asyncio.ensure_future(run("import time; time.sleep(60)"))
    while not children():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children()


def children() -> set[str]:
    if not Path("/proc/self/task").exists():
        pytest.skip("the system does not list child processes under /proc")
    return {pid for listing in Path("/proc/self/task").glob("*/children") for pid in listing.read_text().split()}
