"""Closed sets of names: one that is not in the set is an error that tells the nearest one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmspell_core.errors import ValidationError

__all__ = ["check_known", "nearest", "suggestion"]

CUTOFF = 0.6
MOST = 40
"""Names that a hint lists at most."""


def nearest(name: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """The one of `known` that was probably meant: by spelling, or the same but for case, `-` and `_`."""
    from difflib import get_close_matches

    given = list(dict.fromkeys(known))
    same = [other for other in given if _bare(other) == _bare(name)]
    near = same or get_close_matches(name, given, n=1, cutoff=cutoff)
    return near[0] if near else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'model'?)`, or nothing."""
    near = nearest(name, known)
    return f" (did you mean '{near}'?)" if near else ""


def check_known(where: str, given: Mapping[Any, Any], known: Iterable[str], what: str = "option") -> None:
    """Every key of `given` is one of `known`.

    Args:
        where: what the message begins with, e.g. `Agent.create`.
        what: what a key is, in the singular.

    Raises:
        ValidationError: `Agent.create: unknown option 'modle' (did you mean 'model'?)`.
    """
    wrong = [str(key) for key in given if key not in known]
    if wrong:
        names = sorted(known)
        listed = ", ".join(f"'{name}'{suggestion(name, names)}" for name in wrong[:MOST])
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        raise ValidationError(
            f"{where}: unknown {what}{'s' if len(wrong) > 1 else ''} {listed}",
            field=wrong[0],
            hint=f"Known: {', '.join(names[:MOST])}{more}." if names else f"It takes no {what}s.",
        )


def _bare(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
