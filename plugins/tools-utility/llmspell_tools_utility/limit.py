"""The limits that the tools of this distribution share."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from llmspell_core.errors import ResourceLimitError, TimeoutError

MIB = 1024 * 1024


def require_size(what: str, used: int, limit: int) -> None:
    """Raises: ResourceLimitError when `used` bytes are more than `limit`."""
    if used > limit:
        raise ResourceLimitError(
            f"{what} is too large",
            resource=f"{what} size in bytes",
            limit=limit,
            used=used,
            hint="Pass less at a time, or split the work over several calls.",
        )


@asynccontextmanager
async def deadline(tool: str, seconds: float) -> AsyncIterator[None]:
    """Raises: TimeoutError when the block is not done after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except builtins.TimeoutError:
        raise TimeoutError(
            f"{tool} was not done after {seconds:g} seconds",
            duration_ms=round(seconds * 1000),
            hint="Pass less at a time.",
        ) from None
