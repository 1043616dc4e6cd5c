"""The provider contract against a server that answers as the Messages API's documentation says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from llmspell_provider_anthropic.provider import AnthropicProvider

from llmspell_core.messages import ToolCall, Usage
from llmspell_core.provider import Completion, Provider, ProviderSettings
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

STREAM = {"Content-Type": "text/event-stream"}


def answer(received: Received) -> Reply:
    """What the vendor would say: text that repeats the question, calls that fit the tools, JSON that fits the schema."""
    if "/models" in received.path:
        model = {"id": "test-model", "type": "model", "display_name": "Test", "created_at": "2026-01-01T00:00:00Z"}
        return Reply(body={"data": [model], "has_more": False, "first_id": "test-model", "last_id": "test-model"})
    assert received.path == "/v1/messages"
    body = received.json()
    block, stop, made = turn(body)
    usage = {"input_tokens": len(json.dumps(body["messages"]).split()), "output_tokens": made}
    if body.get("stream"):
        return Reply(pieces=stream(block, stop, usage), headers=STREAM)
    return Reply(body=head(usage) | {"content": [block], "stop_reason": stop})


def head(usage: dict[str, int]) -> dict[str, Any]:
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": "test-model-2026"}
    return made | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}


def turn(body: dict[str, Any]) -> tuple[dict[str, Any], str, int]:
    choice = body.get("tool_choice", {"type": "auto"})
    if choice["type"] in {"any", "tool"}:
        tool = next(t for t in body["tools"] if choice.get("name") in {None, t["name"]})
        arguments = dict.fromkeys(tool["input_schema"]["required"], "Paris")
        return {"type": "tool_use", "id": "toolu_a", "name": tool["name"], "input": arguments}, "tool_use", 9
    if "output_config" in body:
        schema = body["output_config"]["format"]["schema"]
        assert schema["additionalProperties"] is False
        assert "maxLength" not in schema["properties"]["name"], "the vendor refuses this keyword"
        return {"type": "text", "text": '{"name": "Bob", "age": 30}'}, "end_turn", 8
    said = "".join(block.get("text", "") for block in body["messages"][-1]["content"]) or "the result"
    words = f"You said: {said} ".split(" ")[: body["max_tokens"]]
    stop = "max_tokens" if len(words) == body["max_tokens"] else "end_turn"
    return {"type": "text", "text": " ".join(words)}, stop, len(words)


def stream(block: dict[str, Any], stop: str, usage: dict[str, int]) -> list[bytes | float]:
    if block["type"] == "text":
        start = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": letter} for letter in block["text"]]
    else:
        start = block | {"input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", *json.dumps(block["input"]))]
    return [
        event("message_start", message=head(usage | {"output_tokens": 1})),
        event("content_block_start", index=0, content_block=start),
        event("ping"),
        *(event("content_block_delta", index=0, delta=delta) for delta in deltas),
        event("content_block_stop", index=0),
        event(
            "message_delta",
            delta={"stop_reason": stop, "stop_sequence": None},
            usage={"output_tokens": usage["output_tokens"]},
        ),
        event("message_stop"),
    ]


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


class TestAnthropicContract(ProviderContract):
    model = "test-model"

    @pytest.fixture(autouse=True)
    async def vendor(self) -> AsyncIterator[None]:
        async with FakeServer(answer) as server:
            self.server = server
            yield

    def make_provider(self) -> Provider:
        return self.make_provider_at(self.server.url)

    def make_provider_at(self, url: str) -> Provider:
        return AnthropicProvider(ProviderSettings("mine", "anthropic", base_url=url, api_key=self.key, max_retries=0))

    def make_error_body(self, status: int, message: str) -> Any:
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        error = {"type": kinds.get(status, "api_error"), "message": message}
        return {"type": "error", "error": error, "request_id": "req_1"}

    def make_odd_answers(self) -> Mapping[str, tuple[Any, Completion]]:
        def whole(*blocks: Any, **fields: Any) -> dict[str, Any]:
            head = {"id": "1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
            return head | {"content": list(blocks)} | fields

        def use(input: Any) -> dict[str, Any]:
            return {"type": "tool_use", "id": "c", "name": "calculator", "input": input}

        made = Completion(tool_calls=[ToolCall("c", "calculator", {"expression": "1+1"})])
        text = {"type": "text", "text": "hi"}
        counts = {"input_tokens": "7", "output_tokens": 2.0}
        return {
            "arguments as a text": (whole(use('{"expression": "1+1"}')), made),
            "no arguments": (whole(use(None)), Completion(tool_calls=[ToolCall("c", "calculator", {})])),
            "a text of null": (whole({"type": "text", "text": None}, text), Completion("hi")),
            "content as a text": (whole(content="hi"), Completion("hi")),
            "no content": (whole(content=None), Completion("")),
            "counts in words": (whole(text, usage=counts), Completion("hi", usage=Usage(7, 2))),
        }

    def make_stream_start(self) -> list[bytes | float]:
        begun = stream({"type": "text", "text": "Hel"}, "end_turn", {"input_tokens": 3, "output_tokens": 1})
        return begun[:6]
