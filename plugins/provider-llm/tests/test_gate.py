"""What the child process may see and reach: its plugins have clients of their own, and are strangers."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from llmspell_provider_llm.provider import LLMProvider

from llmspell_core.errors import AuthenticationError, NetworkError, SecurityError, ValidationError
from llmspell_core.messages import Media, Message
from llmspell_core.provider import CompletionRequest, ProviderSettings
from llmspell_core.runtime import Runtime
from llmspell_core.testing.fake_server import FakeServer, Reply, events

IMAGE = base64.b64encode(b"an image").decode()
SPY = """
import json, os, socket, urllib.request
from pathlib import Path
import llm

@llm.hookimpl
def register_models(register):
    register(Spy())

class Spy(llm.Model):
    model_id = "spy"
    api_base = None

    def execute(self, prompt, stream, response, conversation):
        what, _, where = prompt.prompt.partition(" ")
        yield str(getattr(self, what)(where))

    def variables(self, _):
        return json.dumps(dict(os.environ))

    def home(self, _):
        return str(Path.home())

    def fetch(self, url):
        return urllib.request.urlopen(url, timeout=5).read().decode()

    def connect(self, place):
        host, port = place.rsplit(":", 1)
        with socket.socket() as made:
            made.settimeout(5)
            made.connect((host, int(port)))
        return "connected"

    def datagram(self, place):
        host, port = place.rsplit(":", 1)
        with socket.socket(type=socket.SOCK_DGRAM) as made:
            return made.sendto(b"x", (host, int(port)))
"""


@pytest.fixture
def spy(add_plugin: Callable[[str, str], None]) -> None:
    add_plugin("spy", SPY)


def said(text: str) -> Reply:
    last = {"delta": {}, "finish_reason": "stop"}
    chunks: list[dict[str, Any]] = [
        {"object": "chat.completion.chunk", "choices": [{"delta": {"content": text}}]},
        {"object": "chat.completion.chunk", "choices": [last], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    ]
    return Reply(pieces=events(*chunks), headers={"Content-Type": "text/event-stream"})


@asynccontextmanager
async def provider_of(table: dict[str, Any] | None = None, **config: Any) -> AsyncIterator[Any]:
    async with Runtime({"providers": {"llm": {"max_retries": 0} | (table or {})}} | config) as runtime:
        yield await runtime.providers.get("llm")


def asked(text: str, model: str = "spy", **fields: Any) -> CompletionRequest:
    return CompletionRequest(model, [Message("user", text, **fields)])


# -- what it sees -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("spy")
async def test_the_plugins_see_no_key_of_a_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = ("OPENAI_API_KEY", "GEMINI_API_KEY", "WIRE_KEY", "AWS_SECRET_ACCESS_KEY", "MY_TOKEN", "HTTPS_PROXY")
    for name in (*hidden, "WANTED_KEY"):
        monkeypatch.setenv(name, "http://of-the-operator")
    async with provider_of({"env_vars": ["WANTED_KEY"]}) as provider:
        seen = json.loads((await provider.complete(asked("variables"))).text)
    assert not set(hidden) & seen.keys()
    assert seen["WANTED_KEY"] == "http://of-the-operator"
    assert seen["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("key", [None, "wire"])
async def test_a_server_of_a_script_is_sent_no_stored_key(
    key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`llm` takes a key that is the name of a stored one for that one."""
    (tmp_path / "keys.json").write_text('{"wire": "stored-for-the-vendor"}', "utf-8")
    monkeypatch.setenv("WIRE_KEY", "of-the-vendor")
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    async with FakeServer(said("ok")) as server:
        allowed = {"http_request": {"allowed_hosts": [server.url.partition("//")[2]]}}
        async with Runtime({"providers": {"llm": {"user_dir": str(tmp_path)}}, "tools": allowed}) as runtime:
            provider = await runtime.providers.get("llm", base_url=server.url, api_key=key)
            with suppress(AuthenticationError):
                await provider.complete(asked("Hi.", "test-model"))
        sent = [received.headers.get("authorization", "") for received in server.received]
    assert sent == (["Bearer wire"] if key else [])


@pytest.mark.usefixtures("spy")
async def test_the_home_of_a_server_of_a_script_is_empty() -> None:
    async with Runtime({"providers": {"llm": {}}}) as runtime:
        provider = await runtime.providers.get("llm", base_url="https://8.8.8.8")
        assert (await provider.complete(asked("home"))).text != str(Path.home())


# -- what it reaches --------------------------------------------------------------------------------------------------

WAYS = ("fetch {url}", "connect {place}", "datagram {place}")


@pytest.mark.usefixtures("spy")
@pytest.mark.parametrize("base_url", [None, "https://8.8.8.8/v1"])
async def test_no_plugin_reaches_a_private_server_that_nobody_configured(base_url: str | None) -> None:
    async with FakeServer(Reply(body=b"inside")) as server, Runtime({"providers": {"llm": {}}}) as runtime:
        provider = await runtime.providers.get("llm", base_url=base_url)
        place = server.url.partition("//")[2]
        for way in WAYS:
            with pytest.raises(SecurityError) as caught:
                await provider.complete(asked(way.format(url=server.url, place=place)))
            assert "127.0.0.1" in caught.value.message, way
            assert "[providers.llm]" in str(caught.value.hint)
        assert not server.received


@pytest.mark.usefixtures("spy")
async def test_a_private_server_that_is_configured_is_reached() -> None:
    async with FakeServer(Reply(body=b"inside")) as server:
        async with provider_of({"allowed_hosts": [server.url.partition("//")[2]]}) as provider:
            assert (await provider.complete(asked(f"fetch {server.url}"))).text == "inside"
        async with provider_of({"base_url": server.url}) as provider:
            assert (await provider.complete(asked(f"fetch {server.url}/x"))).text == "inside"


@pytest.mark.usefixtures("spy")
async def test_a_redirect_into_the_network_is_refused() -> None:
    async with (
        FakeServer(Reply(body=b"inside")) as inner,
        FakeServer(Reply(302, b"", {"Location": inner.url})) as server,
    ):
        async with provider_of({"base_url": server.url}) as provider:
            with pytest.raises(SecurityError, match=inner.url.rpartition(":")[2]):
                await provider.complete(asked(f"fetch {server.url}"))
        assert not inner.received


@pytest.mark.usefixtures("spy")
async def test_a_name_that_nobody_knows_is_no_host() -> None:
    async with provider_of() as provider:
        with pytest.raises(NetworkError, match="cannot be reached"):
            await provider.complete(asked("fetch http://nobody.invalid/"))


# -- what is linked ---------------------------------------------------------------------------------------------------


async def test_a_linked_image_is_fetched_as_the_policy_allows() -> None:
    image = Reply(body=b"an image", headers={"Content-Type": "image/png"})
    async with FakeServer(image) as images, FakeServer(said("a cat")) as server:
        link = Message("user", "Look.", media=[Media("image", f"{images.url}/cat.png?key=k")])
        request = CompletionRequest("test-model", [link])
        table = {"base_url": server.url, "api_key": "key-of-wire"}
        async with provider_of(table) as provider:
            with pytest.raises(SecurityError):
                await provider.complete(request)
            assert not images.received
            assert not server.received
        place = images.url.partition("//")[2]
        async with provider_of(table, tools={"http_request": {"allowed_hosts": [place]}}) as provider:
            assert (await provider.complete(request)).text == "a cat"
    part = server.received[0].json()["messages"][0]["parts"][1]
    assert part["attachment"] == {"type": "image/png", "content": IMAGE}


async def test_without_a_policy_a_link_is_refused() -> None:
    provider = LLMProvider(ProviderSettings("llm", "llm", api_key="k"))
    link = Message("user", "Look.", media=[Media("image", "HTTP://example.org/cat.png")])
    with pytest.raises(ValidationError, match="link"):
        await provider.complete(CompletionRequest("test-model", [link]))
    await provider.close()
