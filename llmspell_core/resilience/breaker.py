"""A provider that keeps failing is left alone for a while, so that nobody waits for it and a fallback answers at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from llmspell_core.errors import LLMSpellError, OverloadedError, ProviderError, RateLimitError

__all__ = ["Breaker", "CircuitOpenError"]


class CircuitOpenError(OverloadedError):
    """Not asked at all; `retry_after` says when it will be."""

    def is_retryable(self) -> bool:
        """Not by who asked: the pause is meant."""
        return False


class Breaker:
    """The table `circuit_breaker`: opens after `failure_threshold` failures in a row, for `reset_seconds`.

    Then one call may try; its success closes the circuit, its failure opens it again. What counts is an outage, not a
    refused key, a wrong request or a rate limit.
    """

    def __init__(self, name: str, table: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._threshold = int(table.get("failure_threshold", 5))
        self._reset = float(table.get("reset_seconds", 30.0))
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trying = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Raises: CircuitOpenError instead of letting the call through."""
        trial = self._check()
        try:
            yield
        except LLMSpellError as error:
            if _is_outage(error):
                self._failed()
            raise
        else:
            self._failures, self._opened_at = 0, None
        finally:
            self._trying = self._trying and not trial

    def _check(self) -> bool:
        """Whether this call is the one that tries."""
        if self._opened_at is None:
            return False
        left = self._opened_at + self._reset - self._clock()
        if left > 0 or self._trying:
            raise CircuitOpenError(
                f"{self.name} failed {self._failures} times in a row and is left alone for a while",
                provider=self.name,
                retry_after=max(0.0, round(left, 3)),
                hint=f"Name another model to fall back to, or change circuit_breaker in [providers.{self.name}].",
            )
        self._trying = True
        return True

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= self._threshold:
            self._opened_at = self._clock()


def _is_outage(error: LLMSpellError) -> bool:
    from llmspell_core.errors import NetworkError, TimeoutError

    known = isinstance(error, ProviderError | NetworkError | TimeoutError) and not isinstance(error, RateLimitError)
    return known and error.is_retryable()
