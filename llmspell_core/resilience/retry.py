"""Whether a failed model call is worth another attempt, and after how long."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from llmspell_core.errors import LLMSpellError, RateLimitError, TimeoutError
from llmspell_core.provider import ProviderSettings

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The table `retry`, in seconds; `rate_limits` is `auto_retry` of the table `rate_limit`.

    `timeouts`: whether to wait once more for what did not answer in its time.
    """

    max_retries: int = 3
    initial_delay: float = 1.0
    max_delay: float = 30.0
    multiplier: float = 2.0
    rate_limits: bool = True
    timeouts: bool = True

    @classmethod
    def for_settings(cls, settings: ProviderSettings, *, retried: bool) -> Self:
        """From the table `retry`; without it `max_retries` short waits, but none for an answer that took too long.

        Args:
            retried: whether the provider's calls are made again unasked.
        """
        limits = settings.options.get("rate_limit") or {}
        if "retry" in settings.options:
            return cls.of(settings.options["retry"] or {}, limits)
        attempts = settings.max_retries if retried else 0
        return cls(attempts, 0.5, 30.0, 2.0, bool(limits.get("auto_retry", True)), timeouts=False)

    @classmethod
    def of(cls, table: Mapping[str, Any], limits: Mapping[str, Any]) -> Self:
        return cls(
            int(table.get("max_retries", 3)),
            float(table.get("initial_delay_ms", 1000)) / 1000,
            float(table.get("max_delay_ms", 30_000)) / 1000,
            float(table.get("backoff_multiplier", 2.0)),
            bool(limits.get("auto_retry", True)),
        )

    def wait(self, error: LLMSpellError, attempt: int) -> float | None:
        """Seconds until the next attempt; None: there is none.

        What the server asks for is obeyed; when it is more than `max_delay`, waiting is left to somebody with more time. A
        random part keeps callers that failed together from coming back together.

        Args:
            attempt: how many failed before this one.
        """
        if attempt >= self.max_retries or not error.is_retryable():
            return None
        if isinstance(error, RateLimitError) and not self.rate_limits:
            return None
        if isinstance(error, TimeoutError) and not self.timeouts:
            return None
        told: float | None = getattr(error, "retry_after", None)
        if told is not None:
            return told * random.uniform(1.0, 1.1) if told <= self.max_delay else None
        return min(self.max_delay, self.initial_delay * self.multiplier**attempt) * random.uniform(0.5, 1.0)
