"""The contract of a model provider, as tests to inherit.

    from llmspell_core.testing import ProviderContract

    class TestMyProvider(ProviderContract):
        model = "tiny"

        def make_provider(self) -> Provider:          # speaks to a server that really answers
            return MyProvider(ProviderSettings("mine", "mine", base_url=..., api_key=self.key))

        def make_provider_at(self, url: str) -> Provider:      # the same, speaking to `url`, without retries
            return MyProvider(ProviderSettings("mine", "mine", base_url=url, api_key=self.key, max_retries=0))

`ProviderAnswers` asks the real server; `ProviderFailures` lets the provider meet one that fails.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar, cast

import pytest

from llmspell_core.errors import (
    AuthenticationError,
    LLMSpellError,
    NetworkError,
    ProviderError,
    RateLimitError,
    TimeoutError,
)
from llmspell_core.messages import AgentChunk, Message, Usage
from llmspell_core.provider import Completion, CompletionRequest, Provider, ToolDefinition
from llmspell_core.testing.contract import Contract, Leftovers
from llmspell_core.testing.fake_server import FakeServer, Reply

__all__ = ["ProviderAnswers", "ProviderContract", "ProviderFailures"]

TOOL = ToolDefinition(
    "weather",
    "Tells the weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "name of the city"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
OTHER_TOOL = ToolDefinition(
    "clock",
    "Tells the time in a time zone.",
    {"type": "object", "properties": {"zone": {"type": "string", "description": "time zone"}}, "required": ["zone"]},
)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 30}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class ProviderAnswers(Contract):
    """What a provider answers. Attributes to set in the subclass:

    model: a model that `make_provider` can use.
    deterministic: whether two equal requests with temperature 0 and a seed give equal answers.
    """

    model: ClassVar[str] = "test-model"
    deterministic: ClassVar[bool] = True

    def make_provider(self) -> Provider:
        """A provider that can answer."""
        raise NotImplementedError(f"{type(self).__name__} must define make_provider")

    def request(self, text: str = "Say hello.", **fields: Any) -> CompletionRequest:
        given = {"temperature": 0.0, "seed": 7, "max_tokens": 24} | fields
        return CompletionRequest(self.model, [Message("user", text)], **given)

    async def test_it_answers_with_text_usage_and_a_reason(self) -> None:
        """A completion says what was answered, by which model, for how many tokens and why it ended.

        If this fails, fill the missing field of `Completion` from the vendor's reply in `complete`.
        """
        async with _opened(self.make_provider()) as provider:
            answer = await provider.complete(self.request())
        assert answer.text.strip(), "the text is empty"
        assert answer.finish_reason in {"stop", "length"}, f"finish_reason is {answer.finish_reason!r}"
        assert answer.model, "model is empty"
        assert not answer.tool_calls, "there are tool calls, but no tools were offered"
        _check_usage(answer.usage)

    async def test_the_chunks_of_a_stream_add_up_to_the_answer(self) -> None:
        """The text chunks in order are the text; one `end` comes last, with usage and the reason.

        If this fails, look at `stream`: it must yield every piece of text once and untouched, and after the last one
        an `end` chunk with `usage` and `data = {"finish_reason": ..., "model": ...}`.
        """
        async with _opened(self.make_provider()) as provider:
            streamed = await _collected(provider, self.request())
            whole = await provider.complete(self.request())
        assert streamed.text.strip(), "no text chunk came"
        assert streamed.finish_reason == whole.finish_reason
        _check_usage(streamed.usage)
        if self.deterministic:
            assert streamed.text == whole.text

    async def test_usage_counts_grow_with_the_prompt(self) -> None:
        """Usage is what the server counted, not a constant.

        If this fails, take the numbers from the vendor's reply.
        """
        async with _opened(self.make_provider()) as provider:
            short = await provider.complete(self.request("Hi.", max_tokens=4))
            long = await provider.complete(self.request("Hi. " + "Tell me more of it. " * 20, max_tokens=4))
        assert long.usage.input_tokens > short.usage.input_tokens + 20

    async def test_max_tokens_ends_the_answer(self) -> None:
        """An answer that is cut by the limit says so.

        If this fails, pass `max_tokens` on under the vendor's name and map its word for it to `length`.
        """
        async with _opened(self.make_provider()) as provider:
            answer = await provider.complete(self.request("Tell me a long story about a dragon.", max_tokens=5))
        assert answer.finish_reason == "length"
        assert answer.usage.output_tokens <= 6

    async def test_a_forced_tool_is_called_and_its_result_is_taken(self) -> None:
        """A named tool is called with arguments of its schema; the conversation goes on with the result.

        If this fails, check how `tool_choice` with a name is translated, that arguments are parsed into `parameters`,
        and that `tool` messages go back with the id of their call.
        """
        request = self.request("What is the weather in Paris?", tools=[TOOL], tool_choice="weather", max_tokens=80)
        async with _opened(self.make_provider()) as provider:
            answer = await provider.complete(request)
            assert answer.finish_reason == "tool_calls", f"finish_reason is {answer.finish_reason!r}"
            _check_call(answer, {"weather"})
            assert isinstance(answer.tool_calls[0].parameters["city"], str)
            call = answer.tool_calls[0]
            request.messages += [
                Message("assistant", answer.text, tool_calls=[call]),
                Message("tool", "It rains.", tool_call_id=call.tool_id),
            ]
            request.tool_choice = "none"
            final = await provider.complete(request)
        assert final.text.strip(), "no answer after the tool's result"

    async def test_any_tool_can_be_required(self) -> None:
        """`required` leaves the choice of the tool to the model, but not whether to call one.

        If this fails, translate `required` to the vendor's word for it.
        """
        request = self.request("What is the weather in Paris?", tools=[TOOL, OTHER_TOOL], max_tokens=80)
        request.tool_choice = "required"
        async with _opened(self.make_provider()) as provider:
            _check_call(await provider.complete(request), {"weather", "clock"})

    async def test_a_streamed_tool_call_arrives_whole(self) -> None:
        """A stream ends with each call as one `tool_call` chunk, its arguments parsed.

        If this fails, collect the pieces of the arguments by call and yield the call when the stream ends.
        """
        request = self.request("What is the weather in Paris?", tools=[TOOL], tool_choice="weather", max_tokens=80)
        async with _opened(self.make_provider()) as provider:
            streamed = await _collected(provider, request)
        assert streamed.finish_reason == "tool_calls"
        _check_call(streamed, {"weather"})
        _check_usage(streamed.usage)

    async def test_a_schema_gives_json_of_that_schema(self) -> None:
        """With `response_schema` the text is JSON that fits.

        If this fails, translate the schema to the vendor's structured output; if the vendor has none, say
        `supports_json_schema=False` in `capabilities`.
        """
        provider = self.make_provider()
        if not provider.capabilities.supports_json_schema:
            pytest.skip("declares no JSON schema support")
        async with _opened(provider):
            answer = await provider.complete(
                self.request("Describe Bob, who is 30.", response_schema=PERSON, max_tokens=120)
            )
        data = json.loads(answer.text)
        assert set(data) == {"name", "age"}
        assert isinstance(data["name"], str)
        assert isinstance(data["age"], int)

    async def test_several_requests_at_once_do_not_mix(self) -> None:
        """One provider instance serves all agents of a runtime at the same time.

        If this fails, keep no state of a request on the provider.
        """
        requests = [self.request(f"Say the number {n}.", max_tokens=6 + n) for n in range(3)]
        async with _opened(self.make_provider()) as provider:
            answers = await asyncio.gather(*(provider.complete(r) for r in requests))
            alone = [await provider.complete(r) for r in requests]
        if self.deterministic:
            assert [a.text for a in answers] == [a.text for a in alone]

    async def test_the_request_is_left_as_it_was(self) -> None:
        """The agent goes on using the request's message list.

        If this fails, copy before you change anything.
        """
        request = self.request(tools=[TOOL], tool_choice="none", max_tokens=2)
        before = repr(request)
        async with _opened(self.make_provider()) as provider:
            await provider.complete(request)
        assert repr(request) == before

    async def test_a_stream_left_early_and_a_cancelled_call_leave_nothing_behind(self) -> None:
        """Nobody waits for an answer that nobody wants.

        If this fails, close the vendor's stream in a `finally`, and own every task you start.
        """
        async with _opened(self.make_provider()) as provider:
            await provider.complete(self.request(max_tokens=2))  # connections and processes exist now
            before = Leftovers()
            async with aclosing(_stream(provider, self.request("Tell me a story.", max_tokens=200))) as chunks:
                async for chunk in chunks:
                    if chunk.type == "text":
                        break
            call = asyncio.ensure_future(provider.complete(self.request("Tell me a story.", max_tokens=200)))
            await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.wait([call])
            assert not _own(await before.new_after_a_moment(0.5))
            answer = await asyncio.wait_for(provider.complete(self.request()), 20)
        assert answer.text.strip()

    async def test_closing_leaves_nothing_behind(self) -> None:
        """After `close` there is no connection, task, thread or process of the provider.

        If this fails, close the client in `close`, and end what you started.
        """
        before = Leftovers()
        async with _opened(self.make_provider()) as provider:
            await provider.complete(self.request(max_tokens=2))
        assert not await before.new_after_a_moment()

    async def test_health_names_models(self) -> None:
        """`llmspell provider test` shows whether the other side answers.

        If this fails, implement `list_models` with the vendor's model list.
        """
        async with _opened(self.make_provider()) as provider:
            health = await provider.health()
        assert health.healthy, health.reason
        assert health.models, "no models are listed"


class ProviderFailures(Contract):
    """What a provider says when its server fails. Attributes to set in the subclass:

    model: as above.
    key: the API key that `make_provider_at` gives to its provider; no error may show it.
    """

    model: ClassVar[str] = "test-model"
    key: ClassVar[str] = "sk-contract-3f9a1c77d2"

    def make_provider_at(self, url: str) -> Provider:
        """A provider that sends its requests to `url`, with `self.key` and without retries."""
        raise NotImplementedError(f"{type(self).__name__} must define make_provider_at")

    def make_error_body(self, status: int, message: str) -> Any:
        """What the vendor's server sends with an error status."""
        return {"error": {"message": message, "type": "error", "code": None}}

    def make_stream_start(self) -> list[bytes | float]:
        """The first pieces of a streamed answer on the vendor's wire, with at least one piece of text."""
        delta = {"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": None}
        event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": self.model, "choices": [delta]}
        return [b"data: " + json.dumps(event).encode() + b"\n\n"]

    def failing_request(self, **fields: Any) -> CompletionRequest:
        return CompletionRequest(self.model, [Message("user", "Say hello.")], **fields)

    async def test_a_refused_key_is_an_authentication_error(self) -> None:
        """The person must learn which key is wrong, without seeing it.

        If this fails, map the vendor's exception for status 401 to AuthenticationError and remove the key from its
        text.
        """
        error = await self._failing(Reply(401, self.make_error_body(401, f"Incorrect API key: {self.key}")))
        assert isinstance(error, AuthenticationError), f"got {error!r}"
        assert error.hint, "the hint should name the variable or setting to check"
        assert not error.is_retryable()

    async def test_too_many_requests_is_a_rate_limit_error_with_the_wait(self) -> None:
        """Who is told to wait waits as long as the server says.

        If this fails, map status 429 to RateLimitError with `retry_after` from the Retry-After header.
        """
        reply = Reply(429, self.make_error_body(429, "slow down"), {"Retry-After": "7"})
        error = await self._failing(reply)
        assert isinstance(error, RateLimitError), f"got {error!r}"
        assert error.retry_after == 7.0

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_an_outage_is_a_retryable_provider_error(self, status: int) -> None:
        """Another attempt may succeed.

        If this fails, map the vendor's server errors to ProviderError, and 503 to OverloadedError.
        """
        error = await self._failing(Reply(status, self.make_error_body(status, "internal error")))
        assert isinstance(error, ProviderError), f"got {error!r}"
        assert error.is_retryable()

    async def test_an_unreachable_server_is_a_network_error(self) -> None:
        """The address is named, and what to check.

        If this fails, map the vendor's connection error to NetworkError and say the address in it.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        async with _opened(self.make_provider_at(f"http://127.0.0.1:{port}")) as provider:
            error = await _error_of(provider, self.failing_request())
        assert isinstance(error, NetworkError), f"got {error!r}"
        assert str(port) in error.message
        assert error.hint

    async def test_silence_ends_at_the_time_limit(self) -> None:
        """A call has an end even if the server says nothing.

        If this fails, pass `request.timeout` to the client and map its exception to TimeoutError.
        """
        error = await self._failing(Reply(hang=True), timeout=0.3)
        assert isinstance(error, TimeoutError), f"got {error!r}"

    @pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"unexpected": true}', b"\xff\xfe\x00", b""])
    async def test_garbage_is_an_error_of_ours(self, body: bytes) -> None:
        """No foreign exception leaves a plugin, whatever the server sends.

        If this fails, catch what the vendor's package raises for this body and raise ProviderError.
        """
        error = await self._failing(Reply(200, body))
        assert error.hint, "say what to check"

    async def test_a_stream_that_breaks_off_is_an_error(self) -> None:
        """Half an answer must not look like a whole one.

        If this fails, raise NetworkError when the stream ends before the server said why it finished.
        """
        for reply in (Reply(pieces=self.make_stream_start(), cut=True), Reply(pieces=self.make_stream_start())):
            reply.headers = {"Content-Type": "text/event-stream"}
            async with FakeServer(reply) as server, _opened(self.make_provider_at(server.url)) as provider:
                with pytest.raises((NetworkError, ProviderError)):
                    await _collected(provider, self.failing_request())

    async def test_cancelling_closes_the_connection(self) -> None:
        """The server must see that nobody listens any longer, or it goes on working (and charging).

        If this fails, await the vendor's call directly, without shielding it or moving it to another task.
        """
        async with FakeServer(Reply(hang=True)) as server, _opened(self.make_provider_at(server.url)) as provider:
            call = asyncio.ensure_future(provider.complete(self.failing_request()))
            await server.asked()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await server.all_closed()

    async def test_leaving_a_stream_early_closes_the_connection(self) -> None:
        """As above, for a stream.

        If this fails, close the vendor's stream in a `finally` within `stream`.
        """
        reply = Reply(pieces=self.make_stream_start(), hang=True, headers={"Content-Type": "text/event-stream"})
        async with FakeServer(reply) as server, _opened(self.make_provider_at(server.url)) as provider:
            async with aclosing(_stream(provider, self.failing_request())) as chunks:
                assert (await anext(chunks)).type == "text"
            await server.all_closed()

    async def _failing(self, reply: Reply, **fields: Any) -> LLMSpellError:
        """The error of a call that meets `reply`, the same for a stream; neither shows the key."""
        async with FakeServer(reply) as server, _opened(self.make_provider_at(server.url)) as provider:
            error = await _error_of(provider, self.failing_request(**fields))
            with pytest.raises(LLMSpellError) as streamed:
                await _collected(provider, self.failing_request(**fields))
        assert type(streamed.value) is type(error), "a stream fails in another way than a call"
        for shown in (repr(error), str(error), json.dumps(error.to_dict()), repr(error.__dict__)):
            assert self.key not in shown, "the API key is in the error"
        return error


class ProviderContract(ProviderAnswers, ProviderFailures):
    """Both halves. A provider that cannot be pointed at an address inherits only `ProviderAnswers`, and owes tests of its
    own for what can go wrong.
    """


@asynccontextmanager
async def _opened(provider: Provider) -> AsyncGenerator[Provider, None]:
    try:
        yield provider
    finally:
        await provider.close()


def _stream(provider: Provider, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
    return cast("AsyncGenerator[AgentChunk, None]", provider.stream(request))


async def _error_of(provider: Provider, request: CompletionRequest) -> LLMSpellError:
    with pytest.raises(LLMSpellError) as caught:
        await provider.complete(request)
    return caught.value


async def _collected(provider: Provider, request: CompletionRequest) -> Completion:
    """The completion that the chunks make up. Raises: AssertionError when their order is wrong."""
    answer, ends = Completion(), 0
    async with aclosing(_stream(provider, request)) as chunks:
        async for chunk in chunks:
            assert not ends, f"a {chunk.type} chunk comes after the end"
            if chunk.type == "text":
                answer.text += chunk.text
            elif chunk.type == "tool_call" and chunk.call is not None:
                answer.tool_calls.append(chunk.call)
            elif chunk.type == "end":
                ends += 1
                answer.usage = chunk.usage or Usage()
                answer.finish_reason = (chunk.data or {})["finish_reason"]
    assert ends == 1, "the stream has no end chunk"
    return answer


def _own(leftovers: list[str]) -> list[str]:
    """Without the connections that a client keeps for its next request, and their other ends."""
    return [left for left in leftovers if not left.startswith(("file socket", "task fake server"))]


def _check_usage(usage: Usage) -> None:
    assert usage.input_tokens > 0, "usage.input_tokens is missing"
    assert usage.output_tokens > 0, "usage.output_tokens is missing"


def _check_call(answer: Completion, names: set[str]) -> None:
    assert answer.tool_calls, f"no tool was called; the text is {answer.text!r}"
    call = answer.tool_calls[0]
    assert call.tool_name in names
    assert call.tool_id, "the call has no id"
    known = {"weather": "city", "clock": "zone"}[call.tool_name]
    assert set(call.parameters) == {known}, f"the arguments are {call.parameters!r}"
