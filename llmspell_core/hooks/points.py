"""The points at which hooks may listen, and how their names and priorities are written."""

from __future__ import annotations

import re

from llmspell_core.errors import ValidationError

__all__ = ["HOOK_POINTS", "PRIORITIES", "parse_point", "parse_priority"]

HOOK_POINTS: tuple[str, ...] = (
    "BeforeAgentInit",
    "AfterAgentInit",
    "BeforeAgentExecution",
    "AfterAgentExecution",
    "AgentError",
    "BeforeAgentShutdown",
    "AfterAgentShutdown",
    "BeforeToolDiscovery",
    "AfterToolDiscovery",
    "BeforeToolExecution",
    "AfterToolExecution",
    "ToolValidation",
    "ToolError",
    "BeforeWorkflowStart",
    "WorkflowStageTransition",
    "BeforeWorkflowStage",
    "AfterWorkflowStage",
    "WorkflowCheckpoint",
    "WorkflowRollback",
    "AfterWorkflowComplete",
    "WorkflowError",
    "BeforeStateRead",
    "AfterStateRead",
    "BeforeStateWrite",
    "AfterStateWrite",
    "StateConflict",
    "StateMigration",
    "SystemStartup",
    "SystemShutdown",
    "ConfigurationChange",
    "ResourceLimitExceeded",
    "SecurityViolation",
    "SessionStart",
    "SessionEnd",
    "SessionCheckpoint",
    "SessionRestore",
    "SessionSave",
    "BeforeEventEmit",
    "AfterEventEmit",
    "EventHandlerError",
    "PerformanceThresholdExceeded",
    "MemoryUsageHigh",
    "CpuUsageHigh",
)

WORKFLOW_PHASES = frozenset(
    (
        "workflow_start",
        "workflow_complete",
        "workflow_step_boundary",
        "workflow_state_change",
        "workflow_shared_data",
        "condition_evaluation",
        "branch_selection",
        "loop_iteration_start",
        "loop_iteration_complete",
        "loop_termination",
        "parallel_fork",
        "parallel_join",
        "parallel_synchronization",
    )
)
CUSTOM_PREFIXES = ("custom:", "kernel_", "artifact:", "agent_")
PRIORITIES = {"highest": -(2**31), "high": -100, "normal": 0, "low": 100, "lowest": 2**31 - 1}

_BY_SNAKE = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in HOOK_POINTS}


def parse_point(name: str) -> str:
    """The canonical name of a point: `BeforeToolExecution`, `before_tool_execution`, or a custom one.

    Raises:
        ValidationError: "Unknown hook point: x", with the nearest names.
    """
    if name in _BY_SNAKE.values() or name in WORKFLOW_PHASES:
        return name
    if name in _BY_SNAKE:
        return _BY_SNAKE[name]
    lowered = name[:7].lower() + name[7:]
    if lowered.startswith(CUSTOM_PREFIXES) and not lowered.endswith(":"):
        return lowered
    from difflib import get_close_matches

    near = get_close_matches(name, HOOK_POINTS, n=3)
    hint = f"Did you mean {', '.join(near)}?" if near else "Custom points are written 'custom:<name>'."
    raise ValidationError(f"Unknown hook point: {name}", field="point", hint=hint)


def parse_priority(value: str | float | None) -> int:
    if value is None:
        return 0
    if isinstance(value, str) and value in PRIORITIES:
        return PRIORITIES[value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
        return int(value)
    shown = f"'{value}'" if isinstance(value, str | int | float) else f"a {type(value).__name__}"
    raise ValidationError(
        f"{shown} is not a priority", field="priority", hint=f"Use a number or one of {', '.join(PRIORITIES)}."
    )
