"""`llmspell tool`: list, info, search read the catalog; invoke and test call the desk."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.components import component_named, parameter_table, record
from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.parameters import parameter_options, parameters
from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import aligned, bullets, facts, listed, on_terminal, page
from llmspell_core.plugins.records import RETURNS

if TYPE_CHECKING:
    from llmspell_core.messages import AgentOutput
    from llmspell_core.plugins.catalog import Catalog, Component

__all__ = ["tool"]

HEADING = ("name", "what it does", "level", "from")


@click.group(cls=SuggestingGroup)
def tool() -> None:
    """List, describe, try and call tools.

    \b
    Example:
      llmspell tool invoke calculator --param expression=2+2
    """


named = click.argument("name", shell_complete=completing.component("tools"))
in_category = click.option("--category", metavar="NAME", help="Only tools of this category.")


@tool.command("list")
@in_category
@click.option("--detailed", is_flag=True, help="In a pipe, too: what each one does, its level, where it is from.")
@click.pass_obj
def list_(shell: Shell, category: str | None, detailed: bool) -> None:
    """List the tools that are installed: a table on a terminal, names alone in a pipe.

    \b
    Examples:
      llmspell tool list
      llmspell tool list --category data --output json --detailed
    """
    found = _matching(shell.catalog(), category)
    data: list[Any] = [record(c) for c in found] if detailed else [c.name for c in found]
    _emit(shell, data, found, detailed=detailed)


def _emit(shell: Shell, data: Any, found: list[Component], *, detailed: bool) -> None:
    def text() -> str:
        if not detailed and not on_terminal():
            return "\n".join(c.name for c in found)
        return listed(HEADING, [(c.name, _summary(c), c.security_level, c.distribution) for c in found])

    shell.emit(data, text, lambda: bullets([(c.name, _summary(c)) for c in found], "Tools"))


def _summary(component: Component) -> str:
    if component.error is not None:
        return f"(broken: {component.error['message']})"
    lacking = f" (needs {', '.join(component.missing)})" if component.missing else ""
    return component.description + lacking


def _matching(catalog: Catalog, category: str | None) -> list[Component]:
    wanted = category.lower() if category else None
    return [c for c in catalog.components("tools") if wanted in {None, c.category.lower()}]


@tool.command()
@named
@click.option("--show-schema", is_flag=True, help="Also print the JSON schema of the parameters.")
@click.pass_obj
def info(shell: Shell, name: str, show_schema: bool) -> None:
    """Say what a tool does and which parameters it takes.

    \b
    Example:
      llmspell tool info calculator --show-schema
    """
    catalog = shell.catalog()
    component = component_named(catalog, "tools", name)
    schema = dict(catalog.schema(component) or {})
    returns = schema.pop(RETURNS, {})
    data = record(component) | {"aliases": list(component.aliases)} | ({"schema": schema} if show_schema else {})
    data |= {"returns": returns} if returns else {}
    data |= {"settings": component.extra["settings"]} if component.extra.get("settings") else {}
    shell.emit(data, lambda: _described(component, schema, returns, show_schema=show_schema))


def _described(component: Component, schema: dict[str, Any], returns: dict[str, Any], *, show_schema: bool) -> str:
    where = f"{component.distribution} {component.version}"
    known = [("Category", component.category), ("Security level", component.security_level), ("From", where)]
    if component.aliases:
        known.append(("Also called", ", ".join(component.aliases)))
    if component.extra.get("settings"):
        table = f"[tools.{component.name.replace('-', '_')}]"
        known.append(("Settings", f"{', '.join(component.extra['settings'])} in {table}"))
    lines = [component.name, _summary(component), "", facts([(f"{k}:", v) for k, v in known])]
    lines += parameter_table(schema)
    if returns:
        lines += ["", *_answers([_answer(name, each) for name, each in returns.items()])]
    if show_schema:
        lines += ["", json.dumps(schema, indent=2, ensure_ascii=False)]
    return page(lines)


def _answers(rows: list[tuple[str, str]]) -> list[str]:
    if on_terminal():
        return [listed(("operation", "what it answers, in result"), rows)]
    return ["Answers, in result:", aligned([(f"  {operation}", text) for operation, text in rows])]


def _answer(operation: str, returns: dict[str, Any]) -> tuple[str, str]:
    fields = ", ".join(name for name in returns["fields"] if "." not in name) or returns.get("about", "")
    marked = "; a failure is success = false, no error" if returns.get("answers_failure") else ""
    return operation or "always", fields + marked


@tool.command()
@click.argument("query", nargs=-1, required=True)
@in_category
@click.pass_obj
def search(shell: Shell, query: tuple[str, ...], category: str | None) -> None:
    """Find tools whose name or description holds any of the words.

    \b
    Example:
      llmspell tool search pdf text
    """
    words = [word.lower() for word in query]
    all_ = _matching(shell.catalog(), category)
    found = [c for c in all_ if any(w in f"{c.name} {c.description}".lower() for w in words)]
    _emit(shell, [c.name for c in found], found, detailed=False)
    if not found:
        shell.note(f"No tool matches {' '.join(query)!r}.")


@click.command()
@named
@parameter_options
@click.option("--stream", is_flag=True, help="Print chunks as they arrive.")
@click.pass_obj
def invoke(shell: Shell, name: str, pairs: tuple[str, ...], params: str | None, stream: bool) -> int:
    """Call a tool and print the value that it answers: a text as it is, other values as JSON.

    --output json prints all of the answer. A parameter is read as JSON if it is JSON, else as text.

    \b
    Examples:
      llmspell tool invoke calculator --param expression=2+2
      llmspell tool invoke json-processor --params @request.json
      echo '{"operation": "generate"}' | llmspell tool invoke uuid-generator --params -
    """
    given = parameters(pairs, params, _schema(shell, name))
    started = time.perf_counter()
    try:
        output = shell.run(_invoke(shell, name, given))
    except Exception as error:  # noqa: BLE001 - reported like every other, with the tool's name
        from llmspell_core.cli.failures import report

        return report(error, shell, tool=name, error_type=_error_type(error), duration_ms=_elapsed(started))
    return _show(shell, name, output, stream=stream, elapsed=_elapsed(started))


tool.add_command(invoke, "invoke")


@tool.command("exec", hidden=True)
@named
@parameter_options
@click.option("--stream", is_flag=True)
@click.pass_context
def exec_(ctx: click.Context, /, **given: Any) -> Any:
    """The same as invoke (llmspell tool exec NAME)."""
    return ctx.invoke(invoke, **given)


def _schema(shell: Shell, name: str) -> dict[str, Any] | None:
    """What the catalog knows of the tool's parameters; an unknown tool is reported when it is run."""
    catalog = shell.catalog()
    component = catalog.find("tools", name)
    return catalog.schema(component) if component is not None else None


async def _invoke(shell: Shell, name: str, given: dict[str, Any]) -> AgentOutput:
    with shell.waiting(f"calling {name}"):
        async with shell.runtime() as runtime:
            return await runtime.invoke_tool(name, given)


def _elapsed(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def _error_type(error: Exception) -> str:
    from llmspell_core import errors

    words = {
        errors.ValidationError: "validation_error",
        errors.NotFoundError: "not_found",
        errors.TimeoutError: "timeout",
        errors.SecurityError: "security_error",
        errors.PluginError: "plugin_error",
    }
    return next((word for kind, word in words.items() if isinstance(error, kind)), "tool_error")


def _show(shell: Shell, name: str, output: AgentOutput, *, stream: bool, elapsed: int) -> int:
    envelope = output.metadata.extra.get("response", {"success": True, "result": output.text})
    failed = envelope.get("success") is False
    data = {
        "status": "error" if failed else "success",
        "tool": name,
        "result": envelope,
        "duration_ms": elapsed,
        "streaming": stream,
    }
    message = str((envelope.get("error") or {}).get("message", "the tool failed")) if failed else ""
    if failed:
        data |= {"error": {"kind": "Tool", "message": message}, "error_type": "tool_error"}
    text = output.text if output.metadata.extra.get("output_style") == "text" else _value(envelope, failed=failed)
    shell.emit(data, text, lambda: json.dumps(envelope, indent=2, ensure_ascii=False))
    if failed:
        click.echo(f"Error: {message}", err=True)
    return 1 if failed else 0


def _value(envelope: dict[str, Any], *, failed: bool) -> str:
    """What a person asked the tool for; without a value what it says about itself."""
    value = envelope.get("result")
    if value is None:
        return "" if failed else str(envelope.get("message") or "null")
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


@tool.command()
@named
@click.option("--verbose", is_flag=True, help="Print the details.")
@click.pass_obj
def test(shell: Shell, name: str, verbose: bool) -> int:
    """Check that a tool loads and that its own example works here.

    \b
    Example:
      llmspell tool test calculator --verbose
    """
    from llmspell_core.errors import LLMSpellError

    component = component_named(shell.catalog(), "tools", name)
    try:
        with shell.waiting(f"trying {component.name}"):
            details = shell.run(_try(shell, component.name))
        success, message = True, "works" if "example" in details else "loads; it has no example that runs offline"
    except LLMSpellError as error:
        success, message, details = False, error.message, error.to_dict()
    data = {"name": component.name, "success": success, "message": message, "details": details}
    line = f"{component.name}: {'passed' if success else 'FAILED'} - {message}"
    more = "\n" + json.dumps(details, indent=2, ensure_ascii=False, default=str) if verbose else ""
    shell.emit(data, line + more)
    return 0 if success else 1


async def _try(shell: Shell, name: str) -> dict[str, Any]:
    from llmspell_core.errors import ToolError

    async with shell.runtime() as runtime:
        found = runtime.tools.find(name)
        found.check_requirements()
        schema = found.schema.to_json_schema()
        if found.example is None:
            return {"schema": schema}
        output = await runtime.invoke_tool(name, found.example)
    envelope = output.metadata.extra.get("response", {})
    if envelope.get("success") is False:
        raise ToolError(f"its own example failed: {envelope.get('error')}", tool_name=name)
    return {"schema": schema, "example": dict(found.example), "result": envelope}
