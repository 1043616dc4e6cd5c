"""The deadline of a run, kept even when the event loop is busy with what the script made it do.

Usually a timer of the loop ends the script. When the loop does not come to it, the watchdog's thread kills the worker and
interrupts the work of this script, and of no other one.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from llmspell_core import watchdog

if TYPE_CHECKING:
    from llmspell_core.errors import ScriptError
    from llmspell_core.script.calls import Calls
    from llmspell_core.script.process import WorkerProcess

__all__ = ["LAST_RESORT", "OWNERS", "Deadline", "new_owner"]

SLACK = 0.1
"""Seconds after which a timer of the loop is not waited for any more."""
AGAIN = 0.05

OWNERS: ContextVar[tuple[int, ...]] = ContextVar("llmspell_script_owners", default=())
"""The sessions whose script made this work, outermost first."""
LAST_RESORT: ContextVar[Callable[[float, Callable[[], ScriptError]], None] | None] = ContextVar(
    "llmspell_last_resort", default=None
)
"""What a program that runs one script does with its deadline: `f(time, error)` ends it soon after, whatever happens."""
new_owner = itertools.count(1).__next__


class Deadline:
    """Watches one run from outside the loop. Made in the loop's thread.

    Attributes:
        doing: what the script was doing when the loop missed the deadline; None as long as it did not.
    """

    def __init__(self, seconds: float, worker: WorkerProcess, calls: Calls) -> None:
        self.seconds = seconds
        self.when = time.monotonic() + seconds
        self.missed = False
        self.doing: str | None = None
        self._worker = worker
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._is_stuck = False
        self._alarm = watchdog.at(self.when + SLACK, self._ring)

    def cancel(self) -> None:
        self._alarm.cancel()

    def _ring(self) -> float | None:
        if not self.missed:
            self.doing = self._calls.doing()
            self.missed = True
        self._worker.process.kill()
        interrupt = watchdog.interrupter()
        # Nothing happens between the question and the interrupt: this thread holds the interpreter's lock. A loop that
        # came round since the last time is left alone: it is cleaning up.
        if self._is_stuck and self._is_busy_with_it():
            interrupt(self._thread)
        self._is_stuck = True
        try:
            self._loop.call_soon_threadsafe(self._came_round)
        except RuntimeError:
            return None  # the loop is closed
        return AGAIN

    def _came_round(self) -> None:
        self._is_stuck = False

    def _is_busy_with_it(self) -> bool:
        """Whether the loop's thread is now in work of this script."""
        if self._calls.is_answering:
            return True
        task = asyncio.current_task(self._loop)
        if task is None:
            return False
        if sys.version_info >= (3, 12):  # before, a task does not tell in whose name it runs
            return self._calls.owner in task.get_context().get(OWNERS, ())
        return self._calls.owns(task)
