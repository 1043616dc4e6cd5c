"""When the functions given to `setTimeout` and its family are due."""

from __future__ import annotations

import heapq
import time

__all__ = ["Timers"]


class Timers:
    """Numbers of timers in the order in which they are due. True while one is set."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, int]] = []
        self._live: set[int] = set()
        self._untied: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._live)

    def __len__(self) -> int:
        return len(self._live)

    @property
    def tie(self) -> bool:
        """Whether one is set that the script's end waits for."""
        return not self._live <= self._untied

    def untie(self, timer: int) -> None:
        """The script's end does not wait for this one."""
        self._untied = self._untied & self._live | {timer}

    def set(self, timer: int, milliseconds: float, origin: int = 0) -> None:
        """`origin`: the invocation that set it."""
        heapq.heappush(self._queue, (time.monotonic() + milliseconds / 1000, timer, origin))
        self._live.add(timer)

    def clear(self, timer: int) -> None:
        self._live.discard(timer)

    def clear_all(self) -> None:
        self._live.clear()

    def seconds(self) -> float | None:
        """Until the next one is due; None when none is set."""
        self._drop_cleared()
        return max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None

    def take_due(self) -> tuple[int, int] | None:
        """One that is due, and set no longer; and its origin."""
        self._drop_cleared()
        if not self._queue or self._queue[0][0] > time.monotonic():
            return None
        _, timer, origin = heapq.heappop(self._queue)
        self._live.discard(timer)
        return timer, origin

    def _drop_cleared(self) -> None:
        while self._queue and self._queue[0][1] not in self._live:
            heapq.heappop(self._queue)
