"""Where configuration files are looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["candidates", "discover", "home", "sibling"]

_HERE = ("llmspell.toml", ".llmspell.toml", "config/llmspell.toml", ".config/llmspell.toml")


def user_home(environ: Mapping[str, str]) -> Path:
    """The user's home directory as the environment tells it."""
    return Path(environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~"))  # noqa: PTH111 - text, no error


def home(environ: Mapping[str, str]) -> Path:
    """`~/.llmspell`, or what `LLMSPELL_HOME` says."""
    return Path(environ["LLMSPELL_HOME"]) if environ.get("LLMSPELL_HOME") else user_home(environ) / ".llmspell"


def candidates(environ: Mapping[str, str], cwd: Path) -> list[Path]:
    """The places of a configuration file, in the order in which they are tried."""
    user = user_home(environ)
    configs = Path(environ.get("XDG_CONFIG_HOME") or user / ".config")
    found = [cwd / name for name in _HERE]
    found += [home(environ) / "config.toml", user / ".llmspell.toml", user / ".config" / "llmspell.toml"]
    return [*found, configs / "llmspell" / "config.toml"]


def discover(environ: Mapping[str, str], cwd: Path) -> Path | None:
    return next((path for path in candidates(environ, cwd) if path.is_file()), None)


def sibling(path: Path, environ: Mapping[str, str]) -> Path | None:
    """`llmspell.<LLMSPELL_ENV>.toml` beside `path`, when it exists."""
    name = environ.get("LLMSPELL_ENV")
    beside = path.with_name(f"llmspell.{name}.toml") if name else None
    return beside if beside and beside != path and beside.is_file() else None
