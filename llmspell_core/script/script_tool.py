"""Tools that a script makes of its own functions. Imported when the first one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from llmspell_core.errors import ValidationError
from llmspell_core.json_schema import check_tool_name, with_lists
from llmspell_core.tool import Tool, ToolResult, ToolSchema

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.script.scope import ScriptScope

__all__ = ["ScriptTool", "json_schema_of"]


class _Free(BaseModel):
    model_config = ConfigDict(extra="allow")


class ScriptTool(Tool[_Free]):
    """A tool whose work is done by a script function."""

    parameters = _Free

    def __init__(self, scope: ScriptScope, definition: dict[str, Any], handler: Any) -> None:
        check_tool_name(definition["name"])
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


DECLARED = frozenset({"name", "required"})
"""Of a parameter's short form: what a JSON schema says elsewhere."""


def json_schema_of(parameters: Any) -> dict[str, Any]:
    """A JSON schema from what a script wrote: a JSON schema, a list of `{name, type, ...}`, or a table name -> type or spec."""
    if isinstance(parameters, dict) and parameters.get("type") == "object":
        made: dict[str, Any] = with_lists(parameters)
        return made
    if isinstance(parameters, list):
        specs = {str(p["name"]): p for p in parameters if isinstance(p, dict) and "name" in p}
    else:
        specs = {k: v if isinstance(v, dict) else {"type": str(v)} for k, v in (parameters or {}).items()}
    properties = {n: with_lists({k: v for k, v in s.items() if k not in DECLARED}) for n, s in specs.items()}
    required = [name for name, spec in specs.items() if spec.get("required") is True]
    return {"type": "object", "properties": properties, "required": required}
