"""`llmspell plugin`: what is installed, and what is wrong with it. Reads the catalog only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.components import record, status
from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import aligned, boxed, facts, listed, on_terminal, page
from llmspell_core.errors import NotFoundError

if TYPE_CHECKING:
    from llmspell_core.plugins.catalog import Catalog, Component, Distribution

__all__ = ["plugin"]

PARTS = ("kind", "name", "status", "what it does")
HEADING = ("kind", "name", "distribution", "version", "status", "note")


@click.group(cls=SuggestingGroup)
def plugin() -> None:
    """List and check what is installed.

    \b
    Example:
      llmspell plugin list
    """


refresh_option = click.option("--refresh", is_flag=True, help="Describe every plugin again.")


@plugin.command("list")
@click.option("--kind", metavar="KIND", shell_complete=completing.kind, help="Only tools, providers, engines, ...")
@click.option("--problems", is_flag=True, help="Only what cannot be used.")
@refresh_option
@click.pass_obj
def list_(shell: Shell, kind: str | None, problems: bool, refresh: bool) -> None:
    """List every component of every installed plugin, the broken ones too.

    \b
    Examples:
      llmspell plugin list --kind tools
      llmspell plugin list --problems
    """
    catalog = shell.catalog(refresh=refresh)
    _check_kind(catalog, kind)
    rows = [c for c in map(catalog.judged, catalog.rows(kind)) if not problems or not c.available]
    data = [_row(c) for c in rows] + _blocked(catalog, kind)
    cells = [tuple(str(row.get(key, "")) for key in HEADING) for row in data]
    shell.emit(data, lambda: listed(HEADING, cells), lambda: boxed(HEADING, cells))


def _check_kind(catalog: Catalog, kind: str | None) -> None:
    from llmspell_core.plugins.kinds import GROUPS

    known = sorted({*GROUPS, *catalog.kinds()})
    if kind is not None and kind not in known:
        raise click.BadParameter(f"{kind!r} is not one of {', '.join(known)}", param_hint="--kind")


def _row(component: Component) -> dict[str, Any]:
    note = f"needs {', '.join(component.missing)}" if component.missing else ""
    if component.error is not None:
        note = component.error["message"]
    return {
        "kind": component.kind,
        "name": component.name,
        "distribution": component.distribution,
        "version": component.version,
        "status": status(component),
        "note": note,
        "description": component.description,
    } | ({"error": component.error} if component.error else {})


def _blocked(catalog: Catalog, kind: str | None) -> list[dict[str, Any]]:
    if kind is not None:
        return []
    found = [d for d in catalog.distributions() if catalog.is_blocked(d.name)]
    return [
        {"kind": "-", "name": "-", "distribution": d.name, "version": d.version, "status": "blocked", "note": d.summary}
        for d in found
    ]


@plugin.command()
@click.argument("name", shell_complete=completing.distribution)
@click.pass_obj
def info(shell: Shell, name: str) -> None:
    """Describe a distribution, or the one that offers a component.

    \b
    Examples:
      llmspell plugin info llmspell-tools-utility
      llmspell plugin info calculator
    """
    catalog = shell.catalog()
    found = _distributions(catalog, name)
    data = [_details(catalog, each) for each in found]
    shell.emit(
        data[0] if len(data) == 1 else data, lambda: page([part for each in data for part in (*_parts(each), "")][:-1])
    )


def _distributions(catalog: Catalog, name: str) -> list[Distribution]:
    from llmspell_core.plugins.records import normalized

    every = {d.name: d for d in catalog.distributions()}
    if normalized(name) in every:
        return [every[normalized(name)]]
    offering = {row.distribution for row in catalog.rows() if name in {row.name, *row.aliases}}
    if not offering:
        from difflib import get_close_matches

        near = get_close_matches(name, [*every, *(row.name for row in catalog.rows())], n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "See: llmspell plugin list"
        raise NotFoundError(f"Plugin '{name}' not found", hint=hint, what="plugins", name=name, near=near)
    return [every[each] for each in sorted(offering)]


def _details(catalog: Catalog, distribution: Distribution) -> dict[str, Any]:
    from importlib.metadata import metadata

    about = metadata(distribution.name)
    rows = [catalog.judged(c) for c in catalog.rows() if c.distribution == distribution.name]
    return {
        "distribution": distribution.name,
        "version": distribution.version,
        "summary": distribution.summary,
        "author": about["Author"] or about["Author-email"] or "",
        "license": about["License-Expression"] or about["License"] or "",
        "requires": about.get_all("Requires-Dist") or [],
        "blocked": catalog.is_blocked(distribution.name),
        "components": [{"kind": c.kind, "status": status(c)} | record(c) for c in rows],
    }


def _parts(data: dict[str, Any]) -> list[str]:
    known = [(f"{k}:", str(data[k])) for k in ("author", "license") if data[k]]
    known.append(("requires:", ", ".join(data["requires"]) or "-"))
    rows = [(c["kind"], c["name"], c["status"], c["description"]) for c in data["components"]]
    shown = listed(PARTS, rows) if on_terminal() else aligned([(f"  {kind}", *rest) for kind, *rest in rows])
    return [f"{data['distribution']} {data['version']}", data["summary"], "", facts(known), "", shown]


@plugin.command()
@click.argument("names", nargs=-1, shell_complete=completing.distribution)
@click.pass_obj
def check(shell: Shell, names: tuple[str, ...]) -> int:
    """Load every component once and report what is wrong; exit code 1 if anything is.

    \b
    Examples:
      llmspell plugin check
      llmspell plugin check llmspell-tools-web
    """
    catalog = shell.catalog(refresh=True)
    wanted = {d.name for name in names for d in _distributions(catalog, name)}
    rows = [c for c in map(catalog.judged, catalog.rows()) if not wanted or c.distribution in wanted]
    wrong = [c for c in rows if c.error is not None]
    data = {"valid": not wrong, "checked": len(rows), "problems": [_row(c) for c in wrong]}
    shell.emit(data, lambda: "\n".join([*map(_problem, wrong), f"{len(rows)} components, {len(wrong)} with problems"]))
    return 1 if wrong else 0


def _problem(component: Component) -> str:
    error = component.error or {}
    where = f"{component.kind} '{component.name}' of {component.distribution} {component.version}"
    return f"{where}: {error.get('message')}" + (f"\n  Hint: {error['hint']}" if error.get("hint") else "")


@plugin.command("new")
@click.argument("kind", metavar="KIND", shell_complete=completing.new_kind)
@click.argument("name")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Parent folder.")
@click.pass_obj
def new(shell: Shell, kind: str, name: str, into: Path) -> None:
    """Write a new plugin whose tests pass as written. KIND: tool, provider, hook, global, workflow or executor.

    \b
    Example:
      llmspell plugin new tool weather
    """
    from llmspell_core.scaffold import generate

    written = generate(kind, name, into)
    folder = into / f"llmspell-{kind}-{name}"
    data = {"folder": str(folder), "files": [str(path) for path in written]}
    steps = f"cd {folder}\npip install -e '.[test]' && pytest"
    shell.emit(data, lambda: f"Wrote {len(written)} files. Next:\n{steps}")
