"""What components, script globals, servers and commands see of the runtime they work in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

    from llmspell_core.agent.approval import Approver
    from llmspell_core.agent.consent import Agreed
    from llmspell_core.agent.run_record import Records
    from llmspell_core.component import BaseAgent
    from llmspell_core.config import Config
    from llmspell_core.context import ContextScope, ExecutionContext, SharedMemory
    from llmspell_core.events import EventBus
    from llmspell_core.hooks import Hooks
    from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput
    from llmspell_core.metrics import Metrics
    from llmspell_core.plugins.registry import Registry
    from llmspell_core.policy import Policy
    from llmspell_core.runtime.agents import Agents
    from llmspell_core.runtime.providers import Providers
    from llmspell_core.runtime.scripts import Scripts
    from llmspell_core.runtime.templates import Templates
    from llmspell_core.runtime.tools import Tools
    from llmspell_core.runtime.workflows import Workflows
    from llmspell_core.script.result import ScriptResult
    from llmspell_core.state import State
    from llmspell_core.trace import Tracer
    from llmspell_core.workflow import Workflow

__all__ = ["Desk"]


class Desk(Protocol):
    """The parts of a runtime and its verbs. `Runtime` is one; what a permission, a hook or a limit says holds for every
    caller of a verb."""

    config: Config
    cwd: Path
    started_at: float
    registry: Registry
    hooks: Hooks
    events: EventBus
    state: State
    metrics: Metrics
    policy: Policy
    shared_memory: SharedMemory
    tracer: Tracer | None
    approver: Approver | None
    tools: Tools
    agents: Agents
    templates: Templates

    @property
    def providers(self) -> Providers: ...

    @property
    def workflows(self) -> Workflows: ...

    @property
    def scripts(self) -> Scripts: ...

    @property
    def records(self) -> Records: ...

    def context(
        self, scope: ContextScope | None = None, *, session_id: str | None = None, user_id: str | None = None
    ) -> ExecutionContext: ...

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None: ...

    def use_config(self, config: Config) -> None: ...

    async def invoke_tool(
        self,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        context: ExecutionContext | None = None,
        *,
        agreed: Agreed | None = None,
    ) -> AgentOutput: ...

    async def run_agent(
        self,
        agent: BaseAgent | str,
        input: AgentInput | str | Mapping[str, Any],
        context: ExecutionContext | None = None,
    ) -> AgentOutput: ...

    def stream_agent(
        self,
        agent: BaseAgent | str,
        input: AgentInput | str | Mapping[str, Any],
        context: ExecutionContext | None = None,
    ) -> AsyncGenerator[AgentChunk, None]: ...

    async def run_workflow(
        self,
        workflow: Workflow | str,
        input: AgentInput | str | Mapping[str, Any] | None = None,
        context: ExecutionContext | None = None,
    ) -> AgentOutput: ...

    async def run_template(
        self, name: str, parameters: Mapping[str, Any], context: ExecutionContext | None = None
    ) -> AgentOutput: ...

    async def run_script(
        self,
        source: str | bytes | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        context: ExecutionContext | None = None,
    ) -> ScriptResult: ...

    async def resume_run(
        self, record: str | os.PathLike[str], decisions: Any, context: ExecutionContext | None = None
    ) -> AgentOutput: ...
