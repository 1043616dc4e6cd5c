"""What the shell's completion offers: names of components, models, settings and runs.

A person waits at every Tab: this reads the catalog and the names of files, and imports neither settings nor plugins.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from llmspell_core.cli.shell import Shell
from llmspell_core.places import own_folder

if TYPE_CHECKING:
    import click

    from llmspell_core.plugins.catalog import Catalog, Component

__all__ = [
    "Complete",
    "component",
    "distribution",
    "kind",
    "local_model",
    "model",
    "models",
    "new_kind",
    "profile",
    "pullable",
    "run",
    "setting",
    "table",
]

Complete = Callable[["click.Context", "click.Parameter", str], list[CompletionItem]]
CONFIG = os.path.join(os.path.dirname(os.path.dirname(__file__)), "config")  # noqa: PTH118, PTH120
"""Where our own configuration files are. Without pathlib, whose import a person would wait for."""
SHOWN = re.compile(r"^(?:#\? )?(?:\[(?P<table>[\w.-]+)\]|(?P<key>[\w-]+) = )", re.MULTILINE)


def component(*kinds: str) -> Complete:
    """Names of what is installed, with what each one does."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = _components(_catalog(ctx), kinds)
        return _items(((each.name, each.description) for each in found), incomplete)

    return complete


def distribution(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Installed distributions, and the names of what they offer."""
    catalog = _catalog(ctx)
    offered = ((each.name, each.distribution) for each in _components(catalog, catalog.kinds()))
    return _items([*((each.name, each.summary) for each in catalog.distributions()), *offered], incomplete)


def kind(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _items(((name, "") for name in _catalog(ctx).kinds()), incomplete)


def new_kind(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kinds of plugin that `plugin new` can write."""
    from llmspell_core.scaffold import KINDS

    return _items(((name, "") for name in KINDS), incomplete)


def local_model(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models that are files on this machine."""
    return _items(((name, backend) for backend, name in _stored()), incomplete)


def pullable(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Models that can be fetched by a short name."""
    offered = ((name, each.name) for each in _providers(ctx) for name in each.extra.get("short_names", ()))
    return _items(offered, incomplete)


def model(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`provider/model`: the local ones in full, of the others the provider."""
    return _items(((name, "") for name in models(_catalog(ctx))), incomplete)


def models(catalog: Catalog) -> list[str]:
    local = {f"local/{name}" for _, name in _stored()}
    return [*sorted(local), *(f"{each.name}/" for each in _components(catalog, ["providers"]))]


def setting(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of the configuration."""
    return _items(((key, "") for key in _settings(ctx)), incomplete)


def table(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Tables of the configuration, such as `tools` and `tools.network`."""
    tables = {key[:at] for key in _settings(ctx) for at, letter in enumerate(key) if letter == "."}
    return _items(((name, "") for name in sorted(tables)), incomplete)


def profile(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Profiles: ours and the user's."""
    folders = (f"{CONFIG}/profiles", f"{own_folder(os.environ)}/profiles")
    names = {name for folder in folders for name in _profiles(folder)}
    return _items(((name, "") for name in sorted(names)), incomplete)


def run(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Recorded runs, newest first."""
    names = (entry.partition(".")[0] for entry in sorted(_listing(f"{own_folder(os.environ)}/traces"), reverse=True))
    return _items([("last", "the newest"), *((name, "") for name in names)], incomplete)


def _items(offered: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    """Each name once. What it does is one line of text: it goes to a terminal, through the shell."""
    from llmspell_core.cli.harmless import printable

    found = {name: text for name, text in reversed([*offered]) if name.startswith(incomplete) and name.isprintable()}
    return [CompletionItem(name, help=printable(text) or None) for name, text in reversed([*found.items()])]


def _catalog(ctx: click.Context) -> Catalog:
    return ctx.ensure_object(Shell).catalog()


def _components(catalog: Catalog, kinds: Iterable[str]) -> Iterator[Component]:
    return (each for name in kinds for each in catalog.components(name) if each.error is None)


def _providers(ctx: click.Context) -> list[Component]:
    return list(_components(_catalog(ctx), ["providers"]))


def _stored() -> list[tuple[str, str]]:
    """(backend, model): a folder each below `models`."""
    root = f"{own_folder(os.environ)}/models"
    return [(backend, name) for backend in _listing(root) for name in _listing(f"{root}/{backend}")]


def _settings(ctx: click.Context) -> list[str]:
    """The keys that the default configuration shows, and those of a provider for every provider that is installed."""
    with open(f"{CONFIG}/defaults.toml", encoding="utf-8") as file:  # noqa: PTH123 - see CONFIG
        shown = list(_keys(file.read()))
    example = "providers.openai."
    of_provider = [key.removeprefix(example) for key in shown if key.startswith(example)]
    more = [f"providers.{each.name}.{key}" for each in _providers(ctx) for key in of_provider]
    tools = list(_components(_catalog(ctx), ["tools"]))
    levels = [f"tools.permissions.{each.name}" for each in tools]
    own = [f"tools.{each.name.replace('-', '_')}.{key}" for each in tools for key in each.extra.get("settings") or ()]
    return sorted({*shown, *more, *levels, *own})


def _keys(text: str) -> Iterator[str]:
    above = ""
    for found in SHOWN.finditer(text):
        if found["table"]:
            above = f"{found['table']}."
        else:
            yield above + found["key"]


def _profiles(folder: str) -> Iterator[str]:
    for name in _listing(folder):
        if name.endswith(".toml"):
            yield name.removesuffix(".toml")
            continue
        inner = "" if name == "presets" else f"{name}/"
        yield from (inner + each.removesuffix(".toml") for each in _listing(f"{folder}/{name}"))


def _listing(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208
    except OSError:
        return []
