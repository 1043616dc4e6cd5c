"""What an agent sends to its model: the messages that fit, its settings, and what one call may override."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell_core.agent.history import estimate_tokens, trimmed
from llmspell_core.errors import ValidationError
from llmspell_core.messages import AgentInput, Message
from llmspell_core.provider import CompletionRequest, Provider

if TYPE_CHECKING:
    from llmspell_core.agent.budget import Budget
    from llmspell_core.agent.llm import LLMAgent

__all__ = ["check_budget", "make_request"]

OVERRIDES = ("temperature", "max_tokens", "tool_choice", "response_schema", "stop", "seed", "timeout", "options")
SHORT = 2000
"""Characters of a first prompt that fit every model; longer ones, and all later turns, are measured."""
ANSWER_TOKENS = 1024


def make_request(
    agent: LLMAgent, provider: Provider, model: str, user: Message, input: AgentInput
) -> CompletionRequest:
    """The first request of an execution.

    Raises:
        ValidationError: the prompt is longer than the model's context, or it holds media the provider cannot take.
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
    for name in OVERRIDES:
        if name in input.parameters:
            setattr(request, name, input.parameters[name])
    request.messages = _messages(agent, provider, user, request)
    if request.response_schema is not None:
        from llmspell_core.agent.structured import require_validator

        require_validator()
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
    left -= min(request.max_tokens or ANSWER_TOKENS, window // 4)
    return [*system, *trimmed(history, agent.config.max_conversation_length, max(left, 0)), user]


def check_budget(agent: LLMAgent, request: CompletionRequest, budget: Budget) -> None:
    """Before a model call: what is left of the tokens caps the answer. Raises: ResourceLimitError when nothing is left."""
    budget.check_money(agent.name)
    left = budget.tokens_left(agent.name, sum(map(estimate_tokens, request.messages)))
    if left is not None:
        request.max_tokens = left if request.max_tokens is None else min(request.max_tokens, left)
