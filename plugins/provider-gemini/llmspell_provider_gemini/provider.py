"""The provider `gemini`: Google's models over the Gemini Developer API."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError, ValidationError
from llmspell_core.messages import AgentChunk, ToolCall, Usage, new_id
from llmspell_core.provider import Completion, CompletionRequest, Provider, ProviderCapabilities, ProviderSettings
from llmspell_provider_gemini.failure import Failures
from llmspell_provider_gemini.wire import (
    calls_of,
    check_finish,
    config_of,
    contents_of,
    finish_of,
    finish_word,
    refusal_of,
    text_of,
    usage_of,
)

if TYPE_CHECKING:
    from google.genai.client import AsyncClient

__all__ = ["GeminiProvider"]

VENDOR_URL = "https://generativelanguage.googleapis.com"
CONTEXT_TOKENS = 1_048_576
"""What every model of the 2.x families takes: https://ai.google.dev/gemini-api/docs/models."""
API_VERSION = "v1beta"
OWN_HEADERS = ("x-goog-api-client", "x-server-timeout")
KEPT_SIGNATURES = 10_000
_responses: ContextVar[list[Any] | None] = ContextVar("gemini responses", default=None)
"""Where the request that is being made finds its response."""


class GeminiProvider(Provider):
    """`generateContent` over HTTP. A stream's calls arrive whole, as the protocol has it."""

    description = "Google's Gemini models."
    key_variable = "GEMINI_API_KEY"
    default_url = VENDOR_URL

    def __init__(self, settings: ProviderSettings, **wiring: Any) -> None:
        super().__init__(settings, **wiring)
        self.base_url = (settings.base_url or VENDOR_URL).rstrip("/")
        hint = "It is the address without the version (/v1)."
        self.failures = Failures(settings, self.key_variable, self.base_url, address_hint=hint)
        self._client: AsyncClient | None = None
        self._http: Any = None
        self._signatures: dict[str, bytes] = {}

    @classmethod
    def preload(cls) -> None:
        import google.genai.models  # noqa: F401 - the import is the work

        # A reason to finish that the package does not know yet is no news for whoever runs a script.
        warnings.filterwarnings("ignore", message=".* is not a valid ", category=UserWarning, module="google.genai")

    @property
    def capabilities(self) -> ProviderCapabilities:
        return ProviderCapabilities(supports_multimodal=True, max_context_tokens=CONTEXT_TOKENS)

    async def complete(self, request: CompletionRequest) -> Completion:
        timeout = self.timeout_of(request)
        client = await self._connect()
        responses: list[Any] = []
        with self.failures.mapped(request.model, timeout):
            async with asyncio.timeout(timeout):
                reply = await _noting(responses, client.models.generate_content(**self._asked(request)))
            text, calls = text_of(reply), self._calls(reply)
            finish = finish_of(reply, has_calls=bool(calls))
            self._check(reply, request.model, has_answer=bool(text or calls), responses=responses)
            if finish is None:
                raise self._no_answer(responses, request.model)
        return Completion(text, calls, usage_of(reply), reply.model_version or request.model, finish)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[AgentChunk, None]:
        timeout, stream_id, index = self.timeout_of(request), new_id(), 0
        client = await self._connect()
        answer, finish, events, said = Completion(model=request.model), None, 0, False
        with self.failures.mapped(request.model, timeout):
            parts = await client.models.generate_content_stream(**self._asked(request))
            async with aclosing(_each_within(parts, timeout)) as replies:
                async for reply in replies:
                    events += bool(reply.candidates)
                    answer.usage = usage_of(reply) if reply.usage_metadata else answer.usage
                    answer.model = reply.model_version or answer.model
                    answer.tool_calls += (calls := self._calls(reply))
                    finish = finish_of(reply, has_calls=bool(answer.tool_calls)) or finish
                    text = text_of(reply)
                    said = said or bool(text or calls)
                    self._check(reply, request.model, has_answer=said)
                    for chunk in _chunks(text, calls):
                        chunk.stream_id, chunk.chunk_index, index = stream_id, index, index + 1
                        yield chunk
        if finish is None:
            raise self.failures.broken_off() if events else self.failures.garbage(request.model)
        data = {"finish_reason": finish, "model": answer.model}
        yield AgentChunk("end", "", stream_id, index, usage=answer.usage or Usage(), data=data)

    async def list_models(self) -> list[str]:
        client = await self._connect()
        with self.failures.mapped("", self.settings.timeout_seconds):
            async with asyncio.timeout(self.settings.timeout_seconds):
                return [str(model.name).removeprefix("models/") async for model in await client.models.list()]

    async def close(self) -> None:
        self._client, (client, http) = None, (self._client, self._http)
        if client is not None:
            await client.aclose()
            await http.aclose()

    def _asked(self, request: CompletionRequest) -> dict[str, Any]:
        """As the package's own types, which know how the fields are spelled on the wire.

        Raises: ValidationError for an option that the package does not know.
        """
        from google.genai.types import Content, GenerateContentConfig

        contents = contents_of(request.messages, self._signatures)
        try:
            config = GenerateContentConfig.model_validate(config_of(request, self.settings))
        except ValueError as error:
            raise ValidationError(
                f"{self.settings.name} does not know these options: {self.failures.clean(str(error))}",
                field="options",
                hint="The options are the fields of GenerateContentConfig of the package google-genai.",
            ) from None
        return {"model": request.model, "contents": [Content.model_validate(c) for c in contents], "config": config}

    def _calls(self, reply: Any) -> list[ToolCall]:
        """Newer models want a signature back with each call of theirs; a message of ours has no place for it."""
        calls = calls_of(reply, self._signatures)
        while len(self._signatures) > KEPT_SIGNATURES:
            del self._signatures[next(iter(self._signatures))]
        return calls

    def _check(self, reply: Any, model: str, *, has_answer: bool, responses: Sequence[Any] = ()) -> None:
        """Raises: ContentRefusedError; ProviderError for an end that is a failure."""
        refused = refusal_of(reply)
        if refused is not None:
            raise self.failures.refused(refused, model)
        word = finish_word(reply)
        if word is not None:
            check_finish(word, _why(responses), has_answer, self.failures, model)

    def _no_answer(self, responses: list[Any], model: str) -> LLMSpellError:
        """The package drops what it does not know of an answer; an error may be among that."""
        body = responses[-1].json() if responses else None
        error = body.get("error") if isinstance(body, dict) else None
        return self.failures.in_answer(error, model) if error else self.failures.garbage(model)

    async def _connect(self) -> AsyncClient:
        """The client, made at first use. Raises: AuthenticationError without a key for the vendor's own server."""
        if self._client is None:
            if self.base_url == VENDOR_URL and not self.settings.api_key:
                raise self.failures.no_key()
            await asyncio.to_thread(self.preload)
            self._client = self._client or self._make_client()
        return self._client

    def _make_client(self) -> AsyncClient:
        from google.genai import Client
        from google.genai.client import DebugConfig
        from google.genai.types import HttpOptions

        wire = self.wire(self.base_url, sends=OWN_HEADERS, whole_characters=True)
        with self.failures.mapped("", self.settings.timeout_seconds):
            self._http = wire.client(event_hooks={"response": [_remember]})
            options = HttpOptions(
                base_url=self.base_url,
                api_version=API_VERSION,
                headers=self.settings.headers,
                httpx_async_client=self._http,
            )
            return Client(
                enterprise=False,
                api_key=self.settings.api_key or "none",
                http_options=options,
                debug_config=DebugConfig(client_mode=None, replays_directory=None, replay_id=None),
            ).aio


async def _remember(response: Any) -> None:
    responses = _responses.get()
    if responses is not None:
        responses.append(response)


def _chunks(text: str, calls: list[ToolCall]) -> list[AgentChunk]:
    said = [AgentChunk("text", text)] if text else []
    made = [AgentChunk("tool_call", call=call, call_id=call.tool_id, tool_name=call.tool_name) for call in calls]
    return said + made


async def _each_within(parts: AsyncIterator[Any], timeout: float) -> AsyncGenerator[Any, None]:
    """The parts of a stream, each within its time: a long answer is no reason to give up, silence is.

    The connection is closed at the end; the package leaves that to the garbage collector.
    """
    responses: list[Any] = []
    try:
        while (part := await _next(parts, timeout, responses)) is not None:
            yield part
    finally:
        for closing in (parts, *responses):
            await closing.aclose()


async def _next(parts: AsyncIterator[Any], timeout: float, responses: list[Any]) -> Any:
    async with asyncio.timeout(timeout):
        return await _noting(responses, anext(parts, None))


async def _noting(responses: list[Any], work: Awaitable[Any]) -> Any:
    """`work`, with the responses that it gets in `responses`."""
    token = _responses.set(responses)
    try:
        return await work
    finally:
        _responses.reset(token)


def _why(responses: Sequence[Any]) -> str:
    """The words in which the server explains its reason to finish; the package leaves them out of what it hands on."""
    try:
        return str(responses[-1].json()["candidates"][0].get("finishMessage") or "")
    except (LookupError, TypeError, ValueError, AttributeError):
        return ""
