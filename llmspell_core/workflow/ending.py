"""What is said of an execution when it is over: its status, its result, and the totals of its workflow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmspell_core.errors import LLMSpellError
from llmspell_core.messages import plain
from llmspell_core.workflow.kind import Outcome
from llmspell_core.workflow.record import StepResult, WorkflowResult, WorkflowStatus
from llmspell_core.workflow.run import WorkflowRun

__all__ = ["Totals", "result_of", "snapshot", "verdict"]


@dataclass(slots=True)
class Totals:
    """Of all executions of one workflow. `last` is when the newest ended, in Unix seconds."""

    executions: int = 0
    successful: int = 0
    duration_ms: float = 0.0
    last: float | None = None

    def add(self, result: WorkflowResult) -> None:
        """A run that waits for a person is counted when it goes on."""
        if result.status == "paused":
            return
        self.executions += 1
        self.successful += result.success
        self.duration_ms += result.duration * 1000
        self.last = time.time()


def result_of(
    run: WorkflowRun, status: WorkflowStatus, outcome: Outcome, error: LLMSpellError | None = None
) -> WorkflowResult:
    """How a run went, with everything that its caller is told in `metadata`."""
    succeeded = status in {"completed", "partially_completed"} and outcome.success is not False
    if outcome.success is None and status == "partially_completed":
        succeeded = False
    result = WorkflowResult(run.id, run.workflow.type, run.workflow.name, succeeded, status)
    result.steps_executed = sum(not r.skipped for r in run.history)
    result.steps_failed = sum(not r.success and not r.skipped for r in run.history)
    result.steps_skipped = sum(r.skipped or r.tolerated for r in run.history)
    result.duration = time.perf_counter() - run.started
    result.error = error.message if error else _first_error(run)
    result.state_keys = run.state_keys
    result.summary = _summary(result)
    result.metadata = _told(run, result, outcome)
    return result


def _summary(result: WorkflowResult) -> str:
    kind = result.workflow_type.replace("_", " ").capitalize()
    done = result.steps_executed - result.steps_failed
    counts = f"{done} of {result.steps_executed} steps in {round(result.duration * 1000)} ms."
    partly = "completed successfully, with failures." if result.success else "partially completed."
    words = {
        "completed": "completed successfully.",
        "partially_completed": partly,
        "cancelled": "was cancelled.",
        "paused": "waits for a decision.",
    }
    return f"{kind} workflow '{result.workflow_name}' {words.get(result.status, f'failed: {result.error}.')} {counts}"


def _told(run: WorkflowRun, result: WorkflowResult, outcome: Outcome) -> dict[str, Any]:
    extra: dict[str, Any] = {
        **run.about(),
        "success": result.success,
        "status": result.status,
        "outputs": plain({name: r.output for name, r in run.results.items() if r.success}),
        "output": plain(outcome.output),
        "state_keys": run.state_keys,
        **plain(outcome.extra),
    }
    if run.agent_outputs:
        extra["agent_outputs"] = plain(run.agent_outputs)
    if result.error is not None:
        extra["error"] = result.error
    return extra


def snapshot(run: WorkflowRun, status: WorkflowStatus) -> dict[str, Any]:
    """What the state says of a run."""
    steps = {name: result.success for name, result in run.results.items()}
    return {"status": status, "shared_data": run.shared, "steps": steps}


def verdict(outcome: Outcome, run: WorkflowRun) -> WorkflowStatus:
    """The status of a run that came to its end."""
    if outcome.success is False or any(_left_undone(result) for result in run.history):
        return "partially_completed"
    return "completed"


def _left_undone(result: StepResult) -> bool:
    """A step that failed, or a nested workflow in which one did."""
    if result.success and result.step_type == "workflow" and isinstance(result.details, Mapping):
        return result.details.get("status") == "partially_completed"
    return not result.success and not result.skipped


def _first_error(run: WorkflowRun) -> str | None:
    return next((r.error for r in run.history if not r.success and not r.skipped and r.error), None)
