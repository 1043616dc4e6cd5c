"""Every function, method and setter of every global gives the same in Lua and in JavaScript, and what is expected."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from llmspell_core.plugins.catalog import Catalog
from llmspell_core.plugins.registry import Registry
from llmspell_core.script.declare import Global, Param
from llmspell_core.testing import say

HERE = Path(__file__).parent


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"parity_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


neutral, cases = _beside("neutral"), _beside("cases")
cases.CASES |= {"Agent": _beside("cases_agent").CASES, "Workflow": _beside("cases_workflow").CASES}
EXPECTED: dict[str, Any] = json.loads((HERE / "expected.json").read_text("utf-8"))
GROUPS = sorted(cases.CASES)
WRONG = {"string": "7", "integer": '"x"', "number": '"x"', "boolean": '"x"', "object": '"x"', "array": '"x"'}
WRONG |= {"function": '"x"'}
ARTICLE = {"string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false"}


@cache
def declared() -> dict[str, Global]:
    registry = Registry(Catalog.load())
    return {name: registry.load("globals", name) for name in registry.names("globals")}


def members_of(declaration: Global) -> dict[str, tuple[Param, ...]]:
    """`Tool.list`, `Tool#execute`, `Agent.builder:name` -> parameters."""
    found = {f"{declaration.name}.{f.name}": f.params for f in declaration.functions}
    found |= {f"{h.name}#{m.name}": m.params for h in declaration.handles for m in h.methods}
    for builder in declaration.builders:
        path = f"{declaration.name}.{builder.name}"
        found |= {f"{path}:{s.name}": s.param_list for s in builder.setters}
        found[f"{path}:{builder.build.name}"] = builder.build.params
    return found


def test_every_declared_member_has_a_case() -> None:
    covered = {key for group in cases.CASES.values() for keys, _ in group for key in keys.split()}
    wanted = {key for declaration in declared().values() for key in members_of(declaration)}
    assert (sorted(wanted - covered), sorted(covered - wanted)) == ([], [])


@pytest.mark.parametrize("group", GROUPS)
def test_a_case_calls_what_it_claims_to_cover(group: str) -> None:
    for keys, code in cases.CASES[group]:
        called = neutral.members(code)
        assert {key.replace("#", ".").replace(":", ".").rpartition(".")[2] for key in keys.split()} <= called, code


async def _both(make_runtime: Any, codes: list[str]) -> list[list[Any]]:
    found = []
    for language, write in (("lua", neutral.lua_script), ("javascript", neutral.js_script)):
        runtime = await make_runtime(replies=[say("hi")])
        found.append((await runtime.run_script(write(codes), engine=language, timeout=30)).value)
    return found


@pytest.mark.parametrize("group", GROUPS)
async def test_both_languages_give_what_is_expected(group: str, make_runtime: Any) -> None:
    lua, javascript = await _both(make_runtime, [code for _, code in cases.CASES[group]])
    for (keys, code), one, other in zip(cases.CASES[group], lua, javascript, strict=True):
        assert _plain(one) == _plain(other), f"{keys}: {code}"
        assert _plain(one) == EXPECTED[keys], f"{keys}: {code}"


def _plain(result: dict[str, Any]) -> Any:
    """A value, or {"error": message}; Lua has no empty list and no null of its own."""
    if not result["ok"]:
        return {"error": result["value"]}
    return _folded(result.get("value"))


def _folded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _folded(v) for k, v in value.items() if v is not None} or []
    return [_folded(v) for v in value] if isinstance(value, list) else value


def _error_cases(name: str) -> list[tuple[str, str, str]]:
    """(key, code, expected message): each required parameter left out, each typed one given something else."""
    found = []
    for key, params in members_of(declared()[name]).items():
        if key in cases.WITHOUT_CHECKS or not params:
            continue
        first = params[0]
        label, setup, target = _called(key)
        if first.required and first.type != "any":
            found.append((key, f"{setup}{target}()", f"{label}: '{first.name}' is required"))
        if first.type in WRONG:
            found.append((key, f"{setup}{target}({WRONG[first.type]})", f"{label}: '{first.name}' must be"))
    return found


def _called(key: str) -> tuple[str, str, str]:
    """The name in messages, what makes the object, and the expression to call."""
    if "#" in key:
        handle, _, method = key.partition("#")
        return f"{handle}:{method}", f"made = {cases.OBJECTS[handle]}; ", f"made.{method}"
    if ":" in key:
        builder, _, setter = key.partition(":")
        return f"{builder}():{setter}", "", f"{builder}().{setter}"
    return key, "", key


@pytest.mark.parametrize("name", sorted(n for n in cases.CASES if n in declared()))
async def test_wrong_arguments_are_refused_with_the_same_words(name: str, make_runtime: Any) -> None:
    wrong = _error_cases(name)
    lua, javascript = await _both(make_runtime, [code for _, code, _ in wrong] or ["1"])
    for (key, code, expected), one, other in zip(wrong, lua, javascript, strict=False):
        assert one == other, f"{key}: {code}"
        assert one["ok"] is False, f"{key}: {code}"
        assert one["value"].startswith(expected), f"{key}: {one['value']}"


@pytest.mark.parametrize("language", ["lua", "javascript"])
async def test_every_spelling_is_there(language: str, runtime: Any) -> None:
    from llmspell_core.script.declare import names_of

    names = [
        (declaration.name, spelling)
        for declaration in declared().values()
        for function in declaration.functions
        for spelling in names_of(function.name, function.aliases, language)
    ]
    checks = ",".join(f'{{"{g}.{n}", type({g}["{n}"])}}' for g, n in names)
    source = f"return {{{checks}}}"
    if language == "javascript":
        source = "return [" + ",".join(f'["{g}.{n}", typeof {g}["{n}"]]' for g, n in names) + "]"
    found = (await runtime.run_script(source, engine=language)).value
    assert [name for name, kind in found if kind != "function"] == []
