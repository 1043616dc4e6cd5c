"""What is special about this protocol: content, tools in pieces, usage, presets, retries, every kind of refusal."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest
from llmspell_provider_openai.presets import PRESETS
from llmspell_provider_openai.provider import OpenAIProvider

from llmspell_core import errors
from llmspell_core.messages import AgentChunk, Media, Message, ToolCall
from llmspell_core.provider import INVALID_JSON, Completion, CompletionRequest, ProviderSettings, ToolDefinition
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Reply, events

KEY = "sk-test-51f0aa93"
ADD = ToolDefinition("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}})


def provider_at(url: str, kind: str = "openai", **settings: Any) -> OpenAIProvider:
    given: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": KEY, "max_retries": 0} | settings
    return OpenAIProvider(ProviderSettings("mine", kind, **given))


def request(**fields: Any) -> CompletionRequest:
    return CompletionRequest("m", fields.pop("messages", [Message("user", "Hi.")]), **fields)


def completion(finish: str = "stop", **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None} | message, "finish_reason": finish}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice], "usage": usage}


def chunk(finish: str | None = None, usage: dict[str, int] | None = None, **delta: Any) -> dict[str, Any]:
    made = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "usage": usage}
    return made | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def stream(*chunks: Any, done: bool = True) -> Reply:
    return Reply(pieces=events(*chunks, done=done), headers={"Content-Type": "text/event-stream"})


async def ask(reply: Reply | list[Reply], asked: CompletionRequest, **settings: Any) -> tuple[Completion, FakeServer]:
    async with FakeServer(reply) as server:
        provider = provider_at(server.url, **settings)
        try:
            return await provider.complete(asked), server
        finally:
            await provider.close()


async def listen(
    reply: Reply | list[Reply], asked: CompletionRequest, **settings: Any
) -> tuple[list[AgentChunk], FakeServer]:
    async with FakeServer(reply) as server:
        provider = provider_at(server.url, **settings)
        try:
            return [piece async for piece in provider.stream(asked)], server
        finally:
            await provider.close()


async def sent(asked: CompletionRequest, **settings: Any) -> dict[str, Any]:
    _, server = await ask(Reply(body=completion(content="ok")), asked, **settings)
    body: dict[str, Any] = server.received[0].json()
    return body


# -- what is sent ---------------------------------------------------------------------------------------------------


async def test_a_plain_request_holds_what_was_asked_and_nothing_else() -> None:
    body = await sent(request(temperature=0.5, max_tokens=9, stop=["\n"], seed=4, options={"top_p": 0.9}))
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi."}],
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["\n"],
        "seed": 4,
        "top_p": 0.9,
    }


async def test_images_go_as_data_urls_and_sound_as_input_audio() -> None:
    media = [
        Media("image", "aGk=", "image/jpeg"),
        Media("image", "https://example.org/x.png"),
        Media("audio", "c28=", "audio/mpeg"),
        Media("text", "notes"),
    ]
    body = await sent(request(messages=[Message("user", "Look.", media=media)]))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
        {"type": "input_audio", "input_audio": {"data": "c28=", "format": "mp3"}},
        {"type": "text", "text": "notes"},
    ]


async def test_content_that_the_protocol_cannot_carry_is_refused_before_it_is_sent() -> None:
    async with FakeServer(Reply(body=completion(content="ok"))) as server:
        provider = provider_at(server.url)
        with pytest.raises(errors.ValidationError, match="cannot carry video/mp4"):
            await provider.complete(request(messages=[Message("user", "", media=[Media("video", "", "video/mp4")])]))
        await provider.close()
        assert not server.received


async def test_a_tool_conversation_goes_back_with_its_ids() -> None:
    call = ToolCall("call_1", "add", {"a": 1})
    messages = [
        Message("user", "1+1?"),
        Message("assistant", tool_calls=[call]),
        Message("tool", "2", tool_call_id="call_1"),
    ]
    body = await sent(request(messages=messages, tools=[ADD]))
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",  # null is more than some servers of one's own can read
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "content": "2", "tool_call_id": "call_1"},
    ]
    assert body["tool_choice"] == "auto"
    assert body["tools"][0]["function"] == ADD.to_dict()


@pytest.mark.parametrize(
    ("kind", "base_url", "field"),
    [("openai", None, "max_completion_tokens"), ("openai", "own", "max_tokens"), ("groq", "own", "max_tokens")],
)
def test_the_limit_has_the_name_that_the_server_knows(kind: str, base_url: str | None, field: str) -> None:
    url = "http://127.0.0.1:1/v1" if base_url else None
    provider = OpenAIProvider(ProviderSettings("mine", kind, base_url=url, api_key=KEY))
    assert provider.dialect.max_tokens_field == field


async def test_a_preset_speaks_the_dialect_of_its_vendor() -> None:
    asked = request(seed=4, tools=[ADD], tool_choice="required")
    body = completion(
        "tool_calls", tool_calls=[{"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]
    )
    _, server = await ask(Reply(body=body), asked, kind="mistral")
    assert server.received[0].json()["random_seed"] == 4
    assert server.received[0].json()["tool_choice"] == "any"
    _, server = await listen(stream(chunk("stop", content="a")), request(), kind="mistral")
    assert "stream_options" not in server.received[0].json()


async def test_headers_of_the_user_are_sent_and_account_names_of_the_environment_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-private")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    _, server = await ask(Reply(body=completion(content="ok")), request(), headers={"X-Team": "blue"})
    headers = server.received[0].headers
    assert headers["x-team"] == "blue"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "private" not in json.dumps(headers)


# -- what comes back ------------------------------------------------------------------------------------------------


async def test_several_calls_at_once_are_all_there_and_a_bad_one_is_marked() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "add", "arguments": '{"a": '}},
        {"id": "c", "type": "function", "function": {"name": "add", "arguments": "[1]"}},
        {"id": "d", "type": "function", "function": {"name": "now", "arguments": ""}},
    ]
    answer, _ = await ask(Reply(body=completion("stop", tool_calls=calls)), request(tools=[ADD]))
    assert [c.tool_id for c in answer.tool_calls] == ["a", "b", "c", "d"]
    assert [c.parameters for c in answer.tool_calls] == [{"a": 1}, {INVALID_JSON: '{"a": '}, {INVALID_JSON: "[1]"}, {}]
    assert answer.finish_reason == "tool_calls", "some servers say stop"


def piece(index: int | None, arguments: str, call_id: str | None = None, name: str | None = None) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize("indexed", [True, False], ids=["with index", "without index"])
async def test_calls_that_stream_in_pieces_are_put_together(indexed: bool) -> None:
    first, second = (0, 1) if indexed else (None, None)
    chunks, _ = await listen(
        stream(
            chunk(role="assistant", content="Let me see."),
            chunk(**piece(first, '{"a"', "x", "add")),
            chunk(**piece(first, ": 1}")),
            chunk(**piece(second, '{"a": ', "y", "add")),
            chunk(**piece(second, "2}")),
            chunk("tool_calls"),
        ),
        request(tools=[ADD]),
    )
    assert [c.type for c in chunks] == ["text", *["tool_call_progress"] * 4, "tool_call", "tool_call", "end"]
    assert [c.arguments for c in chunks[1:5]] == ['{"a"', '{"a": 1}', '{"a": ', '{"a": 2}']
    made = [c.call for c in chunks if c.call]
    assert [(c.tool_id, c.tool_name, c.parameters) for c in made] == [("x", "add", {"a": 1}), ("y", "add", {"a": 2})]
    assert [c.chunk_index for c in chunks] == list(range(8))
    assert len({c.stream_id for c in chunks}) == 1


async def test_pieces_that_come_in_the_new_and_in_the_old_form_count_once() -> None:
    """As llama-cpp-python's server sends them."""

    def both(arguments: str, name: str | None = None) -> dict[str, Any]:
        old = {"name": name, "arguments": arguments}
        return chunk(**piece(0, arguments, "x" if name else None, name), function_call=old)

    chunks, _ = await listen(
        stream(chunk(role="assistant"), both('{"a"', "add"), both(": 1}"), chunk("tool_calls")), request(tools=[ADD])
    )
    [made] = [each.call for each in chunks if each.call]
    assert (made.tool_name, made.parameters) == ("add", {"a": 1})
    old = {"name": "add", "arguments": '{"a": 2}'}
    chunks, _ = await listen(stream(chunk(function_call=old), chunk("function_call")), request(tools=[ADD]))
    assert [each.call.parameters for each in chunks if each.call] == [{"a": 2}]


async def test_usage_is_asked_for_and_taken_from_the_last_event() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    last = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [], "usage": usage}
    chunks, server = await listen(stream(chunk(content="a"), chunk("stop"), last), request())
    assert server.received[0].json()["stream_options"] == {"include_usage": True}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.input_tokens == 7
    assert chunks[-1].data == {"finish_reason": "stop", "model": "m-1"}


async def test_a_server_that_knows_no_usage_in_streams_is_asked_without() -> None:
    refusal = Reply(422, {"detail": "extra inputs are not permitted: stream_options"})
    chunks, server = await listen([refusal, stream(chunk("stop", content="a"))], request())
    assert [c.type for c in chunks] == ["text", "end"]
    assert "stream_options" not in server.received[1].json()


async def test_a_forced_tool_that_is_ignored_is_forced_by_its_schema() -> None:
    prose, call = completion(content="It is two."), completion(content='{"name": "add", "arguments": {"a": 1}}')
    asked = request(tools=[ADD], tool_choice="add")
    answer, server = await ask([Reply(body=prose), Reply(body=call)], asked)
    assert answer.tool_calls[0].parameters == {"a": 1}
    assert answer.usage.total_tokens == 10, "both answers were paid for"
    assert server.received[1].json()["response_format"]["type"] == "json_schema"
    text = call["choices"][0]["message"]["content"]
    streamed, _ = await listen(
        [
            stream(chunk(content="It is two."), chunk("stop")),
            stream(chunk(content=text), chunk("stop")),
        ],
        asked,
    )
    assert [c.type for c in streamed] == ["tool_call_progress", "tool_call", "end"], "the prose must not be seen"
    assert streamed[-1].data is not None
    assert streamed[-1].data["finish_reason"] == "tool_calls"


async def test_an_error_within_a_stream_is_an_error() -> None:
    for code, kind in (("context_length_exceeded", errors.ContextTooLongError), (None, errors.ProviderError)):
        broken = stream(chunk(content="a"), {"error": {"message": "it failed", "code": code}})
        with pytest.raises(kind, match="it failed"):
            await listen(broken, request())


async def test_a_refusal_is_an_error_of_its_own() -> None:
    with pytest.raises(errors.ContentRefusedError, match="I cannot do that"):
        await ask(Reply(body=completion(refusal="I cannot do that")), request())
    with pytest.raises(errors.ContentRefusedError, match="I cannot"):
        await listen(stream(chunk(refusal="I cannot"), chunk("stop")), request())


# -- what is refused ------------------------------------------------------------------------------------------------

REFUSALS = [
    (
        400,
        {"message": "This model's maximum context length is 4096", "code": "context_length_exceeded"},
        "ContextTooLongError",
    ),
    (400, {"message": "the request exceeds the available context size"}, "ContextTooLongError"),
    (400, {"message": "flagged", "code": "content_filter"}, "ContentRefusedError"),
    (400, {"message": "temperature is too high", "param": "temperature"}, "ValidationError"),
    (402, {"message": "Payment required"}, "QuotaExceededError"),
    (403, {"message": "not for you"}, "AuthenticationError"),
    (404, {"message": "The model `m` does not exist", "code": "model_not_found"}, "ModelNotFoundError"),
    (404, {"message": "Not Found"}, "ConfigurationError"),
    (408, {"message": "too slow"}, "TimeoutError"),
    (409, {"message": "conflict"}, "ValidationError"),
    (413, {"message": "Payload too large"}, "ContextTooLongError"),
    (422, {"message": "unprocessable"}, "ValidationError"),
    (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}, "QuotaExceededError"),
    (429, {"message": "Rate limit reached"}, "RateLimitError"),
    (503, {"message": "Loading model"}, "OverloadedError"),
    (529, {"message": "Overloaded"}, "OverloadedError"),
]


@pytest.mark.parametrize(("status", "error", "kind"), REFUSALS)
async def test_every_refusal_has_its_class_and_says_what_to_do(status: int, error: dict[str, Any], kind: str) -> None:
    with pytest.raises(errors.LLMSpellError) as caught:
        await ask(Reply(status, {"error": error}), request())
    assert type(caught.value).__name__ == kind
    assert caught.value.hint
    if kind != "TimeoutError":
        assert error["message"] in caught.value.message


async def test_no_exception_of_the_package_is_left_out() -> None:
    """Every class of error that the package can raise for a chat becomes one of ours."""
    import httpx2
    import openai

    failures = provider_at("http://127.0.0.1:1").failures
    sent_request = httpx2.Request("POST", "http://127.0.0.1:1")
    for cls in _below(openai.OpenAIError):
        error = cls.__new__(cls)
        Exception.__init__(error, "words")
        vars(error).update(message="words", request=sent_request, body=None, code=None, param=None, type=None)
        vars(error).update(
            response=httpx2.Response(418, request=sent_request), status_code=getattr(cls, "status_code", 418)
        )
        with pytest.raises(errors.LLMSpellError), failures.mapped("m", 1.0):
            raise error


def _below(cls: type[Exception]) -> list[type[Exception]]:
    return [found for child in cls.__subclasses__() for found in (child, *_below(child))]


async def test_a_rate_limit_is_waited_out_as_long_as_the_server_says() -> None:
    limited = Reply(429, {"error": {"message": "slow"}}, {"Retry-After-Ms": "150"})
    import time

    started = time.monotonic()
    answer, server = await ask([limited, Reply(body=completion(content="ok"))], request(), max_retries=1)
    assert answer.text == "ok"
    assert len(server.received) == 2
    assert time.monotonic() - started >= 0.15


@pytest.mark.parametrize("retry_after", ["3", "Wed, 21 Oct 2099 07:28:00 GMT"])
async def test_the_wait_is_in_the_error_when_the_attempts_are_used_up(retry_after: str) -> None:
    with pytest.raises(errors.RateLimitError) as caught:
        await ask(Reply(429, {"error": {"message": "slow"}}, {"Retry-After": retry_after}), request())
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 3


async def test_a_stream_that_stops_talking_ends_at_the_time_limit() -> None:
    slow = Reply(
        pieces=events(chunk(content="a"), done=False), hang=True, headers={"Content-Type": "text/event-stream"}
    )
    with pytest.raises(errors.TimeoutError, match=r"within 0\.3 seconds"):
        await listen(slow, request(timeout=0.3))


# -- keys and presets -----------------------------------------------------------------------------------------------


async def test_without_a_key_the_error_says_where_it_was_looked_for() -> None:
    provider = OpenAIProvider(ProviderSettings("groq", "groq"))
    with pytest.raises(errors.AuthenticationError) as caught:
        await provider.complete(request())
    assert caught.value.message == "provider 'groq' has no API key"
    hint = str(caught.value.hint)
    assert "GROQ_API_KEY" in hint
    assert "[providers.groq]" in hint
    assert "LLMSPELL_GROQ_API_KEY" in hint


async def test_a_server_of_ones_own_needs_no_key() -> None:
    answer, server = await ask(Reply(body=completion(content="ok")), request(), api_key=None)
    assert answer.text == "ok"
    assert KEY not in server.received[0].headers.get("authorization", "")


async def test_a_compatible_server_without_an_address_is_a_wrong_setting() -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        await OpenAIProvider(ProviderSettings("mine", "openai-compatible")).complete(request())
    assert caught.value.setting == "providers.mine.base_url"


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_installed_as_a_provider(name: str) -> None:
    from importlib.metadata import entry_points

    (point,) = [p for p in entry_points(group="llmspell.providers") if p.name == name]
    assert point.load() is OpenAIProvider
    provider = OpenAIProvider(ProviderSettings(name, name))
    assert provider.base_url == PRESETS[name].get("base_url")
    assert provider.needs_key == PRESETS[name].get("requires_key", True)


def test_the_package_is_not_imported_before_it_is_needed() -> None:
    program = """
import sys, llmspell_provider_openai.provider as plugin
assert "openai" not in sys.modules
plugin.OpenAIProvider.preload()
assert "openai" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# -- errors without a status ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "type": "rate_limit_error"}, "RateLimitError"),
        ({"message": "busy", "code": 503}, "OverloadedError"),
        ({"message": "The engine is overloaded", "type": "overloaded_error"}, "OverloadedError"),
        ({"message": "no", "code": "content_filter"}, "ContentRefusedError"),
        ({"message": "boom"}, "ProviderError"),
    ],
)
async def test_an_error_within_a_stream_has_the_class_that_its_words_mean(error: dict[str, Any], kind: str) -> None:
    failing = Reply(pieces=events({"error": error}), headers={"Content-Type": "text/event-stream"})
    with pytest.raises(errors.LLMSpellError) as caught:
        await listen(failing, request())
    assert type(caught.value).__name__ == kind
    assert caught.value.hint


async def test_an_answer_that_the_filter_took_away_is_a_refusal() -> None:
    with pytest.raises(errors.ContentRefusedError, match="content filter"):
        await ask(Reply(body=completion("content_filter", content=None)), request())
    with pytest.raises(errors.ContentRefusedError, match="content filter"):
        await listen(stream(chunk("content_filter")), request())


@pytest.mark.parametrize(("status", "error"), [(429, None), (503, None), (429, "RateLimitError")])
async def test_a_request_is_made_again_when_the_server_says(status: int, error: str | None) -> None:
    limited = Reply(status, {"error": {"message": "slow down"}}, {"Retry-After": "0.2"})
    async with FakeServer([limited] * (9 if error else 1) + [Reply(body=completion(content="ok"))]) as server:
        table = {"base_url": f"{server.url}/v1", "api_key": KEY} | ({"max_retries": 0} if error else {})
        async with Runtime({"providers": {"openai": table}}) as runtime:
            provider, began = await runtime.providers.get("openai"), time.perf_counter()
            if error:
                with pytest.raises(errors.LLMSpellError) as caught:
                    await provider.complete(request())
                assert type(caught.value).__name__ == error
                return
            assert (await provider.complete(request())).text
    assert len(server.received) == 2
    assert time.perf_counter() - began >= 0.2
