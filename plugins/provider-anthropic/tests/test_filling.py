"""A server that takes no forced tools: it goes on with what was begun, and the form of the JSON is ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llmspell_provider_anthropic.provider import AnthropicProvider

from llmspell_core.messages import Message
from llmspell_core.provider import INVALID_JSON, Completion, CompletionRequest, ProviderSettings, ToolDefinition
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

ORDER = {
    "type": "object",
    "properties": {
        "dish": {"type": "string"},
        "count": {"type": "integer"},
        "weight": {"type": "number"},
        "hot": {"type": "boolean"},
        "size": {"enum": ["small", "large"]},
        "with": {"type": "array", "items": {"type": "string"}},
        "to": {"type": "object", "properties": {"street": {"type": ["string", "null"]}}, "required": ["street"]},
        "note": {"type": "string"},
    },
    "required": ["dish", "count", "weight", "hot", "size", "with", "to"],
}
TAKEN = {
    "dish": 'the "best" soup, \\ or so',
    "count": 2,
    "weight": -0.5,
    "hot": False,
    "size": "large",
    "with": ["bread", "salt"],
    "to": {"street": "Rue de l'Été"},
}
TOOLS = [
    ToolDefinition("clock", "Tells the time.", {"type": "object"}),
    ToolDefinition("order", "Takes orders.", ORDER),
]


class Parrot:
    """Answers in prose, and goes on with `answer` when it was begun."""

    def __init__(self, answer: Any, *, echo: bool = False) -> None:
        self.answer = json.dumps(answer, ensure_ascii=False).replace("[", "[ ")
        self.echo = echo
        self.begun: list[str] = []

    def __call__(self, received: Received) -> Reply:
        body = received.json()
        last = body["messages"][-1]
        if last["role"] == "user":
            return said("Certainly! I like soup.", "end_turn")
        begun = last["content"][0]["text"]
        assert begun == begun.strip(), "the protocol refuses blanks at the end"
        self.begun.append(begun)
        assert self.answer.startswith(begun), f"{begun} is not how {self.answer} begins"
        follows, stop = self.answer[len(begun) :], "end_turn"
        for word in body.get("stop_sequences", []):
            if word in follows:
                follows, stop = follows.partition(word)[0], "stop_sequence"
        if len(follows) > body["max_tokens"]:
            follows, stop = follows[: body["max_tokens"]], "max_tokens"
        return said(begun + follows if self.echo else follows, stop)


def said(text: str, stop: str) -> Reply:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "tiny", "stop_sequence": None}
    usage = {"input_tokens": 4, "output_tokens": 2}
    return Reply(body=message | {"content": [{"type": "text", "text": text}], "stop_reason": stop, "usage": usage})


async def ask(parrot: Parrot, **fields: Any) -> Completion:
    request = CompletionRequest("tiny", [Message("user", "Soup, please.")], **({"max_tokens": 50} | fields))
    async with FakeServer(parrot) as server:
        settings = ProviderSettings("mine", "anthropic", base_url=server.url, api_key="key-1234", max_retries=0)
        provider = AnthropicProvider(settings)
        try:
            return await provider.complete(request)
        finally:
            await provider.close()


@pytest.mark.parametrize("echo", [True, False])
async def test_every_kind_of_value_is_asked_for_and_put_in_its_place(echo: bool) -> None:
    parrot = Parrot({"name": "order", "arguments": TAKEN}, echo=echo)
    answer = await ask(parrot, tools=TOOLS, tool_choice="order")
    assert answer.finish_reason == "tool_calls"
    assert [(call.tool_name, call.parameters) for call in answer.tool_calls] == [("order", TAKEN)]
    assert answer.usage.input_tokens == 4 * (1 + len(parrot.begun)), "the prose and every value are paid for"


async def test_the_model_chooses_among_required_tools() -> None:
    answer = await ask(Parrot({"name": "order", "arguments": TAKEN}), tools=TOOLS, tool_choice="required")
    assert answer.tool_calls[0].tool_name == "order"


async def test_json_of_a_schema_is_filled_in_when_nothing_else_works() -> None:
    answer = await ask(Parrot({"name": "answer", "arguments": TAKEN}), response_schema=ORDER)
    assert json.loads(answer.text) == TAKEN
    assert answer.finish_reason == "stop"


async def test_a_value_that_is_cut_off_makes_no_call() -> None:
    parrot = Parrot({"name": "order", "arguments": TAKEN})
    answer = await ask(parrot, tools=TOOLS, tool_choice="order", max_tokens=5)
    assert answer.finish_reason == "length"
    assert INVALID_JSON in answer.tool_calls[0].parameters


async def test_a_model_that_calls_by_itself_is_not_asked_again() -> None:
    call = {"type": "tool_use", "id": "t", "name": "order", "input": {"dish": "soup"}}
    reply = Reply(body=json.loads(said("", "tool_use").data()) | {"content": [call]})
    async with FakeServer(reply) as server:
        provider = AnthropicProvider(ProviderSettings("mine", "anthropic", base_url=server.url, max_retries=0))
        request = CompletionRequest("tiny", [Message("user", "Soup.")], tools=TOOLS, tool_choice="order")
        answer = await provider.complete(request)
        await provider.close()
        assert len(server.received) == 1
    assert answer.tool_calls[0].parameters == {"dish": "soup"}
