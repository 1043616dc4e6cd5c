"""`llmspell completion`: click's own completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class

from llmspell_core.errors import ResourceError

__all__ = ["completion"]

PROGRAM, VARIABLE = "llmspell", "_LLMSPELL_COMPLETE"


@click.command()
@click.argument("shell_name", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell_name: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      eval "$(llmspell completion bash)"
      eval "$(llmspell completion zsh)"
      llmspell completion fish > ~/.config/fish/completions/llmspell.fish
    """
    from llmspell_core.cli.app import app

    found = get_completion_class(shell_name)
    if found is None:
        raise ResourceError(f"click has no completion for {shell_name}")
    made = found(app, {}, PROGRAM, VARIABLE)
    # BashComplete.source() would start bash to ask for its version, which is the user's to know.
    template = made.source_template if isinstance(made, BashComplete) else None
    print(template % made.source_vars() if template else made.source())
