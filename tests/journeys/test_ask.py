"""`llmspell ask`: one question, from the command line or a pipe."""

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

CALL = {"id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"expression": "6 * 7"}'}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class World:
    """A folder whose model repeats what it is asked, calls a tool that it is offered, and says JSON where a schema asks."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def answer(self, received: Received) -> Reply:
        request = received.json()
        self.asked.append(request)
        last = request["messages"][-1]
        said: dict[str, Any] = {"role": "assistant", "content": f"you said {last['content']}"}
        if request.get("response_format"):
            said["content"] = '{"n": 7}'
        if request.get("tools") and last["role"] != "tool":
            said = {"role": "assistant", "content": "let me see", "tool_calls": [CALL]}
        elif last["role"] == "tool":
            said["content"] = "it is " + str(json.loads(last["content"])["result"]["value"])
        reason = "tool_calls" if "tool_calls" in said else "stop"
        return _streamed(said, reason) if request.get("stream") else _whole(said, reason)


def _whole(said: dict[str, Any], reason: str) -> Reply:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"index": 0, "message": said, "finish_reason": reason}
    return Reply(body={"id": "1", "object": "x", "created": 1, "model": "m", "choices": [choice], "usage": usage})


def _streamed(said: dict[str, Any], reason: str) -> Reply:
    """Slow to begin where it is asked to be slow; a piece for each word."""
    deltas: list[dict[str, Any]] = [{"content": f"{word} "} for word in said["content"].split(" ")]
    if "tool_calls" in said:
        deltas.append({"tool_calls": [{"index": 0, **CALL}]})
    pieces: list[bytes | float] = [1.3] if "slow" in said["content"] else []
    for delta, end in [*((each, None) for each in deltas), ({}, reason)]:
        choice = {"index": 0, "delta": delta, "finish_reason": end}
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        pieces.append(f"data: {json.dumps(event)}\n\n".encode())
    return Reply(pieces=[*pieces, b"data: [DONE]\n\n"], headers={"Content-Type": "text/event-stream"})


@pytest.fixture
async def world(isolated: Path) -> AsyncIterator[World]:
    made = World()
    async with FakeServer(made.answer) as server:
        (isolated / "home" / "config.toml").write_text(
            f'[providers]\ndefault_provider = "openai"\n[providers.openai]\nbase_url = "{server.url}/v1"\n'
            'api_key = "sk-x"\ndefault_model = "m"\nmax_retries = 0\n'
        )
        yield made


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    pytest.importorskip("pty", reason="pseudo terminals are POSIX")
    opened: list[Terminal] = []

    def open_(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_
    for each in opened:
        each.kill()


async def llmspell(*arguments: str, piped: bytes | None = None) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "llmspell_core", *arguments),
        stdin=asyncio.subprocess.DEVNULL if piped is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(piped), 60)
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_a_question_is_answered_whole_and_plain_in_a_pipe(world: World) -> None:
    assert await llmspell("ask", "why", "is it blue") == (0, "you said why is it blue\n", "")
    assert not world.asked[0].get("stream")


async def test_what_comes_through_the_pipe_follows_the_prompt(world: World) -> None:
    assert await llmspell("ask", "sum up", piped=b"\xef\xbb\xbfa b") == (0, "you said sum up\n\na b\n", "")
    assert await llmspell("ask", "-", piped=b"only this") == (0, "you said only this\n", "")
    code, out, err = await llmspell("ask", "sum up", piped=b"")
    assert (code, out) == (0, "you said sum up\n")
    assert "nothing came through the pipe" in err


async def test_tools_model_system_prompt_and_json(world: World) -> None:
    arguments = ("-t", "calculator", "-m", "openai/other", "-s", "be short", "--output", "json")
    code, out, err = await llmspell("ask", "6 * 7", *arguments)
    data = json.loads(out)
    assert (code, err, data["status"], data["text"]) == (0, "", "success", "it is 42")
    assert [(call["tool_name"], call["result"]["success"]) for call in data["tool_calls"]] == [("calculator", True)]
    assert data["metadata"]["token_count"] == 10
    assert world.asked[0]["model"] == "other"
    assert [m["content"] for m in world.asked[0]["messages"]] == ["be short", "6 * 7"]


async def test_an_answer_can_follow_a_schema_from_a_file_or_as_it_is(world: World, isolated: Path) -> None:
    (isolated / "schema.json").write_text(json.dumps(SCHEMA))
    assert await llmspell("ask", "n", "--schema", "schema.json") == (0, '{\n  "n": 7\n}\n', "")
    code, out, _ = await llmspell("ask", "n", "--schema", json.dumps(SCHEMA), "--output", "json")
    assert (code, json.loads(out)["data"]) == (0, {"n": 7})


MISTAKES = [
    (("ask",), None, 2, "there is nothing to ask"),
    (("ask", "x", "--schema", "nowhere.json"), None, 2, "--schema nowhere.json cannot be read: No such file"),
    (("ask", "x", "--schema", "{n"), None, 2, "--schema is not JSON"),
    (("ask", "x", "-t", "calculatr"), None, 1, "Tool 'calculatr' not found\nHint: Did you mean calculator"),
    (("ask", "x", "-m", "anthropic/claude"), None, 1, "provider 'anthropic' has no API key\nHint: Set the environment"),
    (("ask", "x", "--continue"), None, 2, "No such option '--continue'"),
    (("ask", "x"), b"\x89PNG\xff", 1, "standard input is not UTF-8 text: byte 0 is 0x89"),
    (("ask", "x"), b"a" * 20_000_001, 1, "standard input has more than 20,000,000 bytes, which no model takes"),
    (("ask", "x", "-m", "anthropic/claude"), b"a " * 500_000, 1, "has about 250004 tokens; its model takes 200000"),
]


@pytest.mark.parametrize(("arguments", "piped", "exit_code", "message"), MISTAKES)
async def test_what_cannot_be_asked_is_one_clear_error(
    world: World,
    arguments: tuple[str, ...],
    piped: bytes | None,
    exit_code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "tokens" in message:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k-1")
    code, out, err = await llmspell(*arguments, piped=piped)
    assert (code, out) == (exit_code, ""), err
    assert err.count("Error: ") == 1
    assert message in err
    assert world.asked == []


async def test_without_a_model_the_error_says_how_to_name_one(world: World, isolated: Path) -> None:
    (isolated / "home" / "config.toml").write_text('[providers.openai]\napi_key = "sk-x"\n')
    code, _, err = await llmspell("ask", "x")
    assert (code, "Error: Model is required\nHint: Name one, e.g. -m openai/" in err) == (1, True), err


async def test_on_a_terminal_the_answer_comes_in_pieces_after_a_line_that_says_what_is_awaited(
    world: World, terminal: Callable[..., Terminal]
) -> None:
    person = terminal("ask", "something slow")
    await asyncio.to_thread(person.expect, "waiting for openai/m ... 1 s")
    await asyncio.to_thread(person.expect, "you said something slow")
    assert await asyncio.to_thread(person.end) == 0
    assert world.asked[0]["stream"]
    assert person.seen.endswith("s\r\x1b[2Kyou said something slow \r\n"), (
        "the line is gone, and the answer ends its own"
    )


async def test_the_person_at_the_terminal_is_asked_for_consent(
    world: World, isolated: Path, terminal: Callable[..., Terminal]
) -> None:
    with (isolated / "home" / "config.toml").open("a") as file:
        file.write('[tools.approval]\nask = ["calculator"]\n')
    person = terminal("ask", "6 * 7", "-t", "calculator")
    await asyncio.to_thread(person.expect, "wants to call calculator")
    person.type("y\n")
    await asyncio.to_thread(person.expect, "it is 42")
    assert await asyncio.to_thread(person.end) == 0
    code, out, err = await llmspell("ask", "6 * 7", "-t", "calculator")
    assert (code, out, "Decide with: llmspell agent resume" in err) == (1, "", True), err


async def test_a_script_that_waits_for_a_model_says_so_on_a_terminal_and_nowhere_else(
    world: World, isolated: Path, terminal: Callable[..., Terminal]
) -> None:
    (isolated / "s.lua").write_text(
        'for chunk in Agent.builder():model("openai/m"):build():stream("slow") do io.write(chunk.text) end print()'
    )
    person = terminal("run", "s.lua")
    await asyncio.to_thread(person.expect, "waiting for openai/m ... 1 s")
    assert await asyncio.to_thread(person.end) == 0
    assert person.seen.endswith("s\r\x1b[2Kyou said slow \r\n")
    assert await llmspell("run", "s.lua") == (0, "you said slow \n", "")
