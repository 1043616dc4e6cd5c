"""Consent to tool calls: who is asked, what may be answered, and agents that wait for an answer."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.errors import ApprovalRequiredError, LLMSpellError, ValidationError
from llmspell_core.messages import Message, Record, ToolCall, Usage
from llmspell_core.time_limit import standing_still

__all__ = ["ApprovalRequest", "Approver", "Decision", "Shown", "WaitingAgent", "asked", "settle", "waits"]

WORDS = {"approve": True, "approved": True, "yes": True, "deny": False, "denied": False, "no": False}


@dataclass(frozen=True, slots=True)
class ApprovalRequest(Record):
    """What a person is asked: may this agent make this call?

    Attributes:
        parameters: those that the tool will get; hooks have seen them.
        reads: what the tool reads from them, where that is something else (another name, another type).
        defaults: what it fills in.
    """

    agent: str
    tool: str
    parameters: dict[str, Any]
    call_id: str
    reads: dict[str, Any] | None = None
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision(Record):
    """The answer. `reason` is told to the model; `parameters` replace those of the call."""

    approved: bool
    reason: str | None = None
    parameters: dict[str, Any] | None = None

    @classmethod
    def of(cls, value: Any) -> Decision | None:
        """Reads True, False, `approve`, `deny`, or a table with `approved`; None means: not decided.

        Raises:
            ValidationError: anything else.
        """
        if value is None or isinstance(value, Decision):
            return value
        if isinstance(value, bool):
            return cls(value)
        if isinstance(value, str) and value.lower() in WORDS:
            return cls(WORDS[value.lower()])
        if isinstance(value, Mapping) and isinstance(value.get("approved"), bool):
            given = value.get("parameters")
            if given is None or isinstance(given, Mapping):
                return cls(value["approved"], value.get("reason"), None if given is None else dict(given))
            raise ValidationError(
                f"the parameters of a decision are a table, not {given!r}",
                field="parameters",
                hint="They replace those of the call. Leave them out to keep these.",
            )
        what = "a table whose 'approved' is not true or false" if isinstance(value, Mapping) else repr(value)
        raise ValidationError(
            f"{what} is not a decision",
            field="decision",
            hint="Answer true, false, 'approve', 'deny', or {approved=..., reason=...}.",
        )


Approver = Callable[[ApprovalRequest], "Awaitable[Any] | Any"]
"""Answers a request with what `Decision.of` reads; None leaves it open, and the run stops with a record."""


async def asked(approver: Approver, request: ApprovalRequest) -> Decision | None:
    """The approver's answer. The time it takes does not count for any time limit of the run."""
    with standing_still():
        answer = approver(request)
        return Decision.of(await answer if inspect.isawaitable(answer) else answer)


def waits(error: BaseException | None) -> bool:
    """Whether a run ended because something in it waits for consent."""
    while error is not None:
        if isinstance(error, ApprovalRequiredError):
            return error.record is None
        error = error.__cause__ if isinstance(error, LLMSpellError) else None
    return False


def settle(call: ToolCall, decision: Decision) -> None:
    """Write a decision into its call: a denied one has its result, an approved one may have other parameters."""
    from llmspell_core.messages import ToolOutput

    if decision.approved:
        call.parameters = decision.parameters if decision.parameters is not None else call.parameters
    else:
        why = f": {decision.reason}" if decision.reason else ""
        call.result = ToolOutput(False, None, f"the user did not allow this call{why}")


@dataclass(slots=True)
class Shown(Record):
    """A call whose parameters are final: hooks have seen it.

    Attributes:
        tool: what the tool was when somebody was asked about it.
        by: whose consent it has: `operator`, `agent` (the agent's own function), or nobody's.
        is_changed: the decision brought other parameters, which no hook has seen.
    """

    tool: str
    by: str = ""
    is_changed: bool = False


@dataclass(slots=True)
class WaitingAgent(Record):
    """An agent that stopped in the middle of a turn.

    `messages` without the system prompt; `start` is where this execution's turns begin in them. `waiting` holds the calls
    of the last turn, `ask` the ids of those that need a decision. Without any, one of them is an agent that waits.
    `shown` says of calls by their ids what was known when somebody was asked.
    """

    agent: str
    messages: list[Message]
    start: int
    waiting: list[ToolCall]
    ask: list[str]
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    model_calls: int = 0
    shown: dict[str, Shown] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WaitingAgent:
        given = {k: data[k] for k in cls.__dataclass_fields__ if k in data}
        given["messages"] = [Message.from_dict(m) for m in data["messages"]]
        given["waiting"] = [ToolCall.from_dict(c) for c in data["waiting"]]
        given["calls"] = [ToolCall.from_dict(c) for c in data["calls"]]
        given["usage"] = Usage.from_dict(data["usage"])
        given["shown"] = {id_: Shown.from_dict(shown) for id_, shown in data["shown"].items()}
        return cls(**given)

    def unmade(self) -> list[ToolCall]:
        """The calls that are made when the run goes on, unless they are refused."""
        return [call for call in self.waiting if call.result is None]

    def asking(self) -> list[ToolCall]:
        """The calls that need a decision."""
        return [call for call in self.unmade() if call.tool_id in self.ask]
