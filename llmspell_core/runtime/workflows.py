"""The workflows of one runtime: made from their types, found by id or name, with the circuit breakers they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError, PluginError, ValidationError
from llmspell_core.workflow.kind import WorkflowType
from llmspell_core.workflow.problems import FOUND, all_problems, each, located
from llmspell_core.workflow.record import Definition
from llmspell_core.workflow.results import Finished
from llmspell_core.workflow.step import STEP_FIELDS
from llmspell_core.workflow.strategy import Circuits
from llmspell_core.workflow.workflow import MAX_DEPTH, Workflow

if TYPE_CHECKING:
    from llmspell_core.agent.place import Ledger
    from llmspell_core.component import BaseAgent
    from llmspell_core.context import ExecutionContext
    from llmspell_core.executor import Executor
    from llmspell_core.messages import AgentInput, AgentOutput
    from llmspell_core.runtime import Runtime
    from llmspell_core.workflow.step import Step

__all__ = ["Workflows"]

AGENT_TEMPLATES = ("llm", "basic", "tool-orchestrator")


class Workflows(Mapping[str, Workflow]):
    """Registered workflows by id; `find` also knows names."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._instances: dict[str, Workflow] = {}
        self.circuits = Circuits()
        """Of the tools, agents and workflows that steps name; shared by all workflows that watch them in one way."""
        self.finished = Finished(runtime.state.store)
        self._executor: Executor | None = None

    def __getitem__(self, key: str) -> Workflow:
        return self._instances[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._instances)

    def __len__(self) -> int:
        return len(self._instances)

    # -- making -------------------------------------------------------------------------------------------------------

    def type(self, name: str) -> type[WorkflowType]:
        """The class of a workflow type. Raises: NotFoundError, with the package to install; PluginError."""
        kind = self._runtime.registry.load("workflows", name)
        if not (isinstance(kind, type) and issubclass(kind, WorkflowType)):
            raise PluginError(
                f"workflow type '{name}' is not a WorkflowType", hint="Its author must fix it.", plugin=name
            )
        return kind

    def types(self) -> list[str]:
        return self._runtime.registry.names("workflows")

    def make(self, type_: str, table: Mapping[str, Any] | list[Any], *, register: bool = True) -> Workflow:
        """A workflow from the table that scripts write.

        Raises:
            NotFoundError: no such type. ValidationError: a step, a strategy or an option is wrong.
        """
        made = self._make(type_, table, 0)
        if register:
            self.add(made)
        return made

    def _make(self, type_: str, table: Mapping[str, Any] | list[Any], depth: int) -> Workflow:
        if depth > MAX_DEPTH:
            raise ValidationError(f"workflows are nested deeper than {MAX_DEPTH}", field="steps")
        kind = self.type(type_)
        definition = Definition.read(type_, table, STEP_FIELDS if depth else ())
        with all_problems(f"workflow '{definition.name}'"):
            made = Workflow(definition, kind)
            each(lambda step, _: self._make_inner(made, step, depth), made.get_steps())
        return made

    def _make_inner(self, outer: Workflow, step: Step, depth: int) -> None:
        """Make the workflow that stands in place of a step; in what it does not say it is like the one around it."""
        if step.is_inline:
            table = {"config": outer.config, **step.target}
            try:
                with all_problems(apart=True):
                    outer.inner[step.id] = self._make(str(table.get("type") or "sequential"), table, depth + 1)
            except FOUND as error:
                raise located(f"step '{step.name}'", [error]) from None

    def variant(self, workflow: Workflow, **options: Any) -> Workflow:
        """The same workflow with other options, not registered; shared data and listeners are those of the first one."""
        made = self._make(workflow.type, {**workflow.definition.options, "name": workflow.name, **options}, 0)
        made.share(workflow)
        return made

    def add(self, workflow: Workflow) -> None:
        self._instances[workflow.id] = workflow

    # -- finding ------------------------------------------------------------------------------------------------------

    def find(self, id_or_name: str) -> Workflow:
        """By id, else the newest of that name. Raises: NotFoundError "Workflow not found"."""
        found = self._instances.get(id_or_name)
        if found is None:
            found = next((w for w in reversed(self._instances.values()) if w.name == id_or_name), None)
        if found is None:
            from difflib import get_close_matches

            near = get_close_matches(id_or_name, [w.name for w in self._instances.values()], n=3)
            hint = f"Did you mean {', '.join(near)}?" if near else "Build it first, or call Workflow.list()."
            raise NotFoundError(
                f"Workflow not found: {id_or_name}", hint=hint, what="workflows", name=id_or_name, near=near
            )
        return found

    def remove(self, id_or_name: str) -> None:
        """Raises: NotFoundError."""
        del self._instances[self.find(id_or_name).id]

    def discard(self, workflow: Workflow) -> None:
        self._instances.pop(workflow.id, None)

    def clear(self) -> None:
        self._instances.clear()

    # -- running ------------------------------------------------------------------------------------------------------

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
                self._runtime,
                place,
                lambda: workflow_root(workflow, input, self._runtime),
                context,
                lambda: workflow.execute(input, context),
            )

    # -- what running workflows ask for ---------------------------------------------------------------------------------

    def nested(self, step: Step, parent: Workflow) -> Workflow:
        """The workflow of a step: an instance, a name, or a table written in place."""
        target = step.target
        if isinstance(target, Workflow):
            return target
        if isinstance(target, str):
            return self.find(target)
        if step.is_inline:
            if step.id not in parent.inner:  # the step was added later
                self._make_inner(parent, step, 0)
            parent.inner[step.id].default_error_handler = parent.default_error_handler
            return parent.inner[step.id]
        raise ValidationError(
            f"a workflow is an instance, a name or a table, got {type(target).__name__}", field="workflow"
        )

    def agent(self, step: Step) -> BaseAgent:
        """The agent of a step, with the tools that the step adds. Raises: NotFoundError."""
        from llmspell_core.component import BaseAgent

        target = step.target
        found = target if isinstance(target, BaseAgent) else self._named_agent(step)
        missing = [tool for tool in step.tools if tool not in getattr(found, "tool_names", list)()]
        if not missing:
            return found
        return self._with_tools(found, missing)

    def _named_agent(self, step: Step) -> BaseAgent:
        """A registered agent; or, for the name of a template, an agent of this step alone."""
        from llmspell_core.agent import AgentConfig, LLMAgent

        name = _agent_name(step)
        if name in self._runtime.agents or name not in AGENT_TEMPLATES:
            return self._runtime.agents.find(name)
        providers = self._runtime.providers
        default = self._runtime.config.get("providers.default_provider") if providers.configured() else None
        spec = providers.resolve(None, default)
        config = AgentConfig(f"{step.name} ({name})", agent_type=name, model=spec.model, provider=spec.provider)
        return LLMAgent(config, self._runtime)

    def _with_tools(self, agent: Any, tools: list[str]) -> BaseAgent:
        """An agent like this one that may also use `tools`; it has a conversation of its own."""
        from llmspell_core.agent import LLMAgent

        if not isinstance(agent, LLMAgent):
            raise ValidationError(f"agent '{agent.name}' cannot be given tools", field="tools")
        for tool in tools:
            self._runtime.tools.find(tool)
        allowed = (*agent.config.allowed_tools, *tools)
        return LLMAgent(replace(agent.config, name=agent.name, allowed_tools=allowed), self._runtime)

    def executor(self) -> Executor:
        """The configured executor (`workflows.executor`, by default `local`). Raises: NotFoundError, PluginError."""
        if self._executor is None:
            from llmspell_core.executor import Executor

            name = str(self._runtime.config.get("workflows.executor") or "local")
            made = self._runtime.registry.get("executors", name)
            if not isinstance(made, Executor):
                raise PluginError(f"executor '{name}' is not an Executor", hint="Its author must fix it.", plugin=name)
            self._executor = made
            self._runtime.on_close(made.close)
        return self._executor


def _agent_name(step: Step) -> str:
    target = step.target
    name = target if isinstance(target, str) else target.get("name") if isinstance(target, Mapping) else None
    if not isinstance(name, str):
        raise ValidationError(f"step '{step.name}': an agent is an instance or a name", field="agent")
    return name
