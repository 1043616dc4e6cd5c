"""Runs that stop because something in them needs consent, and go on when somebody has decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.approval import Decision, Shown, WaitingAgent, settle, waits
from llmspell_core.agent.handoff import run_at
from llmspell_core.agent.place import Ledger, Place, current
from llmspell_core.errors import (
    ApprovalRequiredError,
    ComponentError,
    LLMSpellError,
    NotFoundError,
    ValidationError,
)
from llmspell_core.messages import AgentInput, AgentOutput, ToolCall, plain

if TYPE_CHECKING:
    from llmspell_core.agent.run_record import RunRecord
    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk
    from llmspell_core.runtime import Runtime

__all__ = ["agent_root", "resume_run", "run_agent", "saved", "whole_run", "workflow_root"]

WHOSE = ("conversation_id", "user_id", "session_id")
Work = Callable[[], Awaitable[AgentOutput]]


async def run_agent(
    desk: Desk, agent: Any, input: AgentInput, context: ExecutionContext, ledger: Ledger | None
) -> AgentOutput:
    """Execute an agent as a run of its own, or as a part of the run that is under way here."""
    above = current() if ledger is None else None
    if above is not None:
        return await run_at(above.below(agent.name, agent), agent, input, context)
    place = Place(ledger or Ledger(), agent.name, agent)
    return await whole_run(
        desk, place, lambda: agent_root(agent, input, desk), context, lambda: run_at(place, agent, input, context)
    )


async def whole_run(
    desk: Desk, place: Place, root: Callable[[], dict[str, Any]], context: Any, work: Work
) -> AgentOutput:
    """Do `work` as a run of its own: when something in it waits, all of it is saved.

    Args:
        place: the first place of the run.
        root: says what was begun; only asked when the run has to be saved.

    Raises:
        ApprovalRequiredError: with the id of the record.
    """
    try:
        if desk.tracer is None:
            return await work()
        from llmspell_core.trace.tracer import one_run

        with one_run():
            return await work()
    except LLMSpellError as error:
        raise await saved(desk, place, root, context, error) from error.__cause__
    finally:
        place.ledger.is_closed = True


async def saved(
    desk: Desk, place: Place, root: Callable[[], dict[str, Any]], context: ExecutionContext, error: LLMSpellError
) -> LLMSpellError:
    """The error that a run ends with. If it waits, it is saved, and the error names the record."""
    if place.ledger.waiting and waits(error):
        return await _kept(desk, place.ledger, root(), context)
    return error


async def _kept(desk: Desk, ledger: Ledger, root: dict[str, Any], context: ExecutionContext) -> ApprovalRequiredError:
    from llmspell_core.agent.run_record import RunRecord

    about = {name: getattr(context, name) for name in WHOSE} | {"data": _plain_part(context.data)}
    team = root.pop("team")()
    record = RunRecord.of(ledger, root, team, about)
    await desk.records.save(record)
    requests = record.requests()
    wishes = dict.fromkeys(f"agent '{r.agent}' wants to call {r.tool}" for r in requests)
    return ApprovalRequiredError(
        f"{' and '.join(wishes)}, which needs consent, and nobody answered; the run is saved as {record.id}",
        hint=f"Decide with: llmspell agent resume {record.id} --approve (or --deny)",
        record=record.id,
        agent=requests[0].agent if requests else None,
        tools=[r.tool for r in requests],
    )


# -- what was begun --------------------------------------------------------------------------------------------------


def agent_root(agent: Any, input: AgentInput, desk: Desk) -> dict[str, Any]:
    """How a run of an agent is begun again."""
    from llmspell_core.agent.team import described

    return {
        "kind": "agent",
        "name": agent.name,
        "input": input.to_dict(),
        "team": lambda: described(desk, [agent]),
    }


def workflow_root(workflow: Any, input: AgentInput, desk: Desk) -> dict[str, Any]:
    """How a run of a workflow is begun again; its table is left out when it holds functions."""
    from llmspell_core.agent.team import described, names_in

    root = {
        "kind": "workflow",
        "name": workflow.name,
        "id": workflow.id,
        "type": workflow.type,
        "input": plain(input.to_dict()),
        "shared": plain(workflow.shared),
    }
    try:
        root["definition"] = _table(workflow.definition.options)
    except ValidationError as error:
        root["definition"], root["why"] = None, error.message
    root["team"] = lambda: described(desk, names_in(root["definition"], desk.agents))
    return root


def _plain_part(data: Mapping[str, Any]) -> dict[str, Any]:
    """What of a context's data another process can have."""
    made = {}
    for key, value in data.items():
        with suppress(ValidationError):
            made[str(key)] = _table(value)
    return made


def _table(value: Any) -> Any:
    """A workflow's table with nothing but plain data. Raises: ValidationError naming what is none."""
    from llmspell_core.component import BaseAgent

    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _table(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_table(item) for item in value]
    if isinstance(value, BaseAgent):
        definition = getattr(value, "definition", None)
        return value.name if definition is None else {**_table(definition.options), "type": definition.type}
    if callable(value) or not hasattr(value, "to_dict"):
        raise ValidationError(f"it holds a {type(value).__name__}")
    return _table(value.to_dict())


# -- going on ---------------------------------------------------------------------------------------------------------


async def resume_run(
    runtime: Runtime,
    id_: str,
    decisions: Any,
    context: ExecutionContext,
    tell: Callable[[RunRecord], None] | None = None,
) -> AgentOutput:
    """Decide the calls that wait, and run on; see `Runtime.resume_run`."""
    from llmspell_core.agent.run_record import reading
    from llmspell_core.agent.team import bring_back

    record = await runtime.records.load(id_)
    with reading():
        bring_back(runtime, record.team)
        _demand(runtime, record)
    for agent, call, decision in _decided(record, decisions):
        _settle(agent, call, decision)
    ledger = record.ledger()
    with reading():
        for name in WHOSE:
            setattr(context, name, getattr(context, name) or record.context.get(name))
        context.data = {**record.context.get("data", {}), **context.data}
        input = AgentInput.of(record.root["input"])
        kind, name = record.root["kind"], str(record.root["name"])
        workflow = _workflow(runtime, record.root) if kind == "workflow" else None

    if tell is not None:
        tell(record)

    async def use() -> None:
        # From here on the calls are made. A record that stayed could make them a second time.
        if not await runtime.records.remove(id_):
            raise NotFoundError(
                f"somebody else has decided about run '{id_}' meanwhile",
                hint="See: llmspell agent pending",
                what="runs",
                name=id_,
            )

    ledger.on_use = use
    if workflow is not None:
        return await runtime.run_workflow(workflow, input, context, ledger=ledger)
    return await runtime.run_agent(name, input, context, ledger=ledger)


def _workflow(runtime: Runtime, root: Mapping[str, Any]) -> Any:
    """The workflow if it is here, else one made of its table."""
    workflows = runtime.workflows
    here = next((w for w in workflows.values() if root["name"] == w.name and root["type"] == w.type), None)
    found = workflows.get(root["id"]) or here
    if found is None and root["definition"] is None:
        raise ComponentError(
            f"workflow '{root['name']}' cannot go on here: {root['why']}, which only the program that made it has",
            hint="Make the workflow under the same name first, then resume the run in that program.",
        )
    if found is None:
        found = workflows.make(root["type"], root["definition"], register=False)
        found.shared.update(root["shared"])
    return found


def _demand(runtime: Runtime, record: RunRecord) -> None:
    """Add what needs consent by the present configuration: what the record says of it was true when it was saved."""
    from llmspell_core.agent.consent import demand
    from llmspell_core.agent.llm import LLMAgent

    for waiting in record.waiting.values():
        agent = runtime.agents.get(waiting.agent)
        if not isinstance(agent, LLMAgent):
            continue
        for call in waiting.unmade():
            if call.tool_id not in waiting.ask and demand(agent, call, waiting.shown.get(call.tool_id)):
                waiting.ask.append(call.tool_id)


def _settle(agent: WaitingAgent, call: ToolCall, decision: Decision) -> None:
    settle(call, decision)
    if decision.approved:
        known = agent.shown.get(call.tool_id)
        # What hooks have not seen yet, since it needed no consent then, they see like other parameters.
        is_changed = decision.parameters is not None or known is None
        agent.shown[call.tool_id] = Shown("" if known is None else known.tool, "operator", is_changed)


def _decided(record: RunRecord, decisions: Any) -> list[tuple[WaitingAgent, ToolCall, Decision]]:
    """One decision for all that wait, or one for each call id. Raises: ApprovalRequiredError when one is missing."""
    waiting = {id_: (agent, call) for id_, agent, call in record.calls()}
    by_call = decisions if isinstance(decisions, Mapping) and "approved" not in decisions else None
    if by_call is not None and set(by_call) - set(waiting):
        raise ValidationError(
            f"no call {min(set(by_call) - set(waiting))} waits in {record.id}",
            field="decisions",
            hint=f"Waiting: {', '.join(waiting)}.",
        )
    made = [(*w, Decision.of(decisions if by_call is None else by_call.get(id_))) for id_, w in waiting.items()]
    undecided = [call.tool_name for _, call, decision in made if decision is None]
    if undecided:
        raise ApprovalRequiredError(
            f"{record.id} still waits for a decision about {', '.join(undecided)}",
            hint="Decide every call of the turn.",
            record=record.id,
            tools=undecided,
        )
    return [(agent, call, decision) for agent, call, decision in made if decision is not None]
