"""The program's threads: what runs in one cannot be stopped, so an interrupted program does not wait for it."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

__all__ = ["Threads", "leave"]

_abandoned: list[Threads] = []


class Threads(ThreadPoolExecutor):
    """For what an event loop sends into threads (synchronous tools, name look-ups)."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="llmspell")
        self._is_abandoned = False

    def abandon(self) -> None:
        """From now on nobody waits for what still runs."""
        self._is_abandoned = True
        _abandoned.append(self)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=wait and not self._is_abandoned, cancel_futures=cancel_futures or self._is_abandoned)

    @property
    def is_busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)


def leave(code: int) -> None:
    """End the process with `code` where Python would wait for abandoned threads; otherwise return."""
    if any(threads.is_busy for threads in _abandoned):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
