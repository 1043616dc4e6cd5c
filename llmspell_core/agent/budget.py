"""What an agent may use, together with the agents it calls and those it hands over to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError, ResourceLimitError
from llmspell_core.messages import OutputMetadata, Record, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell_core.agent.config import ResourceLimits

__all__ = ["Budget", "Spent"]


@dataclass(slots=True)
class Spent(Record):
    """What was used so far: by whom how many tokens, and the tool calls of all."""

    usage: Usage = field(default_factory=Usage)
    by_agent: dict[str, Usage] = field(default_factory=dict)
    tool_calls: int = 0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spent:
        by_agent = {name: Usage.from_dict(usage) for name, usage in data["by_agent"].items()}
        return cls(Usage.from_dict(data["usage"]), by_agent, int(data["tool_calls"]))


class Budget:
    """The limits of one execution of an agent. What is used below it counts here and in the budgets above.

    Calls that run at the same time each see what is left when they begin; together they may go over by what they use.
    """

    __slots__ = ("above", "agent", "depth", "is_limited", "limits", "refusal", "spent")

    def __init__(self, agent: str, limits: ResourceLimits | None, above: Budget | None, spent: Spent | None) -> None:
        self.agent = agent
        self.limits = limits
        self.above = above
        self.spent = spent or Spent()
        self.depth: int = above.depth + 1 if above is not None else 0
        own = limits is not None and (limits.max_total_tokens is not None or limits.max_cost_usd is not None)
        self.is_limited: bool = own or (above is not None and above.is_limited)
        self.refusal: LLMSpellError | None = None

    def every(self) -> Iterator[Budget]:
        """This one and those above it."""
        budget: Budget | None = self
        while budget is not None:
            yield budget
            budget = budget.above

    def use(self, agent: str, usage: Usage) -> None:
        """Note what a model call of `agent` used."""
        for budget in self.every():
            spent = budget.spent
            before = spent.by_agent.get(agent)
            spent.by_agent[agent] = usage if before is None else before + usage
            spent.usage = spent.usage + usage

    def tell(self, metadata: OutputMetadata) -> None:
        """Write what was used into an output: of all, and of each agent when there were several."""
        usage, by_agent = self.spent.usage, self.spent.by_agent
        metadata.token_count = usage.total_tokens
        metadata.extra |= usage.to_dict()
        if by_agent and by_agent.keys() != {self.agent}:
            metadata.extra["usage_by_agent"] = {name: used.to_dict() for name, used in by_agent.items()}

    def take_calls(self, agent: str, count: int) -> None:
        """Note tool calls before they are made. Raises: ResourceLimitError when there are too many."""
        for budget in self.every():
            limit = budget.limits.max_tool_calls if budget.limits is not None else None
            used = budget.spent.tool_calls + count
            if limit is not None and used > limit:
                raise budget.refuse(f"agent '{agent}' wants more tool calls", "tool calls", limit, used)
        for budget in self.every():
            budget.spent.tool_calls += count

    def check_depth(self) -> None:
        """Raises: ResourceLimitError when agents call agents deeper than one of those above allows."""
        for budget in self.every():
            limit = budget.limits.max_recursion_depth if budget.limits is not None else None
            below = self.depth - budget.depth
            if limit is not None and below > limit:
                what = f"agent '{self.agent}' is called by agents that call each other"
                raise budget.refuse(what, "recursion depth", limit, below)

    def check_money(self, agent: str) -> None:
        """Before a model call. Raises: ResourceLimitError when what it may cost is used up."""
        for budget in self.every():
            limit = budget.limits.max_cost_usd if budget.limits is not None else None
            if limit is not None and (budget.spent.usage.cost_usd or 0.0) >= limit:
                used = budget.spent.usage.cost_usd
                raise budget.refuse(f"agent '{agent}' may not make another model call", "cost in USD", limit, used)

    def tokens_left(self, agent: str, prompt: int) -> int | None:
        """How long an answer may be after a prompt of that many tokens; None: no limit. Raises: ResourceLimitError."""
        least: int | None = None
        for budget in self.every():
            limit = budget.limits.max_total_tokens if budget.limits is not None else None
            if limit is None:
                continue
            used = budget.spent.usage.total_tokens + prompt
            if used >= limit:
                raise budget.refuse(f"agent '{agent}' may not make another model call", "tokens", limit, used)
            least = limit - used if least is None else min(least, limit - used)
        return least

    def refuse(self, what: str, resource: str, limit: float, used: float | None) -> ResourceLimitError:
        """The error of a limit of this budget; `refused` knows it again."""
        hint = f"The limit is that of agent '{self.agent}', with all it calls: raise it, or give them less to do."
        made = ResourceLimitError(what, hint=hint, resource=resource, limit=limit, used=used)
        self.refusal = made
        return made

    def refused(self, error: BaseException) -> bool:
        """Whether this error is a limit of this budget, or of one above it: nobody below can do anything about it."""
        return any(budget.refusal is error for budget in self.every())
