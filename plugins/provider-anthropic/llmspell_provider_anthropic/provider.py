"""The provider `anthropic`: Claude, and every server that speaks the Messages API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmspell_core.errors import ValidationError
from llmspell_core.messages import AgentChunk
from llmspell_core.provider import Completion, CompletionRequest, Provider, ProviderCapabilities, ProviderSettings
from llmspell_provider_anthropic.failure import Failures
from llmspell_provider_anthropic.streaming import StreamReader
from llmspell_provider_anthropic.wire import ANSWER_TOOL, answer_request, as_answer, body_of, completion_of

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["AnthropicProvider"]

VENDOR_URL = "https://api.anthropic.com"


class AnthropicProvider(Provider):
    """Messages over HTTP.

    JSON by schema is asked for with the vendor's own field. A model or server that does not know it is asked again with a
    tool that takes the answer; the setting `structured_output = "tool"` does so from the start.
    """

    description = "Anthropic's Claude, and any server that speaks the Messages API."
    key_variable = "ANTHROPIC_API_KEY"

    def __init__(self, settings: ProviderSettings, **wiring: Any) -> None:
        super().__init__(settings, **wiring)
        self.base_url = (settings.base_url or VENDOR_URL).rstrip("/").removesuffix("/v1")
        hint = "It is the address without /v1/messages."
        self.failures = Failures(settings, self.key_variable, self.base_url, address_hint=hint)
        self._client: AsyncAnthropic | None = None
        self._tool_models: set[str] = set()

    @classmethod
    def preload(cls) -> None:
        import anthropic.resources.messages  # noqa: F401 - the import is the work

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(supports_multimodal=True, max_context_tokens=200_000)

    async def complete(self, request: CompletionRequest) -> Completion:
        if request.response_schema is None:
            return await self._complete(request)
        if not self._by_tool(request):
            try:
                answer = await self._complete(request)
            except ValidationError as error:
                if "output_config" not in error.message and "output format" not in error.message.lower():
                    raise
            else:
                if _is_json(answer) or answer.finish_reason != "stop" or answer.tool_calls:
                    return answer
            self._tool_models.add(request.model)
        if request.tools:
            return await self._complete(replace(request, response_schema=None))
        return as_answer(await self._complete(replace(request, **answer_request(request))))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        by_tool = request.response_schema is not None and self._by_tool(request)
        if by_tool and not request.tools:
            chunks = _as_text(self._stream(replace(request, **answer_request(request))))
        else:
            chunks = self._stream(replace(request, response_schema=None) if by_tool else request)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def _by_tool(self, request: CompletionRequest) -> bool:
        return request.model in self._tool_models or self.settings.options.get("structured_output") == "tool"

    async def _complete(self, request: CompletionRequest) -> Completion:
        timeout = self._timeout(request)
        client = await self._connect()
        with self.failures.mapped(request.model, timeout):
            reply = await client.messages.create(
                model=request.model,
                max_tokens=1,
                messages=[],
                extra_body=body_of(request, self.settings),
                timeout=timeout,
            )
            answer = completion_of(reply)
        if answer is None:
            raise self.failures.garbage(request.model)
        if answer.finish_reason == "content_filter":
            raise self.failures.refused(answer.text or "the answer was stopped for safety", request.model)
        return answer

    async def _stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        timeout = self._timeout(request)
        client = await self._connect()
        reader = StreamReader(self.failures, request.model)
        with self.failures.mapped(request.model, timeout):
            events = await client.messages.create(
                model=request.model,
                max_tokens=1,
                messages=[],
                stream=True,
                extra_body=body_of(request, self.settings),
                timeout=timeout,
            )
            try:
                async for event in events:
                    for chunk in reader.read(event):
                        yield chunk
            finally:
                await events.close()
            for chunk in reader.end():
                yield chunk

    async def list_models(self) -> list[str]:
        client = await self._connect()
        with self.failures.mapped("", self.settings.timeout_seconds):
            return [model.id async for model in client.models.list()]

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _timeout(self, request: CompletionRequest) -> float:
        return request.timeout or self.settings.timeout_seconds

    async def _connect(self) -> AsyncAnthropic:
        """The client, made at first use. Raises: AuthenticationError without a key for the vendor's own server."""
        if self._client is None:
            if self.base_url == VENDOR_URL and not self.settings.api_key:
                raise self.failures.no_key()
            await asyncio.to_thread(self.preload)  # the package takes two seconds to import
            self._client = self._client or self._make_client()
        return self._client

    def _make_client(self) -> AsyncAnthropic:
        from anthropic import AsyncAnthropic

        with self.failures.mapped("", self.settings.timeout_seconds):
            return AsyncAnthropic(
                api_key=self.settings.api_key or "none",
                base_url=self.base_url,
                default_headers=self.settings.headers,
                timeout=self.settings.timeout_seconds,
                max_retries=self.settings.max_retries,
                http_client=self._direct_client(),
            )

    def _direct_client(self) -> Any:
        """For a server on this machine: one that no proxy variable sends elsewhere. None: the package's own."""
        from anthropic import DefaultAsyncHttpxClient

        url = urlsplit(self.base_url)
        local = url.scheme == "http" and url.hostname in {"127.0.0.1", "localhost", "::1"}
        return DefaultAsyncHttpxClient(trust_env=False) if local else None


def _is_json(answer: Completion) -> bool:
    try:
        json.loads(answer.text)
    except ValueError:
        return False
    return True


async def _as_text(chunks: AsyncGenerator[AgentChunk, None]) -> AsyncGenerator[AgentChunk, None]:
    """The answer tool's arguments as the text that they stand for, as they come."""
    told = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.type == "tool_call_progress" and chunk.tool_name == ANSWER_TOOL:
                fresh, told = chunk.text[told:], len(chunk.text)
                if fresh:
                    yield replace(chunk, type="text", text=fresh, call_id=None, tool_name=None)
            elif chunk.type == "end" and (chunk.data or {}).get("finish_reason") == "tool_calls":
                yield replace(chunk, data=(chunk.data or {}) | {"finish_reason": "stop"})
            elif chunk.type != "tool_call":
                yield chunk
