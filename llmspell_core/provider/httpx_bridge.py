"""For vendors' packages that are built on `httpx`, the client that `httpx2` came from: the same wire in its words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import httpx2

__all__ = ["HttpxTransport"]


class HttpxTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        asked = httpx2.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            stream=_Up(request.stream),
            extensions=request.extensions,
        )
        with _named_as_httpx():
            answer = await self._inner.handle_async_request(asked)
        assert isinstance(answer.stream, httpx2.AsyncByteStream)
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.raw,
            stream=_Down(answer.stream),
            extensions=dict(answer.extensions),
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Up(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part


class _Down(httpx.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _named_as_httpx():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _named_as_httpx() -> Iterator[None]:
    """Errors under the same names."""
    try:
        yield
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        kind = next((getattr(httpx, k.__name__) for k in type(error).__mro__ if hasattr(httpx, k.__name__)), None)
        raise (kind or httpx.TransportError)(str(error)) from error
