"""The `[plugins]` table of the configuration, read without the machinery of the whole configuration.

`tool list` and its like must not wait for it: they need to know only which distributions are blocked or preferred.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.places import PROJECT_FILES, user_places

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.cli.options import Options
    from llmspell_core.config import Config

__all__ = ["plugin_settings"]


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
    places = (*PROJECT_FILES, *user_places(environment))
    return any(os.path.lexists(path) for path in places)  # see llmspell_core.plugins.catalog for the missing pathlib
