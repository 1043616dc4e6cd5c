"""The states of an agent, what hooks may veto, its conversation and what is kept of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from llmspell_core.agent import LLMAgent
from llmspell_core.agent.alerts import AlertRule, Alerts
from llmspell_core.agent.history import trimmed
from llmspell_core.errors import CancelledByHookError, ComponentError, ProviderError, StorageError, ValidationError
from llmspell_core.hooks import HookResult
from llmspell_core.messages import Message, ToolCall
from llmspell_core.runtime import Runtime
from llmspell_core.testing import say


def built(runtime: Runtime, name: str = "a") -> LLMAgent:
    return runtime.agents.builder().name(name).model("scripted/any").build()


@pytest.fixture
async def runtime(make_runtime: Any) -> Runtime:
    made: Runtime = await make_runtime(replies=[say("hi")])
    return made


async def test_an_agent_goes_through_its_states_and_remembers_them(runtime: Runtime) -> None:
    agent = built(runtime)
    states = [str(agent.state)]
    await runtime.run_agent(agent, "x")
    assert [*states, agent.state] == ["Uninitialized", "Ready"]
    for step in (agent.start, agent.pause, agent.resume, agent.stop, agent.terminate):
        await step()
    path = [transition.target for transition in agent.lifecycle.history]
    assert path == [
        *("Initializing", "Ready", "Running", "Ready"),
        *("Running", "Paused", "Running", "Ready", "Terminating", "Terminated"),
    ]
    assert agent.lifecycle.metrics()["total_transitions"] == len(path)
    with pytest.raises(ComponentError, match="terminated and cannot execute"):
        await runtime.run_agent(agent, "x")


async def test_an_illegal_step_names_what_is_allowed(runtime: Runtime) -> None:
    with pytest.raises(ComponentError, match="cannot go from Uninitialized to Running") as caught:
        await built(runtime).start()
    assert "Initializing" in str(caught.value.hint)


async def test_hooks_see_each_step_and_may_veto_it(runtime: Runtime) -> None:
    seen: list[str] = []
    points = ("BeforeAgentInit", "AfterAgentInit", "agent_paused", "agent_state_Running_exit", "AfterAgentShutdown")
    for point in points:
        runtime.hooks.register(point, lambda c: seen.append(c.point))
    agent = built(runtime)
    await agent.initialize()
    await agent.start()
    veto = runtime.hooks.register("agent_paused", lambda _: HookResult.cancel("keep going"))
    with pytest.raises(CancelledByHookError, match="keep going"):
        await agent.pause()
    assert agent.state == "Running"
    veto.unregister()
    await agent.stop()
    await agent.terminate()
    assert seen[:2] == ["BeforeAgentInit", "AfterAgentInit"]
    assert seen[-1] == "AfterAgentShutdown"


async def test_recovery_is_tried_three_times(runtime: Runtime) -> None:
    agent = built(runtime)
    await agent.initialize()
    for _ in range(3):
        await agent.set_error("broken")
        assert (agent.last_error, agent.lifecycle.is_healthy) == ("broken", False)
        await agent.recover()
        assert agent.last_error is None
    await agent.set_error("broken")
    with pytest.raises(ComponentError, match="did not recover in 3 attempts"):
        await agent.recover()


async def test_a_paused_agent_holds_the_run_that_is_under_way(make_runtime: Any) -> None:
    from llmspell_core.testing import call

    asked = asyncio.Event()
    release = asyncio.Event()

    async def decide(_: Any) -> bool:
        asked.set()
        await release.wait()
        return False

    runtime = await make_runtime(replies=[call("calculator", {"expression": "1"}), say("done")])
    agent = runtime.agents.builder().name("a").model("scripted/any").ask_tool("calculator").on_approval(decide).build()
    task = asyncio.ensure_future(runtime.run_agent(agent, "x"))
    await asked.wait()
    await agent.pause()
    release.set()
    await asyncio.sleep(0.02)
    assert not task.done()
    await agent.resume()
    assert (await task).text == "done"


async def test_the_conversation_is_saved_on_stop_and_comes_back(runtime: Runtime) -> None:
    agent = built(runtime)
    await runtime.run_agent(agent, "first")
    await agent.start()
    await agent.stop()
    runtime.agents.remove("a")
    again = built(runtime)
    assert await again.load_state() is True
    assert [m.content for m in again.get_conversation()] == ["first", "hi"]
    assert await again.delete_state() is True
    assert await again.load_state() is False


async def test_a_failing_store_only_warns_on_pause(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: Any) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(runtime.state, "set", refuse)
    agent = built(runtime)
    await agent.initialize()
    with caplog.at_level(logging.WARNING):
        await agent.pause()
    assert agent.state == "Paused"
    assert "the disk is full" in caplog.text


def turns(count: int) -> list[Message]:
    calls = [Message("assistant", tool_calls=[ToolCall("1", "t")]), Message("tool", "r", tool_call_id="1")]
    plain = [Message("user" if i % 2 == 0 else "assistant", "x" * 40) for i in range(count)]
    return [Message("system", "s"), *plain, *calls, Message("assistant", "end")]


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("tokens", [None, 5, 20, 60, 1000])
def test_trimming_keeps_system_messages_and_whole_calls(length: int, tokens: int | None) -> None:
    kept = trimmed(turns(4), length, tokens)
    assert kept[0].role == "system"
    assert len(kept) <= max(length, 1)
    assert sum(bool(m.tool_calls) for m in kept) == sum(m.role == "tool" for m in kept)


async def test_a_prompt_longer_than_the_models_context_is_refused(runtime: Runtime) -> None:
    agent = runtime.agents.builder().name("a").model("scripted/any").context_window(100).build()
    with pytest.raises(ValidationError, match="takes 100"):
        await runtime.run_agent(agent, "word " * 200)


async def test_alerts_are_raised_once_when_their_condition_becomes_true(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("ok"), ProviderError("down"), ProviderError("down"), say("ok")])
    agent = built(runtime)
    agent.alerts = Alerts()
    agent.alerts.configure(AlertRule.of({"name": "many", "condition": {"type": "error_rate", "rate_percent": 40}}))
    threshold = {"type": "metric_threshold", "metric_name": "requests_total", "operator": ">", "threshold": 3}
    agent.alerts.configure(AlertRule.of({"condition": threshold, "severity": "critical"}))
    for _ in range(4):
        try:
            await runtime.run_agent(agent, "x")
        except ProviderError:
            continue
    raised = [(alert.name, alert.severity) for alert in agent.alerts.raised]
    assert raised == [("many", "warning"), ("metric_threshold", "critical")]
    with pytest.raises(ValidationError, match="operator"):
        AlertRule.of({"condition": {**threshold, "operator": "~"}})
