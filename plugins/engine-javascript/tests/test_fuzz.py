"""Whatever a script says, it ends in a value or in a clean error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell_core.errors import ScriptError

TOKENS = [
    *"{}()[];,.:=+-*/<>!?&|%~^'\"`\\\n #@$",
    *re.findall(
        r"\S+",
        "let const var function class async await return yield if else throw try catch finally new delete typeof",
    ),
    *re.findall(
        r"\S+",
        "=> ... ?. ?? ** // /* */ ${ a b c Test Test.echo 0 1n .5 null undefined this super import export globalThis",
    ),
    *("/a/g", "#!", "\ud800", "\0", "\u2028", "é", " "),
]
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def phase_of(run: Awaitable[Any]) -> str | None:
    """How the script failed; None if it did not."""
    try:
        async with asyncio.timeout(5):
            await run
    except ScriptError as error:
        return error.phase
    return None


@FUZZ
@given(words=st.lists(st.sampled_from(TOKENS), max_size=25))
async def test_a_session_survives_any_cell(cell: Any, words: list[str]) -> None:
    assert await phase_of(cell(" ".join(words))) in {None, "syntax", "runtime", "memory"}
    assert (await cell("'still ' + 'there'")).value == "still there"


@settings(FUZZ, max_examples=15)
@given(source=st.binary(max_size=200))
async def test_any_bytes_are_a_script_or_a_clean_error(js: Any, source: bytes) -> None:
    assert await phase_of(js.result(source)) in {None, "syntax", "runtime"}
