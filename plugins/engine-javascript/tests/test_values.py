"""Values cross exactly, or not at all with a clear error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXACT = [
    "null",
    "true",
    "0",
    "-1.5",
    "1e300",
    "9007199254740991",
    '""',
    '"a\\u0000b"',
    '"\\ud800 half"',
    '"😀 ünï"',
    "[]",
    "{}",
    '{"__proto__":{"x":1},"toJSON":5,"length":3}',
    '[[[]],{"a":[null]}]',
    '"\\u2028\\u2029\\"\\\\"',
]


@pytest.mark.parametrize("text", EXACT)
async def test_a_value_comes_back_from_the_host_as_it_went(js: Any, text: str) -> None:
    script = f"const v = JSON.parse({json.dumps(text)}); return [await Test.later(v), Test.echo(v)]"
    assert await js.value(script) == [json.loads(text)] * 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(json_values, max_size=12))
async def test_whatever_the_host_returns_comes_back_unchanged(js: Any, values: list[Any]) -> None:
    seen: list[Any] = []
    from llmspell_core.script.api import ScriptApi
    from llmspell_core.script.declare import Function, Global, Param

    source = Global(
        "Values",
        functions=(
            Function("all", lambda _s: values),
            Function("give", lambda _s, v: seen.append(v), (Param("v", "any"),)),
        ),
    )
    js.api = ScriptApi((source,))
    await js.result("for (const v of Values.all()) Values.give(v)")
    assert json.dumps(seen) == json.dumps([_as_javascript(v) for v in values])


def _as_javascript(value: Any) -> Any:
    """JavaScript has one kind of number, and drops the sign of nothing in JSON."""
    if isinstance(value, dict):
        return {k: _as_javascript(v) for k, v in sorted(value.items(), key=_own_order)}
    if isinstance(value, list):
        return [_as_javascript(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _own_order(item: tuple[str, Any]) -> tuple[int, int]:
    """Objects list their integer keys first, ascending."""
    key = item[0]
    is_index = key.isascii() and key.isdigit() and str(int(key)) == key and int(key) < 2**32 - 1
    return (0, int(key)) if is_index else (1, 0)


async def test_integers_beyond_the_exact_range_are_bigints(js: Any) -> None:
    value = 2**63 + 1
    script = f"const v = Test.echo({value}n); return [typeof v, v === {value}n, v, Test.type_of(v), {{a: [v]}}]"
    assert await js.value(script) == ["bigint", True, value, "int", {"a": [value]}]


async def test_not_a_number_and_infinity_are_null(js: Any) -> None:
    assert await js.value("return Test.echo([NaN, Infinity, -Infinity])") == [None, None, None]


async def test_undefined_is_null_in_lists_and_absent_in_objects(js: Any) -> None:
    assert await js.value("return Test.echo({a: undefined, b: [undefined]})") == {"b": [None]}


async def test_dates_maps_sets_and_typed_arrays_become_plain_data(js: Any) -> None:
    script = "return Test.echo([new Date(0), new Map([['a', 1]]), new Set([1, 2]), new Uint8Array([3, 4])])"
    assert await js.value(script) == ["1970-01-01T00:00:00.000Z", {"a": 1}, [1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("{a: [() => 1]}", "Test.echo: 'value'.a[0] is a function; only plain data can be passed on here"),
        ("Symbol('s')", "Test.echo: 'value' is a Symbol"),
        ("Promise.resolve(1)", "Test.echo: 'value' is a Promise; await it first"),
        ("(() => { const a = {}; a.b = [a]; return a })()", "refers to itself"),
        ("Array.from({length: 100}).reduce(a => [a], [])", "is nested more than 64 levels deep"),
    ],
)
async def test_what_cannot_cross_is_named_with_its_place(js: Any, expression: str, message: str) -> None:
    error = await js.error(f"const x = 1;\nTest.echo({expression})")
    assert message in error.message
    assert error.line == 2


async def test_a_long_string_made_of_pieces_crosses(js: Any) -> None:
    assert await js.value("return (await Test.later('a'.repeat(6000) + 'b'.repeat(6000))).length") == 12000


async def test_a_result_that_is_no_data_is_an_error(js: Any) -> None:
    assert "the script's result is a function" in (await js.error("return () => 1")).message


async def test_json_is_the_native_one(js: Any) -> None:
    assert await js.value("return JSON.parse(JSON.stringify({a: [1, {b: null}]}))") == {"a": [1, {"b": None}]}


async def test_a_script_that_poisons_the_builtins_harms_only_itself(js: Any) -> None:
    script = """
      JSON.stringify = JSON.parse = () => 'gone'; Promise.prototype.then = () => 'gone';
      Array.prototype.push = Array.prototype.map = () => 'gone'; Array.prototype[Symbol.iterator] = null;
      Map.prototype.forEach = Object.keys = Reflect.apply = String.prototype.indexOf = null;
      return [Test.echo({a: [1]}), await Test.later(2)]"""
    assert await js.value(script) == [{"a": [1]}, 2]
