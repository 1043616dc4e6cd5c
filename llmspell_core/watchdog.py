"""A thread beside the event loop that acts in time, however busy the loop is.

    alarm = at(time.monotonic() + 3, end_it)
    ...
    alarm.cancel()

What it calls runs in that thread and must be quick. There is one such thread in a process, started when first needed.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

__all__ = ["Alarm", "OverdueError", "at", "interrupter"]

LONGEST = 86_400.0
"""Seconds that the thread sleeps at most: what the system's clock cannot count to would end it."""

log = logging.getLogger("llmspell.watchdog")
Action = Callable[[], float | None]
"""Returns the seconds until it is called again, or None when it is done."""


class OverdueError(BaseException):
    """Raised by the watchdog into code that has no time left; no `except Exception` keeps it from ending."""


class Alarm:
    """Something to be done at a time."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Action) -> None:
        self.when = when
        self.action = action

    def cancel(self) -> None:
        """It is not called any more; one that is being called now ends. Safe to call twice."""
        _watchdog.drop(self)


class _Watchdog:
    def __init__(self) -> None:
        self._alarms: set[Alarm] = set()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._wakes = float("inf")
        self._thread: threading.Thread | None = None

    def add(self, alarm: Alarm) -> None:
        self._alarms.add(alarm)
        # A process that was forked has the object, but not the thread.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, name="llmspell-watchdog", daemon=True)
            self._thread.start()
        elif alarm.when < self._wakes:
            self._news.put(None)

    def drop(self, alarm: Alarm) -> None:
        self._alarms.discard(alarm)

    def _watch(self) -> None:
        while True:
            # First the time, then the list: what is added in between is earlier than the time and sends news.
            self._wakes = float("inf")
            self._wakes = wakes = min((alarm.when for alarm in tuple(self._alarms)), default=float("inf"))
            try:
                self._news.get(timeout=min(LONGEST, max(0.0, wakes - time.monotonic())))
            except queue.Empty:
                self._ring()

    def _ring(self) -> None:
        now = time.monotonic()
        for alarm in [alarm for alarm in tuple(self._alarms) if alarm.when <= now]:
            try:
                again = alarm.action()
            except Exception:
                log.exception("an alarm failed")
                again = None
            if again is None:
                self.drop(alarm)
            else:
                alarm.when = time.monotonic() + again


_watchdog = _Watchdog()


def at(when: float, action: Action) -> Alarm:
    """Have `action` called at a time of `time.monotonic`, in the watchdog's thread. Safe in a signal handler."""
    alarm = Alarm(when, action)
    _watchdog.add(alarm)
    return alarm


def interrupter() -> Callable[[int], None]:
    """What raises OverdueError in Python code of a thread, at the place where it is when the function is called."""
    import ctypes

    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
    error = ctypes.py_object(OverdueError)

    def call(ident: int) -> None:
        interrupt(ctypes.c_ulong(ident), error)

    return call
