"""The same provider class against llama.cpp's own HTTP server, which speaks the Messages API, with a real model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from llmspell_provider_anthropic.provider import AnthropicProvider

from llmspell_core.errors import AuthenticationError, ContextTooLongError
from llmspell_core.messages import Message, ToolCall
from llmspell_core.provider import CompletionRequest, Provider, ProviderSettings, ToolDefinition
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.local_model import model_file

pytestmark = pytest.mark.model
SERVER = """
import json, os, sys
config = json.loads(sys.argv[1])
import xllamacpp
answer = os.fdopen(os.dup(1), "w"); os.dup2(2, 1)
params = xllamacpp.CommonParams()
params.model.path, params.model_alias, params.api_keys = config["model"], {"smollm2"}, [config["key"]]
params.n_ctx, params.n_parallel, params.warmup = 2048, 1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, file=answer, flush=True)
sys.stdin.read()
os._exit(0)
"""
KEY = "sk-contract-3f9a1c77d2"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("xllamacpp")
    config = json.dumps({"model": str(model_file()), "key": KEY})
    command = [sys.executable, "-c", SERVER, config]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()


def provider_at(address: str, key: str = KEY) -> AnthropicProvider:
    return AnthropicProvider(ProviderSettings("mine", "anthropic", base_url=address, api_key=key, max_retries=0))


class TestAgainstLlamaCpp(ProviderContract):
    """Over this protocol the server takes tools and schemas, and lets a model that was never trained for them answer in
    prose; neither its grammars nor its own JSON schema field can be reached. So the calls and the JSON are filled in.
    """

    model = "smollm2"
    key = KEY
    reads_answers = False  # the odd answers of this protocol are those of test_contract.py
    deterministic = False  # its prompt cache lets equal requests differ in the last digits of a probability

    @pytest.fixture(autouse=True)
    def server(self, address: str) -> None:
        self.address = address

    def make_provider(self) -> Provider:
        return provider_at(self.address)

    def make_provider_at(self, url: str) -> Provider:
        return provider_at(url)

    def make_stream_start(self) -> list[bytes | float]:
        message: dict[str, Any] = {"id": "1", "type": "message", "role": "assistant", "content": [], "model": "smollm2"}
        message |= {"stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 0}}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": message}, block, delta]
        return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


async def test_tools_and_their_results_are_taken_by_a_real_server(address: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    call = ToolCall("toolu_1", "weather", {"city": "Paris"})
    turns = [
        Message("user", "What is the weather in Paris?"),
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "It rains.", tool_call_id="toolu_1"),
    ]
    request = CompletionRequest("smollm2", turns, tools=[ToolDefinition("weather", "Tells the weather.", schema)])
    request.max_tokens = 16
    provider = provider_at(address)
    answer = await provider.complete(request)
    await provider.close()
    assert answer.text.strip() or answer.tool_calls


async def test_a_wrong_key_is_refused_by_a_real_server(address: str) -> None:
    provider = provider_at(address, "sk-wrong-key-12345")
    with pytest.raises(AuthenticationError) as caught:
        await provider.complete(CompletionRequest("smollm2", [Message("user", "Hi.")]))
    await provider.close()
    assert "sk-wrong" not in repr(caught.value.to_dict())


async def test_a_prompt_that_does_not_fit_is_named_as_such(address: str) -> None:
    provider = provider_at(address)
    with pytest.raises(ContextTooLongError) as caught:
        await provider.complete(CompletionRequest("smollm2", [Message("user", "word " * 3000)]))
    await provider.close()
    assert "2048" in caught.value.message


async def test_calls_that_follow_on_streams_find_a_connection(address: str) -> None:
    """This server closes the connection of a stream that it promised to keep."""
    provider, request = provider_at(address), CompletionRequest("smollm2", [Message("user", "Hi.")], max_tokens=2)
    for _ in range(8):
        assert [chunk.type async for chunk in provider.stream(request)][-1] == "end"
        assert (await provider.complete(request)).finish_reason == "length"
    await provider.close()
