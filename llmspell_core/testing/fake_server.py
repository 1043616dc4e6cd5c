"""A small HTTP server on a real socket that answers as a test tells it to, well or badly.

async with FakeServer(Reply(429, headers={"Retry-After": "7"})) as server:
    provider = MyProvider(settings_for(server.url))
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

__all__ = ["FakeServer", "Received", "Reply", "events"]


@dataclass(slots=True)
class Reply:
    """One answer.

    Attributes:
        body: bytes or text as it is, other data as JSON.
        pieces: sent one by one as a chunked body, in place of `body`; a number is a pause in seconds.
        hang: say nothing more after the pieces (or at all) until the client goes.
        cut: break the connection off after the pieces, without the end of the chunked body.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes | float] | None = None
    hang: bool = False
    cut: bool = False

    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(slots=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class FakeServer:
    """Args:
    reply: what to answer: one reply for all requests, several in order (the last one is repeated), or a function.
    """

    def __init__(self, reply: Reply | Iterable[Reply] | Callable[[Received], Reply]) -> None:
        if callable(reply):
            self._answer = reply
        else:
            replies = [reply] if isinstance(reply, Reply) else list(reply)
            self._answer = lambda _received: replies[min(len(self.received), len(replies)) - 1]
        self.received: list[Received] = []
        self.connections = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._handlers: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def asked(self, within: float = 5.0) -> Received:
        """The first request, waiting for it."""
        await _until(lambda: bool(self.received), within, "no request came")
        return self.received[0]

    async def all_closed(self, within: float = 2.0) -> None:
        """Wait until the client has closed every connection. Raises: AssertionError when it has not."""
        await _until(lambda: self.connections == 0, within, "the client keeps its connection open")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("fake server")
        self._handlers.add(task)
        self.connections += 1
        try:
            while received := await _read(reader):
                self.received.append(received)
                if not await _send(self._answer(received), reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.connections -= 1
            self._handlers.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _until(true: Callable[[], bool], within: float, otherwise: str) -> None:
    deadline = asyncio.get_running_loop().time() + within
    while not true():
        assert asyncio.get_running_loop().time() < deadline, otherwise
        await asyncio.sleep(0.01)


async def _read(reader: asyncio.StreamReader) -> Received | None:
    first = await reader.readline()
    if not first:
        return None
    method, path, _ = first.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)


async def _send(reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection may go on."""
    if reply.hang and reply.pieces is None:
        await reader.read()
        return False
    headers = {"Content-Type": "application/json", **reply.headers}
    body = b"" if reply.pieces is not None else reply.data()
    length = {"Transfer-Encoding": "chunked"} if reply.pieces is not None else {"Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**length, **headers}.items())
    writer.write(f"HTTP/1.1 {reply.status} Reply\r\n{lines}\r\n".encode() + body)
    await writer.drain()
    return await _send_pieces(reply, reader, writer) if reply.pieces is not None else True


async def _send_pieces(reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    for piece in reply.pieces or ():
        if isinstance(piece, bytes):
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        else:
            await asyncio.sleep(piece)
    if reply.hang:
        await reader.read()
    if reply.hang or reply.cut:
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def events(*data: Any, done: bool = True) -> list[bytes | float]:
    """Server-sent events as `pieces`: JSON data each, then `[DONE]`. A float is passed on as a pause."""
    sent: list[bytes | float] = [
        d if isinstance(d, float) else b"data: " + json.dumps(d).encode() + b"\n\n" for d in data
    ]
    return [*sent, b"data: [DONE]\n\n"] if done else sent
