"""`llmspell version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import facts, page

__all__ = ["version"]


@click.command()
@click.option("--short", is_flag=True, help="Only the number.")
@click.option("--verbose", is_flag=True, help="Also Python, the platform and the installed plugins.")
@click.pass_obj
def version(shell: Shell, short: bool, verbose: bool) -> None:
    """Show versions.

    \b
    Examples:
      llmspell version
      llmspell version --verbose --output json
    """
    number = metadata.version("llmspell")
    plugins = {d.name: d.version for d in shell.catalog().distributions() if d.name != "llmspell"}
    data = {"version": number, "python": platform.python_version(), "platform": platform.platform(), "plugins": plugins}
    line = number if short else f"llmspell {number}"
    more = [("python", platform.python_version()), ("platform", platform.platform()), *plugins.items()]
    shell.emit(data, page([line, facts(more)]) if verbose else line)
