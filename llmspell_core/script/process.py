"""Worker processes: started early, spoken to in frames, never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llmspell_core.pace import SLICE
from llmspell_core.script.reference import References, new_mark
from llmspell_core.script.values import parse
from llmspell_core.script.wire import HEADER, MAX_FRAME, FrameError, FrameReader, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.engine import ScriptEngine

__all__ = ["WorkerPool", "WorkerProcess", "describe_status"]

LARGE = 256 * 1024
"""Bytes of a value that is not copied without need."""

_FRAMES_AT_ONCE = 64
"""After so many frames the event loop gets its turn, however many more a worker has sent."""

_BOOTSTRAP = "import sys; sys.path[:0] = [{core!r}]; from llmspell_core.script.worker import main; main({fd}, {fd})"

_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""Nothing but this: each further arena of the C library takes 64 MB of the address space, which is what the limit counts."""


class WorkerProcess(asyncio.Protocol):
    """One worker. `start` needs no event loop and no engine: a command line does it first and imports the rest meanwhile.

    Attributes:
        on_frame: called with each decoded frame.
        on_end: called once with the exit status (negative: ended by that signal) when the process is gone.
        gone: whether the connection has ended; what still arrives are last words.
        frame_bytes: size of the frame that `on_frame` is called with.
        largest: bytes of the largest frame, either way.
        mark: what tells functions and objects from data, see `llmspell_core.script.reference`.
        problem: what the worker did against the protocol, if that is why it was ended.
    """

    def __init__(self, engine: str | None, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self.engine = engine
        self.process = process
        self.problem: str | None = None
        self.gone = False
        self.frame_bytes = 0
        self.largest = MAX_FRAME
        self.mark = new_mark()
        self._references = References(self.mark)
        self.on_frame: Callable[[list[Any]], None] = _ignore
        self.on_end: Callable[[int], None] = _ignore
        self._sock: socket.socket | None = sock
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[int] | None = None
        self._backlog = False
        self._clogged = False
        self._waiting_to_write: list[asyncio.Future[None]] = []

    @classmethod
    def spawn(cls, engine: ScriptEngine) -> WorkerProcess:
        """Starts a worker of `engine`."""
        worker = cls.start()
        try:
            worker.become(engine)
        except BaseException:
            worker.kill()
            worker._end_of_unconnected()  # noqa: SLF001 - its own class
            raise
        return worker

    @classmethod
    def start(cls) -> WorkerProcess:
        """Starts a worker of any engine: no environment of ours, closed descriptors, only the folders it needs on its path."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        code = _BOOTSTRAP.format(core=str(Path(__file__).parent.parent.parent), fd=theirs.fileno())
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_ENVIRONMENT,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(None, process, ours)

    def become(self, engine: ScriptEngine) -> None:
        """Has it load the VM of `engine`, unless it did.

        Raises:
            MissingDependencyError: the VM library is not installed.
        """
        if self.engine is not None:
            return
        said = json.dumps({"paths": engine.import_paths(), "vm": engine.vm})
        self.engine = engine.name
        assert self._sock is not None
        with contextlib.suppress(OSError):  # it has ended already; whoever connects is told
            self._sock.sendall(said.encode() + b"\n")

    async def discard(self) -> None:
        """Ends one that nobody needs any more."""
        self.kill()
        await self.ended()

    async def connect(self, limit: int) -> None:
        """Attaches to the running loop; `limit`: bytes of the largest frame."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._reader, self.largest = FrameReader(limit), limit
        sock, self._sock = self._sock, None
        try:
            await self._loop.create_connection(lambda: self, sock=sock)
        except BaseException:  # also a cancel: whoever waits for the end would wait for a connection that never was
            if sock is not None:
                sock.close()
            self.kill()
            self._reap()
            raise

    def send(self, data: bytes, before: str = "", after: str = "") -> bool:
        """One frame of three parts, of which `data` may be large. After the end of the worker it goes nowhere.

        Returns:
            False when it is larger than `largest`; nothing is sent then.
        """
        if self._transport is None or self._transport.is_closing():
            return True
        if len(data) + len(before) + len(after) > self.largest:
            return False
        if len(data) < LARGE:
            self._transport.write(pack(b"%b%b%b" % (before.encode(), data, after.encode())))
        else:
            self._send_large(data, before.encode(), after.encode())
        return True

    def _send_large(self, data: bytes, before: bytes, after: bytes) -> None:
        """Not joined, and in pieces: the transport would copy what it cannot write at once, twice."""
        assert self._transport is not None
        size = len(before) + len(data) + len(after)
        self._transport.write(size.to_bytes(HEADER, "big") + before)
        view = memoryview(data)
        for start in range(0, len(data), LARGE):
            self._transport.write(view[start : start + LARGE])
        self._transport.write(after)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self, problem: str | None = None) -> None:
        """Ends the process at once."""
        self.problem = self.problem or problem
        self.process.kill()
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_asleep(self) -> bool:
        """Whether it waits instead of computing; False where the system does not say."""
        try:
            with open(f"/proc/{self.process.pid}/stat", "rb") as file:  # noqa: PTH123 - a pseudo file
                return file.read().rpartition(b")")[2].split()[:1] == [b"S"]
        except OSError:
            return False

    @property
    def is_clogged(self) -> bool:
        """Whether it does not take what was sent to it."""
        return self._clogged

    async def taken(self) -> None:
        """Waits until it has taken what was sent to it, or has ended."""
        while self._clogged:
            assert self._loop is not None
            waiter = self._loop.create_future()
            self._waiting_to_write.append(waiter)
            await waiter

    def _wake(self) -> None:
        waiting, self._waiting_to_write = self._waiting_to_write, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def ended(self) -> int:
        """Waits for the end; the exit status."""
        if self._ended is None:
            return self._end_of_unconnected()
        return await asyncio.shield(self._ended)

    def _end_of_unconnected(self) -> int:
        if self._sock is not None:
            self._sock.close()
        return self.process.wait()

    # -- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        payload = self._reader.whole(data)
        if payload is not None:  # the usual case: a worker that waits for its answer sends exactly one frame
            self._serve_payload(payload)
            return
        self._reader.feed(data)
        if not self._backlog:
            self._serve()

    def pause_writing(self) -> None:
        # A worker that asks but does not read its answers is not listened to any more.
        self._clogged = True
        self._update_reading()

    def resume_writing(self) -> None:
        self._clogged = False
        self._update_reading()
        self._wake()
        if self._backlog and self._loop is not None:
            self._loop.call_soon(self._serve)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._clogged = False
        self._wake()
        self._serve_rest()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self._reap()

    # -- frames -----------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        until = time.monotonic() + SLICE
        for _ in range(_FRAMES_AT_ONCE):
            if self._clogged:  # what it asked for is not taken; it gets no more before it does
                self._set_backlog(True)
                return
            if not self._serve_one():
                self._set_backlog(False)
                return
            if time.monotonic() > until:
                break
        self._set_backlog(True)
        assert self._loop is not None
        self._loop.call_soon(self._serve)

    def _serve_rest(self) -> None:
        while self.problem is None and self._serve_one():
            pass

    def _serve_one(self) -> bool:
        try:
            payload = self._reader.next()
        except FrameError as error:
            self.kill(f"it sent something that is not a message ({error})")
            return False
        if payload is None:
            return False
        self._serve_payload(payload)
        return True

    def _serve_payload(self, payload: bytes | bytearray) -> None:
        if self.problem is not None:
            return
        try:
            frame = parse(payload, self._references)
        except ValueError as error:
            self.kill(f"it sent something that is not a message ({error})")
            return
        if type(frame) is list and frame:
            self.frame_bytes = len(payload)
            self.on_frame(frame)
        else:
            self.kill("it sent a message of the wrong shape")

    def _set_backlog(self, backlog: bool) -> None:
        if backlog != self._backlog:
            self._backlog = backlog
            self._update_reading()

    def _update_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._backlog or self._clogged:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _reap(self) -> None:
        """The socket is closed: the process is dead or about to be; its status may take a moment."""
        assert self._loop is not None
        assert self._ended is not None
        status = self.process.poll()
        if status is None:
            self._loop.call_later(0.002, self._reap)
            return
        if not self._ended.done():
            self._ended.set_result(status)
            self.on_end(status)


class WorkerPool:
    """Workers of one engine that have loaded their VM and wait for a script; for servers."""

    def __init__(self, engine: ScriptEngine, size: int = 0) -> None:
        self._engine = engine
        self._size = size
        self._idle: list[WorkerProcess] = []
        self._fill()

    def take(self) -> WorkerProcess:
        """A worker for one session: a waiting one if there is any."""
        worker = self._pop_alive() or WorkerProcess.spawn(self._engine)
        if self._size:
            asyncio.get_running_loop().call_soon(self._fill)
        return worker

    async def close(self) -> None:
        self._size = 0
        idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
        for worker in idle:
            await worker.ended()

    def _pop_alive(self) -> WorkerProcess | None:
        while self._idle:
            worker = self._idle.pop(0)
            if worker.process.poll() is None:
                return worker
        return None

    def _fill(self) -> None:
        while len(self._idle) < self._size:
            self._idle.append(WorkerProcess.spawn(self._engine))


def _ignore(_: Any) -> None:
    pass


def describe_status(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
    return f"ended with status {status}"
