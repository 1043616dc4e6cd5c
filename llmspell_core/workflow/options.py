"""Reading the tables that people write: keys in both spellings, numbers that make sense.

`timeout_ms` and `timeoutMs` are one key. What a step is given stays as written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmspell_core.errors import ValidationError

__all__ = ["flag", "milliseconds", "number", "snake_keys", "whole"]

HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
MOST = 1e15
"""More than this is no count and no time, but a mistake."""


def snake_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """The same table with `camelCase` keys as `snake_case`; only its own keys, nothing inside."""
    return {HUMP.sub(r"_\1", key).lower() if key[:1].islower() else key: value for key, value in table.items()}


def number(value: Any, name: str, *, least: float = 0, above: bool = False) -> float:
    """A finite number, at least `least` (or more than that). Raises: ValidationError naming the field."""
    if not _is_number(value) or value < least or (above and value == least):
        wanted = f"more than {least:g}" if above else f"a number, {least:g} or more"
        if isinstance(value, (int, float)) and value > MOST:
            wanted = f"at most {MOST:g}"
        raise ValidationError(f"'{name}' must be {wanted}, got {_quoted(value)}", field=name)
    return float(value)


def whole(value: Any, name: str, *, least: int = 0) -> int:
    """A whole number. Raises: ValidationError naming the field."""
    if not _is_number(value) or value != int(value) or value < least:
        raise ValidationError(f"'{name}' must be a whole number, at least {least}, got {_quoted(value)}", field=name)
    return int(value)


def flag(value: Any, name: str) -> bool:
    """Raises: ValidationError naming the field."""
    if not isinstance(value, bool):
        raise ValidationError(f"'{name}' must be true or false, got {_quoted(value)}", field=name)
    return value


def milliseconds(table: Mapping[str, Any], name: str = "timeout") -> float | None:
    """Seconds: `<name>_ms` of the table, else `<name>`, which is in seconds; None when it has neither."""
    given, factor, key = table.get(f"{name}_ms"), 1000, f"{name}_ms"
    if given is None:
        given, factor, key = table.get(name), 1, name
    return None if given is None else number(given, key, above=True) / factor


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= MOST  # which no NaN is


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
