"""`ctx.http`: HTTP as a tool sees it, every host and every address checked by the policy.

The check happens where the connection is made: the host is looked up once, every address is judged, and the connection
goes to one of the judged addresses. A name that changes its address between check and use gains nothing, and each
redirect passes the same gate.
"""

from __future__ import annotations

import asyncio
import builtins
import codecs
import json
import logging
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from llmspell_core.errors import (
    LLMSpellError,
    MissingDependencyError,
    NetworkError,
    RateLimitError,
    ResourceLimitError,
    SecurityError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.policy.decoding import ACCEPTED, Decoder, decoder
from llmspell_core.policy.sent_headers import check_headers
from llmspell_core.purse import MOST_PARSED, json_weight

if TYPE_CHECKING:
    import httpx2

    from llmspell_core.context import ExecutionContext
    from llmspell_core.policy.policy import Policy

__all__ = ["Http", "HttpResponse", "HttpStream"]

log = logging.getLogger("llmspell.policy")

DIGITS = re.compile(r"[0-9]{1,18}")
MAX_HOSTS = 1000  # whose requests are counted; more would only fill the memory
# What may follow a redirect to another origin. Everything else may be a key, whatever its name is.
PUBLIC_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-length", "content-type", "user-agent"}
)


class RequestOptions(TypedDict, total=False):
    """What a request may have besides its method and URL.

    `json` is the body as plain data, `content` the body as it is; `max_redirects` and `max_bytes` (of the answer) are the
    policy's by default.
    """

    headers: Mapping[str, str] | None
    params: Mapping[str, Any] | None
    json: Any
    content: bytes | str | None
    follow_redirects: bool
    max_redirects: int | None
    max_bytes: int | None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole answer. `headers` finds names in any case; `url` is where the last redirect led.

    `cookies` are the values of `Set-Cookie`, one by one: joined, they could not be told apart.
    """

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    url: str
    encoding: str = "utf-8"
    cookies: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        if self.content.startswith(codecs.BOM_UTF8):  # it says how to read the rest, and is no part of it
            return self.content.decode("utf-8-sig", errors="replace")
        try:
            return self.content.decode(self.encoding, errors="replace")
        except (LookupError, UnicodeError):  # the server named an encoding that is none
            return self.content.decode("utf-8", errors="replace")

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    def json(self) -> Any:
        """Raises: ValidationError when the body is not JSON, or has more values than memory should be spent on."""
        if json_weight(self.content) > MOST_PARSED:
            raise ValidationError(f"the answer of {self.url} has too many values", field="body")
        try:
            return json.loads(self.content, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"the answer of {self.url} is not JSON: {error}", field="body") from None


class HttpStream:
    """An answer whose body is still coming; `chunks` is read once, inside the `async with`."""

    def __init__(self, response: httpx2.Response, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self.status_code = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.url = _shown(response.url)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, decompressed. Raises: ResourceLimitError when there is more than `max_bytes`."""
        used = 0
        with _explained(self.url):
            decoding: Decoder | None = None  # of no interest where there is no body, as for HEAD
            async for chunk in self._response.aiter_raw():
                decoding = decoding or decoder(self.headers.get("content-encoding", ""), self.url)
                for piece in decoding.feed(chunk):
                    used += len(piece)
                    if used > self._max_bytes:
                        raise self._too_big(used)
                    yield piece
            if decoding is not None:
                decoding.end()

    async def read(self) -> HttpResponse:
        """The rest, as a whole."""
        length = self.headers.get("content-length", "")
        declared = int(length) if DIGITS.fullmatch(length) and self._response.request.method != "HEAD" else 0
        if declared > self._max_bytes:
            raise self._too_big(declared)
        content = b"".join([chunk async for chunk in self.chunks()])
        cookies = self._response.headers.get_list("set-cookie")
        encoding = self._response.charset_encoding or "utf-8"
        return HttpResponse(self.status_code, self.headers, content, self.url, encoding, cookies)

    def _too_big(self, used: int) -> ResourceLimitError:
        return ResourceLimitError(
            f"the answer of {self.url} is too big",
            resource="response size",
            limit=self._max_bytes,
            used=used,
            hint="Ask for less, or raise tools.http_request.max_response_size (bytes).",
        )


class Http:
    """HTTP for one execution. Connections are shared by the whole runtime; cookies are not kept."""

    def __init__(self, policy: Policy, context: ExecutionContext | None = None) -> None:
        self._policy = policy
        self._context = context

    async def request(
        self, method: str, url: str, *, timeout: float | None = None, **options: Unpack[RequestOptions]
    ) -> HttpResponse:
        """Send one request and read the whole answer, whatever its status.

        Args:
            timeout: seconds for everything, redirects and body included.
            options: see `RequestOptions`.

        Raises:
            SecurityError: the policy refuses a host, address or port, at the start or after a redirect.
            TimeoutError, NetworkError: it did not answer in time, or cannot be reached.
            RateLimitError: too many requests to that host in a minute.
            ResourceLimitError: the answer is bigger than `max_bytes`, or the body than the policy allows.
            ValidationError: the URL or a header is not well-formed.
        """
        async with self.stream(method, url, timeout=timeout, **options) as stream:
            return await stream.read()

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, timeout: float | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[HttpStream]:
        """The same for bodies that are read piece by piece; `timeout` covers the body of the `async with`."""
        async with self._within(timeout, url), self._stream(method, url, options) as stream:
            yield stream

    @asynccontextmanager
    async def _within(self, timeout: float | None, url: str) -> AsyncIterator[None]:
        seconds = self._policy.settings.http_timeout if timeout is None else timeout
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                yield
        except builtins.TimeoutError as error:
            if not deadline.expired():
                raise
            raise _timeout(url, seconds) from error
        except SecurityError as error:
            await self._policy.report(error, self._context)
            raise

    @asynccontextmanager
    async def _stream(self, method: str, url: str, options: RequestOptions) -> AsyncIterator[HttpStream]:
        pool = self._policy.http_pool()
        client = await pool.client()
        request = _request(client, method.upper(), url, options, self._policy.settings.max_request_size)
        response = await self._send(pool, client, request, options)
        limit = options.get("max_bytes")
        try:
            yield HttpStream(response, self._policy.settings.max_response_size if limit is None else limit)
        finally:
            await response.aclose()

    async def _send(
        self, pool: HttpPool, client: httpx2.AsyncClient, request: httpx2.Request, options: RequestOptions
    ) -> httpx2.Response:
        given = options.get("max_redirects")
        limit = self._policy.settings.max_redirects if given is None else given
        for _ in range(limit + 1):
            pool.admit(request.url)
            log.info("%s %s", request.method, _shown(request.url))
            with _explained(_shown(request.url)):
                response = await client.send(request, stream=True)
                await _refuse_two_lengths(response)
            following = response.next_request if options.get("follow_redirects", True) else None
            if following is None:
                return response
            await response.aclose()
            request = _next_request(request, following)
        raise NetworkError(
            f"{_shown(request.url)}: more than {limit} redirects", hint="The server may send you in a circle."
        )


def _request(
    client: httpx2.AsyncClient, method: str, url: str, options: RequestOptions, max_size: int
) -> httpx2.Request:
    import httpx2

    headers = dict(options.get("headers") or {})
    try:
        address = httpx2.URL(url)
        check_headers(headers, user_in_url=bool(address.userinfo))
        if not any(name.lower() == "accept-encoding" for name in headers):
            headers["Accept-Encoding"] = ACCEPTED
        request = client.build_request(
            method,
            address,
            headers=headers,
            params=options.get("params"),
            json=options.get("json"),
            content=options.get("content"),
        )
    except LLMSpellError:
        raise
    except UnicodeEncodeError as error:
        raise ValidationError(
            f"the request holds {error.object[error.start]!r}, half of a character, which cannot be sent",
            field="body",
            hint="Cut the text between characters, or replace such halves (in JavaScript: text.toWellFormed()).",
        ) from None
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        raise ValidationError(
            f"this cannot be requested: {error}", field="url", hint="Write http://host/... or https://host/..."
        ) from None
    size = int(request.headers.get("content-length", "0"))
    if size > max_size:
        raise ResourceLimitError(
            "the body of the request is too big",
            resource="request size",
            limit=max_size,
            used=size,
            hint="Send less at one time, or raise tools.http_request.max_request_size (bytes).",
        )
    return request


async def _refuse_two_lengths(response: httpx2.Response) -> None:
    """Where two headers say how long an answer is, somebody on the way may have read it differently."""
    if "content-length" in response.headers and "transfer-encoding" in response.headers:
        await response.aclose()
        raise NetworkError(
            f"{_shown(response.url)} sent both Content-Length and Transfer-Encoding",
            hint="The server, or a proxy before it, is broken, or somebody tampers with its answers.",
        )


class HttpPool:
    """The client behind every `Http` of one policy, made when the first request is sent."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._client: httpx2.AsyncClient | None = None
        self._lock = asyncio.Lock()
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)

    async def client(self) -> httpx2.AsyncClient:
        async with self._lock:
            if self._client is None:
                # The import and the certificates take a while; the loop has other things to do.
                self._client = await asyncio.to_thread(_make_client, self._policy)
            return self._client

    def admit(self, url: httpx2.URL) -> None:
        """Check the URL and count it. Raises: SecurityError, ValidationError, RateLimitError."""
        port = url.port if url.port is not None else (443 if url.scheme == "https" else 80)
        self._policy.hosts.check_url(url.scheme, url.raw_host.decode("ascii"), port)
        settings = self._policy.settings
        if not settings.requests_per_window:
            return
        if len(self._sent) > MAX_HOSTS and url.host not in self._sent:
            self._sent.clear()
        sent, now = self._sent[url.host], time.monotonic()
        while sent and sent[0] <= now - settings.window_seconds:
            sent.popleft()
        if len(sent) >= settings.requests_per_window:
            raise RateLimitError(
                f"more than {settings.requests_per_window} requests to '{url.host}' in {settings.window_seconds:g} seconds",
                retry_after=round(sent[0] + settings.window_seconds - now, 3),
                hint="Wait, or raise security.sandbox.rate_limit.max_requests.",
            )
        sent.append(now)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _no_number(word: str) -> None:
    message = f"{word} is not JSON"
    raise ValueError(message)


def _make_client(policy: Policy) -> httpx2.AsyncClient:
    try:
        from llmspell_core.policy.transport import make_client
    except ImportError as error:
        raise MissingDependencyError(
            f"HTTP needs the package httpx2, which is not installed ({error})",
            package="httpx2",
            hint="pip install httpx2",
        ) from None
    return make_client(policy)


def _next_request(request: httpx2.Request, following: httpx2.Request) -> httpx2.Request:
    if _origin(request.url) == _origin(following.url):
        return following
    for name in set(following.headers) - PUBLIC_HEADERS - {"host", "transfer-encoding"}:
        del following.headers[name]
    return following


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _shown(url: httpx2.URL) -> str:
    """The URL without user, password and query, which may hold keys."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


def _timeout(url: str, seconds: float) -> TimeoutError:
    return TimeoutError(
        f"{url.partition('?')[0]} did not answer within {seconds:g} seconds",
        duration_ms=round(seconds * 1000),
        hint="Raise the time-out, or check whether the server is up.",
    )


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Turn the client's errors into ours."""
    import httpcore2
    import httpx2

    try:
        yield
    except LLMSpellError:
        raise
    except (httpx2.TimeoutException, httpcore2.TimeoutException) as error:
        raise NetworkError(f"{url} did not answer in time", hint="Check whether the server is up.") from error
    except (httpx2.LocalProtocolError, httpcore2.LocalProtocolError):
        # Its text may show the value of a header.
        raise ValidationError(
            f"this cannot be sent to {url}", field="headers", hint="Check the names and values of the headers."
        ) from None
    except (httpx2.RemoteProtocolError, httpcore2.RemoteProtocolError) as error:
        if "without sending complete" in str(error) or "incomplete" in str(error):
            raise NetworkError(f"{url} broke its answer off: {error}", hint="Ask again.") from error
        raise NetworkError(
            f"{url} sent an answer that is not HTTP: {error}", hint="Check the port and http/https."
        ) from error
    except (
        httpx2.HTTPError,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.UnsupportedProtocol,
        OSError,
    ) as error:
        raise NetworkError(
            f"cannot reach {url}: {error}", hint="Check the address and whether the server is up."
        ) from error
