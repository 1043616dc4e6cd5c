"""Conditions in every form."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core import Runtime
from llmspell_core.errors import ValidationError, WorkflowError
from llmspell_core.workflow import Condition

BEFORE = [
    {"name": "good", "execute": lambda _c: "A technical answer"},
    {"name": "bad", "execute": lambda _c: {"success": False, "error": "no"}, "error_strategy": "continue"},
]


async def taken(runtime: Runtime, condition: Any, input: Any = None, shared: dict[str, Any] | None = None) -> bool:
    workflow = runtime.workflows.make(
        "conditional",
        {
            "steps": BEFORE,
            "condition": condition,
            "then_steps": [{"name": "t", "execute": lambda _c: True}],
            "else_steps": [{"name": "e", "execute": lambda _c: False}],
        },
    )
    workflow.shared.update(shared or {})
    output = await runtime.run_workflow(workflow, input)
    return bool(output.metadata.extra["output"])


SHARED = {"k": "v", "n": 3, "kind_classification": "Billing question"}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("always", True),
        ("never", False),
        ({"type": "always"}, True),
        ({"type": "never"}, False),
        (True, True),
        ({"type": "shared_data_equals", "key": "k", "value": "v"}, True),
        ({"type": "shared_data_equals", "key": "k", "expected": "w"}, False),
        ({"type": "SharedDataEquals", "key": "n", "expected_value": 3}, True),
        ({"type": "shared_data_equals", "key": "topic", "value": "owls"}, True),
        ({"type": "shared_data_exists", "key": "k"}, True),
        ({"type": "shared_data_exists", "key": "z"}, False),
        ({"type": "step_output_contains", "step_name": "good", "search_text": "technical"}, True),
        ({"type": "step_output_contains", "step": "good", "text": "legal"}, False),
        ({"type": "step_output_equals", "step": "good", "expected": "A technical answer"}, True),
        ({"type": "step_result_equals", "step_id": "good", "expected_output": "x"}, False),
        ("step:good:A technical answer", True),
        ({"type": "step_succeeded", "step_id": "good"}, True),
        ({"type": "step_succeeded", "step_id": "bad"}, False),
        ({"type": "step_failed", "step_id": "bad"}, True),
        ({"type": "agent_classification", "step_name": "good", "expected_type": "TECHNICAL"}, True),
        ({"type": "agent_classification", "step_name": "kind", "expected_type": "billing"}, True),
        ({"type": "and", "conditions": ["always", {"type": "shared_data_exists", "key": "k"}]}, True),
        ({"type": "and", "conditions": ["always", "never"]}, False),
        ({"type": "or", "conditions": ["never", "always"]}, True),
        ({"type": "not", "condition": "never"}, True),
        ({"type": "custom", "expression": "shared_data.n > 2 and step_result.good.success"}, True),
        ("shared_data.n > 5", False),
        (lambda c: c["shared_data"]["n"] == 3, True),
        ({"type": "custom", "evaluate": lambda c: "good" not in c["steps"]}, False),
    ],
)
async def test_every_form_decides(runtime: Runtime, condition: Any, expected: bool) -> None:
    assert await taken(runtime, condition, {"topic": "owls"}, SHARED) is expected


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"type": "moon_is_full"}, "Unknown condition type: moon_is_full"),
        ({"type": "shared_data_equals"}, "'key' is missing"),
        ({"type": "not"}, "'condition' is missing"),
        (5, "a condition is"),
    ],
)
def test_a_wrong_condition_is_refused_when_it_is_read(condition: Any, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Condition.read(condition)


def explode(_context: dict[str, Any]) -> None:
    raise ValueError("boom")


async def test_an_evaluation_error_is_not_false(runtime: Runtime) -> None:
    with pytest.raises(WorkflowError, match="step 'ghost', which does not exist"):
        await taken(runtime, {"type": "step_succeeded", "step_id": "ghost"})
    with pytest.raises(WorkflowError, match="boom"):
        await taken(runtime, explode)


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "and", "conditions": [{"type": "always"}, {"type": "not", "condition": {"type": "never"}}]},
        {"type": "shared_data_equals", "key": "k", "value": 1},
        {"type": "custom", "expression": "$x == 1"},
    ],
)
def test_a_condition_survives_its_table(condition: Any) -> None:
    read = Condition.read(condition)
    assert Condition.read(read.to_dict()).to_dict() == read.to_dict() == condition


@pytest.mark.parametrize(
    ("table", "near"),
    [
        ({"type": "shared_data_equals", "key": "a", "vlaue": 1}, "value"),
        ({"type": "step_result_equals", "step": "a", "expectd": 1}, "expected"),
        ({"type": "step_succeded", "step": "a"}, "step_succeeded"),
        ({"type": "not", "condition": {"type": "custom", "expression": "1", "descripton": "x"}}, "description"),
    ],
)
def test_unknown_words_and_keys_of_a_condition_tell_the_nearest(table: dict[str, Any], near: str) -> None:
    with pytest.raises(ValidationError, match=f"did you mean '{near}'"):
        Condition.read(table)
