"""What scripts leave in the host is bounded: their own memory limit does not cover it."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import ResourceLimitError, ScriptError
from llmspell_core.events import QUEUE_BYTES
from llmspell_core.script.result import Limits

MakeRuntime = Callable[..., Awaitable[Runtime]]
BIG = "local d = ('x'):rep(1000000) "
FLOODS = {
    "state": ("for i = 1, 100000 do State.set('k' .. i, 'v') end", "room in the state"),
    "large state": (BIG + "for i = 1, 100 do State.set('k' .. i, d) end", "room in the state"),
    "subscriptions": ("for i = 1, 20000 do Event.subscribe('a' .. i) end", "too many subscriptions"),
    "hooks": ("for i = 1, 20000 do Hook.register('ToolError', function() end) end", "too many hooks"),
    "timers": (BIG + "for i = 1, 100 do Debug.timer(d .. i) end", "too much in its timers"),
    "laps": (BIG + "local t = Debug.timer('t') for i = 1, 100 do t:lap(d) end", "too much in its timers"),
    "timer events": (
        BIG + "local t = Debug.timer('t') for i = 1, 100 do Debug.recordEvent(t.id, 'e', d) end",
        "timers",
    ),
    "filters": (BIG + "Debug.addModuleFilter(d, true)", "may have 200 characters"),
    "many filters": ("for i = 1, 1000 do Debug.addModuleFilter('m' .. i, true) end", "100 module filters already"),
    "metrics": (BIG + "Metrics.increment(d)", "may have 1000 characters"),
    "metric laps": (BIG + "local t = Metrics.timer('t') for i = 1, 100 do t:lap(d) end", "too much in its laps"),
    "configuration": (BIG + "for i = 1, 100 do Config.set('app.x' .. i, d) end", "too much in its configuration"),
    "providers": (BIG + "for i = 1, 100 do Config.setProvider('x' .. i, {model = d}) end", "its configuration"),
    "shared memory": (BIG + "for i = 1, 100 do Agent.set_shared_memory('global', 'k' .. i, d) end", "shared memory"),
    "large objects": (
        BIG
        + "for i = 1, 100 do Agent.builder():name('a' .. i):model('openai/x'):api_key('k'):system_prompt(d):build() end",
        "too much in its host",
    ),
    "objects": ("for i = 1, 200000 do Metrics.timer('t') end", "holds too many objects"),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_in_one_error(make_runtime: MakeRuntime, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell_core.script.scope.MOST_OBJECTS", 10_000)
    monkeypatch.setattr("llmspell_core.script.result.Limits", partial(Limits, held_bytes=40_000_000))
    source, said = FLOODS[name]
    runtime = await make_runtime()
    with pytest.raises(ScriptError) as caught:
        await runtime.run_script(source, engine="lua", timeout=60)
    assert said in caught.value.message
    assert (await runtime.run_script("return 1", engine="lua")).value == 1


async def test_what_one_script_was_refused_another_one_still_has(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime()
    with pytest.raises(ScriptError):
        await runtime.run_script(FLOODS["timers"][0], engine="lua")
    assert (await runtime.run_script("return Debug.timer('mine'):stop() >= 0", engine="lua")).value is True


@pytest.mark.parametrize(
    "source",
    [
        "local s = Event.subscribe('x') " + BIG + "for i = 1, 100 do Event.publish('x', d) end",
        BIG + "for i = 1, 300 do Debug.warn(d) Debug.logWithData('warn', 'x', d) end",
    ],
    ids=["events that nobody takes", "captured messages"],
)
async def test_old_entries_go_when_new_ones_are_large(make_runtime: MakeRuntime, source: str) -> None:
    runtime = await make_runtime()
    await runtime.run_script("return 1", engine="lua")
    tracemalloc.start()
    try:
        await runtime.run_script(source, engine="lua", timeout=60)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * QUEUE_BYTES


SEARCHES = {
    "a regex": "Debug.addAdvancedFilter('(a+)+$', 'regex', true) Debug.warn('x', ('a'):rep(40) .. '!')",
    "many stars": "Debug.addAdvancedFilter(('a*'):rep(30) .. 'b', 'regex', true) Debug.warn('x', ('a'):rep(200))",
    "an event pattern": "Event.subscribe(('*a'):rep(20) .. '*b') Event.publish(('a'):rep(200) .. 'c', 1)",
    "a deep event pattern": "Event.subscribe(('**a'):rep(20) .. '*b') Event.publish(('a.'):rep(100) .. 'c', 1)",
    "a module pattern": "Debug.addModuleFilter(('*a'):rep(30) .. '*b', true) Debug.warn('x', ('a'):rep(2000) .. 'c')",
}


@pytest.mark.parametrize("name", SEARCHES)
async def test_no_pattern_of_a_script_keeps_the_host_busy(make_runtime: MakeRuntime, name: str) -> None:
    runtime = await make_runtime()
    started = time.monotonic()
    await runtime.run_script(SEARCHES[name], engine="lua", timeout=10)
    assert time.monotonic() - started < 5


async def test_calls_that_wait_hold_so_many_bytes_and_no_more(
    make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell_core.script.result.Limits", partial(Limits, held_bytes=20_000_000))
    runtime = await make_runtime()
    runtime.hooks.register("BeforeToolExecution", lambda _: asyncio.sleep(60), timeout=60)
    call = "for i = 1, {count} do last = Tool.execute_async('calculator', {{expression = d}}) end {more} return 1"
    with pytest.raises(ScriptError, match="too much in its host"):
        await runtime.run_script(BIG + call.format(count=30, more="last:await()"), engine="lua", timeout=30)
    assert (await runtime.run_script(BIG + call.format(count=10, more=""), engine="lua", timeout=30)).value == 1


async def test_a_slow_subscriber_loses_the_oldest_and_sees_how_many(runtime: Runtime) -> None:
    from llmspell_core.events import Event

    with runtime.events.subscribe("x") as subscription:
        for number in range(10):
            runtime.events.publish(Event("x", number, size=QUEUE_BYTES // 4))
        assert (subscription.pending(), subscription.lagged) == (4, 6)
        first = await subscription.receive(1)
        assert first is not None
        assert first.data == 6


async def test_a_limit_is_told_as_a_limit(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime()
    with pytest.raises(ScriptError) as caught:
        await runtime.run_script(FLOODS["timers"][0], engine="lua")
    assert isinstance(caught.value.__cause__, ResourceLimitError)
    assert caught.value.__cause__.hint
