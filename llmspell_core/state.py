"""State: named values under scopes, `<scope>:<key>`. The contract, and the store that lives in memory."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from llmspell_core.errors import ResourceLimitError
from llmspell_core.purse import ENTRY, weigh

__all__ = ["MemoryState", "StateStore", "full_key"]


def full_key(*parts: str) -> str:
    """`scope:key`, `agent:id:key`; keys of other parts are other keys.

    The last part is written as it is; in those before it `:` and `%` are written `%3A` and `%25`.
    """
    *before, last = parts
    return ":".join([*(part.replace("%", "%25").replace(":", "%3A") for part in before), last])


class StateStore(ABC):
    """Values of the JSON data model under full keys such as `global:counter` or `workflow:<id>:<step>`.

    A store counts `reads` and `writes` (deletions are writes).
    """

    name: ClassVar[str]
    durable: ClassVar[bool] = False
    reads = 0
    writes = 0
    on_full: Callable[[], Awaitable[bool]] | None = None
    """Awaited by a store that has no more room: frees something and says whether it could."""

    @abstractmethod
    async def get(self, key: str) -> Any:
        """The value, or None when there is none. The caller may change what it gets."""

    @abstractmethod
    async def set(self, key: str, value: Any) -> None: ...

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Whether there was such a key."""

    @abstractmethod
    async def keys(self, prefix: str = "") -> list[str]:
        """Full keys that start with `prefix`, sorted."""

    async def close(self) -> None:
        """Flush and release; called once by the runtime."""


class MemoryState(StateStore):
    """Gone when the runtime ends. Values are copied on the way in and out, as a real store would do.

    Args:
        max_bytes: of memory, for keys and values together. None is unlimited.
    """

    name = "memory"

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._values: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._used = 0

    async def get(self, key: str) -> Any:
        self.reads += 1
        return copy.deepcopy(self._values.get(key))

    async def set(self, key: str, value: Any) -> None:
        """Raises: ResourceLimitError when there is no room for it; what was there before stays."""
        if self._max_bytes is not None:
            await self._make_room(key, value, self._max_bytes)
        self.writes += 1
        self._values[key] = copy.deepcopy(value)

    async def _make_room(self, key: str, value: Any, limit: int) -> None:
        size = weigh(key) + weigh(value, limit) + ENTRY
        while (used := self._used - self._sizes.get(key, 0) + size) > limit:
            if size <= limit and self.on_full is not None and await self.on_full():
                continue
            raise ResourceLimitError(
                f"no room in the state for '{key[:80]}': {used:,} bytes would be kept, {limit:,} are allowed",
                resource="state",
                limit=limit,
                used=used,
                hint="Delete what is not needed any more, or raise runtime.state_persistence.max_state_size_bytes.",
            )
        self._sizes[key], self._used = size, used

    async def delete(self, key: str) -> bool:
        self.writes += 1
        self._used -= self._sizes.pop(key, 0)
        return self._values.pop(key, _ABSENT) is not _ABSENT

    async def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self._values if key.startswith(prefix))


_ABSENT = object()
