"""What goes over the wire, and what the vendor's many ways of failing become."""

from __future__ import annotations

import json
import time
from contextlib import aclosing
from typing import Any

import pytest
from llmspell_provider_anthropic.provider import AnthropicProvider

from llmspell_core.errors import (
    AuthenticationError,
    ContentRefusedError,
    ContextTooLongError,
    LLMSpellError,
    ModelNotFoundError,
    OverloadedError,
    QuotaExceededError,
    ValidationError,
)
from llmspell_core.messages import AgentChunk, Media, Message, ToolCall, Usage
from llmspell_core.provider import INVALID_JSON, Completion, CompletionRequest, ProviderSettings, ToolDefinition
from llmspell_core.resilience.prices import PriceList
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Reply

KEY = "sk-ant-protocol-1"
TOOLS = [
    ToolDefinition(name, f"The {name}.", {"type": "object", "properties": {"q": {"type": "string"}}})
    for name in ("search", "read")
]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}


def provider(url: str, **settings: Any) -> AnthropicProvider:
    given: dict[str, Any] = {"base_url": url, "api_key": KEY, "max_retries": 0} | settings
    return AnthropicProvider(ProviderSettings("anthropic", "anthropic", **given))


def request(*messages: Message, **fields: Any) -> CompletionRequest:
    return CompletionRequest("claude", list(messages) or [Message("user", "Hi.")], **fields)


def message(*blocks: dict[str, Any], stop: str = "end_turn", **usage: int) -> dict[str, Any]:
    counted = {"input_tokens": 5, "output_tokens": 2} | usage
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1", "content": list(blocks)}
    return made | {"stop_reason": stop, "stop_sequence": None, "usage": counted}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def error(kind: str, words: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": words}}


def sent(*events: dict[str, Any]) -> Reply:
    pieces: list[bytes | float] = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]
    return Reply(pieces=pieces, headers={"Content-Type": "text/event-stream"})


async def ask(replies: Any, asked: CompletionRequest, **settings: Any) -> tuple[Completion, FakeServer]:
    async with FakeServer(replies) as server:
        made = provider(server.url, **settings)
        try:
            return await made.complete(asked), server
        finally:
            await made.close()


async def failure(reply: Reply, asked: CompletionRequest | None = None) -> LLMSpellError:
    with pytest.raises(LLMSpellError) as caught:
        await ask(reply, asked or request())
    return caught.value


async def streamed(reply: Reply, asked: CompletionRequest, **settings: Any) -> list[AgentChunk]:
    async with FakeServer(reply) as server:
        made = provider(server.url, **settings)
        try:
            async with aclosing(made.stream(asked)) as chunks:
                return [chunk async for chunk in chunks]
        finally:
            await made.close()


async def test_the_conversation_goes_out_as_the_protocol_has_it() -> None:
    turns = [
        Message("system", "Be brief."),
        Message("user", "Look.", media=[Media("image", "aGk=", "image/jpeg")]),
        Message("assistant", "", tool_calls=[ToolCall("a", "search", {"q": "x"}), ToolCall("b", "read", {"q": "y"})]),
        Message("tool", "found", tool_call_id="a"),
        Message("tool", "text", tool_call_id="b"),
    ]
    asked = request(*turns, tools=TOOLS, stop=["END"], temperature=0.5, seed=3, options={"top_k": 4})
    _, server = await ask(Reply(body=message(text("ok"))), asked)
    body = server.received[0].json()
    assert body["system"] == "Be brief."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}}
    assert body["messages"][0]["content"] == [picture, text("Look.")]
    assert [block["id"] for block in body["messages"][1]["content"]] == ["a", "b"]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["a", "b"]
    assert body["tools"][0]["input_schema"] == TOOLS[0].parameters
    assert (body["stop_sequences"], body["temperature"], body["top_k"]) == (["END"], 0.5, 4)
    assert body["max_tokens"] == 4096
    assert "seed" not in body, "the protocol has no seed"
    assert server.received[0].headers["anthropic-version"]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ("read", {"type": "tool", "name": "read"}),
    ],
)
async def test_the_choice_of_a_tool_has_the_vendors_words(choice: str, wire: dict[str, str]) -> None:
    _, server = await ask(Reply(body=message(text("ok"))), request(tools=TOOLS, tool_choice=choice))
    assert server.received[0].json()["tool_choice"] == wire


async def test_parallel_calls_and_thinking_are_read() -> None:
    calls = [{"type": "tool_use", "id": i, "name": n, "input": {"q": i}} for i, n in (("a", "search"), ("b", "read"))]
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    answer, _ = await ask(Reply(body=message(thought, text("Wait."), *calls, stop="tool_use")), request(tools=TOOLS))
    assert answer.text == "Wait."
    assert [(c.tool_id, c.tool_name, c.parameters) for c in answer.tool_calls] == [
        ("a", "search", {"q": "a"}),
        ("b", "read", {"q": "b"}),
    ]
    assert answer.finish_reason == "tool_calls"


async def test_cached_input_counts_as_input() -> None:
    reply = message(text("ok"), cache_read_input_tokens=100, cache_creation_input_tokens=20)
    answer, _ = await ask(Reply(body=reply), request())
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (125, 2)


async def test_streamed_arguments_come_in_pieces_and_broken_ones_are_marked() -> None:
    def call(index: int, name: str, *parts: str) -> list[dict[str, Any]]:
        block = {"type": "tool_use", "id": f"t{index}", "name": name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        return [
            {"type": "content_block_start", "index": index, "content_block": block},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    start = {"type": "message_start", "message": message(output_tokens=0) | {"stop_reason": None}}
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 12}}
    events = [start, *call(0, "search", '{"q":', ' "x"}'), *call(1, "read", '{"q":'), end, {"type": "message_stop"}]
    chunks = await streamed(sent(*events), request(tools=TOOLS))
    progress = [chunk.arguments for chunk in chunks if chunk.type == "tool_call_progress" and chunk.call_id == "t0"]
    calls = [chunk.call for chunk in chunks if chunk.call is not None]
    assert progress == ["", '{"q":', '{"q": "x"}']
    assert [call.parameters for call in calls] == [{"q": "x"}, {INVALID_JSON: '{"q":'}]
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.input_tokens, chunks[-1].usage.output_tokens) == (5, 12)


async def test_a_server_that_ignores_the_schema_is_asked_by_a_tool_and_remembered() -> None:
    call = {"type": "tool_use", "id": "a", "name": "answer", "input": {"name": "Bob"}}
    replies = [Reply(body=message(text("Bob it is."))), Reply(body=message(call, stop="tool_use"))]
    async with FakeServer(replies) as server:
        made = provider(server.url)
        asked = request(response_schema=PERSON)
        first, second = await made.complete(asked), await made.complete(asked)
        await made.close()
    assert json.loads(first.text) == json.loads(second.text) == {"name": "Bob"}
    assert (first.finish_reason, first.tool_calls) == ("stop", [])
    bodies = [received.json() for received in server.received]
    assert ["output_config" in body for body in bodies] == [True, False, False]
    assert bodies[1]["tool_choice"] == {"type": "tool", "name": "answer"}


async def test_a_model_that_refuses_the_schema_is_asked_by_a_tool() -> None:
    call = {"type": "tool_use", "id": "a", "name": "answer", "input": {"name": "Bob"}}
    unknown = error("invalid_request_error", "output_config: this model does not support structured output")
    answer, _ = await ask(
        [Reply(400, unknown), Reply(body=message(call, stop="tool_use"))], request(response_schema=PERSON)
    )
    assert json.loads(answer.text) == {"name": "Bob"}


async def test_a_schema_by_tool_streams_its_text() -> None:
    block = {"type": "tool_use", "id": "a", "name": "answer", "input": {}}
    parts = ['{"na', 'me": "Bob"}']
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
    chunks = await streamed(
        sent(
            {"type": "message_start", "message": message() | {"stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
            {"type": "message_stop"},
        ),
        request(response_schema=PERSON),
        options={"structured_output": "tool"},
    )
    assert [(chunk.type, chunk.text) for chunk in chunks] == [("text", parts[0]), ("text", parts[1]), ("end", "")]
    assert (chunks[-1].data or {})["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("status", "kind", "words", "expected", "retryable"),
    [
        (401, "authentication_error", "invalid x-api-key", AuthenticationError, False),
        (403, "permission_error", "not allowed", AuthenticationError, False),
        (402, "billing_error", "pay first", QuotaExceededError, False),
        (400, "invalid_request_error", "Your credit balance is too low", QuotaExceededError, False),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            ContextTooLongError,
            False,
        ),
        (413, "request_too_large", "Request exceeds the maximum size", ContextTooLongError, False),
        (404, "not_found_error", "model: claude-0", ModelNotFoundError, False),
        (400, "invalid_request_error", "max_tokens: too small", ValidationError, False),
        (529, "overloaded_error", "Overloaded", OverloadedError, True),
    ],
)
async def test_each_failure_has_its_error_and_a_hint(
    status: int, kind: str, words: str, expected: type[LLMSpellError], retryable: bool
) -> None:
    found = await failure(Reply(status, error(kind, words)))
    assert type(found) is expected
    assert found.is_retryable() is retryable
    assert found.hint


async def test_an_overload_within_a_stream_is_told() -> None:
    start = {"type": "message_start", "message": message() | {"stop_reason": None}}
    with pytest.raises(OverloadedError):
        await streamed(sent(start, error("overloaded_error", "Overloaded")), request())


async def test_a_refusal_is_an_error() -> None:
    found = await failure(Reply(body=message(stop="refusal")))
    assert isinstance(found, ContentRefusedError)


async def test_without_a_key_nothing_is_sent() -> None:
    made = AnthropicProvider(ProviderSettings("anthropic", "anthropic"))
    with pytest.raises(AuthenticationError) as caught:
        await made.complete(request())
    assert "ANTHROPIC_API_KEY" in str(caught.value.hint)


async def test_content_that_cannot_be_carried_is_named() -> None:
    found = await failure(Reply(), request(Message("user", "Hear.", media=[Media("audio", "aGk=", "audio/wav")])))
    assert isinstance(found, ValidationError)
    assert "audio/wav" in found.message


def test_an_answer_costs_what_the_price_list_says_and_a_server_of_ones_own_nothing() -> None:
    settings = ProviderSettings("anthropic", "anthropic", api_key=KEY)
    versioned, unknown, elsewhere = (Usage(1_000_000, 1_000_000) for _ in range(3))
    PriceList(AnthropicProvider, settings).charge(versioned, "claude-haiku-4-5-20251001")
    PriceList(AnthropicProvider, settings).charge(unknown, "claude-none")
    own = ProviderSettings("lab", "anthropic", base_url="http://127.0.0.1:9")
    PriceList(AnthropicProvider, own).charge(elsewhere, "claude-haiku-4-5")
    assert versioned.cost_usd == pytest.approx(6.0)
    assert unknown.cost_usd is None
    assert elsewhere.cost_usd is None


@pytest.mark.parametrize(("status", "error"), [(429, None), (503, None), (429, "RateLimitError")])
async def test_a_request_is_made_again_when_the_server_says(status: int, error: str | None) -> None:
    limited = Reply(
        status, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}, {"Retry-After": "0.2"}
    )
    async with FakeServer([limited] * (9 if error else 1) + [Reply(body=message(text("ok")))]) as server:
        table = {"base_url": server.url, "api_key": "key-anthropic-1"} | ({"max_retries": 0} if error else {})
        async with Runtime({"providers": {"anthropic": table}}) as runtime:
            provider, began = await runtime.providers.get("anthropic"), time.perf_counter()
            if error:
                with pytest.raises(LLMSpellError) as caught:
                    await provider.complete(request())
                assert type(caught.value).__name__ == error
                return
            assert (await provider.complete(request())).text
    assert len(server.received) == 2
    assert time.perf_counter() - began >= 0.2
