"""The script global `Agent`: build agents and talk to them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from llmspell_core.agent import AgentConfig, LLMAgent, ResourceLimits
from llmspell_core.errors import LLMSpellError, SecurityError, ValidationError
from llmspell_core.messages import as_list, new_id
from llmspell_core.script.declare import Builder, Function, Global, Handle, Param, Setter
from llmspell_core.script.view import chunk_view, output_view

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

TYPES = ("llm", "basic", "tool-orchestrator")
LIMITS = tuple(f.name for f in fields(ResourceLimits))
LIMIT_ALIASES = {"max_execution_time": "max_execution_time_secs"}
INPUT = Param(
    "input",
    "any",
    options=True,
    doc="A prompt, or a table with `text` and overrides for this call, e.g. `temperature`.",
)
NAME = Param("name", "string")
TEXT = Param("text", "string")
INTEGER = Param("n", "integer")


# -- building -----------------------------------------------------------------------------------------------------


def config_from(fields_: Mapping[str, Any]) -> AgentConfig:
    """An agent's configuration from what a builder collected or a script wrote in one table."""
    given = dict(fields_)
    custom = {**_table(given.pop("custom_config", None)), **_table(given.pop("custom", None))}
    for name in ("system_prompt", "max_conversation_length"):
        if name in custom:
            given.setdefault(name, custom[name])
    _spread_model(given)
    limits = {LIMIT_ALIASES.get(k, k): v for k, v in {**_table(given.pop("resource_limits", None)), **given}.items()}
    made = ResourceLimits(**{k: v for k, v in limits.items() if k in LIMITS and v is not None})
    agent_type = given.pop("agent_type", None) or given.pop("type", None) or "llm"
    known = {f.name for f in fields(AgentConfig)} - {"limits", "custom", "allowed_tools", "agent_type"}
    values = {k: v for k, v in given.items() if k in known and v is not None}
    values.setdefault("name", new_id("agent"))
    tools = tuple(_tool_name(t) for t in [*as_list(given.get("allowed_tools")), *as_list(given.get("tools"))])
    return AgentConfig(**values, agent_type=agent_type, allowed_tools=tools, limits=made, custom=custom)


def _table(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _spread_model(given: dict[str, Any]) -> None:
    """`model = {provider, model_id, temperature?, max_tokens?, settings?}` becomes flat fields."""
    model = given.get("model")
    if not isinstance(model, Mapping):
        return
    given["model"] = model.get("model_id") or model.get("model")
    for name in ("provider", "temperature", "max_tokens"):
        given.setdefault(name, model.get(name))
    for name, value in _table(model.get("settings")).items():
        given.setdefault(name, value)


def _tool_name(value: Any) -> str:
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", value)
    if not isinstance(name, str):
        raise ValidationError(f"a tool is named by a string, got {value!r}", field="tools")
    return name


def build(scope: ScriptScope, given: dict[str, Any]) -> LLMAgent:
    config = config_from(given)
    if config.model is None and config.provider is None and scope.runtime.providers.configured():
        config = replace(config, provider=scope.runtime.config.get("providers.default_provider"))
    agent: LLMAgent = scope.runtime.create_agent(config)
    scope.on_close(lambda: scope.runtime.remove_agent(agent.name))
    return agent


def create(scope: ScriptScope, config: dict[str, Any]) -> LLMAgent:
    return build(scope, config)


def register(scope: ScriptScope, config: Any, more: dict[str, Any] | None) -> str:
    given = {"name": config, **(more or {})} if isinstance(config, str) else _table(config)
    return build(scope, given).name


def create_from_template(scope: ScriptScope, name: str, template: Any, params: dict[str, Any] | None) -> LLMAgent:
    if isinstance(template, Mapping) or template is None:
        name, template, params = new_id(name), name, _table(template)
    if template not in TYPES:
        raise ValidationError(
            f"Unknown agent template: {template}", field="template", hint=f"Use one of {', '.join(TYPES)}."
        )
    return build(scope, {**(params or {}), "name": name, "agent_type": template})


# -- finding ------------------------------------------------------------------------------------------------------


def list_agents(scope: ScriptScope) -> list[dict[str, Any]]:
    return [
        {
            "name": a.name,
            "type": a.config.agent_type,
            "model": f"{a.config.provider}/{a.config.model}",
            "description": a.description,
        }
        for a in scope.runtime.agents.values()
    ]


def list_instances(scope: ScriptScope) -> list[str]:
    return sorted(scope.runtime.agents)


def get(scope: ScriptScope, name: str) -> LLMAgent | None:
    found: LLMAgent | None = scope.runtime.agents.get(name)
    return found


def discover(_scope: ScriptScope) -> list[dict[str, str]]:
    return [{"type": word} for word in TYPES]


def list_templates(_scope: ScriptScope) -> list[str]:
    return list(TYPES)


def discover_by_capability(scope: ScriptScope, capability: str) -> list[str]:
    agents = scope.runtime.agents.values()
    if capability in {"streaming", "tools", "context"}:
        return [a.name for a in agents]
    word = capability.lower()
    return [a.name for a in agents if word in a.description.lower() or word in a.name.lower()]


def list_capabilities(scope: ScriptScope) -> dict[str, Any]:
    return {a.name: _capabilities(a) for a in scope.runtime.agents.values()}


def _capabilities(agent: LLMAgent) -> dict[str, Any]:
    config = agent.config
    return {
        "id": str(agent.metadata.id),
        "name": agent.name,
        "description": agent.description,
        "config": {
            "system_prompt": config.system_prompt,
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
        },
        "capabilities": {
            "supports_streaming": True,
            "supports_tools": True,
            "supports_context": True,
            "supports_multimodal": agent.supports_multimodal,
        },
    }


def get_info(scope: ScriptScope, name: str) -> dict[str, Any]:
    info = {
        "name": name,
        "description": f"Agent type {name}",
        "category": "agent",
        "complexity": "basic",
        "required_parameters": ["model"],
        "optional_parameters": ["system_prompt", "temperature", "max_tokens", "allowed_tools"],
    }
    agent = scope.runtime.agents.get(name)
    if agent is not None:
        info |= {"description": agent.description, "model": f"{agent.config.provider}/{agent.config.model}"}
        info["capabilities"] = _capabilities(agent)["capabilities"]
    return info


def get_details(scope: ScriptScope, name: str) -> dict[str, Any]:
    agent = scope.runtime.agent_for(name)
    return {
        **_capabilities(agent),
        "state": agent.state,
        "metrics": get_metrics(scope, agent),
        "config": agent.config.public(),
    }


# -- talking ------------------------------------------------------------------------------------------------------


async def execute(scope: ScriptScope, agent: LLMAgent, input_: Any) -> dict[str, Any]:
    return output_view(await scope.runtime.run_agent(agent, input_, scope.context))


async def complete(scope: ScriptScope, agent: LLMAgent, prompt: str) -> str:
    return str((await scope.runtime.run_agent(agent, prompt, scope.context)).text)


async def stream(scope: ScriptScope, agent: LLMAgent, input_: Any) -> AsyncIterator[dict[str, Any]]:
    async with aclosing(scope.runtime.stream_agent(agent, input_, scope.context)) as chunks:
        async for chunk in chunks:
            yield chunk_view(chunk)


async def invoke_stream(
    scope: ScriptScope, agent: LLMAgent, input_: Any, options: Any, callback: Any
) -> dict[str, Any]:
    """`(input, callback)`, or `(input, options, callback)`. The callback's error ends the stream and is raised."""
    function, merged = (callback, _with_options(input_, options)) if callback is not None else (options, input_)
    if function is None:
        raise ValidationError("Agent:invoke_stream: 'callback' must be a function", field="callback")
    call = scope.callback(function)
    received = 0
    async with aclosing(stream(scope, agent, merged)) as chunks:
        async for chunk in chunks:
            received += 1
            await call(chunk)
    return {"success": True, "chunks_received": received}


def _with_options(input_: Any, options: Any) -> Any:
    base = {"text": input_} if isinstance(input_, str) else _table(input_)
    return {**_table(options), **base}


async def invoke_tool(scope: ScriptScope, agent: LLMAgent, name: str, params: dict[str, Any] | None) -> dict[str, Any]:
    if not has_tool(scope, agent, name):
        raise SecurityError(
            f"agent '{agent.name}' may not use the tool '{name}'",
            violation_type="tool_not_allowed",
            hint=f"Allow it when you build the agent: allow_tool('{name}').",
        )
    return output_view(await scope.runtime.invoke_tool(name, params or {}, scope.context))


def discover_tools(scope: ScriptScope, _agent: LLMAgent) -> list[str]:
    return list(scope.runtime.tool_names())


def has_tool(_scope: ScriptScope, agent: LLMAgent, name: str) -> bool:
    return name in agent.tool_names() or name.replace("_", "-") in agent.tool_names()


def get_tool_metadata(scope: ScriptScope, _agent: LLMAgent, name: str) -> dict[str, Any] | None:
    if not scope.runtime.registry.has("tools", name):
        return None
    tool = scope.runtime.tool_for(name)
    return {"name": tool.name, "description": tool.description, "version": tool.version}


def get_all_tool_metadata(scope: ScriptScope, agent: LLMAgent) -> dict[str, Any]:
    return {name: get_tool_metadata(scope, agent, name) for name in agent.tool_names()}


# -- looking inside -----------------------------------------------------------------------------------------------


def get_config(_scope: ScriptScope, agent: LLMAgent) -> dict[str, Any]:
    return {**agent.config.public(), "type": agent.config.agent_type}


def get_metrics(_scope: ScriptScope, agent: LLMAgent) -> dict[str, Any]:
    metrics = agent.metrics()
    return {"agent_id": str(agent.metadata.id), **metrics}


def get_performance(_scope: ScriptScope, agent: LLMAgent) -> dict[str, Any]:
    metrics = agent.metrics()
    return {
        "total_executions": metrics["requests_total"],
        "avg_execution_time_ms": metrics["avg_execution_time_ms"],
        "success_rate": metrics["success_rate"],
        "error_rate": metrics["requests_failed"] / max(metrics["requests_total"], 1),
    }


async def get_health(scope: ScriptScope, agent: LLMAgent) -> dict[str, Any]:
    try:
        provider, _ = await scope.runtime.provider_for(agent.config)
        health = await provider.health()
        status, reason = ("healthy", None) if health.healthy else ("unhealthy", health.reason)
    except LLMSpellError as error:
        status, reason = "unhealthy", error.message
    return {"status": status, "message": reason, "timestamp": int(time.time())}


def get_state(_scope: ScriptScope, agent: LLMAgent) -> str:
    return agent.state


def get_conversation(_scope: ScriptScope, agent: LLMAgent) -> list[dict[str, Any]]:
    return [message.to_dict() for message in agent.history]


def clear_conversation(_scope: ScriptScope, agent: LLMAgent) -> None:
    agent.clear_conversation()


def destroy(scope: ScriptScope, agent: LLMAgent) -> None:
    scope.runtime.remove_agent(agent.name)


AGENT = Handle(
    "Agent",
    fields=("name",),
    doc="An agent.",
    methods=(
        Function(
            "execute",
            execute,
            (INPUT,),
            "object",
            "Ask and wait for the answer: `text`, `tool_calls`, `metadata`.",
            blocking=True,
            async_variant=True,
        ),
        Function(
            "invoke_stream",
            invoke_stream,
            (
                INPUT,
                Param("options", "any", required=False, callbacks=("*",)),
                Param("callback", "function", required=False),
            ),
            "object",
            "Ask, and call a function with each chunk of the answer.",
            blocking=True,
            aliases=("invokeStream",),
        ),
        Function(
            "stream", stream, (INPUT,), "stream", "Ask, and iterate over the chunks of the answer.", blocking=True
        ),
        Function(
            "complete",
            complete,
            (Param("prompt", "string"),),
            "string",
            "Ask; only the text of the answer.",
            blocking=True,
            async_variant=True,
        ),
        Function(
            "invoke_tool",
            invoke_tool,
            (NAME, Param("params", "object", required=False)),
            "object",
            "Run one of the agent's tools.",
            blocking=True,
            aliases=("invokeTool",),
        ),
        Function("discover_tools", discover_tools, returns="array", doc="Names of all registered tools."),
        Function("has_tool", has_tool, (NAME,), "boolean", "Whether the agent may use a tool."),
        Function(
            "get_tool_metadata", get_tool_metadata, (NAME,), "object", "A tool's name, description and version, or nil."
        ),
        Function(
            "get_all_tool_metadata", get_all_tool_metadata, returns="object", doc="The same for all of its tools."
        ),
        Function("get_config", get_config, returns="object", doc="How it was built, without secrets."),
        Function("get_metrics", get_metrics, returns="object", doc="Counts of requests, failures and tokens."),
        Function("get_performance", get_performance, returns="object", doc="Counts and averages."),
        Function("get_health", get_health, returns="object", doc="Whether its provider answers.", blocking=True),
        Function(
            "get_state",
            get_state,
            returns="string",
            doc="Ready, Running, Terminated, ...",
            aliases=("get_agent_state",),
        ),
        Function("get_conversation", get_conversation, returns="array", doc="The messages so far."),
        Function("clear_conversation", clear_conversation, returns="null", doc="Forget them."),
        Function("destroy", destroy, returns="null", doc="End the agent and free its name."),
    ),
)

BUILDER = Builder(
    "builder",
    doc="Collects how an agent is to be.",
    build=Function(
        "build",
        build,
        returns="Agent",
        doc="Make the agent. Without a model: the configured default, or the embedded local model.",
    ),
    setters=(
        Setter("name", Param("name", "string"), doc="Unique among live agents."),
        Setter("description", TEXT),
        Setter("type", TEXT, doc="`llm`."),
        Setter("model", Param("model", "string"), doc="`provider/model`."),
        Setter("provider", Param("provider", "string")),
        Setter("system_prompt", TEXT),
        Setter("temperature", Param("temperature", "number")),
        Setter("max_tokens", INTEGER),
        Setter("max_conversation_length", INTEGER),
        Setter("base_url", Param("url", "string")),
        Setter("api_key", Param("key", "string")),
        Setter(
            "allow_tool", Param("tool", "any"), mode="append", field="tools", aliases=("tool",), doc="One more tool."
        ),
        Setter("allowed_tools", Param("tools", "array"), aliases=("tools",), doc="The tools it may use; `*` is all."),
        Setter(
            "tool_choice",
            Param("choice", "string"),
            doc="`auto`, `none`, `required`, or the tool that must be called first.",
        ),
        Setter("response_schema", Param("schema", "object"), doc="JSON schema that the answer must follow."),
        Setter("max_execution_time", Param("seconds", "number"), aliases=("max_execution_time_secs",)),
        Setter("max_memory_mb", INTEGER),
        Setter("max_tool_calls", INTEGER),
        Setter("max_iterations", INTEGER, doc="Model calls per execution."),
        Setter("max_recursion_depth", INTEGER),
        Setter("resource_limits", Param("limits", "object", options=True)),
        Setter("custom_config", Param("config", "object"), mode="merge", field="custom_config"),
        Setter("capability", Param("name", "string"), mode="append", field="capabilities"),
        Setter("memory_enabled", Param("enabled", "boolean")),
        Setter("context_window", INTEGER),
    ),
)

CONFIG = Param("config", "object", options=True, doc="The builder's fields in one table.")

GLOBAL = Global(
    "Agent",
    doc="Build agents and talk to them.",
    handles=(AGENT,),
    builders=(BUILDER,),
    functions=(
        Function(
            "create",
            create,
            (CONFIG,),
            "Agent",
            "An agent from one table.",
            blocking=True,
            aliases=("new", "create_async"),
        ),
        Function(
            "register",
            register,
            (
                Param("config", "any", options=True, doc="A table, or a name."),
                Param("more", "object", required=False, options=True),
            ),
            "string",
            "The same, but returns the name.",
            blocking=True,
        ),
        Function("list", list_agents, returns="array", doc="Live agents: `name`, `type`, `model`, `description`."),
        Function("list_instances", list_instances, returns="array", doc="Their names."),
        Function("get", get, (NAME,), "Agent", "An agent by name, or nil."),
        Function("discover", discover, returns="array", doc="Agent types."),
        Function("list_templates", list_templates, returns="array", doc="Names for `create_from_template`."),
        Function(
            "create_from_template",
            create_from_template,
            (
                Param("name", "string"),
                Param("template", "any", required=False),
                Param("params", "object", required=False),
            ),
            "Agent",
            "An agent of a type.",
            blocking=True,
        ),
        Function(
            "discover_by_capability",
            discover_by_capability,
            (Param("capability", "string"),),
            "array",
            "Names of agents that can do something.",
        ),
        Function("list_capabilities", list_capabilities, returns="object", doc="name -> what the agent can do."),
        Function("get_info", get_info, (NAME,), "object", "About a type or a live agent."),
        Function("get_details", get_details, (NAME,), "object", "About a live agent; raises when there is none."),
    ),
)
