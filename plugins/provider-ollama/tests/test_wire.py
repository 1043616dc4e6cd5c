"""The documented bodies, from files, through the vendor's client; and what goes out."""

from __future__ import annotations

import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from llmspell_provider_ollama.client import Client
from llmspell_provider_ollama.provider import OllamaProvider

from llmspell_core.errors import (
    ContextTooLongError,
    LLMSpellError,
    ModelNotFoundError,
    NetworkError,
    ProviderError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.messages import AgentChunk, Media, Message, ToolCall
from llmspell_core.provider import CompletionRequest, ProviderSettings, PullProgress, ToolDefinition
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

WIRE = Path(__file__).parent / "wire"
NESTED = {
    "type": "object",
    "properties": {"where": {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}}},
    "required": ["where"],
}
WEATHER = ToolDefinition("weather", "Tells the weather.", NESTED)


def wire(name: str) -> bytes:
    return (WIRE / name).read_bytes()


def streamed(name: str) -> Reply:
    return Reply(pieces=list(wire(name).splitlines(keepends=True)), headers={"Content-Type": "application/x-ndjson"})


def provider(url: str, **options: Any) -> OllamaProvider:
    return OllamaProvider(ProviderSettings("ollama", "ollama", base_url=url, options=options))


def request(*messages: Message, **fields: Any) -> CompletionRequest:
    return CompletionRequest("llama3.2", list(messages) or [Message("user", "Hi.")], **fields)


async def chunks_of(made: OllamaProvider, asked: CompletionRequest) -> list[AgentChunk]:
    async with aclosing(made.stream(asked)) as chunks:
        return [chunk async for chunk in chunks]


def library(received: Received) -> Reply:
    """A server that has models, pulls them and deletes them."""
    if received.path == "/api/pull":
        return streamed("pull_unknown.ndjson" if received.json()["model"] == "nonsense" else "pull.ndjson")
    if received.path == "/api/delete":
        return Reply()
    return Reply(body=wire(f"{received.path.removeprefix('/api/')}.json"))


@pytest.mark.parametrize("name", ["chat.json", "tools.json"])
async def test_the_vendors_client_parses_every_answer_file(name: str) -> None:
    async with FakeServer(Reply(body=wire(name))) as server, Client(server.url) as client:
        reply = await client.chat("llama3.2", [{"role": "user", "content": "Hi."}])
    assert reply.done
    assert reply.eval_count


@pytest.mark.parametrize("name", ["chat.ndjson", "tools.ndjson", "cut.ndjson"])
async def test_the_vendors_client_parses_every_stream_file(name: str) -> None:
    async with FakeServer(streamed(name)) as server, Client(server.url) as client:
        parts = [part async for part in await client.chat("llama3.2", [], stream=True)]
    assert len(parts) == len(wire(name).splitlines())


@pytest.mark.parametrize("name", ["pull.ndjson", "tags.json", "ps.json"])
async def test_the_vendors_client_parses_every_file_about_models(name: str) -> None:
    async with FakeServer(library) as server, Client(server.url) as client:
        pulled = [event async for event in await client.pull("smollm2:135m", stream=True)]
        listed, running = await client.list(), await client.ps()
    assert pulled[-1].status == "success"
    assert [model.model for model in listed.models] == ["llama3.2:latest", "smollm2:135m"]
    assert len(running.models) == 1


async def test_an_answer_has_text_counts_and_costs_nothing() -> None:
    async with FakeServer(Reply(body=wire("chat.json"))) as server:
        made = provider(server.url)
        answer = await made.complete(request())
        await made.close()
    assert answer.text == "Hello! How are you today?"
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.cost_usd) == (26, 8, 0.0)


async def test_parallel_calls_get_ids_of_their_own() -> None:
    async with FakeServer(Reply(body=wire("tools.json"))) as server:
        made = provider(server.url)
        answer = await made.complete(request(tools=[WEATHER]))
        await made.close()
    assert [call.parameters["city"] for call in answer.tool_calls] == ["Paris", "Toronto"]
    assert len({call.tool_id for call in answer.tool_calls}) == 2
    assert answer.finish_reason == "tool_calls"


async def test_streams_of_text_and_of_calls_end_with_usage() -> None:
    async with FakeServer([streamed("chat.ndjson"), streamed("tools.ndjson")]) as server:
        made = provider(server.url)
        said = await chunks_of(made, request())
        called = await chunks_of(made, request(tools=[WEATHER]))
        await made.close()
    assert "".join(chunk.text for chunk in said) == "The sky."
    assert [chunk.type for chunk in called] == ["tool_call", "end"]
    assert called[0].call is not None
    assert called[0].call.parameters == {"city": "Tokyo"}
    assert (called[1].data or {})["finish_reason"] == "tool_calls"
    assert called[1].usage is not None
    assert called[1].usage.total_tokens == 184


async def test_a_request_goes_out_whole() -> None:
    turns = [
        Message("system", "Be brief."),
        Message("user", "Look.", media=[Media("image", "data:image/png;base64,aGk=")]),
        Message("assistant", "", tool_calls=[ToolCall("a", "weather", {"where": {"city": "Paris"}})]),
        Message("tool", "rain", tool_call_id="a"),
    ]
    asked = request(
        *turns,
        tools=[WEATHER],
        temperature=0.2,
        seed=3,
        stop=["END"],
        max_tokens=9,
        options={"top_k": 4, "think": False},
    )
    async with FakeServer(Reply(body=wire("chat.json"))) as server:
        made = provider(server.url, context_size=2048, keep_alive="10m")
        await made.complete(asked)
        await made.close()
        body = server.received[0].json()
    assert body["messages"][1]["images"] == ["aGk="]
    assert body["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"where": {"city": "Paris"}}
    assert body["messages"][3] == {"role": "tool", "content": "rain", "tool_name": "weather"}
    assert body["tools"][0]["function"]["parameters"] == NESTED, "what is nested in the schema is lost"
    expected = {"temperature": 0.2, "seed": 3, "stop": ["END"], "num_predict": 9, "top_k": 4, "num_ctx": 2048}
    assert body["options"] == expected
    assert (body["keep_alive"], body["think"], body["stream"]) == ("10m", False, False)


async def test_a_stream_that_breaks_off_or_fails_in_the_middle_is_an_error() -> None:
    async with FakeServer([streamed("cut.ndjson"), streamed("error.ndjson")]) as server:
        made = provider(server.url)
        with pytest.raises(NetworkError):
            await chunks_of(made, request())
        with pytest.raises(ProviderError, match="unexpected EOF"):
            await chunks_of(made, request())
        await made.close()


async def test_a_slow_stream_may_go_on_and_a_silent_one_ends() -> None:
    lines: list[bytes | float] = []
    for line in wire("chat.ndjson").splitlines(keepends=True):
        lines += [0.12, line]
    slow = Reply(pieces=lines)
    async with FakeServer([slow, Reply(pieces=lines[:2], hang=True)]) as server:
        made = provider(server.url)
        assert (await chunks_of(made, request(timeout=0.3)))[-1].type == "end"
        with pytest.raises(TimeoutError):
            await chunks_of(made, request(timeout=0.3))
        await made.close()


@pytest.mark.parametrize(
    ("status", "words", "expected", "hint"),
    [
        (404, "model 'llama3.2' not found", ModelNotFoundError, "llmspell model pull llama3.2 --backend ollama"),
        (400, '"llama3.2" does not support tools', ValidationError, "Choose a model"),
        (400, "the input length exceeds the context length", ContextTooLongError, "Shorten"),
        (500, "llama runner process has terminated", ProviderError, "try again"),
    ],
)
async def test_each_failure_has_its_error_and_a_hint(
    status: int, words: str, expected: type[LLMSpellError], hint: str
) -> None:
    async with FakeServer(Reply(status, {"error": words})) as server:
        made = provider(server.url)
        with pytest.raises(LLMSpellError) as caught:
            await made.complete(request())
        await made.close()
    assert type(caught.value) is expected
    assert hint in str(caught.value.hint)


async def test_no_server_says_how_to_start_one() -> None:
    made = provider("http://127.0.0.1:9")
    health = await made.health()
    await made.close()
    assert not health.healthy
    assert "ollama serve" in str(health.reason)


async def test_models_are_listed_with_what_is_loaded() -> None:
    async with FakeServer(library) as server:
        made = provider(server.url)
        models, health = await made.list_local_models(), await made.health()
        await made.close()
    assert [(m.id, m.loaded, m.quantization, m.size_bytes) for m in models] == [
        ("llama3.2", True, "Q4_K_M", 2019393189),
        ("smollm2:135m", False, "F16", 270898672),
    ]
    assert health.models == ("llama3.2", "smollm2:135m")


async def test_a_pull_tells_how_far_it_is() -> None:
    told: list[PullProgress] = []
    async with FakeServer(library) as server:
        made = provider(server.url)
        model = await made.pull_model("smollm2:135m@ollama", told.append)
        await made.close()
    assert model.id == "smollm2:135m"
    assert [p.bytes_downloaded for p in told if p.status == "downloading"] == [0, 500, 2000, 2068]
    assert [p.status for p in told if p.status != "downloading"] == [
        "starting",
        "starting",
        "verifying",
        "verifying",
        "complete",
    ]
    assert told[-1].bytes_total == 2068


async def test_a_pull_of_nonsense_is_an_error() -> None:
    async with FakeServer(library) as server:
        made = provider(server.url)
        with pytest.raises(ModelNotFoundError):
            await made.pull_model("nonsense", lambda _: None)
        await made.close()


async def test_a_model_is_removed_once_and_a_missing_one_is_named() -> None:
    async with FakeServer(library) as server:
        made = provider(server.url)
        removed = await made.remove_model("llama3.2:latest")
        with pytest.raises(ModelNotFoundError, match="mistral"):
            await made.model_info("mistral")
        await made.close()
        deleted = [r.json() for r in server.received if r.method == "DELETE"]
    assert removed.id == "llama3.2"
    assert deleted == [{"model": "llama3.2:latest"}]


async def test_content_that_cannot_be_carried_is_named() -> None:
    made = provider("http://127.0.0.1:9")
    with pytest.raises(ValidationError, match="linked image"):
        await made.complete(request(Message("user", "", media=[Media("image", "https://example.com/a.png")])))
    await made.close()


@pytest.mark.parametrize(("status", "error"), [(429, None), (503, None), (429, "RateLimitError")])
async def test_a_request_is_made_again_when_the_server_says(status: int, error: str | None) -> None:
    limited = Reply(status, {"error": "busy"}, {"Retry-After": "0.2"})
    async with FakeServer([limited] * (9 if error else 1) + [Reply(body=wire("chat.json"))]) as server:
        table = {"base_url": server.url} | ({"max_retries": 0} if error else {})
        async with Runtime({"providers": {"ollama": table}}) as runtime:
            provider, began = await runtime.providers.get("ollama"), time.perf_counter()
            if error:
                with pytest.raises(LLMSpellError) as caught:
                    await provider.complete(request())
                assert type(caught.value).__name__ == error
                return
            assert (await provider.complete(request())).text
    assert len(server.received) == 2
    assert time.perf_counter() - began >= 0.2


ERRORS = [
    ("401.json", 401, "AuthenticationError"),
    ("429.json", 429, "RateLimitError"),
    ("500.json", 500, "ProviderError"),
]


@pytest.mark.parametrize(("name", "status", "expected"), ERRORS)
async def test_the_vendors_client_and_ours_read_every_error_file(name: str, status: int, expected: str) -> None:
    from ollama import ResponseError

    failing = Reply(status, wire(name), {"Retry-After": "7"} if status == 429 else {})
    async with FakeServer(failing) as server, Client(server.url) as client:
        with pytest.raises(ResponseError) as caught:
            await client.chat("llama3.2", [])
        made = provider(server.url)
        with pytest.raises(LLMSpellError) as ours:
            await made.complete(request())
        await made.close()
    assert caught.value.status_code == status
    assert type(ours.value).__name__ == expected
    assert ours.value.hint
    assert getattr(ours.value, "retry_after", None) == (7.0 if status == 429 else None)
