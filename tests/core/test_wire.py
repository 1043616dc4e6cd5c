"""The HTTP client that vendors' packages are given: one server, the configured key, nothing of the environment."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest

from llmspell_core.errors import AuthenticationError, ConfigurationError, NetworkError, SecurityError
from llmspell_core.policy import Policy
from llmspell_core.policy.vendor import VendorNetwork
from llmspell_core.provider import ProviderSettings
from llmspell_core.provider.wire import Wire
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

KEY = "sk-of-the-operator-1"


def settings(url: str | None = None, **fields: Any) -> ProviderSettings:
    return ProviderSettings("mine", "openai", base_url=url, **({"api_key": KEY} | fields))


async def ask(wire: Wire, url: str, method: str = "GET", **options: Any) -> httpx2.Response:
    async with wire.client() as client:
        return await client.request(method, url, **options)


# -- headers ------------------------------------------------------------------------------------------------------------


async def test_only_what_is_configured_leaves() -> None:
    sent = {
        "Authorization": f"Bearer {KEY}",
        "X-Api-Key": "of-somebody-else",
        "OpenAI-Organization": "org-1",
        "X-Own": "configured",
        "x-own-2": "not configured",
        "Cookie": "session=1",
        "Proxy-Authorization": "Basic abc",
        "Vendor-Version": "7",
        "X-Stainless-Lang": "python",
        "Accept": "text/x",
    }
    async with FakeServer(Reply(body={})) as server:
        wire = Wire(settings(headers={"x-OWN": "configured"}), server.url, sends=("Vendor-Version",))
        await ask(wire, server.url, headers=sent)
    got = server.received[0].headers
    assert {"authorization", "x-own", "vendor-version", "x-stainless-lang", "accept", "host"} <= got.keys()
    assert not {"x-api-key", "openai-organization", "x-own-2", "cookie", "proxy-authorization"} & got.keys()


async def test_without_a_key_no_key_leaves() -> None:
    async with FakeServer(Reply(body={})) as server:
        await ask(Wire(settings(api_key=None), server.url), server.url, headers={"Authorization": "Bearer none"})
    assert "authorization" not in server.received[0].headers


async def test_cookies_are_not_kept() -> None:
    async with (
        FakeServer(Reply(body={}, headers={"Set-Cookie": "a=b"})) as server,
        Wire(settings(), server.url).client() as client,
    ):
        await client.get(server.url)
        await client.get(server.url)
    assert "cookie" not in server.received[1].headers


@pytest.mark.parametrize("key", ["sk-1\nHost: evil", "sk-1\r", "sk 1", "sk-ключ", "sk-1\x7f"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        Wire(settings(api_key=f"{key}x"), "http://127.0.0.1:1")
    assert "sk" not in repr(caught.value.to_dict()).replace("ask", "")
    assert "[providers.mine]" in str(caught.value.hint)


def test_white_space_around_a_key_is_no_part_of_it() -> None:
    assert settings(api_key=f" {KEY}\r\n").api_key == KEY
    assert settings(api_key="\n").api_key is None


@pytest.mark.parametrize("headers", [{"X-Own": "secret-1\nX: y"}, {"X-Own": "gehei\u0301m"}, {"X\n": "a"}, {"": "a"}])
def test_a_header_that_cannot_be_sent_is_refused_unseen(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be sent") as caught:
        Wire(settings(headers=headers), "http://127.0.0.1:1")
    assert "secret-1" not in repr(caught.value.to_dict())


# -- where to -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["http://localhost:{port}/", "https://127.0.0.1:{port}/", "http://169.254.169.254/x",
                                      "//127.0.0.2:{port}/", "http://127.0.0.1:1/"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_redirect_leads_to_another_server(location: str, method: str) -> None:
    port = 0

    def answer(received: Received) -> Reply:
        return Reply(307, b"", {"Location": location.format(port=port)})

    async with FakeServer(answer) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(SecurityError, match="sent on to"):
            await ask(Wire(settings(), server.url), server.url, method)
        assert len(server.received) == 1


async def test_a_redirect_at_the_same_server_is_followed_with_the_key() -> None:
    replies = [Reply(308, b"", {"Location": "/v2/chat"}), Reply(body={"ok": True})]
    async with FakeServer(replies) as server:
        answer = await ask(
            Wire(settings(), server.url), f"{server.url}/v1/chat", "POST", headers={"Authorization": KEY}, json={"a": 1}
        )
    assert answer.json() == {"ok": True}
    assert (server.received[1].path, server.received[1].headers["authorization"]) == ("/v2/chat", KEY)


async def test_a_name_is_judged_whenever_it_is_looked_up() -> None:
    """Its owner may point it elsewhere between the check and the request."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"], ["169.254.169.254"]])

    async def resolver(_host: str, _port: int) -> list[str]:
        return next(answers)

    policy = Policy(resolver=resolver)
    policy.hosts.check_url("http", "moving.example", 80)
    assert await policy.hosts.addresses("moving.example", 80) == ["8.8.8.8"]
    wire = Wire(settings(from_caller=True), "http://moving.example/v1", VendorNetwork(policy))
    for _ in range(2):
        with pytest.raises(SecurityError, match=r"moving\.example"):
            await ask(wire, "http://moving.example/v1/chat")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://[::ffff:10.0.0.1]", "http://2130706433:1",
                                 "http://localhost:1", "http://169.254.169.254"])  # fmt: skip
async def test_a_callers_server_may_not_be_private(url: str) -> None:
    with pytest.raises(SecurityError):
        await ask(Wire(settings(from_caller=True), url, VendorNetwork(Policy())), f"{url}/chat")


async def test_without_a_policy_a_callers_server_is_not_asked() -> None:
    async with FakeServer(Reply(body={})) as server:
        with pytest.raises(SecurityError):
            await ask(Wire(settings(from_caller=True), server.url), server.url)
        assert not server.received


@pytest.mark.parametrize(
    "url", ["", "nothing", "file:///etc/passwd", "ftp://x", "http://", "http://[", "http://h:99999"]
)
def test_what_is_no_address_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Wire(settings(), url)
    assert caught.value.setting == "providers.mine.base_url"


async def test_an_unknown_host_is_a_failed_connection() -> None:
    with pytest.raises(httpx2.ConnectError, match="nobody"):
        await ask(Wire(settings(), "http://nobody.invalid"), "http://nobody.invalid/")
    with pytest.raises(NetworkError):
        await Wire(settings(), "http://nobody.invalid").addresses("nobody.invalid", 80)


# -- proxies ------------------------------------------------------------------------------------------------------------


async def test_a_proxy_is_used_only_where_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeServer(Reply(body={"by": "proxy"})) as proxy, FakeServer(Reply(body={"by": "server"})) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        by = [
            (await ask(Wire(made, server.url, _Everybody()), server.url)).json()["by"]
            for made in (
                settings(),
                settings(proxy="environment"),
                settings(proxy=proxy.url),
                settings(proxy=proxy.url, from_caller=True),
            )
        ]
    assert by == ["server", "proxy", "proxy", "server"]


def test_a_proxy_that_is_no_address_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Wire(settings(proxy="no proxy"), "http://h").transport()
    assert caught.value.setting == "providers.mine.proxy"


class _Everybody:
    async def addresses(self, host: str, port: int) -> list[str]:
        return [host]

    async def callers_addresses(self, scheme: str, host: str, port: int) -> list[str]:
        return [host]

    async def fetch(self, url: str) -> tuple[bytes, str | None]:
        raise NotImplementedError


# -- for packages on httpx ------------------------------------------------------------------------------------------------


async def test_the_older_client_speaks_through_the_same_wire() -> None:
    async with FakeServer([Reply(body={"ok": True}), Reply(302, b"", {"Location": "http://127.0.0.1:1/"})]) as server:
        transport = Wire(settings(), server.url).httpx_transport()
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            answer = await client.post(f"{server.url}/a?b=c", json={"x": 1}, headers={"X-Key": "other"})
            assert answer.json() == {"ok": True}
            with pytest.raises(SecurityError):
                await client.get(server.url)
    assert (server.received[0].path, server.received[0].json()) == ("/a?b=c", {"x": 1})
    assert "x-key" not in server.received[0].headers


async def test_the_older_client_gets_errors_of_its_own() -> None:
    cut = Reply(pieces=[b"half"], cut=True)
    async with (
        FakeServer(cut) as server,
        httpx.AsyncClient(transport=Wire(settings(), server.url).httpx_transport()) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(server.url)
    async with httpx.AsyncClient(transport=Wire(settings(), server.url).httpx_transport()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(server.url)
