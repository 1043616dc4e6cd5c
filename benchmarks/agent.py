"""An agent run with a model that answers at once: CPU time, against a loop written by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from pydantic import BaseModel

from benchmarks.measure import Row, cpu_us, report
from llmspell_core.context import ExecutionContext
from llmspell_core.messages import AgentChunk, ToolCall, Usage
from llmspell_core.provider import Completion, CompletionRequest, Provider
from llmspell_core.runtime import Runtime
from llmspell_core.tool import Tool

COUNT = 2_000


class Numbers(BaseModel):
    a: int
    b: int


class Adder(Tool[Numbers]):
    name = "adder"
    description = "Adds two integers."
    parameters = Numbers

    async def run(self, params: Numbers, ctx: ExecutionContext) -> int:
        return params.a + params.b


class Instant(Provider):
    """Answers at once; with tools it first calls `adder`."""

    requires_key = False

    async def complete(self, request: CompletionRequest) -> Completion:
        if request.tools and request.messages[-1].role != "tool":
            calls = [ToolCall("call-1", "adder", {"a": 1, "b": 2})]
            return Completion(tool_calls=calls, usage=Usage(3, 2), model="any", finish_reason="tool_calls")
        return Completion("hello", usage=Usage(3, 2), model="any")

    async def stream(self, request: CompletionRequest) -> AsyncIterator[AgentChunk]:
        yield AgentChunk("text", text=(await self.complete(request)).text)


async def _model(messages: list[dict[str, Any]], tools: bool) -> dict[str, Any]:
    if tools and messages[-1]["role"] != "tool":
        return {"tool_calls": [{"id": "call-1", "name": "adder", "arguments": '{"a": 1, "b": 2}'}], "content": ""}
    return {"content": "hello", "tool_calls": []}


async def _by_hand(prompt: str, tools: dict[str, Callable[..., Any]]) -> str:
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    while True:
        reply = await _model(messages, bool(tools))
        if not reply["tool_calls"]:
            return str(reply["content"])
        messages.append({"role": "assistant", **reply})
        for call in reply["tool_calls"]:
            result = tools[call["name"]](**json.loads(call["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})


async def _ours(*tools: str) -> float:
    async with Runtime({}) as runtime:
        runtime.registry.register("providers", "instant", Instant)
        runtime.registry.register("tools", "adder", Adder)
        agent = runtime.agents.builder().name("bench").model("instant/any").tool(*tools).build()

        async def once() -> None:
            await runtime.run_agent(agent, "hi")
            agent.clear_conversation()

        await once()
        return await cpu_us(once, COUNT)


def main() -> None:
    plain, called = asyncio.run(_ours()), asyncio.run(_ours("adder"))
    bare = asyncio.run(cpu_us(lambda: _by_hand("hi", {}), COUNT))
    bare_called = asyncio.run(cpu_us(lambda: _by_hand("hi", {"adder": lambda a, b: a + b}), COUNT))
    report(
        [
            Row("agent run, plain", "us CPU", plain, bare, "hand-written loop", "below 50 us", plain < 50),
            Row(
                "agent run, one tool call",
                "us CPU",
                called,
                bare_called,
                "hand-written loop",
                "below 120 us",
                called < 120,
            ),
        ]
    )


if __name__ == "__main__":
    main()
