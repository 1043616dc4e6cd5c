"""The LLM agent: a conversation with a model that may call tools, and the immutable builder that makes one.

One loop serves `execute` and `stream_execute`: ask the model, run the tools it calls (those of one turn together), feed
the results back, until it answers in text. A tool's error goes back to the model, which can do better the next time.
"""

from __future__ import annotations

import asyncio
import builtins
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from llmspell_core.component import BaseAgent, HookPoints
from llmspell_core.errors import (
    ComponentError,
    LLMSpellError,
    ResourceLimitError,
    TimeoutError,
    ValidationError,
)
from llmspell_core.messages import (
    AgentChunk,
    AgentInput,
    AgentOutput,
    MediaKind,
    Message,
    OutputMetadata,
    Record,
    ToolCall,
    ToolOutput,
    Usage,
    new_id,
)
from llmspell_core.provider import Completion, CompletionRequest, Provider, ToolDefinition

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.tool import Tool

__all__ = ["AgentBuilder", "AgentConfig", "AgentDesk", "LLMAgent", "ResourceLimits"]

INVALID_JSON = "_invalid_json"
"""A provider puts a tool call's arguments under this key when they are not a JSON object."""

DEFAULT_DESCRIPTION = "LLM-powered agent"
OVERRIDES = ("temperature", "max_tokens", "tool_choice", "response_schema", "stop", "seed", "timeout", "options")


@dataclass(frozen=True, slots=True)
class ResourceLimits(Record):
    """What one execution of an agent may use. `max_iterations` counts model calls."""

    max_execution_time_secs: float = 300
    max_memory_mb: int = 512
    max_tool_calls: int = 100
    max_recursion_depth: int = 10
    max_iterations: int = 25


@dataclass(frozen=True, slots=True)
class AgentConfig(Record):
    """Everything that defines an agent. `model` is `provider/model` or a bare model of `provider`."""

    name: str
    description: str = DEFAULT_DESCRIPTION
    agent_type: str = "llm"
    model: str | None = None
    provider: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    max_conversation_length: int = 100
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    allowed_tools: tuple[str, ...] = ()
    tool_choice: str | None = None
    response_schema: dict[str, Any] | None = None
    limits: ResourceLimits = field(default_factory=ResourceLimits)
    custom: dict[str, Any] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """The configuration without secrets."""
        data = {k: v for k, v in self.to_dict().items() if k != "api_key"}
        data["resource_limits"] = data.pop("limits")
        return data


class AgentDesk(Protocol):
    """What an agent needs of the runtime. The runtime implements it; a test may do so in ten lines."""

    async def provider_for(self, config: AgentConfig) -> tuple[Provider, str]:
        """The provider instance and the bare model name."""
        ...

    def tool_for(self, name: str) -> Tool[Any]: ...

    def tool_names(self) -> list[str]: ...

    async def call_tool(self, name: str, parameters: dict[str, Any], context: ExecutionContext) -> AgentOutput: ...


State = Literal["Uninitialized", "Ready", "Running", "Terminated", "Error"]
Ask = Callable[[CompletionRequest], Awaitable[Completion]]
Emit = Callable[[AgentChunk], Awaitable[None]]


class LLMAgent(BaseAgent):
    """An agent whose turns are answered by a model."""

    component_type: ClassVar[Literal["agent"]] = "agent"
    hook_points: ClassVar[HookPoints | None] = HookPoints("BeforeAgentExecution", "AfterAgentExecution", "AgentError")

    def __init__(self, config: AgentConfig, desk: AgentDesk) -> None:
        self.config = config
        self.name = config.name
        self.description = config.description
        self.state: State = "Ready"
        self.history: list[Message] = []
        self.last_error: str | None = None
        self.executions = 0
        self.failures = 0
        self.busy_ms = 0.0
        self.usage = Usage()
        self._desk = desk
        self._running = 0
        self._definitions: tuple[ToolDefinition, ...] | None = None

    @property
    def supports_streaming(self) -> bool:
        return True

    @property
    def supported_media_types(self) -> list[MediaKind]:
        return ["text", "image"]

    def validate_input(self, input: AgentInput) -> None:
        if not input.text and not input.media:
            raise ValidationError(
                f"agent '{self.name}' got no prompt",
                field="text",
                hint='Pass a string, or a table with text, e.g. {text = "..."}.',
            )

    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        provider, model = await self._desk.provider_for(self.config)
        return await self._bounded(self._run(input, context, provider.complete, model, None))

    def stream_execute(self, input: AgentInput, context: ExecutionContext) -> AsyncIterator[AgentChunk]:
        """Text and tool chunks as they come, then `end` with the whole output. Closing the iterator stops the run."""
        return _StreamingRun(self, AgentInput.of(input), context).chunks()

    async def _bounded(self, work: Awaitable[AgentOutput]) -> AgentOutput:
        limit = self.config.limits.max_execution_time_secs
        started = time.perf_counter()
        self._begin()
        try:
            async with asyncio.timeout(limit):
                return await work
        except (LLMSpellError, OSError) as error:
            self.failures += 1
            self.last_error = str(getattr(error, "message", error))
            if type(error) is builtins.TimeoutError:
                raise self._timed_out(limit) from None
            raise
        finally:
            self._finish(started)

    def _begin(self) -> None:
        if self.state not in {"Ready", "Running"}:
            raise ComponentError(f"agent '{self.name}' is {self.state.lower()} and cannot execute")
        self._running += 1
        self.state = "Running"

    def _finish(self, started: float) -> None:
        self._running -= 1
        self.executions += 1
        self.busy_ms += (time.perf_counter() - started) * 1000
        if not self._running and self.state == "Running":
            self.state = "Ready"

    def _timed_out(self, limit: float) -> TimeoutError:
        return TimeoutError(
            f"agent '{self.name}' did not finish within {limit:g} s",
            hint="Raise max_execution_time(seconds) on its builder, or give it less to do.",
            duration_ms=int(limit * 1000),
        )

    async def _run(
        self, input: AgentInput, context: ExecutionContext, ask: Ask, model: str, emit: Emit | None
    ) -> AgentOutput:
        started = time.perf_counter()
        user = Message("user", input.text, media=input.media)
        request = self._request(user, input, model)
        calls: list[ToolCall] = []
        usage = Usage()
        iterations = int(input.parameters.get("max_iterations") or self.config.limits.max_iterations)
        for _ in range(iterations):
            completion = await ask(request)
            usage = usage + completion.usage
            if not completion.tool_calls:
                return self._answer(user, request, completion, calls, usage, started)
            await self._tool_turn(request, completion, calls, context, emit)
        raise ResourceLimitError(
            f"agent '{self.name}' still called tools after {iterations} model calls",
            hint="Raise max_iterations, or check whether a tool keeps failing.",
            resource="iterations",
            limit=iterations,
            used=iterations,
        )

    def _request(self, user: Message, input: AgentInput, model: str) -> CompletionRequest:
        config = self.config
        messages = [*self._system(), *self.history[-config.max_conversation_length :], user]
        request = CompletionRequest(
            model,
            messages,
            tools=list(self._tool_definitions()),
            tool_choice=config.tool_choice or "auto",
            response_schema=config.response_schema,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
        )
        for name in OVERRIDES:
            if name in input.parameters:
                setattr(request, name, input.parameters[name])
        return request

    def _system(self) -> list[Message]:
        prompt = self.config.system_prompt
        if prompt is None and self.config.description != DEFAULT_DESCRIPTION:
            prompt = f"You are {self.name}. {self.config.description}"
        return [Message("system", prompt)] if prompt else []

    def tool_names(self) -> list[str]:
        """The tools this agent may call; `*` stands for all."""
        allowed = self.config.allowed_tools
        return self._desk.tool_names() if "*" in allowed else list(allowed)

    def _tool_definitions(self) -> tuple[ToolDefinition, ...]:
        if self._definitions is None:
            tools = [self._desk.tool_for(name) for name in self.tool_names()]
            self._definitions = tuple(ToolDefinition(t.name, t.description, t.schema.to_json_schema()) for t in tools)
        return self._definitions

    async def _tool_turn(
        self,
        request: CompletionRequest,
        completion: Completion,
        calls: list[ToolCall],
        context: ExecutionContext,
        emit: Emit | None,
    ) -> None:
        """Run the calls of one turn together and append the turn and its results to the request."""
        limit = self.config.limits.max_tool_calls
        used = len(calls) + len(completion.tool_calls)
        if used > limit:
            raise ResourceLimitError(
                f"agent '{self.name}' wants more tool calls", resource="tool calls", limit=limit, used=used
            )
        if len(completion.tool_calls) == 1:
            await self._call_tool(completion.tool_calls[0], context, emit)
        else:
            async with asyncio.TaskGroup() as group:
                for call in completion.tool_calls:
                    group.create_task(self._call_tool(call, context, emit))
        calls.extend(completion.tool_calls)
        request.messages.append(Message("assistant", completion.text, tool_calls=completion.tool_calls))
        request.messages.extend(_tool_message(call) for call in completion.tool_calls)
        if request.tool_choice not in {"auto", "none"}:
            request.tool_choice = "auto"  # a forced call was made; now the model may answer

    async def _call_tool(self, call: ToolCall, context: ExecutionContext, emit: Emit | None) -> None:
        started = time.perf_counter()
        try:
            output = await self._checked_call(call, context)
            call.result = ToolOutput(True, output.metadata.extra.get("response") or output.text)
            if isinstance(call.result.data, dict) and call.result.data.get("success") is False:
                call.result.success = False
                call.result.error = _error_text(call.result.data)
        except LLMSpellError as error:
            call.result = ToolOutput(False, None, f"{error.message} {error.hint or ''}".strip())
        call.result.execution_time_ms = round((time.perf_counter() - started) * 1000)
        if emit is not None:
            await emit(AgentChunk("tool_result", call_id=call.tool_id, tool_name=call.tool_name, call=call))

    async def _checked_call(self, call: ToolCall, context: ExecutionContext) -> AgentOutput:
        if INVALID_JSON in call.parameters:
            raise ValidationError(
                f"the arguments of {call.tool_name} are not a JSON object: {call.parameters[INVALID_JSON]!r}",
                field="arguments",
            )
        names = {d.name for d in self._tool_definitions()}
        if call.tool_name not in names:
            raise ValidationError(f"there is no tool '{call.tool_name}'; you have: {', '.join(sorted(names))}")
        return await self._desk.call_tool(call.tool_name, call.parameters, context)

    def _answer(
        self,
        user: Message,
        request: CompletionRequest,
        completion: Completion,
        calls: list[ToolCall],
        usage: Usage,
        started: float,
    ) -> AgentOutput:
        turns = request.messages[request.messages.index(user) :] if calls else [user]
        self.history.extend([*turns, Message("assistant", completion.text)])
        self.trim_conversation(self.config.max_conversation_length)
        self.usage = self.usage + usage
        extra: dict[str, Any] = {"finish_reason": completion.finish_reason, **usage.to_dict()}
        metadata = OutputMetadata(
            model=completion.model or request.model,
            token_count=usage.total_tokens,
            execution_time_ms=round((time.perf_counter() - started) * 1000),
            extra=extra,
        )
        return AgentOutput(completion.text, tool_calls=calls, metadata=metadata)

    def clear_conversation(self) -> None:
        self.history.clear()

    def trim_conversation(self, length: int) -> None:
        """Drop the oldest turns; a tool result never stays without the call it answers."""
        if len(self.history) > length:
            del self.history[: len(self.history) - length]
        while self.history and self.history[0].role == "tool":
            del self.history[0]

    def metrics(self) -> dict[str, Any]:
        done = max(self.executions, 1)
        return {
            "requests_total": self.executions,
            "requests_failed": self.failures,
            "requests_active": self._running,
            "avg_execution_time_ms": self.busy_ms / done,
            "success_rate": (self.executions - self.failures) / done,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
        }

    def terminate(self) -> None:
        self.state = "Terminated"


def _error_text(envelope: Mapping[str, Any]) -> str:
    error = envelope.get("error")
    return str(error.get("message") if isinstance(error, Mapping) else error or envelope.get("message"))


def _tool_message(call: ToolCall) -> Message:
    result = call.result or ToolOutput(False, None, "the call was not made")
    content = result.data if result.success else {"success": False, "error": result.error}
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)
    return Message("tool", text, tool_call_id=call.tool_id, name=call.tool_name)


class _StreamingRun:
    """One streamed execution: the loop runs in a task, its chunks come out through a bounded queue."""

    def __init__(self, agent: LLMAgent, input: AgentInput, context: ExecutionContext) -> None:
        self._agent = agent
        self._input = input
        self._context = context
        self._queue: asyncio.Queue[AgentChunk | None] = asyncio.Queue(maxsize=256)
        self._stream_id = new_id()
        self._index = 0

    async def chunks(self) -> AsyncIterator[AgentChunk]:
        run = _StreamedAgent(self._agent, self)
        task = asyncio.get_running_loop().create_task(self._drive(run))
        try:
            while (chunk := await self._queue.get()) is not None:
                yield chunk
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _drive(self, run: BaseAgent) -> None:
        try:
            output = await run.execute(self._input, self._context)
            await self.emit(AgentChunk("end", output=output))
        finally:
            await self._queue.put(None)

    async def emit(self, chunk: AgentChunk) -> None:
        chunk.stream_id = self._stream_id
        chunk.chunk_index = self._index
        self._index += 1
        await self._queue.put(chunk)

    async def ask(self, provider: Provider, request: CompletionRequest) -> Completion:
        """Stream one model call, passing its chunks on, and put the completion together."""
        texts: list[str] = []
        completion = Completion(model=request.model)
        async with aclosing(provider.stream(request)) as stream:  # type: ignore[type-var]
            async for chunk in stream:
                if chunk.type == "end":
                    _finish_completion(completion, chunk)
                    continue
                if chunk.type == "text":
                    texts.append(chunk.text)
                elif chunk.type == "tool_call" and chunk.call is not None:
                    completion.tool_calls.append(chunk.call)
                await self.emit(chunk)
        completion.text = "".join(texts)
        return completion


def _finish_completion(completion: Completion, end: AgentChunk) -> None:
    completion.usage = end.usage or Usage()
    data = end.data or {}
    completion.finish_reason = data.get("finish_reason", "stop")
    completion.model = data.get("model") or completion.model


class _StreamedAgent(BaseAgent):
    """The agent as `execute` sees it while its answer is streamed: the same hooks and events, another way of asking."""

    component_type: ClassVar[Literal["agent"]] = "agent"
    hook_points: ClassVar[HookPoints | None] = LLMAgent.hook_points

    def __init__(self, agent: LLMAgent, run: _StreamingRun) -> None:
        self.name = agent.name
        self.description = agent.description
        self._agent = agent
        self._streaming = run

    def validate_input(self, input: AgentInput) -> None:
        self._agent.validate_input(input)

    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        agent = self._agent
        provider, model = await agent._desk.provider_for(agent.config)  # noqa: SLF001 - one class in two parts

        async def ask(request: CompletionRequest) -> Completion:
            return await self._streaming.ask(provider, request)

        work = agent._run(input, context, ask, model, self._streaming.emit)  # noqa: SLF001
        return await agent._bounded(work)  # noqa: SLF001


class AgentBuilder:
    """Collects an agent's configuration. Immutable: every step returns a new builder, so a half-made one can be shared.

    agent = runtime.agent_builder().name("poet").model("local/smollm2").tool("calculator").build()
    """

    __slots__ = ("_config", "_create")

    def __init__(self, create: Callable[[AgentConfig], LLMAgent], config: AgentConfig | None = None) -> None:
        self._create = create
        self._config = config or AgentConfig(new_id("agent"))

    def set(self, **values: Any) -> Self:
        """A new builder with these fields of `AgentConfig`."""
        return type(self)(self._create, replace(self._config, **values))

    def name(self, name: str) -> Self:
        return self.set(name=name)

    def description(self, description: str) -> Self:
        return self.set(description=description)

    def model(self, model: str) -> Self:
        """`provider/model`, or a bare model when `provider` is set too."""
        return self.set(model=model)

    def provider(self, provider: str) -> Self:
        return self.set(provider=provider)

    def system_prompt(self, prompt: str) -> Self:
        return self.set(system_prompt=prompt)

    def temperature(self, temperature: float) -> Self:
        return self.set(temperature=temperature)

    def max_tokens(self, max_tokens: int) -> Self:
        return self.set(max_tokens=max_tokens)

    def tool(self, *names: str) -> Self:
        return self.set(allowed_tools=(*self._config.allowed_tools, *names))

    def allow_all_tools(self) -> Self:
        return self.set(allowed_tools=("*",))

    def base_url(self, url: str) -> Self:
        return self.set(base_url=url)

    def api_key(self, key: str) -> Self:
        return self.set(api_key=key)

    def response_schema(self, schema: dict[str, Any]) -> Self:
        return self.set(response_schema=schema)

    def limits(self, **limits: Any) -> Self:
        """Any of the fields of `ResourceLimits`."""
        return self.set(limits=replace(self._config.limits, **limits))

    def custom(self, **values: Any) -> Self:
        return self.set(custom={**self._config.custom, **values})

    def build(self) -> LLMAgent:
        """Make and register the agent.

        Raises:
            ValidationError: no model, a name that is taken, an unknown tool.
            NotFoundError: the provider is unknown.
        """
        return self._create(self._config)
