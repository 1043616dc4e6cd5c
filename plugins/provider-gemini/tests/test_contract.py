"""The provider contract against a server that answers as the Gemini API's documentation says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from llmspell_provider_gemini.provider import GeminiProvider

from llmspell_core.messages import ToolCall
from llmspell_core.provider import Completion, Provider, ProviderSettings
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

STREAM = {"Content-Type": "text/event-stream"}


def answer(received: Received) -> Reply:
    """What the vendor would say: text that repeats the question, calls that fit the tools, JSON that fits the schema."""
    if received.method == "GET":
        return Reply(body={"models": [{"name": "models/test-model", "displayName": "Test"}]})
    assert "/models/test-model:" in received.path
    body = spelled(received.json())
    parts, reason, made = turn(body)
    prompt = len(json.dumps(body["contents"]).split())
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": made, "totalTokenCount": prompt + made}
    if "streamGenerateContent" not in received.path:
        return Reply(body=piece(parts, reason, usage))
    pieces = [piece([{"text": letter}]) for letter in parts[0].get("text", "")]
    last = piece(parts if "functionCall" in parts[0] else [{"text": ""}], reason, usage)
    return Reply(pieces=[event(data) for data in (*pieces, last)], headers=STREAM)


def spelled(data: Any) -> Any:
    """The vendor reads both spellings of a field's name, and its client sends now this one, now that."""
    if isinstance(data, list):
        return [spelled(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {re.sub(r"_(\w)", lambda m: m[1].upper(), key): spelled(value) for key, value in data.items()}


def piece(parts: list[dict[str, Any]], reason: str | None = None, usage: Any = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    candidate |= {"finishReason": reason} if reason else {}
    return {"candidates": [candidate], "modelVersion": "test-model-001"} | ({"usageMetadata": usage} if usage else {})


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\r\n\r\n"


def turn(body: dict[str, Any]) -> tuple[list[dict[str, Any]], str, int]:
    config = body.get("generationConfig", {})
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling.get("mode") == "ANY":
        tools = body["tools"][0]["functionDeclarations"]
        tool = next(t for t in tools if t["name"] in calling.get("allowedFunctionNames", [t["name"]]))
        args = dict.fromkeys(tool["parametersJsonSchema"]["required"], "Paris")
        return [{"functionCall": {"name": tool["name"], "args": args}}], "STOP", 9
    if "responseJsonSchema" in config:
        assert config["responseMimeType"] == "application/json"
        return [{"text": '{"name": "Bob", "age": 30}'}], "STOP", 8
    said = "".join(part.get("text", "the result") for part in body["contents"][-1]["parts"])
    words = f"You said: {said} ".split(" ")[: config["maxOutputTokens"]]
    return [{"text": " ".join(words)}], "MAX_TOKENS" if len(words) == config["maxOutputTokens"] else "STOP", len(words)


class TestGeminiContract(ProviderContract):
    model = "test-model"

    @pytest.fixture(autouse=True)
    async def vendor(self) -> AsyncIterator[None]:
        async with FakeServer(answer) as server:
            self.server = server
            yield

    def make_provider(self) -> Provider:
        return self.make_provider_at(self.server.url)

    def make_provider_at(self, url: str) -> Provider:
        return GeminiProvider(ProviderSettings("mine", "gemini", base_url=url, api_key=self.key))

    def make_error_body(self, status: int, message: str) -> Any:
        words = {401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED"}
        return {"error": {"code": status, "message": message, "status": words.get(status, "INTERNAL")}}

    def make_odd_answers(self) -> Mapping[str, tuple[Any, Completion]]:
        def whole(*parts: Any) -> dict[str, Any]:
            return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}]}

        empty = Completion(tool_calls=[ToolCall("c", "calculator", {})])
        return {
            "no arguments": (whole({"functionCall": {"name": "calculator"}}), empty),
            "arguments of null": (whole({"functionCall": {"name": "calculator", "args": None}}), empty),
            "thoughts": (whole({"text": "hm", "thought": True}, {"text": "hi"}), Completion("hi")),
            "half a character": (
                b'{"candidates":[{"content":{"parts":[{"text":"\\ud83e"}]},"finishReason":"STOP"}]}',
                Completion("\ufffd"),
            ),
        }

    def make_stream_start(self) -> list[bytes | float]:
        return [event(piece([{"text": "Hel"}]))]
