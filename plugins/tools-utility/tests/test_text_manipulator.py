from __future__ import annotations

import json
import time

import pytest
from llmspell_tools_utility import text_manipulator

from llmspell_core.errors import ResourceLimitError, TimeoutError, ValidationError

CASES = [
    ("uppercase", "straße", {}, "STRASSE"),
    ("lowercase", "ABC", {}, "abc"),
    ("reverse", "abc", {}, "cba"),
    ("trim", "  a b \n", {}, "a b"),
    ("replace", "a-b-c", {"from": "-", "to": "+"}, "a+b+c"),
    ("replace", "a-b", {"from": "-", "to": ""}, "ab"),
    ("substring", "hello", {"start": 1, "end": 3}, "el"),
    ("substring", "hello", {"start": 3, "end": 99}, "lo"),
    ("split", "a b c", {}, '["a", "b", "c"]'),
    ("split", "a,b", {"delimiter": ","}, '["a", "b"]'),
    ("split", "ab", {"delimiter": ""}, '["a", "b"]'),
    ("join", '["a", "b"]', {"delimiter": ", "}, "a, b"),
    ("snake_case", "helloWorld HTTPServer v2-final", {}, "hello_world_http_server_v2_final"),
    ("camel_case", "hello world_of text", {}, "helloWorldOfText"),
    ("pascal_case", "hello-world", {}, "HelloWorld"),
    ("sanitize", "a\x00b\u200bc\ufeff\td\n", {}, "abc\td\n"),
    ("truncate", "x" * 12, {"max_length": 10}, "xxxxxxx..."),
    ("truncate", "xxxx", {"max_length": 2}, "xx"),
    ("truncate", "short", {}, "short"),
    ("indent", "a\nb", {"spaces": 2}, "  a\n  b"),
    ("indent", "a", {}, "    a"),
    ("dedent", "  a\n    b", {}, "a\n  b"),
    ("normalize_whitespace", " a \n\t b ", {}, "a b"),
    ("word_wrap", "one two three four", {"width": 9}, "one two\nthree\nfour"),
    ("word_wrap", "abcdefgh ij\n\nk", {"width": 4}, "abcdefgh\nij\n\nk"),
]


@pytest.mark.parametrize(("operation", "text", "options", "made"), CASES)
async def test_operation(invoke, operation, text, options, made):
    envelope = await invoke("text-manipulator", input=text, operation=operation, options=options)
    expected = {"result": made, "operation": operation, "original_length": len(text), "result_length": len(made)}
    assert envelope["result"] == expected
    assert envelope["operation"] == operation


async def test_every_operation_has_a_case(invoke):
    assert {case[0] for case in CASES} == set(text_manipulator.OPERATIONS)


async def test_empty_script_table_is_no_options(invoke):
    assert (await invoke("text-manipulator", input="a", operation="uppercase", options=[]))["result"]["result"] == "A"


async def test_split_and_join_are_each_others_reverse(invoke):
    text = 'quotes " and ü'
    split = (await invoke("text-manipulator", input=text, operation="split"))["result"]["result"]
    assert json.loads(split) == text.split(" ")
    assert (await invoke("text-manipulator", input=split, operation="join"))["result"]["result"] == text


@pytest.mark.parametrize(
    ("operation", "text", "options", "field"),
    [
        ("replace", "a", {"to": "b"}, "options.from"),
        ("replace", "a", {"from": "a"}, "options.to"),
        ("substring", "a", {"end": 1}, "options.start"),
        ("substring", "a", {"start": 0}, "options.end"),
        ("substring", "abc", {"start": 2, "end": 1}, "options.start"),
        ("substring", "abc", {"start": -1, "end": 1}, "options.start"),
        ("word_wrap", "abc", {"width": 0}, "options.width"),
        ("join", "not json", {}, "input"),
        ("join", "[1, 2]", {}, "input"),
        ("shout", "abc", {}, "operation"),
    ],
)
async def test_wrong_parameters_name_the_field(invoke, operation, text, options, field):
    with pytest.raises(ValidationError) as caught:
        await invoke("text-manipulator", input=text, operation=operation, options=options)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("operation", "text", "options"),
    [
        ("uppercase", "x" * 2000, {}),
        ("replace", "x" * 100, {"from": "x", "to": "y" * 100}),
        ("indent", "\n" * 100, {"spaces": 100}),
        ("join", json.dumps(["a"] * 50), {"delimiter": "-" * 50}),
    ],
)
async def test_neither_text_nor_result_grows_beyond_the_limit(invoke, monkeypatch, operation, text, options):
    monkeypatch.setattr(text_manipulator, "MAX_BYTES", 1000)
    with pytest.raises(ResourceLimitError):
        await invoke("text-manipulator", input=text, operation=operation, options=options)


async def test_wrapping_stops_when_its_time_is_up(invoke, monkeypatch):
    monkeypatch.setattr(text_manipulator, "MAX_SECONDS", -1)
    with pytest.raises(TimeoutError):
        await invoke("text-manipulator", input="a b", operation="word_wrap")


@pytest.mark.parametrize("operation", ["snake_case", "pascal_case", "sanitize", "normalize_whitespace", "dedent"])
async def test_time_grows_only_in_step_with_the_text(invoke, operation):
    async def seconds(size: int) -> float:
        started = time.process_time()
        await invoke("text-manipulator", input="A" * size, operation=operation)
        return time.process_time() - started

    await seconds(1000)
    assert await seconds(400_000) < 20 * max(await seconds(100_000), 0.005)
