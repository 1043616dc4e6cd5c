"""Where the plugins may connect to: the host is asked about every name and every address. Runs in the child process.

Each plugin brings an HTTP client of its own, so the place to ask is the socket. Native code that opens sockets without
Python is not seen here.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

__all__ = ["Gate", "RefusedError"]

PATIENCE = 30.0
INTERNET = {socket.AF_INET, socket.AF_INET6}


class RefusedError(OSError):
    """The host said no; `refusal` is its error as data. An OSError, as what clients expect of a socket."""

    def __init__(self, refusal: dict[str, Any]) -> None:
        super().__init__(str(refusal["message"]))
        self.refusal = refusal


class Gate:
    """Asks the host, and remembers the addresses that it gave for a name."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._numbers = count(1)
        self._waiting: dict[int, threading.Event] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._given: set[tuple[str, int]] = set()
        self._look_up = socket.getaddrinfo

    def close_all_else(self) -> None:
        """From now on, for the whole process."""
        socket.getaddrinfo = self._resolved
        sys.addaudithook(self._watch)

    def answered(self, message: dict[str, Any]) -> None:
        """By the thread that listens to the host."""
        self._answers[message["gate"]] = message
        self._waiting[message["gate"]].set()

    def _resolved(self, host: Any, port: Any, *arguments: Any, **options: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if not name:  # an address to listen on
            return self._look_up(host, port, *arguments, **options)
        number = int(port) if str(port or 0).isdigit() else socket.getservbyname(str(port))
        found: list[Any] = []
        for address in self._ask(name, number):
            with suppress(socket.gaierror):  # of another family than what is asked for
                found += self._look_up(address, port, *arguments, **options)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"cannot find host '{name}'")
        return found

    def _ask(self, host: str, port: int) -> list[str]:
        number, told = next(self._numbers), threading.Event()
        self._waiting[number] = told
        self._send({"gate": number, "host": host, "port": port})
        in_time = told.wait(PATIENCE)
        del self._waiting[number]
        answer = self._answers.pop(number, None)
        if not in_time or answer is None:
            raise OSError(f"nobody said whether {host} may be reached")
        if answer["refusal"] is not None:
            raise RefusedError(answer["refusal"])
        addresses = [str(address) for address in answer["addresses"]]
        self._given |= {(_plain(address), port) for address in addresses}
        return addresses

    def _watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in {"socket.connect", "socket.sendto"}:
            return
        connection, target = arguments
        if connection.family not in INTERNET or not isinstance(target, tuple):
            return
        address, port = _plain(str(target[0])), int(target[1])
        if port == 0 or (address, port) in self._given:
            return
        self._ask(address, port)


def _plain(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address
