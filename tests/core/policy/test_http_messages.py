"""What goes over the wire and what comes back, byte by byte: framing, compression, headers that may hold keys."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from llmspell_core.errors import NetworkError, ResourceLimitError, ValidationError
from llmspell_core.policy import Http, HttpResponse, Policy

KEY = "sk-the-key-of-this-test"


@asynccontextmanager
async def answering(answer: bytes, chunks: int = 10**9) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends `answer`, so many bytes at a time, whatever it is asked, and hangs up. The list gets the requests."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        for start in range(0, len(answer), chunks):
            writer.write(answer[start : start + chunks])
            await writer.drain()
            if chunks < 100:
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked


async def fetch(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> HttpResponse:
    policy = Policy({"allowed_hosts": ["127.0.0.1"]})
    try:
        return await Http(policy).request(method, url, headers=headers)
    finally:
        await policy.aclose()


def message(body: bytes, *headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


PARTS = gzip.compress(b"part1 ") + gzip.compress(b"part2")
RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATED = RAW.compress(b"text" * 100) + RAW.flush()


@pytest.mark.parametrize("size", [1, 10**9])
@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        (PARTS, "gzip", b"part1 part2"),
        (PARTS, "x-gzip", b"part1 part2"),
        (gzip.compress(b"a") + b"\0" * 512, "GZIP", b"a"),
        (zlib.compress(b"text"), "deflate", b"text"),
        (RAW_DEFLATED, "deflate", b"text" * 100),
        (gzip.compress(zlib.compress(b"twice")), "deflate, gzip", b"twice"),
        (b"", "gzip", b""),
        (b"plain", "identity", b"plain"),
        (gzip.compress(b""), "gzip", b""),
    ],
)
async def test_a_compressed_body_is_read_to_its_end(body: bytes, encoding: str, text: bytes, size: int) -> None:
    async with answering(message(body, f"Content-Encoding: {encoding}"), size) as (url, _):
        assert (await fetch(url)).content == text


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"text" * 1000)[:-9], "gzip"),
        (gzip.compress(b"text" * 1000)[:12], "gzip"),
        (gzip.compress(b"a") + gzip.compress(b"text" * 1000)[:-3], "gzip"),
        (b"\x1f", "gzip"),
        (b"no gzip at all", "gzip"),
        (gzip.compress(b"text")[:-8] + b"\0" * 8, "gzip"),
        (zlib.compress(b"text" * 1000)[:-5], "deflate"),
        (b"\x0b\x02\x80text\x03", "br"),
        (b"text", "gzip, nonsense"),
    ],
)
async def test_a_body_that_is_cut_off_or_damaged_is_an_error(body: bytes, encoding: str) -> None:
    async with answering(message(body, f"Content-Encoding: {encoding}")) as (url, _):
        with pytest.raises(NetworkError, match=r"127\.0\.0\.1"):
            await fetch(url)


async def test_a_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 50_000_000))
    policy = Policy({"allowed_hosts": ["127.0.0.1"]})
    async with answering(message(bomb, "Content-Encoding: gzip, gzip")) as (url, _):
        with pytest.raises(ResourceLimitError):
            await Http(policy).request("GET", url, max_bytes=1_000_000)
    await policy.aclose()


async def test_the_head_of_a_compressed_answer_has_no_body() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: br\r\n\r\n") as (url, _):
        assert (await fetch(url, "HEAD")).content == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_with_two_lengths_is_refused(answer: bytes) -> None:
    async with answering(answer) as (url, _):
        with pytest.raises(NetworkError, match="both Content-Length and Transfer-Encoding"):
            await fetch(url)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
async def test_a_body_that_is_too_short_was_broken_off(answer: bytes) -> None:
    async with answering(answer) as (url, _):
        with pytest.raises(NetworkError, match="broke its answer off"):
            await fetch(url)


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "content-length", "Transfer-Encoding", "TRANSFER-ENCODING", "Host", "Trailer", "Upgrade", "Proxy-Connection"],
)  # fmt: skip
async def test_headers_that_follow_from_the_request_are_refused(name: str) -> None:
    async with answering(message(b"")) as (url, asked):
        with pytest.raises(ValidationError, match=f"{name} follows from"):
            await fetch(url, "POST", {name: "1"})
    assert asked == []


@pytest.mark.parametrize(
    "value", [f"{KEY}\n", f"{KEY}\r\nX-Evil: 1", f"{KEY}\0", f"{KEY}é", f"{KEY}\x07", f"{KEY}\u2028", "\ud800" + KEY]
)
@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
async def test_the_value_of_a_header_is_never_shown(name: str, value: str) -> None:
    async with answering(message(b"")) as (url, asked):
        with pytest.raises(ValidationError) as caught:
            await fetch(url, headers={name: value})
    assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.to_dict()}"
    assert name in caught.value.message
    assert asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1", "x-a": "2"},
        {"": "x"},
        {"a b": "x"},
        {"a:b": "x"},
        {"a\r\nb": "x"},
        {"é": "x"},
        {"Authorization ": "x"},
    ],
)
async def test_names_of_headers_are_names_and_stand_once(headers: dict[str, str]) -> None:
    async with answering(message(b"")) as (url, asked):
        with pytest.raises(ValidationError):
            await fetch(url, headers=headers)
    assert asked == []


async def test_a_user_in_the_url_and_an_authorization_are_not_both_sent() -> None:
    async with answering(message(b"")) as (url, asked):
        with pytest.raises(ValidationError, match="names a user") as caught:
            await fetch(url.replace("//", f"//me:{KEY}@"), headers={"Authorization": "Bearer x"})
        assert KEY not in str(caught.value)
        await fetch(url.replace("//", "//me:pass@"))
    assert asked[0].lower().count(b"authorization:") == 1


async def test_only_what_can_be_read_is_asked_for() -> None:
    async with answering(message(b"")) as (url, asked):
        await fetch(url)
        await fetch(url, headers={"accept-encoding": "identity"})
    assert [line for line in asked[0].split(b"\r\n") if line.startswith(b"Accept-Encoding")] == [
        b"Accept-Encoding: gzip, deflate"
    ]
    assert asked[1].lower().count(b"accept-encoding") == 1


async def test_cookies_are_told_apart() -> None:
    answer = message(b"", "Set-Cookie: a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "Set-Cookie: b=2")
    async with answering(answer) as (url, _):
        assert (await fetch(url)).cookies == ["a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2"]


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("punycode", "a-" + "z" * 100_000),
        ('"PunyCode"', "a-" + "z" * 100_000),
        ("unicode_escape", "\\x1b[31m"),
        ("utf7", "+AGE-"),
        ("raw_unicode_escape", "\\u0041"),
        ("zlib_codec", "abc"),
        ("nothing-known", "abc"),
    ],
)
async def test_a_charset_that_is_none_is_not_believed(charset: str, text: str) -> None:
    """Reading 300 kB of punycode keeps the host busy for seconds, whoever else waits for it."""
    body = text.encode()
    async with answering(message(body, f"Content-Type: text/html; charset={charset}")) as (url, _):
        answer = await fetch(url)
    assert answer.text == text


async def test_a_real_charset_is_believed() -> None:
    async with answering(message("ä".encode("latin-1"), "Content-Type: text/html; charset=ISO-8859-1")) as (url, _):
        assert (await fetch(url)).text == "ä"
