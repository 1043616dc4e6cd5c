"""The script global `Agent`: build agents and talk to them."""

from __future__ import annotations

from llmspell_core.script.declare import Builder, Function, Global, Param, Setter
from llmspell_core.script.globals.agent import building, contexts, finding
from llmspell_core.script.globals.agent.instance import AGENT, NAME, TEXT

INTEGER = Param("n", "integer")

BUILDER = Builder(
    "builder",
    doc="Collects how an agent is to be.",
    build=Function(
        "build",
        building.build,
        returns="Agent",
        doc="Make the agent. Without a model: the configured default, or the embedded local model.",
    ),
    setters=(
        Setter("name", Param("name", "string"), doc="Unique among live agents."),
        Setter("description", TEXT),
        Setter("type", TEXT, aliases=("agent_type",), doc="`llm`."),
        Setter(
            "model", Param("model", "any"), doc="`provider/model`; a list is a chain: the first that can answer does."
        ),
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
        Setter("allow_all_tools", field="allowed_tools", value=["*"], doc="Every tool there is."),
        Setter(
            "ask_tool",
            Param("tool", "any"),
            mode="append",
            field="ask_tools",
            doc="One more tool, each call of which needs a person's consent.",
        ),
        Setter("ask_tools", Param("tools", "array"), doc="The tools that need consent; `*` is all."),
        Setter(
            "on_approval",
            Param("callback", "function"),
            doc="Decides about calls that the agent wants consent to, and may refuse those that the configuration wants "
            "consent to: a function of `{agent, tool, parameters, call_id}` that returns true, false, "
            "`{approved, reason?, parameters?}`, or nil to leave it open.",
        ),
        Setter(
            "handoff",
            Param("agent", "any"),
            mode="append",
            field="handoff_targets",
            aliases=("handoff_to",),
            doc="One more agent that the model may hand the conversation over to.",
        ),
        Setter("handoff_targets", Param("agents", "array"), doc="The agents it may hand over to."),
        Setter(
            "tool_choice",
            Param("choice", "string"),
            doc="`auto`, `none`, `required`, or the tool that must be called first.",
        ),
        Setter(
            "response_schema",
            Param("schema", "object"),
            aliases=("schema",),
            doc="JSON schema that the answer must follow.",
        ),
        Setter("max_execution_time", Param("seconds", "number"), aliases=("max_execution_time_secs",)),
        Setter("max_memory_mb", INTEGER, doc="Kept, not enforced: agents share the runtime's memory."),
        Setter("max_tool_calls", INTEGER),
        Setter("max_iterations", INTEGER, doc="Model calls per execution."),
        Setter("max_recursion_depth", INTEGER, doc="Agents called by agents, one inside the other."),
        Setter("max_total_tokens", INTEGER, doc="Tokens per execution, input and output."),
        Setter("max_cost_usd", Param("dollars", "number"), aliases=("max_cost",), doc="Money per execution."),
        Setter("resource_limits", Param("limits", "object", options=(*building.LIMITS, *building.LIMIT_ALIASES))),
        Setter("custom_config", Param("config", "object"), mode="merge", field="custom_config"),
        Setter("capability", Param("name", "string"), mode="append", field="capabilities"),
        Setter("memory_enabled", Param("enabled", "boolean")),
        Setter("context_window", INTEGER, doc="Tokens the model takes; by default what its provider knows."),
    ),
)

CONFIG = Param("config", "object", options=True, callbacks=("on_approval",), doc="The builder's fields in one table.")
ID = Param("context", "string")
KEY = Param("key", "string")
SCOPE = Param("scope", "any", required=False, doc="`global`, or `{type, id}` with session, workflow, agent, user.")

TOOL = ("tool_name", "name", "description", "category", "security_level", "input_template", "parameters")
CONTEXT = ("conversation_id", "user_id", "session_id", "scope", "inheritance", "data", "security")

GLOBAL = Global(
    "Agent",
    doc="Build agents and talk to them.",
    handles=(AGENT,),
    builders=(BUILDER,),
    functions=(
        Function(
            "create",
            building.create,
            (CONFIG,),
            "Agent",
            "An agent from one table.",
            blocking=True,
            aliases=("new", "createAsync"),
        ),
        Function(
            "register",
            building.register,
            (
                Param("config", "any", options=True, callbacks=("on_approval",), doc="A table, or a name."),
                Param("more", "object", required=False, options=True),
            ),
            "string",
            "The same, but returns the name.",
            blocking=True,
        ),
        Function(
            "list", finding.list_agents, returns="array", doc="Live agents: `name`, `type`, `model`, `description`."
        ),
        Function("list_instances", finding.list_instances, returns="array", doc="Their names."),
        Function("get", finding.get, (NAME,), "Agent", "An agent by name, or nil."),
        Function("discover", finding.discover, returns="array", doc="Agent types."),
        Function("list_templates", finding.list_templates, returns="array", doc="Names for `create_from_template`."),
        Function(
            "create_from_template",
            building.create_from_template,
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
            finding.discover_by_capability,
            (Param("capability", "string"),),
            "array",
            "Names of agents that can do something.",
        ),
        Function(
            "list_capabilities", finding.list_capabilities, returns="object", doc="name -> what the agent can do."
        ),
        Function("get_info", finding.get_info, (NAME,), "object", "About a type or a live agent."),
        Function(
            "get_details", finding.get_details, (NAME,), "object", "About a live agent; raises when there is none."
        ),
        Function(
            "create_composite",
            building.create_composite,
            (
                Param("name", "any", callbacks=("*",), doc="A name, or one table with `name`, `agents`, `strategy`."),
                Param("agents", "any", required=False, doc="Names of agents."),
                Param(
                    "routing",
                    "any",
                    required=False,
                    callbacks=("*",),
                    doc="`sequential`, `parallel`, `vote`, the name of an agent that chooses, a function of the prompt and "
                    "the names, or a table `{strategy, router?, threshold?, fallback_agent?, timeout_ms?}`.",
                ),
            ),
            "null",
            "An agent made of agents; get it with `Agent.get(name)`.",
            blocking=True,
        ),
        Function(
            "wrap_as_tool",
            building.wrap_as_tool,
            (
                Param("name", "any", doc="An agent or its name."),
                Param(
                    "config",
                    "object",
                    required=False,
                    options=TOOL,
                    doc="`tool_name`, `description`, `category`, `security_level`, `input_template`, `parameters` (name -> what it is).",
                ),
            ),
            "string",
            "Make an agent a tool; the tool's name.",
        ),
        Function(
            "get_hierarchy", finding.get_hierarchy, (NAME,), "object", "The agents it is made of or calls: `root`."
        ),
        Function(
            "create_context",
            contexts.create_context,
            (
                Param(
                    "config",
                    "object",
                    required=False,
                    options=CONTEXT,
                ),
            ),
            "string",
            "A context for `execute_with_context`: `conversation_id`, `user_id`, `session_id`, `scope`, `inheritance`, `data`.",
        ),
        Function(
            "create_child_context",
            contexts.create_child_context,
            (Param("parent", "string"), SCOPE, Param("inheritance", "string", required=False)),
            "string",
            "A context below another: `inherit`, `isolate`, `copy`, `share`.",
        ),
        Function(
            "update_context",
            contexts.update_context,
            (ID, KEY, Param("value", "any")),
            "null",
            "Set a value of a context.",
        ),
        Function("get_context_data", contexts.get_context_data, (ID, KEY), "any", "A value of a context, or nil."),
        Function("remove_context", contexts.remove_context, (ID,), "null", "Forget a context."),
        Function(
            "set_shared_memory",
            contexts.set_shared_memory,
            (SCOPE, Param("key", "any", required=False), Param("value", "any", required=False)),
            "null",
            "A value for all contexts of a scope; `(key, value)` means the global one.",
        ),
        Function(
            "get_shared_memory",
            contexts.get_shared_memory,
            (SCOPE, Param("key", "string", required=False)),
            "any",
            "A value of a scope, or nil; `(key)` means the global one.",
        ),
    ),
)
