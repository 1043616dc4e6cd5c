"""Limits of one provider: so many requests and tokens a minute, so many requests at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

__all__ = ["Limits", "Window"]

DEFAULT_REQUESTS = 60


class Window:
    """At most `limit` units in any span of `seconds`.

    `enter` waits until there is room and takes what is known beforehand; `spend` adds what turns out later (the tokens of
    an answer), which those who come after wait for.
    """

    def __init__(self, limit: int, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._seconds = seconds
        self._clock = clock
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0
        self._turn = asyncio.Lock()

    async def enter(self, amount: int = 0) -> None:
        """Callers enter in the order in which they came."""
        async with self._turn:
            while (wait := self._wait()) > 0:  # noqa: ASYNC110 - it sleeps until there is room, it does not poll
                await asyncio.sleep(wait)
            if amount:
                self.spend(amount)

    def spend(self, amount: int) -> None:
        self._spent.append((self._clock(), amount))
        self._sum += amount

    def _wait(self) -> float:
        now = self._clock()
        while self._spent and self._spent[0][0] <= now - self._seconds:
            self._sum -= self._spent.popleft()[1]
        if self._sum < self.limit:
            return 0.0
        return self._spent[0][0] + self._seconds - now


class Limits:
    """The table `rate_limit`."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        tokens, at_once = table.get("tokens_per_minute"), table.get("max_concurrent")
        requests = table.get("requests_per_minute") or (None if tokens or at_once else DEFAULT_REQUESTS)
        self._requests = Window(int(requests)) if requests else None
        self._tokens = Window(int(tokens)) if tokens else None
        self._at_once = asyncio.Semaphore(int(at_once)) if at_once else None

    @asynccontextmanager
    async def admitted(self) -> AsyncGenerator[None, None]:
        """Waits for its turn; counts as one request while inside."""
        if self._at_once is None:
            await self._in_time()
            yield
        else:
            async with self._at_once:
                await self._in_time()
                yield

    async def _in_time(self) -> None:
        if self._tokens is not None:
            await self._tokens.enter()
        if self._requests is not None:
            await self._requests.enter(1)

    def spend(self, tokens: int) -> None:
        if self._tokens is not None:
            self._tokens.spend(tokens)
