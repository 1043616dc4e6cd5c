"""Real PDF files, and a desk that knows the tool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from llmspell_tool_pdf.pdf_processor import PdfProcessor

from llmspell_core.plugins.registry import Registry
from llmspell_core.runtime import Runtime


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[dict[str, Any]]]]:
    """`await process(input="a.pdf")` runs the tool in `tmp_path` and gives the envelope of the result."""
    registry = Registry()
    registry.register("tools", PdfProcessor.name, PdfProcessor)
    settings = {"tools": {"file_operations": {"allowed_paths": [str(tmp_path)]}}}
    async with Runtime(settings, registry=registry, cwd=tmp_path) as runtime:

        async def call(**parameters: Any) -> dict[str, Any]:
            output = await runtime.invoke_tool("pdf-processor", parameters)
            envelope: dict[str, Any] = output.metadata.extra["response"]
            return envelope

        yield call


@pytest.fixture
def make_pdf(tmp_path: Path) -> Callable[..., Path]:
    """`make_pdf("a.pdf", ["page one", "page two"])` writes a PDF with one line of text on each page."""

    def make(name: str, pages: Sequence[str]) -> Path:
        path = tmp_path / name
        path.write_bytes(pdf_bytes(pages))
        return path

    return make


def pdf_bytes(pages: Sequence[str]) -> bytes:
    """A PDF written by hand, as the format's specification shows it."""
    numbers = range(4, 4 + 2 * len(pages), 2)
    kids = " ".join(f"{number} 0 R" for number in numbers)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, text in zip(numbers, pages, strict=True):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R"
        objects.append(f"{page} /Resources << /Font << /F1 3 0 R >> >> >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    title = "<< /Title (Spells) /Author (Ada) /CreationDate (D:20240315103000Z) >>"
    return _assembled([*objects, title])


def _assembled(objects: Sequence[str]) -> bytes:
    made, offsets = b"%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(made))
        made += f"{number} 0 obj\n{text}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(made)}\n%%EOF\n"
    return made + f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode("latin-1")
