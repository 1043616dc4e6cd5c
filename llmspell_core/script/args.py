"""What stands behind a script on the command line, as the script finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["script_args"]


def script_args(name: str, args: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """What becomes `ARGS`: {"script", "raw": [...], "positional": [...], "named": {...}}; all values strings.

    `--key value`, `--key=value`, and `--flag` (alone: "true") are named, everything else is positional.
    """
    named: dict[str, str] = {}
    if isinstance(args, Mapping):
        named = {str(key): str(value) for key, value in args.items()}
        return {"script": name, "raw": [], "positional": [], "named": named}
    positional: list[str] = []
    words = [str(word) for word in args]
    rest = iter(range(len(words)))
    for i in rest:
        word = words[i]
        if not word.startswith("--") or word == "--":
            positional.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        if not equals and i + 1 < len(words) and not words[i + 1].startswith("--"):
            value = words[i + 1]
            next(rest)
        named[key] = value if equals or value else "true"
    return {"script": name, "raw": words, "positional": positional, "named": named}
