"""Tool calls and JSON from servers and models that know no tools: a schema decides the form, the model only fills it in.

A forced tool call is an answer of the schema `{"name": <one of the tools>, "arguments": <its schema>}`. Every server that
can hold a model to a JSON schema can do that, whether or not the model's chat template has heard of tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.json_text import read_json
from llmspell_core.messages import AgentChunk, Message, ToolCall, new_id
from llmspell_core.provider import INVALID_JSON, Completion, CompletionRequest, FinishReason, ToolDefinition
from llmspell_core.provider.reading import arguments_of

__all__ = [
    "as_call",
    "as_text_history",
    "bounded",
    "call_stream",
    "forced_request",
    "forced_tools",
    "held",
    "read_call",
]

MAX_STRING = 200
MAX_ITEMS = 16
UNSUPPORTED = frozenset({"pattern", "format", "default", "examples", "title", "$schema", "$comment", "multipleOf"})
INSTRUCTION = """You have {these}:
{tools}
Reply with a JSON object with the function's name and its arguments, taken from the user's question."""

CONTINUE = "So what is the answer?"


def forced_tools(request: CompletionRequest) -> list[ToolDefinition]:
    """The tools of which one must be called; empty when the model is free.

    Raises:
        ValidationError: the named tool is not among the tools.
    """
    if request.tool_choice in {"auto", "none"} or not request.tools:
        return []
    if request.tool_choice == "required":
        return request.tools
    named = [tool for tool in request.tools if tool.name == request.tool_choice]
    if not named:
        names = ", ".join(tool.name for tool in request.tools)
        raise ValidationError(
            f"tool_choice names '{request.tool_choice}', which is not among the tools",
            field="tool_choice",
            hint=f"The tools are: {names}.",
        )
    return named


def forced_request(
    request: CompletionRequest, tools: list[ToolDefinition], *, required_only: bool = False
) -> CompletionRequest:
    """The same question, to be answered with one call of one of `tools`.

    Args:
        required_only: leave the optional arguments out; a tiny model fills in whatever it may, and then gets worse.
    """
    schemas = [call_schema(tool, required_only=required_only) for tool in tools]
    system = Message("system", brief_instruction(tools) if required_only else instruction(tools))
    return replace(
        request,
        messages=[*(m for m in request.messages if m.role == "system"), system, *not_system(request.messages)],
        tools=[],
        tool_choice="auto",
        temperature=0.0 if request.temperature is None else request.temperature,
        response_schema=schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
    )


def not_system(messages: Iterable[Message]) -> list[Message]:
    return [m for m in messages if m.role != "system"]


def call_schema(tool: ToolDefinition, *, required_only: bool = False) -> dict[str, Any]:
    arguments = bounded(tool.parameters or {"type": "object"}, drop_open=True)
    arguments.setdefault("properties", {})
    required = arguments.get("required")
    if required_only and required:
        arguments["properties"] = {k: v for k, v in arguments["properties"].items() if k in required}
    properties = {"name": {"const": tool.name}, "arguments": arguments}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def instruction(tools: list[ToolDefinition]) -> str:
    lines = [f"{tool.name}: {tool.description} Arguments: {arguments_line(tool)}" for tool in tools]
    return INSTRUCTION.format(these="this function" if len(tools) == 1 else "these functions", tools="\n".join(lines))


def brief_instruction(tools: list[ToolDefinition]) -> str:
    """Without the arguments' descriptions: a tiny model copies those instead of the user's words."""
    lines = [f"Function {tool.name}. {tool.description}" for tool in tools]
    return "\n".join([*lines, "Reply with a JSON object."])


def arguments_line(tool: ToolDefinition) -> str:
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    words = {name: spec.get("description") or spec.get("type", "any") for name, spec in properties.items()}
    return json.dumps(words, ensure_ascii=False)


def bounded(schema: Any, *, drop_open: bool = False) -> Any:
    """`schema` such that every answer comes to an end: strings and lists limited, objects closed.

    Args:
        drop_open: leave out optional properties that may hold anything; a small model loses itself in them.
    """
    if isinstance(schema, list):
        return [bounded(item, drop_open=drop_open) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {k: v if k in {"enum", "const", "required"} else _inner(k, v, drop_open) for k, v in schema.items()}
    made = {k: v for k, v in made.items() if k not in UNSUPPORTED or k in PROPERTY_MAPS}
    return _limited(made, drop_open)


PROPERTY_MAPS = frozenset({"properties", "$defs", "definitions"})


def _inner(key: str, value: Any, drop_open: bool) -> Any:
    """Below `properties` the keys are names, not keywords."""
    if key in PROPERTY_MAPS and isinstance(value, dict):
        return {name: bounded(spec, drop_open=drop_open) for name, spec in value.items()}
    return bounded(value, drop_open=drop_open)


def _limited(schema: dict[str, Any], drop_open: bool) -> dict[str, Any]:
    if schema.get("type") == "string" and not {"enum", "const"} & schema.keys():
        schema["maxLength"] = min(schema.get("maxLength", MAX_STRING), MAX_STRING)
    elif schema.get("type") == "array":
        schema["maxItems"] = min(schema.get("maxItems", MAX_ITEMS), MAX_ITEMS)
    elif "properties" in schema:
        schema["additionalProperties"] = False
        required = schema.get("required", [])
        for name in [
            n for n, spec in schema["properties"].items() if drop_open and n not in required and is_open(spec)
        ]:
            del schema["properties"][name]
        for name in required:
            _fill(schema["properties"].get(name), drop_open)
    return schema


def _fill(spec: Any, drop_open: bool) -> None:
    """A required argument is never empty: a small model would often leave it so."""
    if drop_open and isinstance(spec, dict) and spec.get("type") == "string" and "maxLength" in spec:
        spec.setdefault("minLength", 1)


def is_open(spec: Any) -> bool:
    """Whether anything may stand there."""
    if not isinstance(spec, dict):
        return True
    if "anyOf" in spec:
        return any(is_open(option) for option in spec["anyOf"])
    if spec.get("type") == "object":
        return not spec.get("properties")
    if spec.get("type") == "array":
        return is_open(spec.get("items"))
    return not {"type", "enum", "const", "$ref"} & spec.keys()


def read_call(text: str, tools: list[ToolDefinition]) -> ToolCall:
    """The call in `text`; one that was cut off is marked as such, so that the model hears of it."""
    call = ToolCall(new_id("call"), tools[0].name)
    try:
        data = read_json(text, strict=False)
        call.tool_name, call.parameters = str(data["name"]), arguments_of(data["arguments"])
    except (ValueError, KeyError, TypeError, RecursionError):
        named = re.search(r'"name"\s*:\s*"([^"]*)"', text)
        call.tool_name = named[1] if named else call.tool_name
        call.parameters = {INVALID_JSON: text}
    return call


def as_call(answer: Completion, tools: list[ToolDefinition]) -> Completion:
    """The answer to a forced request as the call that it is."""
    call = read_call(answer.text, tools)
    finish: FinishReason = "length" if INVALID_JSON in call.parameters else "tool_calls"
    return Completion("", [call], answer.usage, answer.model, finish)


async def call_stream(
    chunks: AsyncGenerator[AgentChunk, None], tools: list[ToolDefinition]
) -> AsyncGenerator[AgentChunk, None]:
    """As `as_call`, for a stream: the text becomes progress, the call comes before the end."""
    text, name, call_id = "", tools[0].name if len(tools) == 1 else None, new_id("call")
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.type == "text":
                text += chunk.text
                progress = replace(chunk, type="tool_call_progress", text="", tool_name=name, call_id=call_id)
                yield replace(progress, arguments=text)
            elif chunk.type == "end":
                call = replace(read_call(text, tools), tool_id=call_id)
                made = AgentChunk("tool_call", "", chunk.stream_id, chunk.chunk_index, call_id, call.tool_name, call)
                yield made
                reason = "length" if INVALID_JSON in call.parameters else "tool_calls"
                data = (chunk.data or {}) | {"finish_reason": reason}
                yield replace(chunk, chunk_index=chunk.chunk_index + 1, data=data)


async def held(chunks: AsyncGenerator[AgentChunk, None]) -> AsyncGenerator[AgentChunk, None]:
    """The chunks, from where it is sure that a tool is called; none at all, not even the end, when none is."""
    kept: list[AgentChunk] = []
    sure = False
    async with aclosing(chunks):
        async for chunk in chunks:
            sure = sure or chunk.type in {"tool_call_progress", "tool_call"}
            kept.append(chunk)
            while sure and kept:
                yield kept.pop(0)


def as_text_history(messages: list[Message]) -> list[Message]:
    """Earlier tool calls and results as plain turns, for a chat template that has no words for them.

    The assistant tells what it did and what came of it, and is asked to go on; tiny models answer best to that.
    """
    calls = {call.tool_id: call for message in messages for call in message.tool_calls}
    turns = merged([plain_turn(message, calls) for message in messages])
    if messages and messages[-1].role == "tool":
        turns.append(Message("user", CONTINUE))
    return [turn for turn in turns if turn.content or turn.media]


def plain_turn(message: Message, calls: Mapping[str, ToolCall]) -> Message:
    if message.role == "assistant":
        return Message("assistant", message.content)
    if message.role != "tool":
        return message
    call = calls.get(message.tool_call_id or "")
    if call is None:
        return Message("assistant", f"The function returned: {message.content}")
    arguments = ", ".join(f"{name} = {value}" for name, value in call.parameters.items())
    what = f"I called {call.tool_name}{' with ' + arguments if arguments else ''}."
    return Message("assistant", f"{what} It returned: {message.content}")


def merged(messages: list[Message]) -> list[Message]:
    """Neighbouring turns of one role as one: templates expect the roles to alternate."""
    made: list[Message] = []
    for message in messages:
        last = made[-1] if made else None
        if last is not None and last.role == message.role:
            text = "\n".join(filter(None, [last.content, message.content]))
            made[-1] = replace(last, content=text, media=[*last.media, *message.media])
        else:
            made.append(message)
    return made
