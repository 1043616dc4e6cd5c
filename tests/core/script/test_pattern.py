"""Patterns of scripts: they find what Python's find, in a time that no text makes long."""

from __future__ import annotations

import fnmatch
import random
import re
import time

import pytest

from llmspell_core.errors import ValidationError
from llmspell_core.script.pattern import LONGEST, glob, regex

LETTERS = "ab.A\n_ 1"


def a_regex(dice: random.Random, depth: int = 0) -> str:
    rows = ["".join(_piece(dice, depth) for _ in range(dice.randint(0, 3))) for _ in range(dice.randint(1, 2))]
    return "|".join(rows)


def _piece(dice: random.Random, depth: int) -> str:
    kind = dice.random()
    if kind < 0.15:
        return dice.choice(["^", "$", r"\b"])
    if kind < 0.6 or depth > 3:
        atom = dice.choice([*map(re.escape, LETTERS), ".", r"\d", r"\w", r"\S", "[ab]", "[^a]", "[a-b1]", "[]a]"])
    else:
        # Python's own search takes for ever when what is repeated repeats something itself.
        return f"{dice.choice(['(', '(?:'])}{a_regex(dice, depth + 1)}){dice.choice(['', '?', '{2}'])}"
    return atom + dice.choice(["", "", "*", "+", "?", "*?", "{2}", "{0,2}", "{1,}", "{0}"])


def test_expressions_find_what_pythons_find() -> None:
    dice = random.Random(7)
    for _ in range(1000):
        pattern = dice.choice(["", "(?i)"]) + a_regex(dice)
        try:
            find = regex(pattern)
        except ValidationError as error:
            assert "too large" in error.message or "characters" in error.message  # noqa: PT017 - both are right
            continue
        for _ in range(5):
            text = "".join(dice.choice(LETTERS) for _ in range(dice.randint(0, 7)))
            assert find(text) == (re.search(pattern, text) is not None), (pattern, text)


def test_wildcards_match_what_pythons_match() -> None:
    dice = random.Random(7)
    for _ in range(2000):
        pattern = "".join(dice.choice("aab.*?") for _ in range(dice.randint(0, 8))) + dice.choice(["", "[ab]", "[!a]"])
        text = "".join(dice.choice("ab.") for _ in range(dice.randint(0, 6)))
        assert glob(pattern)(text) == fnmatch.fnmatchcase(text, pattern), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 199 + "!"),
        (r"(?:a|a)*b", "a" * 200),
        ("(.*a){20}c", "a" * 200),
        ("(a?){20}a{20}b", "a" * 200),
        (".*.*.*.*.*.*.*.*x", "a" * 200),
        ("((((a*)*)*)*)*b", "a" * 200),
    ],
)
def test_no_text_makes_a_search_long(pattern: str, text: str) -> None:
    started = time.monotonic()
    assert regex(pattern)(text) is False
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(a)\1", r"there is no '\\1' here"),
        ("(?=a)", "only '(?:' works here"),
        ("(?#comment)*", "only '(?:' works here"),
        ("(a", "never closed"),
        ("a)", "a ')' too many"),
        ("*a", "nothing that '*' repeats"),
        ("a**", "a repeat is repeated"),
        ("[b-a]", "'b-a' is no range"),
        ("[a", "ends too early"),
        ("a\\", "ends too early"),
        ("a{3,2}", "no repeat"),
        ("(a{100}){100}", "too large"),
        ("(" * 50 + ")" * 50, "nested too deeply"),
        ("a" * (LONGEST + 1), "may have 200 characters"),
    ],
)
def test_what_is_not_understood_is_said(pattern: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        regex(pattern)
    assert said.replace("\\\\", "\\") in caught.value.message
