"""Gives the event loop its turn in work whose length a script chooses.

    pace = Pace()
    for item in items:
        work_on(item)
        await pace.breathe()

An `await` alone does not let others run: what does not have to wait goes on at once.
"""

from __future__ import annotations

import asyncio
import time

__all__ = ["SLICE", "Pace"]

SLICE = 0.01
"""Seconds that work may take before others get their turn."""


class Pace:
    """The time since the loop had its turn, as far as this piece of work knows. Many tasks may share one."""

    __slots__ = ("_turning", "_until")

    def __init__(self) -> None:
        self._until = time.monotonic() + SLICE
        self._turning = False

    async def breathe(self) -> None:
        """Lets everybody else run, if it is time; costs nothing otherwise."""
        while time.monotonic() >= self._until:
            if not self._turning:
                self._turning = True
                asyncio.get_running_loop().call_soon(self._turn)
            await asyncio.sleep(0)

    def _turn(self) -> None:
        # Once in a turn of the loop: of a thousand tasks that waited for it, only some have their time in this one.
        self._turning = False
        self._until = time.monotonic() + SLICE
