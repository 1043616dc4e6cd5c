"""The provider `openai` and its presets: one class for every server that speaks the chat completions protocol."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ConfigurationError, LLMSpellError, ValidationError
from llmspell_core.messages import AgentChunk
from llmspell_core.provider import (
    Completion,
    CompletionRequest,
    Provider,
    ProviderCapabilities,
    ProviderSettings,
    ToolDefinition,
    constrain,
)
from llmspell_core.provider.said import SAID_DONE
from llmspell_provider_openai.failure import Failures
from llmspell_provider_openai.presets import PRESETS, Dialect
from llmspell_provider_openai.streaming import StreamReader
from llmspell_provider_openai.wire import body_of, completion_of, estimated

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["OpenAIProvider"]

VENDOR_URL = "https://api.openai.com/v1"


class OpenAIProvider(Provider):
    """Chat completions over HTTP. `settings.provider_type` chooses the preset.

    A server that answers a forced tool in prose is asked again, held to the schema of the tool's required arguments; the
    setting `tool_calls = "schema"` holds it to the whole schema from the start. The fields of `Dialect` are settings too.
    """

    description = "OpenAI, and any server that speaks its chat protocol."
    key_variable = "OPENAI_API_KEY"
    default_url = VENDOR_URL
    presets = PRESETS

    def __init__(self, settings: ProviderSettings, **wiring: Any) -> None:
        super().__init__(settings, **wiring)
        self.preset = PRESETS.get(settings.provider_type, {})
        self.base_url: str | None = settings.base_url or self.preset.get("base_url")
        stranger = (
            settings.provider_type == "openai" and self._is_own_server
        )  # knows the protocol, not the latest of it
        known = {"empty_text": self._is_own_server} | ({} if stranger else self.preset)
        self.dialect = Dialect.of(known | settings.options)
        self.failures = Failures(
            settings,
            self.preset.get("key_variable"),
            self.base_url or VENDOR_URL,
            address_hint="It usually ends in /v1.",
        )
        self._client: AsyncOpenAI | None = None
        self._schema_models: set[str] = set()

    @classmethod
    def preload(cls) -> None:
        import openai.resources.chat  # noqa: F401 - the import is the work

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(supports_multimodal=True)

    @property
    def needs_key(self) -> bool:
        """A server of one's own may go without; the vendor's may not."""
        return bool(self.preset.get("requires_key", True)) and not self._is_own_server

    @property
    def _is_own_server(self) -> bool:
        return self.settings.base_url not in {None, self.preset.get("base_url"), VENDOR_URL}

    async def complete(self, request: CompletionRequest) -> Completion:
        tools = constrain.forced_tools(request)
        if tools and self._by_schema(request):
            return constrain.as_call(await self._complete(self._forced(request, tools)), tools)
        answer = await self._complete(request)
        if tools and not answer.tool_calls:
            self._schema_models.add(request.model)
            second = await self.complete(request)
            second.usage += answer.usage
            return second
        return answer

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        tools = constrain.forced_tools(request)
        native = not (tools and self._by_schema(request))
        if native:
            chunks = self._stream(request)
            async with aclosing(constrain.held(chunks) if tools else chunks) as answer:
                async for chunk in answer:
                    yield chunk
                    native = native and chunk.type != "end"
            if not tools or not native:
                return
            self._schema_models.add(request.model)
        forced = self._stream(self._forced(request, tools))
        async with aclosing(constrain.call_stream(forced, tools)) as calls:
            async for chunk in calls:
                yield chunk

    def _by_schema(self, request: CompletionRequest) -> bool:
        """Whether the server is known to ignore a forced tool with this model, as llama.cpp's does with some templates."""
        return request.model in self._schema_models or self.settings.options.get("tool_calls") == "schema"

    def _forced(self, request: CompletionRequest, tools: list[ToolDefinition]) -> CompletionRequest:
        """A model that ignores a forced tool is small: it is asked for the required arguments only."""
        return constrain.forced_request(request, tools, required_only=request.model in self._schema_models)

    def _body(self, request: CompletionRequest) -> dict[str, Any]:
        if self._by_schema(request):
            request = replace(request, messages=constrain.as_text_history(request.messages))
        return body_of(request, self.settings, self.dialect)

    async def _complete(self, request: CompletionRequest) -> Completion:
        timeout = self.timeout_of(request)
        client = await self._connect()
        with self.failures.mapped(request.model, timeout):
            reply = await self._create(client, request, timeout)
            answer = completion_of(reply, self.failures, request.model)
        if getattr(reply, "usage", None) is None:
            answer.usage = estimated(request, len(answer.text))
        return answer

    async def _stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        timeout = self.timeout_of(request)
        client = await self._connect()
        reader = StreamReader(self.failures, request)
        with self.failures.mapped(request.model, timeout):
            events = await self._create(client, request, timeout, stream=True)
            try:
                async for event in events:
                    for chunk in reader.read(event):
                        yield chunk
            finally:
                await events.close()
            done = bool(events.response.extensions.get(SAID_DONE))
            for chunk in reader.end(said_done=done):
                yield chunk

    async def _create(
        self, client: AsyncOpenAI, request: CompletionRequest, timeout: float, *, stream: bool = False
    ) -> Any:
        """The reply, or the event stream. What the server refuses to be asked is left out from then on."""
        more: dict[str, Any] = {"stream": True, "extra_headers": self._stream_headers} if stream else {}
        while True:
            body = self._body(request)
            if stream and self.dialect.asks_stream_usage:
                body = {"stream_options": {"include_usage": True}} | body
            try:
                with self.failures.mapped(request.model, timeout):
                    return await client.chat.completions.create(
                        model=request.model, messages=[], extra_body=body, timeout=timeout, **more
                    )
            except LLMSpellError as error:
                if not self._adapts(error):
                    raise

    def _adapts(self, error: LLMSpellError) -> bool:
        """Whether the error says what the server does not know, and it was not left out yet."""
        words, dialect = f"{getattr(error, 'field', '')} {error.message}", self.dialect
        if isinstance(error, ValidationError) and "stream_options" in words:
            self.dialect = replace(dialect, asks_stream_usage=False)
        elif "json_schema" in words and "json_object" in words:
            self.dialect = replace(dialect, schema_form="json_object")
        return self.dialect != dialect

    @property
    def _stream_headers(self) -> dict[str, str]:
        """llama.cpp's server promises to keep the connection of a stream and then closes it; nobody shall reuse it."""
        return {"Connection": "close"} if self._is_own_server else {}

    async def list_models(self) -> list[str]:
        client = await self._connect()
        with self.failures.mapped("", self.settings.timeout_seconds):
            return [model.id async for model in client.models.list()]

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connect(self) -> AsyncOpenAI:
        """The client, made at first use. Raises: AuthenticationError without a key, ConfigurationError without a URL."""
        if self._client is None:
            if self.needs_key and not self.settings.api_key:
                raise self.failures.no_key()
            if self.settings.provider_type == "openai-compatible" and not self.base_url:
                raise ConfigurationError(
                    f"provider '{self.settings.name}' has no base_url",
                    setting=f"providers.{self.settings.name}.base_url",
                    hint="Give the server's address, e.g. base_url = 'http://localhost:8000/v1'.",
                )
            await asyncio.to_thread(self.preload)  # the package takes most of a second to import
            self._client = self._client or self._make_client()
        return self._client

    def _make_client(self) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        url = self.base_url or VENDOR_URL
        with self.failures.mapped("", self.settings.timeout_seconds):
            return AsyncOpenAI(
                api_key=self.settings.api_key or "none",
                admin_api_key="",
                organization="",
                project="",
                webhook_secret="",
                base_url=url,
                default_headers=self._headers(),
                timeout=self.settings.timeout_seconds,
                max_retries=self.settings.max_retries,
                http_client=self.wire(url).client(),
            )

    def _headers(self) -> dict[str, Any]:
        """The configured ones. Account names and headers that the package takes from variables are left out."""
        from openai import omit

        lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
        strange = [line.partition(":")[0].strip() for line in lines if ":" in line]
        headers: dict[str, Any] = dict.fromkeys(("OpenAI-Organization", "OpenAI-Project", *strange), omit)
        key = f"Bearer {self.settings.api_key or 'none'}"
        headers |= {name: key for name in strange if name.lower() == "authorization"}
        return headers | self.settings.headers
