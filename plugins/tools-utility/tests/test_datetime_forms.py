"""Dates that other tools read wrongly, and time lines with gaps and repeated hours."""

from __future__ import annotations

import warnings

import pytest
from llmspell_tools_utility.moment import FORMS, read_moment
from llmspell_tools_utility.zone import local_zone

from llmspell_core.errors import ValidationError

NEW_YORK, ZURICH = "America/New_York", "Europe/Zurich"

READABLE = {
    "2024-03-15 10:30:00 UTC+3": "2024-03-15T07:30:00Z",
    "2024-03-15 10:30:00 GMT+3": "2024-03-15T07:30:00Z",
    "2024-03-15 10:30:00 UTC-05:30": "2024-03-15T16:00:00Z",
    "2024-03-15T10:30:00-0530": "2024-03-15T16:00:00Z",
    "2024-03-15 10:30 Europe/Zurich": "2024-03-15T09:30:00Z",
    "15 Mar 2024 10:30:00 PST": "2024-03-15T18:30:00Z",
    "Fri, 15 Mar 2024 10:30:00 +0100 (CET)": "2024-03-15T09:30:00Z",
    "Fri Mar 15 10:30:00 2024": "2024-03-15T10:30:00Z",
    "Fri Mar 15 10:30:00 UTC 2024": "2024-03-15T10:30:00Z",
    "Friday, March 15th, 2024 2:30 pm": "2024-03-15T14:30:00Z",
    "Fri Mar 15 2024 10:30:00 GMT+0100 (Central European Standard Time)": "2024-03-15T09:30:00Z",
    "Fri Mar  1 10:30:00 2024": "2024-03-01T10:30:00Z",
    "3/15/2024, 10:30:00 AM": "2024-03-15T10:30:00Z",
    "Friday, 15-Mar-24 10:30:00 GMT": "2024-03-15T10:30:00Z",
    "Sept 3 2024": "2024-09-03T00:00:00Z",
    "12/31/1999 12:00 AM": "1999-12-31T00:00:00Z",
    "20240315T103000Z": "2024-03-15T10:30:00Z",
    "2024-03-15T10:30:00,123456789Z": "2024-03-15T10:30:00.123456Z",
    "2024-W11-5": "2024-03-15T00:00:00Z",
    "2024-075T10:30": "2024-03-15T10:30:00Z",
    "2024-3-5": "2024-03-05T00:00:00Z",
    "2024.03.15": "2024-03-15T00:00:00Z",
    "1/1/70": "1970-01-01T00:00:00Z",
    "31.12.68": "2068-12-31T00:00:00Z",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00Z",
    "2017-01-01T00:59:60.5+01:00": "2017-01-01T00:00:00Z",
    "2016-12-31T24:00:00Z": "2017-01-01T00:00:00Z",
    "@0": "1970-01-01T00:00:00Z",
    "-86400": "1969-12-31T00:00:00Z",
}

NO_DATES = (
    *("22-23 February", "2024", "202402", "27.08", "tomorrow", "10:30", "March 2024", "15/03", "1e9", "nan", "0"),
    *("2024-03-15 10:30 PST", "2024-03-15, 10:30:00 IST", "2024-03-15 10:30 Europe/Nowhere", "2024-03-15T10:30:00+05:99"),
    *("2024-02-30", "2023-02-29", "31/04/2024", "2024-13-01", "13/13/2024", "2024-366x", "2023-366", "2024-W54-1"),
    *("Monday, March 15, 2024", "2024-03-15 25:00", "2024-03-15T24:00:01Z", "2024-03-15 13:00 pm", "2024-03-15 0:30 am"),
    *("2024-03-15T12:30:60Z", "2024-03-15T10:60:00Z", "\u0662\u0660\u0662\u0664-03-15", "0000-01-01", "1710498600000"),
    *("2024-03-15 10:30:00 +2 days", "2024-03-15 - 2024-03-16", "15 Mar 2024 GMT", "2024-03-15junk", "March 15, 2024T10:30"),
)  # fmt: skip


async def test_every_form_names_one_moment(invoke):
    for text, utc in READABLE.items():
        assert (await invoke("datetime-handler", input=text))["result"]["parsed"]["utc"] == utc, text


async def test_nothing_else_is_a_date_and_nothing_warns(invoke):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in NO_DATES:
            with pytest.raises(ValidationError) as caught:
                print(text, await invoke("datetime-handler", input=text))
            assert caught.value.field == "input", text
            assert caught.value.hint, text


async def test_each_pattern_that_formats_lists_is_read(invoke):
    for pattern in [form.name for form in FORMS] + [
        "%m/%d/%Y",
        "%b %d %Y",
        "%a %b %d %H:%M:%S %Y",
        "%Y-%m-%d %I:%M %p",
    ]:
        text = read_moment("2023-11-27").strftime(pattern)
        assert read_moment(text) == read_moment("2023-11-27"), (pattern, text)
        assert pattern in (await invoke("datetime-handler", operation="formats"))["result"]["available_formats"]


@pytest.mark.parametrize("seconds", [0, 2024, 1.5, -1, 1710498600])
async def test_a_number_is_a_timestamp_however_small(invoke, seconds):
    result = (await invoke("datetime-handler", input=seconds))["result"]
    assert result["parsed"]["timestamp"] == seconds // 1
    assert result["input"] == str(seconds)


STEPS = [
    # the clocks skip 02:30: as long after the gap
    ("2024-03-09 02:30", NEW_YORK, 1, "days", "2024-03-10T03:30:00-04:00"),
    ("2024-03-11 02:30", NEW_YORK, -1, "days", "2024-03-10T03:30:00-04:00"),
    ("2024-02-10 02:30", NEW_YORK, 1, "months", "2024-03-10T03:30:00-04:00"),
    ("2023-03-10 02:30", NEW_YORK, 1, "years", "2024-03-10T03:30:00-04:00"),
    ("2024-03-10 02:30", NEW_YORK, 0, "days", "2024-03-10T03:30:00-04:00"),
    ("2024-03-10 01:30", NEW_YORK, 1, "hours", "2024-03-10T03:30:00-04:00"),
    # the clocks show 01:30 twice: the first, or the one of the same offset
    ("2024-11-02 01:30", NEW_YORK, 1, "days", "2024-11-03T01:30:00-04:00"),
    ("2024-11-04 01:30", NEW_YORK, -1, "days", "2024-11-03T01:30:00-05:00"),
    ("2024-11-03T06:30Z", NEW_YORK, 0, "days", "2024-11-03T01:30:00-05:00"),
    ("2024-11-03 01:30", NEW_YORK, 60, "minutes", "2024-11-03T01:30:00-05:00"),
    # ends of months
    ("2024-01-31", "UTC", 1, "months", "2024-02-29T00:00:00Z"),
    ("2024-02-29", "UTC", 4, "years", "2028-02-29T00:00:00Z"),
    ("2024-02-29", "UTC", -1, "years", "2023-02-28T00:00:00Z"),
]


async def test_arithmetic_on_the_time_line_of_a_zone(invoke):
    for text, zone, amount, unit, expected in STEPS:
        made = await invoke("datetime-handler", operation="add", input=text, timezone=zone, amount=amount, unit=unit)
        assert made["result"]["result"] == expected, (text, amount, unit)


SPANS = [
    ("2024-03-10", "2024-03-11", NEW_YORK, 82800),
    ("2024-11-03", "2024-11-04", NEW_YORK, 90000),
    ("2023-10-29T00:30Z", "2023-10-29T01:30Z", ZURICH, 3600),
    ("2024-03-10T01:59:59-05:00", "2024-03-10T03:00:00-04:00", NEW_YORK, 1),
]


async def test_differences_are_elapsed_time(invoke):
    for start, end, zone, seconds in SPANS:
        made = await invoke("datetime-handler", operation="difference", start=start, end=end, timezone=zone)
        assert made["result"]["difference"]["total_seconds"] == seconds, (start, zone)


async def test_a_day_that_begins_in_a_gap_and_one_that_ends_twice(invoke):
    """Clocks of São Paulo skipped midnight in spring, and repeated the last hour of a day in autumn."""
    common = {"operation": "info", "timezone": "America/Sao_Paulo"}
    spring = await invoke("datetime-handler", **common, input="2018-11-04 12:00")
    assert spring["result"]["info"]["start_of_day"] == "2018-11-04T01:00:00-02:00"
    autumn = await invoke("datetime-handler", **common, input="2018-02-17 12:00")
    assert autumn["result"]["info"]["end_of_day"] == "2018-02-17T23:59:59.999999-03:00"


async def test_offsets_with_seconds_are_written_whole_and_read_back(invoke):
    made = await invoke("datetime-handler", operation="info", input="1890-06-01", timezone="Africa/Monrovia")
    written = made["result"]["info"]["start_of_day"]
    assert written == "1890-06-01T00:00:00-00:43:08"
    assert read_moment(written) == read_moment("1890-06-01T00:43:08Z")


@pytest.mark.parametrize("zone", ["+05:99", "+24:00", "PST", "UTC+3x", "Europe", "Europe/pariss"])
async def test_a_zone_that_is_none_is_an_error(invoke, zone):
    with pytest.raises(ValidationError) as caught:
        await invoke("datetime-handler", input="2024-01-01", timezone=zone)
    assert caught.value.field == "timezone"


async def test_the_local_zone_knows_its_past(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Zurich")
    assert str(read_moment("1975-07-01 12:00", local_zone()).utcoffset()) == "1:00:00"  # no summer time in that year
    assert str(read_moment("2024-07-01 12:00", local_zone()).utcoffset()) == "2:00:00"
