"""The person at the terminal, and questions that only this person answers.

While one is open, what the program prints is held back. Before it is shown, what a script did to the terminal is undone, and
what was typed until then is forgotten. What a model or a script wrote is shown as ASCII, so that it cannot draw.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TextIO

from llmspell_core.cli.input import StandardInput

__all__ = ["Person", "as_text", "clipped", "named"]

LONGEST_NAME = 80
# Colours, character set, insert mode, margins, a hidden cursor; then nothing is left below the question.
RESET = "\x1b[!p\x1b[0m\x1b(B\x0f\x1b[?25h\r\n\x1b[J"
COLOURS = "\x1b]104\x07\x1b]110\x07\x1b]111\x07"
"""The terminal's own colours: a script may have made text and background the same."""


def as_text(value: Any) -> str:
    """Data as ASCII in one line."""
    return json.dumps(value, ensure_ascii=True, default=str)


def clipped(value: Any, most: int) -> str:
    """A value as ASCII; of a long one the beginning and the end."""
    text = as_text(value)
    if len(text) <= most:
        return text
    return f"{text[: most * 3 // 4]} (... {len(text):,} characters ...) {text[-most // 4 :]}"


def named(name: str) -> str:
    """A name as it is where nobody can take it for something else; otherwise quoted."""
    return name if re.fullmatch(r"[A-Za-z0-9_.:/-]{1,80}", name) else clipped(name, LONGEST_NAME)


class Person:
    """Whoever sits at the terminal.

    Args:
        keyboard: what a script reads from, too; what is typed at a question is not for it.
        is_painted: whether a script has written control sequences to the terminal.
    """

    def __init__(self, keyboard: StandardInput, is_painted: Callable[[], bool] = lambda: False) -> None:
        self._keyboard = keyboard
        self._is_painted = is_painted
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def attention(self) -> AsyncIterator[Attention]:
        """The terminal for one question; others wait."""
        async with self._turn:
            with _held_back() as terminal:
                terminal.write(_reset(self._is_painted()))
                _forget_what_was_typed()
                attention = Attention(self._keyboard, terminal)
                try:
                    yield attention
                finally:
                    if attention.is_open:  # nothing else shall stand in the line of a question
                        print(file=terminal, flush=True)


class Attention:
    """The terminal while a question is open.

    Attributes:
        is_open: whether nobody has answered what was asked last.
    """

    def __init__(self, keyboard: StandardInput, terminal: TextIO) -> None:
        self._keyboard = keyboard
        self._terminal = terminal
        self.is_open = False

    async def ask(self, text: str) -> str | None:
        """The word that is typed, in lower case; None at the end of the input. An interrupt ends the wait at once."""
        print(text, end=" ", file=self._terminal, flush=True)
        self.is_open = True
        line = await self._keyboard.answer()
        self.is_open = line is None
        return None if line is None else line.strip().lower()

    def complain(self, text: str) -> None:
        print(f"Error: {text}", file=self._terminal)


def _forget_what_was_typed() -> None:
    """What was typed before a question was shown is no answer to it."""
    if sys.platform != "win32":
        import termios

        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def _reset(is_painted: bool) -> str:
    """What makes the terminal show text as it is, whatever was written to it before."""
    kind = os.environ.get("TERM", "")
    if kind in {"", "dumb"}:
        return "\n"
    return RESET + (COLOURS if is_painted and kind != "linux" else "")


@contextmanager
def _held_back() -> Iterator[TextIO]:
    """Everything that is printed inside waits until it is left; the stream that is given is the terminal itself."""
    import tempfile

    streams = {"stdout": sys.stdout, "stderr": sys.stderr}
    with tempfile.SpooledTemporaryFile(1_000_000, "w+", encoding="utf-8", newline="\n") as kept:
        held = {name: _Held(name, stream, kept) for name, stream in streams.items()}
        for stream in streams.values():
            stream.flush()
        sys.stdout, sys.stderr = held["stdout"], held["stderr"]
        try:
            yield streams["stderr"]
        finally:
            for name, stream in streams.items():
                if getattr(sys, name) is held[name]:
                    setattr(sys, name, stream)
            _let_go(kept, streams)


def _let_go(kept: Any, streams: dict[str, TextIO]) -> None:
    kept.seek(0)
    with suppress(BrokenPipeError):  # whoever prints next finds it out
        for line in kept:
            name, text = json.loads(line)
            streams[name].write(text)
            streams[name].flush()


class _Held(io.TextIOBase):
    """Stands for a stream whose output waits."""

    def __init__(self, name: str, stream: TextIO, kept: Any) -> None:
        self._name, self._stream, self._kept = name, stream, kept

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if self._kept.closed:  # somebody kept this object for longer than the question
            return self._stream.write(text)
        self._kept.write(json.dumps([self._name, text]) + "\n")
        return len(text)

    def flush(self) -> None:
        if self._kept.closed:
            self._stream.flush()
