"""The one place that opens connections for tools; imported with httpx2, when the first request is sent."""

from __future__ import annotations

import http.cookiejar
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

if TYPE_CHECKING:
    from llmspell_core.policy.host import HostRules
    from llmspell_core.policy.policy import Policy

__all__ = ["make_client"]

MAX_CONNECTIONS = 100
CONNECT_TIMEOUT = 10.0  # seconds for each address, so that one dead address leaves time for the next


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that the policy has seen, never to a name."""

    def __init__(self, hosts: HostRules) -> None:
        self._hosts = hosts
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
        for address in await self._hosts.addresses(host, port):
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
    """httpx2's own transport cannot be given a network backend; this is the same over a pool that has one."""

    def __init__(self, hosts: HostRules, context: ssl.SSLContext) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=PinnedBackend(hosts),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        url = request.url
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
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()


def make_client(policy: Policy) -> httpx2.AsyncClient:
    context = httpx2.create_ssl_context(verify=policy.settings.verify_ssl)
    # Proxies of the environment are not used: behind one, the address of a host cannot be checked.
    return httpx2.AsyncClient(
        transport=PinnedTransport(policy.hosts, context),
        headers=dict(policy.settings.default_headers),
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
        timeout=None,
    )
