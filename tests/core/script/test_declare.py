"""Declarations: what is refused when they are written, what is generated, what arguments they accept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llmspell_core.errors import ValidationError
from llmspell_core.script.api import ScriptApi, Summary, summarize
from llmspell_core.script.declare import Builder, Function, Global, Handle, Param, Setter, camel, names_of, snake
from llmspell_core.script.query import query
from llmspell_core.script.reference import Reference
from llmspell_core.script.validate import bind


@pytest.mark.parametrize(
    "declaration",
    [
        lambda: Param("not a name"),
        lambda: Param("x", "text"),  # type: ignore[arg-type]
        lambda: Param("x", "handle"),
        lambda: Function("f", None, (Param("a"), Param("a"))),
        lambda: Function("f", None, async_variant=True),
        lambda: Function("f", None, [Param("a")]),  # type: ignore[arg-type]
        lambda: Setter("s", mode="push"),  # type: ignore[arg-type]
        lambda: Global("G", functions=(Function("a"), Function("b", aliases=("a",)))),
        lambda: Global("G", functions=(Function("then"),)),
        lambda: Handle("H", (Function("m"), Function("m"))),
        lambda: Builder("b", (Setter("build"),), Function("build")),
        lambda: ScriptApi((Global("A", handles=(Handle("H"),)), Global("B", handles=(Handle("H"),)))),
        lambda: ScriptApi(
            (Global("A", functions=(Function("f", print),)), Global("A", functions=(Function("f", print),)))
        ),
    ],
)
def test_a_wrong_declaration_is_refused_when_it_is_written(declaration: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        declaration()


def test_names_are_spelled_in_both_ways() -> None:
    assert camel("create_from_template") == "createFromTemplate"
    assert snake("getSection") == "get_section"
    assert names_of("getSection", (), "lua") == ("getSection", "get_section")
    assert names_of("list_keys", ("keys",), "javascript") == ("list_keys", "keys", "listKeys")


def test_a_disabled_global_is_left_out() -> None:
    api = ScriptApi((Global("On"), Global("Off", enabled=lambda runtime: runtime == "on")), "off")
    assert [g["name"] for g in api.manifest("lua")["globals"] if not g["hidden"]] == ["On"]


@pytest.mark.parametrize("summarized", [False, True])
def test_a_global_is_left_out_where_nothing_is_installed_that_it_needs(summarized: bool) -> None:
    needy = Global("Needy", needs=("workflows",))
    part = Summary("Needy", summarize(needy), lambda: needy) if summarized else needy
    for installed, expected in (([], []), (["loop"], ["Needy"])):
        runtime = SimpleNamespace(registry=SimpleNamespace(names=lambda kind, found=installed: found))
        api = ScriptApi((part,), runtime)
        assert [g["name"] for g in api.manifest("lua")["globals"] if not g["hidden"]] == expected


PARAMS = (
    Param("name", "string"),
    Param("n", "integer", default=3),
    Param("items", "array", required=False),
    Param("options", "object", required=False),
)


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        (["a"], ["a", 3, None, None]),
        (["a", 2.0, {}, []], ["a", 2, [], {}]),
        (["a", None, [1], {"x": 1}, "more"], ["a", 3, [1], {"x": 1}]),
    ],
)
def test_arguments_are_completed_and_made_to_fit(given: list[Any], bound: list[Any]) -> None:
    assert bind("T.f", PARAMS, given) == bound


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "T.f: 'name' is required"),
        ([5], "T.f: 'name' must be a string, got number"),
        ([{"a": 1}], "T.f: 'name' must be a string, got table"),
        ([{"$fn": 1}], "T.f: 'name' must be a string, got table"),
        ([Reference("", 1)], "T.f: 'name' must be a string, got function"),
        (["a", True], "T.f: 'n' must be an integer, got boolean"),
        (["a", 1.5], "T.f: 'n' must be an integer, got number"),
        (["a", 1, {"x": 1}], "T.f: 'items' must be a list, got table"),
        (["a", 1, [], [1]], "T.f: 'options' must be a table with named fields, got list"),
    ],
)
def test_a_wrong_argument_is_named_with_both_types(given: list[Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        bind("T.f", PARAMS, given)
    assert caught.value.message == message


def test_choices_are_listed() -> None:
    with pytest.raises(ValidationError, match="must be one of red, blue, got 'green'"):
        bind("T.f", (Param("colour", "string", choices=("red", "blue")),), ["green"])


DATA = {
    "items": [{"n": 1, "name": "a"}, {"n": 3, "name": "b"}, {"n": 2, "name": "c"}],
    "a b": {"c": [1, 2, 3]},
    "none": None,
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (".", DATA),
        (".items[0].name", "a"),
        (".items[-1].name", "c"),
        (".items[].name", ["a", "b", "c"]),
        (".items | map(.n)", [1, 3, 2]),
        (".items[] | select(.n >= 2) | .name", ["b", "c"]),
        ('.items[] | select(.name == "b")', [{"n": 3, "name": "b"}]),
        ('."a b".c[1:]', [2, 3]),
        ('.["a b"].c[:1]', [1]),
        (".items | length", 3),
        ("keys", ["a b", "items", "none"]),
        (".items | map(.n) | add", 6),
        (".items | map(.n) | sort | last", 3),
        (".missing.deep[0]", None),
        ('has("items")', True),
        (".none | not", True),
        (".items[9]", None),
        (".items | map(select(.n > 9))", []),
        ("type", "object"),
    ],
)
def test_a_query_finds(expression: str, expected: Any) -> None:
    assert query(DATA, expression) == expected


@pytest.mark.parametrize(
    "expression", ["", ".a[", ".a b", "nothing", ".items | sort(.n)", "§", "5 | length", ".a |", "("]
)
def test_a_query_that_is_not_understood_says_so(expression: str) -> None:
    with pytest.raises(ValidationError, match=r"JSON\.query"):
        query(DATA, expression)
