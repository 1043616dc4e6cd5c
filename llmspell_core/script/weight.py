"""How much of the host's memory a script's data takes, and a purse of it."""

from __future__ import annotations

import json
from typing import Any

from llmspell_core.errors import ResourceLimitError

__all__ = ["Purse", "weight"]

ENTRY = 100
"""Bytes of the smallest thing that is kept."""


def weight(*values: Any) -> int:
    """Bytes, roughly: those of their JSON text and some for each."""
    return sum(ENTRY + (len(v) if isinstance(v, str) else len(json.dumps(v, default=str))) for v in values)


class Purse:
    """What one script may leave in one place of the host.

    Args:
        what: is left there, for the message: `timers`. `limit`: bytes.
    """

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self._limit = limit
        self._spent = 0

    def spend(self, *values: Any) -> None:
        """Raises: ResourceLimitError when there is not enough left for these."""
        wanted = self._spent + weight(*values)
        if wanted > self._limit:
            raise ResourceLimitError(
                f"the script keeps too much in its {self._what}",
                resource=self._what,
                limit=self._limit,
                used=wanted,
                hint="Bytes are counted; keep less, or in smaller pieces.",
            )
        self._spent = wanted
