"""Consent on the command line: asked on a terminal, or decided later in another process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.testing.fake_server import FakeServer, Received, Reply
from llmspell_core.testing.terminal import Terminal

pytest.importorskip("pty", reason="pseudo terminals are POSIX")

SCRIPTS = {
    "work.lua": """
local expert = Agent.builder():name("expert"):model("openai/m"):system_prompt("expert"):ask_tool("calculator"):build()
local chief = Agent.builder():name("chief"):model("openai/m"):system_prompt("chief"):tool(expert):build()
print("answer: " .. chief:execute("how much is 6 * 7?").text)
""",
    "work.js": """
const expert = Agent.builder().name("expert").model("openai/m").systemPrompt("expert").askTool("calculator").build();
const chief = Agent.builder().name("chief").model("openai/m").systemPrompt("chief").tool(expert).build();
console.log("answer: " + (await chief.execute("how much is 6 * 7?")).text);
""",
    "callback.lua": """
local asked = {}
local expert = Agent.builder():name("expert"):model("openai/m"):system_prompt("expert"):ask_tool("calculator")
  :on_approval(function(r) table.insert(asked, r.agent .. " " .. r.parameters.expression) return true end):build()
local chief = Agent.builder():name("chief"):model("openai/m"):system_prompt("chief"):tool(expert):build()
print("answer: " .. chief:execute("how much is 6 * 7?").text, asked[1])
""",
    "callback.js": """
const asked = [];
const expert = Agent.builder().name("expert").model("openai/m").systemPrompt("expert").askTool("calculator")
  .onApproval((r) => { asked.push(r.agent + " " + r.parameters.expression); return true; }).build();
const chief = Agent.builder().name("chief").model("openai/m").systemPrompt("chief").tool(expert).build();
console.log("answer: " + (await chief.execute("how much is 6 * 7?")).text, asked[0]);
""",
}
CALLS = {"chief": ("expert_tool", {"text": "6 * 7"}), "expert": ("calculator", {"expression": "6 * 7"})}


def answer(received: Received) -> Reply:
    """Each agent calls its tool once, then says what it got."""
    messages = received.json()["messages"]
    if messages[-1]["role"] == "tool":
        found = json.loads(messages[-1]["content"])
        said: dict[str, Any] = {
            "role": "assistant",
            "content": f"{found['error']}" if found.get("error") else f"{_result(found)}",
        }
    else:
        name, arguments = CALLS[messages[0]["content"]]
        function = {"name": name, "arguments": json.dumps(arguments)}
        said = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        }
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return Reply(body={"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage})


def _result(found: Any) -> Any:
    while isinstance(found, dict) and "result" in found:
        found = found["result"]
    return found


@pytest.fixture
async def folder(isolated: Path, trusted_settings: Callable[[str], Path]) -> AsyncIterator[Path]:
    async with FakeServer(answer) as server:
        trusted_settings(f'[providers.openai]\nbase_url = "{server.url}/v1"\napi_key = "sk-x"\nmax_retries = 0\n')
        for name, text in SCRIPTS.items():
            (isolated / name).write_text(text)
        yield isolated


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_
    for each in opened:
        each.kill()


async def llmspell(*arguments: str) -> tuple[int, str, str]:
    """The program without a terminal."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llmspell_core", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


QUESTION = 'Agent expert wants to call calculator with {"expression": "6 * 7"}, by default {"operation": "evaluate"}. Allow it? [y/N]:'


@pytest.mark.parametrize(
    ("script", "word", "expected", "options"),
    [
        ("work.lua", "y", "answer: 42", ("--trace",)),
        ("work.js", "y", "answer: 42", ()),
        ("work.lua", "n", "answer: the user did not allow", ()),
    ],
)
async def test_a_person_at_the_terminal_is_asked(
    folder: Path, terminal: Any, script: str, word: str, expected: str, options: tuple[str, ...]
) -> None:
    def sit() -> int:
        seat = terminal("run", script, *options)
        seat.expect(QUESTION)
        seat.type(word + "\n")
        seat.expect(expected)
        if options:
            seat.expect("agent chief")
        return int(seat.end())

    assert await asyncio.to_thread(sit) == 0


async def test_only_a_word_that_is_one_decides_and_the_end_of_the_input_leaves_it_open(
    folder: Path, terminal: Any
) -> None:
    def sit() -> Terminal:
        seat: Terminal = terminal("run", "work.lua")
        seat.expect(QUESTION)
        seat.type("perhaps\n")
        seat.expect("invalid input")
        seat.expect(QUESTION)
        seat.type("\x04")
        seat.end()
        return seat

    seat = await asyncio.to_thread(sit)
    assert (seat.exit_code, "the run is saved as run_" in seat.text) == (1, True)


async def test_an_interrupt_at_the_question_ends_the_run(folder: Path, terminal: Any) -> None:
    def sit() -> Terminal:
        seat: Terminal = terminal("run", "work.lua")
        seat.expect(QUESTION)
        seat.type("\x03")
        seat.end()
        return seat

    seat = await asyncio.to_thread(sit)
    assert seat.exit_code == 130
    assert "interrupted: agent chief, agent expert, tool expert_tool" in seat.seen
    assert "Traceback" not in seat.seen


@pytest.mark.parametrize("script", ["callback.lua", "callback.js"])
async def test_a_callback_of_the_script_decides_about_an_inner_agent(folder: Path, script: str) -> None:
    code, out, err = await llmspell("run", script)
    assert (code, " ".join(out.split())) == (0, "answer: 42 expert 6 * 7"), err


@pytest.mark.parametrize(
    ("script", "decision", "expected"),
    [("work.lua", "--approve", "42\n"), ("work.js", "--deny", "the user did not allow this call\n")],
)
async def test_a_run_without_a_terminal_is_decided_in_another_process(
    folder: Path, script: str, decision: str, expected: str
) -> None:
    code, _, err = await llmspell("run", script)
    assert code == 1
    assert "nobody answered; the run is saved as run_" in err
    _, out, _ = await llmspell("agent", "pending", "--output", "json")
    (waiting,) = json.loads(out)["waiting"]
    assert (waiting["agent"], waiting["tool"]) == ("expert", "calculator")
    code, out, err = await llmspell("agent", "resume", waiting["record"], decision)
    assert (code, out) == (0, expected), err
    code, _, err = await llmspell("agent", "resume", waiting["record"], decision)
    assert (code, "somebody has decided about run" in err) == (1, True)


async def test_a_run_is_resumed_at_a_terminal(folder: Path, terminal: Any) -> None:
    await llmspell("run", "work.lua")

    def sit() -> int:
        listed = terminal("agent", "pending")
        listed.expect("run_")
        record = listed.seen[listed.seen.index("run_") :].split()[0]
        listed.expect("expert")
        listed.expect("calculator")
        listed.end()
        seat = terminal("agent", "resume", record, "--approve")
        seat.expect("42")
        return int(seat.end())

    assert await asyncio.to_thread(sit) == 0
