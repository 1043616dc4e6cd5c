"""Agents: a conversation with a model that may call tools, and what can be made of several of them.

`LLMAgent` answers through a model, `CompositeAgent` through other agents, and a custom agent is a subclass of `Agent`
that writes `respond`. All share one lifecycle, one kind of limits, and one place in the runtime.
"""

from __future__ import annotations

from llmspell_core.agent.approval import ApprovalRequest, Decision
from llmspell_core.agent.base import Agent
from llmspell_core.agent.builder import AgentBuilder
from llmspell_core.agent.composite import CompositeAgent, Routing
from llmspell_core.agent.config import AgentConfig, ResourceLimits
from llmspell_core.agent.lifecycle import Lifecycle, Transition
from llmspell_core.agent.llm import LLMAgent

__all__ = [
    "Agent",
    "AgentBuilder",
    "AgentConfig",
    "ApprovalRequest",
    "CompositeAgent",
    "Decision",
    "LLMAgent",
    "Lifecycle",
    "ResourceLimits",
    "Routing",
    "Transition",
]
