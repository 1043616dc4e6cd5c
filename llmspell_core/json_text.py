"""Reading JSON that somebody else wrote: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["read_json"]


def read_json(text: str, *, strict: bool = True) -> Any:
    """The value of a JSON text.

    Args:
        strict: whether a line end inside of a string is an error.

    Raises:
        ValueError: it is not JSON, or nested more deeply than Python reads.
    """
    try:
        return json.loads(text, strict=strict)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
