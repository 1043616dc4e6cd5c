"""Limits of an agent hold for it together with the agents it calls and those it hands over to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ResourceLimitError, TimeoutError
from llmspell_core.messages import Usage
from llmspell_core.provider import Completion, CompletionRequest
from llmspell_core.runtime import Runtime
from llmspell_core.testing import ScriptedProvider, call, say
from llmspell_core.tool import Tool
from llmspell_core.trace import Span, tree_of


class Nothing(BaseModel):
    text: str = ""


class Ping(Tool[Nothing]):
    name = "ping"
    description = "Answers."
    parameters = Nothing

    async def run(self, params: Nothing, ctx: ExecutionContext) -> str:
        return "pong"


class Slow(Ping):
    name = "slow"

    async def run(self, params: Nothing, ctx: ExecutionContext) -> str:
        await asyncio.sleep(0.15)
        return "pong"


def chain(request: CompletionRequest) -> Completion:
    """Whoever has tools calls the first one, twice; whoever has none, or has called, answers."""
    start = max(i for i, m in enumerate(request.messages) if m.role == "user")
    if not request.tools or sum(m.role == "tool" for m in request.messages[start:]) > 1:
        made = say("fine")
    elif request.tools[0].name == "transfer_to_agent":
        made = call("transfer_to_agent", {"agent": request.tools[0].parameters["properties"]["agent"]["enum"][0]})
    else:
        made = call(request.tools[0].name, {"text": "go"})
    made.usage = Usage(3, 2, cost_usd=0.1)
    return made


@pytest.fixture
async def runtime(make_runtime: Any) -> Runtime:
    """boss -> middle_tool -> leaf_tool -> ping; and first hands over to second, which pings."""
    made: Runtime = await make_runtime(replies=[chain])
    made.registry.register("tools", "ping", Ping())
    made.registry.register("tools", "slow", Slow())
    builder = made.agents.builder().model("scripted/any")
    leaf = builder.name("leaf").tool("ping").build()
    middle = builder.name("middle").tool(leaf).build()
    builder.name("boss").tool(middle).build()
    builder.name("second").tool("ping").build()
    builder.name("first").handoff("second").build()
    return made


def scripted(runtime: Runtime) -> ScriptedProvider:
    made = runtime.registry.load("providers", "scripted")()
    assert isinstance(made, ScriptedProvider)
    return made


def limited(runtime: Runtime, like: str, **limits: Any) -> str:
    """An agent like another one, with limits."""
    name = f"limited_{like}"
    runtime.agents.builder().set(**{**_fields(runtime.agents[like].config), "name": name}).limits(**limits).build()
    return name


def _fields(config: Any) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_total_tokens": 60}, "tokens limit 60"),
        ({"max_cost_usd": 0.45}, r"cost in USD limit 0\.45 reached \(used 0\.5\)"),
        ({"max_tool_calls": 4}, r"tool calls limit 4 reached \(used 5\)"),
        ({"max_recursion_depth": 1}, "recursion depth limit 1"),
    ],
)
async def test_what_agents_below_use_counts(runtime: Runtime, limits: Any, message: str) -> None:
    name = limited(runtime, "boss", **limits)
    with pytest.raises(ResourceLimitError, match=message) as caught:
        await runtime.run_agent(name, "go")
    assert f"agent '{name}'" in f"{caught.value.hint}"
    provider = scripted(runtime)
    asked = len(provider.requests)
    assert (await runtime.run_agent("boss", "go")).text == "fine"
    assert len(provider.requests) - asked == 21


async def test_what_is_left_of_the_tokens_caps_the_answers_below(runtime: Runtime) -> None:
    with pytest.raises(ResourceLimitError):
        await runtime.run_agent(limited(runtime, "boss", max_total_tokens=100), "go")
    caps = [r.max_tokens for r in scripted(runtime).requests]
    assert None not in caps
    assert caps[2] < caps[0]  # type: ignore[operator]


async def test_a_limit_of_an_agent_below_is_told_to_the_model_above(runtime: Runtime) -> None:
    runtime.agents.builder().name("ask").model("scripted/any").tool(
        runtime.agents[limited(runtime, "leaf", max_tool_calls=1)]
    ).build()
    output = await runtime.run_agent("ask", "go")
    assert output.text == "fine"
    assert "wants more tool calls" in str(output.tool_calls[0].result.error)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_total_tokens": 40}, "tokens limit 40"),
        ({"max_cost_usd": 0.15}, "cost in USD"),
        ({"max_tool_calls": 2}, "tool calls limit 2"),
    ],
)
async def test_whoever_takes_over_has_what_is_left(runtime: Runtime, limits: Any, message: str) -> None:
    name = limited(runtime, "first", **limits)
    with pytest.raises(ResourceLimitError, match=message):
        await runtime.run_agent(name, "go")
    with pytest.raises(ResourceLimitError, match=message):
        async for _ in runtime.stream_agent(name, "go"):
            pass


async def test_time_is_shared_too(runtime: Runtime) -> None:
    builder = runtime.agents.builder().model("scripted/any").tool("slow")
    builder.name("slow_one").build()
    boss = builder.tools(runtime.agents["slow_one"]).name("slow_boss").max_execution_time(0.2).build()
    with pytest.raises(TimeoutError, match="'slow_boss' did not finish within"):
        await runtime.run_agent(boss, "go")
    runtime.agents.builder().name("hasty").model("scripted/any").handoff("slow_one").max_execution_time(0.2).build()
    with pytest.raises(TimeoutError, match=r"'hasty' and those it handed over to did not finish within 0\.2 s"):
        await runtime.run_agent("hasty", "go")


@pytest.mark.parametrize(
    ("routing", "calls"),
    [
        ({"strategy": "sequential"}, 6),
        ({"strategy": "parallel"}, 6),
        ({"strategy": "vote"}, 6),
        ({"router": "leaf"}, 6),  # it names nobody, so the fallback answers
    ],
)
async def test_a_composite_counts_all_its_members(runtime: Runtime, routing: Any, calls: int) -> None:
    runtime.agents.create_composite("team", ["leaf", "second"], {**routing, "fallback_agent": "second"})
    output = await runtime.run_agent("team", "go")
    assert (output.metadata.token_count, output.metadata.extra["cost_usd"]) == (5 * calls, pytest.approx(0.1 * calls))


async def test_outputs_traces_and_metrics_agree_and_count_nothing_twice(runtime: Runtime) -> None:
    spans: dict[str, Span] = {}

    class Watch:
        def started(self, span: Span) -> None:
            spans[span.id] = span

        def ended(self, span: Span) -> None:
            pass

        def close(self) -> None:
            pass

    runtime.observe(Watch())
    output = await runtime.run_agent("boss", "go")
    extra = output.metadata.extra
    assert output.metadata.token_count == 21 * 5
    assert {name: u["input_tokens"] for name, u in extra["usage_by_agent"].items()} == {
        "boss": 9,
        "middle": 18,
        "leaf": 36,
    }
    tree = tree_of(spans.values())
    assert tree is not None
    usage = tree.usage()
    assert usage.total_tokens == 105
    assert usage.cost_usd == pytest.approx(2.1)
    assert tree.span.input_tokens == 63
    assert runtime.metrics.counts["provider.tokens"] == 105
    assert runtime.agents["boss"].usage.total_tokens == 15  # type: ignore[attr-defined]
