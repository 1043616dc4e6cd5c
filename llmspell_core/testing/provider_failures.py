"""The half of the provider contract in which the server fails."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from llmspell_core.errors import (
    AuthenticationError,
    LLMSpellError,
    NetworkError,
    ProviderError,
    RateLimitError,
    TimeoutError,
)
from llmspell_core.messages import Message
from llmspell_core.provider import CompletionRequest, Provider
from llmspell_core.testing.contract import Contract
from llmspell_core.testing.exchange import collected, error_of, opened, stream_of
from llmspell_core.testing.fake_server import FakeServer, Reply

__all__ = ["ProviderFailures"]


class ProviderFailures(Contract):
    """What a provider says when its server fails. Attributes to set in the subclass:

    model: a name that the failing server is asked for.
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
        async with opened(self.make_provider_at(f"http://127.0.0.1:{port}")) as provider:
            error = await error_of(provider, self.failing_request())
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
            async with FakeServer(reply) as server, opened(self.make_provider_at(server.url)) as provider:
                with pytest.raises((NetworkError, ProviderError)):
                    await collected(provider, self.failing_request())

    async def test_cancelling_closes_the_connection(self) -> None:
        """The server must see that nobody listens any longer, or it goes on working (and charging).

        If this fails, await the vendor's call directly, without shielding it or moving it to another task.
        """
        async with FakeServer(Reply(hang=True)) as server, opened(self.make_provider_at(server.url)) as provider:
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
        async with FakeServer(reply) as server, opened(self.make_provider_at(server.url)) as provider:
            async with aclosing(stream_of(provider, self.failing_request())) as chunks:
                assert (await anext(chunks)).type == "text"
            await server.all_closed()

    async def _failing(self, reply: Reply, **fields: Any) -> LLMSpellError:
        """The error of a call that meets `reply`, the same for a stream; neither shows the key."""
        async with FakeServer(reply) as server, opened(self.make_provider_at(server.url)) as provider:
            error = await error_of(provider, self.failing_request(**fields))
            with pytest.raises(LLMSpellError) as streamed:
                await collected(provider, self.failing_request(**fields))
        assert type(streamed.value) is type(error), "a stream fails in another way than a call"
        for shown in (repr(error), str(error), json.dumps(error.to_dict()), repr(error.__dict__)):
            assert self.key not in shown, "the API key is in the error"
        return error
