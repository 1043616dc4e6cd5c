"""What an address means: every spelling of it, the addresses that it carries inside, and whether it is public."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = ["LINK_LOCAL", "LOOPBACK", "Address", "Network", "address_of", "inside", "is_public", "judged", "literal",
           "meanings", "network_of", "plain_host"]  # fmt: skip

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LINK_LOCAL: tuple[Network, ...] = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
MAPPED = IPv6Network("::ffff:0:0/96")
NAT64 = IPv6Network("64:ff9b::/96")
# These carry an IPv4 address in their last 32 bits: NAT64 within a network, SIIT, and "IPv4-compatible".
CARRIERS = (NAT64, IPv6Network("64:ff9b:1::/48"), IPv6Network("::ffff:0:0:0/96"), IPv6Network("::/96"))
ISATAP = (0x0000_5EFE, 0x0200_5EFE)
# Whatever else the ranges outside are called, no public server is there; Python's own idea differs between versions.
PUBLIC_IPV6 = IPv6Network("2000::/3")
SPECIAL_IPV4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
OLD_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}", re.IGNORECASE)


def plain_host(host: str) -> str:
    """Lower case, without brackets and final dot; addresses in their usual form."""
    host = host.strip("[]").rstrip(".").lower()
    address = literal(host)
    return str(address) if address else host


def literal(host: str) -> Address | None:
    """The address that `host` spells, in any form a resolver would accept (`127.1`, `0x7f000001`, `2130706433`)."""
    with suppress(ValueError):
        return address_of(host)
    if OLD_IPV4.fullmatch(host):
        with suppress(OSError):
            return IPv4Address(socket.inet_aton(host))
    return None


def address_of(text: str) -> Address:
    """Without its zone; an IPv4 address that is written as IPv6 is one. Raises: ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def network_of(text: str) -> Network | None:
    """The network, or the single address, that `text` spells in any form; None when it is a name."""
    address = literal(text)
    if address is not None:
        return ipaddress.ip_network(address)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - MAPPED.prefixlen))
    return network


def meanings(address: Address) -> list[Address]:
    """The address, those that it carries (6to4, Teredo, NAT64, ...), and where "no address" leads: to this machine."""
    found = [address, *(_carried(address) if isinstance(address, IPv6Address) else ())]
    found += [IPv4Address("127.0.0.1") for part in found if part == IPv4Address(0)]
    return [*found, IPv6Address("::1")] if address == IPv6Address(0) else found


def judged(address: Address) -> list[Address]:
    """Those of its meanings that must be public: behind NAT64 there is only the address that it carries."""
    return meanings(address)[1:] if inside(address, (NAT64,)) else meanings(address)


def _carried(address: IPv6Address) -> list[Address]:
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo:
        return list(address.teredo)
    if address.sixtofour:
        return [address.sixtofour]
    # ::1 and :: are no carriers, though they look like it.
    if inside(address, CARRIERS) and int(address) > 1:
        return [last]
    return [last] if int(address) >> 32 & 0xFFFFFFFF in ISATAP else []


def is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return address in PUBLIC_IPV6 and address.is_global
    return address.is_global and not address.is_multicast and not inside(address, SPECIAL_IPV4)


def inside(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
