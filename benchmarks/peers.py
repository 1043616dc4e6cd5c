"""Agents and workflows against peer frameworks with a model that answers at once, in the same run and in turn.

The peers live in an environment of their own, because the project does not depend on them:

    uv venv build/peers
    uv pip install --python build/peers pydantic-ai-slim langgraph

`LLMSPELL_BENCH_PEERS` names another interpreter. Without one, the rows say that there is nothing to compare with.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.agent import Adder, Instant
from benchmarks.measure import Row, report
from benchmarks.peer_side import COUNT, STEPS, TOGETHER, cpu_us
from llmspell_core.runtime import Runtime

ROUNDS = 3
HERE = Path(__file__).parent
WORKS = {
    "plain": ("agent run, plain", "pydantic-ai-slim"),
    "one tool": ("agent run, one tool call", "pydantic-ai-slim"),
    "streaming": ("agent run, streamed", "pydantic-ai-slim"),
    "100 at once": ("agent run, 100 at once, each", "pydantic-ai-slim"),
    "workflow step": ("workflow step, function, 20 in a row, each", "langgraph"),
}
Measured = dict[str, dict[str, float]]


async def _agents(runtime: Runtime) -> dict[str, float]:
    builder = runtime.agents.builder().model("instant/any")
    agent, caller = builder.name("plain").build(), builder.name("caller").tool("adder").build()
    team = [builder.name(f"a{i}").build() for i in range(TOGETHER)]

    async def run(agent: Any) -> None:
        agent.clear_conversation()  # each run begins a conversation, as the peer's do
        await runtime.run_agent(agent, "hi")

    async def streamed() -> None:
        agent.clear_conversation()
        async for _ in runtime.stream_agent(agent, "hi"):
            pass

    async def together() -> None:
        await asyncio.gather(*(run(each) for each in team))

    return {
        "plain": await cpu_us(lambda: run(agent), COUNT),
        "one tool": await cpu_us(lambda: run(caller), COUNT),
        "streaming": await cpu_us(streamed, COUNT),
        "100 at once": await cpu_us(together, 10) / TOGETHER,
    }


async def _steps(runtime: Runtime) -> dict[str, float]:
    async def step(context: Any) -> int:
        return len(context["steps"])

    steps = [{"name": f"s{i}", "function": step} for i in range(STEPS)]
    workflow = runtime.workflows.make("sequential", {"name": "row", "steps": steps})
    return {"workflow step": await cpu_us(lambda: runtime.run_workflow(workflow, {"n": 0}), 30) / STEPS}


async def _ours() -> dict[str, float]:
    async with Runtime({}) as runtime:
        runtime.registry.register("providers", "instant", Instant)
        runtime.registry.register("tools", "adder", Adder)
        return await _agents(runtime) | await _steps(runtime)


def interpreter() -> Path | None:
    """The one that has the peers."""
    named = Path(os.environ.get("LLMSPELL_BENCH_PEERS") or HERE.parent / "build" / "peers" / "bin" / "python")
    return named if named.is_file() else None


def _measured(*command: str) -> Measured:
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def _best(rounds: list[Measured]) -> Measured:
    """The least of each, over all rounds."""
    return {who: {w: min(r[who][w] for r in rounds) for w in works} for who, works in rounds[0].items()}


def rows(ours: dict[str, float], peers: Measured) -> list[Row]:
    made = []
    for work, (what, peer) in WORKS.items():
        who = next((name for name in peers if name.startswith(f"{peer} ")), None)
        if who is None:
            made.append(Row(what, "us CPU", ours[work], against=f"{peer} is not installed"))
            continue
        theirs = peers[who][work]
        made.append(Row(what, "us CPU", ours[work], theirs, who, "at most 1 x", ours[work] <= theirs))
    return made


def main() -> None:
    if "--ours" in sys.argv:
        print(json.dumps({"ours": asyncio.run(_ours())}))
        return
    python = interpreter()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_measured(sys.executable, "-m", "benchmarks.peers", "--ours"))
        if python is not None:
            theirs.append(_measured(str(python), str(HERE / "peer_side.py")))
    report(rows(_best(ours)["ours"], _best(theirs) if theirs else {}))


if __name__ == "__main__":
    main()
