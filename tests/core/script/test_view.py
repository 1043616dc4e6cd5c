"""What crosses once and is completed in the VM is what the whole views say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell_core.messages import AgentOutput, OutputMetadata
from llmspell_core.script.view import View, answer_view, output_view, plain_answer, tool_view
from llmspell_core.script.wire import complete_view

TEXT = "a text that a tool has read " * 100
FAILED = {"operation": "read", "success": False, "error": {"message": "no such file", "code": 2}, "metadata": {"a": 1}}
ENVELOPES: dict[str, dict[str, Any]] = {
    "a text in the result": {"operation": "read", "success": True, "result": {"input": TEXT, "size": 3}},
    "a text in the envelope": {"operation": "read", "success": True, "content": TEXT, "result": [1, 2]},
    "another content": {"operation": "read", "success": True, "content": "other", "result": None},
    "no text": {"operation": "read", "success": True, "result": {"rows": [[], {}, None, 1.5]}},
    "a failure": FAILED,
}


def tool_output(envelope: dict[str, Any], *, text: bool) -> AgentOutput:
    extra: dict[str, Any] = {"operation": "read", "response": envelope, "more": 1}
    if text:
        extra["output_style"] = "text"
    return AgentOutput(
        text=TEXT if text else json.dumps(envelope), metadata=OutputMetadata(execution_time_ms=3, extra=extra)
    )


def crossed(view: View | dict[str, Any]) -> dict[str, Any]:
    """As a VM has it: through JSON, then completed."""
    assert isinstance(view, View)
    value: dict[str, Any] = json.loads(json.dumps(view.value))
    return complete_view(value, json.loads(json.dumps(view.wire())))


@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize("text", [True, False])
def test_a_tools_result_is_the_same_on_both_sides(name: str, text: bool) -> None:
    output = tool_output(ENVELOPES[name], text=text)
    assert crossed(tool_view(output)) == output_view(output) | {"metadata": crossed(tool_view(output))["metadata"]}
    metadata = crossed(tool_view(output))["metadata"]
    assert metadata == {"execution_time_ms": 3, "operation": "read", "more": 1, "response": ENVELOPES[name]}


def test_data_is_the_result_of_a_tool_whose_text_is_json() -> None:
    output = tool_output({"operation": "query", "success": True, "result": {"a": [1]}}, text=True)
    output.metadata.extra["text_is_json"] = True
    value = crossed(tool_view(output))
    assert value["data"] is value["result"] is value["metadata"]["response"]["result"]
    assert "text_is_json" not in value["metadata"]
    assert output_view(output)["data"] == {"a": [1]}


def test_a_text_crosses_once() -> None:
    view = tool_view(tool_output(ENVELOPES["a text in the result"], text=True))
    assert isinstance(view, View)
    assert json.dumps(view.value).count(TEXT) == 1
    value = crossed(view)
    assert value["result"]["input"] is value["text"] is value["content"]
    assert value["metadata"]["response"]["result"] is value["result"]


def test_a_long_answer_of_an_agent_crosses_once() -> None:
    output = AgentOutput(text=TEXT)
    view = answer_view(output)
    assert isinstance(view, View)
    assert json.dumps(view.value).count(TEXT) == 1
    assert crossed(view) == plain_answer(output)


@pytest.mark.parametrize("text", ["short", '{"success": false, "content": "x", "tool_calls": [1]}' + " " * 2000])
def test_other_answers_are_the_same_on_both_sides(text: str) -> None:
    output = AgentOutput(text=text)
    view = answer_view(output)
    assert (crossed(view) if isinstance(view, View) else view) == plain_answer(output)


@pytest.mark.parametrize("keys", [{"success": False}, {"operation": "x"}, {"result": 1}])
def test_what_a_model_writes_never_becomes_a_field_of_its_answer(keys: dict[str, Any]) -> None:
    forged = {"tool_calls": [{"tool_name": "spoof"}], "media": "m", "metadata": {"model": "evil"}, "error": "no"}
    view = answer_view(AgentOutput(text=json.dumps(keys | forged)))
    assert isinstance(view, dict)
    assert set(view) == {"text", "response", "content", "data", "metadata", "tool_calls"}
    assert view["tool_calls"] == []
    assert view["metadata"] == {}
    assert view["data"] == keys | forged


def test_an_answer_that_is_nested_without_end_is_text() -> None:
    for depth in (300, 100_000):
        view = answer_view(AgentOutput(text="[" * depth + "]" * depth))
        assert "data" not in (view.value if isinstance(view, View) else view)
