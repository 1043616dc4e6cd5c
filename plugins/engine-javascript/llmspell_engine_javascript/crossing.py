"""JSON text on its way between host and VM, where the two understand different things by it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["LARGE", "holds_big_integer", "printable", "rich", "with_big_integers"]

LARGE = 16 * 1024
"""Characters of a JSON text that is looked at as a value, not as a text."""

_HUGE = re.compile(r"(?<![\d.])\d{16}")
# Nothing here is tried a second time (*+): what that takes to remember would grow with the text.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?')
_SAFE = 2**53 - 1


def holds_big_integer(value: Any) -> bool:
    """Whether an integer beyond 2^53 is in plain data; much faster than searching a long text for digits."""
    open_ = [value]
    while open_:
        item = open_.pop()
        if type(item) is int and not -_SAFE <= item <= _SAFE:
            return True
        if type(item) is list:
            open_.extend(item)
        elif type(item) is dict:
            open_.extend(item.values())
    return False


def rich(env: str, mark: str) -> str:
    """An env whose integers JavaScript can hold; its own would lose digits beyond 2^53 without a word."""
    text, changed = with_big_integers(env, mark)
    return f'{text[:-1]},"h":1}}' if changed else text


def with_big_integers(text: str, mark: str) -> tuple[str, bool]:
    """`text` with every integer beyond 2^53 as {"$big<mark>": "..."}; whether there was one."""
    if _HUGE.search(text) is None:
        return text, False

    def big_integer(match: re.Match[str]) -> str:
        token = match[0]
        if len(token) < 16 or not token.lstrip("-").isdigit() or abs(int(token)) <= _SAFE:
            return token
        return f'{{"$big{mark}":"{token}"}}'

    changed = _TOKEN.sub(big_integer, text)
    return changed, changed != text


def printable(text: str) -> str:
    """Half a surrogate pair cannot be printed."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
