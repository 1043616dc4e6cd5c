"""Finding agents, and what is known about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.agent import Agent, CompositeAgent
from llmspell_core.script.globals.agent.building import TYPES
from llmspell_core.script.globals.agent.inside import get_metrics

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

EVERYONE = ("streaming", "tools", "context")


def model_of(agent: Agent) -> str | None:
    return f"{agent.config.provider}/{agent.config.model}" if agent.config.model else None


def list_agents(scope: ScriptScope) -> list[dict[str, Any]]:
    return [
        {"name": a.name, "type": a.config.agent_type, "model": model_of(a), "description": a.description}
        for a in scope.runtime.agents.values()
    ]


def list_instances(scope: ScriptScope) -> list[str]:
    return sorted(scope.runtime.agents)


def get(scope: ScriptScope, name: str) -> Agent | None:
    found: Agent | None = scope.runtime.agents.get(name)
    return found


def discover(_scope: ScriptScope) -> list[dict[str, str]]:
    return [{"type": word} for word in TYPES]


def list_templates(_scope: ScriptScope) -> list[str]:
    return list(TYPES)


def discover_by_capability(scope: ScriptScope, capability: str) -> list[str]:
    agents = scope.runtime.agents.values()
    if capability in EVERYONE:
        return [a.name for a in agents]
    word = capability.lower()
    return [
        a.name
        for a in agents
        if (word == "composite" and isinstance(a, CompositeAgent))
        or word in a.description.lower()
        or word in a.name.lower()
    ]


def list_capabilities(scope: ScriptScope) -> dict[str, Any]:
    return {a.name: capabilities(a) for a in scope.runtime.agents.values()}


def capabilities(agent: Agent) -> dict[str, Any]:
    config = agent.config
    return {
        "id": str(agent.metadata.id),
        "name": agent.name,
        "description": agent.description,
        "config": {
            "system_prompt": config.system_prompt,
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
        },
        "capabilities": {
            "supports_streaming": agent.supports_streaming,
            "supports_tools": not isinstance(agent, CompositeAgent),
            "supports_context": True,
            "supports_multimodal": agent.supports_multimodal,
        },
    }


def get_info(scope: ScriptScope, name: str) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": name,
        "description": f"Agent type {name}",
        "category": "agent",
        "complexity": "basic",
        "required_parameters": ["model"],
        "optional_parameters": ["system_prompt", "temperature", "max_tokens", "allowed_tools"],
    }
    agent = scope.runtime.agents.get(name)
    if agent is not None:
        info |= {"description": agent.description, "model": model_of(agent)}
        info["capabilities"] = capabilities(agent)["capabilities"]
    return info


def get_details(scope: ScriptScope, name: str) -> dict[str, Any]:
    agent = scope.runtime.agents.find(name)
    return {
        **capabilities(agent),
        "state": agent.state,
        "metrics": get_metrics(scope, agent),
        "config": agent.config.public(),
    }


def get_hierarchy(scope: ScriptScope, name: str) -> dict[str, Any]:
    return {"root": _node(scope, scope.runtime.agents.find(name), ())}


def _node(scope: ScriptScope, agent: Agent, above: tuple[str, ...]) -> dict[str, Any]:
    """The agents a composite is made of, and those that an agent calls as tools."""
    names = [n for n in dict.fromkeys((*agent.children, *_called(scope, agent))) if n != agent.name and n not in above]
    known = [scope.runtime.agents[n] for n in names if n in scope.runtime.agents]
    children = [_node(scope, child, (*above, agent.name)) for child in known]
    return {"name": agent.name, "type": "agent", "id": str(agent.metadata.id), "children": children}


def _called(scope: ScriptScope, agent: Agent) -> list[str]:
    tools = [n for n in agent.config.allowed_tools if n != "*" and scope.runtime.registry.has("tools", n)]
    found = [getattr(scope.runtime.tools.find(name), "agent", None) for name in tools]
    return [called.name for called in found if called is not None]
