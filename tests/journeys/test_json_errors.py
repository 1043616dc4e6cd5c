"""What is wrong with JSON text is said in the same words in both languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

SOURCES = {
    "lua": "local ok, e = pcall(JSON.parse, '{}') return ok and 'fine' or (e:gsub('^.-JSON', 'JSON'))",
    "javascript": "try {{ JSON.parse({}); return 'fine' }} catch (e) {{ return e.message }}",
}
BROKEN = {
    "{x": "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    "": "Expecting value: line 1 column 1 (char 0)",
    '["é", tru]': "Expecting value: line 1 column 7 (char 6)",
    '{"a":\n  -Infinity}': "Expecting value: line 2 column 3 (char 8)",
    '["NaN", NaN]': "Expecting value: line 1 column 9 (char 8)",
    "[1] x": "Extra data: line 1 column 5 (char 4)",
    "[" * 20_000: "it is nested too deeply",
}


def literal(text: str, language: str) -> str:
    if language == "javascript":
        return json.dumps(text)
    return "".join(f"\\{byte:03}" for byte in text.encode())


@pytest.mark.parametrize("language", SOURCES)
@pytest.mark.parametrize(("text", "problem"), BROKEN.items(), ids=range(len(BROKEN)))
def test_the_problem_and_its_place_are_named(
    language: str, text: str, problem: str, run_script: Callable[..., Any]
) -> None:
    source = SOURCES[language].format(literal(text, language))
    assert run_script(source, language).value == f"JSON parse error: {problem}"


@pytest.mark.parametrize("language", SOURCES)
def test_what_is_no_text_is_refused(language: str, run_script: Callable[..., Any]) -> None:
    value = {"lua": SOURCES["lua"].replace("'{}'", "{}"), "javascript": SOURCES["javascript"].format("{}")}[language]
    assert run_script(value, language).value == "JSON parse error: a string is expected"


def test_an_error_of_a_reviver_is_its_own(run_script: Callable[..., Any]) -> None:
    source = "try { JSON.parse('[1]', () => { throw new TypeError('own') }) } catch (e) { return [e.name, e.message] }"
    assert run_script(source, "javascript").value == ["TypeError", "own"]
