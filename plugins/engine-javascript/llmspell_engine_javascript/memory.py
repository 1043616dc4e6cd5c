"""How much of the VM's memory a value takes, and whether there is room for it.

Bytes of QuickJS on a 64-bit machine, rounded up: an object or array with its first properties takes 160, a further entry 40; a
string has one byte for a character, or two if any of its characters is beyond Latin-1.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.worker import Host

__all__ = ["Memory", "size_in_vm"]

CONTAINER, ENTRY = 160, 40


class Memory:
    """The memory limit of one VM, which is lifted while something is handed over: half of it there helps nobody.

    Args:
        host: makes the errors.
        context: the VM.
        limit: bytes; None: no limit.
        profile: of the script; decides what can be done about too little memory.
    """

    def __init__(self, host: Host, context: Any, limit: int | None, profile: str) -> None:
        self._host, self._context, self._limit = host, context, limit
        more = "" if profile == "high" else ", or raise runtime.security.max_memory_bytes"
        self._advice = f"Keep less at one time, ask for a part of it{more}."
        self.lift: Callable[[], None] = self._lift if limit else _nothing
        self.lower: Callable[[], None] = self._lower if limit else _nothing
        self.lower()

    def _lift(self) -> None:
        self._context.set_memory_limit(-1)

    def _lower(self) -> None:
        self._context.set_memory_limit(self._limit)

    def weigh(self, what: str, value: Any, text: str) -> None:
        """Sees to it that there is room for `value` and its JSON `text`.

        Args:
            what: is handed over, for the message: `the result of Tool.execute`.

        Raises:
            HostError: there is not, even after collecting garbage.
        """
        if self._limit is None:
            return
        wanted = _text_bytes(text) + size_in_vm(value)
        if self._used() + wanted <= self._limit:
            return
        self._context.gc()
        free = max(0, self._limit - self._used())
        if wanted > free:
            message = (
                f"{what} takes {wanted:,} bytes of memory; the script may use {self._limit:,} and has {free:,} left"
            )
            raise self._host.refusal(message, self._advice)

    def _used(self) -> int:
        return int(self._context.memory()["malloc_size"])


def size_in_vm(value: Any) -> int:
    """Bytes that `value`, plain data, will take in the VM."""
    total, open_ = 0, [value]
    while open_:
        item = open_.pop()
        if type(item) is str:
            total += ENTRY + _text_bytes(item)
        elif type(item) is list:
            total += CONTAINER + ENTRY * len(item)
            open_.extend(item)
        elif type(item) is dict:
            total += CONTAINER + 2 * ENTRY * len(item)
            open_.extend(item.values())
    return total


def _text_bytes(text: str) -> int:
    """Python keeps a text in one, two or four bytes a character; the VM in one or two, and two for what takes four."""
    kept = sys.getsizeof(text)
    return kept if kept < 1.5 * len(text) + 100 else max(kept, 2 * len(text))


def _nothing() -> None:
    """There is no limit to lift."""
