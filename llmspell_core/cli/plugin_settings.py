"""The `[plugins]` table of the configuration, read without the machinery of the whole configuration.

`tool list` and its like must not wait for it: they need to know only which distributions are blocked or preferred.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmspell_core.cli.shell import Shell

__all__ = ["plugin_settings"]

PLACES = ("llmspell.toml", ".llmspell.toml", "config/llmspell.toml", ".config/llmspell.toml")


def plugin_settings(shell: Shell) -> dict[str, Any]:
    """`block` and `prefer`. Without any configuration file nothing is imported for the answer."""
    if not _configured(shell):
        return {}
    found = shell.config(check=False).get("plugins")
    return found if isinstance(found, dict) else {}


def _configured(shell: Shell) -> bool:
    options, environment = shell.options, os.environ
    if options.config or options.profile or environment.get("LLMSPELL_PROFILE") or environment.get("LLMSPELL_CONFIG"):
        return True
    if any(name.startswith("LLMSPELL_PLUGINS__") for name in environment):
        return True
    return any(os.path.exists(path) for path in _places())  # noqa: PTH110 - see llmspell_core.catalog


def _places() -> list[str]:
    home = os.path.expanduser("~")  # noqa: PTH111
    own = os.environ.get("LLMSPELL_HOME") or f"{home}/.llmspell"
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    usual = (
        f"{own}/config.toml",
        f"{home}/.llmspell.toml",
        f"{home}/.config/llmspell.toml",
        f"{config}/llmspell/config.toml",
    )
    return [*PLACES, *usual]
