"""From what handlers return to what can cross: null, booleans, numbers, strings, lists, objects.

JSON's own encoder does the work; `plain` is for what it does not know, and only then are values walked in Python.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ResourceLimitError, ScriptError
from llmspell_core.purse import measure
from llmspell_core.script.wire import encoder, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.reference import References

__all__ = ["MAX_DEPTH", "Encoder", "Path", "View", "parse"]

MAX_DEPTH = 64
MAX_CONTAINERS = 1_000_000
MAX_VALUES = 5_000_000
MAX_NESTING = 100
"""Levels of a frame: a VM refuses values deeper than `MAX_DEPTH` itself."""
_BIG = 1024 * 1024
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
"""Texts in JSON: what stands in them counts for nothing."""


Path = list[str | int]


class View:
    """A table that says some things twice: it crosses once, and the VM completes it by reference.

    Args:
        value: what crosses.
        json: the table's `text` is the JSON text of its envelope, which becomes `metadata.response`.
        flat: the keys of `metadata.response` are keys of the table, too; of an `error` there the message, and the whole
            as `error_details`.
        same: pairs of a place in the table and another place, whose value stands there as well.
    """

    __slots__ = ("flat", "json", "same", "value")

    def __init__(
        self,
        value: dict[str, Any],
        *,
        json: bool = False,
        flat: bool = False,
        same: Sequence[tuple[Path, Path]] = (),
    ) -> None:
        self.value, self.json, self.flat, self.same = value, json, flat, list(same)

    def wire(self) -> dict[str, Any]:
        """What stands as `v` in an env."""
        return {"json": self.json, "flat": self.flat, "same": self.same}


class Encoder:
    """JSON text of values. `special(value)` may turn an unknown object into data (handles do)."""

    def __init__(self, special: Callable[[Any], Any]) -> None:
        self._special = special
        self._encode = encoder(ascii_only=False, default=self._unknown)

    def text(self, value: Any) -> str:
        """Raises: ResourceLimitError when it is nested deeper than `MAX_DEPTH` or contains itself."""
        try:
            return self._encode(value)
        except (ValueError, TypeError, RecursionError):
            return self._encode(self._walk(value, 0))

    def _unknown(self, value: Any) -> Any:
        known = self._special(value)
        return _plain(value) if known is None else known

    def _walk(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ResourceLimitError("the value is nested too deeply", resource="nesting", limit=MAX_DEPTH, used=depth)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if value is None or isinstance(value, (str, int)):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._walk(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._walk(item, depth + 1) for item in value]
        return self._walk(self._unknown(value), depth + 1)


def _plain(value: Any) -> Any:
    """Data for an object that JSON does not know."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (uuid.UUID, os.PathLike)):
        return str(value)
    if isinstance(value, Iterable):
        return list(value)
    raise ScriptError(f"a value of type {type(value).__name__} cannot be handed to a script", phase="runtime")


def _has_too_much(payload: bytes | bytearray) -> bool:
    return payload.count(b"{") + payload.count(b"[") > MAX_CONTAINERS or payload.count(b",") > MAX_VALUES


def parse(payload: bytes | bytearray, references: References | None = None) -> Any:
    """The JSON value in a frame from an untrusted process; with what in it are functions and objects of the script.

    Raises:
        ValueError: not JSON, or more values than memory should be spent on.
    """
    if len(payload) > _BIG and _has_too_much(payload) and _has_too_much(_TEXTS.sub(b"", payload)):
        raise ValueError("too many values in one frame")
    try:
        read = load
        if references is not None and references.mark in payload and not payload.startswith(b'["done"'):
            read = references.load  # a result is data only
        value = read(payload.decode())
    except RecursionError as error:
        raise ValueError("values nested too deeply") from error
    if payload.count(b"[") + payload.count(b"{") > MAX_NESTING and measure(value)[1] > MAX_NESTING:
        raise ValueError(f"values nested deeper than {MAX_NESTING} levels")
    return value
