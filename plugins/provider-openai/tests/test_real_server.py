"""The same provider class against llama.cpp's own HTTP server with a real model."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from llmspell_provider_openai.provider import OpenAIProvider

from llmspell_core.errors import AuthenticationError, ContextTooLongError
from llmspell_core.messages import Message
from llmspell_core.provider import CompletionRequest, Provider, ProviderSettings
from llmspell_core.testing import ProviderContract
from llmspell_core.testing.local_model import model_file
from llmspell_core.testing.provider import ProviderAnswers

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
        yield process.stdout.readline().strip() + "/v1"
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def second_address() -> Iterator[str]:
    """`python -m llama_cpp.server`: another implementation, which knows no `json_schema` and counts no streamed tokens."""
    pytest.importorskip("llama_cpp.server.app")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = {"model": str(model_file()), "model_alias": "smollm2", "api_key": KEY, "port": port, "n_ctx": "2048"}
    options |= {"n_threads": "1", "verbose": "False", "interrupt_requests": "False"}
    command = [sys.executable, "-m", "llama_cpp.server", *(f"--{name}={value}" for name, value in options.items())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(int(port), process)
        yield f"http://127.0.0.1:{port}/v1"
        process.kill()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    pytest.fail("the server did not start")


def provider_at(address: str, key: str = KEY) -> OpenAIProvider:
    return OpenAIProvider(ProviderSettings("mine", "openai", base_url=address, api_key=key, max_retries=0))


class TestAgainstLlamaCpp(ProviderContract):
    model = "smollm2"
    key = KEY
    deterministic = False  # its prompt cache lets equal requests differ in the last digits of a probability

    @pytest.fixture(autouse=True)
    def server(self, address: str) -> None:
        self.address = address

    def make_provider(self) -> Provider:
        return provider_at(self.address)

    def make_provider_at(self, url: str) -> Provider:
        return provider_at(f"{url}/v1")


class TestAgainstLlamaCppPython(ProviderAnswers):
    model = "smollm2"
    deterministic = False

    @pytest.fixture(autouse=True)
    def server(self, second_address: str) -> None:
        self.address = second_address

    def make_provider(self) -> Provider:
        return provider_at(self.address)


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
    assert "Shorten" in str(caught.value.hint)


async def test_calls_that_follow_on_streams_find_a_connection(address: str) -> None:
    """This server closes the connection of a stream that it promised to keep."""
    provider, request = provider_at(address), CompletionRequest("smollm2", [Message("user", "Hi.")], max_tokens=2)
    for _ in range(8):
        assert [chunk.type async for chunk in provider.stream(request)][-1] == "end"
        assert (await provider.complete(request)).finish_reason == "length"
    await provider.close()
