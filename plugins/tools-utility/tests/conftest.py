"""A desk that knows the tools of this distribution, in an empty folder that its policy allows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from llmspell_tools_utility.base64_encoder import Base64Encoder
from llmspell_tools_utility.calculator import Calculator
from llmspell_tools_utility.datetime_handler import DatetimeHandler
from llmspell_tools_utility.hash_calculator import HashCalculator
from llmspell_tools_utility.text_manipulator import TextManipulator
from llmspell_tools_utility.uuid_generator import UuidGenerator

from llmspell_core.plugins.registry import Registry
from llmspell_core.runtime import Runtime

TOOLS = (Base64Encoder, Calculator, DatetimeHandler, HashCalculator, TextManipulator, UuidGenerator)


@pytest.fixture
async def invoke(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[dict[str, Any]]]]:
    """`await invoke("calculator", input="2+2")` gives the envelope of the result."""
    registry = Registry()
    for tool in TOOLS:
        registry.register("tools", tool.name, tool)
    settings = {"tools": {"file_operations": {"allowed_paths": [str(tmp_path)]}}}
    async with Runtime(settings, registry=registry, cwd=tmp_path) as runtime:

        async def call(tool_name: str, /, **parameters: Any) -> dict[str, Any]:
            output = await runtime.invoke_tool(tool_name, parameters)
            envelope: dict[str, Any] = output.metadata.extra["response"]
            return envelope

        yield call
