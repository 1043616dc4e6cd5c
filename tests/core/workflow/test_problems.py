"""Everything that is wrong with a workflow is said at once, and each line names its step."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import LLMSpellError, ValidationError
from llmspell_core.workflow import ErrorStrategy, WorkflowConfig


def refused(runtime: Runtime, type_: str, table: Any) -> LLMSpellError:
    with pytest.raises(LLMSpellError) as caught:
        runtime.workflows.make(type_, table)
    return caught.value


def nothing(_c: Any) -> None:
    return None


BAD_STEPS: list[Any] = [
    {"name": "a", "type": "magic", "timeout_ms": -1},
    {"name": "fine", "execute": nothing},
    {"name": "b", "type": "agent"},
    {"name": "c", "execute": nothing, "retry_count": "often"},
    {"name": "d", "execute": nothing, "condition": {"type": "moon"}},
    {"name": "e", "execute": nothing, "condition": "1 +"},
    {"name": "f", "execute": nothing, "error_strategy": {"type": "retry", "backoff_ms": "soon"}},
    {"name": "g", "execute": nothing, "compensate": {"tool": ""}},
    {"name": "h", "execute": "not a function"},
    {"name": "i", "execute": nothing, "dependencies": [5]},
    7,
]


def test_all_steps_are_read_before_anything_is_said(runtime: Runtime) -> None:
    error = refused(runtime, "sequential", {"name": "w", "steps": BAD_STEPS})
    assert isinstance(error, ValidationError)
    assert error.message.startswith(
        "workflow 'w' has 11 problems:\n- step 'a': Unknown step type: 'magic'\n- step 'a':"
    )
    problems = error.problems or []
    for name in "abcdefghi":
        assert any(p.startswith(f"step '{name}'") for p in problems), name
    assert any(p.startswith("step 'step_11': a step is a table, got int") for p in problems)
    assert not any("fine" in p for p in problems)


@pytest.mark.parametrize(
    ("type_", "table"),
    [
        ("parallel", {"branches": [{"name": "x", "steps": BAD_STEPS[:1]}, {"name": "y", "steps": BAD_STEPS[2:4]}]}),
        ("conditional", {"branches": [{"name": "x", "condition": "never", "steps": [BAD_STEPS[0], *BAD_STEPS[2:4]]}]}),
        ("conditional", {"condition": "always", "then_steps": BAD_STEPS[:1], "else_steps": BAD_STEPS[2:4]}),
        ("loop", {"iterator": {"range": {"end": 1}}, "body": [BAD_STEPS[0], *BAD_STEPS[2:4]]}),
        ("fan_out", {"targets": [BAD_STEPS[0], *BAD_STEPS[2:4]]}),
        ("sequential", {"steps": [{"name": "in", "type": "parallel", "steps": [BAD_STEPS[0], *BAD_STEPS[2:4]]}]}),
    ],
)
def test_the_same_in_every_type(runtime: Runtime, type_: str, table: Any) -> None:
    message = refused(runtime, type_, table).message
    for text in ("step 'a': Unknown step type: 'magic'", "step 'b': 'agent' is missing", "step 'c': 'retry_count'"):
        assert text in message, message


def test_what_stands_in_place_of_a_step_is_read_with_the_rest(runtime: Runtime) -> None:
    inner = {"name": "in", "type": "sequential", "steps": [{"name": "deep", "type": "parallell", "steps": []}]}
    assert (
        "step 'deep': Workflow type 'parallell' not found" in refused(runtime, "sequential", {"steps": [inner]}).message
    )


def test_names_and_ids_are_used_once(runtime: Runtime) -> None:
    steps = [{"name": n, "id": i, "execute": nothing} for n, i in (("a", "1"), ("a", "2"), ("b", "2"))]
    message = refused(runtime, "sequential", {"steps": steps}).message
    assert "two steps are named 'a'" in message
    assert "two steps have the id '2'" in message


def test_one_problem_alone_is_said_as_it_is(runtime: Runtime) -> None:
    error = refused(runtime, "sequential", {"steps": [{"name": "a", "type": "magic"}]})
    assert error.message == "step 'a': Unknown step type: 'magic'"
    assert getattr(error, "field", None) == "type"


def test_a_thousand_problems_are_counted_not_listed(runtime: Runtime) -> None:
    steps = [{"name": f"s{i}", "type": "magic"} for i in range(1000)]
    message = refused(runtime, "sequential", {"steps": steps}).message
    assert "1000 problems" in message
    assert message.endswith("- and 980 more")


def test_validate_tells_of_every_dependency_placeholder_and_condition(runtime: Runtime) -> None:
    steps = [
        {"name": "a", "execute": nothing, "dependencies": ["ghost", "b"]},
        {"name": "b", "execute": nothing, "dependencies": ["phantom"], "input": {"x": ["{{step.nobody.result}}"]}},
        {"name": "c", "execute": nothing, "condition": "step_result.none.success and not step_result.a.success"},
        {"name": "d", "execute": nothing, "condition": {"type": "not", "condition": {"type": "step_failed", "step": "zero"}}},
        {"name": "e", "execute": nothing, "input": "{{ step:a:output.x }} {{step.b.result}} {{unknown}} $HOME.output"},
    ]  # fmt: skip
    found = runtime.workflows.make("sequential", {"steps": steps}).validate()
    assert len(found) == 5
    for problem, (step, name) in zip(
        found, [("a", "ghost"), ("b", "phantom"), ("b", "nobody"), ("c", "none"), ("d", "zero")], strict=True
    ):
        assert f"step '{step}'" in problem
        assert name in problem


def test_a_circle_is_shown_as_one(runtime: Runtime) -> None:
    needs = {"a": ["c"], "b": ["a"], "c": ["b"], "d": ["a"]}
    steps = [{"name": n, "execute": nothing, "dependencies": d} for n, d in needs.items()]
    (problem,) = runtime.workflows.make("sequential", {"steps": steps}).validate()
    assert problem == "steps depend on each other: a waits for c waits for b waits for a"
    alone = runtime.workflows.make("sequential", {"steps": [{"name": "a", "execute": nothing, "dependencies": ["a"]}]})
    assert alone.validate() == ["steps depend on each other: a waits for a"]


NONSENSE = ["x", -1, float("nan"), float("inf"), True, [], 10**400]


@pytest.mark.parametrize("value", NONSENSE, ids=lambda v: str(v)[:9])
@pytest.mark.parametrize(
    "table",
    [
        lambda v: {"steps": [{"name": "a", "execute": nothing, "timeout_ms": v}]},
        lambda v: {"steps": [{"name": "a", "execute": nothing, "timeout": v}]},
        lambda v: {"steps": [{"name": "a", "execute": nothing, "retry_count": v}]},
        lambda v: {"steps": [{"name": "a", "execute": nothing, "error_strategy": {"type": "retry", "max_attempts": v}}]},
        lambda v: {"steps": [{"name": "a", "execute": nothing, "error_strategy": {"type": "retry", "backoff_ms": v}}]},
        lambda v: {"steps": [{"name": "a", "execute": nothing, "error_strategy": {"circuit_breaker": {"failure_threshold": v}}}]},
        lambda v: {"steps": [{"name": "a", "execute": nothing, "error_strategy": {"circuit_breaker": {"open_duration_ms": v}}}]},
        lambda v: {"steps": [], "timeout_ms": v},
        lambda v: {"steps": [], "max_retries": v},
        lambda v: {"steps": [], "config": {"max_execution_time": v}},
        lambda v: {"steps": [], "config": {"default_step_timeout": v}},
        lambda v: {"steps": [], "config": {"retry_delay_ms": v}},
        lambda v: {"steps": [], "config": {"max_retry_attempts": v}},
    ],
)  # fmt: skip
def test_a_number_that_makes_no_sense_is_refused(runtime: Runtime, table: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        runtime.workflows.make("sequential", table(value))


@pytest.mark.parametrize("value", NONSENSE, ids=lambda v: str(v)[:9])
@pytest.mark.parametrize(
    ("type_", "table"),
    [
        ("loop", lambda v: {"iterator": {"range": {"end": v if v != -1 else "x"}}, "body": []}),
        ("loop", lambda v: {"iterator": {"range": {"end": 3, "step": v if v != -1 else 0}}, "body": []}),
        ("loop", lambda v: {"iterator": {"collection": [1], "max_iterations": v}, "body": []}),
        ("loop", lambda v: {"iterator": {"range": {"end": 3}}, "body": [], "iteration_delay_ms": v}),
        ("loop", lambda v: {"iterator": {"range": {"end": 3}}, "body": [], "aggregation": {"type": "last_n", "n": v}}),
        ("parallel", lambda v: {"steps": [], "max_concurrency": v}),
        ("parallel", lambda v: {"branches": [{"steps": [], "timeout_ms": v}]}),
        ("fan_out", lambda v: {"targets": [{"execute": nothing}], "max_concurrency": v}),
        ("fan_out", lambda v: {"targets": [{"execute": nothing}], "join": {"quorum": v}}),
        ("map_reduce", lambda v: {"items": [1], "map_step": {"execute": nothing}, "chunk_size": v}),
        ("map_reduce", lambda v: {"items": [1], "map_step": {"execute": nothing}, "max_concurrency": v}),
        ("conditional", lambda v: {"branches": [], "max_branches_to_evaluate": v}),
        ("conditional", lambda v: {"branches": [], "condition_evaluation_timeout_ms": v}),
    ],
)
def test_a_number_of_a_type_that_makes_no_sense_is_refused(
    runtime: Runtime, type_: str, table: Any, value: Any
) -> None:
    with pytest.raises(ValidationError):
        runtime.workflows.make(type_, table(value))


def test_other_options_that_make_no_sense_are_refused(runtime: Runtime) -> None:
    for table in (
        {"steps": [], "config": "slow"},
        {"steps": [], "config": {"exponential_backoff": "yes"}},
        {"steps": [], "error_strategy": {"type": "cascade", "on_exhausted": "hope"}},
        {"steps": [], "error_strategy": 5},
        {"name": 5, "steps": []},
    ):
        with pytest.raises(ValidationError):
            runtime.workflows.make("sequential", table)


def test_conditions_and_workflows_have_a_depth_limit(runtime: Runtime) -> None:
    condition: Any = "always"
    inner: dict[str, Any] = {"name": "x", "execute": nothing}
    for _ in range(3000):
        condition = {"type": "not", "condition": condition}
    with pytest.raises(ValidationError, match="nested deeper than 50"):
        runtime.workflows.make("sequential", {"steps": [{"name": "a", "execute": nothing, "condition": condition}]})
    for at in range(30):
        inner = {"name": f"n{at}", "type": "sequential", "steps": [inner]}
    with pytest.raises(ValidationError, match="nested deeper than 10"):
        runtime.workflows.make("sequential", {"steps": [inner]})


def test_zero_and_fractions_where_they_make_sense() -> None:
    assert ErrorStrategy.read({"type": "retry", "max_attempts": 0, "backoff_ms": 0}).max_attempts == 1
    assert WorkflowConfig.read({"timeout": 0.5}).max_execution_time == 0.5
    assert WorkflowConfig.read({"timeout_ms": 0.5}).max_execution_time == 0.0005
    assert WorkflowConfig.read({"config": {"maxExecutionTime": None}}).max_execution_time is None
