"""The provider `local`: GGUF models on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from llmspell_core.errors import (
    ComponentError,
    ConfigurationError,
    LLMSpellError,
    MissingDependencyError,
    NetworkError,
    NotFoundError,
    ProviderError,
)
from llmspell_core.messages import AgentChunk, Usage
from llmspell_core.provider import (
    Completion,
    CompletionRequest,
    Health,
    LocalModel,
    LocalProvider,
    Provider,
    ProviderCapabilities,
    ProviderSettings,
    PullProgress,
    ToolDefinition,
    constrain,
)
from llmspell_provider_llamacpp.backend import backend_version, choose_backend, default_threads
from llmspell_provider_llamacpp.catalog import known_models, source_of
from llmspell_provider_llamacpp.pool import Running, ServerPool
from llmspell_provider_llamacpp.pull import Pull
from llmspell_provider_llamacpp.server import Launch, ModelServer
from llmspell_provider_llamacpp.store import ModelStore, StoredModel, default_directory

__all__ = ["LlamaCppProvider"]

DEFAULT_MODEL = "smollm2"
CONTEXT_SIZE = 4096
MAX_TOKENS = 512
REPEAT_PENALTY = 1.1
EXIT_NEWS_SECONDS = 0.5
TINY_BYTES = 1_000_000_000  # about a billion parameters in four bits


class LlamaCppProvider(LocalProvider):
    """Runs each model in a child process that speaks the OpenAI protocol, and lets the provider `openai` talk to it.

    Settings of its own, all optional: `backend` (auto, llama-cpp-python, xllamacpp), `model_directory`, `n_threads`,
    `context_size` (4096 tokens, or less if the model was trained with less), `gpu_layers`, `device` (cpu keeps it off the
    graphics card), `max_loaded` (2 models), `parallel` (1 answer at a time and model), `start_timeout` (120 seconds).
    """

    description = "Models on this machine, run by llama.cpp. No key, no account."
    partners = ("openai",)

    def __init__(self, settings: ProviderSettings, **wiring: Any) -> None:
        super().__init__(settings, **wiring)
        self.store = _store(settings)
        self.pool = ServerPool(self._start, self._option("max_loaded", int, 2))

    @classmethod
    def is_usable(cls, settings: ProviderSettings) -> bool:
        try:
            choose_backend(str(settings.options.get("backend") or "auto"))
        except MissingDependencyError:
            return False
        except LLMSpellError:  # a wrong setting, of which whoever uses the provider is told
            pass
        return True

    @classmethod
    def holds(cls, settings: ProviderSettings, model: str) -> bool:
        return model.partition(":")[0] in _store(settings).ids()

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(max_context_tokens=self._option("context_size", int, CONTEXT_SIZE))

    async def complete(self, request: CompletionRequest) -> Completion:
        """Streams as well: only a stream lets the server notice that nobody waits any longer."""
        answer = Completion()
        async with aclosing(self.stream(request)) as chunks:
            async for chunk in chunks:
                _collect(answer, chunk)
        return answer

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        model = request.model or self.settings.default_model or DEFAULT_MODEL
        tools = constrain.forced_tools(request)
        async with self.pool.use(model.partition(":")[0]) as running:
            prepared = self._prepared(request, running, tools)
            chunks = self._watched(running, prepared)
            async with aclosing(constrain.call_stream(chunks, tools) if tools else chunks) as answered:
                async for chunk in answered:
                    yield chunk

    async def _watched(self, running: Running, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        """The client's chunks. Raises: ProviderError when the server died meanwhile, else what the client raises."""
        try:
            chunks = cast("AsyncGenerator[AgentChunk, None]", running.client.stream(request))
            async with aclosing(chunks):
                async for chunk in chunks:
                    if chunk.type == "end":
                        chunk.usage = _free(chunk.usage)
                    yield chunk
        except (NetworkError, ProviderError):
            if await running.server.ended(EXIT_NEWS_SECONDS):
                raise running.server.died() from None
            raise

    def _prepared(self, request: CompletionRequest, running: Running, tools: list[ToolDefinition]) -> CompletionRequest:
        """The request as this server and this model's template understand it."""
        launch = running.server.launch
        stored = running.stored
        tiny = stored.path.stat().st_size < TINY_BYTES
        made = constrain.forced_request(request, tools, required_only=tiny) if tools else replace(request)
        made.model = launch.alias
        if made.tool_choice == "none":
            made.tools = []
        made.options = {"repeat_penalty": _penalty(made)} | made.options
        python = launch.backend == "llama-cpp-python"
        if python or not stored.header.knows_tools:
            made.messages = constrain.as_text_history(made.messages)
        if made.response_schema is not None:
            schema = constrain.bounded(made.response_schema)
            own = {"response_format": {"type": "json_object", "schema": schema}} if python else {}
            made.response_schema, made.options = (None if python else schema), made.options | own
        return made

    async def list_models(self) -> list[str]:
        return await asyncio.to_thread(self.store.ids)

    async def health(self) -> Health:
        try:
            version = backend_version(choose_backend(self._option("backend", str, "auto")))
        except LLMSpellError as error:
            return Health(False, reason=f"{error.message}. {error.hint or ''}".strip())
        models = tuple(await self.list_models())
        reason = None if models else "No local model yet. Run: llmspell model pull smollm2"
        return Health(bool(models), reason, models, version)

    @classmethod
    def short_names(cls) -> list[str]:
        return [model.id for model in known_models()]

    async def list_local_models(self) -> list[LocalModel]:
        models = await asyncio.to_thread(self.store.all)
        loaded = self.pool.loaded()
        return [replace(model, loaded=model.id in loaded) for model in models]

    async def available_models(self) -> list[LocalModel]:
        return known_models()

    async def model_info(self, model: str) -> LocalModel:
        found = await asyncio.to_thread(self.store.get, model)
        return replace(found.record(), loaded=found.id in self.pool.loaded())

    async def pull_model(
        self, spec: str, progress: Callable[[PullProgress], None], *, force: bool = False
    ) -> LocalModel:
        source = source_of(spec)
        if not force and source.model_id in await self.list_models():
            present = await asyncio.to_thread(self.store.get, source.model_id)
            if present.metadata.get("source") in {None, str(source)}:
                record = present.record()
                progress(PullProgress(record.id, "complete", record.size_bytes, record.size_bytes))
                return record
        return await Pull(self.store, source, progress).run()

    async def remove_model(self, model: str) -> LocalModel:
        await self.pool.unload(model)
        return await asyncio.to_thread(self.store.remove, model)

    async def unload_model(self, model: str) -> bool:
        """Stop the model's server. Returns: whether one ran."""
        return await self.pool.unload(model)

    async def close(self) -> None:
        await self.pool.close()

    async def _start(self, model: str) -> Running:
        stored = await asyncio.to_thread(self.store.get, model)
        server = await ModelServer.start(self._launch(stored), self._option("start_timeout", float, 120.0))
        try:
            return Running(server, self._client(server), stored, asyncio.Semaphore(server.launch.parallel))
        except BaseException:
            await server.stop()
            raise

    def _launch(self, stored: StoredModel) -> Launch:
        wanted = self._option("context_size", int, CONTEXT_SIZE)
        trained = stored.header.context_length
        on_cpu = self._option("device", str, "auto") == "cpu"
        return Launch(
            choose_backend(self._option("backend", str, "auto")),
            str(stored.path),
            stored.id,
            min(wanted, trained) if trained else wanted,
            self._option("n_threads", int, default_threads()),
            max(1, self._option("parallel", int, 1)),
            0 if on_cpu else self._option("gpu_layers", int, None),
        )

    def _client(self, server: ModelServer) -> Provider:
        """Raises: MissingDependencyError when no plugin speaks the OpenAI protocol."""
        if self.make_provider is None:
            raise ComponentError(
                "the provider 'local' was made without `make_provider`", hint="Let the runtime make it."
            )
        settings = replace(
            self.settings,
            provider_type=self.partners[0],
            base_url=server.url,
            api_key=server.api_key,
            temperature=0.0 if self.settings.temperature is None else self.settings.temperature,
            max_tokens=self.settings.max_tokens or MAX_TOKENS,
            max_retries=0,
            # xllamacpp may close a kept connection just when the next request goes out on it; a new one costs 0.1 ms.
            headers={"Connection": "close"},
            proxy=None,
            from_caller=False,
        )
        try:
            return self.make_provider(settings)
        except NotFoundError:
            raise MissingDependencyError(
                "local models need the provider 'openai' to talk to their server, and it is not installed",
                plugin="local",
                package="llmspell-provider-openai",
                hint="pip install llmspell-provider-openai",
            ) from None

    def _option(self, name: str, kind: Callable[[Any], Any], default: Any) -> Any:
        value = self.settings.options.get(name)
        if value is None:
            return default
        try:
            return kind(value)
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"providers.{self.settings.name}.{name} is {value!r}, which is not a {getattr(kind, '__name__', 'value')}",
                setting=f"providers.{self.settings.name}.{name}",
            ) from None


def _penalty(request: CompletionRequest) -> float:
    """None where braces, or a tool's result, must be repeated: there it drives a model into nonsense."""
    repeats = request.response_schema is not None or any(m.role == "tool" for m in request.messages)
    return 1.0 if repeats else REPEAT_PENALTY


def _free(usage: Usage | None) -> Usage:
    """A local model costs nothing, whatever a price list says."""
    return replace(usage or Usage(), cost_usd=0.0)


def _collect(answer: Completion, chunk: AgentChunk) -> None:
    if chunk.type == "text":
        answer.text += chunk.text
    elif chunk.type == "tool_call" and chunk.call is not None:
        answer.tool_calls.append(chunk.call)
    elif chunk.type == "end":
        data = chunk.data or {}
        answer.usage = chunk.usage or Usage()
        answer.model, answer.finish_reason = data.get("model", ""), data.get("finish_reason", "stop")


def _store(settings: ProviderSettings) -> ModelStore:
    directory = str(settings.options.get("model_directory") or "")
    return ModelStore(Path(directory).expanduser() if directory else default_directory())
