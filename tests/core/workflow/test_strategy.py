"""What happens when a step fails: strategies, circuit breakers, fallbacks, compensation, analysis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core import ExecutionContext, Runtime, Tool
from llmspell_core.errors import LLMSpellError, NetworkError, TimeoutError, ToolError, ValidationError, WorkflowError
from llmspell_core.tool import NoParameters, ToolResult
from llmspell_core.workflow import ErrorStrategy, Step, WorkflowConfig
from llmspell_core.workflow.analysis import analyse
from llmspell_core.workflow.strategy import Breaker, BreakerSettings

Cast = Any


class Flaky:
    """Fails so many times, then works; remembers when it was called."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or ValueError("flaky")
        self.calls: list[float] = []

    def __call__(self, _context: dict[str, Any]) -> str:
        self.calls.append(asyncio.get_running_loop().time())
        if len(self.calls) <= self.failures:
            raise self.error
        return f"after {len(self.calls)}"


def one(function: Callable[..., Any], **more: Any) -> dict[str, Any]:
    return {"steps": [{"name": "a", "execute": function, **more}, {"name": "b", "execute": lambda _c: "b"}]}


async def test_fail_fast_stops_at_the_first_failure(cast: Cast) -> None:
    with pytest.raises(WorkflowError, match="workflow 'w' failed: step 'a' failed: ValueError: flaky") as caught:
        await cast("sequential", {"name": "w", **one(Flaky(9))})
    assert (caught.value.step, caught.value.workflow) == ("a", "w")


async def test_continue_goes_on_and_says_so(cast: Cast) -> None:
    made = await cast("sequential", {**one(Flaky(9)), "error_strategy": "continue"})
    assert (made["status"], made["success"], made["outputs"]) == ("partially_completed", False, {"b": "b"})
    assert (made["failed_steps"], made["success_rate"]) == (1, 50.0)


async def test_retry_runs_so_often_and_no_more(cast: Cast) -> None:
    flaky = Flaky(2)
    made = await cast("sequential", one(flaky, error_strategy={"type": "retry", "max_attempts": 3, "backoff_ms": 10}))
    assert made["outputs"]["a"] == "after 3"
    flaky = Flaky(9)
    with pytest.raises(WorkflowError):
        await cast("sequential", one(flaky, error_strategy={"type": "retry", "max_attempts": 3, "backoff_ms": 1}))
    assert len(flaky.calls) == 3


async def test_the_pause_doubles(cast: Cast) -> None:
    flaky = Flaky(2)
    await cast("sequential", one(flaky, error_strategy={"type": "retry", "max_attempts": 3, "backoff_ms": 20}))
    first, second = flaky.calls[1] - flaky.calls[0], flaky.calls[2] - flaky.calls[1]
    assert first >= 0.019
    assert second >= 0.039


async def test_retry_count_alone_means_retry(cast: Cast) -> None:
    table = one(Flaky(1), retry_count=1) | {"config": {"retry_delay_ms": 1}}
    assert (await cast("sequential", table))["outputs"]["a"] == "after 2"


async def test_only_what_may_succeed_is_retried_when_asked(cast: Cast) -> None:
    config = {"retry_only_retryable": True, "retry_delay_ms": 1}
    flaky = Flaky(1, NetworkError("away"))
    assert (await cast("sequential", one(flaky, retry_count=1) | {"config": config}))["outputs"]["a"] == "after 2"
    flaky = Flaky(1, ValidationError("wrong"))
    with pytest.raises(WorkflowError):
        await cast("sequential", one(flaky, retry_count=1) | {"config": config})


async def test_a_fallback_stands_in(cast: Cast) -> None:
    value = await cast("sequential", one(Flaky(9), error_strategy={"type": "fallback", "value": "plan B"}))
    assert value["outputs"]["a"] == "plan B"
    other = {"type": "fallback", "step": {"execute": lambda c: f"instead of: {c['error']}"}}
    step = await cast("sequential", one(Flaky(9), error_strategy=other))
    assert step["outputs"]["a"] == "instead of: ValueError: flaky"


async def test_cascade_retries_then_breaks_the_circuit_then_falls_back(runtime: Runtime) -> None:
    flaky = Flaky(99)
    strategy = {
        "type": "cascade",
        "retry_count": 1,
        "backoff_ms": 1,
        "circuit_breaker": {"failure_threshold": 3},
        "fallback": "saved",
    }
    workflow = runtime.workflows.make("sequential", one(flaky, error_strategy=strategy))
    for _ in range(4):
        assert (await runtime.run_workflow(workflow)).metadata.extra["outputs"]["a"] == "saved"
    assert len(flaky.calls) == 3, "the circuit opened after three failures"


class Broken(Tool[NoParameters]):
    name = "broken"
    description = "Never works."
    parameters = NoParameters
    calls = 0

    def run(self, params: NoParameters, ctx: ExecutionContext) -> ToolResult:
        type(self).calls += 1
        raise ToolError("out of order", tool_name="broken")


async def test_an_open_circuit_fails_at_once_in_every_workflow_that_calls_the_target(
    runtime: Runtime, cast: Cast
) -> None:
    runtime.registry.register("tools", "broken", Broken())
    strategy = {"type": "circuit_breaker", "failure_threshold": 2}
    table = {"steps": [{"name": "a", "tool": "broken", "error_strategy": strategy}]}
    Broken.calls = 0
    for _ in range(2):
        with pytest.raises(WorkflowError, match="out of order"):
            await cast("sequential", table)
    with pytest.raises(WorkflowError, match="circuit open for broken"):
        await cast("sequential", table)
    assert Broken.calls == 2


async def test_functions_do_not_share_a_circuit(cast: Cast) -> None:
    strategy = {"type": "circuit_breaker", "failure_threshold": 1}
    steps = [
        {"name": "bad", "execute": lambda _c: 1 / 0, "error_strategy": {"circuit_breaker": strategy, "fallback": 0}},
        {"name": "good", "execute": lambda _c: "fine", "error_strategy": strategy},
    ]
    assert (await cast("sequential", {"steps": steps}))["outputs"]["good"] == "fine"


async def test_an_open_circuit_is_not_waited_for(cast: Cast) -> None:
    flaky, loop = Flaky(99), asyncio.get_running_loop()
    strategy = {"type": "cascade", "retry_count": 5, "backoff_ms": 200, "circuit_breaker": {"failure_threshold": 1}}
    began = loop.time()
    with pytest.raises(WorkflowError, match="circuit open"):
        await cast("sequential", one(flaky, error_strategy=strategy))
    assert len(flaky.calls) == 1
    assert loop.time() - began < 1


async def test_what_is_wrong_with_the_step_itself_does_not_open_the_circuit(runtime: Runtime) -> None:
    strategy = {"type": "circuit_breaker", "failure_threshold": 1}
    wrong = {"name": "a", "tool": "calculator", "input": {"input": "{{step.ghost.result}}"}, "error_strategy": strategy}
    right = {"name": "b", "tool": "calculator", "input": {"input": "1+1"}, "error_strategy": strategy}
    workflow = runtime.workflows.make("sequential", {"steps": [wrong, right], "error_strategy": "continue"})
    with pytest.raises(WorkflowError, match="no step 'ghost'"):
        await runtime.run_workflow(workflow)
    made = await runtime.run_workflow(runtime.workflows.make("sequential", {"steps": [right]}))
    assert made.metadata.extra["output"] == 2


async def test_a_workflow_in_place_of_a_step_is_not_retried_twice_over(cast: Cast) -> None:
    flaky, strategy = Flaky(99), {"type": "cascade", "retry_count": 2, "backoff_ms": 1}
    inner = {"name": "in", "type": "parallel", "error_strategy": strategy, "steps": [{"name": "a", "execute": flaky}]}
    with pytest.raises(WorkflowError, match="flaky"):
        await cast("sequential", {"steps": [inner], "error_strategy": strategy})
    assert len(flaky.calls) == 3


def test_a_breaker_opens_probes_and_closes() -> None:
    now = [0.0]
    breaker = Breaker(BreakerSettings(2, 2, 1000, 500), clock=lambda: now[0])
    breaker.failed()
    now[0] = 2.0
    breaker.failed()
    assert breaker.state == "closed", "the first failure was too long ago"
    breaker.failed()
    assert breaker.state == "open"
    now[0] = 2.6
    assert breaker.state == "half_open"
    breaker.allow("x")
    with pytest.raises(LLMSpellError, match="circuit open"):
        breaker.allow("x")
    breaker.succeeded()
    breaker.allow("x")
    breaker.succeeded()
    assert breaker.state == "closed"
    for _ in range(2):
        breaker.failed()
    now[0] = 3.2
    breaker.allow("x")
    breaker.failed()
    assert breaker.state == "open", "a failed probe opens it again"


@pytest.mark.parametrize(
    "table",
    [
        {"type": "retry", "max_attempts": 4, "backoff_ms": 5.0},
        {"type": "cascade", "retry_count": 2, "circuit_breaker": BreakerSettings(1).to_dict(), "fallback": "x"},
        {"type": "continue"},
        {"type": "fail_fast"},
    ],
)
def test_a_strategy_survives_its_table(table: dict[str, Any]) -> None:
    assert ErrorStrategy.read(table).to_dict() == table


def test_words_for_stopping_fail_fast() -> None:
    assert {ErrorStrategy.read(word).kind for word in ("fail_fast", "fail", "stop", "abort", "FAIL")} == {"fail_fast"}


def test_unknown_words_and_keys_tell_the_nearest() -> None:
    for wrong, near in {
        "contnue": "continue",
        "retyr": "retry",
    }.items():
        with pytest.raises(ValidationError, match=f"Unknown error strategy: {wrong}.*'{near}'"):
            ErrorStrategy.read(wrong)
    for table, near in (
        ({"type": "retry", "max_attemps": 2}, "max_attempts"),
        ({"type": "cascade", "retry_cuont": 2}, "retry_count"),
        ({"type": "cascade", "circuit_breaker": {"failure_treshold": 2}}, "failure_threshold"),
        ({"type": "circuit_breaker", "open_duration": 2}, "open_duration_ms"),
        ({"type": "fallback", "fallbak": 2}, "fallback"),
    ):
        with pytest.raises(ValidationError, match=f"did you mean '{near}'"):
            ErrorStrategy.read(table)


def test_wrong_strategies_are_refused() -> None:
    for wrong in (
        "whatever",
        {"type": "retry", "max_atempts": 2},
        {"type": "fallback", "vlue": 1},
        {"type": "circuit_breaker", "treshold": 1},
        {"type": "cascade", "circuit_breaker": {"failure_treshold": 2}},
        {"type": "hope"},
        5,
        {"type": "retry", "max_attempts": "x"},
        {"type": "circuit_breaker", "failure_threshold": 0},
    ):
        with pytest.raises(ValidationError):
            ErrorStrategy.read(wrong)


async def test_a_step_ends_at_its_time_limit(cast: Cast) -> None:
    cancelled = []

    async def slow(_c: dict[str, Any]) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(WorkflowError, match=r"step 'a' did not finish within 0\.02 s"):
        await cast("sequential", one(slow, timeout_ms=20))
    assert cancelled == [True]


async def test_a_workflow_ends_at_its_time_limit_and_records_it(runtime: Runtime) -> None:
    workflow = runtime.workflows.make(
        "sequential", {"name": "slow", "timeout_ms": 30, **one(lambda _c: asyncio.sleep(60))}
    )
    with pytest.raises(TimeoutError, match=r"workflow 'slow' did not finish within 0\.03 s"):
        await runtime.run_workflow(workflow)
    assert workflow.status == "failed"
    assert workflow.last_result is not None
    assert workflow.last_result.metadata["error_analysis"]["suggestion"] == "IncreaseTimeouts"


async def test_finished_steps_are_undone_last_first(runtime: Runtime) -> None:
    undone: list[str] = []
    fired: list[str] = []
    runtime.hooks.register("WorkflowRollback", lambda c: fired.append(c.data["step_name"]))

    def step(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "execute": lambda _c: name.upper(), **more}

    def undo(context: dict[str, Any]) -> None:
        undone.append(context["input"]["what"])

    steps = [
        step("one", compensate={"execute": undo, "input": {"what": "{{step.one.result}}"}}),
        step("two", compensate={"execute": lambda _c: 1 / 0}),
        step("three", compensate={"execute": undo, "input": {"what": "{{step.three.result}}"}}),
        {"name": "four", "execute": Flaky(9), "compensate": {"execute": undo, "input": {"what": "never"}}},
    ]
    workflow = runtime.workflows.make("sequential", {"steps": steps})
    with pytest.raises(WorkflowError):
        await runtime.run_workflow(workflow)
    assert undone == ["THREE", "ONE"]
    assert fired == ["three_compensation", "two_compensation", "one_compensation"]
    assert workflow.last_result is not None
    rolled = workflow.last_result.metadata["rolled_back"]
    assert [row["success"] for row in rolled] == [True, False, True]


async def test_nothing_is_undone_when_all_went_well(cast: Cast) -> None:
    undone: list[int] = []
    await cast("sequential", one(lambda _c: 1, compensate={"execute": lambda _c: undone.append(1)}))
    assert undone == []


async def test_the_state_tells_why_a_run_failed(runtime: Runtime) -> None:
    workflow = runtime.workflows.make("sequential", one(Flaky(9)))
    with pytest.raises(WorkflowError):
        await runtime.run_workflow(workflow)
    assert workflow.last is not None
    error = await runtime.state.get(f"workflow:{workflow.last.id}:error")
    assert "flaky" in error["message"]
    assert error["analysis"]["remaining_steps"] == 1


@pytest.mark.parametrize(
    ("kind", "counts", "suggestion", "recoverable"),
    [
        ("Timeout", (9, 1, 10), "RetryFromLastSuccessful", True),
        ("Timeout", (1, 1, 10), "IncreaseTimeouts", True),
        ("NetworkFailure", (0, 1, 2), "RetryWithBackoff", True),
        ("ResourceExhaustion", (0, 1, 2), "ReduceConcurrency", True),
        ("Validation", (0, 1, 2), "FixInputData", False),
        ("ToolFailure", (0, 1, 9), "RetryWithBackoff", False),
        ("AgentFailure", (0, 4, 9), "CheckConfiguration", False),
        ("WorkflowLogic", (0, 1, 2), "ReviewWorkflowDesign", False),
        ("Unknown", (0, 1, 2), "ManualIntervention", False),
    ],
)
def test_failures_are_analysed(kind: Any, counts: tuple[int, int, int], suggestion: str, recoverable: bool) -> None:
    found = analyse(kind, successful=counts[0], failed=counts[1], total=counts[2])
    assert (found["suggestion"], found["is_recoverable"]) == (suggestion, recoverable)


def test_the_presets_are_those_of_the_specification() -> None:
    fast, robust = WorkflowConfig.fast(), WorkflowConfig.robust()
    assert (fast.max_execution_time, fast.default_step_timeout, fast.retry_delay_ms) == (60, 10, 500)
    assert (robust.max_execution_time, robust.strategy.max_attempts, robust.continue_on_error) == (1800, 5, True)
    assert WorkflowConfig.from_dict(robust.to_dict()) == robust


def test_a_step_survives_its_table() -> None:
    table = {
        "id": "s1", "name": "a", "type": "tool", "tool": "calculator", "input": {"x": 1}, "timeout_ms": 500,
        "retry_count": 2, "dependencies": ["b"], "error_strategy": {"type": "continue"},
        "condition": {"type": "always"}, "tools": ["x"],
        "compensate": {"id": "s2", "name": "u", "type": "agent", "agent": "fixer"},
    }  # fmt: skip
    assert Step.read(table).to_dict() == table
    assert Step.read(table).portable
