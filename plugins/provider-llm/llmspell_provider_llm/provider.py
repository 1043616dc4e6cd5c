"""The provider `llm`: every model that an installed plugin of the `llm` ecosystem registers."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from llmspell_core.errors import SecurityError, ValidationError
from llmspell_core.messages import AgentChunk, Media, Message, ToolCall, Usage, new_id
from llmspell_core.provider import (
    INVALID_JSON,
    Completion,
    CompletionRequest,
    FinishReason,
    Health,
    Provider,
    ProviderCapabilities,
    ProviderSettings,
    ToolDefinition,
    constrain,
)
from llmspell_core.provider.key import check_key
from llmspell_core.provider.lookup import look_up
from llmspell_provider_llm.client import Worker
from llmspell_provider_llm.failure import Failures
from llmspell_provider_llm.surroundings import Surroundings

__all__ = ["LLMProvider"]

START_SECONDS = 60.0
KEPT_PARTS = 10_000
CHARACTERS_A_TOKEN = 4
FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}


class LLMProvider(Provider):
    """Models in a child process of their own, which loads the plugins; nothing of them runs here.

    `llm` cannot force a tool: a forced one is asked for as JSON of its schema, where the model takes schemas. Usage that a
    model does not tell is estimated from the lengths of the texts.

    The plugins' clients are their own; the process asks here for every address that it connects to, and has no variable of
    a vendor. A model's key is looked for in the settings, where `llm keys set` stores it, and in the variable that its
    plugin names. Settings of its own: `user_dir`; `env_vars`, further variables that the plugins see; `allowed_hosts`,
    private ones that they may reach, as `localhost:11434`.
    """

    description = "Every model plugin of the llm ecosystem (llm-*)."
    requires_key = False

    def __init__(self, settings: ProviderSettings, **wiring: Any) -> None:
        super().__init__(settings, **wiring)
        where = settings.base_url or "the address that its plugin knows"
        self.failures = Failures(settings, None, where)
        self._workers: list[Worker] = []
        self._surroundings = Surroundings(settings)
        self._starting = asyncio.Lock()
        self._parts: dict[str, list[dict[str, Any]]] = {}

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(supports_multimodal=True)

    async def complete(self, request: CompletionRequest) -> Completion:
        answer = Completion(model=request.model)
        async with aclosing(self.stream(request)) as chunks:
            async for chunk in chunks:
                if chunk.type == "text":
                    answer.text += chunk.text
                elif chunk.type == "tool_call" and chunk.call is not None:
                    answer.tool_calls.append(chunk.call)
                elif chunk.type == "end" and chunk.data is not None:
                    answer.usage = chunk.usage or answer.usage
                    answer.model, answer.finish_reason = chunk.data["model"], chunk.data["finish_reason"]
        return answer

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        worker = await self._connect()
        asked, tools = self._narrowed(worker, request)
        chunks = self._stream(worker, asked)
        async with aclosing(constrain.call_stream(chunks, tools) if tools else chunks) as answer:
            async for chunk in answer:
                yield chunk

    def _narrowed(self, worker: Worker, request: CompletionRequest) -> tuple[CompletionRequest, list[ToolDefinition]]:
        """The request as the model can take it, and the tools of which its answer is a call."""
        tools = constrain.forced_tools(request)
        able = worker.models.get(request.model, {"tools": True, "schema": True})
        if tools and able["schema"]:
            return constrain.forced_request(request, tools), tools
        if tools and able["tools"]:
            return replace(request, tools=tools), []
        if request.tool_choice == "none":
            return replace(request, tools=[]), []
        return request, []

    async def _stream(self, worker: Worker, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        """A process that ended before this answer began, perhaps for another's sake, is replaced once."""
        timeout = self.timeout_of(request)
        message, is_last = await self._message(request), False
        while True:
            reader, heard, variable = _Reader(request, self.failures), False, None
            async with aclosing(worker.ask(message)) as events:
                while (event := await self._next(events, timeout)) is not None:
                    heard, variable = True, event.get("variable")
                    for chunk in self._read(reader, event, request.model, timeout):
                        yield chunk
            if reader.ended:
                return
            if variable is not None:
                message |= {"key": self._kept_key(str(variable)) or ""}
            elif heard or is_last:
                raise self.failures.died(request.model)
            else:
                worker, is_last = await self._connect(), True

    def _read(self, reader: _Reader, event: dict[str, Any], model: str, timeout: float) -> list[AgentChunk]:
        """Raises: what the child process reports."""
        if event["event"] == "error":
            raise self.failures.of_report(event, model, timeout)
        if event["event"] == "end":
            self._keep(event)
        return reader.read(event)

    async def _next(self, events: AsyncGenerator[dict[str, Any], None], timeout: float) -> dict[str, Any] | None:
        """Each piece within its time: a long answer is no reason to give up, silence is."""
        try:
            async with asyncio.timeout(timeout):
                return await anext(events, None)
        except TimeoutError:
            raise self.failures.timed_out(timeout) from None

    def _kept_key(self, variable: str | None) -> str | None:
        """What the model's own variable holds. Not for a server that a script named."""
        if not variable or self.settings.from_caller:
            return None
        found = replace(self.settings, api_key=os.environ.get(variable), api_key_env=variable)
        check_key(found)
        return found.api_key

    async def _message(self, request: CompletionRequest) -> dict[str, Any]:
        temperature = self.settings.temperature if request.temperature is None else request.temperature
        wanted: dict[str, Any] = {
            "temperature": temperature,
            "max_tokens": request.max_tokens or self.settings.max_tokens,
            "stop": request.stop or None,
            "seed": request.seed,
        }
        names = {call.tool_id: call.tool_name for message in request.messages for call in message.tool_calls}
        return {
            "model": request.model,
            "base_url": self.settings.base_url,
            "key": self.settings.api_key,
            "messages": [await self._turn(message, names) for message in request.messages],
            "tools": [tool.to_dict() for tool in request.tools],
            "schema": request.response_schema,
            "settings": {name: value for name, value in wanted.items() if value is not None},
            "options": request.options,
        }

    async def _turn(self, message: Message, names: dict[str, str]) -> dict[str, Any]:
        calls = [{"id": c.tool_id, "name": c.tool_name, "arguments": c.parameters} for c in message.tool_calls]
        return {
            "role": message.role,
            "content": message.content,
            "media": [await self._media(media) for media in message.media],
            "calls": calls,
            "call_id": message.tool_call_id,
            "name": message.name or names.get(message.tool_call_id or "", ""),
            "parts": self._parts.get(message.tool_calls[0].tool_id) if calls else None,
        }

    async def _media(self, media: Media) -> dict[str, Any]:
        """What is linked is fetched here, as the policy allows it; the models get the data."""
        made = {"type": media.type, "data": media.data, "mime_type": media.mime_type}
        if not media.data.lower().startswith(("http://", "https://")):
            return made
        if self.network is None:
            raise ValidationError(
                "a message cannot carry a link to this provider", field="media", hint="Send the data itself, in base64."
            )
        content, mime = await self.network.fetch(media.data)
        return made | {"data": base64.b64encode(content).decode("ascii"), "mime_type": media.mime_type or mime}

    def _keep(self, end: dict[str, Any]) -> None:
        """Some vendors want back what they said beside a call, signatures for example; our messages have no place."""
        if end["parts"] and end["calls"]:
            self._parts[end["calls"][0]["id"]] = end["parts"]
        while len(self._parts) > KEPT_PARTS:
            del self._parts[next(iter(self._parts))]

    async def list_models(self) -> list[str]:
        """Those of installed plugins that need no key, or have one."""
        worker = await self._connect()
        return [
            name
            for name, able in worker.models.items()
            if able["usable"] or self.settings.api_key or self._kept_key(able["key_variable"])
        ]

    async def health(self) -> Health:
        health = await super().health()
        if not health.healthy:
            return health
        worker = self._workers[-1]
        broken = "; ".join(f"{name}: {why}" for name, why in worker.failed.items())
        if health.models:
            told = f"plugins that cannot be loaded: {broken}" if broken else None
            return Health(True, told, health.models, worker.version)
        why = broken or "no plugin with models is installed, or none has a key"
        return Health(False, f"{why}. Install one, e.g. pip install llm-gemini, and set its key.", (), worker.version)

    async def close(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            await worker.close()

    async def _connect(self) -> Worker:
        """The child process, started at first use and again when the last one had to be ended.

        Raises: PluginError when it does not start, AuthenticationError for a key that cannot be sent.
        """
        check_key(self.settings)
        async with self._starting:
            if not self._workers or not self._workers[-1].is_usable:
                self._workers = [worker for worker in self._workers if worker.is_alive]
                made = Worker(Surroundings(self.settings), self._addresses)
                await made.start(START_SECONDS)
                self._workers.append(made)
            return self._workers[-1]

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Where the child may connect to. With a `base_url` that is the server there and no other one.

        Raises: SecurityError, NetworkError.
        """
        if self.settings.base_url:
            return await self.wire(self.settings.base_url).only(host, port)
        allowed = {*(self.settings.options.get("allowed_hosts") or ()), *self._surroundings.proxies()}
        if self.network is None or {host, f"{host}:{port}"} & allowed:
            return await look_up(host, port)
        try:
            return await self.network.addresses(host, port)
        except SecurityError as error:
            error.hint = f'If the model is served there, set allowed_hosts = ["{host}:{port}"] in [providers.{self.settings.name}].'
            raise


class _Reader:
    """Turns the events of one answer into chunks."""

    def __init__(self, request: CompletionRequest, failures: Failures) -> None:
        self.ended = False
        self._request = request
        self._failures = failures
        self._stream_id = new_id()
        self._count = 0
        self._said = 0
        self._calls: dict[str, tuple[str, str]] = {}
        self._last = ""

    def read(self, event: dict[str, Any]) -> list[AgentChunk]:
        """Raises: NetworkError, ProviderError, ContentRefusedError at an end that is none."""
        kind = event["event"]
        if kind == "text" and event["text"]:
            self._said += len(event["text"])
            return [self._chunk(AgentChunk("text", event["text"]))]
        if kind == "call":
            return [self._progress(event)]
        return self._end(event) if kind == "end" else []

    def _progress(self, event: dict[str, Any]) -> AgentChunk:
        self._last = event["call"] or (self._last if "arguments" in event and self._last else new_id("call"))
        name, arguments = self._calls.get(self._last, ("", ""))
        name, arguments = name + event.get("name", ""), arguments + event.get("arguments", "")
        self._calls[self._last] = (name, arguments)
        return self._chunk(AgentChunk("tool_call_progress", call_id=self._last, tool_name=name, arguments=arguments))

    def _end(self, event: dict[str, Any]) -> list[AgentChunk]:
        model, word = self._request.model, event["finish"]
        calls = [_call(call) for call in event["calls"]]
        if event["is_chat"] and word is None:
            raise self._failures.broken_off()
        if not self._said and not calls and word is None:
            raise self._failures.garbage(model, "nothing")
        finish = FINISH.get(str(word).lower(), "stop")
        if finish == "content_filter" and not self._said:
            raise self._failures.refused(f"the answer was stopped ({word})", model)
        self.ended = True
        made = [self._chunk(AgentChunk("tool_call", call=c, call_id=c.tool_id, tool_name=c.tool_name)) for c in calls]
        data = {
            "finish_reason": "tool_calls" if calls and finish == "stop" else finish,
            "model": event["model"] or model,
        }
        return [*made, self._chunk(AgentChunk("end", usage=self._usage(event), data=data))]

    def _usage(self, event: dict[str, Any]) -> Usage:
        told, made = event["usage"]
        asked = sum(len(message.content) for message in self._request.messages)
        spoken = self._said + sum(len(arguments) for _, arguments in self._calls.values())
        return Usage(
            max(1, asked // CHARACTERS_A_TOKEN) if told is None else told,
            max(1, spoken // CHARACTERS_A_TOKEN) if made is None else made,
        )

    def _chunk(self, chunk: AgentChunk) -> AgentChunk:
        chunk.stream_id, chunk.chunk_index, self._count = self._stream_id, self._count, self._count + 1
        return chunk


def _call(call: dict[str, Any]) -> ToolCall:
    """Arguments that are not a JSON object are marked as such, so that the model hears of it."""
    arguments = call["arguments"]
    return ToolCall(call["id"], call["name"], arguments if isinstance(arguments, dict) else {INVALID_JSON: arguments})
