"""One agent hands the conversation over to another: the tool a model asks with, and the chain that is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ComponentError, LLMSpellError, NotFoundError, ValidationError, WorkflowError
from llmspell_core.messages import AgentInput, AgentOutput, HandoffRequest, ToolCall
from llmspell_core.provider import ToolDefinition

if TYPE_CHECKING:
    from llmspell_core.agent.llm import LLMAgent
    from llmspell_core.agent.place import Place
    from llmspell_core.component import BaseAgent
    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk

__all__ = ["TRANSFER", "Chain", "back_to_model", "check_targets", "follow", "read_transfer", "run_at", "transfer_tool"]

TRANSFER = "transfer_to_agent"
DEFAULT_DEPTH = 10


def transfer_tool(targets: tuple[str, ...], desk: Desk) -> ToolDefinition:
    """The tool with which a model hands over to one of `targets`."""
    known = desk.agents
    about = "; ".join(f"{name}: {known[name].description}" if name in known else name for name in targets)
    text = {"type": "string"}
    return ToolDefinition(
        TRANSFER,
        f"Hand the conversation over to another agent that can do better. Agents: {about}",
        {
            "type": "object",
            "properties": {
                "agent": {**text, "enum": list(targets), "description": "Who goes on."},
                "reason": {**text, "description": "Why."},
                "message": {**text, "description": "What it shall do; by default what the user said."},
                "return_control": {"type": "boolean", "description": "Whether its answer comes back to you."},
            },
            "required": ["agent"],
        },
    )


def read_transfer(call: ToolCall, targets: tuple[str, ...]) -> HandoffRequest:
    """What a model asked for. Raises: ValidationError, which tells the model its choices."""
    given = call.parameters
    if given.get("agent") not in targets:
        raise ValidationError(f"you cannot hand over to '{given.get('agent')}'; you may to: {', '.join(targets)}")
    message = given.get("message")
    return HandoffRequest(
        target=given["agent"],
        reason=str(given.get("reason") or ""),
        input=str(message) if message else None,
        return_control=given.get("return_control") is True,
    )


class Chain:
    """The agents that a request went through, and what stops it from going in circles.

    They work at places below that of the first one, whose budget and time they share.
    """

    def __init__(self, first: BaseAgent, input: AgentInput, context: ExecutionContext, place: Place) -> None:
        self.names = [*context.handoffs, first.name]
        self._place = place
        self._seconds = place.seconds
        self.original = input
        self._seen: set[tuple[str, str, str]] = set()
        limits = getattr(getattr(first, "config", None), "limits", None)
        self._limit = limits.max_recursion_depth if limits is not None else DEFAULT_DEPTH

    def next(
        self, source: BaseAgent, request: HandoffRequest, context: ExecutionContext
    ) -> tuple[BaseAgent, AgentInput, ExecutionContext]:
        """Who goes on, with what. Raises: WorkflowError for a circle or too long a chain, ComponentError for nobody."""
        input = AgentInput(request.input or self.original.text, media=self.original.media)
        step = (source.name, request.target, input.text)
        if step in self._seen:
            raise WorkflowError(
                f"the agents {source.name} and {request.target} hand the same request over in a circle",
                hint=f"The chain was {' -> '.join(self.names)}. Give them clearer instructions.",
            )
        if len(self.names) > self._limit:
            raise WorkflowError(
                f"the conversation was handed over {self._limit} times: {' -> '.join(self.names)}",
                hint="Raise max_recursion_depth, or let fewer agents hand over.",
            )
        self._seen.add(step)
        child = child_context(context)
        child.handoffs = tuple(self.names)
        child.data.update(request.context)
        target = _found(context.require_desk(), request.target)
        self.names.append(target.name)
        return target, input, child

    def place_of(self, agent: BaseAgent) -> Place:
        """Where the next agent works."""
        made = self._place.below(f"> {agent.name}", agent)
        made.seconds = self._seconds
        return made

    def has_left(self, place: Place, output: AgentOutput) -> None:
        """An agent has finished, whose time counts."""
        place.ledger.outputs[place.path] = output
        self._seconds = place.seconds

    async def hop(self, agent: BaseAgent, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        """Execute the next agent, unless the run has its output."""
        place = self.place_of(agent)
        if place.path in place.ledger.outputs:
            return place.ledger.outputs[place.path]
        with place.entered():
            output = await agent.execute(input, context)
        self.has_left(place, output)
        return output

    def mark(self, output: AgentOutput) -> AgentOutput:
        """Write the chain and what all of it used into the last output."""
        output.metadata.extra["handoff_chain"] = list(self.names)
        if self._place.budget is not None:
            self._place.budget.tell(output.metadata)
        return output


def child_context(context: ExecutionContext) -> ExecutionContext:
    """The context of an agent that another one calls."""
    child = context.create_child()
    child.agent_depth = context.agent_depth + 1
    return child


def _found(desk: Desk, name: str) -> BaseAgent:
    try:
        found: BaseAgent = desk.agents.find(name)
    except NotFoundError as error:
        raise ComponentError(f"cannot hand over: {error.message}", hint=error.hint) from None
    return found


def check_targets(targets: tuple[str, ...], desk: Desk) -> None:
    """Agents may name each other before both exist; when one is to work, the others are there.

    Raises:
        ComponentError: one is not.
    """
    for name in targets:
        _found(desk, name)


def announce(context: ExecutionContext, what: str, source: str, request: HandoffRequest, **more: Any) -> None:
    """The event `agent.handoff.<what>`."""
    if context.desk is not None:
        data = {"from": source, "to": request.target, "reason": request.reason, **more}
        context.desk.events.emit(f"agent.handoff.{what}", data, context)


async def run_at(place: Place, agent: BaseAgent, input: AgentInput, context: ExecutionContext) -> AgentOutput:
    """Execute an agent, and whom its output names, at a place of a run; what was finished there is not done again."""
    ledger = place.ledger
    if place.path in ledger.outputs:
        return ledger.outputs[place.path]
    with place.entered():
        first = f"{place.path}/"
        output = ledger.outputs.get(first)
        if output is None:
            output = await agent.execute(input, context)
        if output.handoff_request is not None:
            ledger.outputs[first] = output
            output = await follow(place, agent, input, output, context)
    ledger.outputs[place.path] = output
    return output


async def follow(
    place: Place, agent: BaseAgent, input: AgentInput, output: AgentOutput, context: ExecutionContext
) -> AgentOutput:
    """Go on with whom an output names, until somebody answers; its metadata then has the `handoff_chain`."""
    chain = Chain(agent, input, context, place)
    while output.handoff_request is not None:
        request, source = output.handoff_request, agent
        announce(context, "requested", source.name, request)
        try:
            agent, next_input, context = chain.next(source, request, context)
            output = await chain.hop(agent, next_input, context)
        except LLMSpellError as error:
            announce(context, "failed", source.name, request, error=error.message)
            raise
        announce(context, "completed", source.name, request)
        if request.return_control and output.handoff_request is None:
            agent, output = source, await _returned(source, request, output, chain, context)
    return chain.mark(output)


async def _returned(
    source: BaseAgent, request: HandoffRequest, answer: AgentOutput, chain: Chain, context: ExecutionContext
) -> AgentOutput:
    """Give the answer back to the custom agent that asked for it."""
    chain.names.append(source.name)
    parameters = {"handoff_from": request.target, "handoff_result": answer.text}
    return await chain.hop(source, AgentInput(answer.text, parameters=parameters), child_context(context))


async def back_to_model(agent: LLMAgent, request: HandoffRequest, context: ExecutionContext) -> str:
    """Run the target now; its answer is the result of the model's call."""
    announce(context, "requested", agent.name, request)
    child = child_context(context)
    child.handoffs = (*context.handoffs, agent.name)
    child.data.update(request.context)
    try:
        output = await agent.desk.run_agent(request.target, request.input or request.reason, child)
    except LLMSpellError as error:
        announce(context, "failed", agent.name, request, error=error.message)
        raise
    announce(context, "completed", agent.name, request)
    return str(output.text)
