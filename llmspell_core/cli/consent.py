"""The question at a terminal: may this agent make this call?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmspell_core.cli.person import LONGEST_NAME, Attention, Person, as_text, clipped, named
from llmspell_core.cli.shell import Shell

if TYPE_CHECKING:
    from llmspell_core.agent.approval import ApprovalRequest
    from llmspell_core.runtime import Runtime

__all__ = ["ask_for_consent", "question"]

LONGEST = 400
"""Characters of parameters that stand in one line, and of one parameter that are shown at first."""
MOST_NAMES = 40
WORDS = {"y": True, "yes": True, "": False, "n": False, "no": False}


def ask_for_consent(shell: Shell, runtime: Runtime, person: Person) -> None:
    """Let the person at the terminal decide about calls that need consent. Without a terminal nobody is asked."""
    if not shell.is_interactive:
        return

    async def ask(request: ApprovalRequest) -> bool | None:
        async with person.attention() as terminal:
            return await _answer(question(request), terminal)

    runtime.approver = ask


async def _answer(asked: Question, terminal: Attention) -> bool | None:
    """What a person says to a question; None at the end of the input."""
    while True:
        word = await terminal.ask(f"{asked.text} {asked.choice}:")
        if word is None:
            return None
        if word == "all":
            asked = asked.complete()
        elif word == "y" and asked.is_short:
            terminal.complain("it was shortened: 'all' shows everything, 'yes' allows it unseen")
        elif word in WORDS:
            return WORDS[word]
        else:
            terminal.complain("invalid input")


@dataclass(frozen=True, slots=True)
class Question:
    """A question as a person reads it.

    Attributes:
        is_short: whether something was left out; then a bare `y` does not allow it.
    """

    request: ApprovalRequest
    text: str
    is_short: bool = False

    @property
    def choice(self) -> str:
        return "[yes/N, all: show everything]" if self.is_short else "[y/N]"

    def complete(self) -> Question:
        """The same with everything in it."""
        return Question(self.request, _sentence(self.request, _whole))


def question(request: ApprovalRequest) -> Question:
    """The call, its parameters complete where they are short; else every one of them, the long ones with their lengths."""
    text, whole = _sentence(request, _in_short), _sentence(request, _whole)
    shortened = any(_is_shortened(values) for values in (request.parameters, request.reads or {}, request.defaults))
    return Question(request, text if shortened else whole, is_short=shortened)


def _sentence(request: ApprovalRequest, show: Callable[[dict[str, Any]], str]) -> str:
    reads = f", which it reads as {show(request.reads)}" if request.reads is not None else ""
    defaults = f", by default {show(request.defaults)}" if request.defaults else ""
    given = show(request.parameters)
    return f"Agent {named(request.agent)} wants to call {named(request.tool)} with {given}{reads}{defaults}. Allow it?"


def _whole(values: dict[str, Any]) -> str:
    text = as_text(values)
    return text if len(text) <= LONGEST else json.dumps(values, ensure_ascii=True, default=str, indent=2)


def _in_short(values: dict[str, Any]) -> str:
    if not _is_shortened(values):
        return _whole(values)
    rows = [f"  {clipped(name, LONGEST_NAME)}: {clipped(value, LONGEST)}" for name, value in values.items()]
    left_out = [f"  and {len(rows) - MOST_NAMES} more"] if len(rows) > MOST_NAMES else []
    return "\n".join(["", *rows[:MOST_NAMES], *left_out, ""])


def _is_shortened(values: dict[str, Any]) -> bool:
    long = any(len(as_text(v)) > LONGEST or len(as_text(k)) > LONGEST_NAME for k, v in values.items())
    return long or len(values) > MOST_NAMES
