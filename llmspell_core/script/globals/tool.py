"""The script global `Tool`: run tools, find them, and make new ones from script functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import CancelledByHookError, LLMSpellError, NotFoundError, ValidationError, failure_of
from llmspell_core.script.declare import Function, Global, Handle, Param
from llmspell_core.script.view import View, tool_view

if TYPE_CHECKING:
    from llmspell_core.messages import AgentOutput
    from llmspell_core.script.scope import ScriptScope
    from llmspell_core.tool import Tool

NAME = Param("name", "string", doc="The tool's name; `_` and `-` are the same.")
PARAMS = Param("params", "object", doc="The tool's parameters.")
OPTIONAL_PARAMS = Param("params", "object", required=False, doc="The tool's parameters.")


class ToolObject:
    """A tool as a script holds it."""

    def __init__(self, tool: Tool[Any]) -> None:
        self.tool = tool
        self.name = tool.name
        self.description = tool.description
        self.version = tool.version
        self.category = tool.category
        self.security_level = str(tool.security_level)
        self.schema = tool.schema.to_dict()


async def execute(scope: ScriptScope, name: str, params: dict[str, Any] | None) -> View | dict[str, Any]:
    try:
        output = await scope.runtime.invoke_tool(name, params or {}, scope.context)
        _check_success(scope, name, output)
        return tool_view(output)
    except CancelledByHookError:
        raise
    except LLMSpellError as error:
        if isinstance(error, NotFoundError) and (error.what, error.name) == ("tools", name):
            raise  # the tool itself, not what it looked for
        error.message = f"Tool '{name}' execution failed: {error.message}"
        raise


def _check_success(scope: ScriptScope, name: str, output: AgentOutput) -> None:
    """Raises: ToolError for an answer that says `success = false`, unless scripts of that operation look for it."""
    envelope = output.metadata.extra.get("response")
    if not isinstance(envelope, dict) or envelope.get("success") is not False:
        return
    tool = scope.runtime.tools.find(name)
    if not tool.answers_failure(str(envelope.get("operation"))):
        raise failure_of(envelope, tool.name)


async def execute_object(scope: ScriptScope, made: ToolObject, params: dict[str, Any] | None) -> View | dict[str, Any]:
    return await execute(scope, made.name, params)


async def list_tools(scope: ScriptScope) -> list[dict[str, Any]]:
    return await discover(scope, None)


async def discover(scope: ScriptScope, query: dict[str, Any] | None) -> list[dict[str, Any]]:
    return await scope.runtime.tools.discover(query)


def get(scope: ScriptScope, name: str) -> ToolObject | None:
    try:
        return ToolObject(scope.runtime.tools.find(name))
    except NotFoundError:
        return None


def exists(scope: ScriptScope, name: str) -> bool:
    found: bool = scope.runtime.registry.has("tools", name)
    return found


def categories(scope: ScriptScope) -> list[str]:
    return sorted({str(scope.runtime.tools.about(name)["category"]) for name in scope.runtime.tools.names()})


def create(scope: ScriptScope, definition: dict[str, Any]) -> ToolObject:
    name = definition.get("name")
    if not isinstance(name, str) or not name:
        raise ValidationError("Tool.create: 'name' is required", field="name")
    handler = definition.get("handler") or definition.get("execute")
    if handler is None:
        raise ValidationError("Tool.create: 'handler' must be a function", field="handler")
    return _add(scope, definition, handler)


def register(scope: ScriptScope, definition: Any, handler: Any) -> ToolObject:
    if isinstance(definition, str):
        if handler is None:
            raise ValidationError("Tool.register: the second argument must be a function", field="handler")
        return _add(scope, {"name": definition}, handler)
    return create(scope, definition if isinstance(definition, dict) else {})


def _add(scope: ScriptScope, definition: dict[str, Any], handler: Any) -> ToolObject:
    from llmspell_core.script.script_tool import ScriptTool  # brings pydantic, which most scripts never need

    tool = ScriptTool(scope, definition, handler)
    registry = scope.runtime.registry
    registry.register("tools", tool.name, tool)
    scope.on_close(lambda: registry.unregister("tools", tool.name))
    return ToolObject(tool)


def schema(_scope: ScriptScope, made: ToolObject) -> dict[str, Any]:
    return made.schema


def schema_of(scope: ScriptScope, name: str) -> dict[str, Any]:
    return ToolObject(scope.runtime.tools.find(name)).schema


DEFINITION = Param(
    "definition",
    "object",
    callbacks=("handler", "execute"),
    options=("name", "description", "category", "parameters", "handler", "execute"),
    doc="`name`, `description`, `parameters` (name -> type word or spec) and `handler`, a function of the parameters.",
)

TOOL = Handle(
    "Tool",
    fields=("name", "description", "version", "category", "security_level", "schema"),
    methods=(
        Function(
            "execute",
            execute_object,
            (OPTIONAL_PARAMS,),
            "object",
            "Run the tool.",
            blocking=True,
            async_variant=True,
            aliases=("invoke",),
        ),
        Function("get_schema", schema, returns="object", doc="Its parameters.", aliases=("getSchema",)),
    ),
    doc="A tool.",
)

GLOBAL = Global(
    "Tool",
    doc="Run tools, find them, make new ones.",
    aliases=("Tools",),
    handles=(TOOL,),
    functions=(
        Function(
            "execute",
            execute,
            (NAME, OPTIONAL_PARAMS),
            "object",
            "Run a tool and wait for its result: the envelope's keys (`success`, `result`, `error`), `text`, `metadata`; "
            "`data` of tools that answer JSON. A failure is an error (`envelope` holds the tool's whole answer, where there is "
            "one), except for the operations that the reference of the tools marks: they answer `success = false`.",
            blocking=True,
            async_variant=True,
            aliases=("invoke",),
        ),
        Function("list", list_tools, returns="array", doc="All tools: `name`, `description`, `version`, `category`."),
        Function("get", get, (NAME,), "Tool", "A tool object, or nil."),
        Function("exists", exists, (NAME,), "boolean", "Whether there is such a tool."),
        Function("categories", categories, returns="array", doc="The categories in use."),
        Function(
            "discover",
            discover,
            (
                Param(
                    "filter",
                    "object",
                    required=False,
                    options=("category", "tag"),
                    doc="`category`, `tag` (a word of the description).",
                ),
            ),
            "array",
            "Tools that match a filter.",
        ),
        Function("get_info", get, (NAME,), "Tool", "The same as `get`."),
        Function("get_schema", schema_of, (NAME,), "object", "A tool's parameters; raises when there is no such tool."),
        Function("create", create, (DEFINITION,), "Tool", "Make a tool of a script function; agents can call it."),
        Function(
            "register",
            register,
            (
                Param(
                    "definition",
                    "any",
                    callbacks=("handler", "execute"),
                    options=DEFINITION.options,
                    doc="As for `create`, or a name.",
                ),
                Param("handler", "function", required=False),
            ),
            "Tool",
            "`create`, or `register(name, function)`.",
        ),
    ),
    index=Function("index", get, (Param("name", "any"),), "Tool", '`Tool["calculator"]`: a tool object, or nil.'),
)
