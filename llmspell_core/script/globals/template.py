"""The script global `Template`: finished pieces of work with parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.script.declare import Function, Global, Param

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

NAME = Param("name", "string")
PARAMS = Param("params", "object", required=False)
CATEGORY = Param("category", "string", required=False, doc="In any case: research, chat, ...")
CONSTRAINTS = {
    "minimum": "min",
    "maximum": "max",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "enum": "allowed_values",
}


def parameter_view(name: str, spec: dict[str, Any], required: bool) -> dict[str, Any]:
    """One parameter; its constraints stand on it and, for older scripts, under `constraints`."""
    found = {ours: spec[key] for key, ours in CONSTRAINTS.items() if key in spec}
    word = str(spec.get("type", "object")).capitalize()
    view = {"name": name, "description": spec.get("description", ""), "param_type": word, "required": required, **found}
    if spec.get("default") is not None:
        view["default"] = view["default_value"] = spec["default"]
    view["constraints"] = found
    return view


def schema_view(scope: ScriptScope, name: str) -> dict[str, Any]:
    template = scope.runtime.templates.find(name)
    schema = template.schema.json_schema
    required = set(schema.get("required", ()))
    rows = [parameter_view(n, spec, n in required) for n, spec in schema.get("properties", {}).items()]
    return {"version": template.version, "parameters": rows}


def list_templates(scope: ScriptScope, category: str | None) -> list[dict[str, Any]]:
    return search(scope, "", category)


def search(scope: ScriptScope, query: str, category: str | None) -> list[dict[str, Any]]:
    return list(scope.runtime.templates.search(query, category))


def info(scope: ScriptScope, name: str, with_schema: bool) -> dict[str, Any]:
    about = {"metadata": scope.runtime.templates.find(name).about()}
    return {**about, "schema": schema_view(scope, name)} if with_schema else about


async def execute(scope: ScriptScope, name: str, params: dict[str, Any] | None) -> Any:
    output = await scope.runtime.run_template(name, params or {}, scope.context)
    return output.metadata.extra["template"]


async def estimate_cost(scope: ScriptScope, name: str, params: dict[str, Any] | None) -> Any:
    template = scope.runtime.templates.find(name)
    estimate = await template.estimate(template.validate_parameters(params or {}))
    return None if estimate is None else estimate.to_dict()


GLOBAL = Global(
    "Template",
    doc="Finished pieces of work with parameters.",
    functions=(
        Function("list", list_templates, (CATEGORY,), "array", "All templates, or those of a category."),
        Function(
            "search", search, (Param("query", "string"), CATEGORY), "array", "Templates whose texts contain a word."
        ),
        Function(
            "info",
            info,
            (NAME, Param("with_schema", "boolean", default=False)),
            "object",
            "About one template; raises when there is none.",
        ),
        Function("schema", schema_view, (NAME,), "object", "Its parameters; raises when there is none."),
        Function(
            "execute",
            execute,
            (NAME, PARAMS),
            "object",
            "Run it: `result`, `result_type`, `artifacts`, `metrics`, `metadata`.",
            blocking=True,
            async_variant=True,
        ),
        Function(
            "estimate_cost", estimate_cost, (NAME, PARAMS), "object", "What a run would take, or nil.", blocking=True
        ),
    ),
)
