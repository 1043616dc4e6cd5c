"""An agent made of agents: one after the other, all together, by vote, or one that is chosen for each request."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmspell_core.agent.base import Agent
from llmspell_core.agent.config import AgentConfig
from llmspell_core.agent.handoff import child_context
from llmspell_core.agent.overrides import FIELDS
from llmspell_core.agent.place import current
from llmspell_core.errors import LLMSpellError, TimeoutError, ValidationError, WorkflowError
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput, OutputMetadata, as_list
from llmspell_core.names import check_known
from llmspell_core.time_limit import time_limit

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk

__all__ = ["CompositeAgent", "Routing"]

Strategy = Literal["sequential", "parallel", "vote", "route"]
Router = Callable[[str, list[str]], "Awaitable[Any] | Any"]
STRATEGIES = ("sequential", "parallel", "vote")


@dataclass(frozen=True, slots=True)
class Routing:
    """How a composite works.

    Attributes:
        strategy: sequential (each gets what the one before said), parallel (all get the request), vote (the answer
            most of them give), route (`router` chooses who answers).
        router: the name of an agent, or a function of the prompt and the names that returns a name or several.
        threshold: the part of the votes, 0 to 1, that the winning answer needs.
        fallback_agent: answers when the others fail, agree too little, or nobody is chosen.
        timeout_ms: for each of the agents.
    """

    strategy: Strategy = "sequential"
    router: str | Router | None = None
    threshold: float | None = None
    fallback_agent: str | None = None
    timeout_ms: float | None = None

    @classmethod
    def of(cls, value: Any) -> Routing:
        """Reads `sequential`, `parallel`, `vote`, the name of an agent that routes, a function, or a table of these.

        Raises:
            ValidationError: it says nothing of the kind.
        """
        if isinstance(value, Routing):
            return value
        given = dict(value) if isinstance(value, Mapping) else {"strategy": value}
        check_known("routing", given, ("strategy", "router", "threshold", "fallback_agent", "timeout_ms"))
        chosen = given.get("router") or given.get("strategy") or "sequential"
        if chosen in ("route", "custom"):
            raise ValidationError(
                "routing by choice needs a router", field="router", hint="Name an agent, or pass a function."
            )
        is_known = isinstance(chosen, str) and chosen in STRATEGIES
        if not is_known and not isinstance(chosen, str) and not callable(chosen):
            raise ValidationError(
                f"'{chosen}' is not a routing",
                field="routing",
                hint=f"Use {', '.join(STRATEGIES)}, an agent or a function.",
            )
        return cls(
            chosen if is_known else "route",  # type: ignore[arg-type]
            None if is_known else chosen,
            given.get("threshold"),
            given.get("fallback_agent"),
            given.get("timeout_ms"),
        )


class CompositeAgent(Agent):
    """An agent whose answers come from other agents of the same runtime.

    Args:
        agents: names of agents that exist. Raises ValidationError without any, NotFoundError for an unknown one.
    """

    input_fields = FIELDS

    def __init__(self, config: AgentConfig, desk: Desk, agents: list[str], routing: Routing) -> None:
        super().__init__(config, desk)
        if not agents:
            raise ValidationError(f"composite '{config.name}' needs agents", field="agents")
        others = [routing.fallback_agent, routing.router if isinstance(routing.router, str) else None]
        for name in (*agents, *(n for n in others if n is not None)):
            desk.agents.find(name)
        self.agents = tuple(agents)
        self.routing = routing

    @property
    def children(self) -> tuple[str, ...]:
        return self.agents

    def stream_execute(self, input: AgentInput, context: ExecutionContext) -> AsyncIterator[AgentChunk]:
        """What its members do as it comes, the text of the one that answers, then `end` with the whole output."""
        from llmspell_core.agent.streaming import StreamingComposite

        return StreamingComposite(self, AgentInput.of(input), context).chunks()

    async def respond(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        work = {
            "sequential": self._one_after_the_other,
            "parallel": self._together,
            "vote": self._vote,
            "route": self._route,
        }[self.routing.strategy]
        try:
            output = await work(input, child_context(context))
        except LLMSpellError as error:
            if self.routing.fallback_agent is None or _is_final(error):
                raise
            output = await self._fall_back(input, context, error)
        place = current()
        if place is not None and place.budget is not None:
            place.budget.tell(output.metadata)
        return output

    async def _fall_back(self, input: AgentInput, context: ExecutionContext, error: LLMSpellError) -> AgentOutput:
        output = await self._ask(str(self.routing.fallback_agent), input, child_context(context), speaks=True)
        output.metadata.extra |= {"fallback": self.routing.fallback_agent, "fallback_reason": error.message}
        return output

    async def _ask(
        self, name: str, input: AgentInput, context: ExecutionContext, *, speaks: bool = False
    ) -> AgentOutput:
        """`speaks`: its answer is that of the composite, so its text belongs into a stream."""
        limit = self.routing.timeout_ms
        try:
            async with time_limit(None if limit is None else limit / 1000):
                output = await self._run(name, input, context, speaks)
        except builtins.TimeoutError:
            raise TimeoutError(
                f"agent '{name}' of '{self.name}' did not answer within {limit:g} ms",
                hint="Raise timeout_ms of its routing.",
                duration_ms=int(limit or 0),
            ) from None
        return output

    async def _run(self, name: str, input: AgentInput, context: ExecutionContext, speaks: bool) -> AgentOutput:
        place = current()
        desk: Desk = self._desk
        if place is None or place.emit is None:
            found: AgentOutput = await desk.run_agent(name, input, context)
            return found
        output = AgentOutput()
        async with aclosing(desk.stream_agent(name, input, context)) as chunks:
            async for chunk in chunks:
                if chunk.output is not None:
                    output = chunk.output
                elif speaks or chunk.type not in {"text", "restart"}:
                    chunk.data = {"agent": name, **(chunk.data or {})}
                    await place.emit(chunk)
        return output

    async def _one_after_the_other(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        outputs: dict[str, AgentOutput] = {}
        for number, name in enumerate(self.agents, 1):
            output = await self._ask(name, input, context, speaks=number == len(self.agents))
            outputs[name] = output
            input = AgentInput(output.text, media=output.media)
        return _combined(output.text, outputs, self.routing.strategy)

    async def _all(
        self, input: AgentInput, context: ExecutionContext
    ) -> tuple[dict[str, AgentOutput], dict[str, LLMSpellError]]:
        """What each agent answered, and why others failed. Raises: the first error when none answered."""
        results = await asyncio.gather(*(self._ask(n, input, context) for n in self.agents), return_exceptions=True)
        outputs: dict[str, AgentOutput] = {}
        errors: dict[str, LLMSpellError] = {}
        for name, result in zip(self.agents, results, strict=True):
            if isinstance(result, AgentOutput):
                outputs[name] = result
            elif isinstance(result, LLMSpellError) and not _is_final(result):
                errors[name] = result
            else:
                raise result
        if not outputs:
            raise next(iter(errors.values()))
        return outputs, errors

    async def _together(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        outputs, errors = await self._all(input, context)
        text = "\n\n".join(f"## {name}\n{output.text}" for name, output in outputs.items())
        return _combined(text, outputs, "parallel", errors)

    async def _vote(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        outputs, errors = await self._all(input, context)
        votes = Counter(_ballot(output.text) for output in outputs.values())
        winner, count = votes.most_common(1)[0]
        share = count / len(self.agents)
        if self.routing.threshold is not None and share < self.routing.threshold:
            raise WorkflowError(
                f"the agents of '{self.name}' do not agree: the best answer has {count} of {len(self.agents)} votes",
                hint="Lower the threshold, or name a fallback_agent.",
            )
        text = next(output.text for output in outputs.values() if _ballot(output.text) == winner)
        made = _combined(text, outputs, "vote", errors)
        made.metadata.confidence = share
        made.metadata.extra["votes"] = dict(votes)
        return made

    async def _route(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        router = self.routing.router
        chosen = await self._routed(str(router), input, context) if isinstance(router, str) else router
        if callable(chosen):
            answer = chosen(input.text, list(self.agents))
            chosen = await answer if inspect.isawaitable(answer) else answer
        names = [str(name) for name in as_list(chosen)]
        unknown = [name for name in names if name not in self.agents]
        if not names or unknown:
            raise WorkflowError(
                f"the router of '{self.name}' chose {', '.join(unknown) or 'nobody'}",
                hint=f"It may choose among {', '.join(self.agents)}.",
            )
        outputs = {name: await self._ask(name, input, context, speaks=len(names) == 1) for name in names}
        made = _combined("\n\n".join(o.text for o in outputs.values()), outputs, "route")
        made.metadata.extra["routed_to"] = names
        return made

    async def _routed(self, router: str, input: AgentInput, context: ExecutionContext) -> str | None:
        """The name that a router agent says."""
        about = "\n".join(f"- {n}: {self._desk.agents.find(n).description}" for n in self.agents)
        prompt = f"Which of these agents should answer? Say its name and nothing else.\n{about}\n\nThe request:\n{input.text}"
        answer = (await self._ask(router, AgentInput(prompt), context)).text
        said = [
            (found.start(), -len(n), n)
            for n in self.agents
            if (found := re.search(rf"(?<!\w){re.escape(n)}(?!\w)", answer))
        ]
        return min(said)[2] if said else None


def _is_final(error: BaseException) -> bool:
    """A run that waits for consent, or used up what it may, is not replaced by another agent's answer."""
    from llmspell_core.errors import ApprovalRequiredError, ResourceLimitError

    if isinstance(error, ResourceLimitError):
        place = current()
        is_ours = place is not None and place.budget is not None and place.budget.refused(error)
        return is_ours or error.resource == "recursion depth"
    return isinstance(error, ApprovalRequiredError)


def _ballot(text: str) -> str:
    """Answers that differ in case, blanks and final punctuation only are one vote."""
    return re.sub(r"\s+", " ", text).strip().strip(".!\"'`").casefold()


def _combined(
    text: str,
    outputs: Mapping[str, AgentOutput],
    strategy: str,
    errors: Mapping[str, LLMSpellError] | None = None,
) -> AgentOutput:
    extra: dict[str, Any] = {"strategy": strategy, "agent_outputs": {n: o.text for n, o in outputs.items()}}
    if errors:
        extra["errors"] = {name: error.message for name, error in errors.items()}
    calls = [call for output in outputs.values() for call in output.tool_calls]
    return AgentOutput(text, tool_calls=calls, metadata=OutputMetadata(extra=extra))
