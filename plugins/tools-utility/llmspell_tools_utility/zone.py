"""Time zones by name or offset, and the time line of a zone: its gaps, its repeated hours."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from llmspell_core.errors import ValidationError

OFFSET = re.compile(r"(?:(?:UTC|GMT)\s?)?([+-])(\d{1,2})(?::?(\d\d)(?::(\d\d))?)?", re.ASCII | re.IGNORECASE)
LOCAL_ZONE_FILE = Path("/etc/localtime")


def read_zone(name: str, field: str = "timezone") -> tzinfo:
    """An IANA name, UTC, local, or an offset such as +02:00 or UTC+2. Raises: ValidationError naming near matches."""
    bare = name.strip()
    if bare.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    if bare.lower() == "local":
        return local_zone()
    offset = OFFSET.fullmatch(bare)
    if offset:
        return _fixed(offset, name, field)
    return named_zone(bare, field)


def named_zone(name: str, field: str) -> tzinfo:
    """A zone of the IANA database. Raises: ValidationError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise _unknown_zone(name, field) from None


def local_zone() -> tzinfo:
    """The zone of this machine with its history, as far as the machine tells."""
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return ZoneInfo(name)
        with LOCAL_ZONE_FILE.open("rb") as file:
            return ZoneInfo.from_file(file, key="local")
    except (KeyError, ValueError, OSError):
        from dateutil.tz import tzlocal  # what the C library knows: the rules of this year

        zone: tzinfo = tzlocal()
        return zone


def _fixed(offset: re.Match[str], name: str, field: str) -> tzinfo:
    hours, minutes, seconds = (int(part or 0) for part in offset.groups()[1:])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise _unknown_zone(name, field)
    span = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(-span if offset[1] == "-" else span) if span else UTC


def _unknown_zone(name: str, field: str) -> ValidationError:
    from difflib import get_close_matches

    near = get_close_matches(name, available_timezones(), n=3, cutoff=0.5)
    hint = (
        f"Did you mean {', '.join(near)}?" if near else "Use a name such as Europe/Paris, or an offset such as +02:00."
    )
    return ValidationError(f"datetime-handler: '{name[:60]}' is not a time zone", field=field, hint=hint)


def settled(wall: datetime, near: timedelta | None = None) -> datetime:
    """The moment at which clocks show `wall`, whose zone it has.

    A time that the clocks skip lies as long after the gap as it would have after its beginning (02:30 becomes 03:30).
    Of one that they show twice it is the first, or the one whose offset is `near`.
    """
    first, second = wall.replace(fold=0), wall.replace(fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    repeated = before is not None and after is not None and before > after
    chosen = second if repeated and near is not None and after == near else first
    return chosen.astimezone(UTC).astimezone(wall.tzinfo)
