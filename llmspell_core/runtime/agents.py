"""The agents of a runtime: made, found, and wrapped as tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.json_schema import with_lists

if TYPE_CHECKING:
    from llmspell_core.agent import Agent, AgentBuilder, AgentConfig, CompositeAgent, LLMAgent
    from llmspell_core.component import BaseAgent
    from llmspell_core.runtime.desk import Runtime

__all__ = ["Agents"]


class Agents(Mapping[str, "Agent"]):
    """`runtime.agents`: the registered agents by name; `Runtime.run_agent` and `stream_agent` run them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._instances: dict[str, Agent] = {}
        self._wrapped: dict[str, list[str]] = {}

    def __getitem__(self, name: str) -> Agent:
        return self._instances[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._instances)

    def __len__(self) -> int:
        return len(self._instances)

    # -- made and found ------------------------------------------------------------------------------------------------

    def builder(self) -> AgentBuilder:
        """A builder whose `build()` registers the agent here."""
        from llmspell_core.agent import AgentBuilder

        return AgentBuilder(self.create, offer=self._runtime.tools.offer)

    def create(self, config: AgentConfig) -> LLMAgent:
        """Make and register an agent; its provider's package begins to load in the background.

        Raises:
            ValidationError: no model, a taken name, no JSON schema. NotFoundError: unknown provider or tool.
            AuthenticationError: its provider needs a key and has none.
            MissingDependencyError: a response_schema, and the validator is not installed.
        """
        from dataclasses import replace

        from llmspell_core.agent import LLMAgent

        self._check_free(config.name)
        spec = self._runtime.providers.resolve(config.model, config.provider)
        self._runtime.providers.check_key(str(spec.provider), config.base_url, config.api_key)
        for tool in config.allowed_tools:
            if tool != "*":
                self._runtime.tools.find(tool)
        if config.response_schema is not None:
            from llmspell_core.agent.structured import check_schema

            config = replace(config, response_schema=with_lists(config.response_schema))
            check_schema(config.response_schema or {})
        self._runtime.providers.preload(str(spec.provider), spec.model)
        agent = LLMAgent(replace(config, model=spec.model, provider=spec.provider), self._runtime)
        self.add(agent)
        return agent

    def create_composite(self, name: str, agents: Sequence[str], routing: Any = "sequential") -> CompositeAgent:
        """An agent made of agents; `routing` is what `Routing.of` reads.

        Raises:
            ValidationError: a taken name, no agents, no such routing. NotFoundError: an agent that does not exist.
        """
        from llmspell_core.agent import AgentConfig, CompositeAgent, Routing

        self._check_free(name)
        made = Routing.of(routing)
        config = AgentConfig(name, f"{made.strategy} of {', '.join(agents)}", agent_type="composite")
        agent = CompositeAgent(config, self._runtime, list(agents), made)
        self.add(agent)
        return agent

    def add(self, agent: Agent) -> None:
        """Let an agent be found by its name. Raises: ValidationError when the name is taken."""
        self._check_free(agent.name)
        self._instances[agent.name] = agent

    def _check_free(self, name: str) -> None:
        if name in self._instances:
            raise ValidationError(f"Agent instance '{name}' already exists", field="name", hint="Choose another name.")

    def remove(self, name: str) -> bool:
        """End an agent at once and free its name; `agent.terminate()` before it lets hooks know."""
        agent = self._instances.pop(name, None)
        if agent is None:
            return False
        agent.end()
        for tool in self._wrapped.pop(name, ()):
            self._runtime.registry.unregister("tools", tool)
        return True

    def end(self) -> None:
        """All of them, when the runtime closes."""
        for agent in self._instances.values():
            agent.end()
        self._instances.clear()

    def find(self, name: str) -> Agent:
        """Raises: NotFoundError with near names."""
        if name in self._instances:
            return self._instances[name]
        from difflib import get_close_matches

        from llmspell_core.errors import NotFoundError

        near = get_close_matches(name, self._instances, n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "Build it first: Agent.builder():name(...):build()."
        raise NotFoundError(f"Agent '{name}' not found", hint=hint, what="agents", name=name, near=near)

    def wrap(self, agent: BaseAgent, **options: Any) -> str:
        """Register an agent as a tool, once; `options` are those of `AgentWrappedTool`. Returns the tool's name."""
        from llmspell_core.agent.wrapped import AgentWrappedTool

        made = AgentWrappedTool(agent, **options)
        present = self._runtime.tools.find(made.name) if self._runtime.registry.has("tools", made.name) else None
        if options or not isinstance(present, AgentWrappedTool) or present.agent is not agent:
            self._runtime.registry.register("tools", made.name, made)
            self._wrapped.setdefault(agent.name, []).append(made.name)
        return made.name
