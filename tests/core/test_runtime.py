"""The desk: the same few methods for every caller."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from llmspell_core import ExecutionContext, HookResult, NotFoundError, Runtime, Tool, ToolError, ValidationError
from llmspell_core.errors import CancelledByHookError, SecurityError, TimeoutError
from llmspell_core.testing import ScriptedProvider, call, say
from llmspell_core.tool import SecurityLevel


class Text(BaseModel):
    text: str = "x"


class Shout(Tool[Text]):
    name = "shout"
    description = "Writes in capitals."
    parameters = Text

    def run(self, params: Text, ctx: ExecutionContext) -> dict[str, Any]:
        if params.text == "boom":
            raise RuntimeError("boom")
        return {"shouted": params.text.upper()}


class Sleeper(Tool[Text]):
    name = "sleeper"
    description = "Takes long."
    parameters = Text
    security_level = SecurityLevel.PRIVILEGED

    async def run(self, params: Text, ctx: ExecutionContext) -> None:
        import asyncio

        await asyncio.sleep(60)


@pytest.fixture
async def desk(make_runtime: Any) -> Runtime:
    made: Runtime = await make_runtime(replies=[call("shout", {"text": "hi"}), say("HI it is")])
    made.registry.register("tools", "shout", Shout())
    made.registry.register("tools", "sleeper", Sleeper())
    return made


async def result(desk: Runtime, **parameters: Any) -> Any:
    output = await desk.invoke_tool("shout", parameters)
    return output.metadata.extra["response"].get("result")


async def test_a_tool_runs_and_is_wrapped(desk: Runtime) -> None:
    assert await result(desk, text="a") == {"shouted": "A"}


async def test_a_foreign_exception_becomes_a_tool_error(desk: Runtime) -> None:
    with pytest.raises(ToolError, match="RuntimeError: boom"):
        await desk.invoke_tool("shout", {"text": "boom"})


async def test_an_unknown_tool_offers_the_nearest(desk: Runtime) -> None:
    with pytest.raises(NotFoundError, match="Tool 'shuot' not found") as caught:
        await desk.invoke_tool("shuot", {})
    assert "shout" in str(caught.value.hint)


async def test_a_hook_may_cancel_change_or_replace_a_tool_call(desk: Runtime) -> None:
    handle = desk.hooks.register("BeforeToolExecution", lambda _c: HookResult.cancel("not today"))
    with pytest.raises(CancelledByHookError, match="not today"):
        await result(desk, text="a")
    handle.unregister()
    handle = desk.hooks.register("BeforeToolExecution", lambda _c: HookResult.modified({"parameters": {"text": "b"}}))
    assert await result(desk, text="a") == {"shouted": "B"}
    handle.unregister()
    desk.hooks.register("BeforeToolExecution", lambda _c: HookResult.replace({"success": True, "result": 1}))
    assert '"result": 1' in (await desk.invoke_tool("shout", {})).text


async def test_after_hooks_see_and_may_change_the_result(desk: Runtime) -> None:
    seen: list[Any] = []

    def look(context: Any) -> HookResult:
        seen.append(context.data["result"]["metadata"]["extra"]["operation"])
        return HookResult.modified({"result": {"text": "changed"}})

    desk.hooks.register("AfterToolExecution", look)
    assert (await desk.invoke_tool("shout", {"text": "a"})).text == "changed"
    assert seen == ["shout"]


async def test_error_hooks_see_why(desk: Runtime) -> None:
    seen: list[str | None] = []
    desk.hooks.register("ToolError", lambda c: seen.append(c.error_message()))
    with pytest.raises(ToolError):
        await desk.invoke_tool("shout", {"text": "boom"})
    assert seen == ["RuntimeError: boom"]


async def test_events_tell_what_ran(desk: Runtime) -> None:
    subscription = desk.events.subscribe("tool.*")
    await result(desk, text="a")
    with pytest.raises(ToolError):
        await desk.invoke_tool("shout", {"text": "boom"})
    types = [(await subscription.receive(1)).event_type for _ in range(4)]  # type: ignore[union-attr]
    assert types == ["tool.started", "tool.completed", "tool.started", "tool.failed"]


async def test_a_tool_that_takes_too_long_is_stopped(make_runtime: Any) -> None:
    desk = await make_runtime({"tools": {"timeouts": {"sleeper": 0.05}}, "runtime": {"security": {"profile": "low"}}})
    desk.registry.register("tools", "sleeper", Sleeper())
    with pytest.raises(TimeoutError, match=r"'sleeper' did not finish within 0\.05 s") as caught:
        await desk.invoke_tool("sleeper", {})
    assert "tools.timeouts.sleeper" in str(caught.value.hint)


async def test_the_policy_refuses_a_tool_above_its_level(make_runtime: Any) -> None:
    desk = await make_runtime({"runtime": {"security": {"profile": "high"}}})
    desk.registry.register("tools", "sleeper", Sleeper())
    with pytest.raises(SecurityError, match="privileged"):
        await desk.invoke_tool("sleeper", {})


async def test_an_agent_calls_tools_through_the_desk(desk: Runtime) -> None:
    calls: list[str] = []
    desk.hooks.register("BeforeToolExecution", lambda c: calls.append(c.data["tool_name"]))
    agent = desk.agents.builder().name("a").model("scripted/any").tool("shout").build()
    output = await desk.run_agent("a", "say hi loudly")
    assert output.text == "HI it is"
    assert calls == ["shout"]
    assert agent.config.model == "any"


async def test_builders_are_immutable_and_names_unique(desk: Runtime) -> None:
    base = desk.agents.builder().model("scripted/any")
    base.name("one").build()
    base.name("two").build()
    assert sorted(desk.agents) == ["one", "two"]
    with pytest.raises(ValidationError, match="Agent instance 'one' already exists"):
        base.name("one").build()
    assert desk.agents.remove("one") is True
    base.name("one").build()


@pytest.mark.parametrize(
    ("model", "says"),
    [("nosuch/x", "Provider 'nosuch' not found"), ("", "model is empty"), ("x/", "names no model")],
)
async def test_what_is_wrong_with_a_model_is_said_when_it_is_built(make_runtime: Any, model: str, says: str) -> None:
    desk = await make_runtime({"providers": {"openai": {"api_key": "sk-not-a-real-key"}}})
    with pytest.raises(Exception, match=says):
        desk.agents.builder().model(model).build()


async def test_without_provider_and_key_the_embedded_model_is_used_and_said_once(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.registry.register("providers", "local", ScriptedProvider.serving(say("hi")), replace=True)
    for name in ("a", "b"):
        agent = runtime.agents.builder().name(name).build()
        assert (agent.config.provider, agent.config.model) == ("local", "smollm2")
    assert caplog.text.count("using the embedded model local/smollm2") == 1


async def test_an_unknown_tool_is_refused_when_the_agent_is_built(desk: Runtime) -> None:
    with pytest.raises(NotFoundError, match="Tool 'hammer' not found"):
        desk.agents.builder().model("scripted/any").tool("hammer").build()


async def test_closing_closes_every_part_even_if_one_fails(make_runtime: Any, caplog: pytest.LogCaptureFixture) -> None:
    desk = await make_runtime(replies=[say("x")])
    agent = desk.agents.builder().model("scripted/any").build()
    await desk.run_agent(agent, "x")
    provider, _ = await desk.providers.for_agent(agent.config)

    async def broken() -> None:
        raise RuntimeError("stuck door")

    desk.on_close(broken)
    await desk.close()
    assert provider.closed
    assert "stuck door" in caplog.text
    assert desk.agents == {}


async def test_two_runtimes_know_nothing_of_each_other(make_runtime: Any) -> None:
    one, two = await make_runtime(replies=[say("1")]), await make_runtime(replies=[say("2")])
    for desk in (one, two):
        desk.agents.builder().name("same").model("scripted/any").build()
    await one.state.set("global:x", 1)
    assert (await one.run_agent("same", "?")).text == "1"
    assert (await two.run_agent("same", "?")).text == "2"
    assert await two.state.get("global:x") is None


async def test_a_configured_key_never_goes_to_an_address_that_a_caller_chose(make_runtime: Any) -> None:
    desk = await make_runtime({"providers": {"openai": {"api_key": "sk-configured-key", "base_url": "http://one/v1"}}})
    settings = desk.providers.settings
    assert settings("openai").api_key == "sk-configured-key"
    assert settings("openai", base_url="http://one/v1").api_key == "sk-configured-key"
    assert settings("openai", base_url="http://two/v1").api_key is None
    assert settings("openai", base_url="http://two/v1", api_key="own").api_key == "own"
