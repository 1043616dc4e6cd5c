"""The provider `anthropic`: Claude, and every server that speaks the Messages API."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.messages import AgentChunk, Message, new_id
from llmspell_core.provider import (
    Completion,
    CompletionRequest,
    Provider,
    ProviderCapabilities,
    ProviderSettings,
    ToolDefinition,
    constrain,
)
from llmspell_provider_anthropic.failure import Failures
from llmspell_provider_anthropic.filling import Filling
from llmspell_provider_anthropic.streaming import StreamReader
from llmspell_provider_anthropic.wire import (
    ANSWER_TOOL,
    Thoughts,
    answer_request,
    as_answer,
    blocks_of,
    body_of,
    completion_of,
    merged,
)

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["AnthropicProvider"]

VENDOR_URL = "https://api.anthropic.com"
MOST_PAUSES = 8
"""Times that one turn is taken up again in which the vendor's own tools take long."""
OWN_HEADERS = ("anthropic-version", "anthropic-beta")


class AnthropicProvider(Provider):
    """Messages over HTTP.

    JSON by schema is asked for with the vendor's own field. A model or server that does not know it is asked again with a
    tool that takes the answer; the setting `structured_output = "tool"` does so from the start.

    A server of one's own that answers a forced tool in prose is asked again, value by value; the setting
    `tool_calls = "fill"` does so from the start.
    """

    description = "Anthropic's Claude, and any server that speaks the Messages API."
    key_variable = "ANTHROPIC_API_KEY"
    default_url = VENDOR_URL

    def __init__(self, settings: ProviderSettings, **wiring: Any) -> None:
        super().__init__(settings, **wiring)
        self.base_url = (settings.base_url or VENDOR_URL).rstrip("/").removesuffix("/v1")
        hint = "It is the address without /v1/messages."
        self.failures = Failures(settings, self.key_variable, self.base_url, address_hint=hint)
        self._client: AsyncAnthropic | None = None
        self._thoughts = Thoughts()
        self._tool_models: set[str] = set()
        self._filled_models: set[str] = set()

    @classmethod
    def preload(cls) -> None:
        import anthropic.resources.messages  # noqa: F401 - the import is the work

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(supports_multimodal=True, max_context_tokens=200_000)

    async def complete(self, request: CompletionRequest) -> Completion:
        if request.response_schema is None:
            return await self._answer(request)
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
            return await self._answer(replace(request, response_schema=None))
        return as_answer(await self._answer(replace(request, **answer_request(request))))

    async def _answer(self, request: CompletionRequest) -> Completion:
        """With a call, where one is forced."""
        tools = constrain.forced_tools(request)
        if not tools or self.base_url == VENDOR_URL:
            return await self._complete(request)
        if self._by_filling(request):
            return await self._filled(request, tools)
        answer = await self._complete(request)
        if answer.tool_calls:
            return answer
        self._filled_models.add(request.model)
        second = await self._filled(request, tools)
        second.usage += answer.usage
        return second

    async def _filled(self, request: CompletionRequest, tools: list[ToolDefinition]) -> Completion:
        """A call whose form is written here, and whose values are the model's."""
        asked = constrain.forced_request(request, tools, required_only=True)
        asked.messages = constrain.as_text_history(asked.messages)
        schema, asked.response_schema = asked.response_schema or {}, None

        async def more(begun: str, stops: list[str]) -> Completion:
            turns = [*asked.messages, Message("assistant", begun)]
            return await self._complete(replace(asked, messages=turns, stop=stops))

        filling = Filling(more, asked.messages[-1].content)
        text = await filling.fill(schema)
        return constrain.as_call(Completion(text, [], filling.usage, request.model), tools)

    async def _streamed(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        """As `_answer`."""
        tools = constrain.forced_tools(request) if self.base_url != VENDOR_URL else []
        called = False
        if not tools or not self._by_filling(request):
            chunks = self._stream(request)
            async with aclosing(constrain.held(chunks) if tools else chunks) as answer:
                async for chunk in answer:
                    called = True
                    yield chunk
        if tools and not called:
            self._filled_models.add(request.model)
            for chunk in _chunks(await self._filled(request, tools)):
                yield chunk

    def _by_filling(self, request: CompletionRequest) -> bool:
        """Whether the server is known to ignore a forced tool with this model."""
        return request.model in self._filled_models or self.settings.options.get("tool_calls") == "fill"

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        by_tool = request.response_schema is not None and self._by_tool(request)
        if by_tool and not request.tools:
            chunks = _as_text(self._streamed(replace(request, **answer_request(request))))
        else:
            chunks = self._streamed(replace(request, response_schema=None) if by_tool else request)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def _by_tool(self, request: CompletionRequest) -> bool:
        return request.model in self._tool_models or self.settings.options.get("structured_output") == "tool"

    async def _complete(self, request: CompletionRequest) -> Completion:
        timeout, body = self.timeout_of(request), body_of(request, self.settings, self._thoughts)
        client, before = await self._connect(), Completion()
        for _ in range(MOST_PAUSES):
            with self.failures.mapped(request.model, timeout):
                reply = await client.messages.create(
                    model=request.model, max_tokens=1, messages=[], extra_body=body, timeout=timeout
                )
                answer = completion_of(reply, self.failures, request.model)
                blocks = blocks_of(reply) or []
            answer.text, answer.usage = before.text + answer.text, before.usage + answer.usage
            if reply.stop_reason != "pause_turn" or answer.tool_calls:
                break
            before, body = answer, _gone_on(body, blocks)
        else:
            raise self.failures.ended("pause_turn", request.model, f"{MOST_PAUSES} times")
        self._thoughts.keep(blocks, answer.tool_calls)
        if answer.finish_reason == "content_filter":
            raise self.failures.refused(answer.text or "the answer was stopped for safety", request.model)
        return answer

    async def _stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        timeout, body = self.timeout_of(request), body_of(request, self.settings, self._thoughts)
        client, reader = await self._connect(), StreamReader(self.failures, request.model)
        with self.failures.mapped(request.model, timeout):
            for _ in range(MOST_PAUSES):
                events = await client.messages.create(
                    model=request.model,
                    max_tokens=1,
                    messages=[],
                    stream=True,
                    extra_body=body,
                    extra_headers=self._stream_headers,
                    timeout=timeout,
                )
                try:
                    async for event in events:
                        for chunk in reader.read(event):
                            yield chunk
                finally:
                    await events.close()
                if not reader.is_paused:
                    break
                body, reader = _gone_on(body, reader.blocks()), reader.following()
            else:
                raise self.failures.ended("pause_turn", request.model, f"{MOST_PAUSES} times")
            for chunk in reader.end():
                if chunk.call is not None:
                    self._thoughts.keep(reader.blocks(), [chunk.call])
                yield chunk

    @property
    def _stream_headers(self) -> dict[str, str]:
        """llama.cpp's server promises to keep the connection of a stream and then closes it; nobody shall reuse it."""
        return {} if self.base_url == VENDOR_URL else {"Connection": "close"}

    async def list_models(self) -> list[str]:
        client = await self._connect()
        with self.failures.mapped("", self.settings.timeout_seconds):
            return [model.id async for model in client.models.list()]

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

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
                webhook_key="",
                base_url=self.base_url,
                default_headers=self._headers(),
                timeout=self.settings.timeout_seconds,
                max_retries=self.settings.max_retries,
                http_client=self.wire(self.base_url, sends=OWN_HEADERS).client(),
            )

    def _headers(self) -> dict[str, Any]:
        """The configured ones; those that the package takes from a variable are left out."""
        from anthropic import omit

        lines = os.environ.get("ANTHROPIC_CUSTOM_HEADERS", "").split("\n")
        strange = [line.partition(":")[0].strip() for line in lines if ":" in line]
        headers: dict[str, Any] = dict.fromkeys(strange, omit)
        key = f"Bearer {self.settings.api_key or 'none'}"
        headers |= {name: key for name in strange if name.lower() == "authorization"}
        return headers | self.settings.headers


def _gone_on(body: dict[str, Any], blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """The request that takes up a paused turn: with all that was said in it."""
    return body | {"messages": merged([*body["messages"], {"role": "assistant", "content": blocks}])}


def _chunks(answer: Completion) -> list[AgentChunk]:
    """One call and the end, as the chunks of a stream."""
    call, stream_id = answer.tool_calls[0], new_id()
    arguments = json.dumps(call.parameters, ensure_ascii=False)
    data = {"finish_reason": answer.finish_reason, "model": answer.model}
    return [
        AgentChunk("tool_call_progress", "", stream_id, 0, call.tool_id, call.tool_name, arguments=arguments),
        AgentChunk("tool_call", "", stream_id, 1, call.tool_id, call.tool_name, call),
        AgentChunk("end", "", stream_id, 2, usage=answer.usage, data=data),
    ]


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
                so_far = chunk.arguments or ""
                fresh, told = so_far[told:], len(so_far)
                if fresh:
                    yield replace(chunk, type="text", text=fresh, call_id=None, tool_name=None, arguments=None)
            elif chunk.type == "end" and (chunk.data or {}).get("finish_reason") == "tool_calls":
                yield replace(chunk, data=(chunk.data or {}) | {"finish_reason": "stop"})
            elif chunk.type != "tool_call":
                yield chunk
