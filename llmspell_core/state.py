"""State: named values under scopes, `<scope>:<key>`. The contract, the store that lives in memory, and what the desk adds."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from llmspell_core.errors import ResourceLimitError
from llmspell_core.purse import ENTRY, weigh

if TYPE_CHECKING:
    from llmspell_core.hooks import Hooks

__all__ = ["MemoryState", "State", "StateStore", "full_key"]


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


class State:
    """`desk.state`: a store whose reads and writes hooks see and change, whoever makes them.

    Attributes:
        store: the store itself, for what is nobody else's to see, such as the records of runs that wait for consent.
    """

    def __init__(self, store: StateStore, hooks: Hooks) -> None:
        self.store = store
        self._hooks = hooks

    @property
    def durable(self) -> bool:
        return self.store.durable

    async def get(self, key: str) -> Any:
        """The value, or None when there is none. Raises: CancelledByHookError, StorageError."""
        hooks = self._hooks
        if not hooks.any_active("BeforeStateRead", "AfterStateRead"):
            return await self.store.get(key)
        before = await hooks.fire("BeforeStateRead", key, {"key": key}, type="state")
        if before.replaced:
            return before.value
        value = await self.store.get(key)
        data = {"key": key, "result": value}
        after = await hooks.fire("AfterStateRead", key, data, type="state")
        return after.value if after.replaced else data["result"] if after.modified else value

    async def set(self, key: str, value: Any) -> None:
        """A hook that replaces the write has done it. Raises: CancelledByHookError, ResourceLimitError, StorageError."""
        hooks = self._hooks
        if hooks.any_active("BeforeStateWrite"):
            data = {"key": key, "value": value}
            before = await hooks.fire("BeforeStateWrite", key, data, type="state")
            if before.replaced:
                return
            value = data["value"]
        await self.store.set(key, value)
        if hooks.any_active("AfterStateWrite"):
            await hooks.fire("AfterStateWrite", key, {"key": key, "value": value}, type="state")

    async def delete(self, key: str) -> bool:
        """Whether there was such a key."""
        return await self.store.delete(key)

    async def keys(self, prefix: str = "") -> list[str]:
        """Full keys that start with `prefix`, sorted."""
        return await self.store.keys(prefix)
