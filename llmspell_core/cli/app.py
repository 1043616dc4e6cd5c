"""The program `llmspell`: its commands by name. Nothing here imports a command."""

from __future__ import annotations

from collections.abc import Mapping

import click

from llmspell_core.cli.lazy import Entry, LazyGroup, global_options, is_known

__all__ = ["COMMANDS", "app"]

HERE = "llmspell_core.cli"
COMMANDS = {
    "ask": Entry(f"{HERE}.ask:ask", "Ask a model one question."),
    "run": Entry(f"{HERE}.scripts:run", "Run a script file."),
    "exec": Entry(f"{HERE}.scripts:exec_", "Run a piece of code."),
    "repl": Entry(f"{HERE}.repl:repl", "Talk to a script engine line by line."),
    "tool": Entry(f"{HERE}.tool:tool", "List, describe, try and call tools."),
    "agent": Entry(f"{HERE}.agent:agent", "Decide about runs that wait for consent."),
    "trace": Entry(f"{HERE}.trace:trace", "Show what recorded runs did."),
    "model": Entry(f"{HERE}.model:model", "Fetch and manage models on this machine."),
    "provider": Entry(f"{HERE}.provider:provider", "List and test model providers."),
    "providers": Entry(f"{HERE}.provider:provider", "The same as provider.", hidden=True),
    "template": Entry(f"{HERE}.template:template", "List, describe and run templates."),
    "plugin": Entry(f"{HERE}.plugin:plugin", "List and check what is installed."),
    "config": Entry(f"{HERE}.config:config", "Show, check and change the configuration."),
    "trust": Entry(f"{HERE}.trust:trust", "Trust the configuration of a folder, as it is now."),
    "init": Entry(f"{HERE}.init:init", "Make a folder with a configuration file, an example and a README."),
    "info": Entry(f"{HERE}.info:info", "Show what is available here."),
    "stubs": Entry(f"{HERE}.stubs:stubs", "Print the script API as declarations for editors."),
    "completion": Entry(f"{HERE}.completion:completion", "Print the completion script of a shell."),
    "version": Entry(f"{HERE}.version:version", "Show versions."),
}

SCRIPTS = (".lua", ".js", ".mjs", ".cjs", ".ts", ".py")

HELP = """Small Lua and JavaScript scripts that drive LLM agents, tools and workflows.

Global options may stand before or after the command. A script's file alone is run: llmspell hello.lua

\b
Examples:
  llmspell exec 'print(Tool.list()[1].name)'
  llmspell ask "Why is the sky blue?"
  llmspell run examples/lua/first_agent.lua
  llmspell tool invoke calculator --param expression=2+2
"""


def commands_of_plugins() -> Mapping[str, Entry]:
    """Commands from the entry-point group `llmspell.commands`; a broken one is left to `plugin list`."""
    from llmspell_core.plugins.catalog import Catalog

    found = Catalog.load().components("commands")
    return {c.name: Entry(c.value, c.description) for c in found if c.error is None}


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        print(f"llmspell {version('llmspell')}")
        ctx.exit()


VERSION = click.Option(
    ["-V", "--version"],
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)


class Program(LazyGroup):
    """The commands; what is no command but a script's file is run. A command of the same name wins."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if is_script(args[0]) and not is_known(self, ctx, args[0]):
            return super().resolve_command(ctx, ["run", *args])
        return super().resolve_command(ctx, args)


def is_script(word: str) -> bool:
    """Whether it names a file: by its ending, or by a folder in front of it."""
    return not word.startswith("-") and ("/" in word or word.lower().endswith(SCRIPTS))


app = Program(
    "llmspell",
    entries=COMMANDS,
    more=commands_of_plugins,
    help=HELP,
    params=[*global_options(), VERSION],
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
