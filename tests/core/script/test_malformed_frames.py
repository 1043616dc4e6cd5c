"""Every kind of frame, broken in every way: one clean error of that script, at once, and nothing else in the host.

The worker is a puppet here: a process that only sleeps, and the test holds its end of the socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from llmspell_core.errors import LLMSpellError, ScriptError
from llmspell_core.script.host import ScriptSession
from llmspell_core.script.process import WorkerProcess
from llmspell_core.script.result import Limits

READY = ["ready", {"fence": {}}]
ERROR = {
    "kind": "Script",
    "type": "ScriptError",
    "message": "m",
    "line": 1,
    "traceback": "t",
    "cause": {"message": "c"},
}
FRAMES: dict[str, list[Any]] = {
    "ready": READY,
    "fatal": ["fatal", {"message": "no"}],
    "call": ["call", 1, "Test.echo", [1], 0],
    "slow call": ["call", 1, "Test.wait", [0.01], 0],
    "method": ["call", 1, "Box#put", [{"$handle": "Box", "id": 1}, 1], 0],
    "callback": ["call", 1, "Test.call", [{"$fn": 1}, 1], 0],
    "cancel": ["cancel", 1],
    "post": ["post", "Test.note", [1]],
    "out": ["out", "stdout", "text"],
    "ret": ["ret", 1, {"ok": True, "value": 1}],
    "failed ret": ["ret", 1, {"ok": False, "error": ERROR}],
    "done": ["done", 1, {"ok": True, "value": 7}],
    "failed done": ["done", 1, {"ok": False, "error": ERROR}],
}
DEEP: Any = []
for _ in range(800):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**40, 1.5, float("nan"), float("inf"), "", "\ud800", "x" * 100_000),
    *([], {}, [[]], {"$fn": -1}, {"$handle": "Box", "id": 10**30}, {"ok": None}, DEEP),
)


def broken(frame: Any) -> list[Any]:
    """`frame` with each of its parts replaced by everything odd, left out, or doubled."""
    if isinstance(frame, dict):
        made: list[Any] = [{k: v for k, v in frame.items() if k != name} for name in frame]
        for name in frame:
            made += [{**frame, name: odd} for odd in (*ODD, *broken(frame[name]))]
        return made
    if isinstance(frame, list):
        made = [frame[:at] + frame[at + 1 :] for at in range(len(frame))] + [[*frame, 1]]
        for at in range(len(frame)):
            made += [[*frame[:at], odd, *frame[at + 1 :]] for odd in (*ODD, *broken(frame[at]))]
        return made
    return []


class Puppet:
    """A session whose worker says what the test wants."""

    def __init__(self, session: ScriptSession, sock: socket.socket) -> None:
        self.session = session
        self.sock = sock

    async def outcome(self, *frames: Any) -> Any:
        """What a run comes to whose worker sends these frames, and then its end with the value 7."""
        run = asyncio.ensure_future(self.session.run("source"))
        await asyncio.sleep(0)
        mark = self.session._worker.mark
        data = b"".join(_packed(frame, mark) for frame in (*frames, ["done", 1, {"ok": True, "value": 7}]))
        with suppress(BrokenPipeError, ConnectionResetError):  # it may be ended before it could say everything
            await asyncio.get_running_loop().sock_sendall(self.sock, data)
        async with asyncio.timeout(10):
            try:
                return (await run).value
            except ScriptError as error:
                return error


def _packed(frame: Any, mark: str) -> bytes:
    text = json.dumps(frame).replace('"$fn"', f'"$fn{mark}"').replace('"$handle"', f'"$handle{mark}"')
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


@asynccontextmanager
async def puppet(worker: Any) -> AsyncIterator[Puppet]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    process = subprocess.Popen(["sleep", "60"])
    session = await ScriptSession.open(
        worker.engine(), worker.api, None, limits=Limits(timeout=5), worker=WorkerProcess("puppet", process, ours)
    )
    try:
        yield Puppet(session, theirs)
    finally:
        await session.close()
        theirs.close()


@pytest.mark.parametrize("name", FRAMES)
async def test_whatever_is_wrong_with_a_frame_ends_that_script_and_nothing_else(
    worker: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    accidents: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: accidents.append(context))
    caplog.set_level(logging.ERROR)
    for frame in broken(FRAMES[name]):
        async with puppet(worker) as made:
            outcome = await made.outcome(READY, frame)
            assert not isinstance(outcome, ScriptError) or outcome.phase in {"crash", "runtime"}, frame
            if isinstance(outcome, ScriptError):
                assert isinstance(outcome.__cause__, LLMSpellError | None)
                assert len(str(outcome)) < 30_000
    assert accidents == []
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize(
    "frames",
    [
        [["done", 1, {"ok": False}]],
        [["done", 1, {"ok": False, "error": None}]],
        [["call", 1, "Test.echo", [DEEP], 0]],
        [["post", "Test.note", [DEEP]]],
        [["ret", 1, {"ok": False}]],
        [["call", -5, "Test.echo", [1], 0]],
        [["done", 1, {"ok": True, "value": DEEP}]],
        [FRAMES["slow call"], FRAMES["slow call"]],
        [FRAMES["done"], FRAMES["done"]],
    ],
    ids=[
        "no error",
        "null error",
        "deep",
        "deep post",
        "answer to nobody",
        "negative",
        "deep value",
        "twice",
        "two ends",
    ],
)
async def test_what_no_engine_says_is_told_as_a_broken_protocol(worker: Any, frames: list[Any]) -> None:
    async with puppet(worker) as made:
        outcome = await made.outcome(READY, *frames)
    if frames[-1] is FRAMES["done"]:
        assert outcome == 7  # what comes after the end cannot undo it
    else:
        assert isinstance(outcome, ScriptError)
        assert outcome.phase == "crash"
        assert "broke the protocol" in outcome.message


async def test_a_frame_before_the_worker_is_ready_is_no_accident_either(worker: Any) -> None:
    for name in FRAMES:
        async with puppet(worker) as made:
            outcome = await made.outcome(FRAMES[name])
            assert outcome in {1, 7} or isinstance(outcome, ScriptError)


async def test_who_waits_for_a_callback_is_told_of_a_worker_that_answers_nonsense(worker: Any) -> None:
    async with puppet(worker) as made:
        run = asyncio.ensure_future(made.session.run("source"))
        waiting = asyncio.ensure_future(made.session.invoke(1, []))
        await asyncio.sleep(0)
        await asyncio.get_running_loop().sock_sendall(made.sock, _packed(["ret", 1, {"ok": False}], ""))
        async with asyncio.timeout(5):
            for each in (waiting, run):
                with pytest.raises(ScriptError, match="broke the protocol"):
                    await each
