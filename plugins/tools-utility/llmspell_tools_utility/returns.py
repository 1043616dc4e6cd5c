"""What the tools of this distribution answer."""

from __future__ import annotations

from llmspell_core.returns import Returns

CALCULATOR = {
    "evaluate": Returns(
        {
            "input": ("string", "The expression."),
            "result": ("number or string", "Its value; `Infinity`, `-Infinity` and `NaN` are words."),
            "value": ("number or string", "The same."),
            "result_type": ("string", "`float`, or `special` for a word."),
            "variables": ("object", "The variables that were given."),
        },
        "Beside `result` stands `resource_usage`: `memory_bytes`, `cpu_time_ms`, `operations_count`.",
        {"input": "2 * x + 1", "variables": {"x": 20.5}},
        {"result": 42, "value": 42, "result_type": "float"},
        answers_failure=True,
    ),
    "validate": Returns(
        {
            "input": ("string", "The expression."),
            "valid": ("boolean", "Whether it can be evaluated."),
            "error?": ("string", "Why not."),
        },
        example={"operation": "validate", "input": "2 +"},
        shows={"valid": False},
    ),
    "functions": Returns(
        about="Lists by topic: `arithmetic`, `comparison`, `logical`, `constants`, ...; and a `note`."
    ),
}

CLOCK = {
    "year": ("integer", ""),
    "month": ("integer", ""),
    "day": ("integer", ""),
    "hour": ("integer", ""),
    "minute": ("integer", ""),
    "second": ("integer", ""),
    "weekday": ("string", "In English, in full."),
}
SHIFTED = {
    "input": ("string", "The date as it was given."),
    "amount": ("integer", "How many units."),
    "unit": ("string", "Their full name, in the plural."),
    "original": ("string", "The date, by `format`."),
    "result": ("string", "The date after the step, by `format`."),
}
DATETIME = {
    "parse": Returns(
        {
            "input": ("string", "The date as it was given."),
            "parsed": ("object", "`utc` (by `format`), `timestamp` (whole seconds), and in the zone of the call:"),
            **{f"parsed.{name}": spec for name, spec in CLOCK.items()},
            "format_used": ("string", "The pattern of `utc`."),
        },
        example={"operation": "parse", "input": "15/03/2024 10:30"},
        shows={"input": "15/03/2024 10:30", "format_used": "%Y-%m-%dT%H:%M:%S%.fZ"},
    ),
    "now": Returns(
        {
            "timezone": ("string", "The zone, or `local`."),
            "datetime": ("string", "By `format`."),
            "format": ("string", "The pattern."),
            "timestamp": ("integer", "Seconds since 1970."),
            "iso": ("string", "ISO 8601."),
        },
        example={"operation": "now", "timezone": "UTC"},
        shows={"timezone": "UTC"},
    ),
    "convert_timezone": Returns(
        {
            "input": ("string", "The date as it was given."),
            "target_timezone": ("string", "The zone as it was given."),
            "original": ("string", "In its own zone, by `format`."),
            "converted": ("string", "In the other zone, by `format`."),
        },
        example={"operation": "convert_timezone", "input": "2024-07-15T10:30:00Z", "target_timezone": "Europe/Paris"},
        shows={"converted": "2024-07-15 12:30:00 CEST"},
    ),
    "add": Returns(
        SHIFTED,
        "Days to years are steps of the calendar in the zone of the call; a time that its clocks skip moves behind the gap.",
        {"operation": "add", "input": "2024-03-09 02:30", "timezone": "America/New_York", "amount": 1, "unit": "day"},
        {"result": "2024-03-10T03:30:00-04:00"},
    ),
    "subtract": Returns(
        SHIFTED,
        example={"operation": "subtract", "input": "2024-03-31", "amount": 1, "unit": "month"},
        shows={"result": "2024-02-29T00:00:00Z"},
    ),
    "difference": Returns(
        {
            "start": ("string", "As it was given."),
            "end": ("string", "As it was given."),
            "difference": ("object", "Elapsed time, each number the whole of it:"),
            "difference.total_seconds": ("number", "Negative when `end` is earlier."),
            "difference.days": ("integer", "Of 24 hours."),
            "difference.hours": ("integer", ""),
            "difference.minutes": ("integer", ""),
            "difference.human_readable": ("string", "In words."),
        },
        example={"operation": "difference", "start": "2024-03-10", "end": "2024-03-11", "timezone": "America/New_York"},
        shows={
            "difference": {
                "total_seconds": 82800,
                "days": 0,
                "hours": 23,
                "minutes": 1380,
                "human_readable": "23 hours",
            }
        },
    ),
    "info": Returns(
        {
            "input": ("string", "The date as it was given."),
            "info": ("object", "In the zone of the call:"),
            **{f"info.{name}": spec for name, spec in CLOCK.items()},
            "info.day_of_year": ("integer", "From 1."),
            "info.week_of_year": ("integer", "By ISO 8601."),
            "info.is_leap_year": ("boolean", ""),
            "info.days_in_month": ("integer", ""),
            "info.start_of_day": ("string", "By `format`."),
            "info.end_of_day": ("string", "By `format`."),
        },
        example={"operation": "info", "input": "2024-02-29"},
        shows={"input": "2024-02-29"},
    ),
    "formats": Returns(
        {
            "available_formats": ("array", "The forms in which dates are read, and no others."),
            "example_formats": ("object", "Patterns for `format`, by name."),
        },
        example={"operation": "formats"},
    ),
}

UUID = {
    "generate": Returns(
        {
            "uuid": ("string", "Written by `format`."),
            "version": ("string", "`v1`, `v4` or `v5`."),
            "format": ("string", "`hyphenated`, `simple`, `urn` or `braced`."),
        },
        example={"version": "v5", "namespace": "dns", "name": "example.org"},
        shows={"uuid": "aad03681-8b63-5304-89e0-8ca8f49461b5", "version": "v5", "format": "hyphenated"},
    ),
    "component_id": Returns(
        {
            "id": ("string", "The prefix, `_`, and the UUID or its first 8 digits."),
            "prefix": ("string", ""),
            "short": ("boolean", ""),
        },
        example={"operation": "component_id", "prefix": "agent", "short": True},
        shows={"prefix": "agent", "short": True},
    ),
    "deterministic": Returns(
        {
            "id": ("string", "The same for the same name."),
            "namespace": ("string", ""),
            "name": ("string", ""),
        },
        example={"operation": "deterministic", "namespace": "dns", "name": "example.org"},
        shows={"id": "aad03681-8b63-5304-89e0-8ca8f49461b5"},
    ),
    "custom": Returns(
        {
            "id": ("string", "Prefix, time, UUID and suffix, joined by `_`."),
            "timestamp": ("boolean", ""),
            "short": ("boolean", ""),
        },
        example={"operation": "custom", "prefix": "job"},
    ),
    "validate": Returns(
        {
            "valid": ("boolean", "Whether it is a UUID as RFC 9562 writes it: hyphenated, simple, urn or braced."),
            "uuid?": ("string", "Hyphenated, in lower case."),
            "version?": ("string or null", "`v1` to `v8`; null for those without."),
            "variant?": ("string", "`RFC4122`, `NCS`, `Microsoft` or `Future`."),
            "error?": ("string", "Why it is none."),
        },
        "The same fields stand beside `result`, too.",
        {"operation": "validate", "uuid": "{550E8400-E29B-41D4-A716-446655440000}"},
        {"valid": True, "uuid": "550e8400-e29b-41d4-a716-446655440000", "version": "v4", "variant": "RFC4122"},
    ),
}

HASH = {
    "hash": Returns(
        {
            "algorithm": ("string", "As it is written: `SHA-256`."),
            "hash": ("string", "Written by `format`."),
            "format": ("string", "`hex` or `base64`."),
        },
        example={"operation": "hash", "input": "hello world", "algorithm": "md5"},
        shows={"algorithm": "MD5", "hash": "5eb63bbbe01eeed093cb22bb8f5acdc3", "format": "hex"},
    ),
    "verify": Returns(
        {
            "verified": ("boolean", "Whether the hashes are the same."),
            "algorithm": ("string", "As for hash."),
            "expected?": ("string", "What was expected, where they differ."),
            "actual?": ("string", "What was computed, where they differ."),
        },
        "Hashes that differ are an answer (`verified = false`), no failure.",
        {"operation": "verify", "input": "a", "algorithm": "md5", "expected_hash": "0cc175b9c0f1b6a831c399e269772661"},
        {"verified": True, "algorithm": "MD5"},
    ),
}

BASE64_FIELDS = {
    "output": ("string", "The result; bytes that are no UTF-8 in hexadecimal."),
    "variant": ("string", "`standard` or `url-safe`."),
    "binary": ("boolean", "Whether hexadecimal was read (encode) or written (decode)."),
}
SAVED = "With `output_file` there is no `result`; `file_path` and `file_size` are in `metadata.response.metadata`."
BASE64 = {
    "encode": Returns(
        {**BASE64_FIELDS, "encoded": ("string", "The same as `output`.")},
        SAVED,
        {"operation": "encode", "input": "Hello, World!"},
        {"output": "SGVsbG8sIFdvcmxkIQ==", "encoded": "SGVsbG8sIFdvcmxkIQ==", "variant": "standard", "binary": False},
    ),
    "decode": Returns(
        {**BASE64_FIELDS, "decoded": ("string", "The same as `output`.")},
        SAVED,
        {"operation": "decode", "input": "SGVsbG8", "variant": "url-safe"},
        {"output": "Hello", "decoded": "Hello"},
    ),
}

TEXT = {
    "": Returns(
        {
            "result": ("string or integer", "The text; for count the number; for split a JSON array as text."),
            "operation": ("string", "What was done."),
            "original_length": ("integer", "Unicode code points."),
            "result_length?": ("integer", "The same of the result; count has none."),
            "count_type?": ("string", "count: what was counted."),
        },
        example={"input": "hello world", "operation": "snake_case"},
        shows={"result": "hello_world", "operation": "snake_case", "original_length": 11, "result_length": 11},
    ),
}
