"""The agents of a run as plain data, so that another process can put them together again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.base import Agent
from llmspell_core.agent.composite import CompositeAgent, Routing
from llmspell_core.agent.config import AgentConfig
from llmspell_core.agent.llm import LLMAgent
from llmspell_core.errors import ComponentError
from llmspell_core.messages import Message, plain

if TYPE_CHECKING:
    from llmspell_core.desk import Desk

__all__ = ["bring_back", "described", "names_in"]


def names_in(value: Any, known: Mapping[str, Any]) -> Iterator[str]:
    """The names of agents that a workflow's table mentions, wherever they stand."""
    if isinstance(value, str):
        yield from (value,) if value in known else ()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names_in(item, known)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from names_in(item, known)


def described(desk: Desk, first: Iterable[Any]) -> dict[str, Any]:
    """The agents in `first` (names or agents) and all that they may call or hand over to: `agents` and `tools`."""
    agents: dict[str, Any] = {}
    tools: dict[str, Any] = {}
    known = desk.agents
    queue = list(first)
    while queue:
        item = queue.pop()
        agent = known.get(item) if isinstance(item, str) else item
        if agent is None or agent.name in agents:
            continue
        agents[agent.name] = _member(agent)
        queue += _others(agent)
        for name, called in _agent_tools(desk, agent):
            tools[name] = called.described()
            queue.append(called.agent)
    return {"agents": agents, "tools": tools}


def _member(agent: Any) -> dict[str, Any]:
    if isinstance(agent, LLMAgent):
        history = [message.to_dict() for message in agent.history]
        return {"kind": "llm", "config": agent.config.public(), "history": history}
    if isinstance(agent, CompositeAgent):
        routing = None if callable(agent.routing.router) else plain(agent.routing)
        return {"kind": "composite", "agents": list(agent.agents), "routing": routing}
    return {"kind": "own", "class": type(agent).__name__}


def _others(agent: Any) -> list[str]:
    if isinstance(agent, CompositeAgent):
        others = (agent.routing.fallback_agent, agent.routing.router)
        return [*agent.agents, *(name for name in others if isinstance(name, str))]
    return list(agent.config.handoff_targets) if isinstance(agent, LLMAgent) else []


def _agent_tools(desk: Desk, agent: Any) -> Iterator[tuple[str, Any]]:
    """The tools of an agent that are agents."""
    for name in agent.tool_names() if isinstance(agent, LLMAgent) else ():
        tool = desk.tools.find(name)
        if isinstance(getattr(tool, "agent", None), Agent):
            yield name, tool


def bring_back(runtime: Desk, team: Mapping[str, Any]) -> None:
    """Make the agents that are not here, and the tools that they are.

    Raises:
        ComponentError: one of them is code that only its program has. NotFoundError: a tool is not installed here.
    """
    made = [_made(runtime, name, member) for name, member in team["agents"].items() if name not in runtime.agents]
    for agent in made:
        runtime.agents.add(agent)
    for name, options in team["tools"].items():
        if not runtime.registry.has("tools", name):
            _wrap(runtime, name, options)
    for name in team["agents"]:
        agent = runtime.agents.find(name)
        if isinstance(agent, LLMAgent):
            agent.tool_definitions()  # what is not here is found out before the record is used up


def _made(runtime: Desk, name: str, member: Mapping[str, Any]) -> Agent:
    if member["kind"] == "llm":
        agent = LLMAgent(AgentConfig.from_dict(member["config"]), runtime)
        agent.history[:] = [Message.from_dict(message) for message in member["history"]]
        return agent
    if member["kind"] == "composite" and member["routing"] is not None:
        config = AgentConfig(name, f"{member['routing']['strategy']} of {', '.join(member['agents'])}")
        made = CompositeAgent.__new__(CompositeAgent)  # its agents may be made after it
        Agent.__init__(made, config, runtime)
        made.agents, made.routing = tuple(member["agents"]), Routing(**member["routing"])
        return made
    what = "chooses its agents with a function" if member["kind"] == "composite" else f"is a {member['class']}"
    raise ComponentError(
        f"the run needs agent '{name}', which {what}: only the program that made it has that",
        hint="Make the agent under the same name first, then resume the run in that program.",
    )


def _wrap(runtime: Desk, name: str, options: Mapping[str, Any]) -> None:
    from llmspell_core.agent.wrapped import ParameterConfig
    from llmspell_core.tool import SecurityLevel

    given = dict(options)
    agent = runtime.agents.find(given.pop("agent"))
    given["security_level"] = SecurityLevel.parse(given["security_level"])
    config = given.pop("parameter_config")
    if config is None:
        raise ComponentError(
            f"the tool '{name}' turns parameters into a prompt with a function: only the program that made it has that",
            hint="Register the tool first, then resume the run in that program.",
        )
    runtime.agents.wrap(agent, name=name, **given, parameter_config=ParameterConfig.from_dict(config))
