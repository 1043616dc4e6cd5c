"""The tool `pdf-processor`."""

from __future__ import annotations

import asyncio
import builtins
import json
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import BaseModel, Field

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import LLMSpellError, ResourceLimitError, TimeoutError, ToolError, ValidationError
from llmspell_core.isolated import run_isolated
from llmspell_core.tool import SecurityLevel, SecurityRequirements, Tool, ToolResult
from llmspell_tool_pdf.returns import PDF_PROCESSOR

WORKER = Path(__file__).with_name("pdf_worker.py")
MIB = 1024 * 1024
MAX_FILE = 10 * MIB
MAX_TEXT = MIB
MAX_SECONDS = 30.0
MAX_TOTAL_SECONDS = 60.0
MAX_MEMORY = 1024 * MIB
TRUNCATED = "\n... [truncated: the text is longer than 1 MB]"


class Parameters(BaseModel):
    operation: Literal["extract_text", "extract_metadata", "extract_pages"] = Field(
        "extract_text",
        description="extract_text: the text of the whole document; extract_pages: of some pages; "
        "extract_metadata: title, author, number of pages and so on.",
    )
    input: str = Field(description="Path of the PDF file.")
    start_page: int = Field(1, ge=1, description="For extract_pages: the first page, counted from 1.")
    end_page: int | None = Field(
        None, ge=1, description="For extract_pages: the last page. Default: the last of the document."
    )


class PdfProcessor(Tool[Parameters]):
    name = "pdf-processor"
    description = "Extracts the text, single pages or the properties of a PDF file."
    category = "data"
    parameters = Parameters
    returns = PDF_PROCESSOR
    security_level = SecurityLevel.RESTRICTED
    security_requirements = SecurityRequirements(file_permissions=("read",))
    requires = ("pypdf",)
    requires_extra = "pypdf"

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        try:
            async with asyncio.timeout(MAX_TOTAL_SECONDS):
                payload = await _payload(params, ctx)
        except builtins.TimeoutError:
            raise TimeoutError(
                f"pdf-processor was not done after {MAX_TOTAL_SECONDS:g} seconds",
                duration_ms=round(MAX_TOTAL_SECONDS * 1000),
                hint="Check that the file lies on a disk that answers.",
            ) from None
        return _nested(params.operation, payload)


async def _payload(params: Parameters, ctx: ExecutionContext) -> dict[str, Any]:
    data = await asyncio.to_thread(_read, params.input, ctx)
    if params.operation == "extract_metadata":
        return await _metadata(params, data, ctx)
    return await _text(params, data)


def _read(path: str, ctx: ExecutionContext) -> bytes:
    with ctx.files.open(path) as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ResourceLimitError(
            f"'{path}' is too large",
            resource="PDF size in bytes",
            limit=MAX_FILE,
            used=f"more than {MAX_FILE}",
            hint="Split the document first.",
        )
    return data


async def _ask(operation: str, data: bytes, start: int = 1, end: int | None = None) -> dict[str, Any]:
    request = {"operation": operation, "start": start, "end": end or 0, "limit": MAX_TEXT}
    given = json.dumps(request).encode() + b"\n" + data
    written = await run_isolated(
        WORKER, given, tool="pdf-processor", library="pypdf", seconds=MAX_SECONDS, memory=MAX_MEMORY
    )
    answer: dict[str, Any] = json.loads(written)
    if "error" in answer:
        raise _error(**answer["error"])
    found: dict[str, Any] = answer["ok"]
    return found


def _error(kind: str, message: str) -> LLMSpellError:
    if kind in {"start_page", "end_page"}:
        hint = "operation='extract_metadata' tells the number of pages."
        return ValidationError(f"pdf-processor: {message}", field=kind, hint=hint)
    if kind == "password":
        return ToolError(message, tool_name="pdf-processor", hint="Save a copy without the password and read that.")
    if kind == "cipher":
        return ToolError(message, tool_name="pdf-processor", hint="pip install 'llmspell-tool-pdf[crypto]'")
    return ValidationError(
        f"pdf-processor: {message}", field="input", hint="Check that the path names a PDF file that a viewer can open."
    )


async def _text(params: Parameters, data: bytes) -> dict[str, Any]:
    if params.operation == "extract_text":
        found = await _ask("text", data)
        text, cut = _limited(found["text"])
        return {"text": text, "file_path": params.input, "length": len(text), "truncated": cut, **_said(found)}
    found = await _ask("text", data, params.start_page, params.end_page)
    text, cut = _limited(found["text"])
    pages = {"start_page": params.start_page, "end_page": found["end_page"], "page_count": found["page_count"]}
    return {"text": text, "file_path": params.input, **pages, "truncated": cut, **_said(found)}


def _said(found: dict[str, Any]) -> dict[str, Any]:
    """What was filled in, and which pages could not be read, where there is any."""
    return {key: found[key] for key in ("fields", "problems") if key in found}


def _limited(text: str) -> tuple[str, bool]:
    """At most 1 MB of text, with a mark where something was cut off."""
    written = text.encode("utf-8", "replace")
    if len(written) <= MAX_TEXT:
        return text, False
    return written[:MAX_TEXT].decode("utf-8", "ignore") + TRUNCATED, True


async def _metadata(params: Parameters, data: bytes, ctx: ExecutionContext) -> dict[str, Any]:
    entry = await ctx.files.stat(params.input)
    path = PurePath(params.input)
    file = {
        "file_size": len(data),
        "file_name": path.name,
        "file_extension": path.suffix.removeprefix(".").lower(),
        "modified": entry.modified.isoformat() if entry.modified else None,
        "note": "Title, author and dates are what the document says about itself.",
    }
    return {**file, **await _ask("metadata", data)}


def _nested(operation: str, payload: dict[str, Any]) -> ToolResult:
    """The payload stands at `result.result`, and its keys next to it, so that scripts may read `result.text`."""
    inner = {
        **payload,
        "operation": operation,
        "success": True,
        "result": payload,
        "metadata": {"tool": "pdf-processor", "operation": operation},
    }
    message = f"PDF {operation} done"
    problems = payload.get("problems", ())
    if problems:
        shown = "; ".join(_problem(**each) for each in problems[:3])
        message += f", but {shown}" + (f" and {len(problems) - 3} more" if len(problems) > 3 else "")
    return ToolResult(inner, operation="pdf_processor_execute", message=message)


def _problem(page: int | None, problem: str) -> str:
    return problem if page is None else f"page {page}: {problem}"
