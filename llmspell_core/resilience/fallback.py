"""A chain of models: the first that can answer does."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from llmspell_core.errors import (
    ConfigurationError,
    ContentRefusedError,
    LLMSpellError,
    NetworkError,
    NotFoundError,
    PluginError,
    ProviderError,
    ResourceError,
    TimeoutError,
)
from llmspell_core.messages import AgentChunk
from llmspell_core.provider import (
    Completion,
    CompletionRequest,
    ModelSpec,
    Provider,
    ProviderCapabilities,
    ProviderSettings,
)
from llmspell_core.trace.tracer import annotate

__all__ = ["FallbackProvider", "chain_of"]

log = logging.getLogger("llmspell.providers")
MOVES_ON = (
    ProviderError,
    NetworkError,
    TimeoutError,
    ResourceError,
    PluginError,
    NotFoundError,
    ConfigurationError,
)


def chain_of(text: str) -> list[ModelSpec]:
    return [ModelSpec.parse(part.strip()) for part in text.split(",") if part.strip()]


class FallbackProvider(Provider):
    """Asks one model after the other, until one answers; its name is the answer's `model`.

    The model of its requests is the chain written out: `openai/x, anthropic/y, local/z`.

    A refusal is an answer, and a wrong request is wrong for all: both end the chain. So does a stream that broke off after
    its first piece. A failure is logged when it begins, not each time it happens again.
    """

    requires_key = False

    def __init__(self, provider_for: Callable[[str], Awaitable[Provider]]) -> None:
        super().__init__(ProviderSettings("fallback", "fallback"))
        self._provider_for = provider_for
        self._failing: set[str] = set()

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(supports_multimodal=True)

    async def complete(self, request: CompletionRequest) -> Completion:
        failures: list[tuple[ModelSpec, LLMSpellError]] = []
        chain = chain_of(request.model)
        for spec in chain:
            try:
                provider = await self._provider_for(str(spec.provider))
                answer = await provider.complete(replace(request, model=spec.model))
            except MOVES_ON as error:
                self._failed(spec, error, is_last=spec is chain[-1])
                failures.append((spec, error))
                continue
            self._answered(spec)
            answer.model = _full_name(spec, answer.model)
            return answer
        raise _exhausted(failures)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        failures: list[tuple[ModelSpec, LLMSpellError]] = []
        chain = chain_of(request.model)
        for spec in chain:
            begun = False
            try:
                provider = await self._provider_for(str(spec.provider))
                inner = provider.stream(replace(request, model=spec.model))
                async with aclosing(cast("AsyncGenerator[AgentChunk, None]", inner)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield _named(chunk, spec)
                self._answered(spec)
                return
            except MOVES_ON as error:
                if begun:
                    raise
                self._failed(spec, error, is_last=spec is chain[-1])
                failures.append((spec, error))
        raise _exhausted(failures)

    def _failed(self, spec: ModelSpec, error: LLMSpellError, *, is_last: bool) -> None:
        """Raises: `error`, when it ends the chain."""
        if isinstance(error, ContentRefusedError):
            raise error
        annotate(instead_of=f"{spec} ({type(error).__name__}: {error.message})")
        if str(spec) not in self._failing:
            self._failing.add(str(spec))
            then = "and it is the last of the chain" if is_last else "the next model of the chain is asked"
            log.warning("%s cannot answer, %s: %s", spec, then, error.message)

    def _answered(self, spec: ModelSpec) -> None:
        if str(spec) in self._failing:
            self._failing.discard(str(spec))
            log.warning("%s answers again", spec)


def _full_name(spec: ModelSpec, answered: str) -> str:
    return f"{spec.provider}/{answered or spec.model}"


def _named(chunk: AgentChunk, spec: ModelSpec) -> AgentChunk:
    if chunk.type != "end":
        return chunk
    data = chunk.data or {}
    return replace(chunk, data=data | {"model": _full_name(spec, str(data.get("model") or ""))})


def _exhausted(failures: Iterable[tuple[ModelSpec, LLMSpellError]]) -> ProviderError:
    failed = list(failures)
    told = "; ".join(f"{spec}: {error.message}" for spec, error in failed)
    hints = list(dict.fromkeys(error.hint for _, error in failed if error.hint))
    return ProviderError(f"no model of the chain could answer: {told}", hint=" ".join(hints[:2]) or None)
