"""A step that waits for a person: time stands still, nothing has failed, and what runs beside it may end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell_core.errors import ApprovalRequiredError
from llmspell_core.testing import call, say


def reply(request: Any) -> Any:
    return say("done") if request.messages[-1].role == "tool" else call("calculator", {"input": "1+1"})


@pytest.fixture
async def careful(make_runtime: Any) -> Any:
    runtime = await make_runtime(replies=[reply])
    for name in ("careful", "wary"):
        runtime.agents.builder().model("scripted/any").name(name).ask_tool("calculator").build()
    return runtime


ASK = {"name": "ask", "agent": "careful", "input": "go"}


async def test_nobody_is_told_of_a_failure(careful: Any) -> None:
    told: list[str] = []
    workflow = careful.workflows.make(
        "sequential", {"steps": [ASK], "error_strategy": {"type": "fallback", "value": 1}}
    )
    for event in ("on_error", "on_step_error", "after_complete"):
        workflow.on(event, lambda d: told.append(d["error"]))
    with careful.events.subscribe("workflow.*") as events:
        with pytest.raises(ApprovalRequiredError) as caught:
            await careful.run_workflow(workflow)
        kinds = [e.event_type for e in [await events.receive(0.1) for _ in range(events.pending())] if e is not None]
    assert (told, workflow.status, workflow.totals.executions) == ([], "paused", 0)
    assert "workflow.paused" in kinds
    assert "workflow.step.failed" not in kinds
    state = await careful.state.get(f"workflow:{workflow.last.id}:state")
    assert (state["status"], state["waiting"]) == ("paused", {"agent": "careful", "tools": ["calculator"]})
    output = await careful.resume_run(caught.value.record, True)
    assert (output.metadata.extra["output"], workflow.status, workflow.totals.executions) == ("done", "completed", 1)


async def test_no_time_limit_passes_while_somebody_reads_the_question(careful: Any) -> None:
    async def slow(_request: Any) -> bool:
        await asyncio.sleep(0.25)
        return True

    careful.approver = slow
    inner = {"name": "in", "type": "sequential", "steps": [{**ASK, "timeout_ms": 150}], "timeout_ms": 170}
    workflow = careful.workflows.make("sequential", {"steps": [inner], "timeout_ms": 190})
    assert (await careful.run_workflow(workflow)).metadata.extra["output"] == "done"


@pytest.mark.parametrize("type_", ["parallel", "fan_out"])
async def test_what_runs_beside_it_ends_and_all_questions_are_asked_together(careful: Any, type_: str) -> None:
    ended: list[str] = []

    async def slow(_c: Any) -> str:
        await asyncio.sleep(0.05)
        ended.append("slow")
        return "slow"

    steps = [ASK, {"name": "too", "agent": "wary", "input": "go"}, {"name": "slow", "execute": slow}]
    workflow = careful.workflows.make(type_, {"steps" if type_ == "parallel" else "targets": steps})
    with pytest.raises(ApprovalRequiredError) as caught:
        await careful.run_workflow(workflow)
    assert ended == ["slow"]
    assert sorted(r.agent for r in (await careful.records.load(caught.value.record)).requests()) == ["careful", "wary"]
    output = await careful.resume_run(caught.value.record, True)
    assert output.metadata.extra["outputs"] == {"ask": "done", "too": "done", "slow": "slow"}
    assert ended == ["slow"]


async def test_a_map_waits_and_does_no_item_twice(make_runtime: Any) -> None:
    asked: list[str] = []

    def only_two(request: Any) -> Any:
        last = request.messages[-1]
        asked.append(str(last.content))
        return (
            call("calculator", {"input": "1+1"})
            if last.role == "user" and "2" in last.content
            else say(f"re {last.content}")
        )

    runtime = await make_runtime(replies=[only_two])
    runtime.agents.builder().model("scripted/any").name("careful").ask_tool("calculator").build()
    table = {"items": [1, 2, 3], "map_step": {"agent": "careful", "input": "item {{item}}"}, "max_concurrency": 1}
    workflow = runtime.workflows.make("map_reduce", table)
    with pytest.raises(ApprovalRequiredError) as caught:
        await runtime.run_workflow(workflow)
    before = list(asked)
    output = await runtime.resume_run(caught.value.record, True)
    first, second, third = output.metadata.extra["map_results"]
    assert (first, second[:3], third) == ("re item 1", "re ", "re item 3")
    assert before == ["item 1", "item 2", "item 3"]
    assert len(asked) == 4


async def test_a_compensation_that_asks_a_person_is_noted_as_one_that_failed(careful: Any) -> None:
    steps = [
        {"name": "a", "execute": lambda _c: 1, "compensate": {"agent": "careful", "input": "undo"}},
        {"name": "b", "execute": lambda _c: 1 / 0},
    ]
    workflow = careful.workflows.make("sequential", {"steps": steps})
    with pytest.raises(Exception, match="ZeroDivisionError"):
        await careful.run_workflow(workflow)
    assert workflow.last_result is not None
    (row,) = workflow.last_result.metadata["rolled_back"]
    assert (row["success"], "needs consent" in row["error"]) == (False, True)


@pytest.mark.parametrize("agent", ["plain", "llm"])
async def test_tools_that_a_step_gives_its_agent_are_asked_for_too(make_runtime: Any, agent: str) -> None:
    config = {
        "tools": {"approval": {"ask": ["calculator"]}},
        "providers": {"default_provider": "scripted", "scripted": {"default_model": "any"}},
    }
    runtime = await make_runtime(config, replies=[reply])
    runtime.agents.builder().model("scripted/any").name("plain").build()
    step = {"name": "s", "agent": agent, "tools": ["calculator"], "input": "go"}
    workflow = runtime.workflows.make("sequential", {"steps": [step]})
    with pytest.raises(ApprovalRequiredError) as caught:
        await runtime.run_workflow(workflow)
    output = await runtime.resume_run(caught.value.record, True)
    assert output.metadata.extra["output"] == "done"
