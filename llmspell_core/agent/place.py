"""Where in a run something works, and what the run knows: what was finished, what waits for consent, what was used.

A run is the work of one agent or workflow with everything below it. Every agent in it, every tool call that an agent
makes and every step of a workflow has a place, named by the way to it. A run that was interrupted by a question goes on
by being begun again: what has a result at its place is not done a second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.budget import Budget, Spent

if TYPE_CHECKING:
    from llmspell_core.agent.approval import WaitingAgent
    from llmspell_core.messages import AgentChunk, AgentOutput

    Emit = Callable[[AgentChunk], Awaitable[None]]

__all__ = ["Ledger", "Place", "current"]


class Ledger:
    """What one run knows, by place.

    Attributes:
        outputs: of agents that have finished.
        steps: results of workflow steps that have finished.
        waiting: agents that stopped in the middle of a turn.
        spent: what agents had used that had not finished.
        on_use: awaited once, before the first waiting agent goes on.
    """

    __slots__ = ("is_closed", "on_use", "outputs", "spent", "steps", "waiting")

    def __init__(self) -> None:
        self.outputs: dict[str, AgentOutput] = {}
        self.steps: dict[str, Any] = {}
        self.waiting: dict[str, WaitingAgent] = {}
        self.spent: dict[str, Spent] = {}
        self.on_use: Callable[[], Awaitable[None]] | None = None
        self.is_closed = False

    async def take(self, path: str) -> WaitingAgent | None:
        """The agent that waited at this place, which goes on now."""
        found = self.waiting.pop(path, None)
        if found is not None and self.on_use is not None:
            use, self.on_use = self.on_use, None
            await use()
        return found


class Place:
    """One place.

    Attributes:
        agent: who works there; None for a call or a step.
        budget: that of the nearest agent.
        emit: gets what members of a composite say, when its execution is streamed.
        seconds: how long the agent may take, if that is less than its own limit; afterwards, what is left of its time.
    """

    __slots__ = ("_counts", "agent", "budget", "emit", "is_taken", "ledger", "path", "seconds")

    def __init__(self, ledger: Ledger, path: str, agent: Any = None, above: Budget | None = None) -> None:
        self.ledger = ledger
        self.path = path
        self.agent = agent
        self.is_taken = False
        self.emit: Emit | None = None
        self.seconds: float | None = None
        self.budget = above
        if agent is not None:
            limits = getattr(getattr(agent, "config", None), "limits", None)
            self.budget = Budget(agent.name, limits, above, ledger.spent.get(path))
        self._counts: dict[str, int] = {}

    def below(self, name: str, agent: Any = None) -> Place:
        """A place inside of this one; the second of a name gets a number."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        path = f"{self.path}/{name}" if count == 1 else f"{self.path}/{name}#{count}"
        return Place(self.ledger, path, agent, self.budget)

    def note(self) -> None:
        """Write down what the agent here used, because it did not finish."""
        if self.agent is not None and self.budget is not None:
            self.ledger.spent[self.path] = self.budget.spent

    def entered(self) -> _Entered:
        """Make this the current place; what an agent used by then is noted when it does not finish."""
        return _Entered(self)


class _Entered:
    __slots__ = ("_place", "_token")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._token: Token[Place | None] | None = None

    def __enter__(self) -> Place:
        self._token = _here.set(self._place)
        return self._place

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        assert self._token is not None
        _here.reset(self._token)
        if kind is not None:
            self._place.note()


_here: ContextVar[Place | None] = ContextVar("llmspell_place", default=None)


def current() -> Place | None:
    """Where the caller works; None outside of a run, also in what a run left behind when it ended."""
    place = _here.get()
    return None if place is None or place.ledger.is_closed else place
