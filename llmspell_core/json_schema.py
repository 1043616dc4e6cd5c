"""JSON schemas as scripts write them, made what the standard wants. No imports beyond the standard library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmspell_core.errors import ValidationError

__all__ = ["TOOL_NAME", "check_tool_name", "with_lists"]

LISTS = frozenset({"required", "enum", "anyOf", "oneOf", "allOf", "prefixItems", "examples", "type"})
"""Keywords whose value is a list."""
TABLES = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords below which the keys are names, and the values schemas."""
VALUES = frozenset({"const", "default", "enum", "examples", "required"})
"""Keywords whose value is no schema."""
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every vendor takes as the name of a tool."""


def with_lists(schema: Any) -> Any:
    """`required = {}` is an empty table in Lua; where a schema wants a list, an empty table is an empty list."""
    if isinstance(schema, list):
        return [with_lists(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _keyword(key, value) for key, value in schema.items()}


def _keyword(key: Any, value: Any) -> Any:
    if key in LISTS and value == {}:
        return []
    if key in VALUES:
        return value
    if key in TABLES and isinstance(value, Mapping):
        return {name: with_lists(each) for name, each in value.items()}
    return with_lists(value)


def check_tool_name(name: str) -> None:
    """Raises: ValidationError for a name that models' vendors refuse."""
    if not TOOL_NAME.fullmatch(name):
        raise ValidationError(
            f"{name!r} is no name for a tool",
            field="name",
            hint="Vendors of models take 1 to 64 letters from a to z, digits, '_' and '-', e.g. 'read_notes'.",
        )
