"""Functions of a script that the host calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell_core.errors import ScriptError


async def test_a_thousand_callbacks(js: Any) -> None:
    script = "return await Test.apply(n => n * 2, Array.from({length: 1000}, (_, i) => i))"
    assert await js.value(script) == [n * 2 for n in range(1000)]


async def test_a_callback_is_served_while_a_plain_call_waits(js: Any) -> None:
    assert await js.value("return Test.apply_now(n => n + 1, [1, 2])") == [2, 3]


async def test_an_asynchronous_callback_is_awaited(js: Any) -> None:
    script = "return [await Test.apply(f, [1]), Test.applyNow(f, [2])]"
    assert await js.value("const f = async n => { await sleep(2); return n + await Test.later(1) };" + script) == [
        [2],
        [3],
    ]


async def test_asynchronous_callbacks_run_together(js: Any) -> None:
    script = "return (await Test.apply_together(() => Test.together(40), Array(40).fill(0))).length"
    assert await js.value(script) == 40
    assert js.meter.most == 40


async def test_a_callback_may_call_the_host_which_calls_back(js: Any) -> None:
    script = """
      const down = n => n === 0 ? ['end'] : Test.apply_now(down, [n - 1]);
      return [Test.apply_now(down, [5]).flat(9), await Test.apply(async n => (await Test.apply(x => x + n, [1]))[0], [10])]"""
    assert await js.value(script) == [["end"], [11]]


async def test_an_error_in_a_callback_reaches_the_caller_with_its_line(js: Any) -> None:
    error = await js.error("const f = () => {\n  throw new Error('in the callback')\n};\nawait Test.apply(f, [1])")
    assert "in the callback" in error.message


async def test_a_rejected_callback_can_be_caught(js: Any) -> None:
    script = "try { await Test.apply(async () => { throw new Error('no') }, [1]) } catch (e) { return e.message }"
    assert "no" in await js.value(script)


async def test_one_function_has_one_identity(js: Any) -> None:
    script = "const f = () => 1; const [a, b] = [Test.define({handler: f}), Test.define({handler: f})];"
    assert await js.value(script + "return a.handler === f && b.handler === f") is True


async def test_functions_cross_only_where_they_are_declared(js: Any) -> None:
    assert "is a function" in (await js.error("Test.define({other: () => 1})")).message


async def test_a_callback_outlives_the_script_but_not_its_session(js: Any) -> None:
    async with js.session() as session:
        await session.run("let n = 0; Test.keep(async () => { await sleep(1); return ++n })", name="script.js")
        (kept,) = session.scope.data["kept"]
        assert await kept() == 1
        assert sorted(await asyncio.gather(*(kept() for _ in range(30)))) == list(range(2, 32))
    with pytest.raises(ScriptError, match="has ended"):
        await kept()
