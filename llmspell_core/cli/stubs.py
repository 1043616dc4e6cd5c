"""`llmspell stubs`: the script API as editors understand it."""

from __future__ import annotations

from pathlib import Path

import click

from llmspell_core.cli.shell import Shell

__all__ = ["stubs"]

LANGUAGES = {"lua": "lua", "ts": "typescript", "typescript": "typescript", "js": "typescript"}


@click.command()
@click.argument("language", metavar="LANGUAGE", type=click.Choice(list(LANGUAGES)))
@click.option("-o", "--output-file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there.")
@click.pass_obj
def stubs(shell: Shell, language: str, output_file: Path | None) -> None:
    """Print the script API as declarations for editors.

    LANGUAGE is lua (annotations of the Lua language server) or ts (a .d.ts file for JavaScript).

    \b
    Examples:
      llmspell stubs lua -o llmspell.d.lua
      llmspell stubs ts -o llmspell.d.ts
    """
    text = shell.run(_declarations(shell, LANGUAGES[language]))
    if output_file is None:
        shell.emit({"language": LANGUAGES[language], "text": text}, text.rstrip("\n"))
        return
    try:
        output_file.write_text(text, "utf-8")
    except OSError as error:
        from llmspell_core.errors import StorageError

        raise StorageError(f"cannot write {output_file}: {error.strerror}", operation="write") from None
    shell.emit({"path": str(output_file)}, f"Wrote {output_file}")


async def _declarations(shell: Shell, language: str) -> str:
    from llmspell_core.script.stubs import lua_stubs, typescript_stubs

    async with shell.runtime() as runtime:
        declared = runtime.scripts.api.globals
        return lua_stubs(declared) if language == "lua" else typescript_stubs(declared)
