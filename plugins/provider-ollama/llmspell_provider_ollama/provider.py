"""The provider `ollama`: chat and models of an Ollama server."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ModelNotFoundError
from llmspell_core.messages import AgentChunk, new_id
from llmspell_core.provider import (
    Completion,
    CompletionRequest,
    LocalModel,
    LocalProvider,
    ProviderCapabilities,
    ProviderSettings,
    PullProgress,
    constrain,
)
from llmspell_core.provider.reading import text_of
from llmspell_provider_ollama.failure import Failures
from llmspell_provider_ollama.wire import (
    BACKEND,
    PullReader,
    body_of,
    calls_of,
    completion_of,
    finish_of,
    local_model,
    message_of,
    short,
    usage_of,
)

if TYPE_CHECKING:
    from llmspell_provider_ollama.client import Client

__all__ = ["OllamaProvider"]

DEFAULT_URL = "http://localhost:11434"


class OllamaProvider(LocalProvider):
    """Chat over HTTP with a server that somebody else started.

    The protocol cannot force a tool: a forced tool is asked for as JSON of the tool's schema, which the server guarantees.
    """

    description = "Models that an Ollama server runs."
    default_url = DEFAULT_URL

    def __init__(self, settings: ProviderSettings, **wiring: Any) -> None:
        super().__init__(settings, **wiring)
        self.base_url = (settings.base_url or DEFAULT_URL).rstrip("/").removesuffix("/api")
        self.failures = Failures(settings, None, self.base_url, address_hint="It is the address without /api.")
        self._client: Client | None = None

    @classmethod
    def preload(cls) -> None:
        import llmspell_provider_ollama.client  # noqa: F401 - the import is the work

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(supports_multimodal=True)

    async def complete(self, request: CompletionRequest) -> Completion:
        tools = constrain.forced_tools(request)
        if tools:
            return constrain.as_call(await self._complete(constrain.forced_request(request, tools)), tools)
        return await self._complete(request)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        tools = constrain.forced_tools(request)
        chunks = self._stream(constrain.forced_request(request, tools) if tools else request)
        async with aclosing(constrain.call_stream(chunks, tools) if tools else chunks) as answer:
            async for chunk in answer:
                yield chunk

    async def _complete(self, request: CompletionRequest) -> Completion:
        timeout = self.timeout_of(request)
        client = await self._connect()
        with self.failures.mapped(request.model, timeout):
            async with asyncio.timeout(timeout):
                reply = await client.chat_body(body_of(request, self.settings, stream=False))
            return completion_of(reply, self.failures, request.model)

    async def _stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        timeout, stream_id, index = self.timeout_of(request), new_id(), 0
        said, called = False, False
        client = await self._connect()
        with self.failures.mapped(request.model, timeout):
            parts = await client.chat_body(body_of(request, self.settings, stream=True))
            async with aclosing(_each_within(parts, timeout)) as pieces:
                async for part in pieces:
                    message = message_of(part) or {}
                    if text := text_of(message.get("content")):
                        said = True
                        yield AgentChunk("text", text, stream_id, index)
                        index += 1
                    for call in calls_of(message):
                        called = True
                        yield AgentChunk("tool_call", "", stream_id, index, call.tool_id, call.tool_name, call)
                        index += 1
                    if part.fields.get("done"):
                        finish = finish_of(part, said, called, self.failures, request.model)
                        data = {"finish_reason": finish, "model": part.fields.get("model") or request.model}
                        yield AgentChunk("end", "", stream_id, index, usage=usage_of(part), data=data)
                        return
        raise self.failures.broken_off() if index else self.failures.garbage(request.model)

    async def list_models(self) -> list[str]:
        return [model.id for model in await self.list_local_models()]

    async def list_local_models(self) -> list[LocalModel]:
        client = await self._connect()
        with self.failures.mapped("", self.settings.timeout_seconds):
            async with asyncio.timeout(self.settings.timeout_seconds):
                found, running = await asyncio.gather(client.list(), client.ps())
            loaded = {short(model.model or "") for model in running.models}
            return [local_model(model, loaded) for model in found.models]

    @classmethod
    def short_names(cls) -> list[str]:
        return list(_known())

    async def available_models(self) -> list[LocalModel]:
        return [LocalModel(name, BACKEND, description=about) for name, about in _known().items()]

    async def model_info(self, model: str) -> LocalModel:
        for found in await self.list_local_models():
            if found.id == short(model):
                return found
        raise self._missing(model)

    async def pull_model(
        self, spec: str, progress: Callable[[PullProgress], None], *, force: bool = False
    ) -> LocalModel:
        """Have the server fetch a model of its library, or `hf.co/OWNER/REPO`. It checks by itself what it has."""
        name = spec.removesuffix(f"@{BACKEND}")
        client, reader = await self._connect(), PullReader(name)
        progress(PullProgress(name, "starting"))
        with self.failures.mapped(name, self.settings.timeout_seconds):
            events = await client.pull(name, stream=True)
            async with aclosing(_each_within(events, self.settings.timeout_seconds)) as told:
                async for event in told:
                    progress(reader.read(event))
        if not reader.finished:
            raise self.failures.broken_off()
        return await self.model_info(name)

    async def remove_model(self, model: str) -> LocalModel:
        found = await self.model_info(model)
        client = await self._connect()
        with self.failures.mapped(model, self.settings.timeout_seconds):
            await client.delete(model)
        return found

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    def _missing(self, model: str) -> ModelNotFoundError:
        return self.failures.no_model("it was not pulled", model)

    async def _connect(self) -> Client:
        """The client, made at first use."""
        if self._client is None:
            await asyncio.to_thread(self.preload)
            self._client = self._client or self._make_client()
        return self._client

    def _make_client(self) -> Client:
        from llmspell_provider_ollama.client import Client

        key = {"Authorization": f"Bearer {self.settings.api_key}"} if self.settings.api_key else {}
        wire = self.wire(self.base_url, whole_characters=True)
        with self.failures.mapped("", self.settings.timeout_seconds):
            return Client(self.base_url, headers=key | self.settings.headers, transport=wire.httpx_transport())


async def _each_within(parts: AsyncIterator[Any], timeout: float) -> AsyncGenerator[Any, None]:
    """The parts of a stream, each within its time: a long answer is no reason to give up, silence is."""
    try:
        while True:
            async with asyncio.timeout(timeout):
                part = await anext(parts, None)
            if part is None:
                return
            yield part
    finally:
        closing = getattr(parts, "aclose", None)
        if closing is not None:
            await closing()


@cache
def _known() -> dict[str, str]:
    entries = tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8"))
    return {name: entry["description"] for name, entry in entries.items()}
