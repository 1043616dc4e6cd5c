"""The tool `datetime-handler`."""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidatorFunctionWrapHandler, field_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ValidationError
from llmspell_core.tool import Tool, ToolResult
from llmspell_tools_utility.limit import MIB, require_size
from llmspell_tools_utility.moment import AVAILABLE, Timestamp, read_moment
from llmspell_tools_utility.moment_text import write_moment
from llmspell_tools_utility.returns import DATETIME
from llmspell_tools_utility.zone import read_zone, settled

MAX_BYTES = 10 * MIB
ISO = "%Y-%m-%dT%H:%M:%S%.fZ"
ISO_WITH_OFFSET = "%Y-%m-%dT%H:%M:%S%.f%:z"
CONVERTED = "%Y-%m-%d %H:%M:%S %Z"
EXAMPLES = {
    "ISO8601": ISO,
    "RFC3339": "%Y-%m-%d %H:%M:%S%:z",
    "RFC2822": "%a, %d %b %Y %H:%M:%S %z",
    "Unix timestamp": "%s",
    "Human readable": "%B %d, %Y at %I:%M %p",
    "Date only": "%Y-%m-%d",
    "Time only": "%H:%M:%S",
}

Unit = Literal["seconds", "minutes", "hours", "days", "weeks", "months", "years"]
UNITS: dict[str, Unit] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "seconds"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "minutes"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "hours"),
    **dict.fromkeys(("d", "day", "days"), "days"),
    **dict.fromkeys(("w", "week", "weeks"), "weeks"),
    **dict.fromkeys(("mo", "month", "months"), "months"),
    **dict.fromkeys(("y", "yr", "year", "years"), "years"),
}


class Parameters(BaseModel):
    operation: Literal["parse", "now", "convert_timezone", "add", "subtract", "difference", "info", "formats"] = Field(
        "parse", description="What to do; `now` tells the current date and time."
    )
    input: str | None = Field(
        None,
        description="The date, for parse, convert_timezone, add, subtract and info: 2024-03-15T10:30:00Z, "
        "2024-03-15 10:30, 15/03/2024 (day first), March 15, 2024, or a Unix timestamp.",
    )
    timezone: str | None = Field(
        None,
        description="Zone for now, of dates written without one, and in which days are counted, e.g. 'Europe/Paris'. "
        "Default: UTC; now: local.",
    )
    target_timezone: str | None = Field(None, description="For convert_timezone: the zone to convert to.")
    amount: int | None = Field(None, description="For add and subtract: how many units.")
    unit: Unit | None = Field(None, description="For add and subtract.")
    start: str | None = Field(None, description="For difference: the first date.")
    end: str | None = Field(None, description="For difference: the second date.")
    format: str | None = Field(
        None, max_length=1000, description="How to write dates, as for strftime, e.g. '%Y-%m-%d'."
    )

    @field_validator("unit", mode="before")
    @classmethod
    def _full_unit(cls, value: Any) -> Any:
        return UNITS.get(value.lower(), value) if isinstance(value, str) else value

    @field_validator("input", "start", "end", mode="wrap")
    @classmethod
    def _timestamp(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Scripts hand over Unix timestamps as numbers."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return Timestamp(value) if number else validate(value)


class DatetimeHandler(Tool[Parameters]):
    name = "datetime-handler"
    aliases = ("date-time-handler",)
    description = (
        "Tells the current time, reads dates, converts time zones, adds and subtracts, and measures intervals."
    )
    parameters = Parameters
    returns = DATETIME
    example = {"operation": "now"}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        for text in (params.input, params.start, params.end):
            require_size("the date", len(text or ""), MAX_BYTES)
        return OPERATIONS[params.operation](params)


def _required(params: Parameters, name: str) -> Any:
    value = getattr(params, name)
    if value is None or value == "":
        raise ValidationError(
            f"datetime-handler: '{name}' is required for {params.operation}",
            field=name,
            hint=f"Pass {name}; see: llmspell tool info datetime-handler",
        )
    return value


def _zone(params: Parameters) -> tzinfo:
    return read_zone(params.timezone) if params.timezone else UTC


def _moment(params: Parameters, name: str = "input") -> datetime:
    """The date in parameter `name`, shown in the zone of the call (UTC unless `timezone` says otherwise)."""
    zone = _zone(params)
    return _within_range(
        lambda: read_moment(_required(params, name), zone, name).astimezone(UTC).astimezone(zone), name
    )


def _within_range(work: Callable[[], datetime], field: str) -> datetime:
    try:
        return work()
    except (OverflowError, ValueError):
        raise ValidationError(
            "datetime-handler: that leads outside the years 1 to 9999", field=field, hint="Use a smaller amount."
        ) from None


def _pattern(params: Parameters, moment: datetime) -> str:
    return params.format or (ISO if moment.tzinfo is UTC else ISO_WITH_OFFSET)


def _write(params: Parameters, moment: datetime) -> str:
    return write_moment(moment, _pattern(params, moment))


def _clock(moment: datetime) -> dict[str, Any]:
    return {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
        "weekday": moment.strftime("%A"),
    }


def _parse(params: Parameters) -> ToolResult:
    moment = _moment(params)
    utc = moment.astimezone(UTC)
    pattern = _pattern(params, utc)
    parsed = {"utc": write_moment(utc, pattern), "timestamp": int(utc.timestamp() // 1), **_clock(moment)}
    result = {"input": params.input, "parsed": parsed, "format_used": pattern}
    return ToolResult(result, message="Date parsed successfully")


def _now(params: Parameters) -> ToolResult:
    moment = datetime.now(read_zone(params.timezone or "local"))
    pattern = _pattern(params, moment)
    result = {
        "timezone": params.timezone or "local",
        "datetime": write_moment(moment, pattern),
        "format": pattern,
        "timestamp": int(moment.timestamp()),
        "iso": moment.isoformat(),
    }
    return ToolResult(result, message="Current time retrieved")


def _convert_timezone(params: Parameters) -> ToolResult:
    original = read_moment(_required(params, "input"), _zone(params))
    target = read_zone(_required(params, "target_timezone"), "target_timezone")
    converted = _within_range(lambda: original.astimezone(target), "input")
    pattern = params.format or CONVERTED
    result = {
        "input": params.input,
        "target_timezone": params.target_timezone,
        "original": write_moment(original, pattern),
        "converted": write_moment(converted, pattern),
    }
    return ToolResult(result, message="Timezone converted successfully")


def _shift(params: Parameters) -> ToolResult:
    amount, unit = _required(params, "amount"), _required(params, "unit")
    original = _moment(params)
    moved = _within_range(lambda: _moved(original, amount if params.operation == "add" else -amount, unit), "amount")
    result = {
        "input": params.input,
        "amount": amount,
        "unit": unit,
        "original": _write(params, original),
        "result": _write(params, moved),
    }
    return ToolResult(result, message=f"{params.operation} operation completed")


def _moved(moment: datetime, amount: int, unit: Unit) -> datetime:
    """Seconds to hours are elapsed time; days to years are steps of the calendar, whatever the clocks do meanwhile."""
    if unit in {"seconds", "minutes", "hours"}:
        return (moment.astimezone(UTC) + timedelta(**{unit: amount})).astimezone(moment.tzinfo)
    if unit in {"days", "weeks"}:
        wall = moment + timedelta(**{unit: amount})
    else:
        from dateutil.relativedelta import relativedelta

        wall = moment + (relativedelta(months=amount) if unit == "months" else relativedelta(years=amount))
    return settled(wall, moment.utcoffset())


def _difference(params: Parameters) -> ToolResult:
    """Elapsed time: in UTC, because two readings of one zone's clocks hide what the clocks did in between."""
    span = _moment(params, "end").astimezone(UTC) - _moment(params, "start").astimezone(UTC)
    total = span.total_seconds()
    seconds = int(total)
    difference = {
        "total_seconds": seconds if total == seconds else total,
        "days": int(total / 86400),
        "hours": int(total / 3600),
        "minutes": int(total / 60),
        "human_readable": _words(seconds),
    }
    result = {"start": params.start, "end": params.end, "difference": difference}
    return ToolResult(result, message="Date difference calculated")


def _words(seconds: int) -> str:
    """`93784` as "1 day, 2 hours, 3 minutes, 4 seconds"; a negative span starts with "minus"."""
    rest, parts = abs(seconds), []
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {word}{'' if count == 1 else 's'}")
    return ("minus " if seconds < 0 else "") + (", ".join(parts) or "0 seconds")


def _info(params: Parameters) -> ToolResult:
    moment = _moment(params)
    start = settled(moment.replace(hour=0, minute=0, second=0, microsecond=0))
    end = moment.replace(hour=23, minute=59, second=59, microsecond=999999, fold=1)  # the last, where clocks repeat it
    info = {
        **_clock(moment),
        "day_of_year": moment.timetuple().tm_yday,
        "week_of_year": moment.isocalendar().week,
        "is_leap_year": isleap(moment.year),
        "days_in_month": monthrange(moment.year, moment.month)[1],
        "start_of_day": _write(params, start),
        "end_of_day": _write(params, end),
    }
    return ToolResult({"input": params.input, "info": info}, message="Date information retrieved")


def _formats(_: Parameters) -> ToolResult:
    return ToolResult(
        {"available_formats": list(AVAILABLE), "example_formats": EXAMPLES}, message="Available date formats"
    )


OPERATIONS = {
    "parse": _parse,
    "now": _now,
    "convert_timezone": _convert_timezone,
    "add": _shift,
    "subtract": _shift,
    "difference": _difference,
    "info": _info,
    "formats": _formats,
}
