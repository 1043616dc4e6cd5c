"""Every type keeps the contract."""

from __future__ import annotations

from typing import Any

from llmspell_workflows.conditional import Conditional
from llmspell_workflows.fan_out import FanOut
from llmspell_workflows.loop import Loop
from llmspell_workflows.map_reduce import MapReduce
from llmspell_workflows.parallel import Parallel
from llmspell_workflows.sequential import Sequential

from llmspell_core.testing import WorkflowContract


class TestSequential(WorkflowContract):
    workflow_class = Sequential


class TestParallel(WorkflowContract):
    workflow_class = Parallel

    def table(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return {"branches": [{"name": "one", "steps": steps}]}


class TestConditional(WorkflowContract):
    workflow_class = Conditional

    def table(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return {"branches": [{"name": "one", "condition": "always", "steps": steps}]}


class TestLoop(WorkflowContract):
    workflow_class = Loop

    def table(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return {"iterator": {"collection": ["only"]}, "body": steps}


class TestFanOut(WorkflowContract):
    workflow_class = FanOut

    def table(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return {"targets": steps}


class TestMapReduce(WorkflowContract):
    workflow_class = MapReduce

    def table(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return {"items": [1], "map_step": steps[0]}
