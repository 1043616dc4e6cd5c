"""The script global `Tool`: run tools, find them, and make new ones from script functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from llmspell_core.errors import NotFoundError, ValidationError
from llmspell_core.script.declare import Function, Global, Handle, Param
from llmspell_core.script.view import output_view
from llmspell_core.tool import Tool, ToolResult, ToolSchema

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.script.scope import ScriptScope

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


class _Free(BaseModel):
    model_config = ConfigDict(extra="allow")


class ScriptTool(Tool[_Free]):
    """A tool whose work is done by a script function."""

    parameters = _Free

    def __init__(self, scope: ScriptScope, definition: dict[str, Any], handler: Any) -> None:
        self.name = definition["name"]
        self.description = str(definition.get("description") or f"The script's tool {self.name}.")
        self.category = str(definition.get("category") or "script")
        self._schema = ToolSchema(self.name, self.description, json_schema_of(definition.get("parameters")))
        self._handler = scope.callback(handler)

    def validate_parameters(self, params: Any) -> _Free:
        made = super().validate_parameters(params)
        given = made.model_extra or {}
        for parameter in self.schema.parameters:
            _check_argument(self.name, parameter.name, parameter.type, parameter.required, given)
        return made

    async def run(self, params: _Free, ctx: ExecutionContext) -> Any:
        value = await self._handler(params.model_extra or {})
        if isinstance(value, dict) and isinstance(value.get("success"), bool):
            error = value.get("error")
            return ToolResult(
                value.get("result"), success=value["success"], error=None if error is None else str(error)
            )
        return value


WORDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def _check_argument(tool: str, name: str, word: str, required: bool, given: dict[str, Any]) -> None:
    if name not in given:
        if required:
            raise ValidationError(f"{tool}: '{name}' is required", field=name)
        return
    value = given[name]
    empty_table = word == "array" and value == {}
    wrong = not isinstance(value, WORDS.get(word, (object,))) or (
        isinstance(value, bool) and word in {"number", "integer"}
    )
    if wrong and not empty_table:
        raise ValidationError(f"{tool}: '{name}' must be {_article(word)}, got {value!r}", field=name)


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aio" else f"a {word}"


def json_schema_of(parameters: Any) -> dict[str, Any]:
    """A JSON schema from what a script wrote: a JSON schema, a list of `{name, type, ...}`, or a table name -> type or spec."""
    if isinstance(parameters, dict) and parameters.get("type") == "object":
        return parameters
    if isinstance(parameters, list):
        specs = {str(p["name"]): p for p in parameters if isinstance(p, dict) and "name" in p}
    else:
        specs = {k: v if isinstance(v, dict) else {"type": str(v)} for k, v in (parameters or {}).items()}
    properties = {n: {k: v for k, v in s.items() if k not in {"name", "required"}} for n, s in specs.items()}
    required = [name for name, spec in specs.items() if spec.get("required") is True]
    return {"type": "object", "properties": properties, "required": required}


async def execute(scope: ScriptScope, name: str, params: dict[str, Any] | None) -> dict[str, Any]:
    return output_view(await scope.runtime.invoke_tool(name, params or {}, scope.context))


async def execute_object(scope: ScriptScope, made: ToolObject, params: dict[str, Any] | None) -> dict[str, Any]:
    return await execute(scope, made.name, params)


def _row(scope: ScriptScope, name: str) -> dict[str, Any]:
    record = scope.runtime.registry.info("tools", name)
    if record is not None:
        return {
            "name": name,
            "description": record.description,
            "version": record.version,
            "category": record.category,
            "security_level": record.security_level,
        }
    tool = scope.runtime.tool_for(name)
    return {"name": name, "description": tool.description, "version": tool.version, "category": tool.category}


async def list_tools(scope: ScriptScope) -> list[dict[str, Any]]:
    return await discover(scope, None)


async def discover(scope: ScriptScope, query: dict[str, Any] | None) -> list[dict[str, Any]]:
    hooks = scope.runtime.hooks
    await hooks.fire("BeforeToolDiscovery", "registry", {"query": query or {}})
    rows = [_row(scope, name) for name in scope.runtime.tool_names()]
    category, tag = (query or {}).get("category"), (query or {}).get("tag")
    if category:
        rows = [r for r in rows if r["category"] == category]
    if tag:
        rows = [r for r in rows if str(tag).lower() in str(r["description"]).lower()]
    await hooks.fire("AfterToolDiscovery", "registry", {"query": query or {}, "result": rows})
    return rows


def get(scope: ScriptScope, name: str) -> ToolObject | None:
    try:
        return ToolObject(scope.runtime.tool_for(name))
    except NotFoundError:
        return None


def exists(scope: ScriptScope, name: str) -> bool:
    return scope.runtime.registry.has("tools", name)


def categories(scope: ScriptScope) -> list[str]:
    return sorted({str(_row(scope, name)["category"]) for name in scope.runtime.tool_names()})


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
    tool = ScriptTool(scope, definition, handler)
    registry = scope.runtime.registry
    registry.register("tools", tool.name, tool)
    scope.on_close(lambda: registry.unregister("tools", tool.name))
    return ToolObject(tool)


def schema(_scope: ScriptScope, made: ToolObject) -> dict[str, Any]:
    return made.schema


def schema_of(scope: ScriptScope, name: str) -> dict[str, Any]:
    return ToolObject(scope.runtime.tool_for(name)).schema


DEFINITION = Param(
    "definition",
    "object",
    callbacks=("handler", "execute"),
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
        Function("get_schema", schema, returns="object", doc="Its parameters."),
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
            "Run a tool and wait for its result: the envelope's keys (`success`, `result`, `error`), `text`, `metadata`.",
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
            (Param("filter", "object", required=False, doc="`category`, `tag` (a word of the description)."),),
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
                Param("definition", "any", callbacks=("handler", "execute"), doc="As for `create`, or a name."),
                Param("handler", "function", required=False),
            ),
            "Tool",
            "`create`, or `register(name, function)`.",
        ),
    ),
    index=Function("index", get, (Param("name", "any"),), "Tool", '`Tool["calculator"]`: a tool object, or nil.'),
)
