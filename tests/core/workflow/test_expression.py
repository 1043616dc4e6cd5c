"""The expression language: what it can say, and that it says so when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell_core.errors import WorkflowError
from llmspell_core.workflow.expression import Expression


class Names:
    def __init__(self, shared: dict[str, Any] | None = None, variables: dict[str, Any] | None = None) -> None:
        self.shared, self.variables = shared or {}, variables or {}

    def shared_value(self, key: str) -> Any:
        return self.shared.get(key)

    def input_value(self, key: str) -> Any:
        return {"topic": "owls"}.get(key)

    def variable(self, name: str) -> Any:
        return self.variables.get(name)

    def step_state(self, step: str) -> Mapping[str, Any]:
        if step != "a.b":
            raise WorkflowError(f"there is no step '{step}'")
        return {"success": True, "output": {"n": [4, 5]}, "error": None}


NAMES = Names({"count": 3, "user": {"name": "Ada"}, "flag": True}, {"iteration": 2, "current_item": {"id": 7}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("not true", False),
        ("shared_data.count == 3", True),
        ("shared_data.count != 3", False),
        ("shared_data.count < 3 or shared_data.count >= 3", True),
        ("shared_data.user.name == 'Ada'", True),
        ('shared_data.user.name == "Bob"', False),
        ("$iteration == 2 and $count > 2", True),
        ("current_item.id == 7", True),
        ("input.topic == 'owls'", True),
        ("step_result.a.b.success", True),
        ("step_result.a.b.output.n.2 == 5", True),
        ("(false or true) and not (1 > 2)", True),
        ("-1 < 0", True),
        ("1.5 <= 1.5", True),
        ("true or false and false", True),
        ("not false and true", True),
        ("shared_data.missing == null", True),
        ("shared_data.flag == true", True),
        ("shared_data.flag == 1", False),
        ("shared_data.count == '3'", False),
        (r"'it\'s' == 'it\'s'", True),
    ],
)
def test_it_says_what_it_means(text: str, value: object) -> None:
    assert Expression(text).evaluate(NAMES) is value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "1 +",
        "shared_data.x ==",
        "== 3",
        "(true",
        "true)",
        "true true",
        "len(shared_data.x)",
        "shared_data",
        "step_result.x",
        "__import__('os')",
        "a = 1",
        "1 < 2 < 3 <",
        "'open",
        "not",
        "unknown_name == 1",
        "(" * 200 + "true" + ")" * 200,
        "not " * 500 + "true",
        "x" * 5000,
    ],
)
def test_what_it_does_not_know_is_an_error(text: str) -> None:
    with pytest.raises(WorkflowError, match="expression"):
        Expression(text)


@pytest.mark.parametrize(
    "text", ["shared_data.user < 3", "'a' < 1", "shared_data.missing > 0", "true < false or 1 < true"]
)
def test_values_that_cannot_be_compared_are_an_error(text: str) -> None:
    with pytest.raises(WorkflowError, match="compares"):
        Expression(text).evaluate(NAMES)


def test_a_step_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(WorkflowError, match="no step 'ghost'"):
        Expression("step_result.ghost.success").evaluate(NAMES)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_cleanly(text: str) -> None:
    with suppress(WorkflowError):
        Expression(text).evaluate(NAMES)
