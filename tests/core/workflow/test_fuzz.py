"""Whatever stands in a table or a text: it is read, or refused with an error of ours."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell_core import Runtime
from llmspell_core.errors import LLMSpellError, WorkflowError
from llmspell_core.workflow import Condition, ErrorStrategy, Step, WorkflowConfig, workflow_input
from llmspell_core.workflow.placeholder import substitute

WORDS = [
    "name", "type", "steps", "branches", "body", "targets", "items", "map_step", "reduce_step", "iterator", "range",
    "collection", "while_condition", "condition", "then_steps", "else_steps", "default_branch", "break_conditions",
    "aggregation_strategy", "max_iterations", "max_concurrency", "join", "input", "tool", "agent", "workflow",
    "template_id", "execute", "timeout", "timeout_ms", "timeoutMs", "retry_count", "dependencies", "error_strategy",
    "compensate", "tools", "config", "max_retries", "merge_strategy", "chunk_size", "on_item_error", "fail_fast",
    "optional", "required", "id", "definition", "start", "end", "step", "quorum", "n", "expression", "evaluate",
    "conditions", "key", "value", "circuit_breaker", "fallback", "agents",
]  # fmt: skip
ODD = [
    "always",
    "step:a:b",
    "sequential",
    "parallel",
    "retry",
    "{{step.a.result}}",
    "$a.output",
    "1 <",
    "",
    "a",
    "robust",
]
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(ODD) | st.text(max_size=8)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=25,
)
tables = st.dictionaries(st.sampled_from(WORDS), values, max_size=8)
KIND = pytest.mark.parametrize("type_", ["sequential", "parallel", "conditional", "loop", "fan_out", "map_reduce"])
relaxed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@KIND
@relaxed
@given(table=tables)
async def test_any_table_is_made_or_refused(runtime: Runtime, type_: str, table: dict[str, Any]) -> None:
    try:
        made = runtime.workflows.make(type_, table, register=False)
    except LLMSpellError:
        return
    assert all(isinstance(problem, str) for problem in made.validate())


@relaxed
@given(value=values)
def test_any_part_is_read_or_refused(value: Any) -> None:
    for read in (Step.read, Condition.read, ErrorStrategy.read, workflow_input):
        with suppress(LLMSpellError):
            read(value)
    if isinstance(value, dict):
        with suppress(LLMSpellError):
            WorkflowConfig.read(value)


class Source:
    """Knows a step `a`, an input `i`, a variable `v` and shared data `s`."""

    def is_step(self, name: str) -> bool:
        return name == "a"

    def has_run(self, name: str) -> bool:
        return name == "a"

    def output_of(self, name: str) -> tuple[Any, Any]:
        return {"x": [1, {"y": None}]}, None

    def branch_output(self, branch: str, step: str) -> Any:
        return "b"

    def variable_or(self, name: str, default: Any) -> Any:
        return "V" if name == "v" else default

    def input_or(self, key: str, default: Any) -> Any:
        return "I" if key == "i" else default

    def shared_or(self, key: str, default: Any) -> Any:
        return "S" if key == "s" else default

    def names(self) -> list[str]:
        return ["a", "i", "v", "s"]


PIECES = [
    "{{", "}}", "{", "}", "step", "input", "shared", "loop", "branch", ".", ":", "a", "x", "y", "i", "v", "s", "$", "output",
    "result", "1", "0", "-",
]  # fmt: skip
pieces = st.sampled_from(PIECES)


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(pieces | st.text(max_size=3), max_size=14))
def test_any_text_is_filled_in_or_refused(parts: list[str]) -> None:
    text = "".join(parts)
    with suppress(WorkflowError):
        found = substitute({"k": [text]}, Source())
        assert "{{" in text or "$" in text or found == {"k": [text]}
