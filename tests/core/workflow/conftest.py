"""A short way to run a workflow from a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmspell_core import Runtime

Cast = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def cast(runtime: Runtime) -> Cast:
    """`await cast("sequential", {"steps": [...]}, {"topic": "x"})`: `metadata.extra` of the result."""

    async def run(type_: str, table: Any, input: Any = None) -> dict[str, Any]:
        workflow = runtime.workflows.make(type_, table)
        output = await runtime.run_workflow(workflow, input)
        return {"text": output.text, **output.metadata.extra}

    return run
