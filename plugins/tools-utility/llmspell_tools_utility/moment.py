"""Points in time as text: reads what people write, writes by strftime patterns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, available_timezones

from llmspell_core.errors import ValidationError

MAX_TEXT = 200  # longer texts are no dates, and dateutil need not look at them

DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d/%m/%Y",  # day first: 03/04/2024 is the third of April
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%d.%m.%Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%d %b %Y",
    "%B %d %Y",
    "%b %d %Y",
    "%d-%b-%Y",
)
TIMES = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
AVAILABLE = ("ISO 8601", "RFC 3339", "RFC 2822", "Unix timestamp", *DATES, *(f"{DATES[0]}{time}" for time in TIMES[1:]))

NUMBER = re.compile(r"-?\d+(\.\d+)?")
COMPACT_DATE = re.compile(r"(19|20)\d{6}")
RFC_2822 = re.compile(r"([A-Za-z]{3},\s*)?\d{1,2} [A-Za-z]{3} \d{4} \d{1,2}:\d\d(:\d\d)? ([+-]\d{4}|[A-Z]{1,4})")
OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d\d)?")


def read_zone(name: str, field: str = "timezone") -> tzinfo:
    """An IANA name, UTC, local, or an offset such as +02:00. Raises: ValidationError naming near matches."""
    if name.strip().upper() in {"UTC", "Z", "GMT"}:
        return UTC
    if name.lower() == "local":
        return _local_zone()
    offset = OFFSET.fullmatch(name.strip())
    if offset:
        return _fixed(offset, name, field)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise _unknown_zone(name, field) from None


def _local_zone() -> tzinfo:
    from dateutil.tz import tzlocal

    zone: tzinfo = tzlocal()
    return zone


def _fixed(offset: re.Match[str], name: str, field: str) -> tzinfo:
    minutes = int(offset[2]) * 60 + int(offset[3] or 0)
    if minutes >= 24 * 60:
        raise _unknown_zone(name, field)
    return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))


def _unknown_zone(name: str, field: str) -> ValidationError:
    from difflib import get_close_matches

    near = get_close_matches(name, available_timezones(), n=3, cutoff=0.5)
    hint = (
        f"Did you mean {', '.join(near)}?" if near else "Use a name such as Europe/Paris, or an offset such as +02:00."
    )
    return ValidationError(f"datetime-handler: '{name[:60]}' is not a time zone", field=field, hint=hint)


def read_moment(text: str, zone: tzinfo = UTC, field: str = "input") -> datetime:
    """The moment that `text` names, with its zone; one without a zone is taken to be in `zone`.

    Raises:
        ValidationError: no known way to write a date, or a date that does not exist.
    """
    bare = text.strip()
    for reader in (_timestamp, _iso, _rfc_2822, _pattern, _free):
        found = reader(bare) if 0 < len(bare) <= MAX_TEXT else None
        if found is not None:
            return found if found.tzinfo else found.replace(tzinfo=zone)
    raise ValidationError(
        f"datetime-handler: '{text[:60]}' is not a date",
        field=field,
        hint="Write it like 2024-03-15T10:30:00Z, 2024-03-15 10:30, 15/03/2024, March 15, 2024, or a Unix timestamp.",
    )


def _tolerant(read: Callable[[str], datetime | None]) -> Callable[[str], datetime | None]:
    """None where `read` finds no date: each reader only says that the next one may try."""

    def attempt(text: str) -> datetime | None:
        try:
            return read(text)
        except (ValueError, OverflowError, OSError, TypeError, IndexError):
            return None

    return attempt


@_tolerant
def _timestamp(text: str) -> datetime | None:
    if not NUMBER.fullmatch(text) or COMPACT_DATE.fullmatch(text):
        return None
    fraction, seconds = math.modf(float(text))
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=round(fraction * 1e6))


@_tolerant
def _iso(text: str) -> datetime | None:
    return datetime.fromisoformat(text)


@_tolerant
def _rfc_2822(text: str) -> datetime | None:
    return parsedate_to_datetime(text) if RFC_2822.fullmatch(text) else None


def _pattern(text: str) -> datetime | None:
    found = (_by_pattern(f"{date}{time}", text) for date in DATES for time in TIMES)
    return next((moment for moment in found if moment), None)


def _by_pattern(pattern: str, text: str) -> datetime | None:
    return _tolerant(lambda t: datetime.strptime(t, pattern))(text)  # noqa: DTZ007 - the caller adds the zone


@_tolerant
def _free(text: str) -> datetime | None:
    """Whatever else dateutil understands, if the text itself names the day: nothing is filled in from today."""
    from dateutil import parser

    first, second = (parser.parse(text, default=base, dayfirst=True) for base in _bases())
    return first if first == second else None


def _bases() -> Iterator[datetime]:
    yield datetime(2000, 1, 1)  # noqa: DTZ001 - two different days without a zone, only to be compared
    yield datetime(2003, 2, 2)  # noqa: DTZ001


DIRECTIVE = re.compile(r"%(\.\d?f|[369]f|:z|[-_0]?[A-Za-z]|[+%])")

WRITERS: dict[str, Callable[[datetime], str]] = {
    ".f": lambda m: _fraction(m),
    ".3f": lambda m: f".{m.microsecond // 1000:03d}",
    ".6f": lambda m: f".{m.microsecond:06d}",
    ".9f": lambda m: f".{m.microsecond * 1000:09d}",
    "3f": lambda m: f"{m.microsecond // 1000:03d}",
    "6f": lambda m: f"{m.microsecond:06d}",
    "9f": lambda m: f"{m.microsecond * 1000:09d}",
    ":z": lambda m: m.isoformat()[-6:],
    "s": lambda m: str(math.floor(m.timestamp())),
    "+": lambda m: m.isoformat(),
    "F": lambda m: m.strftime("%Y-%m-%d"),
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
    "%": lambda _: "%",
}
STANDARD = frozenset("aAwdbBmyHIpMSfzZjUWcxXGuV")


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
