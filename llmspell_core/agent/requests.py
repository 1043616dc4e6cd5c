"""What an agent sends to its model: the messages that fit, its settings, and what one call may override."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell_core.agent.history import CHARACTERS_PER_TOKEN, estimate_tokens, trimmed
from llmspell_core.agent.overrides import apply_overrides
from llmspell_core.errors import ValidationError
from llmspell_core.messages import AgentInput, Message
from llmspell_core.provider import CompletionRequest, Provider

if TYPE_CHECKING:
    from llmspell_core.agent.budget import Budget
    from llmspell_core.agent.llm import LLMAgent

__all__ = ["check_budget", "clipped", "make_request", "make_room"]

SHORT = 2000
"""Characters of a first prompt that fit every model; longer ones, and all later turns, are measured."""
ANSWER_TOKENS = 1024
LONGEST_RESULT = 200_000
"""Characters of one tool result that are told to a model whose window nobody knows."""
LEAST_RESULT = 800
"""Characters of each that are told in any case."""


def make_request(
    agent: LLMAgent, provider: Provider, model: str, user: Message, input: AgentInput
) -> CompletionRequest:
    """The first request of an execution.

    Raises:
        ValidationError: the prompt is longer than the model's context, it holds media the provider cannot take, or
            what this call sets in another way makes no sense.
        MissingDependencyError: the answer shall follow a schema, and the validator is not installed.
    """
    config = agent.config
    if user.media and not provider.capabilities.supports_multimodal:
        raise ValidationError(
            f"the provider of agent '{agent.name}' takes text only", field="media", hint="Choose a multimodal model."
        )
    tools = list(agent.tool_definitions()) if config.allowed_tools or config.handoff_targets else []
    request = CompletionRequest(
        model,
        [],
        tools=tools,
        tool_choice=config.tool_choice or "auto",
        response_schema=config.response_schema,
        temperature=config.temperature,
        max_tokens=config.max_tokens,
    )
    if input.parameters or request.tool_choice != "auto":
        apply_overrides(request, input.parameters)
    request.messages = _messages(agent, provider, user, request)
    if request.response_schema is not None:
        from llmspell_core.agent.structured import check_schema

        check_schema(request.response_schema)
    return request


def _messages(agent: LLMAgent, provider: Provider, user: Message, request: CompletionRequest) -> list[Message]:
    system, history = agent.system_messages(), agent.history
    window = agent.config.context_window
    if window is None and (history or len(user.content) > SHORT):
        window = provider.capabilities.max_context_tokens
    if window is None:
        return [*system, *trimmed(history, agent.config.max_conversation_length), user]
    fixed = sum(map(estimate_tokens, (*system, user, *request.tools)))
    left = window - fixed
    if left < 0:
        raise ValidationError(
            f"the prompt of agent '{agent.name}' has about {fixed} tokens; its model takes {window}",
            field="text",
            hint="Shorten it, or choose a model with a larger context.",
        )
    left -= _reserve(request, window)
    return [*system, *trimmed(history, agent.config.max_conversation_length, max(left, 0)), user]


def _reserve(request: CompletionRequest, window: int) -> int:
    """Tokens that are kept free for the answer."""
    return min(request.max_tokens or ANSWER_TOKENS, window // 4)


def make_room(request: CompletionRequest, start: int, window: int | None, results: int) -> tuple[int, int]:
    """Before the results of a turn are added: earlier turns (before `start`) give way when less than half is free.

    Returns: where this execution's turns begin now, and how many characters each of `results` may have.
    """
    if window is None:
        return start, LONGEST_RESULT
    room = window - _reserve(request, window) - sum(map(estimate_tokens, request.tools))
    used = sum(map(estimate_tokens, request.messages))
    if used > room // 2 and start > 1:
        turns = request.messages[start:]
        kept = trimmed(request.messages[:start], start, max(room // 2 - sum(map(estimate_tokens, turns)), 0))
        request.messages = [*kept, *turns]
        start, used = len(kept), sum(map(estimate_tokens, request.messages))
    return start, max((room - used) * CHARACTERS_PER_TOKEN // max(results, 1), LEAST_RESULT)


def clipped(text: str, most: int) -> str:
    """The beginning of a text that is too long, and how much is missing."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[{len(text) - most:,} of {len(text):,} characters left out]"


def check_budget(agent: LLMAgent, request: CompletionRequest, budget: Budget) -> None:
    """Before a model call: what is left of the tokens caps the answer. Raises: ResourceLimitError when nothing is left."""
    budget.check_money(agent.name)
    left = budget.tokens_left(agent.name, sum(map(estimate_tokens, request.messages)))
    if left is not None:
        request.max_tokens = left if request.max_tokens is None else min(request.max_tokens, left)
