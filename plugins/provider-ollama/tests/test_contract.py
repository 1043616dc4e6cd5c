"""The provider contract against a server that answers as Ollama's documentation says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from llmspell_provider_ollama.provider import OllamaProvider

from llmspell_core.messages import ToolCall, Usage
from llmspell_core.provider import Completion, Provider, ProviderSettings
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

WIRE = Path(__file__).parent / "wire"
LINES = {"Content-Type": "application/x-ndjson"}


def answer(received: Received) -> Reply:
    """What the server would say: text that repeats the question, or JSON that fits the format it is given."""
    if received.method == "GET":
        return Reply(body=(WIRE / f"{received.path.rpartition('/')[2]}.json").read_bytes())
    assert received.path == "/api/chat"
    body = received.json()
    text, reason = turn(body)
    counts = {"prompt_eval_count": len(json.dumps(body["messages"]).split()), "eval_count": len(text.split(" "))}
    last = {"done": True, "done_reason": reason, "total_duration": 5, **counts}
    if not body["stream"]:
        return Reply(body=part(text) | last)
    return Reply(pieces=[*(line(part(letter)) for letter in text), line(part("") | last)], headers=LINES)


def part(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": "test-model", "created_at": "2026-01-12T08:52:19.38Z", "message": message, "done": False}


def line(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"


def turn(body: dict[str, Any]) -> tuple[str, str]:
    schema = body.get("format")
    if schema is not None:
        schema = schema.get("anyOf", [schema])[0]
        return json.dumps(filled(schema)), "stop"
    limit = body["options"]["num_predict"]
    words = f"You said: {body['messages'][-1]['content']} ".split(" ")[:limit]
    return " ".join(words), "length" if len(words) == limit else "stop"


def filled(schema: dict[str, Any]) -> Any:
    if "const" in schema:
        return schema["const"]
    if schema["type"] == "object":
        return {name: filled(spec) for name, spec in schema["properties"].items()}
    return 30 if schema["type"] == "integer" else "Paris"


class TestOllamaContract(ProviderContract):
    model = "test-model"

    @pytest.fixture(autouse=True)
    async def vendor(self) -> AsyncIterator[None]:
        async with FakeServer(answer) as server:
            self.server = server
            yield

    def make_provider(self) -> Provider:
        return self.make_provider_at(self.server.url)

    def make_provider_at(self, url: str) -> Provider:
        return OllamaProvider(ProviderSettings("mine", "ollama", base_url=url, api_key=self.key))

    def make_error_body(self, status: int, message: str) -> Any:
        return {"error": message}

    def make_odd_answers(self) -> Mapping[str, tuple[Any, Completion]]:
        def whole(**message: Any) -> dict[str, Any]:
            return {"model": "m", "message": {"role": "assistant", "content": ""} | message, "done": True}

        def use(arguments: Any) -> dict[str, Any]:
            return whole(tool_calls=[{"function": {"name": "calculator", "arguments": arguments}}])

        made = Completion(tool_calls=[ToolCall("c", "calculator", {"expression": "1+1"})])
        empty = Completion(tool_calls=[ToolCall("c", "calculator", {})])
        return {
            "arguments as a text": (use('{"expression": "1+1"}'), made),
            "no arguments": (use(None), empty),
            "a call without a function": (whole(content="hi", tool_calls=[{"id": "c"}]), Completion("hi")),
            "no content": (whole(content=None), Completion("")),
            "counts in words": (
                whole(content="hi") | {"prompt_eval_count": "7", "eval_count": 2.0},
                Completion("hi", usage=Usage(7, 2)),
            ),
        }

    def make_stream_start(self) -> list[bytes | float]:
        return [line(part("Hel"))]
