"""`llmspell template`: list, describe and run templates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.components import parameter_table
from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.tables import facts, listed, page

if TYPE_CHECKING:
    from llmspell_core.cli.shell import Shell
    from llmspell_core.runtime import Runtime

__all__ = ["template"]


@click.group(cls=SuggestingGroup)
def template() -> None:
    """List, describe and run templates.

    \b
    Example:
      llmspell template exec ask --param question='Why is the sky blue?'
    """


@template.command("list")
@click.option("--category", metavar="C", help="Only this category.")
@click.pass_obj
def list_(shell: Shell, category: str | None) -> None:
    """List the installed templates.

    \b
    Example:
      llmspell template list --category chat
    """
    _show(shell, "", category)


@template.command("search")
@click.argument("query", nargs=-1, required=True)
@click.option("--category", metavar="C", help="Only this category.")
@click.pass_obj
def search(shell: Shell, query: tuple[str, ...], category: str | None) -> None:
    """Find templates by a word of their texts.

    \b
    Example:
      llmspell template search question
    """
    _show(shell, " ".join(query), category)


def _show(shell: Shell, query: str, category: str | None) -> None:
    rows = [r for r in map(_row, shell.catalog().components("templates")) if _matches(r, query, category)]
    data: dict[str, Any] = {"query": query, "results": rows} if query else {"templates": rows}
    cells = [(r["id"], r["description"], r["category"], r["from"]) for r in rows]
    shell.emit(data, lambda: listed(("name", "what it does", "category", "from"), cells))


def _row(component: Any) -> dict[str, Any]:
    return {
        "id": component.name,
        "name": component.name,
        "description": component.description,
        "category": component.category,
        "version": component.version,
        "from": component.distribution,
    }


def _matches(row: dict[str, Any], query: str, category: str | None) -> bool:
    fits = category is None or str(row["category"]).lower() == category.lower()
    return fits and query.lower() in f"{row['id']} {row['description']}".lower()


@template.command("info")
@click.argument("name", shell_complete=completing.component("templates"))
@click.option("--show-schema", is_flag=True, help="With its parameters.")
@click.pass_obj
def info(shell: Shell, name: str, show_schema: bool) -> None:
    """Describe one template.

    \b
    Example:
      llmspell template info ask --show-schema
    """

    async def work(runtime: Runtime) -> dict[str, Any]:
        found = runtime.templates.find(name)
        return found.about() | ({"schema": found.schema.to_json_schema()} if show_schema else {})

    data = shell.run(_at_desk(shell, work))
    shell.emit(data, lambda: _described(data))


def _described(data: dict[str, Any]) -> str:
    known = [(key, _words(value)) for key, value in data.items() if key != "schema" and value not in (None, [])]
    return page([facts(known), *parameter_table(data.get("schema", {}))])


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@template.command("schema")
@click.argument("name", shell_complete=completing.component("templates"))
@click.pass_obj
def schema(shell: Shell, name: str) -> None:
    """Print a template's parameters as a JSON schema.

    \b
    Example:
      llmspell template schema ask
    """
    import json

    async def work(runtime: Runtime) -> dict[str, Any]:
        return dict(runtime.templates.find(name).schema.to_json_schema())

    click.echo(json.dumps(shell.run(_at_desk(shell, work)), indent=2, ensure_ascii=False))


@template.command("exec")
@click.argument("name", shell_complete=completing.component("templates"))
@click.option(
    "--param", "params", multiple=True, metavar="KEY=VALUE", help="A parameter; the value is JSON or a string."
)
@click.option("-o", "--output-dir", type=click.Path(file_okay=False, path_type=Path), help="Write artifacts here.")
@click.option("--dry-run", is_flag=True, help="Only check the parameters and estimate.")
@click.pass_obj
def exec_(shell: Shell, name: str, params: tuple[str, ...], output_dir: Path | None, dry_run: bool) -> None:
    """Run a template.

    \b
    Example:
      llmspell template exec ask --param question='Why is the sky blue?'
    """
    from llmspell_core.cli.parameters import parameters

    given = parameters(params, None)

    async def work(runtime: Runtime) -> dict[str, Any]:
        found = runtime.templates.find(name)
        if dry_run:
            estimate = await found.estimate(found.validate_parameters(given))
            return {"valid": True, "estimate": estimate.to_dict() if estimate else None}
        report: dict[str, Any] = (await runtime.run_template(name, given)).metadata.extra["template"]
        return report

    report = shell.run(_at_desk(shell, work))
    if output_dir is not None and not dry_run:
        _write(output_dir, report["artifacts"])
    shell.emit(report, lambda: _text(report))


async def _at_desk(shell: Shell, work: Callable[[Runtime], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    from llmspell_core.cli.waiting import Waiting, watch

    async with shell.runtime() as runtime:
        watch(runtime, Waiting(shell))
        return await work(runtime)


def _write(folder: Path, artifacts: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for artifact in artifacts:
        (folder / Path(artifact["filename"]).name).write_text(artifact["content"], encoding="utf-8")


def _text(report: dict[str, Any]) -> str:
    return str(report.get("result", report))
