"""What a run of llmspell itself reads, besides the interpreter: asked of the code that reads it.

The policy keeps all of it read-only (see `llmspell_core.policy.read_only`), and what may hold keys unreadable.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from llmspell_core.config.secrecy import is_secret
from llmspell_core.plugins.cache import cache_dir, spare_folder

if TYPE_CHECKING:
    from llmspell_core.config import Config

__all__ = ["read_places", "secret_places"]


def read_places(config: Config, cwd: Path) -> list[str]:
    """Caches, records, modules and models: what is believed or run, and no configuration."""
    found = [cache_dir(), *([spare_folder()] if hasattr(os, "getuid") else [])]
    found += _logs(str(config.get("logging.log_file") or ""), int(config.get("logging.max_backups") or 0))
    for table in config.section("engines").values():
        found += (str(path) for path in (table.get("module_paths") or () if isinstance(table, dict) else ()))
    for table in config.section("providers").values():
        found.append(str(table.get("model_directory") or "") if isinstance(table, dict) else "")
    return [text for text in found if text and not _holds(text, cwd)]


def _logs(path: str, backups: int) -> list[str]:
    """The log file and its older ones: the record of what was denied; see `llmspell_core.cli.logs`."""
    numbers = range(1, backups + 2)
    return [path, *(f"{path}.{number}{suffix}" for number in numbers for suffix in ("", ".gz"))] if path else []


def _holds(text: str, cwd: Path) -> bool:
    """Whether the working folder is there: the operator wants work to be done in it."""
    return cwd.resolve().is_relative_to(Path(cwd, Path(text).expanduser()).resolve())


def secret_places(config: Config) -> list[str]:
    """llmspell's own folder, with its records and histories, and the configuration files that hold a key."""
    own = [str(config.home)]
    if not config.files:
        return own
    origins = [row.origin for row in config.flat() if row.value and is_secret(row.key.split("."))]
    return own + [str(path) for path in config.files if any(origin.startswith(str(path)) for origin in origins)]
