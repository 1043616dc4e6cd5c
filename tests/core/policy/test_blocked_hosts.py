"""`blocked_hosts`: by no other spelling, name or address does a request get there. Against real servers on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from llmspell_core.config import load_config
from llmspell_core.errors import ConfigurationError, LLMSpellError, SecurityError
from llmspell_core.policy import Http, Policy

EVERYTHING = {"allowed_hosts": ["*"], "allow_private_networks": ["*"]}


@asynccontextmanager
async def http(names: dict[str, list[str]] | None = None, **settings: Any) -> AsyncIterator[Http]:
    async def resolve(host: str, port: int) -> list[str]:
        if host not in (names or {}):
            raise OSError(f"no {host}")
        return (names or {})[host]

    policy = Policy(EVERYTHING | settings, resolver=resolve)
    try:
        yield Http(policy)
    finally:
        await policy.aclose()


@pytest.fixture
def port(httpserver: HTTPServer) -> int:
    httpserver.expect_request("/").respond_with_data("reached")
    return httpserver.port


async def refused(client: Http, url: str) -> SecurityError:
    with pytest.raises(SecurityError) as caught:
        await client.request("GET", url)
    assert caught.value.violation_type == "host_denied"
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f000001", "0x7f.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "0.0.0.0", "[::ffff:0.0.0.0]", "[::127.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
        "[::ffff:0:127.0.0.1]", "[2001:0:7f00:1::1]", "[2001:0:808:808::80ff:fffe]", "[fd00::5efe:7f00:1]",
        "[::ffff:127.0.0.1%25lo]", "127。0。0。1", "mine.example", "MINE.example.", "six.example", "several.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("blocked", ["127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1", "0x7f000001", "name.example"])
async def test_a_blocked_address_is_blocked_in_every_spelling_and_by_every_name(
    host: str, blocked: str, port: int
) -> None:
    names = {
        "mine.example": ["127.0.0.1"],
        "six.example": ["::ffff:127.0.0.1"],
        "several.example": ["8.8.8.8", "127.0.0.1"],
        "name.example": ["127.0.0.1"],
    }
    async with http(names, blocked_hosts=[blocked]) as client:
        error = await refused(client, f"http://{host}:{port}/")
    assert "blocked" in error.message


@pytest.mark.parametrize(
    ("blocked", "host"),
    [
        ("localhost", "127.0.0.1"), ("localhost", "[::1]"), ("localhost", "127.9.9.9"), ("::1", "[::]"), ("::1", "[0::0:1]"),
        ("Evil.Example.", "evil.example"), ("evil.example", "EVIL.example."), ("*.example", "sub.evil.example"),
        ("straße.example", "stra\N{LATIN SMALL LETTER SHARP S}e.example"), ("straße.example", "xn--strae-oqa.example"),
        ("straße.example", "strasse.example"), ("bücher.example", "xn--bcher-kva.example"), ("*", "1.2.3.4"),
        ("10.0.0.0/8", "inside.example"), ("2001:db8::/32", "six.example"),
    ],
)  # fmt: skip
async def test_other_ways_to_the_same_host(blocked: str, host: str, port: int) -> None:
    names = {"inside.example": ["10.1.2.3"], "six.example": ["2001:db8::5"]}
    async with http(names, blocked_hosts=[blocked]) as client:
        await refused(client, f"http://{host}:{port}/")


async def test_a_blocked_port_of_a_host_leaves_the_others(port: int) -> None:
    async with http({"mine.example": ["127.0.0.1"]}, blocked_hosts=[f"127.0.0.1:{port}", "[::1]:1"]) as client:
        await refused(client, f"http://mine.example:{port}/")
    async with http({"mine.example": ["127.0.0.1"]}, blocked_hosts=["127.0.0.1:1", "mine.example:2"]) as client:
        assert (await client.request("GET", f"http://mine.example:{port}/")).text == "reached"
        assert (await client.request("GET", f"http://127.0.0.1:{port}/")).text == "reached"


async def test_a_redirect_to_the_address_of_a_blocked_name_is_refused(httpserver: HTTPServer, port: int) -> None:
    names = {"open.example": ["127.0.0.1"], "closed.example": ["127.0.0.2"]}
    target = f"http://127.0.0.2:{port}/"
    httpserver.expect_request("/go").respond_with_data("", status=302, headers={"Location": target})
    async with http(names, blocked_hosts=["closed.example"]) as client:
        await refused(client, f"http://open.example:{port}/go")


async def test_addresses_that_a_blocked_name_had_before_stay_blocked(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell_core.policy.host.KNOWN_FOR", 0.0)
    names = {"closed.example": ["127.0.0.1"]}
    async with http(names, blocked_hosts=["closed.example"]) as client:
        await refused(client, f"http://127.0.0.1:{port}/")
        names["closed.example"] = ["127.0.0.9"]
        await refused(client, f"http://127.0.0.1:{port}/")


async def test_a_blocked_name_that_nobody_knows_blocks_nothing_else(port: int) -> None:
    async with http(blocked_hosts=["nowhere.example"]) as client:
        assert (await client.request("GET", f"http://127.0.0.1:{port}/")).text == "reached"


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("2002::/16", "[2002:7f00:1::]"), ("64:ff9b::/96", "[64:ff9b::7f00:1]"), ("2001::/32", "[2001:0:7f00:1::1]"),
        ("127.0.0.2", "[::ffff:127.0.0.1]"), ("2000::/3", "two.example"),
    ],
)  # fmt: skip
async def test_an_allowed_network_does_not_allow_what_its_addresses_carry(allowed: str, host: str, port: int) -> None:
    settings = {"allowed_hosts": ["two.example", allowed], "allow_private_networks": []}
    async with http({"two.example": ["2002:7f00:1::"]}, **settings) as client:
        with pytest.raises(SecurityError):
            await client.request("GET", f"http://{host}:{port}/")


async def test_an_allowed_address_is_allowed_in_every_spelling(port: int) -> None:
    async with http(allowed_hosts=["127.0.0.1"], allow_private_networks=[]) as client:
        for host in ("127.0.0.1", "127.1", "[::ffff:127.0.0.1]"):
            assert (await client.request("GET", f"http://{host}:{port}/")).text == "reached"


@pytest.mark.parametrize("entry", ["http://evil.example", "evil.example/path", "*evil.example", "ev*l.example", ".evil.example",
                                   "", "a b", "evil.example:0", "evil.example:70000", "10.0.0.0/40"])  # fmt: skip
@pytest.mark.parametrize("setting", ["blocked_hosts", "allowed_hosts"])
def test_an_entry_that_nothing_matches_is_an_error(entry: str, setting: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        Policy({setting: [entry]})


@pytest.mark.parametrize("port", [8000, 1234, 11434, 80])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0.0.0.0"])
async def test_no_port_of_this_machine_is_open_to_tools_by_default(host: str, port: int) -> None:
    """Servers of local models listen there; they are for the providers, not for any path that a script thinks of."""
    for profile in ("medium", "high"):
        policy = Policy({"profile": profile})
        with pytest.raises(LLMSpellError) as caught:
            await Http(policy).request("GET", f"http://{host}:{port}/api/tags")
        assert isinstance(caught.value, SecurityError)
        await policy.aclose()


@pytest.mark.parametrize("setting", ["blocked_hosts", "allowed_hosts", "allow_private_networks"])
def test_the_check_of_a_configuration_finds_such_an_entry(setting: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[tools.http_request]\n{setting} = ["10.0.0.0/8", "http://evil.example"]', "utf-8")
    found = [p for p in load_config(file, check=False).problems() if p.severity == "error"]
    assert [problem.keys for problem in found] == [("tools", "http_request", setting)]
    assert "http://evil.example" in found[0].message
