"""Decides about hosts: names against the lists, addresses against what is public, and only after looking them up."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from llmspell_core.errors import ConfigurationError, NetworkError, SecurityError, ValidationError
from llmspell_core.policy.address import (
    LINK_LOCAL,
    LOOPBACK,
    Address,
    Network,
    address_of,
    inside,
    is_public,
    judged,
    literal,
    meanings,
    network_of,
    plain_host,
)
from llmspell_core.policy.settings import PolicySettings

__all__ = ["HostRules", "Resolver", "check_entries"]

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Host name and port -> addresses as text. Raises OSError when there are none."""

HOST = re.compile(r"[\w.-]+|\[?[0-9a-f.]*:[0-9a-f:.]*(?:%[\w.-]+)?\]?", re.IGNORECASE)
LISTED = re.compile(r"\*|(?:\*\.)?[\w-]+(?:\.[\w-]+)*")
LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "metadata.google.internal")
KNOWN_FOR = 60.0  # seconds that the addresses of a blocked name are not asked for again


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a host list: a name pattern in all its spellings or a network, perhaps with a port."""

    text: str
    names: tuple[str, ...]
    network: Network | None
    port: int | None

    @classmethod
    def parse(cls, text: str, setting: str) -> _Entry:
        """Raises: ConfigurationError; an entry that nothing can match would be a hole in a list of what is blocked."""
        bare, port = text.strip().lower(), None
        if match := re.fullmatch(r"(\[.+\]|[^:]+):(\d+)", bare):
            bare, port = match[1], int(match[2])
        bare = bare.strip("[]").rstrip(".")
        network = network_of(bare)
        names = () if network is not None else _spellings(bare)
        if (network is None and not any(map(LISTED.fullmatch, names))) or (port is not None and not 0 < port < 65536):
            raise ConfigurationError(
                f"'{text}' in {setting} is no host",
                setting=setting,
                hint="Write a name, *.example.com, an address or a network such as 10.0.0.0/8, each with :port if needed.",
            )
        return cls(text, names, network, port)

    def matches(self, host: str, port: int) -> bool:
        address = literal(host) if self.network is not None else None
        return self.covers(address, port) if address is not None else self._names(host, port)

    def covers(self, address: Address, port: int) -> bool:
        return self.port in {None, port} and self.network is not None and inside(address, (self.network,))

    def _names(self, host: str, port: int) -> bool:
        if self.port not in {None, port}:
            return False
        return any(name in {"*", host} or (name.startswith("*.") and host.endswith(name[1:])) for name in self.names)

    @property
    def is_everything(self) -> bool:
        return "*" in self.names

    @property
    def is_one_name(self) -> bool:
        return self.network is None and not self.names[0].startswith("*")


def _spellings(name: str) -> tuple[str, ...]:
    """The names that DNS is asked for: the two standards of names that are not ASCII differ."""
    if name.isascii():
        return (name,)
    star, bare = ("*.", name[2:]) if name.startswith("*.") else ("", name)
    found = []
    with suppress(UnicodeError):
        found.append(star + bare.encode("idna").decode())
    with suppress(ImportError, UnicodeError):
        import idna

        found.append(star + idna.encode(bare, uts46=True).decode())
    return tuple(dict.fromkeys(found))


class HostRules:
    """The network part of a policy."""

    def __init__(self, settings: PolicySettings, resolver: Resolver | None = None) -> None:
        self._settings = settings
        self._resolver = resolver or look_up
        self._allowed = _entries(settings.allowed_hosts, "allowed_hosts")
        self._blocked = _entries(settings.blocked_hosts, "blocked_hosts")
        self._private = _entries(settings.allow_private_networks, "allow_private_networks")
        self._blocked_addresses: dict[str, set[Address]] = {}
        self._asked_at = -KNOWN_FOR

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
            raise _blocked(f"host '{host}' is blocked by '{entry.text}'")
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
        addresses = [address_of(text) for text in found]
        for address in addresses:
            self._check_address(host, port, address)
        await self._check_blocked_names(host, port, addresses)
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
        for part in meanings(address):
            if entry := next((entry for entry in self._blocked if _means(entry, part, port)), None):
                raise _blocked(f"host '{host}' has the address {part}, which is blocked by '{entry.text}'")
        if literal(host) is None and self._may_be_private(host, port):
            return
        if not all(is_public(part) or self._permits(part, port) for part in judged(address)):
            raise _private_denial(host, f"{address} is not a public address")

    async def _check_blocked_names(self, host: str, port: int, addresses: list[Address]) -> None:
        """Refuse the address of a blocked name, under another name or none."""
        names = [entry for entry in self._blocked if entry.is_one_name and entry.port in {None, port}]
        if not names:
            return
        await self._ask_for_blocked(port)
        for entry in names:
            known = set().union(*(self._blocked_addresses.get(name, ()) for name in entry.names))
            if shared := known.intersection(part for address in addresses for part in meanings(address)):
                raise _blocked(
                    f"host '{host}' has the address {min(map(str, shared))} of '{entry.text}', which is blocked"
                )

    async def _ask_for_blocked(self, port: int) -> None:
        """Those that a name had before count, too: a name with many addresses tells a few at a time."""
        if time.monotonic() - self._asked_at < KNOWN_FOR:
            return
        names = [name for entry in self._blocked if entry.is_one_name for name in entry.names]
        answers = await asyncio.gather(*(self._resolver(name, port) for name in names), return_exceptions=True)
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, list):
                parts = (part for text in answer for part in meanings(address_of(text)))
                self._blocked_addresses.setdefault(name, set()).update(parts)
        self._asked_at = time.monotonic()

    def _may_be_private(self, host: str, port: int) -> bool:
        """Whether the name itself was named; the one that nobody can point elsewhere also among the allowed hosts."""
        named = [entry for entry in self._private if not entry.is_everything]
        if _first((*named, *(entry for entry in self._allowed if "localhost" in entry.names)), host, port):
            return True
        return host in LOCAL_NAMES[:3] and any(entry.is_everything for entry in self._private)

    def _permits(self, part: Address, port: int) -> bool:
        """Whether an address that is not public was named, or lies in a network that was."""
        if any(entry.covers(part, port) for entry in (*self._allowed, *self._private)):
            return True
        return any(entry.is_everything for entry in self._private) and not inside(part, LINK_LOCAL)


def check_entries(texts: Iterable[str], setting: str) -> None:
    """Raises: ConfigurationError, for what no host can match in the list `tools.http_request.<setting>`."""
    _entries(texts, setting)


def _entries(texts: Iterable[str], setting: str) -> tuple[_Entry, ...]:
    return tuple(_Entry.parse(text, f"tools.http_request.{setting}") for text in texts)


def _means(entry: _Entry, address: Address, port: int) -> bool:
    if "localhost" in entry.names:
        return entry.port in {None, port} and inside(address, LOOPBACK)
    return entry.covers(address, port)


def _first(entries: Iterable[_Entry], host: str, port: int) -> _Entry | None:
    return next((entry for entry in entries if entry.matches(host, port)), None)


async def look_up(host: str, port: int) -> list[str]:
    """The system's resolver, asked once; IPv4 first, because more machines can reach it."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(info[4][0]) for info in sorted(found, key=lambda info: info[0] != socket.AF_INET)]
    return list(dict.fromkeys(addresses))


def _denial(violation: str, message: str, hint: str) -> SecurityError:
    return SecurityError(message, violation_type=violation, hint=hint)


def _blocked(message: str) -> SecurityError:
    return _denial("host_denied", message, "Remove it from tools.http_request.blocked_hosts.")


def _private_denial(host: str, reason: str) -> SecurityError:
    key = "allowed_hosts" if literal(host) or host == "localhost" else "allow_private_networks"
    return _denial(
        "address_denied",
        f"host '{host}' may not be reached: {reason}",
        f'Add "{host}" to tools.http_request.{key} if it should be.',
    )
