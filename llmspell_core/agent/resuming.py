"""Going on with runs that waited for consent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.approval import Decision, RunRecord, settle
from llmspell_core.agent.config import AgentConfig
from llmspell_core.agent.handoff import follow
from llmspell_core.agent.llm import LLMAgent
from llmspell_core.agent.loop import Run
from llmspell_core.agent.streaming import Execution
from llmspell_core.errors import ApprovalRequiredError, ComponentError, ValidationError
from llmspell_core.messages import AgentInput, AgentOutput, ToolCall

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.runtime.agents import Agents

__all__ = ["resume_run"]


async def resume_run(runtime: Agents, id_: str, decisions: Any, context: ExecutionContext) -> AgentOutput:
    """Decide the calls that wait, and run on; see `Runtime.resume_run`."""
    record = await runtime.records.load(id_)
    for call, decision in _decided(record, decisions):
        settle(call, decision)
    agent = _agent_of(runtime, record)
    agent.tool_definitions()  # a tool that is not here is found out before the record is used up
    context.conversation_id = context.conversation_id or record.context.get("conversation_id")
    input = AgentInput(record.messages[record.start].content, parameters=record.parameters)

    async def work(input: AgentInput, context: ExecutionContext) -> AgentOutput:
        provider, model = await agent.desk.provider_for(agent.config)
        # From here on the calls are made. A record that stayed could make them a second time.
        await runtime.records.remove(id_)

        async def run(deadline: asyncio.Timeout) -> AgentOutput:
            return await Run(agent, input, context, provider.complete, deadline=deadline).go_on(provider, model, record)

        return await agent.limited(run, context)

    output = await Execution(agent, work).execute(input, context)
    return output if output.handoff_request is None else await follow(agent, input, output, context)


def _decided(record: RunRecord, decisions: Any) -> list[tuple[ToolCall, Decision]]:
    """One decision for all that wait, or one for each call id. Raises: ApprovalRequiredError when one is missing."""
    waiting = [call for call in record.waiting if call.tool_id in record.ask]
    by_call = decisions if isinstance(decisions, Mapping) and "approved" not in decisions else None
    if by_call is not None and set(by_call) - set(record.ask):
        raise ValidationError(
            f"no call {min(set(by_call) - set(record.ask))} waits in {record.id}",
            field="decisions",
            hint=f"Waiting: {', '.join(record.ask)}.",
        )
    made = [(call, Decision.of(decisions if by_call is None else by_call.get(call.tool_id))) for call in waiting]
    undecided = [call.tool_name for call, decision in made if decision is None]
    if undecided:
        raise ApprovalRequiredError(
            f"{record.id} still waits for a decision about {', '.join(undecided)}",
            hint="Decide every call of the turn.",
            record=record.id,
            agent=record.agent,
            tools=undecided,
        )
    return [(call, decision) for call, decision in made if decision is not None]


def _agent_of(runtime: Agents, record: RunRecord) -> LLMAgent:
    """The agent if it is here, else one of the same configuration with the conversation of the record."""
    found = runtime.agents.get(record.agent)
    if found is None:
        made = runtime.create_agent(AgentConfig.from_dict(record.config))
        made.history[:] = record.messages[: record.start]
        return made
    if not isinstance(found, LLMAgent):
        raise ComponentError(f"'{record.agent}' is another kind of agent now", hint="Remove it first.")
    return found
