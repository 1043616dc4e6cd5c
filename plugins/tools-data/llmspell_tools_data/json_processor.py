"""The tool `json-processor`."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ResourceLimitError, TimeoutError, ToolError, ValidationError
from llmspell_core.isolated import is_installed
from llmspell_core.purse import indented
from llmspell_core.time_limit import within
from llmspell_core.tool import Tool, ToolResult
from llmspell_tools_data import json_child
from llmspell_tools_data.json_filter import ENDS, RunError, TimeUpError
from llmspell_tools_data.json_subset import QueryError, compile_query
from llmspell_tools_data.json_words import forbidden_word
from llmspell_tools_data.json_worker import loads
from llmspell_tools_data.returns import JSON_PROCESSOR

MAX_BYTES = 100 * 1024 * 1024
MAX_QUERY = 10_000
"""Characters of a query."""
SYNONYMS = {"transform": "query", "jq": "query"}

_BIG_INTEGER = re.compile(r"(?<![\d.eE+-])-?\d{16}")


class Parameters(BaseModel):
    operation: Literal["query", "validate", "stream"] = Field(
        "query",
        description="query: run a jq expression; validate: check against a JSON Schema; "
        "stream: run the expression on each line of JSON lines, all outputs in one array.",
    )
    input: Any = Field(
        None, description="The JSON: data, or a text that holds it. For stream: one JSON value in each line."
    )
    query: str = Field(".", description="The jq expression, for example '.users[] | select(.age > 30) | .name'.")
    schema_: Any = Field(
        None,
        alias="schema",
        description="For validate: the JSON Schema, data or text; draft 7, unless its $schema names another.",
    )

    @field_validator("operation", mode="before")
    @classmethod
    def _synonym(cls, value: Any) -> Any:
        return SYNONYMS.get(value, value) if isinstance(value, str) else value


class JsonProcessor(Tool[Parameters]):
    name = "json-processor"
    description = "Queries and transforms JSON with jq expressions, and validates it against a JSON Schema."
    category = "data"
    parameters = Parameters
    returns = JSON_PROCESSOR
    example = {"operation": "query", "input": {"name": "llmspell", "tags": ["lua", "js"]}, "query": "."}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        if "input" not in params.model_fields_set:
            raise ValidationError(
                "json-processor: 'input' is required", field="input", hint="Pass the JSON to work on."
            )
        if params.operation == "validate":
            return await _validate(params)
        _check_query(params.query)
        outputs = await _outputs(params)
        result = outputs[0] if params.operation == "query" and len(outputs) == 1 else outputs
        text = await asyncio.to_thread(indented, result)
        return ToolResult(result, text=text, text_is_json=True, metadata={"count": len(outputs)})


def _check_query(query: str) -> None:
    if len(query) > MAX_QUERY:
        raise ValidationError(
            f"json-processor: a query may have {MAX_QUERY:,} characters, this one has {len(query):,}",
            field="query",
            hint="Data belongs into the input.",
        )
    word = forbidden_word(query)
    if word is not None:
        ends = word.startswith("halt")
        raise ValidationError(
            f"json-processor: the query may not use '{word}'",
            field="query",
            hint="Use error(...)." if ends else "A query sees only its input: pass what it needs there.",
        )


def _document(value: Any, lines: bool = False) -> str:
    """The input as JSON text, or as lines of it. Raises: ResourceLimitError beyond 100 MB."""
    if isinstance(value, str):
        text = value.removeprefix("\ufeff")
    elif lines and isinstance(value, list):
        text = "\n".join(_dumped(item) for item in value)
    else:
        text = _dumped(value)
    size = len(text.encode())
    if size > MAX_BYTES:
        raise ResourceLimitError(
            "the input is too large",
            resource="input size in bytes",
            limit=MAX_BYTES,
            used=size,
            hint="Pass it in parts.",
        )
    return text


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(
            f"json-processor: the input cannot be JSON: {error}", field="input", hint="Pass plain data or a JSON text."
        ) from None


async def _outputs(params: Parameters) -> list[Any]:
    lines = params.operation == "stream"
    document = await asyncio.to_thread(_document, params.input, lines)
    if not is_installed("jq") or await asyncio.to_thread(_needs_exact_numbers, params.query, document):
        return await asyncio.to_thread(_subset_outputs, params.query, document, lines)
    return await json_child.ask("query", document, query=params.query, lines=lines)


def _needs_exact_numbers(query: str, document: str) -> bool:
    """Whether jq would round what the basic part of its language, in Python, keeps: integers beyond 2^53."""
    if query.strip() == ".":
        return True
    if _BIG_INTEGER.search(document) is None:
        return False
    try:
        compile_query(query)
    except (QueryError, RecursionError):
        return False
    return True


def _subset_outputs(query: str, document: str, lines: bool) -> list[Any]:
    """Without jq: the common part of its language, in Python, stopping at the same deadline."""
    seconds = within(json_child.MAX_SECONDS)
    ENDS.set(time.monotonic() + seconds)
    try:
        run = compile_query(query)
        return [output for value in _values(document, lines) for output in run(value)]
    except QueryError as error:
        raise ValidationError(
            f"json-processor: {error} (jq is not installed; only its basic part works)",
            field="query",
            hint="pip install jq",
        ) from None
    except TimeUpError:
        raise TimeoutError(
            f"json-processor was not done after {seconds:.3g} seconds",
            duration_ms=round(seconds * 1000),
            hint="Pass less data at a time.",
        ) from None
    except (RunError, RecursionError) as error:
        raise ToolError(
            f"the query failed: {error}", tool_name="json-processor", hint="Check it against the input."
        ) from None


def _values(document: str, lines: bool) -> Iterator[Any]:
    texts = document.split("\n") if lines else [document]
    for number, text in enumerate(texts, 1):
        if text.strip() or not lines:
            yield _parsed(text, f"line {number}" if lines else "the input")


def _parsed(text: str, what: str, field: str = "input") -> Any:
    json_child.check_weight(text, what)
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValidationError(
            f"json-processor: {what} is not JSON: {reason}", field=field, hint="Pass data, or text that is JSON."
        ) from None


async def _validate(params: Parameters) -> ToolResult:
    if params.schema_ is None:
        raise ValidationError(
            "json-processor: 'schema' is required", field="schema", hint="Pass a JSON Schema (draft 7)."
        )
    schema = params.schema_
    if isinstance(schema, str):
        schema = _parsed(schema, "the schema", "schema")
    document = await asyncio.to_thread(_document, params.input)
    errors = await json_child.ask("validate", document, schema=schema)
    result = {"is_valid": not errors, "errors": errors}
    message = "JSON is valid" if not errors else "JSON is not valid"
    return ToolResult(result, text=indented(result), text_is_json=True, message=message)
