"""Starts a worker process for one query or validation, and ends it: with its answer, at its deadline, or when cancelled."""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llmspell_core.errors import (
    LLMSpellError,
    ResourceLimitError,
    TimeoutError,
    ToolError,
    ValidationError,
)

WORKER = Path(__file__).with_name("json_worker.py")
MIB = 1024 * 1024
MAX_MEMORY = 2048 * MIB
MAX_OUTPUT = 100 * MIB
MAX_SECONDS = 30.0
TOOL = "json-processor"


async def ask(operation: str, document: str, *, query: str = ".", schema: Any = None, lines: bool = False) -> list[Any]:
    """The outputs of `query` on the document (or on each of its lines), or the errors of its validation.

    Raises:
        ValidationError: the document, the query or the schema is not one.
        ToolError: the query failed while it ran.
        ResourceLimitError: it needs more memory, or produces more, than it may.
        TimeoutError: it took too long.
    """
    library = "jsonschema_rs" if operation == "validate" else "jq"
    request = {
        "operation": operation,
        "query": query,
        "schema": schema,
        "lines": lines,
        "path": [_home_of(library)],
        "memory": MAX_MEMORY,
        "seconds": int(MAX_SECONDS) + 1,
        "output": MAX_OUTPUT,
    }
    given = await asyncio.to_thread(lambda: json.dumps(request).encode() + b"\n" + document.encode())
    answer = await asyncio.to_thread(json.loads, await _run(given))
    if "error" in answer:
        raise _error(**answer["error"])
    outputs: list[Any] = answer["ok"]
    return outputs


def has(library: str) -> bool:
    return find_spec(library) is not None


def _home_of(library: str) -> str:
    """The folder a worker has to look in; it gets no other."""
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        name = library.replace("_", "-")
        raise ToolError(f"{TOOL} needs {name}, which is not installed", tool_name=TOOL, hint=f"pip install {name}")
    origin = Path(spec.origin)
    return str(origin.parent.parent if origin.name.startswith("__init__.") else origin.parent)


async def _run(given: bytes) -> bytes:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-I", "-S", "-X", "utf8", str(WORKER))
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment())
    try:
        async with asyncio.timeout(MAX_SECONDS):
            output, errors = await process.communicate(given)
    except builtins.TimeoutError:
        raise not_in_time() from None
    finally:
        await _end(process)
    if process.returncode != 0 or not output:
        raise _crash(process.returncode, errors.decode(errors="replace"))
    return output


def not_in_time() -> TimeoutError:
    return TimeoutError(
        f"{TOOL} was not done after {MAX_SECONDS:g} seconds",
        duration_ms=round(MAX_SECONDS * 1000),
        hint="Look for an endless recursion in the query, or pass less data at a time.",
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


def _environment() -> dict[str, str]:
    """Nothing that a query could read; Windows alone cannot start a process without its root."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}


def _crash(code: int | None, errors: str) -> LLMSpellError:
    if "alloc" in errors or "MemoryError" in errors:
        return _error("memory", "")
    last = errors.strip().splitlines()[-1:] or [f"exit code {code}"]
    return ToolError(
        f"the JSON worker ended without an answer: {last[0][:200]}",
        tool_name=TOOL,
        hint="Simplify the query or the schema.",
    )


def _error(kind: str, message: str) -> LLMSpellError:
    if kind in {"memory", "output"}:
        limit = MAX_MEMORY if kind == "memory" else MAX_OUTPUT
        text = "the query or the data needs too much memory" if kind == "memory" else message
        return ResourceLimitError(
            text,
            resource=f"{kind} in bytes",
            limit=limit,
            used=f"more than {limit}",
            hint="Select less, or pass less data.",
        )
    if kind == "run":
        return ToolError(
            f"the query failed: {message}", tool_name=TOOL, hint="Check the query against the shape of the input."
        )
    hints = {
        "input": "Pass data, or text that is JSON; a plain string needs quotes of its own.",
        "query": "See https://jqlang.org/manual/ for the language.",
        "schema": "Pass a JSON Schema (draft 7) that refers to nothing outside itself.",
    }
    return ValidationError(f"{TOOL}: {message}", field=kind, hint=hints[kind])
