"""The agent loop, against a scripted model and real tool objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import BaseModel

from llmspell_core.agent import AgentConfig, LLMAgent, ResourceLimits
from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ProviderError, ResourceLimitError, TimeoutError, ValidationError
from llmspell_core.hooks import Hooks
from llmspell_core.messages import AgentInput, AgentOutput, ToolCall
from llmspell_core.provider import Completion, Provider
from llmspell_core.state import MemoryState, State
from llmspell_core.testing import ScriptedProvider, call, say
from llmspell_core.tool import Tool


class Sum(BaseModel):
    a: int
    b: int


class Adder(Tool[Sum]):
    name = "adder"
    description = "Adds two integers."
    parameters = Sum

    def __init__(self) -> None:
        self.together = 0
        self.most = 0
        self.cancelled = 0
        self.delay = 0.0

    async def run(self, params: Sum, ctx: ExecutionContext) -> int:
        self.together += 1
        self.most = max(self.most, self.together)
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.together -= 1
        return params.a + params.b


class Desk:
    """The parts of a runtime that the loop asks, each as small as it can be."""

    def __init__(self, *replies: Any) -> None:
        self.provider = ScriptedProvider(replies=replies)
        self.adder = Adder()
        self.tools = self.providers = self
        self.agents: dict[str, Any] = {}
        self.hooks = Hooks()
        self.state = State(MemoryState(), self.hooks)
        self.approver = self.tracer = None

    async def for_agent(self, config: AgentConfig) -> tuple[Provider, str]:
        return self.provider, str(config.model)

    def find(self, name: str) -> Tool[Any]:
        return self.adder

    def names(self) -> list[str]:
        return ["adder"]

    def needs_approval(self, name: str) -> bool:
        return False

    async def invoke_tool(self, name: str, parameters: dict[str, Any], context: ExecutionContext) -> AgentOutput:
        return await self.adder.execute(AgentInput(parameters={"parameters": parameters}), context)


Make = Callable[..., tuple[LLMAgent, Desk]]


@pytest.fixture
def make() -> Make:
    def build(*replies: Any, **config: Any) -> tuple[LLMAgent, Desk]:
        desk = Desk(*replies)
        made = AgentConfig(**{"name": "a", "model": "any", "allowed_tools": ("*",), **config})
        return LLMAgent(made, cast(Any, desk)), desk

    return build


async def ask(agent: LLMAgent, prompt: Any = "hello") -> AgentOutput:
    return await agent.execute(AgentInput.of(prompt), ExecutionContext())


async def test_a_plain_answer_with_usage(make: Make) -> None:
    agent, desk = make(say("hi", input_tokens=5, output_tokens=1), system_prompt="Be brief.")
    output = await ask(agent)
    assert output.text == "hi"
    assert output.metadata.token_count == 6
    assert output.metadata.extra["input_tokens"] == 5
    assert [(m.role, m.content) for m in desk.provider.requests[0].messages] == [
        ("system", "Be brief."),
        ("user", "hello"),
    ]


async def test_the_conversation_goes_on(make: Make) -> None:
    agent, desk = make(say("one"), say("two"))
    await ask(agent, "first")
    await ask(agent, "second")
    assert [m.content for m in desk.provider.requests[1].messages] == ["first", "one", "second"]
    agent.clear_conversation()
    await ask(agent, "third")
    assert [m.content for m in desk.provider.requests[2].messages] == ["third"]


async def test_a_tool_call_is_made_and_its_result_fed_back(make: Make) -> None:
    agent, desk = make(call("adder", {"a": 2, "b": 3}), say("five"))
    output = await ask(agent)
    assert output.text == "five"
    assert output.tool_calls[0].result is not None
    assert output.tool_calls[0].result.data["result"] == 5
    fed_back = desk.provider.requests[1].messages[-1]
    assert fed_back.role == "tool"
    assert '"result": 5' in fed_back.content
    assert fed_back.tool_call_id == output.tool_calls[0].tool_id


async def test_several_calls_of_one_turn_run_together_and_keep_their_order(make: Make) -> None:
    agent, desk = make(
        call("adder", {"a": 1, "b": 1}, ("adder", {"a": 2, "b": 2}), ("adder", {"a": 3, "b": 3})), say("ok")
    )
    desk.adder.delay = 0.01
    output = await ask(agent)
    assert desk.adder.most == 3
    assert [c.result.data["result"] for c in output.tool_calls if c.result] == [2, 4, 6]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (call("adder", {"a": "x", "b": 3}), "'a'"),
        (call("adder", {"a": 1}), "'b' is required"),
        (call("nope", {}), "there is no tool 'nope'; you have: adder"),
        (Completion(tool_calls=[ToolCall("1", "adder", {"_invalid_json": "{a:"})]), "not a JSON object"),
    ],
)
async def test_a_bad_call_is_explained_to_the_model_which_may_try_again(make: Make, bad: Completion, says: str) -> None:
    agent, desk = make(bad, call("adder", {"a": 1, "b": 2}), say("three"))
    output = await ask(agent)
    assert output.text == "three"
    assert says in desk.provider.requests[1].messages[-1].content
    assert [c.result.success for c in output.tool_calls if c.result] == [False, True]


async def test_a_call_that_max_tokens_cut_off_is_explained(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    cut = Completion(tool_calls=[ToolCall("1", "adder", {"_invalid_json": '{"a": 1, '})], finish_reason="length")
    agent, _ = make(cut, say("no"), max_tokens=5)
    output = await ask(agent)
    assert output.tool_calls[0].result is not None
    assert output.tool_calls[0].result.error == (
        "the arguments of adder were cut off by max_tokens (5) Raise max_tokens, or pass less in one call."
    )
    assert "A call of adder by agent 'a' was cut off: raise max_tokens" in caplog.text


async def test_a_model_that_only_calls_tools_is_stopped(make: Make) -> None:
    agent, _ = make(call("adder", {"a": 1, "b": 1}), limits=ResourceLimits(max_iterations=3))
    with pytest.raises(ResourceLimitError, match="after 3 model calls"):
        await ask(agent)


async def test_the_number_of_tool_calls_is_limited(make: Make) -> None:
    agent, _ = make(call("adder", {"a": 1, "b": 1}), limits=ResourceLimits(max_tool_calls=2))
    with pytest.raises(ResourceLimitError, match="tool calls limit 2"):
        await ask(agent)


async def test_a_run_that_takes_too_long_ends_and_leaves_nothing_behind(make: Make) -> None:
    agent, desk = make(call("adder", {"a": 1, "b": 1}), limits=ResourceLimits(max_execution_time_secs=0.05))
    desk.adder.delay = 60
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        await ask(agent)
    assert (desk.adder.together, desk.adder.cancelled) == (0, 1)
    assert agent.state == "Ready"
    assert agent.history == []


async def test_cancelling_the_caller_cancels_the_tools(make: Make) -> None:
    agent, desk = make(call("adder", {"a": 1, "b": 1}, ("adder", {"a": 2, "b": 2})))
    desk.adder.delay = 60
    task = asyncio.ensure_future(ask(agent))
    while desk.adder.together < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert desk.adder.cancelled == 2
    assert agent.state == "Ready"


async def test_a_providers_error_reaches_the_caller_and_is_counted(make: Make) -> None:
    agent, _ = make(ProviderError("down"), say("up"))
    with pytest.raises(ProviderError, match="down"):
        await ask(agent)
    assert agent.metrics()["requests_failed"] == 1
    assert (await ask(agent)).text == "up"


async def test_an_empty_prompt_is_refused(make: Make) -> None:
    agent, desk = make()
    with pytest.raises(ValidationError, match="no prompt"):
        await ask(agent, {"text": ""})
    assert desk.provider.requests == []


async def test_overrides_for_one_call(make: Make) -> None:
    agent, desk = make(say("x"), temperature=0.1)
    await ask(agent, {"prompt": "p", "temperature": 0.9, "max_tokens": 7})
    await ask(agent, "p")
    assert [(r.temperature, r.max_tokens) for r in desk.provider.requests] == [(0.9, 7), (0.1, None)]


async def test_streaming_yields_text_tools_and_one_end(make: Make) -> None:
    agent, _ = make(call("adder", {"a": 1, "b": 2}), say("it is three"))
    chunks = [c async for c in agent.stream_execute(AgentInput("sum"), ExecutionContext())]
    assert [c.type for c in chunks] == ["tool_call", "tool_result", "text", "text", "text", "end"]
    assert "".join(c.text for c in chunks) == "it is three"
    assert chunks[-1].output is not None
    assert chunks[-1].output.text == "it is three"
    assert [c.chunk_index for c in chunks] == list(range(6))
    assert len({c.stream_id for c in chunks}) == 1


async def test_a_stream_that_is_closed_early_stops_the_run(make: Make) -> None:
    agent, desk = make(call("adder", {"a": 1, "b": 2}), say("never"))
    desk.adder.delay = 60
    stream = agent.stream_execute(AgentInput("sum"), ExecutionContext())
    assert (await anext(stream)).type == "tool_call"
    while not desk.adder.together:
        await asyncio.sleep(0.001)
    await stream.aclose()  # type: ignore[attr-defined]
    assert desk.adder.cancelled == 1
    assert agent.state == "Ready"


async def test_an_error_in_a_stream_is_raised_to_the_reader(make: Make) -> None:
    agent, _ = make(ProviderError("down"))
    with pytest.raises(ProviderError, match="down"):
        [c async for c in agent.stream_execute(AgentInput("x"), ExecutionContext())]


async def test_history_never_begins_with_a_tool_result(make: Make) -> None:
    agent, desk = make(call("adder", {"a": 1, "b": 2}), say("three"), max_conversation_length=2)
    await ask(agent)
    await ask(agent)
    assert desk.provider.requests[-1].messages[0].role != "tool"
