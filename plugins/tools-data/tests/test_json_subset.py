"""Without jq its basic part still works, and says the same as jq does."""

from __future__ import annotations

import json
import sys

import pytest
from llmspell_tools_data import json_child

from llmspell_core.errors import TimeoutError, ToolError, ValidationError

DOCUMENTS = [
    {"a": [{"b": 2, "c": "x"}, {"b": 1, "c": "y"}], "n": None, "t": True, "k": {"z": 1, "y": [1, 2, 3]}, "d e": 1},
    [3, 1, "a", None, True, False, {"a": 1}, [1], {"a": 0}, {"b": 0}, [0, 1], -2.5],
    "text",
    5,
    None,
]
QUERIES = [
    ".",
    ".a",
    ".a[0]",
    ".a[-1].c",
    '.["a"]',
    '."d e"',
    ".k.y[1:]",
    ".k.y[:2]",
    ".k.y[-2:-1]",
    ".a[] | .b",
    ".a | map(.b)",
    ".a | map(select(.b > 1))",
    ".a | sort_by(.b)",
    ".a | sort_by(.c, .b)",
    "keys",
    "length",
    ".k | keys",
    "sort_by(.)",
    "map(.) | length",
    ".a[].b, .t",
    ".a?",
    "(.a | length) == 2",
    ".t and .n",
    ".t or .n",
    ". and true",
    ".t | not",
    ".a[0].b != 2",
    "select(. == 5)",
    ".zz.yy",
    ".a[99]",
    ".[1:3]",
    '"lit"',
    "-1",
    ".[]",
    ".[]?",
    'map(select(. >= "a"))',
    ".a[0].c, (.a[1] | .c)",
    "null",
]


@pytest.fixture
def no_jq(monkeypatch):
    monkeypatch.setitem(sys.modules, "jq", None)


async def outcome(process, document, query):
    try:
        return (await process(input=json.dumps(document), query=query)).metadata.extra["response"].get("result")
    except ToolError:
        return "tool error"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: type(d).__name__)
async def test_says_the_same_as_jq(process, monkeypatch, document):
    jq = pytest.importorskip("jq", reason="needs the real jq to compare with")
    for query in QUERIES:
        try:
            outputs = jq.compile(query).input_value(document).all()
            expected = outputs[0] if len(outputs) == 1 else outputs
        except ValueError:
            expected = "tool error"
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "jq", None)
            assert await outcome(process, document, query) == expected, query


@pytest.mark.parametrize(
    "query", ["group_by(.a)", ".a +", "map(", ".[", ".[:]", ".[]extra", "{a: 1}", '"\\(1)"', ". as $x | $x", "(" * 200]
)
async def test_what_needs_the_real_jq_says_so(process, no_jq, query):
    with pytest.raises(ValidationError) as caught:
        await process(input={}, query=query)
    assert caught.value.field == "query"
    assert "jq is not installed" in caught.value.message
    assert caught.value.hint == "pip install jq"


async def test_stream_and_bad_lines_without_jq(process, no_jq):
    output = await process(operation="stream", input='{"a": 1}\n\n{"a": 2}', query=".a")
    assert output.metadata.extra["response"]["result"] == [1, 2]
    with pytest.raises(ValidationError, match="line 2 is not JSON"):
        await process(operation="stream", input="1\n{", query=".")


async def test_deadline_holds_without_jq(process, no_jq, monkeypatch):
    monkeypatch.setattr(json_child, "MAX_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        await process(input=list(range(100_000)), query="map(select(.) | 1) | select(.[] == .[])")


async def test_validation_without_its_library_says_what_to_install(process, monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(ToolError) as caught:
        await process(operation="validate", input=1, schema={})
    assert caught.value.hint == "pip install jsonschema-rs"
