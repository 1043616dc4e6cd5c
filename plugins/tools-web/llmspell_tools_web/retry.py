"""When to send a request again, and how long to wait before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pydantic import BaseModel, Field

from llmspell_core.errors import NetworkError, RateLimitError
from llmspell_core.policy import HttpResponse

# With these the server says that it did nothing, so even a POST may come again.
REFUSED = frozenset({429, 503})


class Retry(BaseModel):
    max_attempts: int = Field(3, ge=1, le=10, description="How often to send it at most.")
    initial_delay_ms: int = Field(1000, ge=0, description="The wait before the second attempt.")
    max_delay_ms: int = Field(
        30_000, ge=0, description="The longest wait; a server that asks for more is not asked again."
    )
    backoff_factor: float = Field(2.0, ge=1.0, description="How much longer each wait is than the one before.")
    retry_on_status: list[int] = Field(default=[429, 500, 502, 503, 504], description="Answers worth another attempt.")


async def with_retries(send: Callable[[], Awaitable[HttpResponse]], retry: Retry, *, may_repeat: bool) -> HttpResponse:
    """The first answer that is not worth another attempt, or the last one.

    Raises:
        NetworkError: the last attempt did not get an answer.
    """
    for attempt in range(1, retry.max_attempts):
        wait: float | None
        try:
            response = await send()
        except RateLimitError:
            raise
        except NetworkError:
            if not may_repeat:
                raise
            wait = _backoff(retry, attempt)
        else:
            wait = _wait_after(response, retry, attempt, may_repeat)
            if wait is None:
                return response
        await asyncio.sleep(wait)
    return await send()


def _wait_after(response: HttpResponse, retry: Retry, attempt: int, may_repeat: bool) -> float | None:
    """Seconds to wait before another attempt, None for: this is the answer."""
    status = response.status_code
    if status not in retry.retry_on_status or not (may_repeat or status in REFUSED):
        return None
    asked = retry_after(response.headers.get("retry-after"))
    if asked is None:
        return _backoff(retry, attempt)
    if asked * 1000 > retry.max_delay_ms:
        return None
    return asked * random.uniform(1.0, 1.1)  # never earlier than asked


def _backoff(retry: Retry, attempt: int) -> float:
    delay = min(retry.initial_delay_ms * retry.backoff_factor ** (attempt - 1), retry.max_delay_ms) / 1000
    return delay * random.uniform(0.5, 1.0)  # so that many clients do not come back at the same moment


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date; None when there is none to read."""
    if not value:
        return None
    if value.isascii() and value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
