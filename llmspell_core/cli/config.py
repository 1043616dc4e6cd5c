"""`llmspell config`: what is set, where it was set, and whether it is right."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.lazy import SuggestingGroup
from llmspell_core.cli.shell import Shell, dumps, tables_of_plugins
from llmspell_core.cli.streams import read_stdin
from llmspell_core.cli.tables import aligned
from llmspell_core.errors import ConfigurationError, LLMSpellError

if TYPE_CHECKING:
    from llmspell_core.config import Config
    from llmspell_core.config.configuration import Row
    from llmspell_core.config.profile import Profile

__all__ = ["config"]

USUAL = "llmspell.toml"


@click.group(cls=SuggestingGroup)
def config() -> None:
    """Show, check and change the configuration.

    \b
    Example:
      llmspell config show runtime
    """


@config.command()
@click.argument("section", required=False, shell_complete=completing.table)
@click.option("--section", "named", metavar="SECTION", help="The same as the argument.")
@click.option("--format", "layout", type=click.Choice(["toml", "json"]), help="Print the values only, as a document.")
@click.pass_obj
def show(shell: Shell, section: str | None, named: str | None, layout: str | None) -> None:
    """Show every setting and where its value comes from. Secrets are masked.

    \b
    Examples:
      llmspell config show
      llmspell config show providers --output json
      llmspell config show tools --format toml
    """
    loaded, wanted = shell.config(check=False), section or named
    rows = loaded.flat(wanted)
    tree = _tree(loaded, wanted)
    if layout:
        click.echo(dumps(tree) if layout == "json" else _toml(tree))
        return
    idle, ignored = _without_effect(loaded, rows), _ignored_rows(loaded, wanted)
    data = {
        "path": _text(loaded.path),
        "settings": tree,
        "origins": {row.key: row.origin for row in rows},
        "without_effect": idle,
        "ignored": [{"key": row.key, "value": row.value, "origin": row.origin} for row in ignored],
    }
    lines = [*(_row(row, idle=row.key in idle) for row in rows), *map(_ignored, ignored)]
    shell.emit(data, lambda: aligned(lines))


def _row(row: Row, *, idle: bool) -> tuple[str, str]:
    from llmspell_core.config.secrecy import shown

    return shown(f"{row.key} = {literal(row.value)}"), shown(f"# {row.origin}{'; no effect' if idle else ''}")


def _ignored_rows(loaded: Config, section: str | None) -> list[Row]:
    """What a folder that is not trusted sets without effect."""
    from llmspell_core.config.configuration import Row
    from llmspell_core.config.secrecy import masked

    rows = [Row(".".join(each.keys), masked(each.keys, each.value), each.origin) for each in loaded.ignored]
    return [row for row in rows if not section or f"{row.key}.".startswith(f"{section}.")]


def _ignored(row: Row) -> tuple[str, str]:
    from llmspell_core.config.secrecy import shown

    return shown(f"# {row.key} = {literal(row.value)}"), shown(f"# {row.origin}; ignored: not trusted")


def _without_effect(loaded: Config, rows: list[Row]) -> list[str]:
    tables = loaded.without_effect()
    return [row.key for row in rows if any(f"{row.key}.".startswith(f"{table}.") for table in tables)]


def _tree(loaded: Config, section: str | None) -> dict[str, Any]:
    """The values below `section`, inside their tables."""
    value = loaded.get(section or "")
    for key in reversed(section.split(".") if section else []):
        value = {key: value}
    return dict(value)


def _toml(tree: dict[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(tree).rstrip()


def literal(value: Any) -> str:
    """`value` as TOML writes it."""
    import json

    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)


@config.command()
@click.argument("key", shell_complete=completing.setting)
@click.pass_obj
def get(shell: Shell, key: str) -> None:
    """Print one setting. Secrets are masked.

    \b
    Example:
      llmspell config get runtime.script_timeout_seconds
    """
    loaded = shell.config()
    if not loaded.has(key):
        from llmspell_core.config.checks import is_declared

        if not is_declared(tuple(key.split("."))):
            raise loaded.unknown(key)
    value = loaded.get(key)
    shell.emit(value, "" if value is None else value if isinstance(value, str) else literal(value))


@config.command("set")
@click.argument("key", shell_complete=completing.setting)
@click.argument("value")
@click.option("-f", "--file", "path", type=click.Path(path_type=Path), help="Change this file.")
@click.pass_obj
def set_(shell: Shell, key: str, value: str, path: Path | None) -> None:
    """Change one setting in the configuration file; comments stay. VALUE may be - to read it from stdin.

    \b
    Examples:
      llmspell config set runtime.script_timeout_seconds 60
      llmspell config set tools.file_operations.allowed_paths '["."]'
    """
    from llmspell_core.config import load_config
    from llmspell_core.config.editing import project_places_of, set_value
    from llmspell_core.config.secrecy import masked

    path = path or _main_file(shell)
    project_places_of(path, os.environ)  # what a link leads to is not even read
    text = read_stdin().decode("utf-8", "replace").strip() if value == "-" else value
    written = masked(
        key.split("."), set_value(path, key, text, partial(_written, shell, whole=False), tables_of_plugins)
    )
    loaded = load_config(path, check=False)
    loaded.plugin_tables = tables_of_plugins
    for warning in loaded.warnings:
        if f"{key}.".startswith(f"{warning.partition(':')[0]}."):  # about the setting, or the table it is in
            shell.note(f"Warning: {warning}")
    shell.emit({"path": str(path), "key": key, "value": written}, f"{key} = {literal(written)} in {path}")


def _written(shell: Shell, path: Path, text: str, *, whole: bool) -> None:
    """Write it; what we write is trusted, but not what somebody else has put there."""
    from llmspell_core.config.editing import write_configuration

    if not write_configuration(path, text, os.environ, whole=whole):
        from llmspell_core.config.secrecy import shown

        where = shown(str(path))
        shell.note(
            f"Note: the folder of {where} is not trusted; look at what is in it, then run: llmspell trust {where}"
        )


def _main_file(shell: Shell) -> Path:
    """The file to change: the one that is read, or a new one in this folder."""
    if shell.options.config:
        return Path(shell.options.config)
    return shell.config(check=False).path or Path(USUAL)


@config.command()
@click.option("-f", "--file", "path", metavar="PATH", help="Check this file.")
@click.pass_obj
def check(shell: Shell, path: str | None) -> int:
    """Check the configuration: exit code 1 when something is wrong, warnings for what is probably a mistake.

    \b
    Examples:
      llmspell config check
      llmspell config check --file other.toml --output json
    """
    shell.options.config = path or shell.options.config
    data = _checked(shell)
    lines = [f"error: {message}" for message in data["errors"]] + [
        f"warning: {message}" for message in data["warnings"]
    ]
    where = data["path"] or "the configuration (no file)"
    shell.emit(data, "\n".join([*lines, f"{where}: {'valid' if data['valid'] else 'not valid'}"]))
    return 0 if data["valid"] else 1


config.add_command(
    click.Command("validate", params=check.params, callback=check.callback, help=check.help, hidden=True)
)


def _checked(shell: Shell) -> dict[str, Any]:
    try:
        loaded = shell.config(check=False)
        found = loaded.problems()
    except LLMSpellError as error:
        message = f"{error.message}\n  {error.hint}" if error.hint else error.message
        return {"valid": False, "path": shell.options.config, "warnings": [], "errors": [message]}
    errors = [_with_hint(problem.message, problem.hint) for problem in found if problem.severity == "error"]
    warnings = [_with_hint(problem.message, problem.hint) for problem in found if problem.severity == "warning"]
    warnings += _reminders(loaded)
    return {"valid": not errors, "path": _text(loaded.path), "warnings": warnings, "errors": errors}


def _with_hint(message: str, hint: str | None) -> str:
    return f"{message}. {hint}" if hint else message


def _reminders(loaded: Config) -> list[str]:
    """What is allowed, and surprises people."""
    found = []
    if not loaded.provider_names():
        found.append("no provider is configured and no key is set: agents use the local model smollm2")
    if loaded.get("runtime.security.allow_network_access") is False:
        found.append(f"network access is off ({loaded.origin('runtime.security.allow_network_access')})")
    return found


@config.command()
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), default=USUAL, help="Where to write it.")
@click.option("-f", "--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def init(shell: Shell, path: Path, force: bool) -> None:
    """Write a configuration file that names every setting with its default, commented out.

    \b
    Examples:
      llmspell config init
      llmspell config init --output ~/.llmspell/config.toml
    """
    from llmspell_core.config.editing import default_toml

    if path.exists() and not force:
        raise ConfigurationError(f"{path} exists already", path=str(path), hint="Use --force to replace it.")
    _written(shell, path, default_toml(), whole=True)
    steps = f"Wrote {path}. Edit it, then run: llmspell config check --file {path}"
    shell.emit({"path": str(path)}, steps)


@config.command(hidden=True)
def generate() -> None:
    """Print the default configuration file.

    \b
    Example:
      llmspell config generate > llmspell.toml
    """
    from llmspell_core.config.editing import default_toml

    click.echo(default_toml().rstrip())


@config.command("list-profiles")
@click.option("-d", "--detailed", is_flag=True, help="Also the layers that presets are made of.")
@click.pass_obj
def list_profiles(shell: Shell, detailed: bool) -> None:
    """List what --profile can name.

    \b
    Examples:
      llmspell config list-profiles
      llmspell --profile development run spell.lua
    """
    found = [p for p in _profiles(shell) if detailed or p.kind == "presets"]
    shell.emit([_record(profile) for profile in found], lambda: _grouped(found, detailed=detailed))


def _profiles(shell: Shell) -> list[Profile]:
    from llmspell_core.config.profile import Profiles

    return Profiles(shell.config(check=False).home / "profiles").all()


def _record(profile: Profile) -> dict[str, Any]:
    name = profile.name if profile.kind == "presets" else f"{profile.kind}/{profile.name}"
    return {
        "name": name,
        "category": profile.category,
        "description": profile.description,
        "layers": list(profile.extends),
    }


def _grouped(found: list[Profile], *, detailed: bool) -> str:
    lines: list[str] = []
    for category in sorted({profile.category for profile in found}, key=lambda name: (name == "Layer", name)):
        records = [_record(profile) for profile in found if profile.category == category]
        rows = [(f"  {r['name']}", r["description"], ", ".join(r["layers"]) if detailed else "") for r in records]
        lines += [f"{category}:", aligned(rows)]
    return "\n".join(lines)


@config.command("show-profile")
@click.argument("name", shell_complete=completing.profile)
@click.pass_obj
def show_profile(shell: Shell, name: str) -> None:
    """Show what a profile sets, without what it extends.

    \b
    Example:
      llmspell config show-profile envs/dev
    """
    from llmspell_core.config.profile import Profiles

    profile = Profiles(shell.config(check=False).home / "profiles").load(name)
    data = _record(profile) | {"settings": profile.tree}
    about = aligned([("description:", profile.description), ("layers:", ", ".join(profile.extends) or "-")])
    shell.emit(data, lambda: f"{about}\n\n{_toml(profile.tree)}".rstrip())


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
