"""A step whose agent needs consent: the workflow waits as a whole, and no step that had finished is done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ApprovalRequiredError, ComponentError
from llmspell_core.runtime import Runtime
from llmspell_core.testing import call, say
from llmspell_core.tool import Tool


class Name(BaseModel):
    name: str


class Noting(Tool[Name]):
    """A tool whose effects a test can count."""

    parameters = Name

    def __init__(self, name: str) -> None:
        self.name = name
        self.description = f"A {name}."
        self.made: list[str] = []

    async def run(self, params: Name, ctx: ExecutionContext) -> str:
        self.made.append(params.name)
        return params.name


def note(name: str, **more: Any) -> dict[str, Any]:
    return {"name": f"note_{name}", "tool": "noter", "input": {"name": name}, **more}


ASK = {"name": "ask", "agent": "careful", "input": {"text": "delete it"}}
LAST = {"name": "last", "agent": "writer", "input": {"text": "after {{step.ask.result}}"}}


class World:
    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.noter, self.deleter = Noting("noter"), Noting("deleter")
        for tool in (self.noter, self.deleter):
            runtime.registry.register("tools", tool.name, tool)

    def with_agents(self) -> World:
        builder = self.runtime.agents.builder().model("scripted/any")
        builder.name("careful").ask_tool("deleter").build()
        builder.name("writer").build()
        return self


@pytest.fixture
def make_world(make_runtime: Any) -> Any:
    def reply(request: Any) -> Any:
        if not request.tools:
            return say(f"wrote {request.messages[-1].content}")
        return say("it is gone") if request.messages[-1].role == "tool" else call("deleter", {"name": "x"})

    async def make() -> World:
        return World(await make_runtime(replies=[reply]))

    return make


async def waiting(world: World, kind: str, table: dict[str, Any]) -> str:
    workflow = world.runtime.workflows.make(kind, {"name": "w", **table})
    with pytest.raises(ApprovalRequiredError, match="'careful' wants to call deleter") as caught:
        await world.runtime.run_workflow(workflow, {"text": "hello", "topic": "t"})
    return str(caught.value.record)


SHAPES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "sequential": ("sequential", {"steps": [note("a"), ASK, LAST, note("b")]}, ["b"]),
    "that goes on after failures": ("sequential", {"steps": [note("a"), ASK], "error_strategy": "continue"}, []),
    "that tries again": ("sequential", {"steps": [note("a"), {**ASK, "retry_count": 2}]}, []),
    "parallel": (
        "parallel",
        {"branches": [{"name": "one", "steps": [note("a")]}, {"name": "two", "steps": [ASK, note("b")]}]},
        ["b"],
    ),
    "nested": (
        "sequential",
        {"steps": [note("a"), {"name": "in", "type": "parallel", "steps": [ASK]}, note("b")]},
        ["b"],
    ),
    "loop": (
        "loop",
        {"iterator": {"collection": ["p", "q"]}, "body": [note("{{current_item}}"), ASK]},
        [],
    ),
    "conditional": (
        "conditional",
        {"branches": [{"name": "yes", "condition": {"type": "always"}, "steps": [note("a"), ASK, LAST]}]},
        [],
    ),
    "fan_out": ("fan_out", {"targets": ["writer", "careful"], "input": "x"}, []),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_workflow_waits_and_goes_on_in_another_runtime(make_world: Any, tmp_path: Path, shape: str) -> None:
    kind, table, after = SHAPES[shape]
    first = (await make_world()).with_agents()
    id_ = await waiting(first, kind, table)
    before = list(first.noter.made)
    await first.runtime.records.export(id_, tmp_path / "w.json")
    second = await make_world()
    record: Any = tmp_path / "w.json"
    while True:
        try:
            output = await second.runtime.resume_run(record, "approve")
            break
        except ApprovalRequiredError as again:  # the second round of the loop
            record = again.record
    assert output.metadata.extra["success"] is True
    assert (first.deleter.made, second.deleter.made) == ([], ["x"] * (2 if shape == "loop" else 1))
    assert not set(before) & set(second.noter.made)
    assert shape == "loop" or second.noter.made == after
    if "last" in output.metadata.extra["outputs"]:
        assert output.metadata.extra["outputs"]["last"] == "wrote after it is gone"


async def test_compensation_does_not_run_because_somebody_has_to_decide(make_world: Any) -> None:
    world = (await make_world()).with_agents()
    undo = {"name": "undo", "tool": "noter", "input": {"name": "undone"}}
    await waiting(world, "sequential", {"steps": [note("a", compensate=undo), ASK]})
    assert world.noter.made == ["a"]


async def test_a_workflow_with_functions_goes_on_only_where_they_are(make_world: Any, tmp_path: Path) -> None:
    world = (await make_world()).with_agents()
    made: list[str] = []

    def once(context: Any) -> dict[str, Any]:
        made.append("once")
        return {"success": True, "output": 1, "state_updates": {"k": "kept"}}

    steps = [{"name": "f", "function": once}, ASK, {**LAST, "input": {"text": "{{shared.k}}"}}]
    id_ = await waiting(world, "sequential", {"steps": steps})
    await world.runtime.records.export(id_, tmp_path / "w.json")
    with pytest.raises(ComponentError, match="workflow 'w' cannot go on here: it holds a function"):
        await (await make_world()).runtime.resume_run(tmp_path / "w.json", True)
    output = await world.runtime.resume_run(id_, True)
    assert (made, output.metadata.extra["outputs"]["last"]) == (["once"], "wrote kept")
