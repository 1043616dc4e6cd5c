"""Decides about hosts: names against the lists, addresses against what is public, and only after looking them up."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from llmspell_core.errors import NetworkError, SecurityError, ValidationError
from llmspell_core.policy.settings import PolicySettings

__all__ = ["HostRules", "Resolver"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Host name and port -> addresses as text. Raises OSError when there are none."""

LINK_LOCAL: tuple[Network, ...] = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
NAT64 = IPv6Network("64:ff9b::/96")
# Whatever else the ranges outside are called, no public server is there; Python's own idea differs between versions.
PUBLIC_IPV6 = IPv6Network("2000::/3")
SPECIAL_IPV4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
OLD_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}", re.IGNORECASE)
HOST = re.compile(r"[\w.-]+|\[?[0-9a-f.]*:[0-9a-f:.]*(?:%[\w.-]+)?\]?", re.IGNORECASE)
LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "metadata.google.internal")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a host list: a name pattern or a network, perhaps with a port."""

    text: str
    name: str
    network: Network | None
    port: int | None

    @classmethod
    def parse(cls, text: str) -> _Entry:
        bare, port = text.strip().lower(), None
        if match := re.fullmatch(r"(\[.+\]|[^:]+):(\d+)", bare):
            bare, port = match[1], int(match[2])
        bare = bare.strip("[]").rstrip(".")
        with suppress(UnicodeError):
            bare = bare if bare.isascii() else bare.encode("idna").decode()
        network = None
        with suppress(ValueError):
            network = ipaddress.ip_network(bare, strict=False)
        return cls(text, bare, network, port)

    def matches(self, host: str, port: int) -> bool:
        if self.port not in {None, port}:
            return False
        if self.network is not None:
            address = literal(host)
            return address is not None and address.version == self.network.version and address in self.network
        if self.name.startswith("*."):
            return host.endswith(self.name[1:])
        return self.name in {"*", host}

    @property
    def is_explicit(self) -> bool:
        """Whether it names an address, or the one name that cannot be pointed elsewhere."""
        return self.network is not None or self.name == "localhost"


class HostRules:
    """The network part of a policy."""

    def __init__(self, settings: PolicySettings, resolver: Resolver | None = None) -> None:
        self._settings = settings
        self._resolver = resolver or look_up
        self._allowed = tuple(map(_Entry.parse, settings.allowed_hosts))
        self._blocked = tuple(map(_Entry.parse, settings.blocked_hosts))
        self._private = tuple(map(_Entry.parse, settings.allow_private_networks))

    def check_url(self, scheme: str, host: str, port: int) -> None:
        """Decide what can be decided without a look-up.

        Raises:
            SecurityError: `network_denied`, `host_denied` or `port_denied`.
            ValidationError: the URL is not one for HTTP.
        """
        if scheme not in {"http", "https"} or not HOST.fullmatch(host) or not 0 < port < 65536:
            raise ValidationError(
                f"this is no URL for HTTP: scheme '{scheme}', host '{host}', port {port}",
                field="url",
                hint="Write http://host/... or https://host/...",
            )
        if not self._settings.allow_network_access:
            raise _denial(
                "network_denied",
                f"the security profile '{self._settings.profile}' denies network access",
                "Set runtime.security.allow_network_access = true.",
            )
        host = plain_host(host)
        if entry := _first(self._blocked, host, port):
            raise _denial(
                "host_denied",
                f"host '{host}' is blocked by '{entry.text}'",
                "Remove it from tools.http_request.blocked_hosts.",
            )
        allowed = [entry for entry in self._allowed if entry.matches(host, port)]
        if not allowed:
            raise _denial(
                "host_denied", f"host '{host}' is not in allowed_hosts", "Add it to tools.http_request.allowed_hosts."
            )
        if port in self._settings.blocked_ports and not any(entry.port for entry in allowed):
            raise _denial(
                "port_denied", f"port {port} is blocked", f'Add "{host}:{port}" to tools.http_request.allowed_hosts.'
            )
        self._check_local_name(host, port)
        if address := literal(host):
            self._check_address(host, port, address)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Look the host up once and check every address it has; connect only to these.

        Raises:
            SecurityError: `address_denied`; one refused address refuses the host.
            NetworkError: no such host.
        """
        host = plain_host(host)
        known = literal(host)
        found = [str(known)] if known else await self._look_up(host, port)
        for text in found:
            self._check_address(host, port, ipaddress.ip_address(text.partition("%")[0]))
        return found

    async def _look_up(self, host: str, port: int) -> list[str]:
        try:
            found = await self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise NetworkError(
                f"cannot find host '{host}': {error}", hint="Check the name and the network connection."
            ) from error
        if not found:
            raise NetworkError(f"host '{host}' has no address", hint="Check the name.")
        return found

    def _check_local_name(self, host: str, port: int) -> None:
        if (host in LOCAL_NAMES or host.endswith(".localhost")) and not self._may_be_private(host, port):
            raise _private_denial(host, "it is a name of this machine or its network")

    def _check_address(self, host: str, port: int, address: Address) -> None:
        if all(_is_public(part) for part in _meanings(address)):
            return
        if self._may_be_private(host, port) or any(self._permits(entry, address, port) for entry in self._private):
            return
        if any(entry.network and entry.matches(str(address), port) for entry in self._allowed):
            return
        raise _private_denial(host, f"{address} is not a public address")

    def _may_be_private(self, host: str, port: int) -> bool:
        explicit = (entry for entry in self._allowed if entry.is_explicit)
        named = (entry for entry in self._private if entry.name != "*")
        if _first((*explicit, *named), host, port):
            return True
        return host in LOCAL_NAMES[:3] and any(entry.name == "*" for entry in self._private)

    def _permits(self, entry: _Entry, address: Address, port: int) -> bool:
        if entry.name == "*":
            return not any(_inside(part, LINK_LOCAL) for part in _meanings(address))
        return entry.network is not None and any(entry.matches(str(part), port) for part in _meanings(address))


def plain_host(host: str) -> str:
    """Lower case, without brackets and final dot; addresses in their usual form."""
    host = host.strip("[]").rstrip(".").lower()
    address = literal(host)
    return str(address) if address else host


def literal(host: str) -> Address | None:
    """The address that `host` spells, in any form a resolver would accept (`127.1`, `0x7f000001`, `2130706433`)."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.partition("%")[0])
    if OLD_IPV4.fullmatch(host):
        with suppress(OSError):
            return IPv4Address(socket.inet_aton(host))
    return None


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return address in PUBLIC_IPV6 and address.is_global
    return address.is_global and not address.is_multicast and not _inside(address, SPECIAL_IPV4)


def _meanings(address: Address) -> list[Address]:
    """The address itself, or the IPv4 address that it carries (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address.teredo:
        return [address, *address.teredo]
    if address.sixtofour:
        return [address.sixtofour]
    if address in NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]


def _inside(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _first(entries: Iterable[_Entry], host: str, port: int) -> _Entry | None:
    return next((entry for entry in entries if entry.matches(host, port)), None)


async def look_up(host: str, port: int) -> list[str]:
    """The system's resolver, asked once; IPv4 first, because more machines can reach it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in sorted(found, key=lambda info: info[0] != socket.AF_INET)]
    return list(dict.fromkeys(addresses))


def _denial(violation: str, message: str, hint: str) -> SecurityError:
    return SecurityError(message, violation_type=violation, hint=hint)


def _private_denial(host: str, reason: str) -> SecurityError:
    key = "allowed_hosts" if literal(host) or host == "localhost" else "allow_private_networks"
    return _denial(
        "address_denied",
        f"host '{host}' may not be reached: {reason}",
        f'Add "{host}" to tools.http_request.{key} if it should be.',
    )
