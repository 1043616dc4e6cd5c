"""Random values through both engines, and random text as scripts: what comes back is the same, or one clean error."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmspell_core.errors import LLMSpellError, ScriptError

FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SAFE = 2**53 - 1


def values(smallest: int, largest: int) -> st.SearchStrategy[Any]:
    """Anything of the JSON data model; a list has no holes, because Lua has no null."""
    floats = st.floats(allow_nan=False, allow_infinity=False)
    scalars = st.booleans() | st.integers(smallest, largest) | floats | st.text(max_size=20)
    keys = st.text(max_size=8) | st.sampled_from(["__proto__", "constructor", "1", "then", "$fn", "$handle", "$b64"])
    nested = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner | st.none(), max_size=4),
        max_leaves=12,
    )
    return nested | st.none()


def folded(value: Any) -> Any:
    """What both languages can tell apart: no empty table from an empty list, no absent field from null."""
    if isinstance(value, dict):
        return {key: folded(item) for key, item in value.items() if item is not None} or []
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return [folded(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(params=["lua", "javascript"])
async def session(request: Any, runtime: Any) -> AsyncIterator[Any]:
    opened = await runtime.scripts.console(request.param)
    opened.host_state = runtime.state
    yield opened
    await runtime.scripts.close_session(opened)


@FUZZ
@given(value=values(-SAFE, SAFE))
async def test_values_survive_the_way_into_a_script_and_back(session: Any, value: Any) -> None:
    await session.host_state.set("global:in", value)
    await session.run('State.set("out", State.get("in"))', name="cell", mode="cell")
    assert folded(await session.host_state.get("global:out")) == folded(value)


@FUZZ
@given(value=values(-(2**63), 2**63 - 1))
async def test_lua_keeps_every_64_bit_integer(runtime: Any, value: Any) -> None:
    lua = getattr(runtime, "fuzz_session", None)
    if lua is None:
        lua = runtime.fuzz_session = await runtime.scripts.console("lua")
    await runtime.state.set("global:in", value)
    await lua.run('State.set("out", State.get("in"))', name="cell", mode="cell")
    assert folded(await runtime.state.get("global:out")) == folded(value)


async def error_of(run: Awaitable[Any]) -> LLMSpellError | None:
    try:
        async with asyncio.timeout(5):
            await run
    except LLMSpellError as error:
        return error
    return None


@settings(FUZZ, max_examples=40)
@given(source=st.text(max_size=60) | st.text("(){}[]=+-*/%#<>~,;:.'\"\\ \n01ae_", max_size=60))
@example(source="'\\\u00c3'")  # Lua's message quotes half of the character
async def test_any_text_is_a_cell_or_a_clean_error(session: Any, source: str) -> None:
    error = await error_of(session.run(source, name="cell", mode="cell"))
    assert error is None or (isinstance(error, ScriptError) and error.phase in {"syntax", "runtime", "memory"})
    assert "Traceback" not in str(error)
    assert (await session.run("1 + 1", name="cell", mode="cell")).value == 2


@settings(FUZZ, max_examples=10)
@given(source=st.binary(max_size=200))
@pytest.mark.parametrize("language", ["lua", "javascript"])
async def test_any_bytes_are_a_script_or_a_clean_error(runtime: Any, language: str, source: bytes) -> None:
    error = await error_of(runtime.run_script(source, engine=language))
    assert "Traceback" not in str(error)
