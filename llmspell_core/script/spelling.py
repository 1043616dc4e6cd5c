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
    owners = _owners(manifest)
    used = _used(line, message)
    wrong = [name for name in used if name not in owners]
    near = [found for name in wrong for found in get_close_matches(name, sorted(owners), n=2, cutoff=CUTOFF)]
    if near:
        return f"Did you mean {' or '.join(near[:2])}?"
    elsewhere = owners.get(used[0], []) if len(used) == 1 else []
    return f"'{used[0]}' is one of {' and '.join(elsewhere[:3])}." if elsewhere else None


def _used(line: str, message: str) -> list[str]:
    """Names of a line that are called or looked into; the one that the message quotes, when it quotes one."""
    quoted = re.search(r"'(\w+)'\)|'(\w+)' is not defined|^(?:\w+: )?(\w+) is not defined", message)
    if quoted:
        return [name for name in quoted.groups() if name]
    found = [match.groups() for match in USED.finditer(line)]
    called = [member for _, member in found if member]
    return called if called and "not a function" in message else [name for pair in found for name in pair if name]


def _owners(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """Every spelling of every global, function and method in a manifest (see `ScriptApi.manifest`), and whose it is."""
    found: dict[str, list[str]] = {}
    for name, owner in _members(manifest):
        if owner not in found.setdefault(name, []):
            found[name].append(owner)
    return found


def _members(data: Any, owner: str = "the globals") -> Iterator[tuple[str, str]]:
    if isinstance(data, Mapping):
        yield from ((name, owner) for name in data.get("names") or () if isinstance(name, str))
        own = data.get("name")
        if isinstance(own, str) and any(part in data for part in ("functions", "setters", "methods")):
            yield own, owner
            owner = f"{owner}.{own}()" if "setters" in data else own
        for value in data.values():
            yield from _members(value, owner)
    elif isinstance(data, list):
        for item in data:
            yield from _members(item, owner)
