"""A provider that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from llmspell_core.errors import ProviderError
from llmspell_core.messages import AgentChunk, ToolCall, Usage, new_id
from llmspell_core.provider import Completion, CompletionRequest, Provider, ProviderSettings

__all__ = ["ScriptedProvider", "call", "say"]

Reply = Completion | Exception | Callable[[CompletionRequest], Completion]


def say(text: str, *, input_tokens: int = 3, output_tokens: int = 2) -> Completion:
    """A turn that answers in text."""
    return Completion(text, usage=Usage(input_tokens, output_tokens), model="scripted")


def call(tool: str, parameters: dict[str, Any] | None = None, *more: tuple[str, dict[str, Any]]) -> Completion:
    """A turn that calls one tool, or several: `call("a", {...}, ("b", {...}))`."""
    calls = [ToolCall(new_id("call"), name, given or {}) for name, given in ((tool, parameters), *more)]
    return Completion(tool_calls=calls, usage=Usage(3, 2), model="scripted", finish_reason="tool_calls")


class ScriptedProvider(Provider):
    """Replays replies in order; the last one is repeated.

    A reply is a `Completion` (see `say` and `call`), an exception to raise, or a function of the request. Register it
    with `runtime.registry.register("providers", "scripted", provider_class)`, or use the `make_runtime` fixture:
    `make_runtime(replies=[say("hi")])` and the model name `scripted/any`.
    """

    requires_key = False
    retried = False

    def __init__(
        self, settings: ProviderSettings | None = None, replies: Iterable[Reply] = (), *, delay: float = 0.0
    ) -> None:
        super().__init__(settings or ProviderSettings("scripted", "scripted"))
        self.replies: list[Reply] = list(replies)
        self.requests: list[CompletionRequest] = []
        self.delay = delay
        self.active = 0
        self.most_active = 0
        self.cancelled = 0
        self.closed = False

    @classmethod
    def serving(cls, *replies: Reply, delay: float = 0.0) -> type[ScriptedProvider]:
        """A provider class to register; everything that is made from it is one and the same instance."""
        made = cls(replies=replies, delay=delay)

        class Serving(ScriptedProvider):
            def __new__(cls, *_: object) -> ScriptedProvider:  # type: ignore[misc]
                return made

        return Serving

    async def _next(self, request: CompletionRequest) -> Completion:
        self.requests.append(_frozen(request))
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1] if self.replies else say("ok")
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else _fresh(reply)

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self._next(request)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[AgentChunk]:
        completion = await self._next(request)
        for piece in _pieces(completion.text):
            yield AgentChunk("text", text=piece)
        for made in completion.tool_calls:
            yield AgentChunk("tool_call", call_id=made.tool_id, tool_name=made.tool_name, call=made)
        data = {"finish_reason": completion.finish_reason, "model": completion.model}
        yield AgentChunk("end", usage=completion.usage, data=data)

    async def list_models(self) -> list[str]:
        if not self.settings.name:
            raise ProviderError("the scripted provider has no name")
        return ["any"]

    async def close(self) -> None:
        self.closed = True


def _pieces(text: str) -> list[str]:
    """Words with the blanks behind them: they add up to the text."""
    return re.findall(r"\S*\s*", text)[:-1] if text else []


def _fresh(completion: Completion) -> Completion:
    """A copy, so that a repeated reply does not carry the results of its first use."""
    calls = [ToolCall(c.tool_id, c.tool_name, dict(c.parameters)) for c in completion.tool_calls]
    usage = completion.usage + Usage()  # who charges for it writes into it
    return Completion(completion.text, calls, usage, completion.model, completion.finish_reason)


def _frozen(request: CompletionRequest) -> CompletionRequest:
    """The request as it was: the agent goes on to append to its message list."""
    from dataclasses import replace

    return replace(request, messages=list(request.messages))
