"""Tools that a script makes of its own functions. Imported when the first one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from llmspell_core.errors import ValidationError
from llmspell_core.json_schema import check_keywords, check_tool_name, differences, filled_in, validator, with_lists
from llmspell_core.names import check_known
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
        schema = json_schema_of(definition.get("parameters"))
        self._schema = ToolSchema(self.name, self.description, schema)
        self._checker = _checker(self.name, definition.get("parameters"), schema)
        self._closed = not any(schema.get(word) for word in OPENING)
        self._handler = scope.callback(handler)

    def validate_parameters(self, params: Any) -> _Free:
        """What the script declared holds: types, enum, bounds, what is inside; and its defaults are filled in."""
        given = super().validate_parameters(params).model_extra or {}
        if self._checker is None:
            return _Free(**given)
        given = filled_in(self.schema.json_schema, given)
        properties = self.schema.json_schema.get("properties") or {}
        if self._closed:
            check_known(self.name, given, properties, "parameter")
        missing = [name for name in self.schema.json_schema.get("required") or () if name not in given]
        if missing:
            raise ValidationError(f"{self.name}: '{missing[0]}' is required", field=missing[0])
        wrong = differences(self._checker, given, "parameters")
        if wrong:
            field = wrong[0].partition(":")[0]
            raise ValidationError(f"{self.name}: {'; '.join(wrong)}", field=field)
        return _Free(**given)

    async def run(self, params: _Free, ctx: ExecutionContext) -> Any:
        value = await self._handler(params.model_extra or {})
        if isinstance(value, dict) and isinstance(value.get("success"), bool):
            error = value.get("error")
            return ToolResult(
                value.get("result"), success=value["success"], error=None if error is None else str(error)
            )
        return value


OPENING = ("additionalProperties", "patternProperties", "unevaluatedProperties", "$ref", "allOf", "anyOf", "oneOf")
"""Keywords of a JSON Schema with which it speaks of more than its `properties`."""


def _checker(name: str, written: Any, schema: dict[str, Any]) -> Any:
    """What checks the parameters; None for a tool that declares none, and takes what it gets.

    Raises:
        ValidationError: what is declared makes no sense, or a default is not what it should be.
    """
    if not written:
        return None
    where = f"Tool.create: '{name}': parameters"
    check_keywords(schema, where, closed=not _is_json_schema(written))
    made = validator(schema, where)
    for parameter, spec in schema.get("properties", {}).items():
        default = spec.get("default") if isinstance(spec, dict) else None
        if default is not None:
            wrong = differences(validator(spec, f"{where}.{parameter}"), filled_in(spec, default), "the default")
            if wrong:
                raise ValidationError(f"{where}.{parameter}: {wrong[0]}", field=parameter)
    return made


def _is_json_schema(parameters: Any) -> bool:
    return isinstance(parameters, dict) and parameters.get("type") == "object"


def _plain(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec of the short form as JSON Schema; `required` is said beside it, and the type `any` is none."""
    is_any = spec.get("type") == "any"
    flags = {"name", "required"} if isinstance(spec.get("required"), bool) else {"name"}
    plain = {k: v for k, v in spec.items() if k not in flags and not (k == "type" and is_any)}
    made: dict[str, Any] = with_lists(plain)
    return made


def json_schema_of(parameters: Any) -> dict[str, Any]:
    """A JSON schema from what a script wrote: a JSON schema, a list of `{name, type, ...}`, or a table name -> type or spec."""
    if _is_json_schema(parameters):
        made: dict[str, Any] = with_lists(parameters)
        return made
    if isinstance(parameters, list):
        specs = {str(p["name"]): p for p in parameters if isinstance(p, dict) and "name" in p}
    else:
        specs = {k: v if isinstance(v, dict) else {"type": str(v)} for k, v in (parameters or {}).items()}
    properties = {name: _plain(spec) for name, spec in specs.items()}
    required = [name for name, spec in specs.items() if spec.get("required") is True]
    return {"type": "object", "properties": properties, "required": required}
