"""The tool keeps the contract of a tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmspell_tool_pdf.pdf_processor import PdfProcessor
from pypdf import PdfWriter

from llmspell_core.testing import ToolContract


class TestPdfProcessorContract(ToolContract):
    tool_class = PdfProcessor

    def make_example(self, folder: Path) -> Mapping[str, Any]:
        if not (folder / "blank.pdf").exists():
            with PdfWriter() as writer:
                writer.add_blank_page(width=200, height=200)
                writer.write(folder / "blank.pdf")
        return {"operation": "extract_text", "input": "blank.pdf"}
