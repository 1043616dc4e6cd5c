"""What a script may have meant when it named something that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from llmspell_core.script.left_out import instead_of

__all__ = ["meant"]

MISSING = ("attempt to call a nil value", "attempt to index a nil value", "not a function", "is not defined")
"""How the engines say it; the name is not always in the message, so it is looked for in the line."""
USED = re.compile(r"(?<![\w\"'])([A-Za-z_]\w*)\s*(?=[.:(])|[.:]([A-Za-z_]\w*)\s*(?=[({\"'])")
CUTOFF = 0.7


def meant(message: str, line: str | None, manifest: Mapping[str, Any]) -> str | None:
    """`Did you mean builder?` for a name of `line` that nobody declared but that is close to one that somebody did.

    What is left out on purpose has advice of its own.
    """
    advice = instead_of(message, line) if line else None
    if advice or not line or not any(words in message for words in MISSING):
        return advice
    known = set(_names(manifest))
    wrong = [name for name in _used(line, message) if name not in known]
    near = [found for name in wrong for found in get_close_matches(name, sorted(known), n=2, cutoff=CUTOFF)]
    return f"Did you mean {' or '.join(near[:2])}?" if near else None


def _used(line: str, message: str) -> list[str]:
    """Names of a line that are called or looked into; the one that the message quotes, when it quotes one."""
    quoted = re.search(r"'(\w+)'\)|'(\w+)' is not defined|^(?:\w+: )?(\w+) is not defined", message)
    if quoted:
        return [name for name in quoted.groups() if name]
    return [found for match in USED.finditer(line) for found in match.groups() if found]


def _names(data: Any) -> Iterator[str]:
    """Every spelling of every global, function and method in a manifest (see `ScriptApi.manifest`)."""
    if isinstance(data, Mapping):
        yield from (name for name in data.get("names") or () if isinstance(name, str))
        if "functions" in data and isinstance(data.get("name"), str):
            yield data["name"]
        for value in data.values():
            yield from _names(value)
    elif isinstance(data, list):
        for item in data:
            yield from _names(item)
