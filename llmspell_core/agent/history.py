"""The conversation of an agent: what fits of it into the next request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmspell_core.messages import Message

__all__ = ["estimate_tokens", "trimmed"]

CHARACTERS_PER_TOKEN = 4
MESSAGE_TOKENS = 4
MEDIA_TOKENS = 800


def estimate_tokens(value: str | Message | Any) -> int:
    """Roughly, without a tokenizer: a quarter of the characters, a little per message, more per picture."""
    if isinstance(value, str):
        return len(value) // CHARACTERS_PER_TOKEN
    if isinstance(value, Message):
        calls = sum(len(str(call.parameters)) + len(call.tool_name) for call in value.tool_calls)
        text = (len(value.content) + calls) // CHARACTERS_PER_TOKEN
        return text + MESSAGE_TOKENS + MEDIA_TOKENS * len(value.media)
    return len(str(value)) // CHARACTERS_PER_TOKEN


def trimmed(messages: Sequence[Message], length: int, tokens: int | None = None) -> list[Message]:
    """The newest messages within both limits, in order; system messages are always kept.

    A call and its results stay or go together, so a tool result never stands without the call it answers.
    """
    if len(messages) <= length and tokens is None:
        return list(messages)
    kept: list[Message] = []
    left = length - sum(m.role == "system" for m in messages)
    budget = None if tokens is None else tokens - sum(estimate_tokens(m) for m in messages if m.role == "system")
    chosen: set[int] = set()
    for unit in reversed(_units(messages)):
        cost = sum(estimate_tokens(messages[i]) for i in unit) if budget is not None else 0
        if len(unit) > left or (budget is not None and cost > budget):
            break
        left -= len(unit)
        budget = None if budget is None else budget - cost
        chosen.update(unit)
    kept.extend(m for i, m in enumerate(messages) if m.role == "system" or i in chosen)
    return kept


def _units(messages: Sequence[Message]) -> list[list[int]]:
    """Indexes of what belongs together: one message, or a turn of calls with its results. System messages are left out."""
    units: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            if units and messages[units[-1][0]].tool_calls:
                units[-1].append(index)  # a result whose call is gone is left out altogether
        elif message.role != "system":
            units.append([index])
    return units
