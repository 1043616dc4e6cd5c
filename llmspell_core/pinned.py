"""An HTTP transport that connects to addresses somebody has judged, never to a name. Importing this imports httpx2."""

from __future__ import annotations

import codecs
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import httpcore2
import httpx2

__all__ = ["Addresses", "PinnedBackend", "PinnedTransport", "named_as_httpx2"]

Addresses = Callable[[str, int], Awaitable[list[str]]]
"""Host and port -> where to connect. Raises for a host that may not be reached."""
MAX_CONNECTIONS = 100
NO_CHARSETS = frozenset(
    {"idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
"""Python reads these as encodings of text, too; no page is written in them. Reading punycode takes hours for a few megabytes."""
CONNECT_TIMEOUT = 10.0  # seconds for each address, so that one dead address leaves time for the next


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Looks a host up once, with what judges its addresses, and connects to one of them."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout or CONNECT_TIMEOUT, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class PinnedTransport(httpx2.AsyncBaseTransport):
    """httpx2's own transport cannot be given a network backend; this is the same over a pool that has one.

    Args:
        errors: what the pool's exceptions go through; `named_as_httpx2` makes them those that users of a client expect.
    """

    def __init__(
        self,
        addresses: Addresses,
        context: ssl.SSLContext | None,
        errors: Callable[[], AbstractContextManager[None]] = nullcontext,
        max_connections: int = MAX_CONNECTIONS,
        socket_options: Iterable[Any] | None = None,
    ) -> None:
        self._errors = errors
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=max_connections,
            max_keepalive_connections=max_connections // 5,
            keepalive_expiry=5.0,
            socket_options=socket_options,
            network_backend=PinnedBackend(addresses),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        url = request.url
        with self._errors():
            answer = await self._pool.handle_async_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        assert isinstance(answer.stream, AsyncIterable)
        return _readable(
            httpx2.Response(
                answer.status,
                headers=answer.headers,
                stream=_Body(answer.stream, self._errors),
                extensions=answer.extensions,
            )
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


def _readable(answer: httpx2.Response) -> httpx2.Response:
    """The answer, without its charset where that is none: whoever reads it decodes it as the server says."""
    named = answer.charset_encoding
    if named is not None and not _is_charset(named):
        answer.headers["content-type"] = answer.headers["content-type"].partition(";")[0]
    return answer


def _is_charset(name: str) -> bool:
    try:
        return codecs.lookup(name).name.replace("_", "-") not in NO_CHARSETS
    except (LookupError, ValueError):
        return False


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes], errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._stream = stream
        self._errors = errors

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._errors():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()


@contextmanager
def named_as_httpx2() -> Iterator[None]:
    """The pool's errors as the client's own of the same name."""
    try:
        yield
    except Exception as error:
        names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("httpcore2")]
        kind = next((getattr(httpx2, name) for name in names if hasattr(httpx2, name)), None)
        if kind is None:
            raise
        raise kind(str(error)) from error
