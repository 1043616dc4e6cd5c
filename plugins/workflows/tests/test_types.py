"""What is special about each type."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import LLMSpellError, ValidationError, WorkflowError
from llmspell_core.testing.engine import Probe

Cast = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def cast(runtime: Runtime) -> Cast:
    runtime.registry.register("tools", "probe", Probe())

    async def run(type_: str, table: Any, input: Any = None) -> dict[str, Any]:
        output = await runtime.run_workflow(runtime.workflows.make(type_, table), input)
        return dict(output.metadata.extra)

    return run


class Gauge:
    """How many ran at once."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds, self.active, self.most, self.cancelled = seconds, 0, 0, 0

    async def __call__(self, context: dict[str, Any]) -> Any:
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1
        return context.get("current_item", "done")


def fails(_c: dict[str, Any]) -> None:
    raise ValueError("on purpose")


def says(value: Any) -> Callable[[Any], Any]:
    return lambda _c: value


# -- parallel ---------------------------------------------------------------------------------------------------------


async def test_branches_run_together_but_not_more_than_allowed(cast: Cast) -> None:
    gauge = Gauge()
    made = await cast(
        "parallel", {"steps": [{"name": f"s{i}", "execute": gauge} for i in range(9)], "max_concurrency": 3}
    )
    assert gauge.most == 3
    assert (made["total_branches"], made["successful_branches"], made["stopped_early"]) == (9, 9, False)


async def test_a_required_branch_that_fails_stops_the_others(runtime: Runtime) -> None:
    gauge = Gauge(60)
    branches = [
        {"name": "slow", "steps": [{"name": "s", "execute": gauge}]},
        {"name": "broken", "steps": [{"name": "b", "execute": fails}]},
    ]
    workflow = runtime.workflows.make("parallel", {"name": "p", "branches": branches})
    with pytest.raises(
        WorkflowError, match=r"branch 'broken': step 'b' failed: .*on purpose; the other branches were stopped"
    ):
        await runtime.run_workflow(workflow)
    assert gauge.cancelled == 1


async def test_an_optional_branch_may_fail(cast: Cast) -> None:
    branches = [
        {"name": "good", "steps": [{"name": "g", "execute": says(1)}]},
        {"name": "extra", "optional": True, "steps": [{"name": "e", "execute": fails}]},
    ]
    made = await cast("parallel", {"branches": branches})
    assert (made["success"], made["status"]) == (True, "partially_completed")
    assert (made["successful_branches"], made["failed_branches"], made["output"]) == (1, 1, {"good": 1})
    rows = {row["branch_name"]: row for row in made["branches"]}
    assert (rows["extra"]["required"], rows["extra"]["success"]) == (False, False)
    assert "on purpose" in rows["extra"]["error"]
    with pytest.raises(WorkflowError):
        await cast("parallel", {"branches": branches, "continue_on_optional_failure": False})


async def test_without_fail_fast_the_others_finish_first(cast: Cast) -> None:
    finished: list[int] = []

    async def slow(_c: dict[str, Any]) -> None:
        await asyncio.sleep(0.02)
        finished.append(1)

    steps = [{"name": "a", "execute": fails}, {"name": "b", "execute": slow}]
    with pytest.raises(WorkflowError):
        await cast("parallel", {"steps": steps, "fail_fast": False})
    assert finished == [1]


async def test_a_branch_has_a_time_limit_of_its_own(cast: Cast) -> None:
    branch = {"name": "b", "timeout_ms": 20, "optional": True, "steps": [{"name": "s", "execute": Gauge(60)}]}
    made = await cast("parallel", {"branches": [branch, {"name": "ok", "steps": [{"name": "o", "execute": says(1)}]}]})
    assert "did not finish within 0.02 s" in made["branches"][0]["error"]


async def test_branches_see_each_others_finished_steps(cast: Cast) -> None:
    async def later(context: dict[str, Any]) -> Any:
        await asyncio.sleep(0.01)
        return "late"

    branches = [
        {"name": "first", "steps": [{"name": "a", "execute": says("A")}]},
        {"name": "second", "steps": [
            {"name": "wait", "execute": later},
            {"name": "b", "execute": lambda c: c["input"]["v"], "input": {"v": "{{branch:first:a:output}}"}},
        ]},
    ]  # fmt: skip
    assert (await cast("parallel", {"branches": branches}))["outputs"]["b"] == "A"


@pytest.mark.parametrize(
    ("strategy", "output"), [("list", ["A", "B"]), ("concat", "A\n\nB"), ("first", "A"), ("map", {"a": "A", "b": "B"})]
)
async def test_outputs_are_merged_as_asked(cast: Cast, strategy: str, output: Any) -> None:
    steps = [{"name": "a", "execute": says("A")}, {"name": "b", "execute": says("B")}]
    assert (await cast("parallel", {"steps": steps, "merge_strategy": strategy}))["output"] == output


# -- conditional ------------------------------------------------------------------------------------------------------


async def test_the_first_matching_branch_runs_else_the_default(cast: Cast) -> None:
    branches = [
        {"name": "big", "condition": "input.n > 10", "steps": [{"name": "b", "execute": says("big")}]},
        {"name": "any", "condition": "input.n > 5", "steps": [{"name": "a", "execute": says("any")}]},
    ]
    table = {"branches": branches, "default_branch": {"steps": [{"name": "d", "execute": says("default")}]}}
    found = [(await cast("conditional", table, {"n": n}))["output"] for n in (20, 7, 1)]
    assert found == ["big", "any", "default"]
    made = await cast("conditional", {**table, "execute_all_matching": True}, {"n": 20})
    assert (made["matched_branches"], made["executed_branches"], made["branches"]) == (2, 2, ["big", "any"])
    none = await cast("conditional", {**table, "execute_default_on_no_match": False}, {"n": 1})
    assert (none["executed_branches"], none["output"]) == (0, None)


async def test_a_condition_that_takes_too_long_is_an_error(cast: Cast) -> None:
    branch = {"condition": lambda _c: asyncio.sleep(60), "steps": [{"name": "b", "execute": says(1)}]}
    with pytest.raises(WorkflowError, match=r"condition 'branch_1' could not be evaluated: it took longer than 0.02 s"):
        await cast("conditional", {"branches": [branch], "condition_evaluation_timeout_ms": 20})


# -- loop -------------------------------------------------------------------------------------------------------------

ITEM = [{"name": "it", "execute": lambda c: c["current_item"]}]


@pytest.mark.parametrize(
    ("iterator", "items"),
    [
        ({"range": {"start": 1, "end": 6, "step": 2}}, [1, 3, 5]),
        ({"range": {"end": 3}}, [0, 1, 2]),
        ({"range": {"start": 3, "end": 0, "step": -1}}, [3, 2, 1]),
        ({"range": {"start": 3, "end": 1}}, []),
        ({"collection": ["a", {"b": 1}]}, ["a", {"b": 1}]),
        ({"collection": "{{input.things}}"}, [7, 8]),
        ({"collection": "things"}, [7, 8]),
        ({"collection": [1, 2, 3], "max_iterations": 2}, [1, 2]),
        ({"while_condition": "$iteration < 3"}, [0, 1, 2]),
        ({"while_condition": "true", "max_iterations": 4}, [0, 1, 2, 3]),
        ({"while_condition": "false"}, []),
    ],
)
async def test_a_loop_goes_over_its_iterator(cast: Cast, iterator: Any, items: list[Any]) -> None:
    made = await cast("loop", {"iterator": iterator, "body": ITEM}, {"things": [7, 8]})
    assert made["aggregated_results"] == items
    assert made["completed_iterations"] == len(items)


async def test_a_while_loop_that_reaches_the_default_bound_is_an_error(cast: Cast) -> None:
    with pytest.raises(WorkflowError, match="still holds after 100 iterations"):
        await cast("loop", {"iterator": {"while_condition": "true"}, "body": ITEM})


async def test_a_while_loop_that_reaches_its_own_bound_ends(cast: Cast) -> None:
    made = await cast("loop", {"iterator": {"while_condition": "true", "max_iterations": 3}, "body": ITEM})
    assert (made["total_iterations"], made["break_reason"]) == (3, "max_iterations (3) reached")


async def test_a_condition_that_is_false_at_the_bound_ended_the_loop(cast: Cast) -> None:
    made = await cast("loop", {"iterator": {"while_condition": "$iteration < 100"}, "body": ITEM})
    assert (made["total_iterations"], made["break_reason"]) == (100, "condition is false")


@pytest.mark.parametrize(
    "iterator",
    [
        None,
        {},
        {"range": {"end": 3, "step": 0}},
        {"range": {}},
        {"while_condition": "nonsense here"},
        {"collection": [1], "max_iterations": 0},
    ],
)
async def test_a_wrong_iterator_is_refused(runtime: Runtime, iterator: Any) -> None:
    with pytest.raises((ValidationError, WorkflowError)):
        runtime.workflows.make("loop", {"iterator": iterator, "body": ITEM})


async def test_break_conditions_end_it_with_their_message(cast: Cast) -> None:
    breaks = [{"expression": "step_result.it.output >= 2", "message": "found"}]
    made = await cast("loop", {"iterator": {"range": {"end": 9}}, "body": ITEM, "break_conditions": breaks})
    assert (made["aggregated_results"], made["break_reason"]) == ([0, 1, 2], "found")
    made = await cast(
        "loop", {"iterator": {"range": {"end": 9}}, "body": ITEM, "break_conditions": ["$iteration == 0"]}
    )
    assert made["aggregated_results"] == [0]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("collect_all", [0, 1, 2, 3]),
        ("last_only", 3),
        ({"type": "first_n", "n": 2}, [0, 1]),
        ({"type": "LastN", "n": 2}, [2, 3]),
        ("none", None),
    ],
)
async def test_results_are_aggregated_as_asked(cast: Cast, strategy: Any, expected: Any) -> None:
    made = await cast("loop", {"iterator": {"range": {"end": 4}}, "body": ITEM, "aggregation_strategy": strategy})
    assert made["aggregated_results"] == expected


async def test_a_loop_may_go_on_after_failures(cast: Cast) -> None:
    def odd(context: dict[str, Any]) -> int:
        if context["current_item"] % 2:
            raise ValueError("odd")
        return int(context["current_item"])

    table = {"iterator": {"range": {"end": 4}}, "body": [{"name": "o", "execute": odd}]}
    made = await cast("loop", {**table, "continue_on_error": True})
    assert (made["completed_iterations"], made["failed_iterations"], made["status"]) == (2, 2, "partially_completed")
    with pytest.raises(WorkflowError, match="odd"):
        await cast("loop", table)


async def test_an_iteration_sees_the_one_before(cast: Cast) -> None:
    body = [
        {"name": "old", "execute": lambda c: c["steps"].get("new", 1)},
        {"name": "new", "execute": lambda c: c["steps"]["old"] * 2},
    ]
    assert (await cast("loop", {"iterator": {"range": {"end": 5}}, "body": body}))["output"] == 32


# -- fan-out ----------------------------------------------------------------------------------------------------------


async def test_every_target_gets_the_input(cast: Cast) -> None:
    targets = [
        "probe",
        {"name": "own", "tool": "probe", "input": {"text": "mine"}},
    ]
    made = await cast("fan_out", {"targets": targets, "input": {"text": "given"}})
    assert made["output"] == [
        {"target": "probe", "success": True, "output": {"echo": "given"}, "error": None},
        {"target": "own", "success": True, "output": {"echo": "mine"}, "error": None},
    ]


@pytest.mark.parametrize(
    ("join", "good"),
    [
        ("all", False),
        ("any", True),
        ("first_success", True),
        ({"quorum": 1}, True),
        ({"quorum": 2}, False),
        ("quorum(1)", True),
    ],
)
async def test_joins_decide_what_success_is(cast: Cast, join: Any, good: bool) -> None:
    targets = [{"name": "good", "execute": says(1)}, {"name": "bad", "execute": fails}]
    if good:
        made = await cast("fan_out", {"targets": targets, "join": join})
        assert made["success"]
        assert made["results"][0]["output"] == 1
    else:
        with pytest.raises(WorkflowError):
            await cast("fan_out", {"targets": targets, "join": join})


async def test_the_first_success_cancels_the_rest(cast: Cast) -> None:
    gauge = Gauge(60)
    targets = [{"name": "slow", "execute": gauge}, {"name": "quick", "execute": says("q")}]
    made = await cast("fan_out", {"targets": targets, "join": "first_success"})
    assert gauge.cancelled == 1
    assert [row["error"] for row in made["output"]] == ["cancelled", None]


async def test_a_fan_out_keeps_to_its_limit_and_refuses_what_it_does_not_know(cast: Cast) -> None:
    gauge = Gauge()
    await cast("fan_out", {"targets": [{"execute": gauge}] * 10, "max_concurrency": 2})
    assert gauge.most == 2
    with pytest.raises(LLMSpellError, match="no agent, tool or workflow 'ghost'"):
        await cast("fan_out", {"targets": ["ghost"]})
    with pytest.raises(ValidationError, match="Unknown join"):
        await cast("fan_out", {"targets": ["probe"], "join": "most"})


# -- map-reduce -------------------------------------------------------------------------------------------------------


async def test_results_keep_the_order_of_the_items(cast: Cast) -> None:
    async def backwards(context: dict[str, Any]) -> int:
        await asyncio.sleep(0.002 * (10 - context["item"]))
        return int(context["item"])

    table = {
        "items": "numbers",
        "map_step": {"execute": backwards},
        "reduce_step": {"execute": lambda c: c["input"]["all"], "input": {"all": "{{map.results}}"}},
        "max_concurrency": 10,
    }
    made = await cast("map_reduce", table, {"numbers": list(range(10))})
    assert made["output"] == list(range(10))


async def test_items_come_in_chunks(cast: Cast) -> None:
    table = {"items": [1, 2, 3, 4, 5], "map_step": {"execute": lambda c: sum(c["chunk"])}, "chunk_size": 2}
    made = await cast("map_reduce", table)
    assert (made["map_results"], made["chunks"]) == ([3, 7, 5], 3)


async def test_a_failing_item_fails_or_is_left_out(cast: Cast) -> None:
    def picky(context: dict[str, Any]) -> Any:
        return fails(context) if context["item"] == 2 else context["item"]

    table = {"items": [1, 2, 3], "map_step": {"execute": picky}}
    with pytest.raises(WorkflowError, match="on purpose"):
        await cast("map_reduce", table)
    made = await cast("map_reduce", {**table, "on_item_error": "skip"})
    assert (made["map_results"], made["failed_indices"], made["status"]) == ([1, 3], [1], "partially_completed")


async def test_no_items_make_no_results(cast: Cast) -> None:
    made = await cast(
        "map_reduce",
        {"items": [], "map_step": {"execute": says(1)}, "reduce_step": {"execute": lambda c: len(c["results"])}},
    )
    assert made["output"] == 0


@pytest.mark.parametrize("table", [{}, {"items": [1]}, {"items": [1], "map_step": {"tool": "x"}, "chunk_size": 0}])
def test_a_map_reduce_needs_its_parts(runtime: Runtime, table: Any) -> None:
    with pytest.raises(ValidationError):
        runtime.workflows.make("map_reduce", table)
