"""Where a host is, as the system's resolver says, for servers that the operator named."""

from __future__ import annotations

import asyncio
import socket

from llmspell_core.errors import NetworkError

__all__ = ["look_up"]


async def look_up(host: str, port: int) -> list[str]:
    """Raises: NetworkError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NetworkError(f"cannot find host '{host}': {error}", hint="Check the name and the network.") from error
    return list(dict.fromkeys(str(info[4][0]) for info in found))
