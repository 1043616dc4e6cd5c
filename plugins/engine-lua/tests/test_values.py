"""What crosses the border, in both directions, unchanged."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | text
keys = text.filter(lambda key: not key.startswith("$"))
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(keys, inner, min_size=1, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(documents, min_size=1, max_size=5))
def test_whatever_the_host_returns_comes_back_unchanged(lua: Any, values: list[Any]) -> None:
    async def main() -> Any:
        async with lua.session() as session:
            return (
                await session.run("local t = JSON.parse(ARGS.json) return Test.echo(t)", args={"json": _json(values)})
            ).value

    assert asyncio.run(main()) == values


def _json(values: Any) -> str:
    import json

    return json.dumps(values)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Test.echo(3)", 3),
        ("math.type(Test.echo(3))", "integer"),
        ("math.type(Test.echo(3.0))", "float"),
        ("Test.echo(9223372036854775807)", 2**63 - 1),
        ("Test.echo(9007199254740993)", 2**53 + 1),
        ("Test.type_of(nil)", "NoneType"),
        ("Test.type_of({})", "dict"),
        ("Test.type_of({1, 2})", "list"),
        ("Test.type_of({1, 2, x = 1})", "dict"),
        ("Test.type_of({[2] = 'b'})", "dict"),
        ("Test.echo({[2] = 'b', [1.5] = 'c'})", {"2": "b", "1.5": "c"}),
        ("Test.list_of({})", "list"),
        ("Test.type_of(JSON.array({}))", "list"),
        ("JSON.array({})", []),
        ("Test.type_of(0/0)", "NoneType"),
        ("Test.type_of(1/0)", "NoneType"),
        ("type(Test.echo({a = 1}))", "table"),
        ("#Test.echo({1, 2, 3})", 3),
        ("Test.echo('a\\0b')", "a\0b"),
        ("Test.echo('ü☃')", "ü☃"),
        ("#Test.echo('ü')", 2),
        ("JSON.parse(JSON.stringify({a = {1, 2}})).a[2]", 2),
        ("JSON.stringify({})", "{}"),
        ("JSON.parse('[\"\\\\u00e9é\"]')[1]", "éé"),
        ("JSON.decode('null') == nil", True),
        ("JSON.query({items = {{n = 1}, {n = 5, name = 'x'}}}, '.items[] | select(.n > 1) | .name')", ["x"]),
    ],
)
async def test_a_value_crosses_as_the_specification_says(lua: Any, expression: str, expected: Any) -> None:
    assert await lua.value(f"return {expression}") == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("Test.echo(function() end)", "Test.echo: 'value': Unsupported Lua type: function"),
        ("Test.echo({f = print})", "Unsupported Lua type: function (in field 'f')"),
        ("Test.echo(coroutine.create(print))", "Unsupported Lua type: thread"),
        ("Test.echo('\\255')", "Test.echo: 'value' holds text that is not UTF-8"),
        ("Test.echo({x = {'\\255'}})", "Test.echo: 'value' holds text that is not UTF-8"),
        ("(function() local t = {} t.t = t return Test.echo(t) end)()", "deeper than 64 levels, or contains itself"),
        ("Test.strict({})", "Test.strict: 'name' must be a string, got table"),
        ("Test.strict()", "Test.strict: 'name' is required"),
        ("Test.strict('a', 1.5)", "Test.strict: 'n' must be an integer, got number"),
        ("JSON.parse('{')", "JSON parse error: "),
        ("JSON.stringify({print})", "Unsupported Lua type: function"),
    ],
)
async def test_what_cannot_cross_is_a_clear_error_at_the_line(lua: Any, expression: str, message: str) -> None:
    error = await lua.error(f"local x = 1\nlocal y = {expression}")
    assert message in error.message
    assert error.line == 2


async def test_defaults_and_integral_floats_fit(lua: Any) -> None:
    assert await lua.value("return {Test.strict('a'), Test.strict('b', 4.0)}") == [["a", 3], ["b", 4]]


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("return print", " is a function"),
        ("return coroutine.create(print)", " is a coroutine"),
        ("return {1, {f = print}}", "[2].f is a function"),
        ("return {b = 1, a = {[true] = print}}", ".a.true is a function"),
    ],
)
async def test_a_result_that_is_no_data_is_an_error(lua: Any, source: str, where: str) -> None:
    error = await lua.error(source)
    assert f"the script's result{where}; only plain data can be returned" in str(error)


async def test_an_object_with_fields_may_be_a_result(lua: Any) -> None:
    source = "return {ok = true, c = Test.counter('x'), list = {1, 2}}"
    assert await lua.value(source) == {"ok": True, "c": {"name": "x"}, "list": [1, 2]}


async def test_too_many_tables_are_refused_before_they_are_copied(lua: Any) -> None:
    error = await lua.error("local t = {} for i = 1, 100001 do t[i] = {} end Test.echo(t)")
    assert "more than 100000 tables" in error.message


async def test_a_table_crosses_in_the_order_of_its_keys(lua: Any) -> None:
    """Lua shuffles them anew in every process, and a model that is held to a JSON schema answers in its order."""
    names = ["zebra", "customer", "quantity", "item", "address", "B2"]
    source = "return {" + ", ".join(f"{name} = {{b = 1, a = 2}}" for name in names) + "}"
    async with lua.session() as session:
        value = (await session.run(source)).value
    assert list(value) == sorted(names)
    assert [list(inner) for inner in value.values()] == [["a", "b"]] * len(names)
