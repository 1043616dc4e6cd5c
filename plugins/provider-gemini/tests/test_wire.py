"""The documented bodies, from files, through the vendor's client; and what goes out."""

from __future__ import annotations

import json
import re
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from llmspell_provider_gemini.provider import GeminiProvider

from llmspell_core.errors import (
    AuthenticationError,
    ContentRefusedError,
    ContextTooLongError,
    LLMSpellError,
    ModelNotFoundError,
    NetworkError,
    OverloadedError,
    QuotaExceededError,
    RateLimitError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.messages import AgentChunk, Media, Message, ToolCall
from llmspell_core.provider import CompletionRequest, ProviderSettings, ToolDefinition
from llmspell_core.resilience.prices import PriceList
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

WIRE = Path(__file__).parent / "wire"
SCHEMA = {
    "type": "object",
    "properties": {"where": {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}}},
}
TOOLS = [ToolDefinition(name, f"The {name}.", SCHEMA) for name in ("weather", "clock")]


def body(name: str) -> Reply:
    return Reply(body=(WIRE / name).read_bytes())


def streamed(name: str, **how: Any) -> Reply:
    pieces: list[bytes | float] = [part + b"\r\n\r\n" for part in (WIRE / name).read_bytes().split(b"\r\n\r\n") if part]
    return Reply(pieces=pieces, headers={"Content-Type": "text/event-stream"}, **how)


def spelled(data: Any) -> Any:
    """The vendor reads both spellings of a field's name, and its client sends now this one, now that."""
    if isinstance(data, list):
        return [spelled(item) for item in data]
    if not isinstance(data, dict):
        return data
    return {re.sub(r"_(\w)", lambda m: m[1].upper(), key): spelled(value) for key, value in data.items()}


def request(*messages: Message, **fields: Any) -> CompletionRequest:
    return CompletionRequest("gemini-2.5-flash", list(messages) or [Message("user", "Hi.")], **fields)


def provider(url: str) -> GeminiProvider:
    return GeminiProvider(ProviderSettings("gemini", "gemini", base_url=url, api_key="key-gemini-1"))


async def ask(reply: Reply, asked: CompletionRequest | None = None) -> tuple[Any, Received]:
    async with FakeServer(reply) as server:
        made = provider(server.url)
        try:
            return await made.complete(asked or request()), server.received[0]
        finally:
            await made.close()


async def chunks_of(reply: Reply, asked: CompletionRequest) -> list[AgentChunk]:
    async with FakeServer(reply) as server:
        made = provider(server.url)
        try:
            async with aclosing(made.stream(asked)) as chunks:
                return [chunk async for chunk in chunks]
        finally:
            await made.close()


async def test_thoughts_are_counted_but_not_said() -> None:
    answer, _ = await ask(body("text.json"))
    assert (answer.text, answer.finish_reason, answer.model) == ("Hello there.", "stop", "gemini-2.5-flash")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (8, 23)


async def test_parallel_calls_are_read_and_their_signature_goes_back() -> None:
    async with FakeServer([body("tools.json"), body("text.json")]) as server:
        made = provider(server.url)
        answer = await made.complete(request(tools=TOOLS))
        turns = [Message("user", "Hi."), Message("assistant", "", tool_calls=answer.tool_calls)]
        turns += [Message("tool", "rain", tool_call_id=call.tool_id) for call in answer.tool_calls]
        await made.complete(request(*turns, tools=TOOLS))
        await made.close()
    sent = spelled(json.loads(server.received[1].body))["contents"]
    assert [call.parameters["city"] for call in answer.tool_calls] == ["Paris", "London"]
    assert answer.finish_reason == "tool_calls"
    assert [turn["role"] for turn in sent] == ["user", "model", "user"]
    assert sent[1]["parts"][0]["thoughtSignature"] == "c2lnbmVk"
    assert [part["functionResponse"]["response"] for part in sent[2]["parts"]] == [{"result": "rain"}] * 2


async def test_streams_of_text_and_of_calls_end_with_usage() -> None:
    said = await chunks_of(streamed("text.sse"), request())
    called = await chunks_of(streamed("tools.sse"), request(tools=TOOLS))
    assert "".join(chunk.text for chunk in said) == "The sky."
    assert said[-1].usage is not None
    assert said[-1].usage.total_tokens == 11
    assert [chunk.type for chunk in called] == ["tool_call", "end"]
    assert called[0].call is not None
    assert called[0].call.parameters == {"city": "Tokyo"}
    assert (called[1].data or {})["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("cut", [True, False])
async def test_a_stream_that_breaks_off_is_an_error(cut: bool) -> None:
    with pytest.raises(NetworkError):
        await chunks_of(streamed("cut.sse", cut=cut), request())


async def test_a_silent_stream_ends_at_the_time_limit() -> None:
    with pytest.raises(TimeoutError):
        await chunks_of(streamed("cut.sse", hang=True), request(timeout=0.2))


async def test_a_request_goes_out_whole() -> None:
    turns = [
        Message("system", "Be brief."),
        Message("user", "Look.", media=[Media("image", "data:image/jpeg;base64,aGk=")]),
        Message("assistant", "", tool_calls=[ToolCall("a", "weather", {"city": "Paris"})]),
        Message("tool", '{"sky": "grey"}', tool_call_id="a"),
    ]
    asked = request(*turns, tools=TOOLS, tool_choice="clock", stop=["END"], seed=3, max_tokens=9, options={"top_k": 4})
    _, received = await ask(body("text.json"), asked)
    sent = spelled(received.json())
    assert sent["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert sent["contents"][0]["parts"][0]["inlineData"] == {"data": "aGk=", "mimeType": "image/jpeg"}
    assert sent["contents"][2]["parts"][0]["functionResponse"] == {"name": "weather", "response": {"sky": "grey"}}
    assert sent["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA
    calling = {"mode": "ANY", "allowedFunctionNames": ["clock"]}
    assert sent["toolConfig"]["functionCallingConfig"] == calling
    assert sent["generationConfig"] == {"maxOutputTokens": 9, "stopSequences": ["END"], "seed": 3, "topK": 4}


async def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ValidationError, match="top_x"):
        await ask(body("text.json"), request(options={"top_x": 4}))


async def test_a_blocked_prompt_is_a_refusal() -> None:
    with pytest.raises(ContentRefusedError, match="PROHIBITED_CONTENT"):
        await ask(body("blocked.json"))


@pytest.mark.parametrize(
    ("status", "code", "words", "expected"),
    [
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", AuthenticationError),
        (403, "PERMISSION_DENIED", "no permission", AuthenticationError),
        (404, "NOT_FOUND", "models/gemini-0 is not found for API version v1", ModelNotFoundError),
        (400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens", ContextTooLongError),
        (400, "INVALID_ARGUMENT", "Invalid value at 'generation_config'", ValidationError),
        (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted", RateLimitError),
        (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, check your billing details", QuotaExceededError),
        (503, "UNAVAILABLE", "The model is overloaded.", OverloadedError),
    ],
)
async def test_each_failure_has_its_error_and_a_hint(
    status: int, code: str, words: str, expected: type[LLMSpellError]
) -> None:
    with pytest.raises(LLMSpellError) as caught:
        await ask(Reply(status, {"error": {"code": status, "message": words, "status": code}}))
    assert type(caught.value) is expected
    assert caught.value.hint


async def test_without_a_key_nothing_is_sent() -> None:
    with pytest.raises(AuthenticationError) as caught:
        await GeminiProvider(ProviderSettings("gemini", "gemini")).complete(request())
    assert "GEMINI_API_KEY" in str(caught.value.hint)


@pytest.mark.parametrize(("status", "error"), [(429, None), (503, None), (429, "RateLimitError")])
async def test_a_request_is_made_again_when_the_server_says(status: int, error: str | None) -> None:
    limited = Reply(status, {"error": {"code": status, "message": "slow down", "status": "X"}}, {"Retry-After": "0.2"})
    async with FakeServer([limited] * (9 if error else 1) + [body("text.json")]) as server:
        table = {"base_url": server.url, "api_key": "key-gemini-1"} | ({"max_retries": 0} if error else {})
        async with Runtime({"providers": {"gemini": table}}) as runtime:
            provider, began = await runtime.providers.get("gemini"), time.perf_counter()
            if error:
                with pytest.raises(LLMSpellError) as caught:
                    await provider.complete(request())
                assert type(caught.value).__name__ == error
                return
            assert (await provider.complete(request())).text
    assert len(server.received) == 2
    assert time.perf_counter() - began >= 0.2


# -- the vendor's own client parses every file ----------------------------------------------------------------------


def vendor(url: str) -> Any:
    from google.genai import Client

    return Client(enterprise=False, api_key="key-gemini-1", http_options={"base_url": url}).aio


@pytest.mark.parametrize("name", ["text.json", "tools.json", "blocked.json"])
async def test_the_vendors_client_parses_every_answer_file(name: str) -> None:
    async with FakeServer(body(name)) as server:
        client = vendor(server.url)
        reply = await client.models.generate_content(model="gemini-2.5-flash", contents="Hi.")
        await client.aclose()
    assert reply.candidates or reply.prompt_feedback.block_reason
    assert reply.usage_metadata.prompt_token_count


@pytest.mark.parametrize("name", ["text.sse", "tools.sse", "cut.sse"])
async def test_the_vendors_client_parses_every_stream_file(name: str) -> None:
    async with FakeServer(streamed(name)) as server:
        client = vendor(server.url)
        stream = await client.models.generate_content_stream(model="gemini-2.5-flash", contents="Hi.")
        parts = [part async for part in stream]
        await client.aclose()
    assert len(parts) == (WIRE / name).read_bytes().count(b"data: ")
    assert all(part.candidates for part in parts)


ERRORS = [
    ("401.json", 401, "AuthenticationError"),
    ("400_key.json", 400, "AuthenticationError"),
    ("429.json", 429, "RateLimitError"),
    ("500.json", 500, "ProviderError"),
]


@pytest.mark.parametrize(("name", "status", "expected"), ERRORS)
async def test_the_vendors_client_and_ours_read_every_error_file(name: str, status: int, expected: str) -> None:
    from google.genai.errors import APIError

    failing = Reply(status, (WIRE / name).read_bytes(), {"Retry-After": "7"} if status == 429 else {})
    async with FakeServer(failing) as server:
        client = vendor(server.url)
        with pytest.raises(APIError) as caught:
            await client.models.generate_content(model="gemini-2.5-flash", contents="Hi.")
        await client.aclose()
    assert caught.value.code == status
    with pytest.raises(LLMSpellError) as ours:
        await ask(failing)
    assert type(ours.value).__name__ == expected
    assert ours.value.hint
    assert getattr(ours.value, "retry_after", None) == (7.0 if status == 429 else None)


async def test_the_wait_of_a_429_without_a_header_is_in_its_body() -> None:
    with pytest.raises(RateLimitError) as caught:
        await ask(Reply(429, (WIRE / "429.json").read_bytes()))
    assert caught.value.retry_after == 7.0


async def test_a_slow_stream_may_go_on() -> None:
    pieces = [piece for part in streamed("text.sse").pieces or () for piece in (0.12, part)]
    slow = Reply(pieces=pieces, headers={"Content-Type": "text/event-stream"})
    assert (await chunks_of(slow, request(timeout=0.3)))[-1].type == "end"


async def test_an_answer_of_the_vendor_costs_what_its_price_list_says() -> None:
    settings = ProviderSettings("gemini", "gemini")
    answer, _ = await ask(body("text.json"))
    PriceList(GeminiProvider, settings).charge(answer.usage, answer.model)
    assert answer.usage.cost_usd == pytest.approx((8 * 0.30 + 23 * 2.50) / 1_000_000)
