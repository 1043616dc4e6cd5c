"""HTTP against real servers on this machine, with a resolver that says what the test wants."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmspell_core.errors import (
    NetworkError,
    RateLimitError,
    ResourceLimitError,
    SecurityError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.policy import Http, Policy

LOCAL = {"allowed_hosts": ["*", "127.0.0.1"]}


@asynccontextmanager
async def http(
    settings: dict[str, Any] | None = None, names: dict[str, list[str]] | None = None
) -> AsyncIterator[Http]:
    async def resolve(host: str, port: int) -> list[str]:
        return (names or {})[host]

    policy = Policy(LOCAL if settings is None else settings, resolver=resolve if names is not None else None)
    try:
        yield Http(policy)
    finally:
        await policy.aclose()


@pytest.fixture
def server(httpserver: HTTPServer) -> HTTPServer:
    httpserver.expect_request("/hello").respond_with_data("hello", content_type="text/plain")
    return httpserver


def at(server: HTTPServer, path: str, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.port}{path}"


async def test_an_answer_has_status_headers_and_body(server: HTTPServer) -> None:
    server.expect_request("/json", query_string={"q": "ä b"}).respond_with_json(
        {"a": [1]}, status=201, headers={"X-Mine": "yes"}
    )
    async with http() as client:
        answer = await client.request("get", at(server, "/json"), params={"q": "ä b"})
    assert (answer.status_code, answer.json(), answer.headers["x-mine"], answer.is_success) == (
        201,
        {"a": [1]},
        "yes",
        True,
    )


async def test_a_body_is_sent_as_json_or_as_it_is(server: HTTPServer) -> None:
    server.expect_request("/echo").respond_with_handler(
        lambda request: Response(request.data, content_type=request.content_type)
    )
    async with http() as client:
        as_json = await client.request("POST", at(server, "/echo"), json={"ä": 1})
        as_is = await client.request("PUT", at(server, "/echo"), content="plain", headers={"Content-Type": "text/x"})
    assert (as_json.json(), as_json.headers["content-type"]) == ({"ä": 1}, "application/json")
    assert (as_is.text, as_is.headers["content-type"]) == ("plain", "text/x")


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "sub.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0.0.0.0",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]",
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "[fe80::1]", "[fc00::1]",
        "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b:1::7f00:1]", "[fec0::1]", "[5f00::1]", "[100::1]", "[ff02::1]",
        "192.0.0.8", "198.18.0.1", "240.0.0.1", "255.255.255.255",
        "224.0.0.1", "metadata.google.internal", "127.0.0.1.", "LOCALHOST",
    ],
)  # fmt: skip
async def test_addresses_that_are_not_public_are_refused_in_every_spelling(host: str) -> None:
    async with http({}) as client:
        with pytest.raises(SecurityError) as caught:
            await client.request("GET", f"http://{host}/")
    assert caught.value.violation_type == "address_denied"
    assert "tools.http_request." in str(caught.value.hint)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::ffff:192.168.0.1"]])
async def test_a_name_with_any_address_that_is_not_public_is_refused(server: HTTPServer, addresses: list[str]) -> None:
    async with http({}, {"evil.example": addresses}) as client:
        with pytest.raises(SecurityError, match=r"evil\.example"):
            await client.request("GET", at(server, "/hello", "evil.example"))


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_that_address(server: HTTPServer) -> None:
    """DNS rebinding: the second look-up would answer something else, so there must be none."""
    server.expect_request("/host").respond_with_handler(lambda request: Response(request.host))
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    policy = Policy({"allow_private_networks": ["127.0.0.0/8"]}, resolver=rebinding)
    answer = await Http(policy).request("GET", at(server, "/host", "pinned.example"))
    await policy.aclose()
    assert asked == ["pinned.example"]
    assert answer.text == f"pinned.example:{server.port}"


async def test_a_name_that_changes_its_address_between_requests_is_refused_then(server: HTTPServer) -> None:
    answers = iter([["127.0.0.1"], ["10.9.9.9"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    policy = Policy({"allow_private_networks": ["127.0.0.1"]}, resolver=rebinding)
    client = Http(policy)
    await client.request("GET", at(server, "/hello", "pinned.example"), headers={"Connection": "close"})
    with pytest.raises(SecurityError, match=r"10\.9\.9\.9"):
        await client.request("GET", at(server, "/hello", "pinned.example"))
    await policy.aclose()


@pytest.mark.parametrize(
    ("settings", "url", "allowed"),
    [
        ({"allowed_hosts": ["a.example"]}, "http://a.example/", True),
        ({"allowed_hosts": ["a.example"]}, "http://b.example/", False),
        ({"allowed_hosts": ["*.example"]}, "http://a.b.example/", True),
        ({"allowed_hosts": ["*.b.example"]}, "http://evilb.example/", False),
        ({"allowed_hosts": ["*"], "blocked_hosts": ["a.example"]}, "http://A.example./", False),
        ({"allowed_hosts": ["a.example:8080"]}, "http://a.example:8080/", True),
        ({"allowed_hosts": ["a.example:8080"]}, "http://a.example/", False),
        ({"allowed_hosts": ["*"]}, "http://a.example:6379/", False),
        ({"allowed_hosts": ["*", "a.example:6379"]}, "http://a.example:6379/", True),
        ({"allowed_hosts": ["10.0.0.0/8"]}, "http://10.1.2.3/", True),
        ({"allowed_hosts": ["*", "127.0.0.1:8080"]}, "http://127.0.0.1:8081/", False),
        ({"allow_private_networks": ["*"]}, "http://192.168.0.1/", True),
        ({"allow_private_networks": ["*"]}, "http://169.254.169.254/", False),
        ({"allow_private_networks": ["169.254.0.0/16"]}, "http://169.254.169.254/", True),
        ({"allow_private_networks": ["localhost"]}, "http://localhost/", True),
        ({"allowed_hosts": ["bücher.example"]}, "http://xn--bcher-kva.example/", True),
        ({"blocked_hosts": ["bücher.example"]}, "http://bücher.example/", False),
        ({"profile": "high"}, "http://a.example/", False),
        ({"profile": "low"}, "http://localhost/", True),
    ],
)
async def test_host_lists_decide(settings: dict[str, Any], url: str, allowed: bool) -> None:
    """Decided before anything is sent, so the rules can be asked directly."""
    import httpx2

    policy = Policy(settings)
    parsed = httpx2.URL(url)
    ask: Callable[[], None] = lambda: policy.hosts.check_url("http", parsed.raw_host.decode(), parsed.port or 80)  # noqa: E731
    if allowed:
        ask()
    else:
        with pytest.raises(SecurityError):
            ask()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "file:///etc/passwd",
        "http://",
        "nonsense",
        "http://a b/",
        "//x",
        "http://a:99999/",
        "http://0177.0.0.1/",
        "http://a:0/",
    ],
)
async def test_what_is_no_http_url_is_a_validation_error(url: str) -> None:
    async with http() as client:
        with pytest.raises(ValidationError) as caught:
            await client.request("GET", url)
    assert caught.value.field == "url"


@pytest.mark.parametrize("headers", [{"X": "a\r\nEvil: 1"}, {"Bad Name": "x"}, {"Host": "other.example"}, {"X": "ü\n"}])
async def test_headers_cannot_smuggle(server: HTTPServer, headers: dict[str, str]) -> None:
    async with http() as client:
        with pytest.raises(ValidationError):
            await client.request("GET", at(server, "/hello"), headers=headers)


async def test_redirects_are_followed_counted_and_can_be_switched_off(server: HTTPServer) -> None:
    server.expect_request("/go").respond_with_data("", 302, {"Location": "/hello"})
    server.expect_request("/circle").respond_with_data("", 302, {"Location": "/circle"})
    async with http() as client:
        answer = await client.request("GET", at(server, "/go"))
        assert (answer.text, answer.url) == ("hello", at(server, "/hello"))
        assert (await client.request("GET", at(server, "/go"), follow_redirects=False)).status_code == 302
        with pytest.raises(NetworkError, match="more than 5 redirects"):
            await client.request("GET", at(server, "/circle"))


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "http://localhost/", "http://[::1]:22/", "http://evil.example/"]
)
async def test_a_redirect_to_a_private_address_is_refused(server: HTTPServer, target: str) -> None:
    server.expect_request("/go").respond_with_data("", 302, {"Location": target})
    async with http(LOCAL, {"evil.example": ["192.168.7.7"]}) as client:
        with pytest.raises(SecurityError):
            await client.request("GET", at(server, "/go"))


async def test_a_redirect_to_another_scheme_is_refused(server: HTTPServer) -> None:
    server.expect_request("/go").respond_with_data("", 302, {"Location": "file:///etc/passwd"})
    async with http() as client:
        with pytest.raises((ValidationError, NetworkError)):
            await client.request("GET", at(server, "/go"))


async def test_keys_stay_with_the_host_they_were_meant_for(server: HTTPServer) -> None:
    seen: list[dict[str, str]] = []

    def remember(request: Request) -> Response:
        seen.append(dict(request.headers))
        return Response("ok")

    server.expect_request("/here").respond_with_handler(remember)
    server.expect_request("/away").respond_with_data("", 307, {"Location": at(server, "/here", "other.example")})
    server.expect_request("/stay").respond_with_data("", 307, {"Location": "/here"})
    keys = {"Authorization": "Bearer t", "X-API-Key": "k", "Accept": "text/x"}
    async with http(LOCAL | {"allow_private_networks": ["127.0.0.1"]}, {"other.example": ["127.0.0.1"]}) as client:
        await client.request("GET", at(server, "/away"), headers=keys)
        await client.request("GET", at(server, "/stay"), headers=keys)
    away, stay = seen
    assert "Authorization" not in away
    assert "X-Api-Key" not in away
    assert away["Accept"] == "text/x"
    assert (stay["Authorization"], stay["X-Api-Key"]) == ("Bearer t", "k")


async def test_cookies_of_one_answer_are_not_sent_with_the_next_request(server: HTTPServer) -> None:
    server.expect_request("/set").respond_with_data("", headers={"Set-Cookie": "a=b; Path=/"})
    server.expect_request("/get").respond_with_handler(lambda request: Response(str(dict(request.cookies))))
    async with http() as client:
        await client.request("GET", at(server, "/set"))
        assert (await client.request("GET", at(server, "/get"))).text == "{}"


async def test_an_answer_without_end_is_cut_at_the_limit(server: HTTPServer) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    server.expect_request("/endless").respond_with_handler(lambda request: Response(endless(), direct_passthrough=True))
    async with http() as client:
        with pytest.raises(ResourceLimitError, match="too big") as caught:
            await client.request("GET", at(server, "/endless"), max_bytes=1_000_000)
    assert caught.value.limit == 1_000_000


async def test_a_declared_size_is_refused_before_reading_and_a_bomb_while_unpacking(server: HTTPServer) -> None:
    server.expect_request("/big").respond_with_data(b"x" * 5000)
    bomb = gzip.compress(b"\0" * 50_000_000)
    server.expect_request("/bomb").respond_with_data(bomb, headers={"Content-Encoding": "gzip"})
    async with http() as client:
        with pytest.raises(ResourceLimitError) as caught:
            await client.request("GET", at(server, "/big"), max_bytes=1000)
        assert caught.value.used == 5000
        with pytest.raises(ResourceLimitError):
            await client.request("GET", at(server, "/bomb"), max_bytes=1_000_000)


async def test_a_request_body_has_a_limit_too(server: HTTPServer) -> None:
    async with http(LOCAL | {"max_request_size": 100}) as client:
        with pytest.raises(ResourceLimitError, match="request"):
            await client.request("POST", at(server, "/hello"), content=b"x" * 101)


async def test_a_slow_server_is_a_timeout(server: HTTPServer) -> None:
    release = threading.Event()

    def slow(request: Request) -> Response:
        release.wait(10)
        return Response("late")

    server.expect_request("/slow").respond_with_handler(slow)
    async with http() as client:
        try:
            with pytest.raises(TimeoutError, match=r"within 0\.1 seconds") as caught:
                await client.request("GET", at(server, "/slow?key=geheim"), timeout=0.1)
        finally:
            release.set()
    assert caught.value.duration_ms == 100
    assert "geheim" not in str(caught.value)


async def test_a_body_that_drips_counts_towards_the_same_timeout(server: HTTPServer) -> None:
    release = threading.Event()

    def drip() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x"
            if release.wait(0.05):
                return

    server.expect_request("/drip").respond_with_handler(lambda request: Response(drip(), direct_passthrough=True))
    async with http() as client:
        try:
            with pytest.raises(TimeoutError):
                await client.request("GET", at(server, "/drip"), timeout=0.3)
        finally:
            release.set()


async def test_cancelling_a_request_frees_its_connection(server: HTTPServer) -> None:
    release = threading.Event()
    server.expect_request("/slow").respond_with_handler(lambda request: Response(str(release.wait(10))))
    async with http() as client:
        task = asyncio.ensure_future(client.request("GET", at(server, "/slow")))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert (await client.request("GET", at(server, "/hello"))).text == "hello"


async def test_a_body_can_be_read_piece_by_piece(server: HTTPServer) -> None:
    server.expect_request("/big").respond_with_data(b"x" * 300_000)
    async with http() as client, client.stream("GET", at(server, "/big")) as stream:
        assert stream.status_code == 200
        sizes = [len(chunk) async for chunk in stream.chunks()]
    assert sum(sizes) == 300_000
    assert len(sizes) > 1


async def test_the_next_address_is_tried_when_one_is_dead(server: HTTPServer) -> None:
    settings = {"allow_private_networks": ["two.example"]}
    async with http(settings, {"two.example": ["::1", "127.0.0.1"]}) as client:
        assert (await client.request("GET", at(server, "/hello", "two.example"))).text == "hello"


async def test_this_machine_can_be_allowed_by_name(server: HTTPServer) -> None:
    async with http({"allowed_hosts": ["localhost"]}) as client:
        assert (await client.request("GET", at(server, "/hello", "localhost"))).text == "hello"


async def test_nobody_there_and_no_such_host_are_network_errors() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    policy = Policy(LOCAL, resolver=nobody)
    with pytest.raises(NetworkError, match=r"cannot find host 'nope\.example'"):
        await Http(policy).request("GET", "http://nope.example/")
    with pytest.raises(NetworkError, match="cannot reach"):
        await Http(policy).request("GET", "http://127.0.0.1:9/")
    await policy.aclose()


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"\x00\xff\x16\x03", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"],
)
async def test_a_server_that_does_not_speak_http_is_a_network_error(garbage: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, http() as client:
        with pytest.raises(NetworkError):
            await client.request("GET", f"http://127.0.0.1:{port}/")


async def test_tls_checks_the_name_although_the_connection_goes_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("good.example").configure_cert(context)
    names = {"good.example": ["127.0.0.1"], "wrong.example": ["127.0.0.1"]}
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server:
        server.expect_request("/").respond_with_data("safe")
        async with http({"allow_private_networks": ["127.0.0.1"]}, names) as client:
            assert (await client.request("GET", f"https://good.example:{server.port}/")).text == "safe"
            with pytest.raises(NetworkError, match="certificate"):
                await client.request("GET", f"https://wrong.example:{server.port}/")


async def test_one_host_gets_so_many_requests_a_minute(server: HTTPServer) -> None:
    async with http(LOCAL | {"requests_per_window": 2}) as client:
        await client.request("GET", at(server, "/hello"))
        await client.request("GET", at(server, "/hello"))
        with pytest.raises(RateLimitError) as caught:
            await client.request("GET", at(server, "/hello"))
    assert 0 < float(caught.value.retry_after or 0) <= 60


async def test_no_error_shows_user_password_or_query() -> None:
    async with http() as client:
        with pytest.raises(NetworkError) as caught:
            await client.request("GET", "http://user:geheim@127.0.0.1:9/path?token=geheim")
    assert "geheim" not in f"{caught.value} {caught.value.hint}"
    assert "/path" in str(caught.value)
