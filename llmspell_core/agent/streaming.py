"""Streamed executions: the same loop in a task, its chunks coming out through a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llmspell_core.agent.base import Agent
from llmspell_core.agent.handoff import Chain, announce
from llmspell_core.agent.loop import Run
from llmspell_core.agent.place import Ledger, Place, current
from llmspell_core.component import BaseAgent, HookPoints
from llmspell_core.errors import LLMSpellError
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput, HandoffRequest, Usage, new_id
from llmspell_core.provider import Completion, CompletionRequest, Provider

if TYPE_CHECKING:
    from llmspell_core.agent.llm import LLMAgent
    from llmspell_core.context import ExecutionContext

__all__ = ["Execution", "StreamingComposite", "StreamingRun", "follow_stream"]

QUEUE = 256


class Execution(BaseAgent):
    """An agent as `execute` sees it, with another way of working: the same hooks, events and checks."""

    component_type: ClassVar[Literal["agent"]] = "agent"
    hook_points: ClassVar[HookPoints | None] = Agent.hook_points

    def __init__(self, agent: Agent, work: Callable[[AgentInput, ExecutionContext], Awaitable[AgentOutput]]) -> None:
        self.name = agent.name
        self.description = agent.description
        self._agent = agent
        self._work = work

    def validate_input(self, input: AgentInput) -> None:
        self._agent.validate_input(input)

    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        return await self._work(input, context)


class StreamingRun:
    """One streamed execution."""

    def __init__(self, agent: LLMAgent, input: AgentInput, context: ExecutionContext) -> None:
        self._agent = agent
        self._input = input
        self._context = context
        self._queue: asyncio.Queue[AgentChunk | None] = asyncio.Queue(maxsize=QUEUE)
        self._stream_id = new_id()
        self._index = 0
        self._is_left = False
        self._surroundings: Context = copy_context()  # of whoever made it, not of whoever draws from it

    async def chunks(self) -> AsyncIterator[AgentChunk]:
        work = self._drive(Execution(self._agent, self._work))
        task = asyncio.get_running_loop().create_task(work, context=self._surroundings)
        try:
            while (chunk := await self._queue.get()) is not None:
                yield chunk
            await task
        finally:
            self._is_left = True
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _drive(self, execution: Execution) -> None:
        try:
            output = await execution.execute(self._input, self._context)
            await self.emit(AgentChunk("end", output=output))
        finally:
            if not self._is_left:  # nobody would make room in a full queue
                await self._queue.put(None)

    async def _work(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        agent = self._agent
        provider, model = await agent.desk.providers.for_agent(agent.config)

        async def ask(request: CompletionRequest) -> Completion:
            return await self._completion(provider, request)

        async def run() -> AgentOutput:
            return await Run(agent, input, context, ask, emit=self.emit).answer(provider, model)

        return await agent.limited(run, input, context)

    async def emit(self, chunk: AgentChunk) -> None:
        chunk.stream_id = self._stream_id
        chunk.chunk_index = self._index
        self._index += 1
        await self._queue.put(chunk)

    async def _completion(self, provider: Provider, request: CompletionRequest) -> Completion:
        """Stream one model call, passing its chunks on, and put the completion together."""
        texts: list[str] = []
        completion = Completion(model=request.model)
        async with aclosing(provider.stream(request)) as stream:  # type: ignore[type-var]
            async for chunk in stream:
                if chunk.type == "end":
                    _finish(completion, chunk)
                    continue
                if chunk.type == "text":
                    texts.append(chunk.text)
                elif chunk.text:  # a provider of somebody else's: what is no piece of the answer must not look like one
                    chunk.text = ""
                if chunk.type == "tool_call" and chunk.call is not None:
                    completion.tool_calls.append(chunk.call)
                await self.emit(chunk)
        completion.text = "".join(texts)
        return completion


class StreamingComposite(StreamingRun):
    """The stream of a composite: its members' calls as they come, and the text of the member whose answer is the answer.

    `data.agent` of a chunk names the member. Where the answer is put together of several, it is one text at the end.
    """

    def __init__(self, agent: Any, input: AgentInput, context: ExecutionContext) -> None:
        super().__init__(agent, input, context)
        self._has_spoken = False

    async def _work(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        async def run() -> AgentOutput:
            place = current()
            assert place is not None
            place.emit = self.emit
            output = await self._agent.respond(input, context)
            if not self._has_spoken:
                await self.emit(AgentChunk("text", text=output.text))
            return output

        return await self._agent.limited(run, input, context)

    async def emit(self, chunk: AgentChunk) -> None:
        self._has_spoken = self._has_spoken or chunk.type == "text"
        await super().emit(chunk)


def _finish(completion: Completion, end: AgentChunk) -> None:
    completion.usage = end.usage or Usage()
    data = end.data or {}
    completion.finish_reason = data.get("finish_reason", "stop")
    completion.model = data.get("model") or completion.model


async def follow_stream(
    agent: BaseAgent, input: AgentInput, context: ExecutionContext
) -> AsyncGenerator[AgentChunk, None]:
    """The chunks of an execution and of everybody it is handed over to, numbered through, with one `end`."""
    above = current()
    place = Place(Ledger(), agent.name, agent) if above is None else above.below(agent.name, agent)
    try:
        async with aclosing(_chain(place, agent, input, context)) as chunks:
            async for chunk in chunks:
                yield chunk
    except LLMSpellError as error:
        place.note()
        if above is not None:
            raise
        from llmspell_core.agent.resuming import agent_root, saved

        desk = context.require_desk()
        raise await saved(desk, place, lambda: agent_root(agent, input, desk), context, error) from error.__cause__
    finally:
        if above is None:
            place.ledger.is_closed = True


async def _chain(
    place: Place, agent: BaseAgent, input: AgentInput, context: ExecutionContext
) -> AsyncGenerator[AgentChunk, None]:
    from llmspell_core.trace.tracer import one_run

    chain: Chain | None = None
    numbered, here = _Numbered(), place
    run_id: str | None = None
    while True:
        output: AgentOutput | None = None
        with here.entered(), one_run(run_id) as run_id:
            stream = agent.stream_execute(input, context)
        async with aclosing(stream) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                output = chunk.output
                if output is not None and output.handoff_request is not None:
                    break
                if output is not None and chain is not None:
                    chain.mark(output)
                yield numbered(chunk)
        if output is None or output.handoff_request is None:
            if output is not None:
                place.ledger.outputs[place.path] = output
            return
        if chain is None:
            chain = Chain(agent, input, context, place)
            place.ledger.outputs[f"{place.path}/"] = output
        else:
            chain.has_left(here, output)
        request, source = output.handoff_request, agent
        agent, input, context = _handed_over(chain, source, request, context)
        here = chain.place_of(agent)
        yield numbered(AgentChunk("handoff", data={"from": source.name, "to": agent.name, "reason": request.reason}))


def _handed_over(
    chain: Chain, source: BaseAgent, request: HandoffRequest, context: ExecutionContext
) -> tuple[BaseAgent, AgentInput, ExecutionContext]:
    announce(context, "requested", source.name, request)
    try:
        found = chain.next(source, request, context)
    except LLMSpellError as error:
        announce(context, "failed", source.name, request, error=error.message)
        raise
    announce(context, "completed", source.name, request)
    return found


class _Numbered:
    """Gives the chunks of several streams one stream id and one count."""

    def __init__(self) -> None:
        self._stream_id = ""
        self._next = 0

    def __call__(self, chunk: AgentChunk) -> AgentChunk:
        self._stream_id = self._stream_id or chunk.stream_id
        chunk.stream_id, chunk.chunk_index = self._stream_id, self._next
        self._next += 1
        return chunk
