"""Making agents from what a script says."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from llmspell_core.agent import Agent, AgentConfig, ApprovalRequest, LLMAgent, ResourceLimits
from llmspell_core.errors import NotFoundError, ValidationError
from llmspell_core.messages import as_list, new_id
from llmspell_core.names import check_known, nearest
from llmspell_core.script.declare import snake
from llmspell_core.script.globals.address import check_server
from llmspell_core.script.reference import is_function

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

log = logging.getLogger("llmspell.script.agent")
TYPES = ("llm", "basic", "tool-orchestrator")
LIMITS = tuple(f.name for f in fields(ResourceLimits))
LIMIT_ALIASES = {"max_execution_time": "max_execution_time_secs", "max_cost": "max_cost_usd"}
LISTS = ("allowed_tools", "ask_tools", "handoff_targets")
PLAIN = tuple(f.name for f in fields(AgentConfig) if f.name not in {"limits", "custom", "agent_type", *LISTS})
ACCEPTED = ("schema", "type", "agent_type", "tools", "custom", "custom_config", "resource_limits", "on_approval")
NOTED = ("capabilities", "memory_enabled")
"""What older scripts say about an agent, and nothing follows from."""
IDLE = (*NOTED, "max_memory_mb")
"""What is accepted and does nothing: a script that says it is told so."""
KNOWN = frozenset((*PLAIN, *LISTS, *LIMITS, *LIMIT_ALIASES, *ACCEPTED, *NOTED))
MISSPELT = 0.8
"""From how similar a name on a tool that is not there is a mistake, and not a tool of another installation."""
MODEL = ("provider", "model_id", "model", "temperature", "max_tokens", "settings")


def config_from(fields_: Mapping[str, Any]) -> AgentConfig:
    """An agent's configuration from what a builder collected or a script wrote in one table."""
    given = dict(fields_)
    custom = {**table(given.pop("custom_config", None)), **table(given.pop("custom", None))}
    for name in ("system_prompt", "max_conversation_length"):
        if name in custom:
            given.setdefault(name, custom[name])
    if "schema" in given:
        given.setdefault("response_schema", given.pop("schema"))
    _spread_model(given)
    check_known("Agent", given, KNOWN)
    given["resource_limits"] = {snake(name): value for name, value in table(given.get("resource_limits")).items()}
    check_known("Agent: resource_limits", given["resource_limits"], (*LIMITS, *LIMIT_ALIASES), "limit")
    limits = {LIMIT_ALIASES.get(k, k): v for k, v in {**table(given.pop("resource_limits", None)), **given}.items()}
    made = ResourceLimits(**{k: v for k, v in limits.items() if k in LIMITS and v is not None})
    agent_type = given.pop("agent_type", None) or given.pop("type", None) or "llm"
    values = {k: v for k, v in given.items() if k in PLAIN and v is not None}
    values.setdefault("name", new_id("agent"))
    return AgentConfig(**values, **_lists(given), agent_type=agent_type, limits=made, custom=custom)


def _lists(given: Mapping[str, Any]) -> dict[str, Any]:
    """Tools that need consent are allowed as well."""
    tools = [_tool_name(t) for t in [*as_list(given.get("allowed_tools")), *as_list(given.get("tools"))]]
    ask = [_tool_name(t) for t in as_list(given.get("ask_tools"))]
    if "*" not in tools:
        tools += [name for name in ask if name != "*"]
    targets = [getattr(t, "name", t) for t in as_list(given.get("handoff_targets"))]
    return {
        "allowed_tools": tuple(dict.fromkeys(tools)),
        "ask_tools": tuple(dict.fromkeys(ask)),
        "handoff_targets": tuple(dict.fromkeys(str(target) for target in targets)),
    }


def table(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _spread_model(given: dict[str, Any]) -> None:
    """`model = {provider, model_id, temperature?, max_tokens?, settings?}` becomes flat fields, a list one text."""
    model = given.get("model")
    if isinstance(model, list) and all(isinstance(each, str) for each in model):
        given["model"] = ", ".join(model)
    elif model is not None and not isinstance(model, str | Mapping):
        raise ValidationError(
            f"model: a string or a list of strings is expected, got {model!r}",
            field="model",
            hint="Name one, e.g. model('openai/gpt-4o-mini').",
        )
    if not isinstance(model, Mapping):
        return
    model = {snake(name): value for name, value in model.items()}
    check_known("Agent: model", model, MODEL)
    given["model"] = model.get("model_id") or model.get("model") or (None if model.get("provider") else "")
    for name in ("provider", "temperature", "max_tokens"):
        given.setdefault(name, model.get(name))
    for name, value in table(model.get("settings")).items():
        given.setdefault(name, value)


def _tool_name(value: Any) -> str:
    name = value.get("name") if isinstance(value, Mapping) else getattr(value, "name", value)
    if not isinstance(name, str):
        raise ValidationError(f"a tool is named by a string, got {value!r}", field="tools")
    return name


async def build(scope: ScriptScope, given: dict[str, Any]) -> LLMAgent:
    scope.keep()
    resolved = _with_objects(scope, given)
    ask = resolved.pop("on_approval", None)
    config = _with_known_tools(scope, config_from(resolved))
    if config.model is None and config.provider is None and scope.runtime.providers.configured():
        config = replace(config, provider=scope.runtime.config.get("providers.default_provider"))
    if config.base_url or config.api_key:
        provider = config.provider or str(config.model).partition("/")[0]
        await check_server(scope, provider, {"base_url": config.base_url, "api_key": config.api_key})
    agent: LLMAgent = scope.runtime.agents.create(config)
    if ask is not None:
        agent.approver = _approver(scope, ask)
    _tell_idle(scope, agent.name, given)
    _end_with(scope, agent)
    return agent


def _tell_idle(scope: ScriptScope, agent: str, given: Mapping[str, Any]) -> None:
    """Once for each name in a script."""
    limits = table(given.get("resource_limits"))
    told: set[str] = scope.data.setdefault("Agent.idle", set())
    for name in IDLE:
        if name not in told and (given.get(name) or limits.get(name)):
            told.add(name)
            log.warning("agent '%s': %s is accepted, but nothing follows from it", agent, name)


def _with_objects(scope: ScriptScope, given: dict[str, Any]) -> dict[str, Any]:
    """Agents among the tools become tools; tool objects count by their names."""
    resolved: dict[str, Any] = scope.resolve(given)
    for name in ("tools", "allowed_tools", "ask_tools"):
        if resolved.get(name):
            items = as_list(resolved[name])
            resolved[name] = [scope.runtime.tools.offer(item) if isinstance(item, Agent) else item for item in items]
    return resolved


def _with_known_tools(scope: ScriptScope, config: AgentConfig) -> AgentConfig:
    """Scripts allow tools that only another installation has; their agents do without them, and say so."""
    missing = [name for name in config.allowed_tools if name != "*" and not _is_there(scope, name)]
    known = scope.runtime.tools.names() if missing else ()
    for name in missing:
        near = nearest(name, known, cutoff=MISSPELT)
        if near is not None:
            raise NotFoundError(
                f"there is no tool '{name}' (did you mean '{near}'?)",
                hint="See: llmspell tool list",
                what="tools",
                name=name,
            )
    if missing:
        log.warning("agent %s: there is no tool %s; it goes without", config.name, ", ".join(missing))
    return replace(config, allowed_tools=tuple(n for n in config.allowed_tools if n not in missing))


def _is_there(scope: ScriptScope, tool: str) -> bool:
    try:
        scope.runtime.tools.find(tool)
    except NotFoundError:
        return False
    return True


def _approver(scope: ScriptScope, function: Any) -> Callable[[ApprovalRequest], Awaitable[Any]]:
    call = scope.callback(function)

    async def ask(request: ApprovalRequest) -> Any:
        return await call(request.to_dict())

    return ask


def _end_with(scope: ScriptScope, agent: Agent) -> None:
    """The script's agents end with it; a name that another agent took over meanwhile is left alone."""

    def end() -> None:
        if scope.runtime.agents.get(agent.name) is agent:
            scope.runtime.agents.remove(agent.name)

    scope.on_close(end)


async def create(scope: ScriptScope, config: dict[str, Any]) -> LLMAgent:
    return await build(scope, config)


async def register(scope: ScriptScope, config: Any, more: dict[str, Any] | None) -> str:
    given = {"name": config, **(more or {})} if isinstance(config, str) else table(config)
    return (await build(scope, given)).name


async def create_from_template(scope: ScriptScope, name: str, template: Any, params: dict[str, Any] | None) -> LLMAgent:
    if isinstance(template, Mapping) or template is None:
        name, template, params = new_id(name), name, table(template)
    if template not in TYPES:
        raise ValidationError(
            f"Unknown agent template: {template}", field="template", hint=f"Use one of {', '.join(TYPES)}."
        )
    return await build(scope, {**(params or {}), "name": name, "agent_type": template})


def create_composite(scope: ScriptScope, name: Any, agents: Any, routing: Any) -> None:
    """`(name, agents, routing)`, or one table `{name, agents, strategy, ...}`."""
    scope.keep()
    if isinstance(name, Mapping):
        given = table(name)
        name, agents = given.pop("name", None), given.pop("agents", None)
        routing = given.pop("routing", None) or given
    if not isinstance(name, str) or not name:
        raise ValidationError("Agent.create_composite: 'name' must be a string", field="name")
    names = [_member_name(agent) for agent in as_list(scope.resolve(agents))]
    made = scope.runtime.agents.create_composite(name, names, _with_functions(scope, routing) or "sequential")
    _end_with(scope, made)


def _member_name(value: Any) -> str:
    """`{role, agent_name, weight}` is a member as well as a name or an agent."""
    return _tool_name(value.get("agent_name", value) if isinstance(value, Mapping) else value)


def _with_functions(scope: ScriptScope, routing: Any) -> Any:
    if is_function(routing):
        return scope.callback(routing)
    if isinstance(routing, Mapping):
        return {key: _with_functions(scope, value) for key, value in routing.items()}
    return routing


def _described(parameters: Any) -> dict[str, Any]:
    """A JSON schema of parameters that are texts, each with what it is; or what `Tool.create` takes."""
    from llmspell_core.json_schema import TYPES
    from llmspell_core.script.script_tool import json_schema_of

    if isinstance(parameters, Mapping):
        parameters = {
            name: {"type": "string", "description": spec} if isinstance(spec, str) and spec not in TYPES else spec
            for name, spec in parameters.items()
        }
    return json_schema_of(parameters)


def wrap_as_tool(scope: ScriptScope, name: Any, config: dict[str, Any] | None) -> str:
    scope.keep()
    agent = scope.runtime.agents.find(_tool_name(scope.resolve(name)))
    if not config:
        return str(scope.runtime.agents.wrap(agent))
    from llmspell_core.agent.wrapped import ParameterConfig  # brings pydantic, which most scripts never need
    from llmspell_core.tool import SecurityLevel

    options: dict[str, Any] = {
        "name": config.get("tool_name") or config.get("name"),
        "description": config.get("description"),
    }
    if config.get("category"):
        options["category"] = str(config["category"])
    if config.get("security_level"):
        options["security_level"] = SecurityLevel.parse(str(config["security_level"]))
    if config.get("parameters"):
        options["schema"] = _described(config["parameters"])
    if config.get("input_template"):
        options["parameter_config"] = ParameterConfig(input_template=str(config["input_template"]))
    return str(scope.runtime.agents.wrap(agent, **options))
