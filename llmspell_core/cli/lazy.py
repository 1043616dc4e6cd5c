"""Groups that know their commands' names and first lines without importing them, and options that may stand anywhere."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from llmspell_core.cli import completing
from llmspell_core.cli.options import FORMATS, LEVELS
from llmspell_core.cli.shell import Shell

__all__ = ["Entry", "LazyGroup", "SuggestingGroup", "global_options", "is_known"]


class Entry(NamedTuple):
    """Where a command lives (`module:attribute`) and the first line of its help."""

    target: str
    help: str
    hidden: bool = False


class SuggestingGroup(click.Group):
    """A group that offers near names for a mistyped subcommand."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        check_known(self, ctx, args[0])
        return super().resolve_command(ctx, args)


class LazyGroup(SuggestingGroup):
    """A group whose commands are imported when they run.

    Args:
        entries: the commands, in the order in which help shows them.
        more: further commands, asked for once and only when needed.
    """

    def __init__(
        self,
        *args: Any,
        entries: Mapping[str, Entry],
        more: Callable[[], Mapping[str, Entry]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._entries = dict(entries)
        self._more = more

    @property
    def entries(self) -> dict[str, Entry]:
        if self._more is not None:
            more, self._more = self._more, None
            self._entries = {**more(), **self._entries}
        return self._entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.entries, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries.get(cmd_name) or self.entries.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return adopted(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, entry.help) for name, entry in self.entries.items() if not entry.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        shown = [(name, entry) for name, entry in self.entries.items() if not entry.hidden]
        names = [CompletionItem(name, help=e.help) for name, e in shown if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def is_known(group: click.Group, ctx: click.Context, name: str) -> bool:
    return group.get_command(ctx, name) is not None


def check_known(group: click.Group, ctx: click.Context, name: str) -> None:
    """Raises: click.UsageError for a command that does not exist, with the nearest ones."""
    if name.startswith("-") or ctx.resilient_parsing or is_known(group, ctx, name):
        return
    from difflib import get_close_matches

    near = get_close_matches(name, group.list_commands(ctx))
    tail = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    raise click.UsageError(f"No such command {name!r}.{tail}", ctx)


def adopted(command: click.Command) -> click.Command:
    """`command` with the global options and the shell's beginning added, once; for groups also their commands."""
    if getattr(command, "adopted", False):
        return command
    command.adopted = True  # type: ignore[attr-defined]
    command.params = [*command.params, *_free(global_options(hidden=True), command)]
    if isinstance(command, click.Group):
        for each in command.commands.values():
            adopted(each)
    elif command.callback is not None:
        command.callback = _begun(command.callback)
    return command


def _free(options: list[click.Option], command: click.Command) -> list[click.Option]:
    """The options whose names the command does not use itself."""
    taken = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    free = []
    for option in options:
        names = [name for name in option.opts if name not in taken]
        if any(name.startswith("--") for name in names):
            option.opts = names
            free.append(option)
    return free


def _begun(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def begin(*args: Any, **kwargs: Any) -> Any:
        click.get_current_context().ensure_object(Shell).begin()
        return callback(*args, **kwargs)

    return begin


def global_options(*, hidden: bool = False) -> list[click.Option]:
    """New option objects: on the program they set the defaults, on a command they override them."""
    made = [
        _option("config", ["-c", "--config"], "Read this configuration file.", metavar="PATH"),
        _option(
            "profile",
            ["-p", "--profile"],
            "Use a preset or a comma list of layers instead.",
            metavar="NAME",
            shell_complete=completing.profile,
        ),
        _option("output", ["--output"], "Print plain lines, one JSON document, or a layout for people.", FORMATS),
        _option("trace", ["--trace"], "How much to log to stderr.", LEVELS),
        _option("quiet", ["-q", "--quiet"], "No notes, no progress; only results and errors.", is_flag=True),
        _option(
            "security_profile",
            ["--security-profile"],
            "Tighten the configured security profile.",
            ("low", "medium", "high"),
        ),
    ]
    if hidden:
        made.append(_option("output", ["--format"], "The same as --output.", FORMATS))
    for option in made:
        option.hidden = hidden
    return made


def _option(
    field: str, names: list[str], help: str, choices: tuple[str, ...] | None = None, **more: Any
) -> click.Option:
    def store(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Shell).options, field, value)

    kind = click.Choice(choices, case_sensitive=False) if choices else None
    return click.Option([*names, f"global_{field}"], type=kind, help=help, callback=store, expose_value=False, **more)
