"""`llmspell init`: a folder to start in."""

from __future__ import annotations

import os
from pathlib import Path

import click

from llmspell_core.cli.shell import Shell
from llmspell_core.errors import ConfigurationError

__all__ = ["init"]

LUA = """\
-- Run it with: llmspell run examples/hello_world.lua -- --name Ada
print("Hello, " .. (ARGS.name or "world") .. "!")

local tools = Tool.list()
print("Installed tools: " .. #tools)

-- An agent asks a model; without any key it is the one that runs on this machine:
--   llmspell model pull smollm2
-- local agent = Agent.builder():name("poet"):build()
-- print(agent:execute({ text = "Say hello in five words." }).text)
"""

JAVASCRIPT = """\
// Run it with: llmspell run examples/hello_world.js -- --name Ada
console.log(`Hello, ${ARGS.name ?? "world"}!`);

const tools = Tool.list();
console.log(`Installed tools: ${tools.length}`);

// An agent asks a model; without any key it is the one that runs on this machine:
//   llmspell model pull smollm2
// const agent = Agent.builder().name("poet").build();
// console.log((await agent.execute({ text: "Say hello in five words." })).text);
"""

README = """\
# {name}

    llmspell run examples/hello_world.{extension}
    llmspell config show

Settings are in `llmspell.toml`; `llmspell config check` reads it critically.
"""

EXAMPLES = {"lua": ("lua", LUA), "javascript": ("js", JAVASCRIPT)}


@click.command()
@click.argument("name")
@click.option("--language", type=click.Choice(sorted(EXAMPLES)), default="lua", help="Of the example.")
@click.option("-f", "--force", is_flag=True, help="Replace files that are there.")
@click.pass_obj
def init(shell: Shell, name: str, language: str, force: bool) -> None:
    """Make a folder with a configuration file, an example and a README.

    \b
    Examples:
      llmspell init my-spells
      llmspell init my-spells --language javascript
    """
    folder = Path(name)
    files = _files(folder, language)
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise ConfigurationError(f"{there[0]} exists already", path=there[0], hint="Use --force to replace it.")
    from llmspell_core.config.editing import write, write_configuration

    settings, *others = files
    trusted = write_configuration(settings, files[settings], os.environ, whole=True)
    for path in others:
        write(path, files[path])
    if not trusted:
        shell.note(f"Note: {folder} is not trusted; look at what else is in it, then run: llmspell trust {folder}")
    extension = EXAMPLES[language][0]
    shell.emit(
        {"path": str(folder), "files": [str(path) for path in files]},
        f"Made {folder}. Next:\n  cd {folder}\n  llmspell run examples/hello_world.{extension}",
    )


def _files(folder: Path, language: str) -> dict[Path, str]:
    from llmspell_core.config.editing import default_toml

    extension, example = EXAMPLES[language]
    settings = default_toml()
    if language != "lua":
        settings = settings.replace('#default_engine = "lua"', f'default_engine = "{language}"')
    return {
        folder / "llmspell.toml": settings,
        folder / "examples" / f"hello_world.{extension}": example,
        folder / "README.md": README.format(name=folder.resolve().name, extension=extension),
    }
