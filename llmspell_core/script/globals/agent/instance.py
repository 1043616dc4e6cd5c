"""The methods of an agent, declared."""

from __future__ import annotations

from llmspell_core.script.declare import Function, Handle, Param
from llmspell_core.script.globals.agent import inside, talking

INPUT = Param("input", "any", doc="A prompt, or a table with `text` and overrides for this call, e.g. `temperature`.")
NAME = Param("name", "string")
TEXT = Param("text", "string")
OPTIONS = Param(
    "options", "object", required=False, doc="Overrides for this call, beside the prompt instead of in its table."
)
CHUNK_WISE = (
    INPUT,
    Param("options", "any", required=False, callbacks=("*",)),
    Param("callback", "function", required=False),
)

AGENT = Handle(
    "Agent",
    fields=("name",),
    doc="An agent.",
    methods=(
        Function(
            "execute",
            talking.execute,
            (INPUT, OPTIONS),
            "object",
            "Ask and wait for the answer: `text`, `tool_calls`, `metadata`.",
            blocking=True,
            async_variant=True,
            aliases=("invoke",),
        ),
        Function(
            "invoke_stream",
            talking.invoke_stream,
            CHUNK_WISE,
            "stream",
            "Ask, and call a function with each chunk of the answer (docs/how-to/streaming.md); without one, iterate over them.",
            blocking=True,
            aliases=("invokeStream",),
        ),
        Function(
            "stream",
            talking.invoke_stream,
            CHUNK_WISE,
            "stream",
            "Ask, and iterate over the chunks of the answer (docs/how-to/streaming.md), or have a function called with each.",
            blocking=True,
        ),
        Function(
            "complete",
            talking.complete,
            (Param("prompt", "string"),),
            "string",
            "Ask; only the text of the answer.",
            blocking=True,
            async_variant=True,
        ),
        Function(
            "invoke_tool",
            talking.invoke_tool,
            (NAME, Param("params", "object", required=False)),
            "object",
            "Run one of the agent's tools.",
            blocking=True,
            aliases=("invokeTool",),
        ),
        Function(
            "execute_with_context",
            talking.execute_with_context,
            (INPUT, Param("context", "string", doc="An id from `Agent.create_context`.")),
            "object",
            "Ask within a context.",
            blocking=True,
            async_variant=True,
        ),
        Function("discover_tools", talking.discover_tools, returns="array", doc="Names of all registered tools."),
        Function("has_tool", talking.has_tool, (NAME,), "boolean", "Whether the agent may use a tool."),
        Function(
            "get_tool_metadata",
            talking.get_tool_metadata,
            (NAME,),
            "object",
            "A tool's name, description and version, or nil.",
        ),
        Function(
            "get_all_tool_metadata",
            talking.get_all_tool_metadata,
            returns="object",
            doc="The same for all of its tools.",
        ),
        Function("get_config", inside.get_config, returns="object", doc="How it was built, without secrets."),
        Function("get_metrics", inside.get_metrics, returns="object", doc="Counts of requests, failures and tokens."),
        Function("get_performance", inside.get_performance, returns="object", doc="Counts and averages."),
        Function("get_health", inside.get_health, returns="object", doc="Whether its provider answers.", blocking=True),
        Function(
            "get_state",
            inside.get_state,
            returns="string",
            doc="Ready, Running, Terminated, ...",
            aliases=("get_agent_state",),
        ),
        Function("get_conversation", inside.get_conversation, returns="array", doc="The messages so far."),
        Function("clear_conversation", inside.clear_conversation, returns="null", doc="Forget them."),
        Function(
            "add_message",
            inside.add_message,
            (Param("role", "string", choices=("system", "user", "assistant")), TEXT),
            "null",
            "Put a message into the conversation.",
        ),
        Function(
            "trim_conversation",
            inside.trim_conversation,
            (Param("length", "integer"),),
            "null",
            "Keep the newest messages; calls and their results stay together.",
        ),
        Function("conversation_length", inside.conversation_length, returns="integer", doc="How many messages."),
        Function(
            "save_state",
            inside.save_state,
            returns="null",
            doc="Keep the conversation in `State`, until the runtime ends.",
        ),
        Function("load_state", inside.load_state, returns="boolean", doc="Take it back; whether there was one."),
        Function("delete_state", inside.delete_state, returns="null", doc="Remove what was saved."),
        Function(
            "set_state",
            inside.set_state,
            (Param("values", "object"),),
            "null",
            "Store values of this agent, for `State.agent_get`, until the runtime ends.",
        ),
        Function("initialize", inside.initialize, returns="null", doc="To Ready; the first execution does it too."),
        Function("start", inside.start, returns="null", doc="To Running, until it is stopped."),
        Function("pause", inside.pause, returns="null", doc="Refuse executions; those under way wait."),
        Function("resume", inside.resume, returns="null", doc="End a pause."),
        Function("stop", inside.stop, returns="null", doc="To Ready; executions under way end with an error."),
        Function("terminate", inside.terminate, returns="null", doc="End it for good."),
        Function("recover", inside.recover, returns="null", doc="From Error to Ready; three times at most."),
        Function("set_error", inside.set_error, (Param("message", "string"),), "null", "To Error."),
        Function("get_last_error", inside.get_last_error, returns="string", doc="What went wrong last, or nil."),
        Function("get_recovery_attempts", inside.get_recovery_attempts, returns="integer", doc="How many there were."),
        Function("is_healthy", inside.is_healthy, returns="boolean", doc="Whether its state allows work."),
        Function(
            "get_state_history",
            inside.get_state_history,
            returns="array",
            doc="Changes of state: `from`, `to`, `timestamp`, `elapsed`, `reason`.",
        ),
        Function(
            "get_state_metrics", inside.get_state_metrics, returns="object", doc="Counts and times of its states."
        ),
        Function(
            "configure_alerts",
            inside.configure_alerts,
            (
                Param(
                    "rule",
                    "object",
                    options=("name", "condition", "severity", "duration_seconds", "cooldown_seconds", "enabled"),
                    doc="`name`, `condition`, `severity`, `cooldown_seconds`, `enabled`.",
                ),
            ),
            "null",
            "Have a condition checked after each execution: `metric_threshold`, `health_status`, `error_rate`.",
        ),
        Function(
            "get_alerts", inside.get_alerts, returns="array", doc="Alerts raised: `severity`, `message`, `timestamp`."
        ),
        Function("get_bridge_metrics", inside.get_bridge_metrics, returns="object", doc="Numbers of the runtime."),
        Function(
            "log_event",
            inside.log_event,
            (Param("type", "string"), Param("message", "string")),
            "null",
            "Publish an event with the agent's name and a message.",
            aliases=("logEvent",),
        ),
        Function("destroy", inside.destroy, returns="null", doc="End the agent and free its name."),
    ),
)
