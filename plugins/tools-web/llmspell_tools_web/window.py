"""How many requests fit into a stretch of time."""

from __future__ import annotations

import time
from collections import deque

from llmspell_core.errors import RateLimitError


class SlidingWindow:
    """Counts requests of the last `seconds`; belongs to one tool instance, hence to one runtime."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._sent: deque[float] = deque()

    def admit(self, limit: int) -> None:
        """Count one more. Raises: RateLimitError saying when there will be room."""
        now = time.monotonic()
        while self._sent and self._sent[0] <= now - self._seconds:
            self._sent.popleft()
        if len(self._sent) >= limit:
            raise RateLimitError(
                f"more than {limit} HTTP requests in {self._seconds:g} seconds",
                retry_after=round(self._sent[0] + self._seconds - now, 3),
                hint="Wait, or raise tools.http_request.rate_limit_per_minute.",
            )
        self._sent.append(now)
