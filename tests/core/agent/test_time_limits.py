"""Whoever is asked takes as long as it takes: no limit around the question passes meanwhile, and all of them do after it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell_core.errors import LLMSpellError, TimeoutError
from llmspell_core.runtime import Runtime
from llmspell_core.testing import call, say

LIMIT = 0.3


@pytest.fixture
def make_world(make_runtime: Any) -> Any:
    def reply(request: Any) -> Any:
        if not request.tools or request.messages[-1].role == "tool":
            return say("done")
        name = request.tools[0].name
        return call(name, {"expression": "1+1"} if name == "calculator" else {"text": "go"})

    async def make(answer: Any) -> Runtime:
        runtime: Runtime = await make_runtime(replies=[reply])
        builder = runtime.agents.builder().model("scripted/any").max_execution_time(LIMIT)
        inner = builder.name("inner").ask_tool("calculator").build()
        builder.name("outer").tool(inner).build()
        builder.name("first").handoff("outer").build()
        runtime.agents.create_composite("team", ["outer"], {"strategy": "sequential", "timeout_ms": LIMIT * 1000})
        runtime.approver = answer
        return runtime

    return make


STEP = {"name": "s", "agent": "team", "input": {"text": "go"}, "timeout_ms": LIMIT * 1000}


async def test_a_long_answer_counts_for_nobody(make_world: Any) -> None:
    async def slowly(_: Any) -> bool:
        await asyncio.sleep(LIMIT * 2)
        return True

    runtime = await make_world(slowly)
    workflow = runtime.workflows.make("sequential", {"name": "w", "steps": [STEP], "timeout_ms": LIMIT * 1000})
    assert (await runtime.run_workflow(workflow)).metadata.extra["outputs"]["s"] == "done"
    assert (await runtime.run_agent("first", "go")).text == "done"


async def test_what_comes_after_the_answer_counts_again(make_world: Any) -> None:
    runtime = await make_world(lambda _: True)
    provider = runtime.registry.load("providers", "scripted")()

    async def slowly(_: Any) -> bool:
        await asyncio.sleep(LIMIT)
        provider.delay = LIMIT * 3
        return True

    runtime.approver = slowly
    with pytest.raises(TimeoutError):
        await runtime.run_agent("outer", "go")


async def test_two_questions_at_once_stop_the_clock_once(make_world: Any) -> None:
    runtime = await make_world(lambda _: True)
    waits = iter((LIMIT * 2, LIMIT))

    async def slowly(_: Any) -> bool:
        await asyncio.sleep(next(waits))
        return True

    runtime.approver = slowly
    builder = runtime.agents.builder().model("scripted/any").name("other").max_execution_time(LIMIT)
    builder.ask_tool("calculator").build()
    runtime.agents.create_composite("both", ["inner", "other"], {"strategy": "parallel", "timeout_ms": LIMIT * 1000})
    try:
        output = await runtime.run_agent("both", "go")
    except LLMSpellError as error:
        raise AssertionError(error) from error
    assert output.metadata.extra["agent_outputs"] == {"inner": "done", "other": "done"}
