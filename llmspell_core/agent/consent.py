"""Consent to the calls of one turn: hooks see them first, then everybody who has a say is asked, and what was asked is what runs.

Two may want to be asked about a call. What the operator's configuration demands, only the operator can give: the runtime's
`approver`, or a decision about a saved run. What an agent demands of itself (`ask_tools`), its own function may give. Either
may refuse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.approval import ApprovalRequest, Approver, Decision, Shown, asked, settle
from llmspell_core.agent.loop import result_of
from llmspell_core.agent.signing import canonical
from llmspell_core.component import SeenInput, output_from_hook
from llmspell_core.errors import LLMSpellError, SecurityError
from llmspell_core.messages import ToolCall, ToolOutput, plain

if TYPE_CHECKING:
    from llmspell_core.agent.llm import LLMAgent
    from llmspell_core.context import ExecutionContext
    from llmspell_core.messages import AgentInput, AgentOutput
    from llmspell_core.tool import Tool

__all__ = ["Agreed", "Consent", "demand"]

OPERATOR, AGENT = "operator", "agent"


@dataclass(frozen=True, slots=True)
class Agreed:
    """A call as it was shown. Nothing else may be made of it.

    Attributes:
        tool: what the tool was; see `kind_of`.
        parameters: as canonical text, since the data itself may be changed by whoever holds it.
        made: the tool itself, where the question was put in this process.
    """

    tool: str
    parameters: str
    made: object | None = None

    def input(self, tool: Tool[Any], parameters: Mapping[str, Any]) -> AgentInput:
        """What the tool is executed with. Raises: SecurityError when this is another call."""
        if (self.made is not None and self.made is not tool) or kind_of(tool) != self.tool:
            raise _changed(f"the tool '{tool.name}' is not the one that somebody was asked about")
        if canonical(parameters) != self.parameters:
            raise _changed(f"the parameters for '{tool.name}' are not those that somebody was asked about")
        return SeenInput(parameters={"parameters": parameters})


def _changed(message: str) -> SecurityError:
    hint = "The call was not made. Ask for it again: a tool that was changed or updated needs a new run."
    return SecurityError(message, violation_type="consent", hint=hint)


def kind_of(tool: Tool[Any]) -> str:
    """Which tool it is: another version or another tool of the same name has another text."""
    made = type(tool)
    about = canonical([tool.description, tool.schema.to_json_schema()])
    return f"{made.__module__}:{made.__qualname__} {tool.version} {hashlib.sha256(about.encode()).hexdigest()[:16]}"


def demand(agent: LLMAgent, call: ToolCall, shown: Shown | None) -> bool:
    """Whether this call still needs consent, as the configuration is now."""
    by = "" if shown is None else shown.by
    return (by != OPERATOR and agent.asks_operator(call.tool_name)) or (not by and agent.asks_itself(call.tool_name))


@dataclass(slots=True)
class Consent:
    """The consent to the calls of one turn.

    Attributes:
        undecided: calls about which nobody has decided yet.
        shown: by the ids of calls, what is to be kept of those that nobody may change any more.
        agreed: the same, for those that may be made.
    """

    agent: LLMAgent
    context: ExecutionContext
    undecided: list[ToolCall] = field(default_factory=list)
    shown: dict[str, Shown] = field(default_factory=dict)
    agreed: dict[str, Agreed] = field(default_factory=dict)

    async def ask(self, calls: list[ToolCall]) -> None:
        """Let hooks see all of them; then ask about those that need it."""
        known = {definition.name for definition in self.agent.tool_definitions()}
        ready = [call for call in calls if call.tool_name in known and self.agent.is_tool(call.tool_name)]
        for call in ready:
            await self._prepare(call)
        for call in ready:
            if call.result is None:
                await self._decide(call)

    async def take_up(self, calls: list[ToolCall], ask: list[str], shown: Mapping[str, Shown]) -> None:
        """The calls of a turn that waited, with what was decided about them since."""
        self.shown = dict(shown)
        for call in calls:
            known = shown.get(call.tool_id)
            if call.result is not None:
                continue
            if demand(self.agent, call, known) or (call.tool_id in ask and not (known and known.by)):
                call.result = _refused("nobody allowed this call")  # never because a decision was lost on the way
            elif known is not None and known.is_changed:
                await self._unchanged_by_hooks(call, known.by)
                if known.tool and call.result is None and self.shown[call.tool_id].tool != known.tool:
                    call.result = _refused(f"the tool '{call.tool_name}' was changed since somebody was asked")
            elif known is not None:
                self.agreed[call.tool_id] = Agreed(known.tool, canonical(call.parameters))

    # -- one call ------------------------------------------------------------------------------------------------------

    async def _prepare(self, call: ToolCall) -> None:
        """What hooks make of it: its last parameters; or a result, and then it is not made."""
        try:
            tool = self.agent.desk.tools.find(call.tool_name)
            output = await self._hooked(tool, call)
            if output is None:
                tool.validate_parameters(call.parameters)
                call.parameters = plain(call.parameters)
                self._note(tool, call)
            else:
                call.result = result_of(output)
        except LLMSpellError as error:
            call.result = ToolOutput(False, None, f"{error.message} {error.hint or ''}".strip())

    async def _hooked(self, tool: Tool[Any], call: ToolCall) -> AgentOutput | None:
        from llmspell_core.messages import AgentInput

        desk, points = self.context.desk, tool.hook_points
        if desk is None or points is None or not desk.hooks.any_active(points.before):
            return None
        input = AgentInput(parameters={"parameters": call.parameters})
        hook = desk.hooks.context(points.before, tool, self.context, plain(tool.hook_input(input)))
        outcome = await desk.hooks.run(hook)
        if outcome.replaced:
            return output_from_hook(outcome.value)
        call.parameters = tool.input_from_hook(hook.data, input).parameters["parameters"]
        return None

    def _note(self, tool: Tool[Any], call: ToolCall, by: str = "") -> None:
        kind = kind_of(tool)
        self.shown[call.tool_id] = Shown(kind, by)
        self.agreed[call.tool_id] = Agreed(kind, canonical(call.parameters), tool)

    async def _decide(self, call: ToolCall) -> None:
        """Ask the agent's own function first, and the operator last, who sees what it made of the call."""
        agent = self.agent
        operator, itself = agent.asks_operator(call.tool_name), agent.asks_itself(call.tool_name)
        if not operator and not itself:
            return
        if agent.approver is not None:
            decision = await self._asked(agent.approver, call, AGENT)
            if not operator and decision is None:
                self.undecided.append(call)
            if not operator or call.result is not None:
                return
        person = agent.desk.approver
        if (None if person is None else await self._asked(person, call, OPERATOR)) is None:
            self.undecided.append(call)

    async def _asked(self, approver: Approver, call: ToolCall, by: str) -> Decision | None:
        decision = await asked(approver, self._request(call))
        if decision is not None:
            settle(call, decision)
            if decision.approved:
                self.shown[call.tool_id].by = by
                if decision.parameters is not None:
                    await self._unchanged_by_hooks(call, by)
        return decision

    async def _unchanged_by_hooks(self, call: ToolCall, by: str) -> None:
        """Hooks see what the decision made of the call; they may refuse it, and no longer change it."""
        decided = canonical(call.parameters)
        await self._prepare(call)
        if call.result is not None:
            return
        if canonical(call.parameters) != decided:
            call.result = _refused("a hook changed the parameters that were decided")
        else:
            self.shown[call.tool_id].by = by

    def _request(self, call: ToolCall) -> ApprovalRequest:
        tool = self.agent.desk.tools.find(call.tool_name)
        reads, defaults = _as_read(tool, call.parameters)
        return ApprovalRequest(self.agent.name, call.tool_name, plain(call.parameters), call.tool_id, reads, defaults)


def _as_read(tool: Tool[Any], parameters: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What the tool reads from the parameters, where that is not what they say; and what it fills in."""
    made = tool.validate_parameters(parameters)
    whole = plain(made.model_dump())
    given = {name: value for name, value in whole.items() if name in made.model_fields_set}
    defaults = {n: v for n, v in whole.items() if n not in given and v not in (None, "", [], {})}
    is_same = sorted(map(canonical, given.values())) == sorted(map(canonical, parameters.values()))
    return None if is_same else given, defaults


def _refused(why: str) -> ToolOutput:
    return ToolOutput(False, None, f"the call was not made: {why}")
