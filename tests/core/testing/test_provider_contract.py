"""The provider contract passes a correct provider, and each broken one fails on the test that is meant to catch it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmspell_core.errors import (
    AuthenticationError,
    ContentRefusedError,
    LLMSpellError,
    NetworkError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    SecurityError,
    TimeoutError,
)
from llmspell_core.messages import AgentChunk, ToolCall, Usage
from llmspell_core.provider import Completion, CompletionRequest, Health, Provider, ProviderSettings
from llmspell_core.provider.failures import ServerFailures
from llmspell_core.provider.reading import count_of
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.fake_server import FakeServer, Received, Reply, events

# the built-in one; ours has the specification's name
Expired = asyncio.TimeoutError


class Tiny(Provider):
    """A correct provider of a small protocol: a JSON question, a JSON answer or events of one letter each."""

    seconds = 0.8

    async def complete(self, request: CompletionRequest) -> Completion:
        async with self.asked(request, False) as answer:
            return self.completion(await self.whole(answer))

    async def whole(self, answer: AsyncIterator[bytes]) -> dict[str, Any]:
        return self.parsed(b"".join([part async for part in answer]))

    def completion(self, data: dict[str, Any]) -> Completion:
        calls = [ToolCall("c1", c["name"], c["arguments"]) for c in data["calls"]]
        return Completion(data["text"], calls, self.usage(*data["usage"]), "tiny", data["finish"])

    def usage(self, asked: Any, said: Any) -> Usage:
        return Usage(count_of(asked), count_of(said))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        ended = False
        async with self.asked(request, True) as answer:
            async for part in answer:
                for line in part.splitlines():
                    payload = self.payload(line)
                    if payload in {b"", b"null", b"[]", b"[DONE]"}:
                        continue
                    data = self.parsed(payload)
                    ended = ended or "finish" in data
                    for chunk in self.chunks(data):
                        yield chunk
        if not ended:
            raise NetworkError("the stream broke off")

    def payload(self, line: bytes) -> bytes:
        field, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        return value.strip() if field == b"data" else b"" if not field else line

    def chunks(self, data: dict[str, Any]) -> list[AgentChunk]:
        if "finish" not in data:
            return [AgentChunk("text", text=data["letter"])]
        done = self.completion({"text": "", **data})
        calls = [AgentChunk("tool_call", call=call) for call in done.tool_calls]
        reason = {"finish_reason": done.finish_reason, "model": "tiny"}
        return [*calls, AgentChunk("end", usage=done.usage, data=reason)]

    def parsed(self, data: bytes) -> dict[str, Any]:
        try:
            found = json.loads(data)
            if not isinstance(found, dict) or not {"text", "letter", "finish", "error"} & found.keys():
                raise ValueError
        except (ValueError, RecursionError):
            raise ProviderError("that is no answer", hint="Check the address.") from None
        if "error" in found:
            raise self.failures.in_answer(found["error"], "tiny")
        made: dict[str, Any] = found
        return made

    @property
    def failures(self) -> ServerFailures:
        return ServerFailures(self.settings, "TINY_KEY", str(self.settings.base_url))

    @asynccontextmanager
    async def asked(self, request: CompletionRequest, streamed: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            async with asyncio.timeout(request.timeout or self.seconds):
                reader, writer = await self.connect()
        except Expired:
            raise TimeoutError("too slow", hint="Wait longer.") from None
        try:
            async with self.limit(request):
                await self.send(writer, self.body(request, streamed))
                yield await self.receive(reader)
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    @asynccontextmanager
    async def limit(self, request: CompletionRequest) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(request.timeout or self.seconds):
                yield
        except Expired:
            raise TimeoutError("too slow", hint="Wait longer.") from None
        except (ConnectionError, asyncio.IncompleteReadError, ValueError, IndexError):
            raise NetworkError("it broke off", hint="Try again.") from None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = urlsplit(str(self.settings.base_url))
        address, *_ = await self.addresses(str(url.hostname), url.port or 80)
        try:
            return await asyncio.open_connection(address, url.port)
        except OSError:
            raise NetworkError(f"nobody is at {url.netloc}", hint="Start the server.") from None

    async def addresses(self, host: str, port: int) -> list[str]:
        return await self.wire(str(self.settings.base_url)).addresses(host, port)

    @property
    def key(self) -> str | None:
        return self.settings.api_key

    def body(self, request: CompletionRequest, streamed: bool) -> dict[str, Any]:
        return question(request, streamed)

    async def send(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        key = f"Authorization: Bearer {self.key}\r\n"
        writer.write(f"POST / HTTP/1.1\r\n{key}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()

    async def receive(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        status = int((await reader.readline()).split()[1])
        headers: dict[str, str] = {}
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if 300 <= status < 400:
            await self.redirected(headers["location"])
        if status >= 400:
            raise self.refused(status, headers, await reader.read(int(headers["content-length"])))
        return self.parts(reader, headers)

    async def redirected(self, location: str) -> None:
        raise SecurityError(f"sent on to {location}", violation_type="host_denied", hint="Stay.")

    async def parts(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
        if "content-length" in headers:
            yield await reader.readexactly(int(headers["content-length"]))
            return
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]

    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        return self.failures.of_status(status, words_of(body), "tiny", headers=headers)

    async def list_models(self) -> list[str]:
        return ["test-model"]


def words_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return body.decode("utf-8", "replace")


def question(request: CompletionRequest, streamed: bool) -> dict[str, Any]:
    words = [m.content for m in request.messages]
    tools = [t.name for t in request.tools]
    fields = {"words": words, "tools": tools, "choice": request.tool_choice, "max_tokens": request.max_tokens}
    return fields | {"stream": streamed, "schema": request.response_schema is not None}


def answer(received: Received) -> Reply:
    """The server of that protocol."""
    body = received.json()
    text, calls, finish = turn(body)
    usage = [sum(len(w.split()) for w in body["words"]), max(1, len(text.split()))]
    if body["stream"]:
        letters = [{"letter": letter} for letter in text]
        return Reply(pieces=events(*letters, {"calls": calls, "usage": usage, "finish": finish}))
    return Reply(body={"text": text, "calls": calls, "usage": usage, "finish": finish})


def turn(body: dict[str, Any]) -> tuple[str, list[dict[str, Any]], str]:
    if body["tools"] and body["choice"] not in {"auto", "none"}:
        name = body["tools"][0] if body["choice"] == "required" else body["choice"]
        return "", [{"name": name, "arguments": {"city" if name == "weather" else "zone": "Paris"}}], "tool_calls"
    if body["schema"]:
        return '{"name": "Bob", "age": 30}', [], "stop"
    words = f"You said {body['words'][-1]}".split()
    limit = body["max_tokens"] or 99
    return " ".join(words[:limit]), [], "length" if len(words) >= limit else "stop"


def contract(provider: type[Provider], url: str) -> ProviderContract:
    class TestIt(ProviderContract):
        def make_provider(self) -> Provider:
            return self.make_provider_at(url)

        def make_provider_at(self, url: str) -> Provider:
            return provider(ProviderSettings("tiny", "tiny", base_url=url, api_key=self.key))

        def make_odd_answers(self) -> Mapping[str, tuple[Any, Completion]]:
            body = {"text": "hi", "calls": [], "usage": ["7", 2.0], "finish": "stop"}
            return {"counts in words": (body, Completion("hi", usage=Usage(7, 2)))}

        def make_stream_start(self) -> list[bytes | float]:
            return [b'data: {"letter": "H"}\n\n']

    return TestIt()


SUITE = [name for name in dir(ProviderContract) if name.startswith("test_") and "overridden" not in name]
ARGUMENTS: dict[str, Any] = {"status": 500, "body": b"<html>", "end": "\n", "nothing": b": still here", "wait": "inf"}


async def run(name: str, provider: type[Provider]) -> None:
    async with FakeServer(answer) as server:
        method: Callable[..., Awaitable[None]] = getattr(contract(provider, server.url), name)
        wanted = method.__code__.co_varnames[: method.__code__.co_argcount]
        given = ARGUMENTS | ({"status": 307} if "redirect" in name else {})
        await method(**{k: v for k, v in given.items() if k in wanted})


@pytest.mark.parametrize("name", SUITE)
async def test_a_correct_provider_passes(name: str) -> None:
    await run(name, Tiny)


class CountsNothing(Tiny):
    def completion(self, data: dict[str, Any]) -> Completion:
        return replace(super().completion(data), usage=Usage(1, 1))


class NoUsage(Tiny):
    def completion(self, data: dict[str, Any]) -> Completion:
        return replace(super().completion(data), usage=Usage())


class TakesCountsAsTheyAre(Tiny):
    def usage(self, asked: Any, said: Any) -> Usage:
        return Usage(asked, said)


class TripsOverComments(Tiny):
    def payload(self, line: bytes) -> bytes:
        return line.removeprefix(b"data: ")


class HidesErrors(Tiny):
    def parsed(self, data: bytes) -> dict[str, Any]:
        if b'"error"' in data:
            raise ProviderError("that is no answer", hint="Check the address.")
        return super().parsed(data)


class LetsRecursionOut(Tiny):
    def parsed(self, data: bytes) -> dict[str, Any]:
        json.loads(data)
        return super().parsed(data)


class NoCredit(Tiny):
    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        return QuotaExceededError("no credit left") if b"quota" in body else super().refused(status, headers, body)


class BelievesAnyWait(Tiny):
    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        return RateLimitError("slower", retry_after=float(headers["retry-after"]))


class SeesRefusals(Tiny):
    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        return ContentRefusedError("it declined") if b"safety" in body else super().refused(status, headers, body)


class ShowsPages(Tiny):
    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        return ProviderError(body.decode())


class LosesALetter(Tiny):
    def chunks(self, data: dict[str, Any]) -> list[AgentChunk]:
        return [] if data.get("letter") == "Y" else super().chunks(data)


class NoEnd(Tiny):
    def chunks(self, data: dict[str, Any]) -> list[AgentChunk]:
        return [c for c in super().chunks(data) if c.type != "end"]


class NoStreamedCalls(Tiny):
    def chunks(self, data: dict[str, Any]) -> list[AgentChunk]:
        return [c for c in super().chunks(data) if c.type != "tool_call"]


class Forgets(Tiny):
    """Leaves one field of the request out."""

    field: str = ""
    value: Any = None

    def body(self, request: CompletionRequest, streamed: bool) -> dict[str, Any]:
        return super().body(request, streamed) | {self.field: self.value}


class ForgetsLimit(Forgets):
    field = "max_tokens"


class ForgetsChoice(Forgets):
    field, value = "choice", "auto"


class ForgetsSchema(Forgets):
    field, value = "schema", False


class RemembersTheLastRequest(Tiny):
    async def complete(self, request: CompletionRequest) -> Completion:
        self.last = request
        await asyncio.sleep(0)
        return await super().complete(self.last)


class ChangesTheRequest(Tiny):
    async def complete(self, request: CompletionRequest) -> Completion:
        answer = await super().complete(request)
        request.messages.append(request.messages[0])
        return answer


class LeavesATaskWhenLeft(Tiny):
    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        self.task = asyncio.ensure_future(asyncio.sleep(60))
        async for chunk in super().stream(request):
            yield chunk
        self.task.cancel()


class LeavesATask(Tiny):
    async def complete(self, request: CompletionRequest) -> Completion:
        self.task = asyncio.ensure_future(asyncio.sleep(60))
        return await super().complete(request)


class NoModels(Tiny):
    async def health(self) -> Health:
        return Health(True)


class OneErrorForAll(Tiny):
    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        return LLMSpellError(f"status {status}", hint="Hm.")


class ShowsTheKey(Tiny):
    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        made = super().refused(status, headers, body)
        made.hint = body.decode()
        return made


class ForgetsTheWait(Tiny):
    def refused(self, status: int, headers: dict[str, str], body: bytes) -> LLMSpellError:
        return super().refused(status, {"retry-after": "0"}, body)


class LetsOSErrorOut(Tiny):
    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = urlsplit(str(self.settings.base_url))
        return await asyncio.open_connection(url.hostname, url.port)


class SaysNetworkForSlow(Tiny):
    @asynccontextmanager
    async def limit(self, request: CompletionRequest) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(0.2):
                yield
        except Expired:
            raise NetworkError("slow", hint="Wait.") from None


class LetsGarbageOut(Tiny):
    def parsed(self, data: bytes) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(data)
        return made

    @asynccontextmanager
    async def limit(self, request: CompletionRequest) -> AsyncIterator[None]:
        yield


class TakesHalfForWhole(Tiny):
    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        ended = False
        try:
            async for chunk in super().stream(request):
                ended = chunk.type == "end"
                yield chunk
        except NetworkError:
            if not ended:
                yield AgentChunk("end", usage=Usage(1, 1), data={"finish_reason": "stop", "model": "tiny"})


class Shields(Tiny):
    seconds = 3.0

    async def complete(self, request: CompletionRequest) -> Completion:
        self.work = asyncio.ensure_future(super().complete(request))
        return await asyncio.shield(self.work)

    async def close(self) -> None:
        await asyncio.wait([self.work])
        self.work.exception()


class KeepsTheStream(Tiny):
    seconds = 3.0

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        self.inner = super().stream(request)
        async for chunk in self.inner:
            yield chunk

    async def close(self) -> None:
        await self.inner.aclose()


class ReadsAVariable(Tiny):
    @property
    def key(self) -> str | None:
        return super().key or os.environ.get("TINY_API_KEY")


class FollowsAnybody(Tiny):
    async def redirected(self, location: str) -> None:
        url = urlsplit(location)
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        await self.send(writer, {})
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        await super().redirected(location)


class SendsAnyKey(Tiny):
    async def addresses(self, host: str, port: int) -> list[str]:
        return [host]


class ReadsAKeyOfItsOwn(Tiny):
    async def addresses(self, host: str, port: int) -> list[str]:
        raise AuthenticationError("the key is too long")


BROKEN: list[tuple[type[Provider], str]] = [
    (NoUsage, "test_it_answers_with_text_usage_and_a_reason"),
    (CountsNothing, "test_usage_counts_grow_with_the_prompt"),
    (LosesALetter, "test_the_chunks_of_a_stream_add_up_to_the_answer"),
    (NoEnd, "test_the_chunks_of_a_stream_add_up_to_the_answer"),
    (NoStreamedCalls, "test_a_streamed_tool_call_arrives_whole"),
    (ForgetsLimit, "test_max_tokens_ends_the_answer"),
    (ForgetsChoice, "test_a_forced_tool_is_called_and_its_result_is_taken"),
    (ForgetsChoice, "test_any_tool_can_be_required"),
    (ForgetsSchema, "test_a_schema_gives_json_of_that_schema"),
    (RemembersTheLastRequest, "test_several_requests_at_once_do_not_mix"),
    (ChangesTheRequest, "test_the_request_is_left_as_it_was"),
    (LeavesATaskWhenLeft, "test_a_stream_left_early_and_a_cancelled_call_leave_nothing_behind"),
    (LeavesATask, "test_closing_leaves_nothing_behind"),
    (NoModels, "test_health_names_models"),
    (OneErrorForAll, "test_a_refused_key_is_an_authentication_error"),
    (ShowsTheKey, "test_a_refused_key_is_an_authentication_error"),
    (OneErrorForAll, "test_too_many_requests_is_a_rate_limit_error_with_the_wait"),
    (ForgetsTheWait, "test_too_many_requests_is_a_rate_limit_error_with_the_wait"),
    (OneErrorForAll, "test_an_outage_is_a_retryable_provider_error"),
    (LetsOSErrorOut, "test_an_unreachable_server_is_a_network_error"),
    (SaysNetworkForSlow, "test_silence_ends_at_the_time_limit"),
    (LetsGarbageOut, "test_garbage_is_an_error_of_ours"),
    (TakesHalfForWhole, "test_a_stream_that_breaks_off_is_an_error"),
    (TakesCountsAsTheyAre, "test_odd_answers_mean_what_they_mean"),
    (TripsOverComments, "test_what_keeps_a_stream_open_is_no_part_of_it"),
    (NoCredit, "test_a_quota_that_a_moment_helps_is_a_rate_limit"),
    (BelievesAnyWait, "test_a_wait_that_is_no_time_is_none"),
    (SeesRefusals, "test_a_word_in_the_name_of_a_parameter_is_no_refusal"),
    (HidesErrors, "test_an_error_with_status_200_is_told_in_its_words"),
    (ShowsPages, "test_a_page_is_shown_as_its_text"),
    (LetsRecursionOut, "test_json_without_end_is_an_error_of_ours"),
    (Shields, "test_cancelling_closes_the_connection"),
    (KeepsTheStream, "test_leaving_a_stream_early_closes_the_connection"),
    (ReadsAVariable, "test_nothing_of_the_environment_goes_over_the_wire"),
    (FollowsAnybody, "test_a_redirect_to_another_server_is_refused"),
    (SendsAnyKey, "test_a_key_that_no_header_carries_is_refused_unseen"),
    (ReadsAKeyOfItsOwn, "test_a_line_break_at_the_end_of_a_key_is_no_part_of_it"),
    (SendsAnyKey, "test_a_server_that_a_caller_named_is_judged_by_the_policy"),
]


@pytest.mark.parametrize(("provider", "name"), BROKEN, ids=[f"{p.__name__}-{n[5:40]}" for p, n in BROKEN])
async def test_a_broken_provider_fails_on_the_test_that_is_meant_for_it(provider: type[Provider], name: str) -> None:
    with pytest.raises((AssertionError, OSError, ValueError, RecursionError, LLMSpellError, pytest.fail.Exception)):
        await run(name, provider)


def test_every_test_of_the_contract_is_shown_to_catch_something() -> None:
    assert {name for _, name in BROKEN} == set(SUITE)


def test_every_test_of_the_contract_says_what_to_do() -> None:
    for name in SUITE:
        assert "If this fails, " in str(getattr(ProviderContract, name).__doc__), name
