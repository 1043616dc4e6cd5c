"""A provider that has a provider: it retries, waits its turn, stays away from what is down, and says what it cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any, cast

from llmspell_core.errors import LLMSpellError
from llmspell_core.messages import AgentChunk, Usage
from llmspell_core.provider import (
    Completion,
    CompletionRequest,
    Health,
    LocalProvider,
    Provider,
    ProviderCapabilities,
    ProviderSettings,
)
from llmspell_core.resilience.breaker import Breaker
from llmspell_core.resilience.limits import Limits
from llmspell_core.resilience.prices import PriceList
from llmspell_core.resilience.retry import RetryPolicy

__all__ = ["GuardedProvider", "guarded"]

log = logging.getLogger("llmspell.providers")


def guarded(settings: ProviderSettings, make: Callable[[ProviderSettings], Provider]) -> Provider:
    """The provider that `make` makes, wrapped when the configuration or its price list gives a reason to.

    Where `retry` is configured, the vendor's package gets no retries of its own: they would multiply.
    """
    provider = make(replace(settings, max_retries=0) if "retry" in settings.options else settings)
    made = GuardedProvider(provider, settings)
    return made if made.is_needed else provider


class GuardedProvider(Provider):
    """What the inner provider has beyond the contract is found here, too."""

    def __init__(self, inner: Provider, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self.inner = inner
        options = settings.options
        limits = options.get("rate_limit") or {}
        self._retry = RetryPolicy.of(options.get("retry") or {}, limits) if "retry" in options else None
        self._limits = Limits(limits) if "rate_limit" in options else None
        table = options.get("circuit_breaker")
        self._breaker = Breaker(settings.name, table) if table is not None else None
        self._prices = PriceList(type(inner), settings)
        self._is_plain = not (self._retry or self._limits or self._breaker)

    @property
    def is_needed(self) -> bool:
        return bool(self._prices) or not self._is_plain

    @property
    def capabilities(self) -> ProviderCapabilities:
        return self.inner.capabilities

    async def complete(self, request: CompletionRequest) -> Completion:
        answer = await (self.inner.complete(request) if self._is_plain else self._complete(request))
        self._prices.charge(answer.usage, answer.model, request.model)
        return answer

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        attempt = 0
        while True:
            begun = False
            try:
                async with aclosing(self._stream(request)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except LLMSpellError as error:
                if begun:  # what was said cannot be taken back
                    raise
                await self._pause(error, attempt)
            attempt += 1

    async def _complete(self, request: CompletionRequest) -> Completion:
        attempt = 0
        while True:
            try:
                async with AsyncExitStack() as held:
                    await self._admit(held)
                    answer = await self.inner.complete(request)
                    self._spend(answer.usage)
                    return answer
            except LLMSpellError as error:
                await self._pause(error, attempt)
            attempt += 1

    async def _stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        async with AsyncExitStack() as held:
            await self._admit(held)
            inner = cast("AsyncGenerator[AgentChunk, None]", self.inner.stream(request))
            async with aclosing(inner) as chunks:
                async for chunk in chunks:
                    if chunk.type == "end":
                        self._spend(chunk.usage)
                        self._prices.charge(chunk.usage, str((chunk.data or {}).get("model")), request.model)
                    yield chunk

    async def _admit(self, held: AsyncExitStack) -> None:
        """Waiting comes first: an open circuit is noticed after it, too."""
        if self._limits is not None:
            await held.enter_async_context(self._limits.admitted())
        if self._breaker is not None:
            held.enter_context(self._breaker.watching())

    def _spend(self, usage: Usage | None) -> None:
        if self._limits is not None and usage is not None:
            self._limits.spend(usage.total_tokens)

    async def _pause(self, error: LLMSpellError, attempt: int) -> None:
        """Raises: `error`, when there is nothing to wait for."""
        wait = self._retry.wait(error, attempt) if self._retry is not None else None
        if wait is None:
            raise error
        log.info("%s: %s; trying again in %.1f s", self.settings.name, error.message, wait)
        await asyncio.sleep(wait)

    async def list_models(self) -> list[str]:
        return await self.inner.list_models()

    async def health(self) -> Health:
        return await self.inner.health()

    async def close(self) -> None:
        await self.inner.close()

    def as_local(self) -> LocalProvider | None:
        return self.inner.as_local()

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not there yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.inner, name)
