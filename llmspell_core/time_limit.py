"""Time limits that stand still while a person is asked: whoever reads a question takes as long as it takes.

And the time that the script has left on whose behalf something is done.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from types import TracebackType

__all__ = ["RunTime", "run_time", "standing_still", "time_limit", "within"]

PART = 0.75
LEAST = 0.05


class RunTime:
    """Until when the run of a script lasts; `ends` is a time of `time.monotonic`, None while there is no limit."""

    __slots__ = ("ends",)

    def __init__(self) -> None:
        self.ends: float | None = None


run_time: ContextVar[RunTime | None] = ContextVar("llmspell_run_time", default=None)


def within(seconds: float) -> float:
    """`seconds`, or the larger part of what the script has left: it can still deal with the error of being too slow."""
    run = run_time.get()
    if run is None or run.ends is None:
        return seconds
    return min(seconds, max(LEAST, (run.ends - time.monotonic()) * PART))


class time_limit:  # noqa: N801 - used like asyncio.timeout
    """Like `asyncio.timeout`, but it does not pass inside of `standing_still`. Raises: builtin TimeoutError.

    Args:
        seconds: None for no limit.
    """

    __slots__ = ("_asking", "_left", "_token", "deadline")

    def __init__(self, seconds: float | None) -> None:
        self.deadline = asyncio.timeout(seconds)
        self._asking = 0
        self._left = 0.0
        self._token: Token[tuple[time_limit, ...]] | None = None

    async def __aenter__(self) -> asyncio.Timeout:
        # A timer keeps the context it was made in, long after it was cancelled: all that a run knows.
        try:  # noqa: SIM105 - on the way of every agent and tool
            Context().run(self.deadline.__aenter__().send, None)
        except StopIteration:
            pass
        if self.deadline.when() is not None:
            self._token = _limits.set((*_limits.get(), self))
        return self.deadline

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _limits.reset(self._token)
        await self.deadline.__aexit__(kind, error, trace)

    def stop(self) -> None:
        when = self.deadline.when()
        if not self._asking and when is not None:
            self._left = when - asyncio.get_running_loop().time()
            self.deadline.reschedule(None)
        self._asking += 1

    def go_on(self) -> None:
        self._asking -= 1
        if not self._asking and not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time() + self._left)


_limits: ContextVar[tuple[time_limit, ...]] = ContextVar("llmspell_time_limits", default=())


@contextmanager
def standing_still() -> Iterator[None]:
    """No time limit around this work passes meanwhile; several questions at once may overlap."""
    limits = _limits.get()
    for limit in limits:
        limit.stop()
    try:
        yield
    finally:
        for limit in limits:
            limit.go_on()
