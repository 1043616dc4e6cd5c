"""The stream of a composite: what its members do as it comes, and one text that is the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell_core.errors import ApprovalRequiredError
from llmspell_core.runtime import Runtime
from llmspell_core.testing import call, say


def reply(request: Any) -> Any:
    who = request.messages[0].content
    start = max(i for i, m in enumerate(request.messages) if m.role == "user")
    if request.tools and not any(m.role == "tool" for m in request.messages[start:]):
        return call("calculator", {"expression": "1+1"})
    return say(f"{who} has spoken")


@pytest.fixture
async def runtime(make_runtime: Any) -> Runtime:
    made: Runtime = await make_runtime(replies=[reply])
    builder = made.agents.builder().model("scripted/any")
    for name in ("a", "b"):
        builder.name(name).system_prompt(name).tool("calculator").build()
    builder.name("b2").system_prompt("b").build()
    return made


@pytest.mark.parametrize(
    ("routing", "agents", "texts", "tools"),
    [
        (
            "sequential",
            ["a", "b"],
            3,
            [("a", "tool_call"), ("a", "tool_result"), ("b", "tool_call"), ("b", "tool_result")],
        ),
        (lambda *_: "b", ["a", "b"], 3, [("b", "tool_call"), ("b", "tool_result")]),
        ("b2", ["a", "b"], 3, [("b", "tool_call"), ("b", "tool_result")]),
        ("vote", ["a", "b"], 1, None),
        ("parallel", ["a", "b"], 1, None),
    ],
)
async def test_calls_of_members_come_at_once_and_the_texts_are_the_answer(
    runtime: Runtime, routing: Any, agents: list[str], texts: int, tools: Any
) -> None:
    runtime.agents.create_composite("team", agents, routing)
    chunks = [chunk async for chunk in runtime.stream_agent("team", "go")]
    output = chunks[-1].output
    assert output is not None
    spoken = [c.text for c in chunks if c.type == "text"]
    assert (len(spoken), "".join(spoken)) == (texts, output.text)
    assert [c.chunk_index for c in chunks] == list(range(len(chunks)))
    seen = [(c.data["agent"], c.type) for c in chunks if c.type.startswith("tool") and c.data]
    assert len(seen) == 4 if tools is None else seen == tools
    whole = await runtime.run_agent("team", "go")
    assert (whole.text, whole.metadata.token_count) == (output.text, output.metadata.token_count)


async def test_composites_in_composites_keep_to_the_same_rule(runtime: Runtime) -> None:
    runtime.agents.create_composite("inner", ["a", "b"], "sequential")
    runtime.agents.create_composite("outer", ["inner", "a"], "sequential")
    chunks = [chunk async for chunk in runtime.stream_agent("outer", "go")]
    assert "".join(c.text for c in chunks if c.type == "text") == "a has spoken"
    assert sum(c.type == "tool_call" for c in chunks) == 3


async def test_leaving_a_stream_stops_all_members(runtime: Runtime) -> None:
    provider = runtime.registry.load("providers", "scripted")()
    provider.delay = 30
    runtime.agents.create_composite("team", ["a", "b"], "parallel")

    async def listen() -> None:
        async for _ in runtime.stream_agent("team", "go"):
            pass

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    assert provider.active == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (provider.active, [runtime.agents[n].state for n in ("a", "b", "team")]) == (0, ["Ready"] * 3)


async def test_a_member_that_waits_lets_the_stream_wait(runtime: Runtime) -> None:
    builder = runtime.agents.builder().model("scripted/any").system_prompt("careful")
    builder.name("careful").ask_tool("calculator").build()
    runtime.agents.create_composite("team", ["a", "careful"], "sequential")
    with pytest.raises(ApprovalRequiredError, match="saved as") as caught:
        async for _ in runtime.stream_agent("team", "go"):
            pass
    asked = len(runtime.registry.load("providers", "scripted")().requests)
    output = await runtime.resume_run(str(caught.value.record), True)
    assert output.text == "careful has spoken"
    assert len(runtime.registry.load("providers", "scripted")().requests) == asked + 1
