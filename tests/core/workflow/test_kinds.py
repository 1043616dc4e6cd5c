"""Steps of every kind, and where their results are kept."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from llmspell_core import ExecutionContext, Runtime
from llmspell_core.errors import WorkflowError
from llmspell_core.template import Template, TemplateOutput
from llmspell_core.testing import say

Cast = Any


class Topic(BaseModel):
    topic: str


class Outline(Template[Topic]):
    name = "outline"
    description = "Makes a table of a topic."
    category = "test"
    parameters = Topic

    async def run(self, params: Topic, ctx: ExecutionContext) -> TemplateOutput:
        if params.topic == "nothing":
            raise ValueError("there is nothing to say")
        return TemplateOutput({"title": params.topic, "parts": ["a", "b"]}, "structured")


@pytest.fixture
async def full(make_runtime: Any) -> Runtime:
    runtime: Runtime = await make_runtime(replies=[lambda r: say(f"<{r.messages[-1].content}>")])
    runtime.registry.register("templates", "outline", Outline())
    runtime.agents.builder().name("poet").model("scripted/any").build()
    steps = [{"name": "x", "execute": lambda c: f"inner {c['input'].get('v')}"}]
    runtime.workflows.make("sequential", {"name": "inner", "steps": steps})
    return runtime


async def run(runtime: Runtime, steps: list[Any], input: Any = None, type_: str = "sequential") -> Any:
    made = runtime.workflows.make(type_, {"name": "w", "steps": steps})
    return (await runtime.run_workflow(made, input)).metadata.extra


async def test_each_kind_gives_its_output_to_the_next(full: Runtime) -> None:
    steps = [
        {"name": "sum", "type": "tool", "tool": "calculator", "input": {"input": "{{n}} + 1"}},
        {"name": "poem", "type": "agent", "agent": "poet", "input": "about {{step.sum.result}}"},
        {"name": "nest", "type": "workflow", "workflow": "inner", "input": {"v": "{{step:poem:output}}"}},
        {"name": "plan", "type": "template", "template_id": "outline", "params": {"topic": "{{nest}}"}},
        {"name": "last", "type": "function", "execute": lambda c: c["input"]["v"],
         "input": {"v": "{{step:plan:output.parts.2}} $nest.output"}},
    ]  # fmt: skip
    extra = await run(full, steps, {"n": 4})
    assert extra["outputs"] == {
        "sum": 5,
        "poem": "<about 5>",
        "nest": "inner <about 5>",
        "plan": {"title": "inner <about 5>", "parts": ["a", "b"]},
        "last": "b inner <about 5>",
    }
    assert extra["agent_outputs"] == {"poet": "<about 5>"}


async def test_other_words_for_the_same_things(full: Runtime) -> None:
    agent = full.agents["poet"]
    steps = [
        {"name": "a", "tool_name": "calculator", "parameters": {"input": "1+1"}},
        {"name": "b", "agent_id": "poet", "prompt": "one"},
        {"name": "c", "agent": agent, "input": {"text": "two"}},
        {"name": "d", "workflow_id": "inner"},
        {"name": "e", "workflow": full.workflows.find("inner"), "params": {"v": 3}},
        {"name": "f", "template": "outline", "parameters": {"topic": "t"}},
        {"name": "g", "type": "custom", "function": lambda _c: {"success": True, "output": "g"}},
        {"name": "h", "type": "llm", "agent_name": "poet", "input": "three"},
    ]
    outputs = (await run(full, steps))["outputs"]
    assert list(outputs.values()) == [
        2, "<one>", "<two>", "inner None", "inner 3", {"title": "t", "parts": ["a", "b"]}, "g", "<three>"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"template_id": "outline", "params": {"topic": "nothing"}}, "there is nothing to say"),
        ({"template_id": "outline"}, "topic"),
        ({"template_id": "outline", "params": "x"}, "the params of template 'outline' are a table"),
        ({"tool": "calculator", "input": {"input": "1 +"}}, "step 's' failed"),
        ({"tool": {"name": 5}}, "named by a string"),
        ({"agent": {"name": None}}, "an agent is an instance or a name"),
        ({"workflow": 5}, "a workflow is an instance, a name or a table"),
        ({"agent": "poet", "tools": ["no-such-tool"]}, "Tool 'no-such-tool' not found"),
    ],
)
async def test_what_cannot_be_called_fails_its_step(full: Runtime, step: Any, text: str) -> None:
    with pytest.raises(WorkflowError, match=text):
        await run(full, [{"name": "s", **step}])


async def test_results_are_kept_under_the_keys_of_the_specification(full: Runtime) -> None:
    extra = await run(full, [
        {"name": "poem", "agent": "poet", "input": "x"}, {"name": "nest", "workflow": "inner", "input": {"v": 1}},
    ])  # fmt: skip
    prefix = f"workflow:{extra['execution_id']}:"
    get = full.state.get
    assert (await get(f"{prefix}poem"))["output"] == await get(f"{prefix}step:poem:output") == "<x>"
    assert await get(f"{prefix}agent:poet:output") == "<x>"
    assert (await get(f"{prefix}agent:poet:metadata"))["step_name"] == "poem"
    assert await get(f"{prefix}nested:inner:output") == "inner 1"
    assert (await get(f"{prefix}nested:inner:metadata"))["success"] is True
    assert (await get(f"{prefix}step:nest:metadata"))["duration_ms"] >= 0
    assert await get(f"{prefix}final_output") == "inner 1"
    branches = [{"name": "l", "steps": [{"name": "s", "execute": lambda _c: "L"}]}]
    made = full.workflows.make("parallel", {"branches": branches})
    id_ = (await full.run_workflow(made)).metadata.extra["execution_id"]
    assert (await get(f"workflow:{id_}:branch_l:s"))["output"] == "L"
    failing = full.workflows.make("sequential", {"steps": [{"name": "a", "execute": lambda _c: 1 / 0}]})
    with pytest.raises(WorkflowError):
        await full.run_workflow(failing)
    assert failing.last is not None
    assert (await get(f"workflow:{failing.last.id}:step:a:metadata"))["error_type"] == "Unknown"
    assert (await get(f"workflow:{failing.last.id}:state"))["status"] == "failed"
