"""`Runtime`: opens, holds and closes the parts of the desk, and runs tools, agents, workflows and scripts with them."""

from __future__ import annotations

import builtins
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from llmspell_core.context import ContextScope, ExecutionContext, SharedMemory
from llmspell_core.errors import ComponentError, PluginError, TimeoutError
from llmspell_core.events import EventBus
from llmspell_core.hooks import Hooks
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput
from llmspell_core.metrics import Metrics
from llmspell_core.plugins.registry import Registry
from llmspell_core.runtime.agents import Agents
from llmspell_core.runtime.templates import Templates
from llmspell_core.runtime.tools import Tools
from llmspell_core.state import MemoryState, State
from llmspell_core.time_limit import time_limit

if TYPE_CHECKING:
    from llmspell_core.agent.approval import Approver
    from llmspell_core.agent.consent import Agreed
    from llmspell_core.agent.place import Ledger
    from llmspell_core.agent.run_record import Records, RunRecord
    from llmspell_core.component import BaseAgent
    from llmspell_core.config import Config
    from llmspell_core.plugins.catalog import Catalog
    from llmspell_core.policy import Policy
    from llmspell_core.runtime.providers import Providers
    from llmspell_core.runtime.scripts import Scripts
    from llmspell_core.runtime.workflows import Workflows
    from llmspell_core.script.process import WorkerProcess
    from llmspell_core.script.result import ScriptResult
    from llmspell_core.trace import Observer, Tracer
    from llmspell_core.workflow import Workflow

__all__ = ["Runtime"]

log = logging.getLogger("llmspell.runtime")


class Runtime:
    """Made, entered, used and closed; any number may live side by side.

    Args:
        config: a `Config`, or a mapping that is laid over the discovered configuration, or None for the discovered one.
        registry: the components to use; by default everything that is installed.
        cwd: where relative paths of tools and scripts start; by default the process's directory.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | None = None,
        *,
        registry: Registry | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        self._given_config = config
        self._registry = registry
        self.cwd = Path(cwd) if cwd is not None else _current_folder()
        self.started_at = time.time()
        self.shared_memory = SharedMemory()
        self.tracer: Tracer | None = None
        """Makes the spans of runs; None while nobody observes them."""
        self.approver: Approver | None = None
        """The operator: asked about tool calls that the configuration wants consent to, and about those that an agent
        wants consent to and has nobody of its own to ask."""
        self.tools, self.agents, self.templates = Tools(self), Agents(self), Templates(self)
        self._records: Records | None = None
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._opened = False

    async def __aenter__(self) -> Self:
        self.open()
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hooks.fire("SystemShutdown", "runtime", {})
        await self.close()

    def open(self) -> None:
        """Read the configuration and put the parts together; `async with` does it."""
        if self._opened:
            raise ComponentError("this runtime was entered before", hint="Make a new Runtime.")
        self._opened = True
        self.config = _load_config(self._given_config, self.cwd)
        self.registry = self._registry if self._registry is not None else Registry(self._installed())
        get = self.config.get
        self.hooks = Hooks(
            timeout=float(get("hooks.timeout_ms") or 5000) / 1000, enabled=bool(get("hooks.enabled", True))
        )
        self.events = EventBus(
            queue_size=int(get("events.buffer_size") or 10_000),
            hooks=self.hooks,
            enabled=bool(get("events.enabled", True)),
        )
        most = int(get("runtime.state_persistence.max_state_size_bytes") or 10_000_000)
        self.state = State(MemoryState(most), self.hooks)
        self.metrics = Metrics(self._counted(), lambda: self.providers.totals.series())
        self.policy = self._make_policy()
        self._providers: Providers | None = None
        self._scripts: Scripts | None = None
        self._workflows: Workflows | None = None

    async def start(self) -> None:
        """Attach to the running event loop and let hook plugins in; `async with` does it after `open`."""
        self.policy.attach(self)
        for name in self.registry.names("hooks") if self.hooks.enabled else ():
            try:
                self.hooks.load_plugin(self.registry.get("hooks", name), name)
            except PluginError as error:
                log.warning("%s; going on without it", error)
        if self.tracer is None:
            self._start_tracing()
        await self.hooks.fire("SystemStartup", "runtime", {})

    def _start_tracing(self) -> None:
        """Bring in the observers that the configuration asks for."""
        for name in self.registry.names("observers"):
            table = self.config.section(name)
            if table:
                self.observe(self.registry.load("observers", name)(table))
        if self.config.get("tracing.enabled"):
            from llmspell_core.trace import Journal

            self.observe(Journal.of(self.config))

    def observe(self, observer: Observer) -> None:
        """Have an observer told about every span of every run from now on; it is closed with the runtime."""
        from llmspell_core.trace import Tracer

        if self.tracer is None:
            self.tracer = Tracer(self.config.secrets())
            self.on_close(self.tracer.close)
        self.tracer.add(observer)

    def _counted(self) -> dict[str, Callable[[], int | float]]:
        """What the parts count themselves."""
        return {
            "kernel.uptime": lambda: time.time() - self.started_at,
            "event.published": lambda: self.events.stats.published,
            "hook.executions": lambda: self.hooks.executions,
            "provider.requests": lambda: sum(row.requests for row in self.providers.totals.rows()),
            "provider.cost_usd": lambda: self.providers.totals.whole().cost_usd or 0.0,
            "state.reads": lambda: self.state.store.reads,
            "state.writes": lambda: self.state.store.writes,
        }

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Have `closer` awaited when the runtime ends, last registered first."""
        self._closers.append(closer)

    async def close(self) -> None:
        """Stop what was started: scripts, agents, providers, connections. Every part is closed even if one fails."""
        scripts = [self._scripts.close] if self._scripts is not None else []
        providers = [self._providers.close] if self._providers is not None else []
        parts = [
            *scripts,
            *reversed(self._closers),
            *providers,
            self.policy.aclose,
            self.events.close,
            self.state.store.close,
        ]
        self._closers.clear()
        self.agents.end()
        for part in parts:
            try:
                await part()
            except Exception as error:  # noqa: BLE001 - the others must still be closed
                log.warning("closing failed: %s: %s", type(error).__name__, error)

    def _installed(self) -> Catalog:
        from llmspell_core.plugins.catalog import Catalog

        return Catalog.load(
            prefer=self.config.get("plugins.prefer") or (), block=self.config.get("plugins.block") or ()
        )

    def _make_policy(self) -> Policy:
        from llmspell_core.config import policy_settings
        from llmspell_core.policy import Policy
        from llmspell_core.policy.settings import SENSITIVE_PATHS
        from llmspell_core.runtime.read_places import read_places, secret_places

        settings = policy_settings(self.config) | {"working_directory": str(self.cwd)}
        settings["read_only_paths"] = [*settings["read_only_paths"], *read_places(self.config, self.cwd)]
        settings["sensitive_paths"] = [*SENSITIVE_PATHS, *secret_places(self.config)]
        return Policy(settings, secrets=self.config.secrets())

    @property
    def providers(self) -> Providers:
        """Models: which there are, and the connections to those who run them."""
        if self._providers is None:
            self._providers = self._make_providers()
        return self._providers

    def _make_providers(self) -> Providers:
        from llmspell_core.runtime.providers import Providers

        return Providers(self.config, self.registry, self.policy)

    def use_config(self, config: Config) -> None:
        """Go on with another configuration. The policy, limits of running scripts and loaded plugins stay as they are."""
        before, self.config = self.config, config
        if before.section("providers") != config.section("providers"):
            self.on_close(self.providers.close)  # agents may be talking through them
            offer, self._providers = self.providers.offer_model, self._make_providers()
            self._providers.offer_model = offer

    # -- the small things that components ask for -----------------------------------------------------------------

    def context(
        self, scope: ContextScope | None = None, *, session_id: str | None = None, user_id: str | None = None
    ) -> ExecutionContext:
        """A fresh context for one request."""
        context = ExecutionContext(self, scope=scope or ContextScope())
        context.shared_memory = self.shared_memory
        context.session_id = session_id
        context.user_id = user_id
        return context

    # -- tools ------------------------------------------------------------------------------------------------------

    async def invoke_tool(
        self,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        context: ExecutionContext | None = None,
        *,
        agreed: Agreed | None = None,
    ) -> AgentOutput:
        """Run a tool.

        Args:
            agreed: what somebody agreed to, which must be this call.

        Raises:
            NotFoundError: no such tool.
            ValidationError: the parameters do not fit.
            SecurityError: the policy does not allow the tool or what it wanted to do.
            TimeoutError: it took longer than `tools.timeouts` allows.
        """
        tool = self.tools.find(name)
        self.policy.check_tool(tool)
        limit = self.tools.time_limit(tool.name, tool.default_timeout)
        given = {} if parameters is None else parameters
        input = AgentInput(parameters={"parameters": given}) if agreed is None else agreed.input(tool, given)
        try:
            async with time_limit(limit):
                return await tool.execute(input, context or self.context())
        except builtins.TimeoutError as error:
            self.metrics.counts["tool.errors"] += 1
            raise TimeoutError(
                f"tool '{tool.name}' did not finish within {limit:g} s",
                hint=f"Raise tools.timeouts.{tool.name} in the configuration.",
                duration_ms=int((limit or 0) * 1000),
            ) from error

    # -- agents -------------------------------------------------------------------------------------------------------

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

        found = self.agents.find(agent) if isinstance(agent, str) else agent
        check_input(found, input)
        given, context = AgentInput.of(input), context or self.context()
        from llmspell_core.agent.resuming import run_agent

        return await run_agent(self, found, given, context, ledger)

    def stream_agent(
        self,
        agent: BaseAgent | str,
        input: AgentInput | str | Mapping[str, Any],
        context: ExecutionContext | None = None,
    ) -> AsyncGenerator[AgentChunk, None]:
        """The chunks of an execution; close the iterator to stop it."""
        from llmspell_core.agent.overrides import check_input
        from llmspell_core.agent.streaming import follow_stream

        found = self.agents.find(agent) if isinstance(agent, str) else agent
        check_input(found, input)
        return follow_stream(found, AgentInput.of(input), context or self.context())

    # -- runs that wait for consent -----------------------------------------------------------------------------------

    @property
    def records(self) -> Records:
        """The runs that wait: `save`, `load`, `remove`, `all`."""
        if self._records is None:
            from llmspell_core.agent.run_record import Records
            from llmspell_core.config.discovery import home

            self._records = Records(self.state.store, home(os.environ) / "approvals")
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
            record: its id, or the path of a file that `records.export` wrote.
            decisions: True, False or what `Decision.of` reads, for all calls that wait; or a mapping of call ids to these.
            tell: called with the decided record before anything is done; `unmade` has every call that will be made.

        Raises:
            SecurityError: it was changed, or another user saved it. NotFoundError: no such run.
            ApprovalRequiredError: it waits again, or a decision is missing.
        """
        from llmspell_core.agent.resuming import resume_run

        id_ = str(record) if not os.fspath(record).endswith(".json") else await self.records.take_in(Path(record))
        return await resume_run(self, id_, decisions, context or self.context(), tell)

    # -- templates ------------------------------------------------------------------------------------------------

    async def run_template(
        self, name: str, parameters: Mapping[str, Any], context: ExecutionContext | None = None
    ) -> AgentOutput:
        """Run a template; the whole report is in `metadata.extra["template"]`.

        Raises:
            NotFoundError: no such template. ValidationError: the parameters do not fit.
        """
        input = AgentInput(parameters=dict(parameters))
        return await self.templates.find(name).execute(input, context or self.context())

    # -- workflows ------------------------------------------------------------------------------------------------

    @property
    def workflows(self) -> Workflows:
        """Registered workflows, their types, and what running ones share."""
        if self._workflows is None:
            from llmspell_core.runtime.workflows import Workflows

            self._workflows = Workflows(self)
        return self._workflows

    async def run_workflow(
        self,
        workflow: Workflow | str,
        input: AgentInput | str | Mapping[str, Any] | None = None,
        context: ExecutionContext | None = None,
        *,
        ledger: Ledger | None = None,
    ) -> AgentOutput:
        """Execute a workflow, given as such, by id or by name; `metadata.extra` has outputs, status and counts.

        Raises:
            NotFoundError: "Workflow not found". WorkflowError: a step failed. TimeoutError: it took too long.
        """
        from llmspell_core.workflow import workflow_input

        found = self.workflows.find(workflow) if isinstance(workflow, str) else workflow
        return await self.workflows.run_in_place(found, workflow_input(input), context or self.context(), ledger)

    # -- scripts --------------------------------------------------------------------------------------------------

    @property
    def scripts(self) -> Scripts:
        """Engines, globals and sessions."""
        if self._scripts is None:
            from llmspell_core.runtime.scripts import Scripts

            self._scripts = Scripts(self)
        return self._scripts

    async def run_script(
        self,
        source: str | bytes | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        engine: str | None = None,
        name: str | None = None,
        args: Sequence[str] | Mapping[str, Any] = (),
        timeout: float | None = None,
        output: Callable[[str, str], None] | None = None,
        stdin: Callable[[], str | Awaitable[str | None] | None] | None = None,
        context: ExecutionContext | None = None,
        worker: WorkerProcess | None = None,
        is_code: bool = False,
    ) -> ScriptResult:
        """Run a script in a process of its own.

        Args:
            source: the text; or `path` of a file.
            engine: lua, javascript, or another engine's name; by default the file's suffix decides.
            args: what becomes `ARGS`.
            timeout: wall-clock seconds, waiting included; by default `runtime.script_timeout_seconds`.
            output: called with ("stdout" | "stderr", text) for what it prints.
            stdin: answers the next piece of the script's input, None at its end; without it there is no input.
            is_code: it may be a bare expression, which ends in its value, as in `llmspell exec '1+1'`.

        Raises:
            ScriptError: it failed; carries file, line and the line's text.
            NotFoundError: no such file or engine.
        """
        return await self.scripts.run(
            source,
            path=path,
            engine=engine,
            name=name,
            args=args,
            timeout=timeout,
            output=output,
            stdin=stdin,
            context=context,
            worker=worker,
            is_code=is_code,
        )


def _current_folder() -> Path:
    from llmspell_core.config.loading import current_folder

    return current_folder()


def _load_config(given: Config | Mapping[str, Any] | None, cwd: Path) -> Config:
    from llmspell_core.config import Config, load_config

    if isinstance(given, Config):
        return given
    config = load_config(overrides=dict(given or {}), cwd=cwd)
    for line in config.trust_notes():
        log.warning("%s", line)
    return config
