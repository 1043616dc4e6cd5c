"""http-request against a real server, through the desk."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from llmspell_tools_web.http_request import HttpRequest
from llmspell_tools_web.retry import retry_after
from llmspell_tools_web.window import SlidingWindow
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from llmspell_core.errors import NetworkError, RateLimitError, SecurityError, ValidationError
from llmspell_core.plugins.registry import Registry
from llmspell_core.runtime import Runtime

Invoke = Callable[..., Awaitable[dict[str, Any]]]
QUICKLY = {"initial_delay_ms": 1}


def desk(**security: Any) -> Runtime:
    registry = Registry()
    registry.register("tools", HttpRequest.name, HttpRequest)
    settings = {"tools": {"http_request": {"allowed_hosts": ["127.0.0.1"]}}, "runtime": {"security": security}}
    return Runtime(settings, registry=registry)


@pytest.fixture
async def invoke() -> AsyncIterator[Invoke]:
    """`await invoke(input=url)` gives the envelope."""
    async with desk() as runtime:

        async def call(**parameters: Any) -> dict[str, Any]:
            output = await runtime.invoke_tool("http-request", parameters)
            envelope: dict[str, Any] = output.metadata.extra["response"]
            return envelope

        yield call


def at(server: HTTPServer, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def answers(server: HTTPServer, *statuses: int, **headers: str) -> list[float]:
    """The server answers with these one after the other; the list gets the times of the requests."""
    times: list[float] = []

    def answer(request: Request) -> Response:
        times.append(time.monotonic())
        return Response(f"answer {len(times)}", statuses[min(len(times), len(statuses)) - 1], headers=headers)

    server.expect_request("/").respond_with_handler(answer)
    return times


async def test_a_json_answer_is_a_value(httpserver: HTTPServer, invoke: Invoke) -> None:
    httpserver.expect_request("/").respond_with_json({"a": [1, None]}, headers={"X-Mine": "yes"})
    envelope = await invoke(url=at(httpserver))
    result = envelope["result"]
    assert envelope["operation"] == "http-requester"
    assert (result["status_code"], result["body"], result["body_type"]) == (200, {"a": [1, None]}, "json")
    assert result["headers"]["x-mine"] == "yes"
    assert datetime.fromisoformat(result["timestamp"]).tzinfo is not None
    assert envelope["metadata"] == {"method": "GET", "url": at(httpserver)}


@pytest.mark.parametrize(
    ("data", "content_type", "body", "body_type"),
    [
        (b"gr\xc3\xbcn", "text/plain; charset=utf-8", "grün", "text"),
        (b"\xef\xbb\xbfgr\xc3\xbcn", "text/plain", "grün", "text"),
        (b'\xef\xbb\xbf{"t": 1}', "application/json", {"t": 1}, "json"),
        (b"gr\xfcn", "text/html; charset=iso-8859-1", "grün", "text"),
        (b"<a/>", "application/atom+xml", "<a/>", "text"),
        (b'{"broken', "application/json", '{"broken', "text"),
        (b"[" * 100_000, "application/json", "[" * 100_000, "text"),
        (b'{"a": NaN}', "application/json", '{"a": NaN}', "text"),
        (b"text", "text/plain; charset=klingon", "text", "text"),
        (b'{"t": 1}', "application/problem+json", {"t": 1}, "json"),
        (b"\x89PNG\x00", "image/png", base64.b64encode(b"\x89PNG\x00").decode(), "binary"),
        (b"", "image/png", "", "text"),
    ],
)
async def test_other_answers_are_text_or_base64(
    httpserver: HTTPServer, invoke: Invoke, data: bytes, content_type: str, body: Any, body_type: str
) -> None:
    httpserver.expect_request("/").respond_with_data(data, content_type=content_type)
    result = (await invoke(input=at(httpserver)))["result"]
    assert (result["body"], result["body_type"]) == (body, body_type)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "post"])
async def test_every_method_reaches_the_server(httpserver: HTTPServer, invoke: Invoke, method: str) -> None:
    httpserver.expect_request("/", method=method.upper()).respond_with_data("ok")
    assert (await invoke(input=at(httpserver), method=method))["result"]["status_code"] == 200


async def test_text_is_sent_as_it_is_and_data_as_json(httpserver: HTTPServer, invoke: Invoke) -> None:
    httpserver.expect_request("/").respond_with_handler(
        lambda request: Response(
            request.data, content_type="text/plain", headers={"X-Type": request.content_type or ""}
        )
    )
    for body, sent, kind in (
        ({"ä": 1}, '{"ä":1}', "application/json"),
        ([], "[]", "application/json"),
        ("plain ä", "plain ä", "text/plain; charset=utf-8"),
    ):
        result = (await invoke(input=at(httpserver), method="POST", body=body))["result"]
        assert (result["body"], result["headers"]["x-type"]) == (sent, kind)


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "basic", "username": "u", "password": "ü"}, "Authorization", "Basic " + base64.b64encode("u:ü".encode()).decode()),
        ({"type": "bearer", "token": "t"}, "Authorization", "Bearer t"),
        ({"type": "api_key", "key": "k"}, "X-Api-Key", "k"),
        ({"type": "api_key", "key": "k", "header_name": "X-Other"}, "X-Other", "k"),
        ({"type": "custom", "headers": {"X-A": "1"}}, "X-A", "1"),
        ({"type": "none"}, "X-None", ""),
        ([], "X-None", ""),
    ],
)  # fmt: skip
async def test_credentials_are_sent(httpserver: HTTPServer, invoke: Invoke, auth: Any, header: str, value: str) -> None:
    httpserver.expect_request("/").respond_with_handler(lambda request: Response(request.headers.get(header, "")))
    assert (await invoke(input=at(httpserver), auth=auth))["result"]["body"] == value


@pytest.mark.parametrize(("kind", "missing"), [("basic", "username"), ("bearer", "token"), ("api_key", "key")])
async def test_incomplete_credentials_are_explained(invoke: Invoke, kind: str, missing: str) -> None:
    with pytest.raises(ValidationError, match=f"auth of type {kind} needs '{missing}'"):
        await invoke(input="http://127.0.0.1/", auth={"type": kind, "password": "geheim"})


async def test_no_error_shows_credentials(invoke: Invoke) -> None:
    with pytest.raises(NetworkError) as caught:
        await invoke(input="http://127.0.0.1:9/", auth={"type": "bearer", "token": "geheim"}, retry={"max_attempts": 1})
    assert "geheim" not in repr(caught.value.to_dict())


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_passing_failure_is_tried_again(httpserver: HTTPServer, invoke: Invoke, status: int) -> None:
    times = answers(httpserver, status, status, 200)
    envelope = await invoke(input=at(httpserver), retry=QUICKLY)
    assert (envelope["result"]["status_code"], len(times)) == (200, 3)


async def test_the_last_answer_is_given_back_whatever_it_is(httpserver: HTTPServer, invoke: Invoke) -> None:
    times = answers(httpserver, 503)
    envelope = await invoke(input=at(httpserver), retry=QUICKLY | {"max_attempts": 2})
    assert (envelope["result"]["status_code"], len(times), envelope["success"]) == (503, 2, True)


async def test_a_lasting_failure_is_not_tried_again(httpserver: HTTPServer, invoke: Invoke) -> None:
    times = answers(httpserver, 404)
    envelope = await invoke(input=at(httpserver), retry=QUICKLY)
    assert (envelope["result"]["status_code"], len(times)) == (404, 1)
    assert "404 Not Found" in envelope["message"]


async def test_the_server_says_how_long_to_wait(httpserver: HTTPServer, invoke: Invoke) -> None:
    times = answers(httpserver, 429, 200, **{"Retry-After": "1"})
    await invoke(input=at(httpserver), retry=QUICKLY)
    assert times[1] - times[0] >= 1.0


async def test_a_server_that_wants_more_patience_than_allowed_is_not_asked_again(
    httpserver: HTTPServer, invoke: Invoke
) -> None:
    times = answers(httpserver, 429, 200, **{"Retry-After": "3600"})
    assert (await invoke(input=at(httpserver)))["result"]["status_code"] == 429
    assert len(times) == 1


@pytest.mark.parametrize(("status", "sent"), [(500, 1), (503, 2), (429, 2)])
async def test_a_post_is_repeated_only_when_the_server_did_nothing(
    httpserver: HTTPServer, invoke: Invoke, status: int, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmspell_tools_web.retry._backoff", lambda *_: 0.0)
    times = answers(httpserver, status, 200)
    await invoke(input=at(httpserver), method="POST")
    assert len(times) == sent


async def test_a_post_is_repeated_when_that_was_asked_for(httpserver: HTTPServer, invoke: Invoke) -> None:
    times = answers(httpserver, 500, 200)
    await invoke(input=at(httpserver), method="POST", retry=QUICKLY)
    assert len(times) == 2


async def test_an_unreachable_server_is_tried_again_and_then_an_error(invoke: Invoke) -> None:
    with pytest.raises(NetworkError, match="cannot reach"):
        await invoke(input="http://127.0.0.1:9/", retry=QUICKLY)


def test_retry_after_is_a_number_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after("7") == 7.0
    assert 55 < (retry_after(soon) or 0) <= 60
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") is None
    assert retry_after(None) is None


async def test_hosts_that_are_not_allowed_are_refused_at_once(invoke: Invoke) -> None:
    for url in ("http://localhost/", "http://169.254.169.254/", "http://example.com/"):
        with pytest.raises(SecurityError):
            await invoke(input=url)


async def test_a_redirect_to_a_host_that_is_not_allowed_is_refused(httpserver: HTTPServer, invoke: Invoke) -> None:
    httpserver.expect_request("/").respond_with_data("", 302, {"Location": "http://169.254.169.254/keys"})
    with pytest.raises(SecurityError, match=r"169\.254"):
        await invoke(input=at(httpserver))


async def test_the_high_profile_does_not_run_it(httpserver: HTTPServer) -> None:
    async with desk(profile="high") as runtime:
        with pytest.raises(SecurityError, match="restricted"):
            await runtime.invoke_tool("http-request", {"input": at(httpserver)})


async def test_sixty_requests_a_minute(httpserver: HTTPServer, invoke: Invoke) -> None:
    httpserver.expect_request("/").respond_with_data("ok")
    for _ in range(60):
        await invoke(input=at(httpserver))
    with pytest.raises(RateLimitError) as caught:
        await invoke(input=at(httpserver))
    assert 0 < (caught.value.retry_after or 0) <= 60


def test_the_window_slides(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("llmspell_tools_web.window.time.monotonic", lambda: now)
    window = SlidingWindow(60.0)
    window.admit(1)
    with pytest.raises(RateLimitError) as caught:
        window.admit(1)
    assert caught.value.retry_after == 60.0
    now = 160.0
    window.admit(1)


KEY = "sk-the-key-of-this-test"


@pytest.mark.parametrize(
    ("headers", "auth"),
    [
        ({"authorization": "x"}, {"type": "bearer", "token": KEY}),
        ({"AUTHORIZATION": "x"}, {"type": "basic", "username": "me", "password": KEY}),
        ({"x-api-key": "x"}, {"type": "api_key", "key": KEY}),
        ({"X-Mine": "x"}, {"type": "api_key", "key": KEY, "header_name": "x-mine"}),
        ({"X-Mine": "x"}, {"type": "custom", "headers": {"x-mine": KEY}}),
    ],
)
async def test_one_header_comes_from_one_place(invoke: Invoke, headers: Any, auth: Any) -> None:
    with pytest.raises(ValidationError, match="give one of them") as caught:
        await invoke(input="http://127.0.0.1:9/", headers=headers, auth=auth)
    assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.to_dict()}"


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": f"{KEY}\n"},
        {"type": "bearer", "token": f"{KEY}é"},
        {"type": "bearer", "token": [KEY]},
        {"type": "api_key", "key": f"{KEY}\r\nX-Evil: 1"},
        {"type": "api_key", "key": {"a": KEY}},
        {"type": "custom", "headers": {"X-Mine": f"{KEY}\n"}},
        {"type": "custom", "headers": {"X-Mine": [KEY]}},
        {"type": "nonsense", "token": KEY},
    ],
)
async def test_an_error_about_credentials_does_not_show_them(httpserver: HTTPServer, invoke: Invoke, auth: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        await invoke(input=at(httpserver), auth=auth)
    assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.to_dict()}"
    assert httpserver.log == []


async def test_cookies_are_a_list(httpserver: HTTPServer, invoke: Invoke) -> None:
    two = Response("")
    two.headers.add("Set-Cookie", "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT")
    two.headers.add("Set-Cookie", "b=2")
    httpserver.expect_request("/two").respond_with_response(two)
    httpserver.expect_request("/one").respond_with_data("", headers={"Set-Cookie": "a=1"})
    first = (await invoke(input=at(httpserver, "/two")))["result"]["headers"]
    assert first["set-cookie"] == ["a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "b=2"]
    assert (await invoke(input=at(httpserver, "/one")))["result"]["headers"]["set-cookie"] == ["a=1"]


async def test_text_of_wide_characters_is_text(httpserver: HTTPServer, invoke: Invoke) -> None:
    httpserver.expect_request("/").respond_with_data("é".encode("utf-16"), content_type="text/plain; charset=utf-16")
    result = (await invoke(input=at(httpserver)))["result"]
    assert (result["body"], result["body_type"]) == ("é", "text")


@pytest.mark.parametrize(
    "value", ["\xb2", "-1", "nan", "1e999", "9" * 400, "99999999999999 Jan", "Wed, 99 Foo 99999", "1.5"]
)
async def test_a_strange_retry_after_is_no_obstacle(httpserver: HTTPServer, invoke: Invoke, value: str) -> None:
    answers(httpserver, 503, 200, **{"Retry-After": value})
    result = (await invoke(input=at(httpserver), retry=QUICKLY))["result"]
    assert result["status_code"] == (503 if value == "9" * 400 else 200)


async def test_half_a_character_in_a_body_is_named_as_that(invoke: Invoke, httpserver: HTTPServer) -> None:
    with pytest.raises(ValidationError, match="half of a character, which cannot be sent") as caught:
        await invoke(url=httpserver.url_for("/"), method="POST", body="a\ud800b")
    assert "toWellFormed" in str(caught.value.hint)
