from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from llmspell_tools_data import json_child, json_processor

from llmspell_core.errors import ResourceLimitError, TimeoutError, ToolError, ValidationError

USERS = {"users": [{"name": "Ada", "age": 36}, {"name": "Bob", "age": 17}, {"name": "Cy", "age": 52}]}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"items": {"minLength": 2}}},
    "required": ["name"],
    "additionalProperties": False,
}


def result_of(output):
    return output.metadata.extra["response"].get("result")


async def test_query_with_one_output_is_that_value(process):
    output = await process(input=USERS, query=".users | map(select(.age > 30) | .name)")
    assert result_of(output) == ["Ada", "Cy"]
    assert json.loads(output.text) == ["Ada", "Cy"]
    assert output.metadata.extra["operation"] == "query"


async def test_query_with_several_outputs_is_an_array(process):
    assert result_of(await process(input=USERS, query=".users[].name")) == ["Ada", "Bob", "Cy"]
    assert result_of(await process(input=USERS, query="empty")) == []


async def test_whole_language_of_jq_works(process):
    query = '.users | group_by(.age >= 18) | map({adult: (.[0].age >= 18), n: length, s: "\\(map(.name) | join("+"))"})'
    assert result_of(await process(input=USERS, query=query)) == [
        {"adult": False, "n": 1, "s": "Bob"},
        {"adult": True, "n": 2, "s": "Ada+Cy"},
    ]


async def test_text_is_read_as_json(process):
    assert result_of(await process(input='{"a": [1, 2]}', query=".a[1]")) == 2
    assert (await process(input="null")).text == "null"


async def test_whole_document_keeps_its_numbers(process):
    assert result_of(await process(input="[12345678901234567890]", query=" . ")) == [12345678901234567890]


@pytest.mark.parametrize("word", ["transform", "jq"])
async def test_synonyms_mean_query(process, word):
    assert result_of(await process(operation=word, input=[1, 2], query="add")) == 3


async def test_stream_works_line_by_line(process):
    output = await process(operation="stream", input='{"a": 1}\n\n{"a": [2, 3]}\n', query=".a")
    assert result_of(output) == [1, [2, 3]]
    assert result_of(await process(operation="stream", input=[{"a": 1}, {"a": 2}], query=".a, 0")) == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("parameters", "field", "words"),
    [
        ({"input": "{oops"}, "input", "the input is not JSON"),
        ({"input": "[1, NaN]"}, "input", "NaN is not a JSON value"),
        ({"input": '{"a": 1} {"a": 2}'}, "input", "Extra data"),
        ({"input": "[" * 100_000}, "input", "nested too deeply"),
        ({"operation": "stream", "input": "1\n{"}, "input", "line 2 is not JSON"),
        ({"query": "."}, "input", "'input' is required"),
        ({"input": 1, "query": ".["}, "query", "syntax error"),
        ({"input": 1, "query": "nothing_like_that"}, "query", "not defined"),
        ({"operation": "validate", "input": 1}, "schema", "'schema' is required"),
        ({"operation": "validate", "input": 1, "schema": "{"}, "schema", "the schema is not JSON"),
        ({"operation": "validate", "input": 1, "schema": {"type": "strin"}}, "schema", "strin"),
        ({"operation": "validate", "input": 1, "schema": {"$ref": "http://127.0.0.1:9/s.json"}}, "schema", "not read"),
        ({"operation": "validate", "input": 1, "schema": {"$ref": "file:///etc/hostname"}}, "schema", "not read"),
    ],
)
async def test_wrong_parameters_name_the_field(process, parameters, field, words):
    with pytest.raises(ValidationError) as caught:
        await process(**parameters)
    assert caught.value.field == field
    assert words in caught.value.message
    assert caught.value.hint


async def test_query_that_does_not_fit_the_data_is_a_tool_error(process):
    with pytest.raises(ToolError) as caught:
        await process(input={"a": 1}, query=".a.b")
    assert "Cannot index number" in caught.value.message


@pytest.mark.parametrize(
    "query",
    [
        "env",
        "$ENV.PATH",
        "input",
        "[inputs]",
        ". | debug",
        "modulemeta",
        "builtins",
        'include "x"; .',
        'import "x" as x; .',
        "$__loc__",
        '"\\(env)"',
        '"a \\("x" + env) b"',
        "[env, 1]",
        "{a: env}",
        "{(env): 1}",
        "halt",
        '"x" | halt_error',
    ],
)
async def test_query_sees_nothing_but_its_input(process, query):
    with pytest.raises(ValidationError) as caught:
        await process(input={}, query=query)
    assert caught.value.field == "query"


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (".input", 1),
        ('."env"', 2),
        ("{input: .env} | .input", 2),
        (".environment", None),
        ('"user input"', "user input"),
        (".passwd, .shadow", [None, None]),
        ('"/etc/hosts" | startswith("/etc/")', True),
        ("{input, env}", {"input": 1, "env": 2}),
        (". # include this\n| .input", 1),
        ('"\\(.input) debug \\({env} | .env)"', "1 debug 2"),
        ('"a\\"env"', 'a"env'),
    ],
)
async def test_fields_and_texts_may_have_the_names_of_functions(process, query, value):
    assert result_of(await process(input={"input": 1, "env": 2}, query=query)) == value


async def test_endless_query_ends_at_its_deadline_while_the_loop_goes_on(process, monkeypatch):
    monkeypatch.setattr(json_child, "MAX_SECONDS", 0.5)
    before, ticks = children(), 0
    task = asyncio.ensure_future(process(input=1, query="def f: f; f"))
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    with pytest.raises(TimeoutError) as caught:
        await task
    assert caught.value.duration_ms == 500
    assert ticks > 10
    assert children() == before


async def test_cancelled_query_leaves_no_process(process):
    before = children()
    task = asyncio.ensure_future(process(input=1, query="def f: f; f"))
    for _ in range(200):
        await asyncio.sleep(0.01)
        if children() != before:
            break
    assert children() != before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == before


async def test_query_that_eats_memory_is_stopped(process, monkeypatch):
    monkeypatch.setattr(json_child, "MAX_MEMORY", 200 * 1024 * 1024)
    with pytest.raises(ResourceLimitError) as caught:
        await process(input=1, query="[range(100000000)] | length")
    assert caught.value.limit == 200 * 1024 * 1024


async def test_query_that_produces_too_much_is_stopped(process, monkeypatch):
    monkeypatch.setattr(json_child, "MAX_OUTPUT", 10_000)
    with pytest.raises(ResourceLimitError):
        await process(input=1, query="range(100000000)")


async def test_input_beyond_the_limit_is_refused(process, monkeypatch):
    monkeypatch.setattr(json_processor, "MAX_BYTES", 100)
    with pytest.raises(ResourceLimitError):
        await process(input="1" * 101)


async def test_valid_document(process):
    output = await process(operation="validate", input={"name": "x"}, schema=SCHEMA)
    assert result_of(output) == {"is_valid": True, "errors": []}
    assert json.loads(output.text) == result_of(output)


async def test_invalid_document_lists_every_error(process):
    output = await process(operation="validate", input={"tags": ["ok", "x"], "a/b": 1}, schema=json.dumps(SCHEMA))
    result = result_of(output)
    assert result["is_valid"] is False
    assert {(e["path"], e["keyword"]) for e in result["errors"]} == {
        ("", "required"),
        ("", "additionalProperties"),
        ("/tags/1", "minLength"),
    }
    assert all(e["message"] for e in result["errors"])


def children() -> set[str]:
    if not Path("/proc/self/task").exists():
        pytest.skip("the system does not list child processes under /proc")
    return {pid for listing in Path("/proc/self/task").glob("*/children") for pid in listing.read_text().split()}


@pytest.mark.parametrize(
    ("input_", "query", "value"),
    [
        ('{"id": 9007199254740993}', ".id", 9007199254740993),
        ('[{"id": 9007199254740993}, {"id": 1}]', "map(.id)", [9007199254740993, 1]),
        ({"id": -(2**60) - 1}, ".id", -(2**60) - 1),
        ('\ufeff{"a": 1}', ".a", 1),
        ('[1e307, "1e400"]', ".[1]", "1e400"),
    ],
)
async def test_nothing_of_the_input_is_lost(process, input_, query, value):
    assert result_of(await process(input=input_, query=query)) == value


async def test_lines_end_where_jsonl_says(process):
    lines = '{"t": "a\u2028b\x85c"}\r\n\n{"t": "d"}'
    assert result_of(await process(operation="stream", input=lines, query=".t")) == ["a\u2028b\x85c", "d"]
    assert result_of(await process(operation="stream", input=lines, query=".t | ascii_downcase")) == [
        "a\u2028b\x85c",
        "d",
    ]


@pytest.mark.parametrize("query", [".", "map(. + 1)"])
async def test_a_number_that_no_float_can_hold_is_an_error(process, query):
    with pytest.raises(ValidationError, match="1e400 is too large"):
        await process(input="[1e400]", query=query)


async def test_a_schema_is_read_as_the_draft_that_it_names(process):
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{"type": "string"}]}
    assert result_of(await process(operation="validate", input=[1], schema=schema))["is_valid"] is False
    with pytest.raises(ValidationError, match="nowhere"):
        await process(operation="validate", input=[1], schema={"$schema": "https://nowhere.example/x"})
