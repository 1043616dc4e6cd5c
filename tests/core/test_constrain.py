"""Schemas that a small model can fill in without losing itself, and conversations that any template can show."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from llmspell_core.errors import ValidationError
from llmspell_core.messages import AgentChunk, Message, ToolCall, Usage
from llmspell_core.provider import INVALID_JSON, Completion, CompletionRequest, ToolDefinition, constrain

ADD = ToolDefinition(
    "add",
    "Adds numbers.",
    {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "the numbers"},
            "mode": {"type": "string", "enum": ["fast", "exact"], "default": "fast"},
            "anything": {},
            "names": {"type": "object"},
            "format": {"type": "string", "pattern": "^x", "format": "date"},
            "list": {"type": "array", "items": {"type": "integer"}},
            "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["text"],
    },
)
NOW = ToolDefinition("now", "Tells the time.", {"type": "object", "properties": {}})


def request(choice: str = "required", **fields: Any) -> CompletionRequest:
    return CompletionRequest("m", [Message("user", "1+1?")], tools=[ADD, NOW], tool_choice=choice, **fields)


@pytest.mark.parametrize(
    ("choice", "names"), [("auto", []), ("none", []), ("required", ["add", "now"]), ("now", ["now"])]
)
def test_the_choice_says_which_tools_are_forced(choice: str, names: list[str]) -> None:
    assert [tool.name for tool in constrain.forced_tools(request(choice))] == names


def test_a_forced_tool_that_is_not_offered_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ValidationError) as caught:
        constrain.forced_tools(request("subtract"))
    assert caught.value.hint == "The tools are: add, now."


def test_every_part_of_a_schema_comes_to_an_end() -> None:
    arguments = constrain.call_schema(ADD)["properties"]["arguments"]
    assert arguments["additionalProperties"] is False
    properties = arguments["properties"]
    assert properties["text"] == {"type": "string", "description": "the numbers", "maxLength": 200, "minLength": 1}
    assert properties["mode"] == {"type": "string", "enum": ["fast", "exact"]}
    assert properties["list"]["maxItems"] == 16
    assert properties["maybe"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert set(properties) == {"text", "mode", "format", "list", "maybe"}, "optional and open ones are left out"
    assert properties["format"] == {"type": "string", "maxLength": 200}, "a name is not a keyword"


def test_the_tool_itself_is_left_as_it_was() -> None:
    before = json.dumps(ADD.parameters)
    constrain.call_schema(ADD, required_only=True)
    assert json.dumps(ADD.parameters) == before


def test_a_tiny_model_is_asked_for_the_required_arguments_only() -> None:
    assert set(constrain.call_schema(ADD, required_only=True)["properties"]["arguments"]["properties"]) == {"text"}
    assert constrain.call_schema(NOW, required_only=True)["properties"]["arguments"]["properties"] == {}


def test_a_forced_request_asks_for_one_of_the_calls_and_offers_no_tools() -> None:
    asked = request(temperature=None, response_schema={"type": "object"})
    made = constrain.forced_request(asked, constrain.forced_tools(asked))
    assert made.tools == []
    assert made.temperature == 0.0
    assert made.response_schema is not None
    assert [s["properties"]["name"] for s in made.response_schema["anyOf"]] == [{"const": "add"}, {"const": "now"}]
    assert [m.role for m in made.messages] == ["system", "user"]
    assert "add: Adds numbers." in made.messages[0].content
    assert asked.tool_choice == "required", "the agent goes on using its request"


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        ('{"name": "add", "arguments": {"text": "1"}}', "add", {"text": "1"}),
        ('{"name": "now", "arguments": {"text": "a\nb"}}', "now", {"text": "a\nb"}),
        ('{"name": "now", "argum', "now", {INVALID_JSON: '{"name": "now", "argum'}),
        ("", "add", {INVALID_JSON: ""}),
    ],
)
def test_the_text_becomes_the_call_and_a_cut_one_is_marked(text: str, name: str, parameters: dict[str, Any]) -> None:
    call = constrain.read_call(text, [ADD, NOW])
    assert (call.tool_name, call.parameters) == (name, parameters)
    answer = constrain.as_call(Completion(text, usage=Usage(1, 2), model="m"), [ADD, NOW])
    assert answer.text == ""
    assert answer.finish_reason == ("length" if INVALID_JSON in parameters else "tool_calls")


async def test_a_stream_shows_progress_then_the_call_then_the_end() -> None:
    async def chunks() -> AsyncGenerator[AgentChunk, None]:
        yield AgentChunk("text", text='{"name": "add", ', chunk_index=0)
        yield AgentChunk("text", text='"arguments": {"text": "1"}}', chunk_index=1)
        yield AgentChunk("end", usage=Usage(3, 4), data={"finish_reason": "stop", "model": "m"}, chunk_index=2)

    made = [chunk async for chunk in constrain.call_stream(chunks(), [ADD])]
    assert [c.type for c in made] == ["tool_call_progress", "tool_call_progress", "tool_call", "end"]
    assert [c.chunk_index for c in made] == [0, 1, 2, 3]
    assert made[2].call is not None
    assert made[2].call.parameters == {"text": "1"}
    assert {c.call_id for c in made[:3]} == {made[2].call.tool_id}
    assert made[3].data == {"finish_reason": "tool_calls", "model": "m"}
    assert made[3].usage == Usage(3, 4)


def test_tool_turns_become_plain_ones_that_alternate() -> None:
    call = ToolCall("c1", "add", {"text": "1 1"})
    history = [
        Message("system", "Be kind."),
        Message("user", "1+1?"),
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "2", tool_call_id="c1"),
    ]
    made = constrain.as_text_history(history)
    assert [(m.role, m.content) for m in made] == [
        ("system", "Be kind."),
        ("user", "1+1?"),
        ("assistant", "I called add with text = 1 1. It returned: 2"),
        ("user", "So what is the answer?"),
    ]
    more = constrain.as_text_history([*history, Message("assistant", "It is 2."), Message("user", "Sure?")])
    assert [m.role for m in more] == ["system", "user", "assistant", "user"]
    assert more[2].content.endswith("It returned: 2\nIt is 2.")
    assert (
        constrain.as_text_history([Message("tool", "x", tool_call_id="gone")])[0].content == "The function returned: x"
    )
