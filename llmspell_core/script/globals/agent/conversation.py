"""What the conversations of a script's agents take in the host, and who pays for it: the script that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from llmspell_core.agent import Agent, LLMAgent
from llmspell_core.purse import OBJECT, weigh

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

__all__ = ["grow", "settle"]

UNPAID = 100_000
"""Bytes that a conversation may have grown before it is weighed again: every turn would be too often."""


class _Account:
    """What was paid for one conversation, and about how much it has grown since."""

    __slots__ = ("grown", "paid")

    def __init__(self) -> None:
        self.paid = self.grown = 0


def grow(scope: ScriptScope, agent: Agent, more: int) -> None:
    """So many bytes come to the conversation. Raises: ResourceLimitError when there is no room for it any more."""
    if not isinstance(agent, LLMAgent):
        return
    account = _account(scope, agent)
    account.grown += OBJECT + more
    if account.grown > UNPAID:
        settle(scope, agent, more)


def settle(scope: ScriptScope, agent: LLMAgent, more: int = 0) -> None:
    """Pays for the conversation as it is, with `more` bytes that are about to come. Raises: ResourceLimitError."""
    account = _account(scope, agent)
    now = more + sum(OBJECT + weigh(message.to_dict()) for message in agent.history)
    scope.purse.take(now - account.paid)
    account.paid, account.grown = now, 0


def _account(scope: ScriptScope, agent: LLMAgent) -> _Account:
    accounts: WeakKeyDictionary[LLMAgent, _Account] | None = scope.data.get("Agent.conversations")
    if accounts is None:
        accounts = scope.data["Agent.conversations"] = WeakKeyDictionary()
    found = accounts.get(agent)
    if found is None:
        found = accounts[agent] = _Account()
    return found
