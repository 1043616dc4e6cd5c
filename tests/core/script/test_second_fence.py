"""The first fence is broken on purpose: the script is Python inside the worker. The second one has to hold."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import llmspell_core
from llmspell_core.runtime import Runtime
from llmspell_core.script.engine import ScriptEngine
from llmspell_core.script.process import WorkerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux features")

FOLDERS = [str(Path(llmspell_core.__file__).parents[1]), str(Path(__file__).parent / "leaky")]


class Leaky(ScriptEngine):
    name = "leaky"
    language = "python"
    vm = "leaky_vm:LeakyVM"
    library = "json"

    def import_paths(self) -> list[str]:
        return FOLDERS


class Talk:
    """The host's side of one worker, as far as these tests need it."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.frames: asyncio.Queue[list[Any]] = asyncio.Queue()
        worker.on_frame = self.frames.put_nowait

    async def next(self, kind: str) -> list[Any]:
        async with asyncio.timeout(20):
            while (frame := await self.frames.get())[0] != kind:
                assert frame[0] != "fatal", frame
            return frame

    async def attempt(self, *lines: str) -> list[str]:
        request = {"source": "\n".join(lines), "name": "attack", "args": {"victim": os.getpid()}, "mode": "script"}
        self.worker.send(json.dumps(["run", 1, request]).encode())
        outcome: list[str] = (await self.next("done"))[2]["value"]
        return outcome


@pytest.fixture
async def broken() -> AsyncIterator[Talk]:
    worker = WorkerProcess.spawn(Leaky())
    await worker.connect(1_000_000)
    talk = Talk(worker)
    worker.send(json.dumps(["boot", {"profile": "medium", "memory": 64 << 20, "manifest": {}}]).encode())
    ready = await talk.next("ready")
    assert ready[1]["fence"]["missing"] == []
    yield talk
    worker.kill()
    await worker.ended()


REFUSED = {"PermissionError", "OSError"}


async def test_no_file_can_be_read_written_or_found(broken: Talk) -> None:
    outcome = await broken.attempt(
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        f"open('/proc/{os.getpid()}/cmdline').read()",
        "open('/tmp/llmspell-broken-out', 'w')",
        "os.open('/', os.O_RDONLY)",
        "os.listdir('.')",
        "os.stat('/etc/passwd')",
        "os.unlink('/etc/passwd')",
        "os.fork",
    )
    assert set(outcome[:-1]) <= REFUSED
    assert outcome[-1].startswith("did it")  # the attempts do reach Python


async def test_no_socket_can_be_opened(broken: Talk) -> None:
    outcome = await broken.attempt(
        *(f"socket.socket(socket.{family}, socket.{type_})" for family, type_ in FAMILIES),
        "socket.socketpair()",
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.getaddrinfo('localhost', 80)",
    )
    assert set(outcome[: len(FAMILIES) + 1]) == {"PermissionError"}
    assert not [line for line in outcome if line.startswith("did it")]


FAMILIES = [
    ("AF_INET", "SOCK_STREAM"),
    ("AF_INET", "SOCK_DGRAM"),
    ("AF_INET6", "SOCK_DGRAM"),
    ("AF_UNIX", "SOCK_STREAM"),
    ("AF_NETLINK", "SOCK_RAW"),
]


async def test_no_process_can_be_started(broken: Talk) -> None:
    outcome = await broken.attempt(
        "os.fork()",
        "os.forkpty()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "ctypes.CDLL('libutil.so.1')",
        "__import__('sqlite3')",
    )
    assert set(outcome) <= {*REFUSED, "ModuleNotFoundError"}


async def test_nobody_can_be_signalled_and_nothing_undone(broken: Talk) -> None:
    outcome = await broken.attempt(
        "os.kill(args['victim'], 0)",
        "os.kill(args['victim'], signal.SIGTERM)",
        "os.killpg(0, signal.SIGTERM)",
        "os.pidfd_open(args['victim'])",
        "syscall(157, 4, 1)",  # prctl(PR_SET_DUMPABLE) on x86_64, setsid on aarch64
        "ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)",
    )
    assert not [line for line in outcome if line.startswith("did it")]


async def test_the_worker_lives_on_and_has_no_more_memory_than_it_was_given(broken: Talk) -> None:
    outcome = await broken.attempt("len(bytearray(900 << 20))", "len(bytearray(16 << 20))", "host.write('stdout', 'x')")
    assert outcome[0] == "MemoryError"
    assert outcome[1] == f"did it: {16 << 20}"
    assert outcome[2] == "did it: None"


async def test_nothing_of_the_environment_and_no_other_descriptor_is_there(broken: Talk) -> None:
    outcome = await broken.attempt(
        "[name for name in os.environ if name not in ('LC_CTYPE', 'MALLOC_ARENA_MAX')]",
        *(f"os.write({n}, b'')" for n in range(3, 64)),
    )
    assert outcome[0] == "did it: []"
    assert len([line for line in outcome[1:] if line.startswith("did it")]) == 1


async def test_the_runtime_runs_every_script_behind_it() -> None:
    source = "\n".join(["open('/etc/passwd').read()", "socket.socket()", "os.fork()", "os.kill(1, 0)", "len('alive')"])
    async with Runtime({"runtime": {"security": {"require_fence": True}}}) as runtime:
        runtime.registry.register("engines", "leaky", Leaky)
        result = await runtime.run_script(source, engine="leaky")
    assert result.value == [*["PermissionError"] * 4, "did it: 5"]
