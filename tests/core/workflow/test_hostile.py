"""What people and programs do to a workflow that nobody meant: and it still ends as it should."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Iterable
from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import CancelledByHookError, LLMSpellError, ResourceLimitError, TimeoutError, WorkflowError
from llmspell_core.hooks import HookResult
from llmspell_core.testing.contract import Leftovers
from llmspell_core.workflow import Definition, ErrorStrategy, Outcome, Step, WorkflowRun, WorkflowType, read_steps
from llmspell_core.workflow.strategy import BreakerSettings

Cast = Any


def says(value: Any) -> Any:
    return lambda _c: value


def fails(_c: Any) -> None:
    raise ValueError("on purpose")


class Crashes(WorkflowType):
    """A type with a mistake in it."""

    name = "crashes"
    description = "Raises what it should not."

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        self.steps = read_steps(definition.option("steps"))

    def all_steps(self) -> Iterable[Step]:
        return self.steps

    async def run(self, run: WorkflowRun) -> Outcome:
        await run.sequence(self.steps)
        raise KeyError("a mistake")


async def test_a_type_that_crashes_fails_and_undoes_like_any_other(runtime: Runtime) -> None:
    runtime.registry.register("workflows", "crashes", Crashes)
    undone: list[int] = []
    step = {"name": "a", "execute": says(1), "compensate": lambda _c: undone.append(1)}
    workflow = runtime.workflows.make("crashes", {"name": "w", "steps": [step]})
    with pytest.raises(WorkflowError, match="workflow 'w' failed: KeyError: 'a mistake'"):
        await runtime.run_workflow(workflow)
    assert (workflow.status, undone) == ("failed", [1])


def nested(depth: int) -> Any:
    made: Any = "x"
    for _ in range(depth):
        made = [made]
    return made


async def test_an_input_that_is_too_deep_is_a_failed_step(runtime: Runtime) -> None:
    workflow = runtime.workflows.make(
        "sequential", {"steps": [{"name": "a", "execute": says(1), "input": nested(5000)}]}
    )
    with pytest.raises(WorkflowError, match="step 'a' failed: RecursionError"):
        await runtime.run_workflow(workflow)
    assert workflow.status == "failed"


async def test_listeners_and_handlers_that_crash_do_not_take_the_run_with_them(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    workflow = runtime.workflows.make("sequential", {"name": "w", "steps": [{"name": "a", "execute": fails}]})
    workflow.default_error_handler = lambda _e, _c: 1 / 0
    for event in ("before_start", "before_step", "on_step_error", "on_error"):
        workflow.on(event, lambda _d: 1 / 0)
    with pytest.raises(WorkflowError, match="step 'a' failed: ValueError: on purpose"):
        await runtime.run_workflow(workflow)
    assert "the default error handler raised: ZeroDivisionError" in caplog.text
    end = workflow.on("after_step", lambda _d: None)
    end()
    end()


async def test_a_hook_that_says_no_is_asked_once(runtime: Runtime) -> None:
    asked: list[str] = []

    def no(context: Any) -> HookResult:
        asked.append(context.point)
        return HookResult.cancel("closed")

    runtime.hooks.register("BeforeWorkflowStage", no)
    step = {"name": "a", "execute": says(1), "error_strategy": {"type": "retry", "max_attempts": 5, "backoff_ms": 1}}
    with pytest.raises(WorkflowError, match="closed") as caught:
        await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": [step]}))
    assert isinstance(caught.value.__cause__, CancelledByHookError)
    assert len(asked) == 1


async def test_endless_doubling_stays_a_number(cast: Cast) -> None:
    calls: list[int] = []

    def sometimes(_c: Any) -> str:
        calls.append(1)
        if len(calls) < 1100:
            raise ValueError("again")
        return "ok"

    retry = {"type": "retry", "max_attempts": 2000, "backoff_ms": 0}
    made = await cast("sequential", {"steps": [{"name": "a", "execute": sometimes, "error_strategy": retry}]})
    assert made["output"] == "ok"


async def test_a_step_of_which_the_function_raises_timeout_errors_of_its_own(cast: Cast) -> None:
    async def late(_c: Any) -> None:
        raise builtins.TimeoutError

    with pytest.raises(WorkflowError, match="step 'a' failed: TimeoutError"):
        await cast("sequential", {"steps": [{"name": "a", "execute": late}]})


async def test_what_a_step_calls_may_be_cancelled_without_the_run(cast: Cast) -> None:
    async def gives_up(_c: Any) -> None:
        raise asyncio.CancelledError

    steps = [{"name": "a", "execute": gives_up}, {"name": "b", "execute": says(1)}]
    made = await cast("sequential", {"steps": steps, "error_strategy": "continue"})
    assert (made["outputs"], made["error"]) == ({"b": 1}, "what it called was cancelled")


async def stubborn(_c: Any) -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "not me"
    return ""


async def test_a_step_that_does_not_let_itself_be_cancelled_is_late_all_the_same(runtime: Runtime) -> None:
    ran: list[str] = []
    steps = [{"name": "a", "execute": stubborn, "timeout_ms": 20}]
    with pytest.raises(WorkflowError, match=r"step 'a' did not finish within 0\.02 s"):
        await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": steps}))
    for strategy in ("fail_fast", "continue"):
        steps = [{"name": "a", "execute": stubborn}, {"name": "b", "execute": lambda _c: ran.append("b")}]
        table = {"steps": steps, "timeout_ms": 20, "error_strategy": strategy}
        with pytest.raises(TimeoutError, match=r"did not finish within 0\.02 s"):
            await runtime.run_workflow(runtime.workflows.make("sequential", table))
    assert ran == []


async def test_the_hint_fits_what_went_wrong(runtime: Runtime) -> None:
    async def hint(step: Any) -> str:
        with pytest.raises(WorkflowError) as caught:
            await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": [{"name": "a", **step}]}))
        return str(caught.value.hint)

    assert await hint({"execute": fails}) == "Look at the step's error."
    assert "placeholder" in await hint({"execute": fails, "input": "{{step.ghost.result}}"})
    assert "tool list" in await hint({"tool": "ghost"})
    assert "timeout_ms" in await hint({"execute": lambda _c: asyncio.sleep(60), "timeout_ms": 10})


async def test_a_robust_workflow_tries_often_and_then_goes_on(cast: Cast) -> None:
    config = {
        "continue_on_error": True,
        "default_error_strategy": {"type": "retry", "max_attempts": 2, "backoff_ms": 1},
    }
    made = await cast(
        "sequential", {"steps": [{"name": "a", "execute": fails}, {"name": "b", "execute": says(1)}], "config": config}
    )
    assert (made["status"], made["outputs"]) == ("partially_completed", {"b": 1})


@pytest.mark.parametrize("text", ["{{" + " " * 50_000, "{{" + "a " * 50_000, "{{ " * 20_000, "$" + "a" * 100_000])
async def test_texts_made_to_be_slow_are_not(cast: Cast, text: str) -> None:
    began = time.perf_counter()
    made = await cast(
        "sequential", {"steps": [{"name": "e", "execute": lambda c: c["input"]["v"], "input": {"v": text}}]}
    )
    assert made["output"] == text
    assert time.perf_counter() - began < 2


async def test_names_with_dots_colons_and_blanks_are_found(cast: Cast) -> None:
    names = ["a.b", "c:d", "e f", "step", "input", "output.result", "été", "{x}"]
    for name in names:
        given = [f"{{{{step.{name}.result}}}}", f"{{{{step:{name}:output}}}}", f"{{{{step.{name}.output.k}}}}"]
        steps = [
            {"name": name, "execute": says({"k": name})},
            {"name": "e", "execute": lambda c: c["input"]["v"], "input": {"v": given}},
        ]
        made = (await cast("sequential", {"steps": steps}))["output"]
        if name == "{x}":  # braces end a placeholder; such a name is left alone
            assert made == given
        else:
            assert made == [{"k": name}, {"k": name}, name], name


async def test_values_that_are_nothing_false_or_empty_are_values(cast: Cast) -> None:
    nothing: list[Any] = [None, False, 0, "", [], {}]
    for value in nothing:
        steps = [
            {"name": "a", "execute": says(value)},
            {"name": "e", "execute": lambda c: c["input"]["v"], "input": {"v": "{{step.a.result}}"}},
        ]
        found = (await cast("sequential", {"steps": steps}))["output"]
        assert found == value
        assert type(found) is type(value)


async def test_an_own_earlier_result_is_not_there_yet(cast: Cast) -> None:
    with pytest.raises(WorkflowError, match="'a' has no output"):
        await cast("sequential", {"steps": [{"name": "a", "execute": says(1), "input": "{{step.a.result}}"}]})


async def test_a_workflow_may_be_given_any_result_as_its_input(runtime: Runtime, cast: Cast) -> None:
    runtime.workflows.make(
        "sequential", {"name": "own", "steps": [{"name": "e", "execute": lambda c: c["input"]["input"]}]}
    )
    for value in (5, [1, 2], True):
        steps = [{"name": "a", "execute": says(value)}, {"name": "w", "workflow": "own", "input": "{{step.a.result}}"}]
        assert (await cast("sequential", {"steps": steps}))["output"] == value


# -- undoing ----------------------------------------------------------------------------------------------------------


def booking(name: str, undone: list[str]) -> dict[str, Any]:
    return {"name": name, "execute": says(name), "compensate": lambda c: undone.append(c["steps"][name])}


async def test_what_nested_workflows_did_is_undone_with_the_outer_one(runtime: Runtime, cast: Cast) -> None:
    undone: list[str] = []
    runtime.workflows.make("sequential", {"name": "named", "steps": [booking("d", undone), booking("e", undone)]})
    steps = [
        booking("a", undone),
        {"name": "in", "type": "parallel", "steps": [
            {"name": "p", "steps": [booking("b", undone), booking("c", undone)], "type": "sequential"},
        ]},
        {"name": "w", "workflow": "named"},
        {"name": "bad", "execute": fails},
    ]  # fmt: skip
    with pytest.raises(WorkflowError, match="on purpose"):
        await cast("sequential", {"steps": steps})
    assert undone == ["e", "d", "c", "b", "a"]


async def test_a_step_that_says_how_to_undo_a_workflow_replaces_what_is_in_it(cast: Cast) -> None:
    undone: list[str] = []
    inner = {
        "name": "in",
        "type": "sequential",
        "steps": [booking("b", undone)],
        "compensate": lambda _c: undone.append("all"),
    }
    with pytest.raises(WorkflowError):
        await cast("sequential", {"steps": [inner, {"name": "bad", "execute": fails}]})
    assert undone == ["all"]


async def test_a_nested_workflow_that_fails_undoes_itself_once(cast: Cast) -> None:
    undone: list[str] = []
    inner = {"name": "in", "type": "sequential", "steps": [booking("b", undone), {"name": "bad", "execute": fails}]}
    with pytest.raises(WorkflowError):
        await cast("sequential", {"steps": [booking("a", undone), inner]})
    assert undone == ["b", "a"]


async def test_what_a_stopped_branch_had_finished_is_undone(cast: Cast) -> None:
    undone: list[str] = []
    ready = asyncio.Event()

    async def waits(_c: Any) -> None:
        ready.set()
        await asyncio.sleep(60)

    async def breaks(_c: Any) -> None:
        await ready.wait()
        fails(_c)

    slow = {"name": "slow", "type": "sequential", "steps": [booking("b", undone), {"name": "w", "execute": waits}]}
    with pytest.raises(WorkflowError):
        await cast("parallel", {"steps": [slow, {"name": "x", "execute": breaks}]})
    assert undone == ["b"]


async def test_a_time_limit_undoes_and_a_cancellation_from_outside_does_not(runtime: Runtime) -> None:
    undone: list[str] = []
    steps = [booking("a", undone), {"name": "w", "execute": lambda _c: asyncio.sleep(60)}]
    with pytest.raises(TimeoutError):
        await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": steps, "timeout_ms": 50}))
    assert undone == ["a"]
    undone.clear()
    workflow = runtime.workflows.make("sequential", {"steps": steps})
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.05):
            await runtime.run_workflow(workflow)
    assert (workflow.status, undone) == ("cancelled", [])


def failing(strategy: Any) -> dict[str, Any]:
    return {"name": "a", "execute": fails, "error_strategy": strategy}


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "table"),
    [
        ("sequential", lambda f: {"steps": [{"name": "a", "execute": f}]}),
        ("parallel", lambda f: {"steps": [{"name": n, "execute": f} for n in "abcdefgh"]}),
        ("conditional", lambda f: {"condition": "always", "then_steps": [{"name": "a", "execute": f}]}),
        ("conditional", lambda f: {"condition": f, "then_steps": [], "condition_evaluation_timeout_ms": 60_000}),
        ("loop", lambda f: {"iterator": {"range": {"end": 5}}, "body": [{"name": "a", "execute": f}]}),
        ("fan_out", lambda f: {"targets": [{"name": n, "execute": f} for n in "abcdefgh"]}),
        ("map_reduce", lambda f: {"items": list(range(20)), "map_step": {"execute": f}}),
        ("sequential", lambda f: {"steps": [{"name": "i", "type": "parallel", "steps": [{"name": "a", "execute": f}]}]}),
        ("sequential", lambda f: {"steps": [failing({"type": "fallback", "step": {"execute": f}})]}),
        ("sequential", lambda _f: {"steps": [failing({"type": "retry", "backoff_ms": 60_000})]}),
    ],
)  # fmt: skip
async def test_cancelling_leaves_no_task_and_says_so_in_the_state(runtime: Runtime, type_: str, table: Any) -> None:
    async def forever(_c: Any) -> None:
        await asyncio.sleep(60)

    before = Leftovers()
    workflow = runtime.workflows.make(type_, table(forever))
    task = asyncio.create_task(runtime.run_workflow(workflow))
    await asyncio.sleep(0.03)
    assert workflow.status == "running"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await before.new_after_a_moment() == []
    assert workflow.last is not None
    state = await runtime.state.get(f"workflow:{workflow.last.id}:state")
    assert state["status"] == "cancelled"


async def test_a_store_that_hangs_does_not_hold_up_the_end(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = runtime.workflows.make("sequential", {"steps": [{"name": "a", "execute": lambda _c: asyncio.sleep(60)}]})
    task = asyncio.create_task(runtime.run_workflow(workflow))
    await asyncio.sleep(0.02)

    async def hangs(_key: str, _value: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(runtime.state, "set", hangs)
    began = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.perf_counter() - began < 1


async def test_a_state_without_room_forgets_the_oldest_executions(make_runtime: Any) -> None:
    runtime = await make_runtime({"runtime": {"state_persistence": {"max_state_size_bytes": 40_000}}})
    workflow = runtime.workflows.make("sequential", {"steps": [{"name": "a", "execute": says("x" * 3000)}]})
    ids = [(await runtime.run_workflow(workflow)).metadata.extra["execution_id"] for _ in range(12)]
    assert await runtime.state.keys(f"workflow:{ids[0]}:") == []
    assert (await runtime.state.get(f"workflow:{ids[-1]}:a"))["output"] == "x" * 3000
    await runtime.state.set("global:mine", "y" * 30_000)
    assert await runtime.state.get("global:mine") == "y" * 30_000


async def test_results_that_never_fit_are_in_the_result_all_the_same(
    make_runtime: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await make_runtime({"runtime": {"state_persistence": {"max_state_size_bytes": 40_000}}})
    workflow = runtime.workflows.make("sequential", {"steps": [{"name": "a", "execute": says("x" * 100_000)}]})
    extra = (await runtime.run_workflow(workflow)).metadata.extra
    assert len(extra["outputs"]["a"]) == 100_000
    assert (extra["status"], extra["state_complete"]) == ("completed", False)
    assert caplog.text.count("are not all in the state") == 1
    with pytest.raises(ResourceLimitError):
        await runtime.state.set("global:mine", "y" * 50_000)


# -- tables and types ---------------------------------------------------------------------------------------------------


def test_a_circuit_breakers_settings_survive() -> None:
    read = ErrorStrategy.read({"type": "cascade", "circuitBreaker": {"failureThreshold": 2, "openDurationMs": 5}})
    assert read.breaker == BreakerSettings(2, open_duration_ms=5)
    assert ErrorStrategy.read({"type": "cascade", "circuit_breaker": True}).breaker == BreakerSettings()
    assert ErrorStrategy.read({"type": "cascade", "circuit_breaker": False}).breaker is None


async def test_a_workflow_in_a_workflow_inherits_and_partial_success_shows(cast: Cast) -> None:
    calls: list[int] = []

    def flaky(_c: Any) -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ValueError("not yet")
        return "third"

    retry = {"type": "retry", "max_attempts": 3, "backoff_ms": 1}
    deep = {
        "name": "in",
        "type": "parallel",
        "steps": [{"name": "x", "type": "sequential", "steps": [{"name": "f", "execute": flaky}]}],
    }
    made = await cast("sequential", {"steps": [deep], "error_strategy": retry})
    assert (made["status"], len(calls)) == ("completed", 3)
    bad = {
        "name": "in",
        "type": "sequential",
        "steps": [{"name": "f", "execute": fails}, {"name": "g", "execute": says(1)}],
    }
    made = await cast("sequential", {"steps": [bad, {"name": "h", "execute": says(2)}], "error_strategy": "continue"})
    assert (made["status"], made["success"], made["outputs"]) == ("partially_completed", False, {"in": 1, "h": 2})
    strict = {**bad, "error_strategy": "fail_fast"}
    made = await cast(
        "sequential", {"steps": [strict, {"name": "h", "execute": says(2)}], "error_strategy": "continue"}
    )
    assert (made["status"], made["outputs"]) == ("partially_completed", {"h": 2})


async def test_one_workflow_may_be_changed_while_it_runs(runtime: Runtime) -> None:
    workflow = runtime.workflows.make(
        "sequential", {"steps": [{"name": "a", "execute": lambda _c: asyncio.sleep(0.03)}]}
    )
    task = asyncio.create_task(runtime.run_workflow(workflow))
    await asyncio.sleep(0.01)
    workflow.add_step({"name": "b", "execute": says(2)})
    workflow.add_step({"name": "in", "type": "sequential", "steps": [{"name": "c", "execute": says(3)}]})
    assert (await task).metadata.extra["outputs"] == {"a": None}
    assert (await runtime.run_workflow(workflow)).metadata.extra["outputs"] == {"a": None, "b": 2, "in": 3}
    with pytest.raises(LLMSpellError, match="two steps are named 'b'"):
        workflow.add_step({"name": "b", "execute": says(2)})
    assert [step.name for step in workflow.get_steps()] == ["a", "b", "in"]
