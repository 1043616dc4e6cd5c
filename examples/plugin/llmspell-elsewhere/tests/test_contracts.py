"""The contracts of what this plugin adds."""

from typing import ClassVar

from llmspell_elsewhere.executor import Elsewhere
from llmspell_elsewhere.tries import Tries
from llmspell_elsewhere.where import Where

from llmspell_core.testing import ExecutorContract, ToolContract, WorkflowContract


class TestTries(WorkflowContract):
    workflow_class = Tries


class TestElsewhere(ExecutorContract):
    executor_class = Elsewhere


class TestWhere(ToolContract):
    tool_class = Where
    example: ClassVar = {"text": "here"}
