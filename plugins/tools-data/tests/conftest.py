"""A desk that knows the tools of this distribution."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from llmspell_tools_data.json_processor import JsonProcessor

from llmspell_core.messages import AgentOutput
from llmspell_core.plugins.registry import Registry
from llmspell_core.runtime import Runtime


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[AgentOutput]]]:
    """`await process(input=..., query=...)` runs the tool."""
    registry = Registry()
    registry.register("tools", JsonProcessor.name, JsonProcessor)
    async with Runtime({}, registry=registry, cwd=tmp_path) as runtime:

        async def call(**parameters: Any) -> AgentOutput:
            return await runtime.invoke_tool("json-processor", parameters)

        yield call
