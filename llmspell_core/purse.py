"""How much memory plain data takes in this process, and purses of it: what a script makes its host hold has a limit.

A script's own memory limit covers its process only. Bytes of Python memory are counted, not of JSON: an empty list takes
25 times its two characters.
"""

from __future__ import annotations

import json
from sys import getsizeof
from typing import Any

from llmspell_core.errors import ResourceLimitError

__all__ = [
    "ENTRY",
    "MOST_EXPANDED",
    "MOST_PARSED",
    "OBJECT",
    "Purse",
    "Room",
    "indented",
    "json_weight",
    "measure",
    "weigh",
]

ENTRY = 100
"""Bytes that a place in a list or a table of the host takes, besides what stands there."""
OBJECT = 1_000
"""Bytes of an object that the host makes for a script, besides what the script gave it."""
MOST_EXPANDED = 100_000_000
"""Bytes of memory that the placeholders of one text or table may become together."""
MOST_PARSED = 200_000_000
"""Bytes of memory that the value of one JSON text may take which a script or a server gave."""
LONG_TEXT = 1_000_000
MOST = 1 << 34
"""Where measuring stops in any case: data that contains itself has no end."""
_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})
_LIST, _ITEM = 72, 40
_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def weigh(value: Any, limit: int = MOST) -> int:
    """Bytes that plain data takes with everything in it. Counting stops beyond `limit`, so it takes bounded time."""
    return measure(value, limit)[0]


def measure(value: Any, limit: int = MOST) -> tuple[int, int]:
    """Bytes that plain data takes, and how deeply it is nested; both are too low once the bytes are beyond `limit`.

    Equal keys of one value count once: its reader made one string of them.
    """
    total, depth = getsizeof(value, ENTRY), 0
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    names: set[Any] = set()
    while level and total <= limit:
        depth += 1
        inner: list[Any] = []
        for container in level:
            items = container
            if type(container) is dict:
                names.update(container)
                items = container.values()
            total += sum(map(getsizeof, items))
            inner += [item for item in items if type(item) in _CONTAINERS]
            if total > limit:
                break
        level = inner
    return total + sum(map(getsizeof, names)), depth


def json_weight(text: str | bytes) -> int:
    """The most bytes, roughly, that the value of a JSON text takes. Quick, so that it can be asked before parsing."""
    if isinstance(text, str):
        opened, items = text.count("[") + text.count("{"), text.count(",") + text.count(":")
    else:
        opened, items = text.count(b"[") + text.count(b"{"), text.count(b",") + text.count(b":")
    return len(text) + opened * _LIST + items * _ITEM


def indented(value: Any) -> str:
    """JSON text with line ends, for people; on one line where the blanks before the lines would take most of it.

    Raises: ValueError for what JSON has no word for, RecursionError.
    """
    text = _compact(value)
    if len(text) > LONG_TEXT:
        lines = text.count(",") + 2 * (text.count("[") + text.count("{"))
        if lines * 2 * measure(value)[1] > LONG_TEXT + 10 * len(text):
            return text
    return json.dumps(value, indent=2, ensure_ascii=False)


class Room:
    """How much the placeholders of one text or table may become: a short text can name a long one many times.

    Attributes:
        used: bytes of memory of everything that was put in so far.
    """

    __slots__ = ("_what", "used")

    def __init__(self, what: str = "the placeholders of one step's input") -> None:
        self._what = what
        self.used = 0

    def take(self, value: Any) -> Any:
        """`value`. Raises: ResourceLimitError."""
        self.used += weigh(value, MOST_EXPANDED)
        if self.used > MOST_EXPANDED:
            raise ResourceLimitError(
                f"{self._what} become too large: more than {MOST_EXPANDED:,} bytes of memory",
                resource="placeholders",
                limit=MOST_EXPANDED,
                used=self.used,
                hint="Name only the part that is needed, and name it once.",
            )
        return value


class Purse:
    """What one script may make its host hold: altogether, or in one place of it.

    Args:
        what: is held, for the message: `timers`. `limit`: bytes. `outer`: the purse that this one is a part of.
    """

    __slots__ = ("_limit", "_outer", "_what", "used")

    def __init__(self, what: str, limit: int, outer: Purse | None = None) -> None:
        self._what = what
        self._limit = limit
        self._outer = outer
        self.used = 0

    def spend(self, *values: Any) -> int:
        """Keeps these values; what they weigh, for `give_back`. Raises: ResourceLimitError when there is no room."""
        return self.take(sum(ENTRY + weigh(value, self._limit) for value in values))

    def take(self, size: int) -> int:
        """Raises: ResourceLimitError when there are not so many bytes left; nothing is taken then."""
        if self.used + size > self._limit:
            raise ResourceLimitError(
                f"the script keeps too much in its {self._what}: {self.used + size:,} bytes of memory,"
                f" {self._limit:,} are allowed",
                resource=self._what,
                limit=self._limit,
                used=self.used + size,
                hint="Keep less at one time, or in smaller pieces; a file or a database has more room.",
            )
        if self._outer is not None:
            self._outer.take(size)
        self.used += size
        return size

    def give_back(self, size: int) -> None:
        self.used -= size
        if self._outer is not None:
            self._outer.give_back(size)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes could be taken."""
        return self.used + size <= self._limit and (self._outer is None or self._outer.has_room(size))
