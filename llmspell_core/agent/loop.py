"""One execution of an LLM agent: ask the model, run the tools it calls, feed the results back, until it answers.

The calls of one turn run together. A tool's error goes back to the model, which can do better the next time. Calls that
need consent are decided before any call of their turn runs, so a run that has to wait can go on from there later.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.handoff import TRANSFER, back_to_model, read_transfer
from llmspell_core.agent.overrides import iterations
from llmspell_core.agent.place import Ledger, Place, current
from llmspell_core.agent.requests import check_budget, clipped, make_request, make_room
from llmspell_core.errors import (
    ApprovalRequiredError,
    LLMSpellError,
    ResourceLimitError,
    ValidationError,
)
from llmspell_core.messages import (
    AgentChunk,
    AgentInput,
    AgentOutput,
    HandoffRequest,
    Media,
    Message,
    OutputMetadata,
    ToolCall,
    ToolOutput,
    Usage,
    new_id,
)
from llmspell_core.provider import INVALID_JSON, Completion, CompletionRequest, Provider

if TYPE_CHECKING:
    from llmspell_core.agent.approval import WaitingAgent
    from llmspell_core.agent.budget import Budget
    from llmspell_core.agent.consent import Consent
    from llmspell_core.agent.llm import LLMAgent
    from llmspell_core.context import ExecutionContext

__all__ = ["Ask", "Emit", "Run", "result_of"]

log = logging.getLogger("llmspell")

Ask = Callable[[CompletionRequest], Awaitable[Completion]]
Emit = Callable[[AgentChunk], Awaitable[None]]


class Run:
    """One execution.

    Args:
        ask: makes one model call.
        emit: gets the chunks of a streamed execution.
    """

    def __init__(
        self,
        agent: LLMAgent,
        input: AgentInput,
        context: ExecutionContext,
        ask: Ask,
        *,
        emit: Emit | None = None,
    ) -> None:
        self.agent = agent
        self.input = input
        self.context = context
        self.calls: list[ToolCall] = []
        self.usage = Usage()
        self.model_calls = 0
        self.parsed: Any = None
        self.place = current() or Place(Ledger(), agent.name, agent)
        assert self.place.budget is not None
        self.budget: Budget = self.place.budget
        self._counts = None if context.desk is None else context.desk.metrics.counts
        tracer = None if context.desk is None else context.desk.tracer
        self._ask = ask if tracer is None else tracer.model_calls(str(agent.config.provider), ask)
        self._emit = emit
        self._epoch = agent.lifecycle.epoch
        self._started = time.perf_counter()
        self._transfer: HandoffRequest | None = None
        self._repair_from: int | None = None
        self._waits: ApprovalRequiredError | None = None
        self._cut_off = False
        self._consent: Consent | None = None

    async def answer(self, provider: Provider, model: str) -> AgentOutput:
        """Answer the input; or go on from where this agent waited in the run."""
        self._provider = provider
        waited = await self.place.ledger.take(self.place.path) if self.place.ledger.waiting else None
        if waited is not None:
            return await self._go_on(provider, model, waited)
        input = self.input
        media = await _loaded(input.media, self.context) if input.media else []
        user = Message("user", input.text, media=media)
        self.request = make_request(self.agent, provider, model, user, input)
        self.start = len(self.request.messages) - 1
        return await self._turns()

    async def _go_on(self, provider: Provider, model: str, record: WaitingAgent) -> AgentOutput:
        """Take up a turn that waited; its decided calls carry their decisions."""
        agent = self.agent
        system = agent.system_messages()
        self.request = make_request(agent, provider, model, record.messages[record.start], self.input)
        self.request.messages = [*system, *record.messages]
        self.start = len(system) + record.start
        self.calls, self.usage, self.model_calls = record.calls, record.usage, record.model_calls
        completion = Completion(record.text, record.waiting)
        if record.shown or record.ask:
            from llmspell_core.agent.consent import Consent

            self._consent = Consent(agent, self.context)
            await self._consent.take_up(record.waiting, record.ask, record.shown)
        await self._make_calls(completion)
        return self._handed_over(completion) if self._transfer else await self._turns()

    async def _turns(self) -> AgentOutput:
        agent, request = self.agent, self.request
        limits = agent.config.limits
        most = iterations(self.input.parameters, limits.max_iterations)
        while self.model_calls < most:
            if agent.lifecycle.state != "Running" or self._epoch != agent.lifecycle.epoch:
                await agent.lifecycle.checkpoint(self._epoch)
            if self.budget.is_limited:
                check_budget(agent, request, self.budget)
            completion = await self._ask(request)
            self.model_calls += 1
            self._use(completion.usage)
            if completion.tool_calls:
                await self._tool_turn(completion)
                if self._transfer is not None:
                    return self._handed_over(completion)
            elif request.response_schema is None or self._fits(completion, request.response_schema):
                return self._answered(completion)
            elif self._emit is not None:
                await self._emit(AgentChunk("restart", data={"reason": "the answer did not follow the schema"}))
        raise self._too_many(most)

    def _use(self, usage: Usage) -> None:
        self.usage = self.usage + usage
        self.budget.use(self.agent.name, usage)
        if self._counts is not None:
            self._counts["provider.tokens"] += usage.total_tokens

    def _too_many(self, most: int) -> ResourceLimitError:
        return ResourceLimitError(
            f"agent '{self.agent.name}' still called tools after {most} model calls",
            hint="Raise max_iterations, or check whether a tool keeps failing.",
            resource="model calls",
            limit=most,
            used=self.model_calls,
        )

    # -- answers -------------------------------------------------------------------------------------------------------

    def _fits(self, completion: Completion, schema: dict[str, Any]) -> bool:
        """Whether the answer follows the schema; if not, the model is told once. Raises: ValidationError the second time."""
        from llmspell_core.agent.structured import parsed_answer

        try:
            self.parsed = parsed_answer(completion.text, schema)
            return True
        except ValidationError as error:
            if self._repair_from is not None:
                raise
            self._repair_from = len(self.request.messages)
            self.request.messages += [
                Message("assistant", completion.text),
                Message("user", f"{error.message}. Answer again, with nothing but JSON that fits the schema."),
            ]
            return False

    def _answered(self, completion: Completion) -> AgentOutput:
        turns = self.request.messages[self.start : self._repair_from]
        if completion.text:
            turns.append(Message("assistant", completion.text))
        elif len(turns) == 1:
            turns = []  # many models refuse a conversation with an empty turn in it
        self.agent.remember(turns, self.usage)
        output = self._output(completion)
        if self.request.response_schema is not None:
            output.metadata.extra["parsed"] = self.parsed
        return output

    def _handed_over(self, completion: Completion) -> AgentOutput:
        self.agent.remember(self.request.messages[self.start :], self.usage)
        output = self._output(completion)
        output.handoff_request = self._transfer
        return output

    def _output(self, completion: Completion) -> AgentOutput:
        metadata = OutputMetadata(
            model=completion.model or self.request.model,
            execution_time_ms=round((time.perf_counter() - self._started) * 1000),
            extra={"finish_reason": completion.finish_reason},
        )
        self.budget.tell(metadata)
        return AgentOutput(completion.text, tool_calls=self.calls, metadata=metadata)

    # -- tools ---------------------------------------------------------------------------------------------------------

    async def _tool_turn(self, completion: Completion) -> None:
        agent = self.agent
        _tell_apart(completion.tool_calls)
        self._cut_off = completion.finish_reason == "length"
        self.budget.take_calls(agent.name, len(completion.tool_calls))
        readable = [call for call in completion.tool_calls if INVALID_JSON not in call.parameters]
        self._consent = None
        if any(agent.needs_consent(call.tool_name) for call in readable):
            await self._ask_consent(completion, readable)
        await self._make_calls(completion)

    async def _make_calls(self, completion: Completion) -> None:
        """Run the calls of one turn together and append the turn and its results to the request."""
        calls, request = completion.tool_calls, self.request
        self.agent.tool_invocations += len(calls)
        if len(calls) == 1:
            await self._call(calls[0], self._place_of(0))
        else:
            await self._call_together(calls)
        if self._waits is not None:
            self._wait(completion, [])
            raise self._waits
        self.calls.extend(calls)
        request.messages.append(Message("assistant", completion.text, tool_calls=calls))
        window = self.agent.config.context_window or self._provider.capabilities.max_context_tokens
        self.start, most = make_room(request, self.start, window, len(calls))
        request.messages.extend(_tool_message(call, most) for call in calls)
        if request.tool_choice not in {"auto", "none"}:
            request.tool_choice = "auto"  # a forced call was made; now the model may answer

    async def _call_together(self, calls: list[ToolCall]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for index, call in enumerate(calls):
                    group.create_task(self._call(call, self._place_of(index)))
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None

    def _place_of(self, index: int) -> Place:
        """Of a call of the present turn: its id may be that of an earlier one."""
        return self.place.below(f"call {len(self.calls) + index + 1}")

    async def _call(self, call: ToolCall, place: Place) -> None:
        started = time.perf_counter()
        try:
            if call.result is None:
                with place.entered():
                    await self._make_call(call)
        except LLMSpellError as error:
            if isinstance(error, ApprovalRequiredError) and error.record is None:
                self._waits = error  # once the other calls of the turn have ended
                return
            if self._is_for_the_caller(error):
                raise
            call.result = ToolOutput(False, None, f"{error.message} {error.hint or ''}".strip())
        assert call.result is not None
        call.result.execution_time_ms = round((time.perf_counter() - started) * 1000)
        if self._emit is not None:
            await self._emit(AgentChunk("tool_result", call_id=call.tool_id, tool_name=call.tool_name, call=call))

    async def _make_call(self, call: ToolCall) -> None:
        if INVALID_JSON in call.parameters:
            raise self._unreadable(call)
        agent = self.agent
        if call.tool_name == TRANSFER and agent.config.handoff_targets:
            await self._transfer_call(call)
            return
        names = {d.name for d in agent.tool_definitions()}
        if call.tool_name not in names:
            raise ValidationError(f"there is no tool '{call.tool_name}'; you have: {', '.join(sorted(names))}")
        agreed = None if self._consent is None else self._consent.agreed.get(call.tool_id)
        if agreed is None:
            output = await agent.desk.invoke_tool(call.tool_name, call.parameters, self.context)
        else:
            output = await agent.desk.invoke_tool(call.tool_name, call.parameters, self.context, agreed=agreed)
        call.result = result_of(output)

    def _unreadable(self, call: ToolCall) -> ValidationError:
        if not self._cut_off:
            return ValidationError(
                f"the arguments of {call.tool_name} are not a JSON object: {call.parameters[INVALID_JSON]!r}",
                field="arguments",
            )
        most = self.request.max_tokens
        log.warning("A call of %s by agent '%s' was cut off: raise max_tokens", call.tool_name, self.agent.name)
        return ValidationError(
            f"the arguments of {call.tool_name} were cut off by max_tokens{'' if most is None else f' ({most})'}",
            field="arguments",
            hint="Raise max_tokens, or pass less in one call.",
        )

    async def _transfer_call(self, call: ToolCall) -> None:
        request = read_transfer(call, self.agent.config.handoff_targets)
        if request.return_control:
            request.input = request.input or self.input.text
            call.result = ToolOutput(True, await back_to_model(self.agent, request, self.context))
        elif self._transfer is not None:
            raise ValidationError("the conversation can be handed over to one agent only")
        else:
            self._transfer = request
            call.result = ToolOutput(True, f"The conversation goes on with {request.target}.")

    # -- consent -------------------------------------------------------------------------------------------------------

    async def _ask_consent(self, completion: Completion, calls: list[ToolCall]) -> None:
        """Have each call decided. Raises: ApprovalRequiredError when one stays open; the run is saved then."""
        from llmspell_core.agent.consent import Consent

        agent = self.agent
        self._consent = Consent(agent, self.context)
        await self._consent.ask(calls)
        undecided = self._consent.undecided
        if undecided:
            self._wait(completion, undecided)
            tools = [call.tool_name for call in undecided]
            raise ApprovalRequiredError(
                f"agent '{agent.name}' wants to call {', '.join(tools)}, which needs consent, and nobody answered",
                agent=agent.name,
                tools=tools,
            )

    def _wait(self, completion: Completion, undecided: list[ToolCall]) -> None:
        """Note how far this agent has come; the run is saved where it was begun."""
        from llmspell_core.agent.approval import WaitingAgent

        system = sum(1 for _ in self.agent.system_messages())
        self.place.ledger.waiting[self.place.path] = WaitingAgent(
            agent=self.agent.name,
            messages=self.request.messages[system:],
            start=self.start - system,
            text=completion.text,
            waiting=completion.tool_calls,
            ask=[call.tool_id for call in undecided],
            calls=self.calls,
            usage=self.usage,
            model_calls=self.model_calls,
            shown={} if self._consent is None else self._consent.shown,
        )

    def _is_for_the_caller(self, error: LLMSpellError) -> bool:
        """What the model cannot do anything about ends the run instead of going back to it."""
        if isinstance(error, ResourceLimitError):
            return error.resource == "recursion depth" or self.budget.refused(error)
        return isinstance(error, ApprovalRequiredError)


async def _loaded(media: list[Media], context: ExecutionContext) -> list[Media]:
    from llmspell_core.agent.media import loaded  # most prompts have none

    return await loaded(media, context)


def _tell_apart(calls: list[ToolCall]) -> None:
    """Some models give the calls of one turn the same id, or none; their results could not be told apart."""
    seen: set[str] = set()
    for call in calls:
        if not call.tool_id or call.tool_id in seen:
            call.tool_id = new_id("call")
        seen.add(call.tool_id)


def result_of(output: AgentOutput) -> ToolOutput:
    """What a model is told of a tool's output."""
    result = ToolOutput(True, output.metadata.extra.get("response") or output.text)
    if isinstance(result.data, dict) and result.data.get("success") is False:
        result.success = False
        result.error = _error_text(result.data)
    return result


def _error_text(envelope: Mapping[str, Any]) -> str:
    error = envelope.get("error")
    return str(error.get("message") if isinstance(error, Mapping) else error or envelope.get("message"))


def _written(content: Any) -> str:
    try:
        return json.dumps(content, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):  # without end, or with itself in it
        return json.dumps({"success": False, "error": "the result is nested too deeply to be shown"})


def _tool_message(call: ToolCall, most: int) -> Message:
    """What the model is told of a result: at most that many characters of it."""
    result = call.result or ToolOutput(False, None, "the call was not made")
    content = result.data if result.success else {"success": False, "error": result.error}
    text = content if isinstance(content, str) else _written(content)
    return Message("tool", clipped(text, most), tool_call_id=call.tool_id, name=call.tool_name)
