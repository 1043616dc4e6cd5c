"""Settings that switch a part off or bound it really do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import ConfigurationError, ResourceLimitError, SecurityError
from llmspell_core.state import MemoryState

USES_A_TOOL = "Tool.execute('calculator', {expression = '1+1'})"
MakeRuntime = Callable[..., Awaitable[Runtime]]


async def test_hooks_that_are_switched_off_cannot_be_registered(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime({"hooks": {"enabled": False}})
    with pytest.raises(ConfigurationError, match="hooks are switched off") as caught:
        runtime.hooks.register("SystemStartup", print)
    assert caught.value.hint == "Set hooks.enabled = true."
    assert not runtime.hooks.active


async def test_events_that_are_switched_off_reach_nobody(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime({"events": {"enabled": False}})
    with pytest.raises(ConfigurationError, match="events are switched off"):
        runtime.events.subscribe("*")
    runtime.events.emit("a.b", {})
    assert runtime.events.stats.published == 0


async def test_tools_that_are_switched_off_do_not_run(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime({"tools": {"enabled": False}})
    with pytest.raises(SecurityError, match="tools are switched off") as caught:
        await runtime.invoke_tool("calculator", {"expression": "1+1"})
    assert caught.value.violation_type == "tools_disabled"


async def test_file_operations_that_are_switched_off_open_nothing(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime({"tools": {"file_operations": {"enabled": False}}})
    with pytest.raises(SecurityError):
        await runtime.policy.files(runtime.context()).read_text("anything.txt")


async def test_state_has_a_size_and_a_full_one_keeps_what_it_has() -> None:
    state = MemoryState(1000)
    await state.set("a", "x" * 500)
    with pytest.raises(ResourceLimitError, match="no room in the state for 'b'") as caught:
        await state.set("b", "x" * 500)
    assert "max_state_size_bytes" in str(caught.value.hint)
    assert (await state.get("a"), await state.get("b")) == ("x" * 500, None)
    await state.set("a", "short")
    await state.set("b", "x" * 500)
    assert await state.delete("b")
    await state.set("c", "x" * 500)


async def test_many_tiny_entries_fill_the_state_too() -> None:
    state = MemoryState(10_000)
    for number in range(50):
        await state.set(str(number), None)
    with pytest.raises(ResourceLimitError):
        await asyncio.gather(*(state.set(f"more {number}", None) for number in range(100)))
    assert len(await state.keys()) < 100


async def running_together(runtime: Runtime, count: int) -> int:
    """How many of `count` scripts were running at the same time."""
    now, most = 0, 0

    async def meet(_: Any) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.2)
        now -= 1

    runtime.hooks.register("BeforeToolExecution", meet)
    await asyncio.gather(*(runtime.run_script(USES_A_TOOL, engine="lua") for _ in range(count)))
    return most


@pytest.mark.parametrize("most", [1, 2])
async def test_no_more_scripts_run_at_once_than_the_configuration_allows(make_runtime: MakeRuntime, most: int) -> None:
    runtime = await make_runtime({"runtime": {"max_concurrent_scripts": most}})
    assert await running_together(runtime, 4) == most


async def test_a_script_that_brings_about_another_one_does_not_wait_for_itself(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime({"runtime": {"max_concurrent_scripts": 1}})

    async def inner(_: Any) -> None:
        await runtime.run_script("return 1", engine="lua")

    runtime.hooks.register("BeforeToolExecution", inner)
    await asyncio.wait_for(runtime.run_script(USES_A_TOOL, engine="lua"), 20)
