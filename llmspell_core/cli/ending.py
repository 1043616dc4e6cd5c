"""Signals that ask the program to end: they end it as Ctrl-C does, so that nothing it started is left behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Ending"]

NAMES = ("SIGTERM", "SIGHUP")


class Ending:
    """Which signal ends the program.

    Attributes:
        signal: the number of the one that came last; that of Ctrl-C as long as none has.
    """

    def __init__(self) -> None:
        self.signal = int(signal.SIGINT)

    @property
    def exit_code(self) -> int:
        """What a shell makes of it."""
        return 128 + self.signal

    def listen(self) -> None:
        """A shell has what it starts in the background of a script ignore Ctrl-C; whoever sends it means it all the same."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def as_interrupt(self) -> Iterator[None]:
        """Inside, the other signals do what Ctrl-C does. One that is ignored, as under nohup, stays ignored."""
        wanted = [getattr(signal, name) for name in NAMES if os.name == "posix"]
        is_main = threading.current_thread() is threading.main_thread()
        ours = [each for each in wanted if is_main and signal.getsignal(each) is signal.SIG_DFL]
        for each in ours:
            signal.signal(each, self._come)
        try:
            yield
        finally:
            for each in ours:
                signal.signal(each, signal.SIG_DFL)

    def _come(self, number: int, _: object) -> None:
        self.signal = number
        signal.raise_signal(signal.SIGINT)
