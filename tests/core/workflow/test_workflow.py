"""A workflow as a component: order, state, hooks, events, listeners, nesting, concurrency."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell_core import AgentInput, ExecutionContext, HookResult, Runtime, Tool
from llmspell_core.errors import CancelledByHookError, NotFoundError, ToolError, ValidationError, WorkflowError
from llmspell_core.testing import say
from llmspell_core.tool import NoParameters, ToolResult

Cast = Any


def step(name: str, output: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "execute": lambda _c: name if output is None else output, **more}


async def test_steps_wait_for_what_they_depend_on(runtime: Runtime) -> None:
    steps = [step("c", dependencies=["b"]), step("a"), step("b", dependencies=["id-a"]), step("d")]
    steps[1]["id"] = "id-a"
    workflow = runtime.workflows.make("sequential", {"steps": steps})
    assert workflow.plan_execution() == ["a", "b", "c", "d"]
    await runtime.run_workflow(workflow)
    assert [r.step_name for r in workflow.get_results()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("dependencies", "text"),
    [({"a": ["b"], "b": ["a"]}, "depend on each other"), ({"a": ["ghost"], "b": []}, "'ghost'")],
)
async def test_wrong_dependencies_are_found(runtime: Runtime, dependencies: dict[str, list[str]], text: str) -> None:
    steps = [step(name, dependencies=needed) for name, needed in dependencies.items()]
    workflow = runtime.workflows.make("sequential", {"steps": steps})
    assert text in workflow.validate()[0]
    with pytest.raises(WorkflowError, match=text):
        await runtime.run_workflow(workflow)


async def test_a_step_whose_dependency_failed_is_skipped(cast: Cast) -> None:
    bad = {"name": "bad", "execute": lambda _c: {"success": False, "error": "no"}}
    made = await cast(
        "sequential", {"steps": [bad, step("b", dependencies=["bad"]), step("c")], "error_strategy": "continue"}
    )
    assert made["outputs"] == {"c": "c"}


async def test_a_step_runs_only_when_its_condition_holds(cast: Cast) -> None:
    made = await cast("sequential", {"steps": [step("a", condition="input.n > 1"), step("b")]}, {"n": 1})
    assert (made["outputs"], made["status"]) == ({"b": "b"}, "completed")


async def test_results_are_in_the_state(runtime: Runtime) -> None:
    body = [{"name": "it", "execute": lambda c: c["current_item"]}]
    workflow = runtime.workflows.make("loop", {"name": "w", "iterator": {"collection": ["x", "y"]}, "body": body})
    output = await runtime.run_workflow(workflow)
    prefix = f"workflow:{output.metadata.extra['execution_id']}:"
    get = runtime.state.get
    record = await get(prefix + "it")
    assert {"step_name", "step_id", "output", "duration_ms", "retry_count"} == set(record)
    assert (await get(prefix + "iteration_0:it"))["output"] == "x"
    assert await get(prefix + "step:it:output") == "y"
    assert await get(prefix + "aggregated") == ["x", "y"]
    assert await get(prefix + "final_output") == "y"
    assert (await get(prefix + "state"))["status"] == "completed"
    assert set(output.metadata.extra["state_keys"]) == set(await runtime.state.keys(prefix))


async def test_agents_are_asked_and_their_answers_kept(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[lambda r: say(f"re: {r.messages[-1].content}")])
    runtime.agents.builder().name("poet").model("scripted/any").build()
    steps = [
        {"name": "ask", "type": "agent", "agent": "poet", "input": "about {{topic}}"},
        {"name": "again", "agent": "poet"},
    ]
    workflow = runtime.workflows.make("sequential", {"steps": steps})
    output = await runtime.run_workflow(workflow, {"topic": "owls", "text": "Write."})
    extra = output.metadata.extra
    assert extra["outputs"]["ask"] == "re: about owls"
    assert extra["outputs"]["again"] == "re: Write.\n\ntopic: owls\n\nask:\nre: about owls"
    assert extra["agent_outputs"] == {"poet": extra["outputs"]["again"]}
    assert await runtime.state.get(f"workflow:{extra['execution_id']}:agent:poet:output") == extra["outputs"]["again"]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"tool": "no-such-tool"}, "Tool 'no-such-tool' not found"),
        ({"agent": "nobody"}, "Agent 'nobody' not found"),
        ({"workflow": "nothing"}, "Workflow not found: nothing"),
        ({"template_id": "no-such-template"}, "no-such-template"),
    ],
)
async def test_an_unknown_target_is_an_error(cast: Cast, table: dict[str, Any], text: str) -> None:
    with pytest.raises(WorkflowError, match=text):
        await cast("sequential", {"steps": [{"name": "a", **table}]})


class Sulky(Tool[NoParameters]):
    name = "sulky"
    description = "Reports failure in its envelope."
    parameters = NoParameters

    def run(self, params: NoParameters, ctx: ExecutionContext) -> ToolResult:
        return ToolResult(None, success=False, error="not today")


async def test_a_tool_that_reports_failure_fails_its_step(runtime: Runtime, cast: Cast) -> None:
    runtime.registry.register("tools", "sulky", Sulky())
    with pytest.raises(WorkflowError, match="not today") as caught:
        await cast("sequential", {"steps": [{"name": "a", "tool": "sulky"}]})
    assert isinstance(caught.value.__cause__, ToolError)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"name": "a", "type": "magic"}, "Unknown step type: 'magic'"),
        ({"name": "a", "type": "agent"}, "step 'a': 'agent' is missing"),
        ({"name": "a", "tool": "x", "timeout_ms": 0}, "timeout"),
        ({"name": 5, "tool": "x"}, "needs a 'name'"),
        ("text", "a step is a table"),
    ],
)
def test_a_wrong_step_is_refused(runtime: Runtime, table: Any, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        runtime.workflows.make("sequential", {"steps": [table]})


async def test_workflows_nest_and_know_their_depth(runtime: Runtime) -> None:
    inner = runtime.workflows.make("sequential", {"name": "inner", "steps": [step("x", "X")]})
    made = runtime.workflows.make(
        "sequential", {"steps": [{"name": "n", "workflow": inner}, {"name": "m", "workflow": "inner"}]}
    )
    output = await runtime.run_workflow(made)
    assert output.metadata.extra["outputs"] == {"n": "X", "m": "X"}
    endless = runtime.workflows.make("sequential", {"name": "e", "steps": [{"name": "n", "workflow": "e"}]})
    with pytest.raises(WorkflowError, match="nested deeper than 10"):
        await runtime.run_workflow(endless)


async def test_hooks_see_change_replace_and_refuse_steps(runtime: Runtime) -> None:
    table = {"steps": [{"name": "a", "execute": lambda c: c["input"]["v"], "input": {"v": 1}}]}

    async def run() -> Any:
        return (await runtime.run_workflow(runtime.workflows.make("sequential", table))).metadata.extra["outputs"]

    before = runtime.hooks.register("BeforeWorkflowStage", lambda _c: HookResult.modified({"input": {"v": 2}}))
    assert await run() == {"a": 2}
    before.unregister()
    before = runtime.hooks.register("BeforeWorkflowStage", lambda _c: HookResult.replace("mine"))
    assert await run() == {"a": "mine"}
    before.unregister()
    after = runtime.hooks.register(
        "AfterWorkflowStage", lambda c: HookResult.modified({"result": {"output": c.data["result"]["output"] + 10}})
    )
    assert await run() == {"a": 11}
    after.unregister()
    runtime.hooks.register("BeforeWorkflowStage", lambda _c: HookResult.cancel("not this one"))
    with pytest.raises(WorkflowError, match="not this one"):
        await run()


async def test_hooks_around_the_whole_workflow_fire(runtime: Runtime) -> None:
    seen: list[str] = []
    points = ("BeforeWorkflowStart", "workflow_start", "WorkflowStageTransition", "workflow_step_boundary", "WorkflowCheckpoint",
              "workflow_complete", "AfterWorkflowComplete", "WorkflowError")  # fmt: skip
    for point in points:
        runtime.hooks.register(point, lambda c: seen.append(c.point))
    await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": [step("a"), step("b")]}))
    assert seen[:2] == ["BeforeWorkflowStart", "workflow_start"]
    assert seen[-2:] == ["workflow_complete", "AfterWorkflowComplete"]
    assert {"WorkflowStageTransition", "workflow_step_boundary", "WorkflowCheckpoint"} <= set(seen)
    with pytest.raises(WorkflowError):
        await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": [{"name": "a", "tool": "ghost"}]}))
    assert seen[-1] == "WorkflowError"
    runtime.hooks.register("BeforeWorkflowStart", lambda _c: {"type": "cancel", "reason": "closed today"})
    with pytest.raises(CancelledByHookError, match="closed today"):
        await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": [step("a")]}))


async def test_events_tell_the_story(runtime: Runtime) -> None:
    with runtime.events.subscribe("workflow.*") as events:
        bad = {"name": "b", "execute": lambda _c: 1 / 0, "retry_count": 1, "error_strategy": "continue"}
        await runtime.run_workflow(runtime.workflows.make("sequential", {"name": "w", "steps": [step("a"), bad]}))
        found = [await events.receive(0.1) for _ in range(events.pending())]
    kinds = [e.event_type for e in found if e is not None and e.event_type != "workflow.state.updated"]
    assert kinds == [
        "workflow.started", "workflow.step.started", "workflow.step.completed", "workflow.step.started",
        "workflow.step.failed", "workflow.completed",
    ]  # fmt: skip
    first = next(e.data for e in found if e is not None and e.event_type == "workflow.step.started")
    assert {"workflow_id", "step_name", "step_type", "step_index", "retry_attempt"} <= set(first)


async def test_listeners_watch_change_and_stop(runtime: Runtime) -> None:
    seen: list[str] = []
    workflow = runtime.workflows.make(
        "sequential", {"steps": [step("a"), {"name": "b", "execute": lambda c: c["shared_data"]["k"]}]}
    )
    workflow.on("before_start", lambda _d: {"state_updates": {"k": "from a listener"}})
    workflow.on("after_step", lambda d: seen.append(d["step_name"]))
    workflow.on("after_complete", lambda d: seen.append(d["status"]))
    workflow.on("after_step", lambda _d: 1 / 0)  # logged, and nothing else
    output = await runtime.run_workflow(workflow)
    assert output.metadata.extra["outputs"]["b"] == "from a listener"
    assert seen == ["a", "b", "completed"]
    end = workflow.on("before_step", lambda _d: {"continue_execution": False, "message": "enough"})
    with pytest.raises(WorkflowError, match="enough"):
        await runtime.run_workflow(workflow)
    end()
    workflow.on("on_error", lambda d: seen.append(d["message"]))
    workflow.add_step({"name": "c", "tool": "ghost"})
    with pytest.raises(WorkflowError):
        await runtime.run_workflow(workflow)
    assert "ghost" in seen[-1]


async def test_the_default_error_handler_decides(runtime: Runtime) -> None:
    calls: list[int] = []

    def flaky(_c: dict[str, Any]) -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("not yet")
        return "ok"

    workflow = runtime.workflows.make(
        "sequential", {"steps": [{"name": "a", "execute": flaky}], "config": {"retry_delay_ms": 1}}
    )

    async def handler(error: dict[str, Any], _context: dict[str, Any]) -> str:
        return "retry" if "not yet" in error["message"] else "fail"

    workflow.default_error_handler = handler
    assert (await runtime.run_workflow(workflow)).metadata.extra["outputs"] == {"a": "ok"}


async def test_two_hundred_runs_of_one_workflow_do_not_meet(runtime: Runtime) -> None:
    workflow = runtime.workflows.make("sequential", {"steps": [
        {"name": "a", "execute": lambda c: c["input"]["n"] * 2},
        {"name": "b", "execute": lambda c: c["steps"]["a"] + 1},
    ]})  # fmt: skip
    outputs = await asyncio.gather(*(runtime.run_workflow(workflow, {"n": n}) for n in range(200)))
    assert [o.metadata.extra["output"] for o in outputs] == [n * 2 + 1 for n in range(200)]
    assert workflow.totals.executions == 200


async def test_cancelling_records_what_was_done(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    workflow = runtime.workflows.make(
        "sequential", {"steps": [step("a"), {"name": "b", "execute": lambda _c: asyncio.sleep(60)}]}
    )
    task = asyncio.create_task(runtime.run_workflow(workflow))
    while "a" not in (workflow.last.results if workflow.last else {}) and workflow.status != "running":
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workflow.status == "cancelled"
    assert "was cancelled" in caplog.text
    assert "Done: a" in caplog.text
    assert [r.step_name for r in workflow.get_results()] == ["a"]


async def test_steps_can_be_added_and_removed(runtime: Runtime) -> None:
    workflow = runtime.workflows.make("sequential", {"steps": [step("a")]})
    workflow.add_step(step("b"))
    assert [s.name for s in workflow.get_steps()] == ["a", "b"]
    assert workflow.remove_step("a")
    assert not workflow.remove_step("a")
    await runtime.run_workflow(workflow)
    assert [r.step_name for r in workflow.get_results()] == ["b"]
    assert workflow.get_step_result("b").output == "b"  # type: ignore[union-attr]
    workflow.reset()
    assert workflow.status == "pending"


async def test_workflows_are_found_by_id_and_name(runtime: Runtime) -> None:
    made = runtime.workflows.make("sequential", {"name": "mine", "steps": [step("a")]})
    assert runtime.workflows.find(made.id) is runtime.workflows.find("mine") is made
    output = await runtime.run_workflow("mine", AgentInput(text="hi"))
    assert output.metadata.extra["workflow_name"] == "mine"
    runtime.workflows.remove("mine")
    with pytest.raises(NotFoundError, match="Workflow not found"):
        runtime.workflows.find("mine")
    with pytest.raises(NotFoundError, match="Workflow type 'sequentiel' not found"):
        runtime.workflows.make("sequentiel", {"steps": []})


async def test_a_diamond_runs_each_step_once_and_in_order(runtime: Runtime) -> None:
    order: list[str] = []

    def note(name: str, *needs: str) -> dict[str, Any]:
        return {"name": name, "execute": lambda _c: order.append(name), "dependencies": list(needs)}

    steps = [note("end", "left", "right"), note("right", "top"), note("left", "top"), note("top")]
    await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": steps}))
    assert order == ["top", "right", "left", "end"]


@pytest.mark.parametrize("limit", [1, 2, 8])
async def test_branches_wait_for_the_steps_they_depend_on_and_for_nothing_else(cast: Cast, limit: int) -> None:
    running: set[str] = set()
    together: set[frozenset[str]] = set()

    def work(name: str, *needs: str) -> dict[str, Any]:
        async def run(context: dict[str, Any]) -> str:
            assert all(need in context["steps"] for need in needs)
            running.add(name)
            together.add(frozenset(running))
            await asyncio.sleep(0.01)
            running.discard(name)
            return name

        return {"name": name, "execute": run, "dependencies": list(needs)}

    steps = [work("end", "left", "right"), work("left", "top"), work("right", "top"), work("top"), work("alone")]
    made = await cast("parallel", {"steps": steps, "max_concurrency": limit})
    assert made["outputs"] == {n: n for n in ("top", "alone", "left", "right", "end")}
    assert (frozenset({"left", "right"}) in together) == (limit > 1)
    assert not any({"top", "left"} <= group or {"left", "end"} <= group for group in together)


async def test_a_branch_whose_dependency_failed_is_skipped(cast: Cast) -> None:
    bad = {"name": "bad", "execute": lambda _c: 1 / 0}
    steps = [step("after", dependencies=["bad"]), bad, step("free")]
    made = await cast("parallel", {"steps": steps, "error_strategy": "continue"})
    assert (made["outputs"], made["status"]) == ({"free": "free"}, "partially_completed")
    with pytest.raises(WorkflowError, match="division"):
        await cast("parallel", {"steps": steps})


async def test_branches_that_wait_for_each_other_are_found(runtime: Runtime) -> None:
    branches = [
        {"name": "l", "steps": [step("a", dependencies=["d"]), step("b")]},
        {"name": "r", "steps": [step("c"), step("d", dependencies=["b"])]},
    ]
    workflow = runtime.workflows.make("parallel", {"branches": branches})
    assert workflow.validate() == ["steps depend on each other: l waits for r waits for l"]
    with pytest.raises(WorkflowError, match="l waits for r"):
        await runtime.run_workflow(workflow)
    ghost = runtime.workflows.make("parallel", {"steps": [step("a", dependencies=["ghost"])]})
    assert "'ghost'" in ghost.validate()[0]


async def test_a_branch_of_a_choice_may_depend_on_a_step_before_it(runtime: Runtime) -> None:
    table = {
        "steps": [step("first"), {"name": "bad", "execute": lambda _c: 1 / 0, "error_strategy": "continue"}],
        "condition": "always",
        "then_steps": [step("t", dependencies=["first"]), step("u", dependencies=["bad"])],
        "else_steps": [step("e", dependencies=["t"])],
    }
    workflow = runtime.workflows.make("conditional", table)
    assert "step 'e' depends on 't'" in workflow.validate()[0]
    table["else_steps"] = []
    workflow = runtime.workflows.make("conditional", table)
    assert (await runtime.run_workflow(workflow)).metadata.extra["outputs"] == {"first": "first", "t": "t"}
