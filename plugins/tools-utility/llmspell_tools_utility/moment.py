"""Points in time that people write, in a closed list of forms: nothing is guessed, nothing filled in from today."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final

from llmspell_core.errors import ValidationError
from llmspell_tools_utility.zone import OFFSET, named_zone, read_zone, settled

MAX_TEXT = 200  # characters; longer texts are no dates

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# The only abbreviations of zones that a standard gives one meaning, and only in its own form.
RFC_2822_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "UT": 0}


def _names(names: tuple[str, ...]) -> str:
    return "|".join(f"{name[:3]}(?:{name[3:]})?" if len(name) > 3 else name for name in names)


YEAR = r"(?P<year>\d{4})"
SHORT_YEAR = r"(?P<year>\d{4}|\d\d)"
MONTH = rf"(?P<month_name>{_names(MONTHS)}|Sept)"
WEEKDAY = rf"(?:(?P<weekday>{_names(WEEKDAYS)}),?\s+)?"
DAY = r"(?P<day>\d{1,2})"
ORDINAL = rf"{DAY}(?:st|nd|rd|th)?"
CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?(?:\s?(?P<half>[ap])m)?"
    r"|(?P<only_hour>\d{1,2})\s?(?P<only_half>[ap])m"
)
COMPACT_CLOCK = r"(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
ZONE = r"(?P<zone>(?:(?:UTC|GMT)\s?)?[+-]\d{1,2}(?::?\d\d(?::\d\d)?)?|[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*)"
COMMENT = r"(?:\s\([A-Za-z ]{1,40}\))?"  # mail programs repeat the zone in words, for people


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a day; a time, and behind it a zone, may follow.

    Args:
        name: how the reference calls it.
        date: a regular expression of the day.
        iso: whether `T` may stand before the time.
    """

    name: str
    date: str
    iso: bool = False
    clock: str = CLOCK

    @property
    def pattern(self) -> re.Pattern[str]:
        between = r"(?:T|,?\s+)" if self.iso else r",?\s+"
        return _compiled(f"{self.date}(?:{between}(?:{self.clock})(?:\\s?{ZONE}{COMMENT})?)?")


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)  # which keeps the last ones: nothing is compiled at import


FORMS: Final = (
    Form("%Y-%m-%d", rf"{YEAR}-(?P<month>\d{{1,2}})-{DAY}", iso=True),
    Form("%Y%m%d", r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)", iso=True, clock=COMPACT_CLOCK),
    Form("%G-W%V-%u", rf"{YEAR}-W(?P<week>\d\d)-(?P<day>\d)", iso=True),
    Form("%Y-%j", rf"{YEAR}-(?P<day_of_year>\d{{3}})", iso=True),
    Form("%Y/%m/%d", rf"{YEAR}/(?P<month>\d{{1,2}})/{DAY}", iso=True),
    Form("%Y.%m.%d", rf"{YEAR}\.(?P<month>\d{{1,2}})\.{DAY}"),
    Form("%d/%m/%Y", rf"(?P<first>\d{{1,2}})/(?P<other>\d{{1,2}})/{SHORT_YEAR}"),
    Form("%d.%m.%Y", rf"{DAY}\.(?P<month>\d{{1,2}})\.{SHORT_YEAR}"),
    Form("%d-%m-%Y", rf"{DAY}-(?P<month>\d{{1,2}})-{YEAR}"),
    Form("%d-%b-%Y", rf"{WEEKDAY}{DAY}-{MONTH}-{SHORT_YEAR}"),
    Form("%d %B %Y", rf"{WEEKDAY}{ORDINAL}(?: of)?\s+{MONTH},?\s+{YEAR}"),
    Form("%B %d, %Y", rf"{WEEKDAY}{MONTH}\s+{ORDINAL},?\s+{YEAR}"),
)
RFC_2822 = "%d %B %Y"
ASCTIME = rf"{WEEKDAY}{MONTH}\s+{DAY}\s+(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\s(?P<zone>[A-Z]+))?\s{YEAR}"
NUMBER = re.compile(r"(?:-\d{1,12}|\d{9,12})(?:\.\d+)?|@-?\d{1,12}(?:\.\d+)?", re.ASCII)
MILLISECONDS = re.compile(r"\d{13,19}", re.ASCII)

AVAILABLE = (
    "ISO 8601",
    "RFC 3339",
    "RFC 2822",
    "Unix timestamp (a number, 9 to 12 digits, or @ and digits)",
    *(form.name for form in FORMS),
    "%m/%d/%Y",
    "%b %d %Y",
    "%a %b %d %H:%M:%S %Y",
    *(f"%Y-%m-%d{time}" for time in (" %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", " %I %p")),
)


class Timestamp(str):
    """A number that a script handed over as one: seconds since 1970, however few digits it has."""

    __slots__ = ()


def read_moment(text: str, zone: tzinfo = UTC, field: str = "input") -> datetime:
    """The moment that `text` names, with its zone; one without a zone is taken to be in `zone`.

    Raises:
        ValidationError: no known way to write a date, a date that does not exist, or a zone that nobody knows.
    """
    bare = text.strip()
    try:
        found = _read(bare, zone, field, isinstance(text, Timestamp)) if 0 < len(bare) <= MAX_TEXT else None
    except (ValueError, OverflowError) as error:
        raise _refusal(f"'{text[:60]}' names no moment that exists: {error}", field) from None
    if found is None:
        raise _refusal(f"'{text[:60]}' is not a date", field, bare)
    return found


def _refusal(message: str, field: str, text: str = "") -> ValidationError:
    hint = "Write it like 2024-03-15T10:30:00Z, 2024-03-15 10:30, 15/03/2024, March 15, 2024, or a Unix timestamp."
    if MILLISECONDS.fullmatch(text):
        hint = "Unix timestamps are in seconds here; these digits look like milliseconds or less."
    return ValidationError(f"datetime-handler: {message}", field=field, hint=hint)


def _read(text: str, zone: tzinfo, field: str, number: bool) -> datetime | None:
    if NUMBER.fullmatch(f"@{text}" if number else text):
        return _of_timestamp(text.removeprefix("@"))
    for form in () if number else FORMS:
        match = form.pattern.fullmatch(text)
        if match:
            return _moment(match.groupdict(), zone, field, form.name == RFC_2822)
    match = _compiled(ASCTIME).fullmatch(text)
    return _moment(match.groupdict(), zone, field, rfc_2822=True) if match else None


def _of_timestamp(text: str) -> datetime:
    fraction, seconds = math.modf(float(text))
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=round(fraction * 1e6))


Parts = dict[str, str | None]


def _moment(parts: Parts, zone: tzinfo, field: str, rfc_2822: bool) -> datetime:
    day = _day(parts)
    _check_weekday(parts, day)
    written = parts.get("zone")
    zone = zone if written is None else _zone(written, field, rfc_2822)
    hour, minute, second, micro = _clock(parts)
    carried = timedelta(days=1) if hour == 24 else timedelta()
    start = datetime(day.year, day.month, day.day, hour % 24, minute, min(second, 59), micro, tzinfo=zone)
    moment = settled(start + carried)
    return _after_leap_second(moment) if second == 60 else moment


def _number(parts: Parts, name: str) -> int:
    return int(parts.get(name) or 0)


def _day(parts: Parts) -> date:
    year = _year(parts["year"] or "")
    if parts.get("week"):
        return date.fromisocalendar(year, _number(parts, "week"), _number(parts, "day"))
    if parts.get("day_of_year"):
        return _day_of_year(year, _number(parts, "day_of_year"))
    if parts.get("first"):
        return _day_first(year, _number(parts, "first"), _number(parts, "other"))
    name = parts.get("month_name")
    month = _position(MONTHS, name) if name else _number(parts, "month")
    return date(year, month, _number(parts, "day"))


def _year(digits: str) -> int:
    """Two digits as POSIX reads them: 69 to 99 are of the twentieth century."""
    year = int(digits)
    if len(digits) > 2:
        return year
    return year + (1900 if year >= 69 else 2000)


def _day_of_year(year: int, number: int) -> date:
    day = date(year, 1, 1) + timedelta(days=number - 1)
    if day.year != year:
        message = f"{year} has no day {number}"
        raise ValueError(message)
    return day


def _day_first(year: int, first: int, other: int) -> date:
    """Day first: 03/04/2024 is the third of April; month first where that names no month."""
    return date(year, other, first) if other <= 12 else date(year, first, other)


def _position(names: tuple[str, ...], word: str) -> int:
    return next(number for number, name in enumerate(names, 1) if name[:3].lower() == word[:3].lower())


def _check_weekday(parts: Parts, day: date) -> None:
    name = parts.get("weekday")
    if name and _position(WEEKDAYS, name) != day.isoweekday():
        message = f"{day.isoformat()} is a {WEEKDAYS[day.weekday()]}, not a {WEEKDAYS[_position(WEEKDAYS, name) - 1]}"
        raise ValueError(message)


def _clock(parts: Parts) -> tuple[int, int, int, int]:
    hour, minute, second = (_number(parts, name) for name in ("hour", "minute", "second"))
    half = parts.get("half") or parts.get("only_half")
    if half:
        hour = _afternoon(hour or _number(parts, "only_hour"), half)
    micro = int((parts.get("fraction") or "").ljust(6, "0")[:6])
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and (minute or second or micro)):
        message = "no clock shows that time"
        raise ValueError(message)
    return hour, minute, second, micro


def _afternoon(hour: int, half: str) -> int:
    if not 1 <= hour <= 12:
        message = f"with am and pm hours go from 1 to 12, not {hour}"
        raise ValueError(message)
    return hour % 12 + (12 if half in "pP" else 0)


def _zone(word: str, field: str, rfc_2822: bool) -> tzinfo:
    name = word.strip()
    if name.upper() in {"Z", "UTC", "GMT"} or OFFSET.fullmatch(name):
        return read_zone(name, field)
    if "/" in name:
        return named_zone(name, field)
    if rfc_2822 and name.upper() in RFC_2822_ZONES:
        return timezone(timedelta(hours=RFC_2822_ZONES[name.upper()]))
    raise ValidationError(
        f"datetime-handler: '{name[:60]}' is not a time zone that means one thing",
        field=field,
        hint="Write the offset, as in 2024-03-15T10:30:00+02:00, or a name such as Europe/Paris.",
    )


def _after_leap_second(moment: datetime) -> datetime:
    """Clocks of computers do not count the second 60: it is the first one of the next minute."""
    utc = moment.astimezone(UTC)
    if (utc.hour, utc.minute) != (23, 59):
        message = "only 23:59 in UTC ever has a second 60"
        raise ValueError(message)
    return (utc.replace(microsecond=0) + timedelta(seconds=1)).astimezone(moment.tzinfo)
