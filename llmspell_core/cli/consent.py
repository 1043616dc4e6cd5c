"""The question at a terminal: may this agent make this call?

Only the person answers it. What the program prints meanwhile is held back, what a script did to the terminal is undone, and
what was typed before counts for nothing. Whatever a model or a script wrote is shown as ASCII, so that it cannot draw.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from llmspell_core.cli.shell import Shell

if TYPE_CHECKING:
    from llmspell_core.agent.approval import ApprovalRequest
    from llmspell_core.cli.input import StandardInput
    from llmspell_core.runtime import Runtime

__all__ = ["as_text", "ask_for_consent", "named", "question"]

LONGEST = 400
"""Characters of parameters that stand in one line, and of one parameter that are shown at first."""
LONGEST_NAME = 80
MOST_NAMES = 40
WORDS = {"y": True, "yes": True, "": False, "n": False, "no": False}
# Colours, character set, insert mode, margins, a hidden cursor; then nothing is left below the question.
RESET = "\x1b[!p\x1b[0m\x1b(B\x0f\x1b[?25h\r\n\x1b[J"
COLOURS = "\x1b]104\x07\x1b]110\x07\x1b]111\x07"
"""The terminal's own colours: a script may have made text and background the same."""


def ask_for_consent(
    shell: Shell, runtime: Runtime, keyboard: StandardInput, is_painted: Callable[[], bool] = lambda: False
) -> None:
    """Let the person at the terminal decide about calls that need consent. Without a terminal nobody is asked.

    Args:
        keyboard: what the script reads from, too; while a question is open, what is typed is its answer.
        is_painted: whether a script has written control sequences to the terminal.
    """
    if not shell.is_interactive:
        return
    one_at_a_time = asyncio.Lock()

    async def ask(request: ApprovalRequest) -> bool | None:
        async with one_at_a_time:
            with held_back() as terminal:
                terminal.write(_reset(is_painted()))
                return await _answer(question(request), keyboard, terminal)

    runtime.approver = ask


async def _answer(asked: Question, keyboard: StandardInput, terminal: TextIO) -> bool | None:
    """What a person says to a question; None at the end of the input. An interrupt ends the wait at once."""
    words = dict(WORDS)
    if asked.is_short:
        words.pop("y")
    _forget_what_was_typed()
    while True:
        choice = "[yes/N, all: show everything]" if asked.is_short else "[y/N]"
        print(f"{asked.text} {choice}: ", end="", file=terminal, flush=True)
        line = await keyboard.answer()
        word = (line or "").strip().lower()
        if line is None or word in words:
            return None if line is None else words[word]
        if word == "all":
            asked, words = asked.complete(), WORDS
        else:
            short = asked.is_short and word == "y"
            told = "it was shortened: 'all' shows everything, 'yes' allows it unseen" if short else "invalid input"
            print(f"Error: {told}", file=terminal)


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


# -- what is asked ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """A question as a person reads it.

    Attributes:
        is_short: whether something was left out; then a bare `y` does not allow it.
    """

    request: ApprovalRequest
    text: str
    is_short: bool = False

    def complete(self) -> Question:
        """The same with everything in it."""
        return Question(self.request, _sentence(self.request, _whole))


def question(request: ApprovalRequest) -> Question:
    """The call, its parameters complete where they are short; else every one of them, the long ones with their lengths."""
    text, whole = _sentence(request, _in_short), _sentence(request, _whole)
    shortened = any(_is_shortened(values) for values in (request.parameters, request.reads or {}, request.defaults))
    return Question(request, text if shortened else whole, is_short=shortened)


def _sentence(request: ApprovalRequest, show: Callable[[dict[str, Any]], str]) -> str:
    reads = f", which it reads as {show(request.reads)}" if request.reads is not None else ""
    defaults = f", by default {show(request.defaults)}" if request.defaults else ""
    given = show(request.parameters)
    return f"Agent {named(request.agent)} wants to call {named(request.tool)} with {given}{reads}{defaults}. Allow it?"


def _whole(values: dict[str, Any]) -> str:
    text = as_text(values)
    return text if len(text) <= LONGEST else json.dumps(values, ensure_ascii=True, default=str, indent=2)


def _in_short(values: dict[str, Any]) -> str:
    if not _is_shortened(values):
        return _whole(values)
    rows = [f"  {_clipped(name, LONGEST_NAME)}: {_clipped(value, LONGEST)}" for name, value in values.items()]
    left_out = [f"  and {len(rows) - MOST_NAMES} more"] if len(rows) > MOST_NAMES else []
    return "\n".join(["", *rows[:MOST_NAMES], *left_out, ""])


def _is_shortened(values: dict[str, Any]) -> bool:
    long = any(len(as_text(v)) > LONGEST or len(as_text(k)) > LONGEST_NAME for k, v in values.items())
    return long or len(values) > MOST_NAMES


def _clipped(value: Any, most: int) -> str:
    """A value as ASCII; of a long one the beginning and the end."""
    text = as_text(value)
    if len(text) <= most:
        return text
    return f"{text[: most * 3 // 4]} (... {len(text):,} characters ...) {text[-most // 4 :]}"


def as_text(value: Any) -> str:
    """Data as ASCII in one line."""
    return json.dumps(value, ensure_ascii=True, default=str)


def named(name: str) -> str:
    """A name as it is where nobody can take it for something else; otherwise quoted."""
    return name if re.fullmatch(r"[A-Za-z0-9_.:/-]{1,80}", name) else _clipped(name, LONGEST_NAME)


# -- meanwhile ----------------------------------------------------------------------------------------------------------


@contextmanager
def held_back() -> Iterator[TextIO]:
    """Everything that is printed inside waits until it is left; the stream that is given is the terminal itself."""
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
