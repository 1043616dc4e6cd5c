"""What the program waits for, in one line on the terminal: from a second on, and gone before anything else is written there.

Not by the library that draws the bars: that one hides the cursor, and a program that is killed never shows it again.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmspell_core.cli.harmless import printable
from llmspell_core.cli.streams import Stream

if TYPE_CHECKING:
    from llmspell_core.cli.shell import Shell
    from llmspell_core.runtime import Runtime
    from llmspell_core.trace import Span

__all__ = ["Waiting", "watch"]

FALLBACK = "fallback"
"""The provider of a chain, whose models have their own."""
PATIENCE = 1.0
"""Seconds in which nobody wonders."""
TICK = 0.25
"""Seconds after which it is looked at again; nobody who begins or ends something has to wake that thread."""
KINDS = {"model": "waiting for", "tool": "calling"}


class Waiting:
    """The line; of several things waited for, the latest. Shown only where a person is watching.

    Used from any thread: the line is drawn by one of its own, for work that keeps the main thread busy.
    """

    def __init__(self, shell: Shell) -> None:
        self.is_wanted = sys.stderr.isatty() and not shell.options.quiet and os.environ.get("TERM") != "dumb"
        self._changed = threading.Condition()
        self._what: list[str] = []
        self._since = self._quiet_since = 0.0
        self._is_held = self._is_writing = False
        self._drawn = ""
        self._is_at_start = True
        self._thread: threading.Thread | None = None
        self._heard: list[tuple[Stream, Callable[[str], None] | None]] = []

    def begin(self, what: str) -> None:
        """Wait for this, too."""
        if not self.is_wanted:
            return
        with self._changed:
            self._what.append(printable(what))
            self._since = self._quiet_since = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(target=self._draw, name="waiting", daemon=True)
                self._thread.start()
                self._listen()

    def end(self, what: str) -> None:
        """It is there."""
        if not self.is_wanted:
            return
        with self._changed:
            if (word := printable(what)) in self._what:
                self._what.remove(word)
            self._since = time.monotonic()
            self._erase()

    def _listen(self) -> None:
        """To whatever is written to the terminal: notes, logs, errors, and the output if that is the same terminal."""
        streams = [sys.stderr, *([sys.stdout] if sys.stdout.isatty() else [])]
        self._heard = [(each, each.make_way) for each in streams if isinstance(each, Stream)]
        for each, _ in self._heard:
            each.make_way = self._make_way

    def _make_way(self, text: str) -> None:
        """The line comes back after a while, unless `text` leaves the cursor in a line."""
        with self._changed:
            if self._is_writing or not text:
                return
            self._erase()
            self._is_at_start = text.endswith("\n")
            self._quiet_since = time.monotonic()

    def undisturbed(self, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`ask` with the terminal for itself."""

        async def alone(*arguments: Any) -> Any:
            self._hold(True)
            try:
                return await ask(*arguments)
            finally:
                self._hold(False)

        return alone

    def _hold(self, is_held: bool) -> None:
        with self._changed:
            self._erase()
            self._is_held, self._is_at_start = is_held, True
            self._quiet_since = self._since = time.monotonic()

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Inside, it waits for this one thing."""
        self.begin(what)
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Nothing is drawn from now on."""
        with self._changed:
            self._erase()
            self.is_wanted = False
            for stream, before in self._heard:
                stream.make_way = before
            self._heard = []
            self._changed.notify()

    def _draw(self) -> None:
        with self._changed:
            while self.is_wanted:
                now = time.monotonic()
                is_free = not self._is_held and self._is_at_start
                if self._what and is_free and now - self._quiet_since >= PATIENCE:
                    self._write(f"{self._what[-1]} ... {now - self._since:.0f} s")
                self._changed.wait(TICK)

    def _write(self, text: str) -> None:
        shown = text[: shutil.get_terminal_size().columns - 1]
        if shown != self._drawn:
            self._replace(shown)

    def _erase(self) -> None:
        if self._drawn:
            self._replace("")

    def _replace(self, text: str) -> None:
        self._is_writing = True
        try:
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()
            self._drawn = text
        finally:
            self._is_writing = False


class _Work:
    """An observer: models that have not answered and tools that are at work."""

    def __init__(self, line: Waiting) -> None:
        self._line = line

    def started(self, span: Span) -> None:
        if span.kind in KINDS:
            self._line.begin(_what(span))

    def ended(self, span: Span) -> None:
        if span.kind in KINDS:
            self._line.end(_what(span))

    def close(self) -> None:
        self._line.close()


def _what(span: Span) -> str:
    provider = span.attributes.get("provider") or FALLBACK
    return f"{KINDS[span.kind]} {'' if provider == FALLBACK else f'{provider}/'}{span.name}"


def watch(runtime: Runtime, line: Waiting) -> None:
    """Say what a run waits for, and leave the terminal to the questions that a person is asked."""
    if not line.is_wanted:
        return
    runtime.observe(_Work(line))
    if runtime.approver is not None:
        runtime.approver = line.undisturbed(runtime.approver)
    if runtime.providers.offer_model is not None:
        runtime.providers.offer_model = line.undisturbed(runtime.providers.offer_model)
