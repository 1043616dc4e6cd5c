"""`llmspell trust`: let the configuration of a folder do more than tighten."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click

from llmspell_core.cli.shell import Shell
from llmspell_core.cli.tables import listed
from llmspell_core.config.secrecy import shown
from llmspell_core.config.trust import Entry, Project, Trust, configured_folders
from llmspell_core.errors import LLMSpellError

__all__ = ["trust"]


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--list", "listing", is_flag=True, help="Show what is trusted, and whether it has changed since.")
@click.option("--remove", is_flag=True, help="Trust the folder no more.")
@click.pass_obj
def trust(shell: Shell, path: Path | None, listing: bool, remove: bool) -> None:
    """Trust the configuration of a folder, as it is now.

    Without PATH it is this folder. Until then a llmspell.toml found in the working folder can only make things
    stricter. When it, a llmspell.<ENV>.toml beside it or something in llmspell_plugins changes, it has to be trusted
    again. Look at it first.

    \b
    Examples:
      llmspell trust
      llmspell trust ~/spells
      llmspell trust --list
      llmspell trust --remove ~/spells
    """
    if listing and (remove or path):
        raise click.UsageError("--list goes with nothing else", click.get_current_context())
    if listing:
        _list(shell)
    elif remove:
        _remove(shell, _folder(path))
    else:
        _add(shell, _folder(path))


def _folder(path: Path | None) -> Path:
    """The working folder that `path` names; a configuration file stands for the folder that it configures."""
    if path is None:
        from llmspell_core.config.loading import current_folder

        return current_folder()
    if path.expanduser().is_dir():
        return path.expanduser()
    places = configured_folders(path)
    return places[0][0] if places else path.expanduser()


def _add(shell: Shell, folder: Path) -> None:
    from llmspell_core.config.loading import ignored_in

    project = Project.of(folder, os.environ)
    ignored = ignored_in(project)
    Trust().add(project)
    keys = list(dict.fromkeys(shown(".".join(each.keys)) for each in ignored))
    data = {"path": str(project.folder), "files": sorted(project.contents), "settings": keys}
    lines = [f"Trusted {shown(str(project.folder))}, as it is now: {', '.join(map(shown, sorted(project.contents)))}"]
    lines += [f"From now on it sets: {', '.join(keys)}"] if keys else []
    shell.emit(data, "\n".join(lines))


def _remove(shell: Shell, folder: Path) -> None:
    real = os.path.realpath(folder)
    if not Trust().remove(folder):
        from llmspell_core.errors import NotFoundError

        hint = "'llmspell trust --list' shows what is trusted."
        raise NotFoundError(f"{real} is not trusted", what="trusted folder", name=real, hint=hint)
    shell.emit({"path": real, "removed": True}, f"{shown(real)} is not trusted any more")


def _list(shell: Shell) -> None:
    rows = [_row(entry, _state(entry)) for entry in Trust().entries()]
    text = listed(("state", "folder", "since"), [(row["state"], shown(row["path"]), row["at"]) for row in rows])
    shell.emit(rows, text or "No folder is trusted.")


def _row(entry: Entry, state: str) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.at))
    return {"path": str(entry.folder), "state": state, "at": at}


def _state(entry: Entry) -> str:
    try:
        project = Project.of(entry.folder, os.environ)
        return "gone" if not project.contents else "trusted" if project.digest == entry.digest else "changed"
    except (LLMSpellError, OSError):
        return "changed"
