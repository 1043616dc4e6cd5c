"""The worker's end of the socket: frames in and out, printed text in batches, and the end when the host is gone.

Standard library only: the worker imports this module.
"""

from __future__ import annotations

import _thread
import os
import select
import sys
import time
from typing import TYPE_CHECKING

from llmspell_core.script.wire import MAX_FRAME, FrameReader, dump, dump_text, pack

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Channel", "TooLargeError"]

QUIET = 0.002
"""Seconds after a flush in which further output is collected instead of sent at once."""

LARGE = 1 << 20
"""Characters of printed text in one frame, and bytes that are read at once of a frame that is large."""

PIECE = 16384 if sys.platform == "linux" else 2048
"""Bytes that a socket takes without waiting once it says that it is writable."""


MOST_MILLISECONDS = 2**31 - 1
"""That can be waited for."""


class TooLargeError(Exception):
    """A frame that the host would not take."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"takes {size:,} bytes on its way to the host; {most:,} is the most")


class Channel:
    """Used by the main thread, except for what `watch` starts.

    The host stops listening to a worker that does not read its answers. So whoever writes here reads as well, or both
    sides would wait for ever; only a script that has nothing open and now waits for its one answer needs no such care.

    Attributes:
        unanswered: calls without an answer yet, and callbacks of the host's that were not answered yet.
        most: bytes of the largest frame that the host takes.
    """

    def __init__(self, read_fd: int, write_fd: int, encoding: str) -> None:
        self.unanswered = 0
        self.encoding = encoding
        self.most = MAX_FRAME
        self._read_fd, self._write_fd = read_fd, write_fd
        self._reader = FrameReader()
        self._output: list[tuple[str, str]] = []
        self._flushed_at = 0.0
        self._lock = _thread.allocate_lock()
        self._flush_wanted = _thread.allocate_lock()
        self._flush_wanted.acquire()
        self._readable = _poll({read_fd: "in"})
        self._duplex = _poll({write_fd: "out", read_fd: "both" if read_fd == write_fd else "in"})

    # -- out ----------------------------------------------------------------------------------------------------------

    def dump(self, value: object) -> str:
        """JSON text of `value`, in the VM's encoding of strings."""
        return dump(value) if self.encoding == "utf-8" else dump_text(value)

    def send(self, text: str, *, then_reads: bool = False) -> None:
        """One frame, after everything printed before. `then_reads`: the next thing that happens is waiting for it.

        Raises: TooLargeError; nothing is sent then.
        """
        if len(text) > self.most // 4:
            self._check_size(text)
        data = pack(_valid(text.encode(self.encoding)))
        del text  # a large one need not be there twice while it is written
        with self._lock:
            if self._output:
                self._flush()
            if self._duplex is None or (then_reads and self.unanswered == 0 and len(data) <= PIECE):
                self._write_through(data)
            else:
                self._write_and_read(data)

    def _check_size(self, text: str) -> None:
        size = len(text) if self.encoding == "latin-1" or text.isascii() else len(text.encode(self.encoding, "replace"))
        if size > self.most:
            raise TooLargeError(size, self.most)

    def print(self, stream: str, text: str) -> None:
        """Quiet scripts are seen at once, noisy ones in batches; a hanging one loses nothing."""
        self._output.append((stream, text))
        if time.monotonic() - self._flushed_at > QUIET or len(self._output) > 500:
            self.flush()
        elif self._flush_wanted.locked():
            self._flush_wanted.release()

    def flush(self) -> None:
        if self._output:
            with self._lock:
                self._flush()

    def _flush(self) -> None:
        batch, self._output = self._output, []
        for stream, text in _joined(batch):
            start = 0
            while start < len(text):
                end = self._piece_end(text, start, LARGE)
                self._write_and_read(self._out_frame(stream, text[start:end]))
                start = end
        self._flushed_at = time.monotonic()

    def _out_frame(self, stream: str, text: str) -> bytes:
        return pack(_valid(self.dump(["out", stream, text]).encode(self.encoding)))

    def _write_through(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._write_fd, data) :]
        except OSError:
            os._exit(0)  # the host is gone, and so is the reason to be here

    def _write_and_read(self, data: bytes) -> None:
        """Reads what has come before it writes each piece."""
        if self._duplex is None:
            self._write_through(data)
            return
        rest = memoryview(data)
        while rest:
            for fd, event in self._duplex.poll():
                if event & select.POLLOUT:
                    self._write_through(bytes(rest[:PIECE]))
                    rest = rest[PIECE:]
                if event & ~select.POLLOUT and fd == self._read_fd:
                    self.read()

    # -- in -----------------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing that was read waits to be served."""
        return self._reader.empty

    def poll(self, timeout: float | None) -> bool:
        """Waits at most so many seconds for something to read, and at most for weeks: the system counts no further."""
        waits = None if timeout is None else min(MOST_MILLISECONDS, max(0, timeout * 1000))
        return self._readable is None or bool(self._readable.poll(waits))

    def read(self) -> None:
        """Reads once, waiting if need be; ends the process when the host is gone."""
        self._reader.feed(self._received())

    def read_whole(self, start: bytes) -> str | None:
        """Reads once; what follows `start` in the frame, without its last byte, if exactly one has come that begins so.

        Otherwise it waits for `next`.
        """
        data = self._received()
        payload = self._reader.whole(data)
        if payload is not None and payload.startswith(start):
            return self.text(payload, len(start), -1)
        self._reader.feed(data)
        return None

    def next(self) -> bytes | bytearray | None:
        """The next frame that was read."""
        return self._reader.next()

    def text(self, payload: bytes | bytearray, start: int = 0, end: int | None = None) -> str:
        """A part of a frame as text."""
        try:
            return str(memoryview(payload)[start:end], self.encoding)
        except UnicodeDecodeError:  # half a surrogate pair; JSON can write it in ASCII
            text = bytes(payload[start:end]).decode(self.encoding, "surrogatepass")
            return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def _received(self) -> bytes:
        data = os.read(self._read_fd, min(max(65536, self._reader.missing()), LARGE))
        if not data:
            os._exit(0)
        return data

    # -- helper threads -----------------------------------------------------------------------------------------------

    def watch(self, more: dict[str, Callable[[], None]]) -> list[str]:
        """Starts the helper threads; returns what could not be started.

        One flushes what a noisy script printed before it went silent. The other ends the process when the host is gone,
        also while the VM is busy and nobody reads the socket.
        """
        missing = []
        _thread.stack_size(256 * 1024)
        own = {"late flush": self._flush_late, "host watch": self._exit_with_host}
        for name, target in (own | more).items():
            try:
                _thread.start_new_thread(target, ())
            except (RuntimeError, OSError):
                missing.append(name)
        return missing

    def _flush_late(self) -> None:
        writable = _poll({self._write_fd: "out"})
        while True:
            self._flush_wanted.acquire()
            while self._output:
                time.sleep(QUIET * 5)
                with self._lock:
                    self._flush_pieces(writable)

    def _flush_pieces(self, writable: select.poll | None) -> None:
        """Writes what goes without waiting: only the main thread may wait, because it reads too."""
        batch, self._output = _joined(self._output), []
        while batch and (writable is None or writable.poll(0)):
            stream, text = batch.pop(0)
            end = self._piece_end(text, 0, PIECE // 8)  # fits even if every character is escaped
            self._write_through(self._out_frame(stream, text[:end]))
            if end < len(text):
                batch.insert(0, (stream, text[end:]))
        self._output = batch + self._output

    def _piece_end(self, text: str, start: int, most: int) -> int:
        """Where a piece of at most so many characters may end: not within a character's bytes."""
        end = min(len(text), start + most)
        least = start + most // 2
        while self.encoding == "latin-1" and least < end < len(text) and "\x80" <= text[end] < "\xc0":
            end -= 1
        return end

    def _exit_with_host(self) -> None:
        hangup = _poll({self._read_fd: "end"})
        if hangup is None:
            return
        while not any(event & (select.POLLHUP | select.POLLERR) for _, event in hangup.poll()):
            time.sleep(0.1)
        os._exit(0)


def _poll(wanted: dict[int, str]) -> select.poll | None:
    """A poll object, or None where the platform has none; "end" asks for nothing but the end of the connection."""
    if not hasattr(select, "poll"):
        return None
    events = {"in": select.POLLIN, "out": select.POLLOUT, "both": select.POLLIN | select.POLLOUT, "end": 0}
    poll = select.poll()
    for fd, word in wanted.items():
        poll.register(fd, events[word])
    return poll


def _joined(batch: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbouring pieces of one stream become one piece."""
    joined: list[tuple[str, str]] = []
    for stream, text in batch:
        if joined and joined[-1][0] == stream and len(joined[-1][1]) < LARGE:
            joined[-1] = (stream, joined[-1][1] + text)
        else:
            joined.append((stream, text))
    return joined


def _valid(data: bytes) -> bytes:
    """Output, and a VM's message that quotes half a character, may hold any bytes; frames must be UTF-8."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return data
