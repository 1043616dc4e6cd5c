"""Reading JSON that somebody else wrote: whatever is wrong with it is a ValueError."""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["read_json"]


def read_json(text: str, *, strict: bool = True, finite: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        strict: whether a line end inside of a string is an error.
        finite: whether `NaN` and `Infinity` are errors, as JSON has it; Python's reader takes them for numbers.

    Raises:
        ValueError: it is not JSON, or nested more deeply than Python reads.
    """
    try:
        return json.loads(text, strict=strict, parse_constant=_no_number if finite else None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")
