"""A server that answers with files, byte by byte as some vendor's server once did.

`<case>/<N>.<ext>` is the N-th answer to that case: json a whole answer, sse events, sse1 the same one byte at a time, ndjson
lines, raw the bytes of the whole HTTP answer. The first letter of a case names its protocol.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

__all__ = ["PROTOCOLS", "Replay"]

PROTOCOLS = {"o": "openai", "p": "openai", "q": "openai", "a": "anthropic", "g": "gemini", "l": "ollama"}
WHOLE = ("json", "raw")
STREAMED = ("sse", "sse1", "ndjson", "raw")
TYPES = {"json": "application/json", "sse": "text/event-stream", "sse1": "text/event-stream"}


@dataclass
class Replay:
    """Listens on a port of this machine; a request for `/<case>/...` gets that case's next answer.

    Attributes:
        cases: the folder of the cases.
        bodies: what was asked, by case.
    """

    cases: Path
    bodies: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    def providers(self) -> dict[str, dict[str, Any]]:
        """A table for every case."""
        return {folder.name: self._table(folder.name) for folder in self.cases.iterdir()}

    def _table(self, case: str) -> dict[str, Any]:
        kind = PROTOCOLS[case[0]]
        tail = "/v1" if kind == "openai" else ""
        table: dict[str, Any] = {"provider_type": kind, "base_url": f"{self.url}/{case}{tail}", "timeout_seconds": 10}
        return table | {"api_key": "sk-replayed", "retry": {"max_retries": 2, "initial_delay_ms": 1}}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            length = next((int(line[15:]) for line in head.lower().split("\r\n") if line[:15] == "content-length:"), 0)
            body = json.loads(await reader.readexactly(length) or b"null")
            streamed = ":streamGenerateContent" in path or (path[:2] != "/g" and bool(body and body.get("stream")))
            await self._answer(path.split("/")[1], body, streamed, writer)
        writer.close()

    async def _answer(self, case: str, body: Any, streamed: bool, writer: asyncio.StreamWriter) -> None:
        key = f"{case} stream" if streamed else case
        self.bodies[key].append(body)
        endings = STREAMED if streamed else WHOLE
        names = [f"{len(self.bodies[key])}.{ending}" for ending in (*endings, *WHOLE, *STREAMED)]
        found = next((self.cases / case / name for name in names if (self.cases / case / name).exists()), None)
        if found is None:
            last = sorted((self.cases / case).iterdir())
            found = next((each for each in reversed(last) if each.suffix[1:] in endings), last[-1])
        ending, data = found.suffix[1:], found.read_bytes()
        if ending != "raw":
            kind = TYPES.get(ending, "application/x-ndjson")
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
        step = 1 if ending == "sse1" else len(data) or 1
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
