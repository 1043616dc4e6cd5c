"""A provider that has a provider: it retries, waits its turn, stays away from what is down, and says what it cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
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
from llmspell_core.provider.intact import intact_answer, intact_chunks, sendable
from llmspell_core.provider.key import check_key
from llmspell_core.resilience.breaker import Breaker
from llmspell_core.resilience.limits import Limits
from llmspell_core.resilience.prices import PriceList
from llmspell_core.resilience.retry import RetryPolicy
from llmspell_core.resilience.totals import ProviderTotals, Totals
from llmspell_core.trace.tracer import annotate

__all__ = ["GuardedProvider", "guarded"]

log = logging.getLogger("llmspell.providers")


def guarded(
    settings: ProviderSettings, make: Callable[[ProviderSettings], Provider], totals: Totals | None = None
) -> GuardedProvider:
    """The provider that `make` makes, wrapped. The vendor's package gets no retries of its own: they would multiply."""
    return GuardedProvider(make(replace(settings, max_retries=0)), settings, totals)


class GuardedProvider(Provider):
    """What the inner provider has beyond the contract is found here, too."""

    def __init__(self, inner: Provider, settings: ProviderSettings, totals: Totals | None = None) -> None:
        super().__init__(settings)
        self.inner = inner
        self._totals = Totals() if totals is None else totals
        options = settings.options
        self._retry = RetryPolicy.for_settings(settings, retried=inner.retried)
        self._limits = Limits(options.get("rate_limit") or {}) if "rate_limit" in options else None
        table = options.get("circuit_breaker")
        self._breaker = Breaker(settings.name, table) if table is not None else None
        self._prices = PriceList(type(inner), settings)
        self._is_free = self._limits is None and self._breaker is None

    @property
    def capabilities(self) -> ProviderCapabilities:
        return self.inner.capabilities

    async def complete(self, request: CompletionRequest) -> Completion:
        check_key(self.settings)
        request = sendable(request)
        with self._counted(request) as row:
            answer = intact_answer(await self._complete(request))
            self._prices.charge(answer.usage, answer.model, request.model)
            row.add(answer.usage)
        return answer

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        check_key(self.settings)
        request = sendable(request)
        with self._counted(request) as row:
            async with aclosing(intact_chunks(self._attempts(request))) as chunks:
                async for chunk in chunks:
                    if chunk.type == "end" and chunk.usage is not None:
                        self._prices.charge(chunk.usage, str((chunk.data or {}).get("model")), request.model)
                        row.add(chunk.usage)
                    yield chunk

    @contextmanager
    def _counted(self, request: CompletionRequest) -> Iterator[ProviderTotals]:
        row = self._totals.of(self.settings.name, request.model)
        row.requests += 1
        try:
            yield row
        except LLMSpellError:
            row.errors += 1
            raise

    async def _attempts(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
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
                if self._is_free:
                    return await self.inner.complete(request)
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
        wait = self._retry.wait(error, attempt)
        if wait is None:
            raise error
        annotate(retries=1)
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
