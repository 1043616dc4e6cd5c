"""Every tool of the distribution keeps the contract of a tool."""

from __future__ import annotations

from llmspell_tools_data.json_processor import JsonProcessor

from llmspell_core.testing import ToolContract


class TestJsonProcessorContract(ToolContract):
    tool_class = JsonProcessor
