"""The HTTP client that vendors' packages are given, in place of one of their own. Importing this imports httpx2.

A package follows its own ideas: it reads variables of the environment, follows redirects anywhere and adds headers. This
client is bound to the one server that the provider's settings name, and lets through what those settings hold.
"""

from __future__ import annotations

import http.cookiejar
import socket
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from llmspell_core.errors import ConfigurationError, NetworkError, SecurityError
from llmspell_core.pinned import PinnedTransport, named_as_httpx2
from llmspell_core.provider.contract import Network, ProviderSettings
from llmspell_core.provider.key import check_key
from llmspell_core.provider.lookup import look_up
from llmspell_core.provider.tidy import tidied

if TYPE_CHECKING:
    import httpx

__all__ = ["Wire"]

PORTS = {"http": 80, "https": 443}
# What every HTTP client sends, and what packages made by the same generator tell about themselves. No keys are among them.
USUAL = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "transfer-encoding",
        "user-agent",
    }
)
USUAL_PREFIX = "x-stainless-"
MAX_CONNECTIONS = 1000  # many agents share a provider
# An answer may take minutes; routers forget a connection on which nothing is heard for so long.
KEPT_ALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))
    if hasattr(socket, name)
]
Origin = tuple[str, str, int]


class Wire:
    """What a provider speaks through. See `Provider.wire`."""

    def __init__(
        self,
        settings: ProviderSettings,
        base_url: str,
        network: Network | None = None,
        sends: Collection[str] = (),
        *,
        whole_characters: bool = False,
    ) -> None:
        check_key(settings)
        self.settings = settings
        self.origin = _origin(settings, base_url)
        self._network = network
        self.whole_characters = whole_characters
        self._sends = frozenset(name.lower() for name in sends)

    def client(self, **options: Any) -> httpx2.AsyncClient:
        """For packages that take an `httpx2.AsyncClient`; `options` are its own."""
        nowhere = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
        given: dict[str, Any] = {
            "timeout": None,
            "follow_redirects": True,
            "cookies": http.cookiejar.CookieJar(nowhere),
        }
        return httpx2.AsyncClient(transport=self.transport(), trust_env=False, **given | options)

    def transport(self) -> httpx2.AsyncBaseTransport:
        proxy = None if self.settings.from_caller else _proxy(self.settings, self.origin)
        context = httpx2.create_ssl_context() if self.origin[0] == "https" else None
        if proxy is not None:  # the proxy looks the host up
            inner: httpx2.AsyncBaseTransport = httpx2.AsyncHTTPTransport(
                proxy=proxy, verify=context or True, trust_env=False
            )
        else:
            inner = PinnedTransport(self._connecting, context, named_as_httpx2, MAX_CONNECTIONS, KEPT_ALIVE)
        return _Bound(inner, self)

    def httpx_transport(self) -> httpx.AsyncBaseTransport:
        """For packages that take the transport of an `httpx.AsyncClient`; it uses no proxies of its own then."""
        from llmspell_core.provider.httpx_bridge import HttpxTransport

        return HttpxTransport(self.transport())

    async def addresses(self, host: str, port: int) -> list[str]:
        """The operator's own servers may be anywhere; a caller's are judged at every connection."""
        if not self.settings.from_caller:
            return await look_up(host, port)
        if self._network is None:
            raise self.denial(f"nobody can say whether {host} may be reached", "Use the provider through a runtime.")
        return await self._network.callers_addresses(self.origin[0], host, port)

    async def _connecting(self, host: str, port: int) -> list[str]:
        """In the words of the HTTP client: an unknown host is a failed connection, as packages expect it."""
        try:
            return await self.addresses(host, port)
        except NetworkError as error:
            raise httpcore2.ConnectError(error.message) from None

    async def only(self, host: str, port: int) -> list[str]:
        """`addresses`, for the bound server and its proxy alone. Raises: SecurityError for every other one."""
        if (host.lower(), port) == self.origin[1:]:
            return await self.addresses(host, port)
        proxy = None if self.settings.from_caller else _proxy(self.settings, self.origin)
        if proxy and (host.lower(), port) == _origin(self.settings, proxy)[1:]:
            return await look_up(host, port)
        raise self.elsewhere(("https" if port == PORTS["https"] else "http", host, port))

    def elsewhere(self, asked: Origin) -> SecurityError:
        return self.denial(
            f"a request for {_shown(self.origin)} was sent on to {_shown(asked)}, which nobody configured",
            f"If the server has moved there, set base_url in [providers.{self.settings.name}] to that address.",
        )

    def passes(self, name: str, value: str) -> bool:
        """Whether a header may go out: a usual one, one of the protocol, a configured one, or one with the given key."""
        name = name.lower()
        if name in USUAL or name in self._sends or name.startswith(USUAL_PREFIX):
            return True
        if any(name == own.lower() and value == given for own, given in self.settings.headers.items()):
            return True
        return bool(self.settings.api_key) and str(self.settings.api_key) in value

    def denial(self, message: str, hint: str) -> SecurityError:
        return SecurityError(f"provider '{self.settings.name}': {message}", violation_type="host_denied", hint=hint)


class _Bound(httpx2.AsyncBaseTransport):
    """Passes on requests to one server."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        asked = (url.scheme, url.raw_host.decode("ascii").lower(), url.port or PORTS.get(url.scheme, 0))
        if asked != self._wire.origin:
            raise self._wire.elsewhere(asked)
        request.headers = httpx2.Headers(
            [(name, value) for name, value in request.headers.multi_items() if self._wire.passes(name, value)]
        )
        answer = await self._inner.handle_async_request(request)
        return tidied(answer, whole_characters=self._wire.whole_characters)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _origin(settings: ProviderSettings, base_url: str) -> Origin:
    """Raises: ConfigurationError."""
    try:
        url, _ = httpx2.URL(base_url), urlsplit(base_url).port  # which sees wrong brackets and ports
        if url.scheme not in PORTS or not url.host:
            raise ValueError
    except (httpx2.InvalidURL, ValueError):
        raise ConfigurationError(
            f"the base_url of provider '{settings.name}' is no address of an HTTP server",
            setting=f"providers.{settings.name}.base_url",
            hint="Write http://host/... or https://host/...",
        ) from None
    return url.scheme, url.raw_host.decode("ascii").lower(), url.port or PORTS[url.scheme]


def _shown(origin: Origin) -> str:
    scheme, host, port = origin
    return f"{scheme}://{host}" + ("" if port == PORTS.get(scheme) else f":{port}")


def _proxy(settings: ProviderSettings, origin: Origin) -> str | None:
    """Raises: ConfigurationError for what is no proxy's address."""
    from urllib.request import getproxies, proxy_bypass

    if settings.proxy != "environment":
        if settings.proxy and urlsplit(settings.proxy).scheme not in {"http", "https"}:
            raise ConfigurationError(
                f"the proxy of provider '{settings.name}' is no address",
                setting=f"providers.{settings.name}.proxy",
                hint='Write http://host:port, or "environment" for what HTTPS_PROXY and its like say.',
            )
        return settings.proxy
    scheme, host, port = origin
    if proxy_bypass(f"{host}:{port}"):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")
