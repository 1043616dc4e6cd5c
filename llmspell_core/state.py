"""State: named values under scopes, `<scope>:<key>`. The contract, and the store that lives in memory."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar

__all__ = ["MemoryState", "StateStore"]


class StateStore(ABC):
    """Values of the JSON data model under full keys such as `global:counter` or `workflow:<id>:<step>`.

    A store counts `reads` and `writes` (deletions are writes).
    """

    name: ClassVar[str]
    durable: ClassVar[bool] = False
    reads = 0
    writes = 0

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
    """Gone when the runtime ends. Values are copied on the way in and out, as a real store would do."""

    name = "memory"

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        self.reads += 1
        return copy.deepcopy(self._values.get(key))

    async def set(self, key: str, value: Any) -> None:
        self.writes += 1
        self._values[key] = copy.deepcopy(value)

    async def delete(self, key: str) -> bool:
        self.writes += 1
        return self._values.pop(key, _ABSENT) is not _ABSENT

    async def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self._values if key.startswith(prefix))


_ABSENT = object()
