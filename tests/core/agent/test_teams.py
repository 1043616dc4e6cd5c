"""Several agents: hand-over, agents as tools, composites."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.agent import Agent, AgentConfig, LLMAgent
from llmspell_core.agent.wrapped import AgentWrappedTool, ParameterConfig, Transform
from llmspell_core.errors import (
    ComponentError,
    NotFoundError,
    ProviderError,
    ResourceLimitError,
    ValidationError,
    WorkflowError,
)
from llmspell_core.messages import AgentInput, AgentOutput, HandoffRequest
from llmspell_core.runtime import Runtime
from llmspell_core.testing import call, say


def transfer(to: str, **more: Any) -> Any:
    return call("transfer_to_agent", {"agent": to, **more})


def agent(runtime: Runtime, name: str, *to: str, **config: Any) -> LLMAgent:
    return runtime.agents.builder().name(name).model("scripted/any").handoff(*to).set(**config).build()


async def test_a_conversation_is_handed_over_and_the_chain_recorded(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[transfer("b", message="take it"), transfer("c"), say("c here")])
    events: list[str] = []
    runtime.events.subscribe_with_handler("agent.handoff.*", lambda e: events.append(e.event_type))
    for name, to in (("a", "b"), ("b", "c"), ("c", "a")):
        agent(runtime, name, to)
    output = await runtime.run_agent("a", "hello")
    assert (output.text, output.metadata.extra["handoff_chain"]) == ("c here", ["a", "b", "c"])
    assert runtime.agents["b"].history[0].content == "take it"
    assert runtime.agents["c"].history[0].content == "hello"
    import asyncio

    await asyncio.sleep(0.01)
    assert events.count("agent.handoff.requested") == events.count("agent.handoff.completed") == 2


async def test_a_stream_goes_on_with_the_next_agent(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[transfer("b"), say("b here")])
    agent(runtime, "a", "b")
    agent(runtime, "b")
    chunks = [chunk async for chunk in runtime.stream_agent("a", "hello")]
    assert [c.type for c in chunks if c.type != "tool_result"] == ["tool_call", "handoff", "text", "text", "end"]
    assert [c.chunk_index for c in chunks] == list(range(len(chunks)))
    assert chunks[-1].output is not None
    assert chunks[-1].output.metadata.extra["handoff_chain"] == ["a", "b"]


async def test_control_comes_back_with_the_answer(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[transfer("b", return_control=True), say("from b"), say("b said it")])
    agent(runtime, "a", "b")
    agent(runtime, "b")
    output = await runtime.run_agent("a", "hello")
    assert output.text == "b said it"
    assert output.tool_calls[0].result is not None
    assert output.tool_calls[0].result.data == "from b"


async def test_agents_that_send_a_request_in_circles_are_stopped(make_runtime: Any) -> None:
    def other(request: Any) -> Any:
        return transfer(request.tools[0].parameters["properties"]["agent"]["enum"][0])

    runtime = await make_runtime(replies=[other])
    agent(runtime, "a", "b")
    agent(runtime, "b", "a")
    with pytest.raises(WorkflowError, match="circle"):
        await runtime.run_agent("a", "hello")


async def test_a_model_cannot_hand_over_to_whom_it_likes(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[transfer("root"), say("sorry")])
    made = agent(runtime, "a", "b")
    agent(runtime, "b")
    output = await runtime.run_agent(made, "hello")
    assert output.text == "sorry"
    assert "you may to: b" in str(output.tool_calls[0].result.error)


class Desk(Agent):
    """A custom agent that always passes on."""

    async def respond(self, input: AgentInput, context: Any) -> AgentOutput:
        if "handoff_result" in input.parameters:
            return AgentOutput(f"{input.parameters['handoff_from']} says {input.text}")
        return AgentOutput("", handoff_request=HandoffRequest(self.config.custom["to"], return_control=True))


async def test_a_custom_agents_request_is_honoured(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("yes")])
    agent(runtime, "b")
    runtime.agents.add(Desk(AgentConfig("desk", custom={"to": "b"}), runtime))
    assert (await runtime.run_agent("desk", "hello")).text == "b says yes"
    runtime.agents.add(Desk(AgentConfig("lost", custom={"to": "nobody"}), runtime))
    with pytest.raises(ComponentError, match="'nobody' not found"):
        await runtime.run_agent("lost", "hello")


# -- agents as tools ------------------------------------------------------------------------------------------------


async def test_an_agent_is_a_tool_of_another(make_runtime: Any) -> None:
    runtime = await make_runtime(
        replies=[call("expert_tool", {"text": "why?"}), say("because"), say("he says because")]
    )
    expert = agent(runtime, "expert")
    boss = runtime.agents.builder().name("boss").model("scripted/any").tool(expert).build()
    output = await runtime.run_agent(boss, "ask him")
    assert output.text == "he says because"
    assert expert.history[0].content == "why?"
    runtime.agents.remove("expert")
    assert "expert_tool" not in runtime.tools.names()


async def test_agents_that_call_each_other_for_ever_are_stopped(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[call("a_tool", {"text": "again"})])
    made = agent(runtime, "a")
    runtime.agents.wrap(made)
    made.config = AgentConfig.from_dict({**made.config.to_dict(), "allowed_tools": ["a_tool"]})
    with pytest.raises(ResourceLimitError, match="recursion depth limit 10"):
        await runtime.run_agent(made, "go")


async def test_parameters_reach_the_wrapped_agent_as_configured(make_runtime: Any) -> None:
    seen: list[AgentInput] = []

    class Spy(Agent):
        async def respond(self, input: AgentInput, context: Any) -> AgentOutput:
            seen.append(input)
            return AgentOutput("ok")

    runtime = await make_runtime()
    spy = Spy(AgentConfig("spy"), runtime)
    config = ParameterConfig(
        transforms={"doc": Transform("title", "json_path", "$.meta.title", required=True)},
        input_template="Look at {place}",
    )
    runtime.registry.register("tools", "spy_tool", AgentWrappedTool(spy, parameter_config=config))
    await runtime.invoke_tool("spy_tool", {"place": "Oslo", "doc": {"meta": {"title": "T"}}})
    assert seen[0].text == "Look at Oslo"
    assert seen[0].parameters["parameters"] == {"place": "Oslo", "title": "T"}
    assert seen[0].parameters["tool_context"]["tool_name"] == "spy_tool"
    with pytest.raises(ValidationError, match="'doc' is required"):
        await runtime.invoke_tool("spy_tool", {"place": "Oslo"})


# -- composites -----------------------------------------------------------------------------------------------------


async def test_one_after_the_other(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[lambda r: say(r.messages[-1].content + "+")])
    for name in "ab":
        agent(runtime, name)
    runtime.agents.create_composite("c", ["a", "b"], "sequential")
    output = await runtime.run_agent("c", "x")
    assert (output.text, output.metadata.extra["agent_outputs"]) == ("x++", {"a": "x+", "b": "x++"})


async def test_votes_are_counted_and_a_threshold_holds(make_runtime: Any) -> None:
    runtime = await make_runtime(
        replies=[say("Yes."), say("yes"), say("no"), say("a"), say("b"), say("c"), say("chief")]
    )
    for name in ("a", "b", "c", "chief"):
        agent(runtime, name)
    runtime.agents.create_composite(
        "jury", ["a", "b", "c"], {"strategy": "vote", "threshold": 0.6, "fallback_agent": "chief"}
    )
    output = await runtime.run_agent("jury", "?")
    assert (output.text, output.metadata.confidence) == ("Yes.", pytest.approx(2 / 3))
    output = await runtime.run_agent("jury", "?")
    assert (output.text, output.metadata.extra["fallback"]) == ("chief", "chief")


async def test_a_failing_member_does_not_fail_the_others(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("fine"), ProviderError("down")])
    for name in "ab":
        agent(runtime, name)
    runtime.agents.create_composite("c", ["a", "b"], "parallel")
    output = await runtime.run_agent("c", "?")
    assert (output.text, output.metadata.extra["errors"]) == ("## a\nfine", {"b": "down"})


async def test_a_router_chooses_by_function_or_by_an_agent(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("b it is"), say("I think: math."), say("4")])
    for name in ("a", "b", "math", "router"):
        agent(runtime, name)
    runtime.agents.create_composite("f", ["a", "b"], lambda text, names: names[-1])
    assert (await runtime.run_agent("f", "?")).metadata.extra["routed_to"] == ["b"]
    runtime.agents.create_composite("r", ["a", "math"], "router")
    output = await runtime.run_agent("r", "2+2")
    assert (output.text, output.metadata.extra["routed_to"]) == ("4", ["math"])


async def test_a_composite_of_nobody_is_refused(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("x")])
    with pytest.raises(NotFoundError, match="'nobody' not found"):
        runtime.agents.create_composite("c", ["nobody"])
    agent(runtime, "a")
    with pytest.raises(NotFoundError, match="'sideways' not found"):
        runtime.agents.create_composite("c", ["a"], "sideways")
