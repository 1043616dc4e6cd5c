"""Answers as their protocols mean them, before a vendor's package sees them.

Gateways send empty events to keep a connection open, marks in front of the text, blank lines and halves of characters.
Packages trip over them, each over another; here they are taken out for all. Importing this imports httpx2.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator

import httpx2

from llmspell_core.provider.said import SAID_DONE

__all__ = ["tidied"]

EVENTS, LINES, WHOLE = "text/event-stream", "ndjson", "json"
MARK = b"\xef\xbb\xbf"
NOTHING = frozenset({b"", b"null", b"[]", b'""', b"{}"})
BREAK = re.compile(rb"\r\n|\n|\r")
ESCAPES = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)")
HALF = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
NO_CHARACTER = rb"\ufffd"


def tidied(response: httpx2.Response, *, whole_characters: bool) -> httpx2.Response:
    """The same answer without what means nothing; other content than JSON and events stays as it is.

    Args:
        whole_characters: whether halves of characters become U+FFFD here, for packages that refuse texts with them.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != EVENTS and LINES not in kind and WHOLE not in kind:
        return response
    kept = [(k, v) for k, v in response.headers.raw if k.lower() not in {b"content-encoding", b"content-length"}]
    said: list[bool] = []
    extensions = response.extensions | {SAID_DONE: said}
    mend = _whole if whole_characters else bytes
    lines = _Events(said, mend) if kind == EVENTS else _Lines(mend, drops=LINES in kind)
    stream = _Tidied(response, lines)
    return httpx2.Response(response.status_code, headers=kept, stream=stream, extensions=extensions)


def _whole(text: bytes) -> bytes:
    """JSON without halves of characters. `\\\\ud83e` is a backslash and four letters."""
    if b"\\u" not in text:
        return text
    return ESCAPES.sub(lambda found: NO_CHARACTER if HALF.fullmatch(found[0]) else found[0], text)


class _Lines:
    """Lines of JSON: the blank ones go, and with `drops` those that hold nothing."""

    def __init__(self, mend: Callable[[bytes], bytes], *, drops: bool) -> None:
        self._mend = mend
        self._nothing = NOTHING if drops else frozenset({b""})

    def take(self, line: bytes, end: bytes) -> Iterator[bytes]:
        if line.strip() not in self._nothing:
            yield self._mend(line) + end

    def rest(self) -> Iterator[bytes]:
        yield from ()


class _Events:
    """Lines of events: an event whose data is nothing goes."""

    def __init__(self, said_done: list[bool], mend: Callable[[bytes], bytes]) -> None:
        self._said_done = said_done
        self._mend = mend
        self._lines: list[bytes] = []
        self._data: list[bytes] = []

    def take(self, line: bytes, end: bytes) -> Iterator[bytes]:
        """At the blank line that ends an event, all of it. Lines of JSON under this name are no events."""
        if line.startswith(b"{"):
            yield self._mend(line) + end
            return
        self._lines.append(self._mend(line) + end)
        if line:
            if line.startswith(b"data"):
                self._data.append(line.partition(b":")[2].strip())
            return
        data = b"\n".join(self._data).strip()
        if data == b"[DONE]":
            self._said_done.append(True)
        if data not in NOTHING:
            yield b"".join(self._lines)
        self._lines, self._data = [], []

    def rest(self) -> Iterator[bytes]:
        if self._data:
            if self._data == [b"[DONE]"]:
                self._said_done.append(True)
            yield b"".join(self._lines)


class _Tidied(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, lines: _Lines | _Events) -> None:
        self._response = response
        self._lines = lines

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        is_first = True
        async for chunk in self._response.aiter_bytes():  # which undoes the content's encoding
            if not BREAK.search(chunk) and not is_first and not (parts and parts[-1].endswith(b"\r")):
                parts.append(chunk)
                continue
            text = b"".join((*parts, chunk))
            if is_first:
                if len(text) < len(MARK) and MARK.startswith(text):
                    parts = [text]
                    continue
                text, is_first = text.removeprefix(MARK), False
            done, rest = self._split(text)
            parts = [rest] if rest else []
            if done:
                yield done
        for piece in self._last(b"".join(parts)):
            yield piece

    def _split(self, text: bytes) -> tuple[bytes, bytes]:
        """What is finished, and the line that is not. A `\\r` at the end may be half of a break."""
        made: list[bytes] = []
        start = 0
        for found in BREAK.finditer(text):
            if found.end() == len(text) and found[0] == b"\r":
                break
            made += self._lines.take(text[start : found.start()], found[0])
            start = found.end()
        return b"".join(made), text[start:]

    def _last(self, text: bytes) -> Iterator[bytes]:
        if text.endswith(b"\r"):
            yield from self._lines.take(text[:-1], b"\r")
        elif text:
            yield from self._lines.take(text, b"")
        yield from self._lines.rest()

    async def aclose(self) -> None:
        await self._response.aclose()
