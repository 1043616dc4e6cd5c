"""What a failure means: its kind, how far the run had come, whether it can be saved, and what to try."""

from __future__ import annotations

from typing import Any, Literal

from llmspell_core.errors import (
    ConfigurationError,
    LLMSpellError,
    NetworkError,
    NotFoundError,
    ProviderError,
    ResourceError,
    ResourceLimitError,
    TimeoutError,
    ToolError,
    ValidationError,
    WorkflowError,
)

__all__ = ["ErrorType", "analyse", "error_type"]

ErrorType = Literal[
    "Timeout",
    "Validation",
    "ToolFailure",
    "AgentFailure",
    "WorkflowLogic",
    "ResourceExhaustion",
    "NetworkFailure",
    "Unknown",
]
RECOVERABLE = ("Timeout", "NetworkFailure", "ResourceExhaustion")
HINTS = {
    "RetryFromLastSuccessful": "Most of it was done: run the rest again.",
    "IncreaseTimeouts": "Raise timeout_ms of the step or of the workflow.",
    "RetryWithBackoff": 'Run failing steps again: error_strategy "retry".',
    "ReduceConcurrency": "Lower max_concurrency.",
    "FixInputData": "Check what the step is given.",
    "CheckConfiguration": "It keeps failing: check the configuration of what it calls.",
    "ReviewWorkflowDesign": "Check the names of steps, the placeholders and the conditions.",
    "ManualIntervention": "Look at the step's error.",
}
_BY_CLASS: tuple[tuple[tuple[type[LLMSpellError], ...], ErrorType], ...] = (
    ((TimeoutError,), "Timeout"),
    ((ValidationError, ConfigurationError), "Validation"),
    ((ResourceError, ResourceLimitError), "ResourceExhaustion"),
    ((NetworkError,), "NetworkFailure"),
    ((ToolError,), "ToolFailure"),
    ((WorkflowError, NotFoundError), "WorkflowLogic"),
    ((ProviderError,), "AgentFailure"),
)


def error_type(error: LLMSpellError | None, step_type: str = "") -> ErrorType:
    """The kind of a failure. An error that says nothing by itself is that of what the step called."""
    if isinstance(error, WorkflowError) and _is_foreign(error.__cause__):
        error = None  # what a function of the program raised
    for classes, kind in _BY_CLASS:
        if isinstance(error, classes):
            return kind
    return {"tool": "ToolFailure", "agent": "AgentFailure"}.get(step_type, "Unknown")  # type: ignore[return-value]


def _is_foreign(error: BaseException | None) -> bool:
    return error is not None and not isinstance(error, LLMSpellError)


def analyse(kind: ErrorType, *, successful: int, failed: int, total: int) -> dict[str, Any]:
    """`error_type`, `progress_percentage`, step counts, `is_recoverable`, `suggestion`, `hint`."""
    progress = 100.0 * successful / total if total else 0.0
    suggestion = _suggestion(kind, progress, failed)
    return {
        "error_type": kind,
        "progress_percentage": progress,
        "successful_steps": successful,
        "failed_steps": failed,
        "remaining_steps": max(total - successful - failed, 0),
        "is_recoverable": kind in RECOVERABLE,
        "suggestion": suggestion,
        "hint": HINTS[suggestion],
    }


def _suggestion(kind: ErrorType, progress: float, failed: int) -> str:
    if kind == "Timeout":
        return "RetryFromLastSuccessful" if progress > 80 else "IncreaseTimeouts"
    if kind in {"ToolFailure", "AgentFailure"}:
        return "CheckConfiguration" if failed > 3 else "RetryWithBackoff"
    return {
        "NetworkFailure": "RetryWithBackoff",
        "ResourceExhaustion": "ReduceConcurrency",
        "Validation": "FixInputData",
        "WorkflowLogic": "ReviewWorkflowDesign",
    }.get(kind, "ManualIntervention")
