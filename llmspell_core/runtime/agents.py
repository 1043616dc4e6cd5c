"""The agents of a runtime: made, found, run, followed through hand-overs, and resumed after somebody was asked."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.json_schema import with_lists
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput
from llmspell_core.runtime.tools import Tools

if TYPE_CHECKING:
    from llmspell_core.agent import Agent, AgentBuilder, AgentConfig, CompositeAgent, LLMAgent
    from llmspell_core.agent.approval import Approver
    from llmspell_core.agent.place import Ledger
    from llmspell_core.agent.run_record import Records, RunRecord
    from llmspell_core.component import BaseAgent
    from llmspell_core.context import ExecutionContext
    from llmspell_core.provider import Provider
    from llmspell_core.runtime.providers import Providers
    from llmspell_core.state import StateStore
    from llmspell_core.tool import Tool
    from llmspell_core.workflow import Workflow

__all__ = ["Agents"]


class Agents(Tools):
    """The part of `Runtime` that has to do with agents."""

    providers: Providers
    state: StateStore

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.approver: Approver | None = None
        """The operator: asked about tool calls that the configuration wants consent to, and about those that an agent
        wants consent to and has nobody of its own to ask."""
        self._records: Records | None = None
        self._wrapped: dict[str, list[str]] = {}

    if TYPE_CHECKING:  # what the rest of the runtime gives

        async def provider_for(self, config: AgentConfig) -> tuple[Provider, str]: ...

    # -- made and found ------------------------------------------------------------------------------------------------

    def agent_builder(self) -> AgentBuilder:
        """A builder whose `build()` registers the agent here."""
        from llmspell_core.agent import AgentBuilder

        return AgentBuilder(self.create_agent, offer=self.offer_tool)

    def create_agent(self, config: AgentConfig) -> LLMAgent:
        """Make and register an agent; its provider's package begins to load in the background.

        Raises:
            ValidationError: no model, a taken name, no JSON schema. NotFoundError: unknown provider or tool.
            AuthenticationError: its provider needs a key and has none.
            MissingDependencyError: a response_schema, and the validator is not installed.
        """
        from dataclasses import replace

        from llmspell_core.agent import LLMAgent

        self._check_free(config.name)
        spec = self.providers.resolve(config.model, config.provider)
        self.providers.check_key(str(spec.provider), config.base_url, config.api_key)
        for tool in config.allowed_tools:
            if tool != "*":
                self.tool_for(tool)
        if config.response_schema is not None:
            from llmspell_core.agent.structured import check_schema

            config = replace(config, response_schema=with_lists(config.response_schema))
            check_schema(config.response_schema or {})
        self.providers.preload(str(spec.provider), spec.model)
        agent = LLMAgent(replace(config, model=spec.model, provider=spec.provider), self)
        self.register_agent(agent)
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
        agent = CompositeAgent(config, self, list(agents), made)
        self.register_agent(agent)
        return agent

    def register_agent(self, agent: Agent) -> None:
        """Let an agent be found by its name. Raises: ValidationError when the name is taken."""
        self._check_free(agent.name)
        self.agents[agent.name] = agent

    def _check_free(self, name: str) -> None:
        if name in self.agents:
            raise ValidationError(f"Agent instance '{name}' already exists", field="name", hint="Choose another name.")

    def remove_agent(self, name: str) -> bool:
        """End an agent at once and free its name; `agent.terminate()` before it lets hooks know."""
        agent = self.agents.pop(name, None)
        if agent is None:
            return False
        agent.end()
        for tool in self._wrapped.pop(name, ()):
            self.registry.unregister("tools", tool)
        return True

    def end_agents(self) -> None:
        """All of them, when the runtime closes."""
        for agent in self.agents.values():
            agent.end()
        self.agents.clear()

    def agent_for(self, name: str) -> Agent:
        """Raises: NotFoundError with near names."""
        if name in self.agents:
            return self.agents[name]
        from difflib import get_close_matches

        from llmspell_core.errors import NotFoundError

        near = get_close_matches(name, self.agents, n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "Build it first: Agent.builder():name(...):build()."
        raise NotFoundError(f"Agent '{name}' not found", hint=hint, what="agents", name=name, near=near)

    def offer_tool(self, component: Tool[Any] | BaseAgent) -> str:
        """Make a tool object callable by its name; an agent becomes the tool `<agent>_tool`. Returns the name.

        Raises:
            ValidationError: another tool has that name.
        """
        from llmspell_core.tool import Tool

        if not isinstance(component, Tool):
            return self.wrap_agent(component)
        if not self.registry.has("tools", component.name) or self.tool_for(component.name) is not component:
            self.registry.register("tools", component.name, component)
        return component.name

    def wrap_agent(self, agent: BaseAgent, **options: Any) -> str:
        """Register an agent as a tool, once; `options` are those of `AgentWrappedTool`. Returns the tool's name."""
        from llmspell_core.agent.wrapped import AgentWrappedTool

        made = AgentWrappedTool(agent, **options)
        present = self.tool_for(made.name) if self.registry.has("tools", made.name) else None
        if options or not isinstance(present, AgentWrappedTool) or present.agent is not agent:
            self.registry.register("tools", made.name, made)
            self._wrapped.setdefault(agent.name, []).append(made.name)
        return made.name

    def needs_approval(self, tool: str) -> bool:
        """Whether the configuration wants a person's consent before an agent calls this tool."""
        if self.config.get("tools.security.require_approval"):
            return True
        asks = self.config.get("tools.approval.ask") or ()
        if not asks:
            return False
        canonical = self.registry.canonical
        return "*" in asks or canonical("tools", tool) in {canonical("tools", name) for name in asks}

    # -- run -----------------------------------------------------------------------------------------------------------

    async def run_agent(
        self,
        agent: BaseAgent | str,
        input: AgentInput | str | Mapping[str, Any],
        context: ExecutionContext | None = None,
        *,
        ledger: Ledger | None = None,
    ) -> AgentOutput:
        """Execute an agent, given as such or by name, and whoever it hands the conversation over to.

        Args:
            ledger: what a run that goes on knows already; see `resume_run`.

        Raises:
            NotFoundError: no such agent. ResourceLimitError, TimeoutError: a limit was reached.
            ApprovalRequiredError: a tool call needs consent and nobody could be asked; the run is saved.
            WorkflowError: agents hand over in a circle.
        """
        from llmspell_core.agent.overrides import check_input

        found = self.agent_for(agent) if isinstance(agent, str) else agent
        check_input(found, input)
        given, context = AgentInput.of(input), context or self.context()
        from llmspell_core.agent.resuming import run_agent

        return await run_agent(self, found, given, context, ledger)

    async def run_in_place(
        self, workflow: Workflow, input: AgentInput, context: ExecutionContext, ledger: Ledger | None = None
    ) -> AgentOutput:
        """Execute a workflow as a run of its own, or as a part of the run that is under way here."""
        from llmspell_core.agent.place import Ledger, Place, current

        above = current() if ledger is None else None
        if above is not None:
            with above.below(workflow.name).entered():
                return await workflow.execute(input, context)
        from llmspell_core.agent.resuming import whole_run, workflow_root

        with Place(ledger or Ledger(), workflow.name).entered() as place:
            return await whole_run(
                self,
                place,
                lambda: workflow_root(workflow, input, self),
                context,
                lambda: workflow.execute(input, context),
            )

    def stream_agent(
        self,
        agent: BaseAgent | str,
        input: AgentInput | str | Mapping[str, Any],
        context: ExecutionContext | None = None,
    ) -> AsyncIterator[AgentChunk]:
        """The chunks of an execution; close the iterator to stop it."""
        from llmspell_core.agent.overrides import check_input
        from llmspell_core.agent.streaming import follow_stream

        found = self.agent_for(agent) if isinstance(agent, str) else agent
        check_input(found, input)
        return follow_stream(found, AgentInput.of(input), context or self.context())

    # -- runs that wait for consent -----------------------------------------------------------------------------------

    @property
    def records(self) -> Records:
        """The runs that wait: `save`, `load`, `remove`, `all`."""
        if self._records is None:
            from llmspell_core.agent.run_record import Records
            from llmspell_core.config.discovery import home

            self._records = Records(self.state, home(os.environ) / "approvals")
        return self._records

    async def resume_run(
        self,
        record: str | os.PathLike[str],
        decisions: Any,
        context: ExecutionContext | None = None,
        *,
        tell: Callable[[RunRecord], None] | None = None,
    ) -> AgentOutput:
        """Go on with a run that waits for consent; also one that another process began.

        The run is begun again, and what it had finished is not done a second time: agents, tool calls of models, and
        steps of workflows. Code of a program around them (a custom agent's `respond`) does run again.

        Args:
            record: its id, or the path of a file that `save_record` wrote.
            decisions: True, False or what `Decision.of` reads, for all calls that wait; or a mapping of call ids to these.
            tell: called with the decided record before anything is done; `unmade` has every call that will be made.

        Raises:
            SecurityError: it was changed, or another user saved it. NotFoundError: no such run.
            ApprovalRequiredError: it waits again, or a decision is missing.
        """
        from llmspell_core.agent.resuming import resume_run

        id_ = str(record) if not os.fspath(record).endswith(".json") else await self.load_record(record)
        return await resume_run(self, id_, decisions, context or self.context(), tell)  # type: ignore[arg-type]

    async def save_record(self, record: str, path: str | os.PathLike[str]) -> None:
        """Write a waiting run into a file that another process can resume. Raises: NotFoundError, StorageError."""
        await self.records.export(record, Path(path))

    async def load_record(self, path: str | os.PathLike[str]) -> str:
        """Take in a waiting run from a file; returns its id.

        Raises:
            StorageError, ValidationError: no such record. SecurityError: it was changed, or another user saved it.
            NotFoundError: somebody has decided about it already.
        """
        from llmspell_core.agent.run_record import read_record

        record = self.records.read(read_record(Path(path)))
        await self.records.check_unused(record.id)
        await self.records.save(record)
        return record.id
