"""Functions and objects of a script where they stand in what crosses, told from data that only looks like them.

What a model or a server wrote may hold `{"$fn": 1}` or `{"$handle": "Agent", "id": 1}`, and must never become the script's first
function, or its agent. So on the wire the names of these keys end with a mark that each session draws by lot and that no
script sees: only the VM and the host can write it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, TypeGuard

__all__ = ["Reference", "References", "is_function", "is_object", "new_mark"]

LONGEST_KIND = 200


@dataclass(frozen=True, slots=True, repr=False)
class Reference:
    """A function of the script (`kind` is empty), or an object of that kind which the script holds."""

    kind: str
    id: int

    def __repr__(self) -> str:
        return f"a {self.kind or 'function'}"

    def to_wire(self, mark: str) -> dict[str, Any]:
        return {f"$handle{mark}": self.kind, "id": self.id} if self.kind else {f"$fn{mark}": self.id}


def is_function(value: Any) -> TypeGuard[Reference]:
    """Whether a value that a script gave is a function of it."""
    return type(value) is Reference and not value.kind


def is_object(value: Any) -> TypeGuard[Reference]:
    """Whether a value that a script gave is an object that the host made for it."""
    return type(value) is Reference and value.kind != ""


def new_mark() -> str:
    return os.urandom(8).hex()


class References:
    """Reads the marked keys of one session."""

    __slots__ = ("_decode", "_function", "_object", "mark")

    def __init__(self, mark: str) -> None:
        self.mark = mark.encode()
        self._function, self._object = f"$fn{mark}", f"$handle{mark}"
        self._decode = json.JSONDecoder(object_hook=self._found).raw_decode

    def load(self, text: str) -> Any:
        """The value of compact JSON text with a `Reference` for each. Raises: ValueError, RecursionError."""
        value, end = self._decode(text)
        if end != len(text):
            raise ValueError(f"something follows after character {end}")
        return value

    def _found(self, data: dict[str, Any]) -> dict[str, Any] | Reference:
        """Whoever writes a mark may still write nonsense: a reference is small, whatever stands there."""
        if type(number := data.get(self._function)) is int:
            return Reference("", number)
        kind, number = data.get(self._object), data.get("id")
        if type(kind) is str and type(number) is int and 0 < len(kind) <= LONGEST_KIND:
            return Reference(kind, number)
        return data
