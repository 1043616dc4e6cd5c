"""Workflows: steps, their arrangement by type, and everything that all types share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmspell_core.workflow.condition import Condition as Condition
    from llmspell_core.workflow.frame import Frame as Frame
    from llmspell_core.workflow.job import perform_job as perform_job
    from llmspell_core.workflow.kind import Outcome as Outcome
    from llmspell_core.workflow.kind import WorkflowType as WorkflowType
    from llmspell_core.workflow.problems import each as each
    from llmspell_core.workflow.record import Definition as Definition
    from llmspell_core.workflow.record import StepResult as StepResult
    from llmspell_core.workflow.record import WorkflowConfig as WorkflowConfig
    from llmspell_core.workflow.record import WorkflowResult as WorkflowResult
    from llmspell_core.workflow.record import workflow_input as workflow_input
    from llmspell_core.workflow.run import Progress as Progress
    from llmspell_core.workflow.run import WorkflowRun as WorkflowRun
    from llmspell_core.workflow.step import Step as Step
    from llmspell_core.workflow.step import read_steps as read_steps
    from llmspell_core.workflow.strategy import ErrorStrategy as ErrorStrategy
    from llmspell_core.workflow.workflow import Workflow as Workflow

_HOMES = {
    "Condition": "condition",
    "Definition": "record",
    "ErrorStrategy": "strategy",
    "Frame": "frame",
    "Outcome": "kind",
    "Progress": "run",
    "Step": "step",
    "StepResult": "record",
    "Workflow": "workflow",
    "WorkflowConfig": "record",
    "WorkflowResult": "record",
    "WorkflowRun": "run",
    "WorkflowType": "kind",
    "each": "problems",
    "perform_job": "job",
    "read_steps": "step",
    "workflow_input": "record",
}

__all__ = [
    "Condition",
    "Definition",
    "ErrorStrategy",
    "Frame",
    "Outcome",
    "Progress",
    "Step",
    "StepResult",
    "Workflow",
    "WorkflowConfig",
    "WorkflowResult",
    "WorkflowRun",
    "WorkflowType",
    "each",
    "perform_job",
    "read_steps",
    "workflow_input",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'llmspell_core.workflow' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"llmspell_core.workflow.{_HOMES[name]}"), name)
