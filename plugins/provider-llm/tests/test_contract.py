"""The provider contract with an async and with a blocking model of a plugin of `llm`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from llmspell_provider_llm.provider import LLMProvider

from llmspell_core.provider import Provider, ProviderSettings
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.fake_server import FakeServer, Received, Reply, events

STREAM = {"Content-Type": "text/event-stream"}


def answer(received: Received) -> Reply:
    """Text that repeats the question, JSON that fits the schema, calls that fit the tools."""
    body = received.json()
    prompt = len(json.dumps(body["messages"]).split())
    if body.get("schema"):
        return said([{"content": json.dumps(instance(body["schema"]))}], "stop", prompt, 9)
    text = "".join(part.get("text", "") for part in body["messages"][-1]["parts"]) or "the result"
    words = f"You said: {text} ".split(" ")[: body["max_tokens"]]
    finish = "length" if len(words) == body["max_tokens"] else "stop"
    return said([{"content": letter} for letter in " ".join(words)], finish, prompt, len(words))


def said(deltas: list[dict[str, Any]], finish: str, prompt: int, made: int) -> Reply:
    chunks = [chunk({"delta": delta, "finish_reason": None}) for delta in deltas]
    usage = {"prompt_tokens": prompt, "completion_tokens": made}
    return Reply(
        pieces=events(*chunks, chunk({"delta": {}, "finish_reason": finish}) | {"usage": usage}), headers=STREAM
    )


def chunk(choice: dict[str, Any]) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [choice]}


def instance(schema: dict[str, Any]) -> Any:
    """The least that fits."""
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return instance(schema["anyOf"][0])
    if "properties" in schema:
        return {name: instance(schema["properties"][name]) for name in schema["required"]}
    return 30 if schema.get("type") == "integer" else "Paris"


class LLMContract(ProviderContract):
    own_variables = ("WIRE_KEY",)
    reads_answers = False

    @pytest.fixture(autouse=True)
    async def vendor(self) -> AsyncIterator[None]:
        async with FakeServer(answer) as server:
            self.server = server
            yield

    def make_provider(self) -> Provider:
        return self.make_provider_at(self.server.url)

    def make_provider_at(self, url: str) -> Provider:
        return LLMProvider(ProviderSettings("llm", "llm", base_url=url, api_key=self.key))


class TestAsyncModel(LLMContract):
    model = "test-model"


class TestBlockingModel(LLMContract):
    """It runs in a thread, and is ended with its process when it does not stop."""

    model = "test-blocking"
