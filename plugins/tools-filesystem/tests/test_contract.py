"""The tool keeps the contract of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmspell_tools_filesystem.file_operations import FileOperations

from llmspell_core.testing import ToolContract


class TestFileOperationsContract(ToolContract):
    tool_class = FileOperations

    def make_example(self, folder: Path) -> Mapping[str, Any]:
        (folder / "notes.txt").write_text("notes")
        return {"operation": "read", "path": "notes.txt"}


class TestFileOperationsWritingContract(ToolContract):
    tool_class = FileOperations
    example = {"operation": "write", "path": "new.txt", "input": "text"}
