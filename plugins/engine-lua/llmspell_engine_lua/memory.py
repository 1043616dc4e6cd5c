"""How much of the VM's memory a value takes, and whether there is room for it.

Bytes of Lua 5.4 on a 64-bit machine: a string has a header of 24, a table one of 56, a place in a list takes 16, one under a
name 40, and places come in powers of two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.worker import Host

__all__ = ["Memory", "size_in_vm"]

STRING, TABLE, ITEM, ENTRY = 24, 56, 16, 40
DENSE = 64
"""Bytes in the VM for one byte of JSON text, at the very most: `[[],[],[]]`."""
RESERVE = 16 * 1024
"""For the call itself."""


def size_in_vm(value: Any) -> int:
    """Bytes that `value`, plain data, will take in the VM."""
    total, open_ = 0, [value]
    while open_:
        item = open_.pop()
        if type(item) is str:
            total += STRING + len(item)
        elif type(item) is list:
            total += TABLE + ITEM * _places(len(item))
            open_.extend(item)
        elif type(item) is dict:
            total += TABLE + ENTRY * _places(len(item))
            open_.extend(item)
            open_.extend(item.values())
    return total


def _places(count: int) -> int:
    return 1 << (count - 1).bit_length() if count else 0


class Memory:
    """The memory limit of one VM, which is lifted while Python is at work.

    Args:
        host: makes the errors.
        limit: bytes; None where there is none, or where the VM cannot keep one.
        collect: collects garbage.
        used: tells the bytes in use.
        advice: what to do when there is not enough.
    """

    def __init__(
        self, host: Host, limit: int | None, collect: Callable[[], Any], used: Callable[[], int], advice: str
    ) -> None:
        self._host, self._limit, self._collect, self._used, self._advice = host, limit, collect, used, advice

    def weigh(self, what: str, value: Any, text_bytes: int) -> None:
        """Sees to it that there is room for `value`.

        Args:
            what: is handed over, for the message: `the result of Tool.execute`.
            text_bytes: of its JSON text.

        Raises:
            HostError: there is not, even after collecting garbage.
        """
        if self._limit is None or self._used() + DENSE * text_bytes + RESERVE <= self._limit:
            return
        wanted = size_in_vm(value) + RESERVE
        if self._used() + wanted <= self._limit:
            return
        self._collect()
        free = max(0, self._limit - self._used())
        if wanted > free:
            message = (
                f"{what} takes {wanted:,} bytes of memory; the script may use {self._limit:,} and has {free:,} left"
            )
            raise self._host.refusal(message, self._advice)
