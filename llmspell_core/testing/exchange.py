"""One exchange with a provider: opened and closed, its chunks put together, its error."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest

from llmspell_core.errors import LLMSpellError
from llmspell_core.messages import AgentChunk, Usage
from llmspell_core.provider import Completion, CompletionRequest, Provider

__all__ = ["collected", "error_of", "opened", "stream_of"]


@asynccontextmanager
async def opened(provider: Provider) -> AsyncGenerator[Provider, None]:
    try:
        yield provider
    finally:
        await provider.close()


def stream_of(provider: Provider, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
    return cast("AsyncGenerator[AgentChunk, None]", provider.stream(request))


async def error_of(provider: Provider, request: CompletionRequest) -> LLMSpellError:
    with pytest.raises(LLMSpellError) as caught:
        await provider.complete(request)
    return caught.value


async def collected(provider: Provider, request: CompletionRequest) -> Completion:
    """The completion that the chunks make up. Raises: AssertionError when their order is wrong."""
    answer, ends = Completion(), 0
    async with aclosing(stream_of(provider, request)) as chunks:
        async for chunk in chunks:
            assert not ends, f"a {chunk.type} chunk comes after the end"
            assert chunk.type == "text" or not chunk.text, f"the {chunk.type} chunk has text: {chunk.text!r}"
            if chunk.type == "text":
                answer.text += chunk.text
            elif chunk.type == "tool_call" and chunk.call is not None:
                answer.tool_calls.append(chunk.call)
            elif chunk.type == "end":
                ends += 1
                answer.usage = chunk.usage or Usage()
                answer.finish_reason = (chunk.data or {})["finish_reason"]
    assert ends == 1, "the stream has no end chunk"
    return answer
