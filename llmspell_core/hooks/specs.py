"""The hook points, as pluggy specs: one documented function per point.

A plugin implements any of them and registers its module or object in the entry-point group `llmspell.hooks`:

    from llmspell_core import HookResult, hookimpl

    @hookimpl
    def llmspell_before_tool_execution(context):
        if context.data["tool_name"] == "process-executor":
            return HookResult.cancel("no processes here")

An implementation may be `async def`, may take fewer arguments than the spec, and returns a `HookResult`, None (continue)
or anything that a script hook may return. `tryfirst` and `trylast` become the priorities high and low.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluggy import HookspecMarker

if TYPE_CHECKING:
    from llmspell_core.hooks import HookContext

hookspec = HookspecMarker("llmspell")


# Agents


@hookspec
def llmspell_before_agent_init(context: HookContext) -> Any:
    """An agent is about to be initialised."""


@hookspec
def llmspell_after_agent_init(context: HookContext) -> Any:
    """An agent is ready."""


@hookspec
def llmspell_before_agent_execution(context: HookContext) -> Any:
    """An agent is about to run. `data`: `input`."""


@hookspec
def llmspell_after_agent_execution(context: HookContext) -> Any:
    """An agent has answered. `data`: `input`, `result`."""


@hookspec
def llmspell_agent_error(context: HookContext) -> Any:
    """An agent failed. `operation.error` says why."""


@hookspec
def llmspell_before_agent_shutdown(context: HookContext) -> Any:
    """An agent is about to end."""


@hookspec
def llmspell_after_agent_shutdown(context: HookContext) -> Any:
    """An agent has ended."""


# Tools


@hookspec
def llmspell_before_tool_discovery(context: HookContext) -> Any:
    """Tools are about to be listed or searched. `data`: `query`."""


@hookspec
def llmspell_after_tool_discovery(context: HookContext) -> Any:
    """Tools were listed or searched. `data`: `query`, `result`."""


@hookspec
def llmspell_before_tool_execution(context: HookContext) -> Any:
    """A tool is about to run. `data`: `tool_name`, `category`, `security_level`, `parameters`."""


@hookspec
def llmspell_after_tool_execution(context: HookContext) -> Any:
    """A tool has run. `data`: the same and `result`."""


@hookspec
def llmspell_tool_validation(context: HookContext) -> Any:
    """A tool's parameters were validated. `data`: `tool_name`, `params`, `valid`, `errors`."""


@hookspec
def llmspell_tool_error(context: HookContext) -> Any:
    """A tool failed. `operation.error` says why."""


# Workflows


@hookspec
def llmspell_before_workflow_start(context: HookContext) -> Any:
    """A workflow is about to start. `data`: `input`."""


@hookspec
def llmspell_workflow_stage_transition(context: HookContext) -> Any:
    """A workflow moves on to its next step. `data`: `from_step`, `to_step`."""


@hookspec
def llmspell_before_workflow_stage(context: HookContext) -> Any:
    """A step is about to run, once per attempt. `data`: `step_name`, `step_type`, `step_index`, `retry_attempt`, `input`."""


@hookspec
def llmspell_after_workflow_stage(context: HookContext) -> Any:
    """A step has run. `data`: the same and `result.output`."""


@hookspec
def llmspell_workflow_checkpoint(context: HookContext) -> Any:
    """The state of a workflow run was saved. `data`: `status`, `shared_data`, `steps`."""


@hookspec
def llmspell_workflow_rollback(context: HookContext) -> Any:
    """A workflow undoes a finished step, once for each. `data`: `step_name`, `error`."""


@hookspec
def llmspell_after_workflow_complete(context: HookContext) -> Any:
    """A workflow has ended. `data`: `input`, `result`."""


@hookspec
def llmspell_workflow_error(context: HookContext) -> Any:
    """A workflow failed. `operation.error` says why."""


# State


@hookspec
def llmspell_before_state_read(context: HookContext) -> Any:
    """A value is about to be read. `data`: `key`."""


@hookspec
def llmspell_after_state_read(context: HookContext) -> Any:
    """A value was read. `data`: `key`, `result`."""


@hookspec
def llmspell_before_state_write(context: HookContext) -> Any:
    """A value is about to be written. `data`: `key`, `value`."""


@hookspec
def llmspell_after_state_write(context: HookContext) -> Any:
    """A value was written. `data`: `key`, `value`."""


@hookspec
def llmspell_state_conflict(context: HookContext) -> Any:
    """A compare-and-swap failed or a transaction was lost."""


@hookspec
def llmspell_state_migration(context: HookContext) -> Any:
    """A schema migration starts or ends."""


# System


@hookspec
def llmspell_system_startup(context: HookContext) -> Any:
    """The runtime has started."""


@hookspec
def llmspell_system_shutdown(context: HookContext) -> Any:
    """The runtime is about to end."""


@hookspec
def llmspell_configuration_change(context: HookContext) -> Any:
    """A reload changed at least one setting."""


@hookspec
def llmspell_resource_limit_exceeded(context: HookContext) -> Any:
    """A limit was reached."""


@hookspec
def llmspell_security_violation(context: HookContext) -> Any:
    """The policy refused something. `data`: `violation_type`, `message`."""


# Sessions


@hookspec
def llmspell_session_start(context: HookContext) -> Any:
    """A session was created."""


@hookspec
def llmspell_session_end(context: HookContext) -> Any:
    """A session was completed or failed."""


@hookspec
def llmspell_session_checkpoint(context: HookContext) -> Any:
    """A session was suspended or checkpointed."""


@hookspec
def llmspell_session_restore(context: HookContext) -> Any:
    """A session was resumed or loaded."""


@hookspec
def llmspell_session_save(context: HookContext) -> Any:
    """A session was saved."""


# Events


@hookspec
def llmspell_before_event_emit(context: HookContext) -> Any:
    """An event is about to be published. `data`: `event_type`, `data`."""


@hookspec
def llmspell_after_event_emit(context: HookContext) -> Any:
    """An event was published."""


@hookspec
def llmspell_event_handler_error(context: HookContext) -> Any:
    """A subscriber raised. `operation.error` says what."""


# Performance


@hookspec
def llmspell_performance_threshold_exceeded(context: HookContext) -> Any:
    """An operation took longer than its threshold."""


@hookspec
def llmspell_memory_usage_high(context: HookContext) -> Any:
    """Memory use is above its threshold."""


@hookspec
def llmspell_cpu_usage_high(context: HookContext) -> Any:
    """CPU use is above its threshold."""
