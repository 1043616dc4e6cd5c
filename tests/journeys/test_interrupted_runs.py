"""Ctrl-C while agents of a parallel workflow stream and call tools."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.testing.fake_server import FakeServer, Received, Reply, events

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

SCRIPT = """
local function agent(name) return Agent.builder():name(name):model("openai/m"):tools({"calculator"}):build() end
local first, second, talker = agent("first"), agent("second"), agent("talker")
local work = Workflow.parallel({name = "work", branches = {
  {name = "one", steps = {{name = "ask", agent = first, input = {text = "go"}}}},
  {name = "two", steps = {{name = "ask", agent = second, input = {text = "go"}}}},
  {name = "three", steps = {{name = "talk", ["function"] = function()
    for chunk in talker:stream("go") do
      if chunk.type == "text" then print(chunk.text) io.stdout:flush() end
    end
  end}}},
}})
work:execute({})
"""
CALL = {"id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"expression": "1+1"}'}}

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def delta(**fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": fields, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def answer(received: Received) -> Reply:
    """First a tool call, then words without an end."""
    asked = received.json()
    second, streamed = asked["messages"][-1]["role"] == "tool", asked.get("stream", False)
    if second:
        pieces = events(delta(content="never-ending"), done=False) if streamed else None
        return Reply(pieces=pieces, hang=True, headers={"Content-Type": "text/event-stream"} if streamed else {})
    if streamed:
        end = delta()
        end["choices"][0]["finish_reason"] = "tool_calls"
        used = delta() | {"choices": [], "usage": USAGE}
        pieces = events(delta(tool_calls=[CALL | {"index": 0}]), end, used)
        return Reply(pieces=pieces, headers={"Content-Type": "text/event-stream"})
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return Reply(
        body={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    )


async def settled(server: FakeServer, count: int) -> None:
    """Until all three have called their tool and wait for the next answer."""
    async with asyncio.timeout(20):
        while sum(r.json()["messages"][-1]["role"] == "tool" for r in server.received) < count:
            await asyncio.sleep(0.02)


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for its new parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" not in status.read_text()


MOST = 2.0
"""Seconds that the end may take on a machine that has other things to do; alone it is a fraction of one."""


@pytest.mark.parametrize("options", [(), ("--trace",)])
async def test_ctrl_c_ends_a_streaming_tool_calling_workflow_and_reports_what_was_done(
    isolated: Path, trusted_settings: Callable[[str], Path], options: tuple[str, ...], record_property: Any
) -> None:
    (isolated / "work.lua").write_text(SCRIPT)
    async with FakeServer(answer) as server:
        trusted_settings(
            f'[providers.openai]\nbase_url = "{server.url}/v1"\napi_key = "sk-interrupted-1234"\nmax_retries = 0\n'
        )
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "llmspell_core", "run", "work.lua", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        await settled(server, 3)
        workers = children_of(child.pid)
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(child.communicate(), 20)
        took = time.monotonic() - begun
        record_property("seconds", took)
        print(f"ended {took:.2f} s after the signal")
        await server.all_closed()
    text = err.decode()
    assert child.returncode == 130, text
    assert took < MOST, f"took {took:.2f} s"
    assert workers
    assert not any(alive(pid) for pid in workers)
    assert text.rstrip().endswith("Interrupted")
    assert "done: tool calculator x3" in text
    assert "interrupted: workflow work, step ask x2, step talk, agent first, agent second, agent talker" in text
    assert "used: 9 + 6 tokens in 3 model calls; 3 more interrupted" in text
    assert "Traceback" not in text
    assert "sk-interrupted-1234" not in text
    if options:
        check_the_tree(text, isolated)


def check_the_tree(text: str, isolated: Path) -> None:
    assert text.count("✓ tool calculator") == 3
    assert text.count("■ agent") == 3
    record = next((isolated / "home" / "traces").glob("*.jsonl")).read_text().splitlines()
    ends = [line for line in map(json.loads, record) if line["event"] == "end"]
    assert {line["status"] for line in ends if line["kind"] == "script"} == {"cancelled"}


TOOL = """
import time
from pydantic import BaseModel
from llmspell_core.tool import Tool

class Nothing(BaseModel):
    pass

class Sleepy(Tool[Nothing]):
    name = "sleepy"
    description = "Sleeps in a thread, where nothing can stop it."
    parameters = Nothing

    def run(self, params, ctx):
        print("asleep", flush=True)
        time.sleep(20)
"""


def install_sleepy(folder: Path) -> dict[str, str]:
    """As an installer would leave it; the environment in which it is found."""
    info = folder / "llmspell_sleepy-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "llmspell_sleepy.py").write_text(TOOL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llmspell-sleepy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[llmspell.tools]\nsleepy = llmspell_sleepy:Sleepy\n")
    (info / "RECORD").write_text("")
    return {**os.environ, "PYTHONPATH": str(folder), "LLMSPELL_CACHE_DIR": str(folder / "cache")}


async def interrupted(
    *arguments: str, sign: str, environment: dict[str, str] | None = None
) -> tuple[asyncio.subprocess.Process, str, str, list[int]]:
    """Interrupts the program once it has printed `sign`; what it was and said, and its children. Checks how long it took."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llmspell_core", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
    assert child.stdout is not None
    async with asyncio.timeout(30):
        while sign not in (line := (await child.stdout.readline()).decode()):
            assert line, "it ended by itself"
    await asyncio.sleep(0.2)
    children = [pid for first in children_of(child.pid) for pid in (first, *children_of(first))]
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(child.communicate(), 20)
    took = time.monotonic() - begun
    assert took < MOST, f"took {took:.2f} s"
    return child, out.decode(), err.decode(), children


async def test_nobody_waits_for_a_tool_that_sleeps_in_a_thread(isolated: Path) -> None:
    environment = install_sleepy(isolated / "site")
    child, _, err, _ = await interrupted("exec", 'Tool.execute("sleepy", {})', sign="asleep", environment=environment)
    assert (child.returncode, "interrupted: tool sleepy" in err) == (130, True), err


async def test_a_program_that_a_script_started_ends_too(isolated: Path) -> None:
    (isolated / "low.toml").write_text(
        '[runtime.security]\nprofile = "low"\n[tools.system]\nallowed_commands = ["sh"]\n'
    )
    code = 'print("soon") os.execute("sleep 30; true")'
    child, _, _, children = await interrupted("-c", "low.toml", "exec", code, sign="soon")
    assert child.returncode == 130
    assert len(children) >= 3, "the script's process, the shell and sleep"
    assert not any(alive(pid) for pid in children)


async def test_who_wants_json_gets_the_account_as_json(isolated: Path) -> None:
    environment = install_sleepy(isolated / "site")
    script = 'Tool.execute("calculator", {expression = "1+1"}) Tool.execute("sleepy", {})'
    arguments = ("exec", script, "--output", "json")
    child, out, _, _ = await interrupted(*arguments, sign="asleep", environment=environment)
    account = json.loads(out)
    assert (child.returncode, account["status"]) == (130, "interrupted")
    assert account["done"] == [{"kind": "tool", "name": "calculator", "count": 1}]
    assert account["interrupted"] == [{"kind": "tool", "name": "sleepy", "count": 1}]


EARLY = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from llmspell_core.cli import main
sys.exit(main(["exec", "return 1"]))
"""


@pytest.mark.parametrize(
    "name", ["click", "llmspell_core.config", "llmspell_core.cli.threads", "llmspell_core.runtime"]
)
def test_an_interrupt_while_the_program_starts_is_one_word(isolated: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", EARLY.format(name=name)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "Interrupted")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_whoever_ends_the_program_ends_the_programs_that_it_started(isolated: Path, name: str) -> None:
    number = int(getattr(signal, name))
    (isolated / "low.toml").write_text(
        '[runtime.security]\nprofile = "low"\n[tools.system]\nallow_process_execution = true\nallowed_commands = ["sh"]\n'
    )
    (isolated / "a.lua").write_text('os.execute("echo $$ > pid.part; mv pid.part pid; sleep 60; echo end")')
    process = subprocess.Popen(
        [sys.executable, "-m", "llmspell_core", "-c", "low.toml", "run", "a.lua"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (isolated / "pid").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + number, "")
    assert err.endswith("Interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int((isolated / "pid").read_text()), 0)
