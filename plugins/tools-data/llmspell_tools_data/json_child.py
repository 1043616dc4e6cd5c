"""Asks a worker process for one query or validation; the process ends with its answer, at the deadline, or when cancelled."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from llmspell_core.errors import LLMSpellError, ResourceLimitError, ToolError, ValidationError
from llmspell_core.isolated import run_isolated
from llmspell_core.purse import MOST_PARSED, json_weight

WORKER = Path(__file__).with_name("json_worker.py")
MIB = 1024 * 1024
MAX_MEMORY = 2048 * MIB
MAX_OUTPUT = 100 * MIB
MAX_SECONDS = 30.0
TOOL = "json-processor"
HINTS = {
    "input": "Pass data, or text that is JSON; a plain string needs quotes of its own.",
    "query": "See https://jqlang.org/manual/ for the language.",
    "schema": "Pass a JSON Schema that refers to nothing outside itself.",
}


async def ask(operation: str, document: str, *, query: str = ".", schema: Any = None, lines: bool = False) -> list[Any]:
    """The outputs of `query` on the document (or on each of its lines), or the errors of its validation.

    Raises:
        ValidationError: the document, the query or the schema is not one.
        ToolError: the query failed while it ran.
        ResourceLimitError: it needs more memory, or produces more, than it may.
        TimeoutError: it took too long.
    """
    request = {"operation": operation, "query": query, "schema": schema, "lines": lines, "output": MAX_OUTPUT}
    # In a thread: a hundred megabytes take a while to copy.
    given = await asyncio.to_thread(lambda: json.dumps(request).encode() + b"\n" + document.encode())
    library = "jsonschema_rs" if operation == "validate" else "jq"
    written = await run_isolated(WORKER, given, tool=TOOL, library=library, seconds=MAX_SECONDS, memory=MAX_MEMORY)
    check_weight(written, "what the query produces")
    answer = await asyncio.to_thread(json.loads, written)
    if "error" in answer:
        raise _error(**answer["error"])
    outputs: list[Any] = answer["ok"]
    return outputs


def check_weight(text: str | bytes, what: str) -> None:
    """Raises: ResourceLimitError for a JSON text whose value would take too much memory: `[]` takes 25 times its text."""
    weight = json_weight(text)
    if weight > MOST_PARSED:
        raise ResourceLimitError(
            f"{what} has too many values",
            resource="bytes of memory",
            limit=MOST_PARSED,
            used=weight,
            hint="Select less, or pass it in parts.",
        )


def _error(kind: str, message: str) -> LLMSpellError:
    if kind == "output":
        return ResourceLimitError(
            message, resource="output in bytes", limit=MAX_OUTPUT, used=f"more than {MAX_OUTPUT}", hint="Select less."
        )
    if kind == "run":
        return ToolError(
            f"the query failed: {message}", tool_name=TOOL, hint="Check the query against the shape of the input."
        )
    return ValidationError(f"{TOOL}: {message}", field=kind, hint=HINTS[kind])
