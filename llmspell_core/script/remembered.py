"""The errors that a script was told of as text, found again by that text. Standard library only: the worker imports it."""

from __future__ import annotations

from typing import Any

__all__ = ["OF_SCRIPT", "Remembered", "misuse"]

MOST = 64
"""Different messages that are kept, the latest."""
LONGEST = 20_000
"""Characters of a text that is looked at."""
SHORTEST = 8
"""Characters of a message that is found anywhere in a longer text; a shorter one has to be its end."""
OF_SCRIPT = {"type": "ScriptError", "code": "script", "retryable": False}


class Remembered:
    """Errors by message. A script adds to a message: where it was, or what it was doing."""

    def __init__(self) -> None:
        self._errors: dict[str, dict[str, Any]] = {}

    def add(self, error: dict[str, Any]) -> None:
        message = str(error.get("message"))
        self._errors.pop(message, None)
        self._errors[message] = error
        if len(self._errors) > MOST:
            del self._errors[next(iter(self._errors))]

    def find(self, text: str) -> dict[str, Any] | None:
        """The error whose message is `text`, or the longest that stands in it."""
        known = self._errors.get(text)
        if known is not None:
            return known
        text = text[:LONGEST]
        inside = [m for m in self._errors if (m in text if len(m) >= SHORTEST else text.endswith(f": {m}"))]
        return self._errors[max(inside, key=len)] if inside else None

    def info(self, text: str) -> dict[str, Any]:
        """What `Debug.error_info` says of an error that is a text."""
        return self.find(text) or {"message": text} | OF_SCRIPT


def misuse(message: str) -> dict[str, Any]:
    """The error of a call that the VM itself refuses, because something is wrong with what it was given."""
    kind = {"kind": "Validation", "type": "ValidationError", "code": "validation"}
    return {**kind, "message": message, "hint": None, "retryable": False}
