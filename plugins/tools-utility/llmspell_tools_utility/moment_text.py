"""Points in time as text, by strftime patterns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from llmspell_core.errors import ValidationError

DIRECTIVE = re.compile(r"%(\.\d?f|[369]f|:z|[-_0]?[A-Za-z]|[+%])")

WRITERS: dict[str, Callable[[datetime], str]] = {
    ".f": lambda m: _fraction(m),
    ".3f": lambda m: f".{m.microsecond // 1000:03d}",
    ".6f": lambda m: f".{m.microsecond:06d}",
    ".9f": lambda m: f".{m.microsecond * 1000:09d}",
    "3f": lambda m: f"{m.microsecond // 1000:03d}",
    "6f": lambda m: f"{m.microsecond:06d}",
    "9f": lambda m: f"{m.microsecond * 1000:09d}",
    ":z": lambda m: _offset(m),
    "s": lambda m: str(math.floor(m.timestamp())),
    "+": lambda m: m.isoformat(),
    "F": lambda m: m.date().isoformat(),
    "T": lambda m: m.strftime("%H:%M:%S"),
    "D": lambda m: m.strftime("%m/%d/%y"),
    "R": lambda m: m.strftime("%H:%M"),
    "e": lambda m: f"{m.day:2d}",
    "k": lambda m: f"{m.hour:2d}",
    "l": lambda m: f"{m.hour % 12 or 12:2d}",
    "P": lambda m: m.strftime("%p").lower(),
    "C": lambda m: f"{m.year // 100:02d}",
    "h": lambda m: m.strftime("%b"),
    "n": lambda _: "\n",
    "t": lambda _: "\t",
    "Y": lambda m: f"{m.year:04d}",
    "G": lambda m: f"{m.isocalendar().year:04d}",
    "%": lambda _: "%",
}
STANDARD = frozenset("aAwdbBmyHIpMSfzZjUWcxXuV")


def write_moment(moment: datetime, pattern: str) -> str:
    """`moment` by a strftime pattern; the fraction directives `%.f`, `%.3f`, `%3f`, and `%:z`, `%s`, `%+` work too.

    Raises: ValidationError for a directive that does not exist.
    """
    return DIRECTIVE.sub(lambda match: _directive(moment, match[1]), pattern)


def _directive(moment: datetime, word: str) -> str:
    padding, letter = (word[0], word[1:]) if word[0] in "-_0" else ("", word)
    if letter in WRITERS:
        text = WRITERS[letter](moment)
    elif letter in STANDARD:
        text = moment.strftime(f"%{letter}")
    else:
        raise ValidationError(
            f"datetime-handler: '%{word}' is not a directive",
            field="format",
            hint="See operation='formats' for examples.",
        )
    return _padded(text, padding)


def _padded(text: str, padding: str) -> str:
    if not padding or not text.strip().isdigit():
        return text
    bare = text.strip().lstrip("0") or "0"
    return {"-": bare, "_": bare.rjust(len(text)), "0": bare.rjust(len(text), "0")}[padding]


def _fraction(moment: datetime) -> str:
    """As few digits as say it: none, three or six, with the point."""
    if not moment.microsecond:
        return ""
    return f".{moment.microsecond // 1000:03d}" if moment.microsecond % 1000 == 0 else f".{moment.microsecond:06d}"


def _offset(moment: datetime) -> str:
    """As `+01:00`; the local times of old days have seconds, which are part of the moment: `+00:19:32`."""
    offset = moment.utcoffset() or timedelta()
    hours, rest = divmod(abs(offset), timedelta(hours=1))
    minutes, seconds = divmod(rest, timedelta(minutes=1))
    text = f"{'-' if offset < timedelta() else '+'}{hours:02d}:{minutes:02d}"
    return f"{text}:{seconds.seconds:02d}" if seconds else text
