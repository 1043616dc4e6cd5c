"""Talking to an agent, and using its tools."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from llmspell_core.agent import Agent, LLMAgent
from llmspell_core.errors import SecurityError, ValidationError
from llmspell_core.purse import weigh
from llmspell_core.script.globals.agent.building import table
from llmspell_core.script.globals.agent.contexts import find_context
from llmspell_core.script.globals.agent.conversation import grow
from llmspell_core.script.reference import is_function
from llmspell_core.script.view import View, answer_view, chunk_view, tool_view

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope


async def execute(scope: ScriptScope, agent: Agent, input_: Any, options: Any = None) -> View | dict[str, Any]:
    grow(scope, agent, scope.call_bytes)
    return answer_view(await scope.runtime.run_agent(agent, _with_options(input_, options), scope.context))


async def execute_with_context(scope: ScriptScope, agent: Agent, input_: Any, context: str) -> View | dict[str, Any]:
    grow(scope, agent, scope.call_bytes)
    return answer_view(await scope.runtime.run_agent(agent, input_, find_context(scope, context)))


async def complete(scope: ScriptScope, agent: Agent, prompt: str) -> str:
    grow(scope, agent, scope.call_bytes)
    return str((await scope.runtime.run_agent(agent, prompt, scope.context)).text)


async def stream(scope: ScriptScope, agent: Agent, input_: Any) -> AsyncGenerator[dict[str, Any], None]:
    grow(scope, agent, weigh(input_))
    async with aclosing(scope.runtime.stream_agent(agent, input_, scope.context)) as chunks:
        async for chunk in chunks:
            yield chunk_view(chunk)


async def invoke_stream(scope: ScriptScope, agent: Agent, input_: Any, options: Any, callback: Any) -> Any:
    """`(input, callback)`, or `(input, options, callback)`. The callback's error ends the stream and is raised.

    Without a callback: the chunks, to go over.
    """
    if options is not None and not isinstance(options, dict) and not is_function(options):
        raise ValidationError("Agent:invoke_stream: 'callback' must be a function", field="callback")
    function = callback if callback is not None else options if is_function(options) else None
    chunks = stream(scope, agent, _with_options(input_, None if function is options else options))
    if function is None:
        return chunks
    call = scope.callback(function)
    received = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            received += 1
            await call(chunk)
    return {"success": True, "chunks_received": received}


def _with_options(input_: Any, options: Any) -> Any:
    """The options of one call may stand beside the input, or in its table."""
    if options is None:
        return input_
    base = {"text": input_} if isinstance(input_, str) else table(input_)
    return {**table(options), **base}


async def invoke_tool(
    scope: ScriptScope, agent: Agent, name: str, params: dict[str, Any] | None
) -> View | dict[str, Any]:
    if not has_tool(scope, agent, name):
        raise SecurityError(
            f"agent '{agent.name}' may not use the tool '{name}'",
            violation_type="tool_not_allowed",
            hint=f"Allow it when you build the agent: allow_tool('{name}').",
        )
    return tool_view(await scope.runtime.invoke_tool(name, params or {}, scope.context))


def discover_tools(scope: ScriptScope, _agent: Agent) -> list[str]:
    return list(scope.runtime.tools.names())


def has_tool(_scope: ScriptScope, agent: Agent, name: str) -> bool:
    return name in _tools_of(agent) or name.replace("_", "-") in _tools_of(agent)


def _tools_of(agent: Agent) -> list[str]:
    return agent.tool_names() if isinstance(agent, LLMAgent) else []


def get_tool_metadata(scope: ScriptScope, _agent: Agent, name: str) -> dict[str, Any] | None:
    if not scope.runtime.registry.has("tools", name):
        return None
    tool = scope.runtime.tools.find(name)
    return {"name": tool.name, "description": tool.description, "version": tool.version}


def get_all_tool_metadata(scope: ScriptScope, agent: Agent) -> dict[str, Any]:
    return {name: get_tool_metadata(scope, agent, name) for name in _tools_of(agent)}
