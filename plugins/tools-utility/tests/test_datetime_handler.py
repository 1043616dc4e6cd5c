from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from llmspell_core.errors import ResourceLimitError, ValidationError

READABLE = {
    "2024-03-15T10:30:00Z": "2024-03-15T10:30:00Z",
    "2024-03-15T10:30:00+02:00": "2024-03-15T08:30:00Z",
    "2024-03-15T10:30:00.250Z": "2024-03-15T10:30:00.250Z",
    "2024-03-15 10:30:00": "2024-03-15T10:30:00Z",
    "2024-03-15 10:30": "2024-03-15T10:30:00Z",
    "2024-03-15": "2024-03-15T00:00:00Z",
    "20240315": "2024-03-15T00:00:00Z",
    "2024/03/15": "2024-03-15T00:00:00Z",
    "15/03/2024": "2024-03-15T00:00:00Z",
    "03/04/2024": "2024-04-03T00:00:00Z",
    "03/15/2024": "2024-03-15T00:00:00Z",
    "15-03-2024": "2024-03-15T00:00:00Z",
    "15.03.2024 08:05:09": "2024-03-15T08:05:09Z",
    "March 15, 2024": "2024-03-15T00:00:00Z",
    "Mar 15, 2024 2:30 PM": "2024-03-15T14:30:00Z",
    "15 March 2024": "2024-03-15T00:00:00Z",
    "15-Mar-2024": "2024-03-15T00:00:00Z",
    "3rd of March 2024 5pm": "2024-03-03T17:00:00Z",
    "Fri, 15 Mar 2024 10:30:00 +0200": "2024-03-15T08:30:00Z",
    "15 Mar 2024 10:30:00 GMT": "2024-03-15T10:30:00Z",
    "1710498600": "2024-03-15T10:30:00Z",
    "1710498600.5": "2024-03-15T10:30:00.500Z",
    "-1": "1969-12-31T23:59:59Z",
}


@pytest.mark.parametrize(("text", "utc"), READABLE.items())
async def test_ways_to_write_a_date(invoke, text, utc):
    assert (await invoke("datetime-handler", input=text))["result"]["parsed"]["utc"] == utc


@pytest.mark.parametrize("text", ["", "tomorrow", "12:30", "Friday", "30/02/2024", "2024-13-45", "9" * 30, "x" * 1000])
async def test_what_is_no_date_is_refused_with_examples(invoke, text):
    with pytest.raises(ValidationError) as caught:
        await invoke("datetime-handler", operation="parse", input=text)
    assert caught.value.field == "input"
    assert caught.value.hint


async def test_parse_gives_the_parts(invoke):
    result = (await invoke("datetime-handler", operation="parse", input="2024-03-15T10:30:45Z"))["result"]
    assert result["input"] == "2024-03-15T10:30:45Z"
    assert result["format_used"] == "%Y-%m-%dT%H:%M:%S%.fZ"
    assert result["parsed"] == {
        "utc": "2024-03-15T10:30:45Z",
        "timestamp": 1710498645,
        "year": 2024,
        "month": 3,
        "day": 15,
        "hour": 10,
        "minute": 30,
        "second": 45,
        "weekday": "Friday",
    }


async def test_number_is_a_unix_timestamp(invoke):
    assert (await invoke("datetime-handler", input=1710498600))["result"]["parsed"]["hour"] == 10


async def test_naive_date_is_in_the_zone_of_the_call(invoke):
    parsed = (await invoke("datetime-handler", input="2024-07-01 12:00", timezone="Europe/Paris"))["result"]["parsed"]
    assert parsed["utc"] == "2024-07-01T10:00:00Z"
    assert parsed["hour"] == 12


async def test_now_is_now(invoke):
    result = (await invoke("datetime-handler", operation="now", timezone="UTC"))["result"]
    assert abs(result["timestamp"] - time.time()) < 60
    assert result["timezone"] == "UTC"
    assert result["datetime"].endswith("Z")
    assert result["format"] == "%Y-%m-%dT%H:%M:%S%.fZ"
    assert abs((datetime.fromisoformat(result["iso"]) - datetime.now(UTC)).total_seconds()) < 60


async def test_now_without_a_zone_is_local_and_shows_its_offset(invoke):
    result = (await invoke("datetime-handler", operation="now"))["result"]
    assert result["timezone"] == "local"
    assert datetime.fromisoformat(result["datetime"]).tzinfo is not None


async def test_conversion_knows_summer_time(invoke):
    summer = await invoke(
        "datetime-handler",
        operation="convert_timezone",
        input="2024-07-15T10:30:00Z",
        target_timezone="America/New_York",
    )
    assert summer["result"] == {
        "input": "2024-07-15T10:30:00Z",
        "target_timezone": "America/New_York",
        "original": "2024-07-15 10:30:00 UTC",
        "converted": "2024-07-15 06:30:00 EDT",
    }
    winter = await invoke(
        "datetime-handler",
        operation="convert_timezone",
        input="2024-01-15T10:30:00Z",
        target_timezone="America/New_York",
    )
    assert winter["result"]["converted"] == "2024-01-15 05:30:00 EST"


async def test_offset_is_a_zone(invoke):
    envelope = await invoke(
        "datetime-handler",
        operation="convert_timezone",
        input="2024-01-15",
        target_timezone="-05:30",
        format="%H:%M %:z",
    )
    assert envelope["result"]["converted"] == "18:30 -05:30"


@pytest.mark.parametrize("zone", ["Europe/Pariss", "../etc/passwd", "+99:00", "nowhere", "\x00"])
async def test_unknown_zone_names_the_field(invoke, zone):
    with pytest.raises(ValidationError) as caught:
        await invoke("datetime-handler", operation="convert_timezone", input="2024-01-01", target_timezone=zone)
    assert caught.value.field == "target_timezone"
    if zone == "Europe/Pariss":
        assert "Europe/Paris" in caught.value.hint


@pytest.mark.parametrize(
    ("operation", "amount", "unit", "result"),
    [
        ("add", 5, "days", "2024-02-05T10:00:00Z"),
        ("add", 1, "month", "2024-02-29T10:00:00Z"),
        ("subtract", 11, "mo", "2023-02-28T10:00:00Z"),
        ("add", 1, "years", "2025-01-31T10:00:00Z"),
        ("add", 90, "s", "2024-01-31T10:01:30Z"),
        ("subtract", 15, "min", "2024-01-31T09:45:00Z"),
        ("add", 2, "hr", "2024-01-31T12:00:00Z"),
        ("add", -1, "W", "2024-01-24T10:00:00Z"),
    ],
)
async def test_arithmetic_by_unit(invoke, operation, amount, unit, result):
    envelope = await invoke(
        "datetime-handler", operation=operation, input="2024-01-31T10:00:00Z", amount=amount, unit=unit
    )
    assert envelope["operation"] == operation
    assert envelope["result"]["result"] == result
    assert envelope["result"]["original"] == "2024-01-31T10:00:00Z"


async def test_days_follow_the_calendar_and_hours_the_clock(invoke):
    common = {"operation": "add", "input": "2024-03-30 12:00", "timezone": "Europe/Paris", "format": "%F %H:%M"}
    day = await invoke("datetime-handler", **common, amount=1, unit="day")
    hours = await invoke("datetime-handler", **common, amount=24, unit="hours")
    assert day["result"]["result"] == "2024-03-31 12:00"
    assert hours["result"]["result"] == "2024-03-31 13:00"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"amount": 1}, "unit"),
        ({"unit": "days"}, "amount"),
        ({"amount": 1, "unit": "fortnight"}, "unit"),
        ({"amount": 1.5, "unit": "days"}, "amount"),
        ({"amount": 10**12, "unit": "days"}, "amount"),
        ({"amount": 10**30, "unit": "years"}, "amount"),
    ],
)
async def test_arithmetic_that_cannot_be_names_the_field(invoke, parameters, field):
    with pytest.raises(ValidationError) as caught:
        await invoke("datetime-handler", operation="add", input="2024-01-31", **parameters)
    assert caught.value.field == field


async def test_difference_in_several_units(invoke):
    envelope = await invoke(
        "datetime-handler", operation="difference", start="2024-01-15T10:30:00Z", end="2024-01-20T15:45:00Z"
    )
    assert envelope["result"]["difference"] == {
        "total_seconds": 450900,
        "days": 5,
        "hours": 125,
        "minutes": 7515,
        "human_readable": "5 days, 5 hours, 15 minutes",
    }


async def test_difference_backwards_is_negative(invoke):
    envelope = await invoke("datetime-handler", operation="difference", start="2024-01-02", end="2024-01-01")
    assert envelope["result"]["difference"]["days"] == -1
    assert envelope["result"]["difference"]["human_readable"] == "minus 1 day"


async def test_info_of_a_leap_day(invoke):
    info = (await invoke("datetime-handler", operation="info", input="2024-02-29T12:00:00Z"))["result"]["info"]
    expected = {
        "day_of_year": 60,
        "week_of_year": 9,
        "is_leap_year": True,
        "days_in_month": 29,
        "weekday": "Thursday",
        "start_of_day": "2024-02-29T00:00:00Z",
        "end_of_day": "2024-02-29T23:59:59.999999Z",
    }
    assert info == {"year": 2024, "month": 2, "day": 29, "hour": 12, "minute": 0, "second": 0, **expected}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d", "2024-03-05"),
        ("%-d %B", "5 March"),
        ("%e|%k", " 5| 8"),
        ("%H%M%S.%3f", "080901.007"),
        ("%.6f %9f", ".007000 007000000"),
        ("%s %%", "1709626141 %"),
        ("%a, %d %b %Y %T %z", "Tue, 05 Mar 2024 08:09:01 +0000"),
        ("%I:%M %P", "08:09 am"),
        ("%D %R %h %C", "03/05/24 08:09 Mar 20"),
    ],
)
async def test_output_patterns(invoke, pattern, text):
    envelope = await invoke("datetime-handler", input="2024-03-05T08:09:01.007Z", format=pattern)
    assert envelope["result"]["parsed"]["utc"] == text


async def test_unknown_directive_names_the_field(invoke):
    with pytest.raises(ValidationError) as caught:
        await invoke("datetime-handler", operation="now", format="%Q")
    assert caught.value.field == "format"


async def test_formats_lists_patterns_that_work(invoke):
    result = (await invoke("datetime-handler", operation="formats"))["result"]
    assert "%d/%m/%Y" in result["available_formats"]
    for pattern in result["example_formats"].values():
        assert (await invoke("datetime-handler", operation="now", format=pattern))["success"]


async def test_eleven_megabytes_are_no_date(invoke):
    with pytest.raises(ResourceLimitError):
        await invoke("datetime-handler", input="1" * (11 * 1024 * 1024))
