"""Hooks, events and callbacks at each stage of each type."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import LLMSpellError, WorkflowError
from llmspell_core.hooks import HookResult

ONE: dict[str, Any] = {"name": "a", "execute": lambda _c: {"success": True, "output": 1, "state_updates": {"k": 1}}}
TABLES: dict[str, dict[str, Any]] = {
    "sequential": {"steps": [ONE, {"name": "b", "execute": lambda _c: 2}]},
    "parallel": {"branches": [{"name": "x", "steps": [ONE]}, {"name": "y", "steps": [{"name": "b", "execute": lambda _c: 2}]}]},
    "conditional": {"condition": "always", "then_steps": [ONE]},
    "loop": {"iterator": {"range": {"end": 2}}, "body": [ONE], "break_conditions": ["$iteration == 5"]},
    "fan_out": {"targets": [ONE, {"name": "b", "execute": lambda _c: 2}]},
    "map_reduce": {"items": [1, 2], "map_step": ONE, "reduce_step": {"execute": lambda _c: 3}},
}  # fmt: skip
EVERYWHERE = (
    "BeforeWorkflowStart", "workflow_start", "BeforeWorkflowStage", "AfterWorkflowStage", "workflow_step_boundary",
    "workflow_shared_data", "WorkflowCheckpoint", "workflow_state_change", "workflow_complete", "AfterWorkflowComplete",
)  # fmt: skip
SPECIAL = {
    "sequential": ("WorkflowStageTransition",),
    "parallel": ("parallel_fork", "parallel_join", "parallel_synchronization"),
    "conditional": ("condition_evaluation", "branch_selection"),
    "loop": ("loop_iteration_start", "loop_iteration_complete", "loop_termination", "condition_evaluation"),
    "fan_out": ("parallel_fork", "parallel_join"),
    "map_reduce": ("parallel_fork", "parallel_join"),
}
ALL_SPECIAL = {point for points in SPECIAL.values() for point in points}


def make(runtime: Runtime, type_: str) -> Any:
    return runtime.workflows.make(type_, {"name": "w", **TABLES[type_]})


@pytest.mark.parametrize("type_", TABLES)
async def test_every_hook_point_of_a_type_fires(runtime: Runtime, type_: str) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for point in (*EVERYWHERE, *ALL_SPECIAL, "WorkflowError", "WorkflowRollback"):
        runtime.hooks.register(point, lambda c: seen.setdefault(c.point, dict(c.data)) and None)
    await runtime.run_workflow(make(runtime, type_))
    assert set(seen) - ALL_SPECIAL == set(EVERYWHERE)
    assert set(seen) & ALL_SPECIAL == set(SPECIAL[type_])
    for point in (*SPECIAL[type_], "workflow_start", "workflow_step_boundary"):
        assert (seen[point]["workflow_name"], seen[point]["workflow_type"]) == ("w", type_), point
        assert seen[point]["execution_id"]


@pytest.mark.parametrize("type_", TABLES)
async def test_every_hook_point_of_a_type_can_say_no(runtime: Runtime, type_: str) -> None:
    for point in (*EVERYWHERE[:6], *SPECIAL[type_]):
        hook = runtime.hooks.register(point, lambda _c: HookResult.cancel("closed today"))
        with pytest.raises(LLMSpellError, match="closed today"):
            await runtime.run_workflow(make(runtime, type_))
        hook.unregister()
    await runtime.run_workflow(make(runtime, type_))


@pytest.mark.parametrize("type_", TABLES)
async def test_callbacks_of_a_workflow_are_called_at_the_same_stages(runtime: Runtime, type_: str) -> None:
    seen: list[str] = []
    workflow = make(runtime, type_)
    for event in ("before_start", "after_complete", "before_step", "after_step", "on_error", *ALL_SPECIAL):
        workflow.on(event, lambda _d, event=event: seen.append(event))
    await runtime.run_workflow(workflow)
    assert seen[0] == "before_start"
    assert seen[-1] == "after_complete"
    assert set(seen) == {"before_start", "after_complete", "before_step", "after_step", *SPECIAL[type_]}


@pytest.mark.parametrize("type_", TABLES)
async def test_events_come_in_pairs_and_carry_the_execution(runtime: Runtime, type_: str) -> None:
    with runtime.events.subscribe("workflow.*") as events:
        output = await runtime.run_workflow(make(runtime, type_))
        found = [e for e in [await events.receive(0.1) for _ in range(events.pending())] if e is not None]
    kinds = [e.event_type for e in found]
    assert kinds.count("workflow.step.started") == kinds.count("workflow.step.completed") == len(TABLES_STEPS[type_])
    assert (kinds.count("workflow.started"), kinds.count("workflow.completed")) == (1, 1)
    assert "workflow.state.updated" in kinds
    steps = [e.data for e in found if e.event_type == "workflow.step.completed"]
    assert {s["execution_id"] for s in steps} == {output.metadata.extra["execution_id"]}
    assert sorted(s["step_index"] for s in steps) == list(range(1, len(steps) + 1))


TABLES_STEPS = {
    "sequential": "ab", "parallel": "ab", "conditional": "a", "loop": "aa", "fan_out": "ab", "map_reduce": "aab",
}  # fmt: skip


@pytest.mark.parametrize("type_", TABLES)
async def test_a_callback_may_stop_any_type(runtime: Runtime, type_: str) -> None:
    workflow = make(runtime, type_)
    workflow.on("before_step", lambda _d: {"continue_execution": False, "message": "that is enough"})
    with pytest.raises(WorkflowError, match="that is enough"):
        await runtime.run_workflow(workflow)
