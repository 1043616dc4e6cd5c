"""Calls that tool contracts make, and what they look at in the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import LLMSpellError, ToolError, ValidationError
from llmspell_core.messages import AgentInput, AgentOutput
from llmspell_core.tool import SecurityLevel, Tool, ToolResult

__all__ = [
    "AWKWARD",
    "WRONG",
    "bare_result",
    "call",
    "envelope_of",
    "expect_validation_error",
    "foreign_exception",
    "is_a",
    "not_plain",
    "shape_of",
    "steady_results",
]

SECONDS_PER_CALL = 5.0

# For each type that a schema may declare, a value of another type.
WRONG = {
    "string": {"not": "a string"},
    "integer": "not a number",
    "number": "not a number",
    "boolean": "neither true nor false",
    "array": 5,
    "object": 5,
}
AWKWARD: dict[str, tuple[Any, ...]] = {
    "string": ("", " ", "\x00", "../..", "\ud800", "🦉" * 50, "%s{}{{$(x)", "9" * 400, "a" * 100_000),
    "integer": (0, -1, 2**31, 2**63, -(2**63)),
    "number": (0, -1, 1e308, 2**63),
    "array": ([],),
    "object": ({}, {"": None}),
    "any": (None, [], {}, "", 0),
}


async def call(tool: Tool[Any], parameters: Mapping[str, Any], context: ExecutionContext) -> AgentOutput:
    return await tool.execute(AgentInput(parameters={"parameters": dict(parameters)}), context)


async def bare_result(tool: Tool[Any], parameters: Mapping[str, Any], context: ExecutionContext) -> Any:
    """What `run` hands to the core, before the core touches it."""
    params = tool.validate_parameters(parameters)
    child = context.create_child()
    child.tool_name = tool.name
    if asyncio.iscoroutinefunction(tool.run):
        return await tool.run(params, child)
    return await asyncio.to_thread(tool.run, params, child)


def envelope_of(output: AgentOutput) -> dict[str, Any]:
    envelope: dict[str, Any] = output.metadata.extra["response"]
    return envelope


async def expect_validation_error(
    tool: Tool[Any], parameters: Mapping[str, Any], field: str, context: ExecutionContext
) -> None:
    shown = f"{field}={parameters[field]!r}" if field in parameters else f"no {field}"
    try:
        output = await asyncio.wait_for(call(tool, parameters, context), SECONDS_PER_CALL)
    except ValidationError as error:
        named = (error.field or "").split(".")[0]
        assert named == field, f"with {shown} the error names the field '{error.field}'"
        return
    except LLMSpellError as error:
        pytest.fail(f"with {shown} the tool raises {type(error).__name__}, not ValidationError")
    pytest.fail(f"with {shown} the tool answers {envelope_of(output)!r:.200}")


async def foreign_exception(tool: Tool[Any], parameters: Mapping[str, Any], context: ExecutionContext) -> str | None:
    """The exception that only the core's safety net caught, or None. A call that goes on is stopped: that is no error."""
    try:
        await asyncio.wait_for(call(tool, parameters, context), SECONDS_PER_CALL)
    except ToolError as error:
        cause = error.__cause__
        if cause is not None and error.message == f"{type(cause).__name__}: {cause}":
            return error.message[:200]
    except (TimeoutError, LLMSpellError):
        return None
    except Exception as error:  # noqa: BLE001 - any other exception is what this looks for
        return f"{type(error).__name__}: {error}"[:200]
    return None


def is_a(word: str, value: Any) -> bool:
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "array": (list, tuple),
        "object": (Mapping,),
    }
    return isinstance(value, kinds.get(word, (object,))) and (word == "boolean" or word == "any" or value is not True)


def not_plain(value: Any, where: str) -> str | None:
    """Where in a result something stands that JSON does not know."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return None
    if isinstance(value, ToolResult):
        value = {"result": value.result, "metadata": value.metadata, "extra": value.extra}
    if isinstance(value, Mapping):
        odd_keys = [f"the key {key!r} of {where}" for key in value if not isinstance(key, str)]
        parts = [(f"{where}.{key}", part) for key, part in value.items()]
    elif isinstance(value, (list, tuple)):
        odd_keys, parts = [], [(f"{where}[{index}]", part) for index, part in enumerate(value)]
    else:
        return f"{where} ({type(value).__name__})"
    return next((odd for odd in (*odd_keys, *(not_plain(part, place) for place, part in parts)) if odd), None)


async def steady_results(
    tool: Tool[Any], example: Mapping[str, Any], context: ExecutionContext
) -> list[tuple[Mapping[str, Any], Any]]:
    """Parameters with the result they always have: the example, and the example with one text changed.

    Only the example when the tool acts on the world: two different calls may then meet there.
    """
    needs = tool.security_requirements
    acts = bool(needs.file_permissions or needs.network_permissions) or tool.security_level > SecurityLevel.SAFE
    texts = [] if acts else [name for name, value in example.items() if isinstance(value, str)]
    found = []
    for parameters in (example, *({**example, name: f"{example[name]}1"} for name in texts)):
        try:
            first, second = [envelope_of(await call(tool, parameters, context)).get("result") for _ in range(2)]
        except LLMSpellError:
            continue  # that text was one of a few words, or the name of a file
        if first == second:
            found.append((parameters, first))
    return found


def shape_of(value: Any) -> Any:
    """Keys and types of a result: two calls may tell different times, but not different things."""
    if isinstance(value, Mapping):
        return {key: shape_of(part) for key, part in value.items()}
    return type(value).__name__
