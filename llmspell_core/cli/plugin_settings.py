"""The `[plugins]` table of the configuration, read without the machinery of the whole configuration.

`tool list` and its like must not wait for it: they need to know only which distributions are blocked or preferred.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.cli.options import Options
    from llmspell_core.config import Config

__all__ = ["places", "plugin_settings"]

PLACES = ("llmspell.toml", ".llmspell.toml", "config/llmspell.toml", ".config/llmspell.toml")


def plugin_settings(options: Options, load: Callable[[], Config]) -> dict[str, Any]:
    """`block` and `prefer`. Without any configuration file nothing is imported for the answer.

    Args:
        load: the whole configuration, errors in it left alone.
    """
    if not _configured(options):
        return {}
    loaded = load()
    try:
        found = loaded.settings.plugins.model_dump()
    except ValidationError:
        # Something else is wrong with the configuration. That is for the commands that need it to say.
        found = loaded.get("plugins")
    return found if isinstance(found, dict) else {}


def _configured(options: Options) -> bool:
    environment = os.environ
    if options.config or options.profile or environment.get("LLMSPELL_PROFILE") or environment.get("LLMSPELL_CONFIG"):
        return True
    if any(name.startswith("LLMSPELL_PLUGINS__") for name in environment):
        return True
    return any(os.path.exists(path) for path in places())  # noqa: PTH110 - see llmspell_core.plugins.catalog


def places() -> list[str]:
    """Where the configuration may lie; the same as `llmspell_core.config.discovery`, without pathlib."""
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
