"""The provider contract against a server that answers as the protocol's documentation says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from llmspell_provider_openai.provider import OpenAIProvider

from llmspell_core.provider import Provider, ProviderSettings
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.fake_server import FakeServer, Received, Reply, events


def answer(received: Received) -> Reply:
    """What the vendor would say: text that repeats the question, calls that fit the tools, JSON that fits the schema."""
    if received.path.endswith("/models"):
        return Reply(body={"object": "list", "data": [{"id": "test-model", "object": "model"}]})
    body = received.json()
    message, finish, made = turn(body)
    usage = {"prompt_tokens": len(json.dumps(body["messages"]).split()), "completion_tokens": made}
    usage["total_tokens"] = sum(usage.values())
    if body.get("stream"):
        return Reply(pieces=pieces(message, finish, usage, body), headers={"Content-Type": "text/event-stream"})
    choice = {"index": 0, "message": {"role": "assistant", "content": None} | message, "finish_reason": finish}
    return Reply(body=head("chat.completion") | {"choices": [choice], "usage": usage})


def head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "test-model-2026"}


def turn(body: dict[str, Any]) -> tuple[dict[str, Any], str, int]:
    limit = body.get("max_tokens") or body["max_completion_tokens"]
    choice = body.get("tool_choice")
    if choice == "required" or isinstance(choice, dict):
        return {"tool_calls": [call_of(body)]}, "tool_calls", 9
    if "response_format" in body:
        assert body["response_format"]["json_schema"]["strict"] is True
        return {"content": '{"name": "Bob", "age": 30}'}, "stop", 8
    words = f"You said: {body['messages'][-1]['content']} ".split(" ")[:limit]
    return {"content": " ".join(words)}, "length" if len(words) == limit else "stop", len(words)


def call_of(body: dict[str, Any]) -> dict[str, Any]:
    wanted = body["tool_choice"]["function"]["name"] if isinstance(body["tool_choice"], dict) else None
    tool = next(t["function"] for t in body["tools"] if wanted in {None, t["function"]["name"]})
    arguments = dict.fromkeys(tool["parameters"]["required"], "Paris")
    return {"id": "call_a", "type": "function", "function": {"name": tool["name"], "arguments": json.dumps(arguments)}}


def pieces(message: dict[str, Any], finish: str, usage: dict[str, int], body: dict[str, Any]) -> list[bytes | float]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": letter} for letter in message.get("content", "")]
    for call in message.get("tool_calls", ()):
        function = call["function"]
        deltas.append({"tool_calls": [call | {"index": 0, "function": function | {"arguments": ""}}]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in function["arguments"]]
    chunks = [
        head("chat.completion.chunk") | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas
    ]
    chunks.append(head("chat.completion.chunk") | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if body.get("stream_options", {}).get("include_usage"):
        chunks.append(head("chat.completion.chunk") | {"choices": [], "usage": usage})
    return events(*chunks)


class TestOpenAIContract(ProviderContract):
    model = "test-model"

    @pytest.fixture(autouse=True)
    async def vendor(self) -> AsyncIterator[None]:
        async with FakeServer(answer) as server:
            self.server = server
            yield

    def make_provider(self) -> Provider:
        return self.make_provider_at(self.server.url)

    def make_provider_at(self, url: str) -> Provider:
        settings = ProviderSettings("mine", "openai", base_url=f"{url}/v1", api_key=self.key, max_retries=0)
        return OpenAIProvider(settings)
