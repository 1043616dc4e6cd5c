"""Editor declarations are generated for every global, alias and spelling, and are valid."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.script.declare import Builder, Function, Global, Handle, Param, Setter
from llmspell_core.script.stubs import lua_stubs, typescript_stubs


def nothing(*_: Any) -> None:
    return None


PLANET = Handle("Planet", fields=("name",), doc="A planet.", methods=(Function("land_on", nothing, returns="boolean"),))
SPACE = Global(
    "Space",
    doc="What is up there.",
    aliases=("Sky",),
    constants={"LIMIT": 3},
    handles=(PLANET,),
    functions=(
        Function(
            "find_planet",
            nothing,
            (
                Param("name", "string", doc="Its */ name."),
                Param("end", "integer", required=False),
                Param("kind", "string", choices=("gas", "rock"), required=False),
            ),
            "Planet",
            "Looks one up.",
            blocking=True,
            async_variant=True,
            aliases=("locate",),
        ),
        Function("watch", nothing, (Param("options", "object", required=False), Param("f", "function")), "stream"),
        Function("all", nothing, returns="[Planet]", varargs=True),
    ),
    builders=(Builder("probe", (Setter("max_speed", Param("n", "integer")),), Function("build", nothing)),),
    subglobals=(Global("Near", functions=(Function("list", nothing, returns="array"),)),),
    index=Function("by_name", nothing, (Param("name", "string"),)),
)
HIDDEN = Global("Inner", functions=(Function("secret", nothing),), hidden=True)
QUERY = Global("JSON", functions=(Function("parse", None), Function("query", nothing, (Param("value"),))))
ALL = (SPACE, HIDDEN, QUERY)


@pytest.mark.parametrize(
    "line",
    [
        "---@class llmspell.global.Space",
        "---@field LIMIT integer",
        "---@param name string Its */ name.",
        "---@param end_? integer",
        '---@param kind? "gas"|"rock"',
        "---@return llmspell.Planet",
        "function Space.find_planet(name, end_, kind) end",
        "function Space.locate(name, end_, kind) end",
        "function Space.find_planet_async(name, end_, kind) end",
        "---@return llmspell.Async",
        "---@return llmspell.Planet[]",
        "function Space.all(...) end",
        "function Planet:land_on() end",
        "function Builder:max_speed(n) end",
        "---@return llmspell.Space.probe",
        "function Space.Near.list() end",
        "Sky = Space",
    ],
)
def test_lua_annotations_hold(line: str) -> None:
    assert line in lua_stubs(ALL).splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "declare const Space: {",
        "  readonly LIMIT: number;",
        '  find_planet(name: string, end?: number | null, kind?: "gas" | "rock" | null): Promise<LLMSpellPlanet>;',
        '  findPlanet(name: string, end?: number | null, kind?: "gas" | "rock" | null): Promise<LLMSpellPlanet>;',
        "  watch(options: Record<string, any> | null | undefined, f: ((...args: any[]) => any)): LLMSpellStream & Promise<any>;",
        "  all(...more: any[]): LLMSpellPlanet[];",
        "  maxSpeed(n: number): this;",
        "  probe(): LLMSpellSpaceProbe;",
        "  readonly Near: {",
        "declare const Sky: typeof Space;",
        "interface JSON {",
    ],
)
def test_typescript_declarations_hold(line: str) -> None:
    assert line in typescript_stubs(ALL).splitlines()


def test_what_is_hidden_is_not_declared() -> None:
    assert "secret" not in lua_stubs(ALL) + typescript_stubs(ALL)


def test_the_languages_own_json_functions_are_not_declared_again() -> None:
    assert "  parse(" not in typescript_stubs((QUERY,))


def test_lua_annotations_are_lua() -> None:
    lua = pytest.importorskip("lupa.lua54", reason="needs a Lua compiler: pip install lupa")
    runtime = lua.LuaRuntime(register_eval=False)
    assert runtime.eval("function(text) return select('#', load(text)) end")(lua_stubs(ALL)) == 1


def test_brackets_of_the_declarations_are_balanced() -> None:
    text = typescript_stubs(ALL)
    assert all(text.count(left) == text.count(right) for left, right in ("{}", "()", "[]"))
