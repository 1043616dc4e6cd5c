"""What peer frameworks take for the same work. Runs with an interpreter that has them, and imports nothing of llmspell.

Prints {"<framework and version>": {"<work>": us of CPU time}} as JSON; `benchmarks.peers` starts it.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any, TypedDict

COUNT = 300
TOGETHER = 100
STEPS = 20


async def cpu_us(once: Callable[[], Awaitable[object]], count: int) -> float:
    """CPU time of one call in us, after a few to warm up."""
    for _ in range(max(count // 20, 2)):
        await once()
    started = time.process_time()
    for _ in range(count):
        await once()
    return (time.process_time() - started) / count * 1e6


def adder(a: int, b: int) -> int:
    """Adds two integers."""
    return a + b


async def pydantic_ai() -> dict[str, float]:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if info.function_tools and len(messages) == 1:
            return ModelResponse(parts=[ToolCallPart("adder", {"a": 1, "b": 2})])
        return ModelResponse(parts=[TextPart("hello")])

    async def stream(_messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[str]:
        yield "hello"

    plain = Agent(FunctionModel(reply, stream_function=stream))
    called = Agent(FunctionModel(reply), tools=[adder])

    async def streamed() -> None:
        async with plain.run_stream("hi") as run:
            async for _ in run.stream_text(delta=True, debounce_by=None):
                pass

    async def together() -> None:
        await asyncio.gather(*(plain.run("hi") for _ in range(TOGETHER)))

    return {
        "plain": await cpu_us(lambda: plain.run("hi"), COUNT),
        "one tool": await cpu_us(lambda: called.run("hi"), COUNT),
        "streaming": await cpu_us(streamed, COUNT),
        "100 at once": await cpu_us(together, 10) / TOGETHER,
    }


class State(TypedDict):
    n: int


async def langgraph() -> dict[str, float]:
    from langgraph.graph import END, START, StateGraph

    async def step(state: State) -> dict[str, int]:
        return {"n": state["n"] + 1}

    builder: Any = StateGraph(State)
    names = [START, *(f"s{i}" for i in range(STEPS)), END]
    for name in names[1:-1]:
        builder.add_node(name, step)
    for before, after in pairwise(names):
        builder.add_edge(before, after)
    graph = builder.compile()
    return {"workflow step": await cpu_us(lambda: graph.ainvoke({"n": 0}), 30) / STEPS}


PEERS = {"pydantic-ai-slim": ("pydantic_ai", pydantic_ai), "langgraph": ("langgraph", langgraph)}


def main() -> None:
    found = {}
    for distribution, (module, work) in PEERS.items():
        if importlib.util.find_spec(module) is not None:
            found[f"{distribution} {importlib.metadata.version(distribution)}"] = asyncio.run(work())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
