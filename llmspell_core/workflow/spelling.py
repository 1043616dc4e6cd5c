"""Option tables in both spellings: `timeout_ms` and `timeoutMs` are one key. What a step is given stays as written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["snake_keys"]

HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """The same table with `camelCase` keys as `snake_case`; only its own keys, nothing inside."""
    return {HUMP.sub(r"_\1", key).lower() if key[:1].islower() else key: value for key, value in table.items()}
