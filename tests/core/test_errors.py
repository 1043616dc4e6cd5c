"""What errors say."""

from __future__ import annotations

import pytest

from llmspell_core.errors import ResourceLimitError


@pytest.mark.parametrize(
    ("message", "limit", "used", "told"),
    [
        ("'a' is too big", 50_000_000, 60_000_000, "'a' is too big (file size: 60,000,000, at most 50,000,000)"),
        ("'a' is too big", 50_000_000, None, "'a' is too big (file size: at most 50,000,000)"),
        ("at most 5 of them", 5, 6, "at most 5 of them"),
        ("5,000 is the most", 5_000, 6_000, "5,000 is the most"),
        ("nobody knows", None, None, "nobody knows"),
    ],
)
def test_a_limit_is_named_in_the_message_itself(message: str, limit: int | None, used: int | None, told: str) -> None:
    made = ResourceLimitError(message, resource="file size", limit=limit, used=used)
    assert made.message == told
    assert ResourceLimitError(told, resource="file size", limit=limit, used=used).message == told
