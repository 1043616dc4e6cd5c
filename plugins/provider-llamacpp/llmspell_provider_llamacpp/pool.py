"""The servers that run: one per model, shared by everybody, the least recently used one leaving when a new one comes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from llmspell_core.errors import ComponentError
from llmspell_core.provider import Provider
from llmspell_provider_llamacpp.server import ModelServer
from llmspell_provider_llamacpp.store import StoredModel

__all__ = ["Running", "ServerPool"]


@dataclass(slots=True)
class Running:
    """A server with the client that speaks to it.

    Attributes:
        users: calls under way or waiting.
        turns: as many as the server answers at a time; who waits for one is not under a time limit yet.
    """

    server: ModelServer
    client: Provider
    stored: StoredModel
    turns: asyncio.Semaphore
    users: int = 0

    async def stop(self) -> None:
        await self.client.close()
        await self.server.stop()


class ServerPool:
    """Args:
    start: starts the server of a model.
    limit: how many may be loaded at a time; a call beyond it waits until a server is idle.
    """

    def __init__(self, start: Callable[[str], Awaitable[Running]], limit: int) -> None:
        self._start = start
        self._limit = max(1, limit)
        self._running: OrderedDict[str, Running] = OrderedDict()
        self._starting: set[str] = set()
        self._closed = False
        self._changed = asyncio.Condition()

    def loaded(self) -> set[str]:
        return {model for model, running in self._running.items() if running.server.alive}

    @asynccontextmanager
    async def use(self, model: str) -> AsyncIterator[Running]:
        running = await self._get(model)
        try:
            async with running.turns:
                yield running
        finally:
            running.users -= 1
            async with self._changed:
                self._changed.notify_all()

    async def _get(self, model: str) -> Running:
        while True:
            async with self._changed:
                found = self._running.get(model)
                if found is not None and found.server.alive:
                    self._running.move_to_end(model)
                    found.users += 1
                    return found
                if not await self._has_place(model):
                    await self._changed.wait()
                    continue
                self._starting.add(model)
            await self._launch(model)

    async def _has_place(self, model: str) -> bool:
        """Whether this call may start the model now; a dead or an idle server leaves for it."""
        dead = self._running.pop(model, None)
        if dead is not None:
            await dead.stop()
        while model not in self._starting and len(self._running) + len(self._starting) >= self._limit:
            idle = next((name for name, running in self._running.items() if not running.users), None)
            if idle is None:
                return False
            await self._running.pop(idle).stop()
        return model not in self._starting

    async def _launch(self, model: str) -> None:
        """Outside of the lock: who uses another model does not wait for this one to load."""
        try:
            made = await self._start(model)
            if self._closed:
                await made.stop()
                raise ComponentError(f"the provider was closed while '{model}' was loading")
            self._running[model] = made
        finally:
            self._starting.discard(model)
            async with self._changed:
                self._changed.notify_all()

    async def unload(self, model: str) -> bool:
        """Stop the model's server now; calls under way end with an error."""
        async with self._changed:
            running = self._running.pop(model, None)
            if running is not None:
                await running.stop()
            self._changed.notify_all()
            return running is not None

    async def close(self) -> None:
        self._closed = True
        for model in list(self._running):
            await self.unload(model)
