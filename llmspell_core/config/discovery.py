"""Which configuration files are there: the user's, and the project's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmspell_core.errors import ConfigurationError
from llmspell_core.places import own_folder, user_folder, user_places

__all__ = ["beside", "home", "sibling", "user_file", "user_home"]


def user_home(environ: Mapping[str, str]) -> Path:
    """The user's home directory as the environment tells it."""
    return Path(user_folder(environ))


def home(environ: Mapping[str, str]) -> Path:
    """`~/.llmspell`, or what `LLMSPELL_HOME` says."""
    return Path(own_folder(environ))


def user_file(environ: Mapping[str, str]) -> Path | None:
    """The user's own configuration file."""
    return next((path for path in map(Path, user_places(environ)) if path.is_file()), None)


def beside(environ: Mapping[str, str]) -> str | None:
    """The name of the file that is read after another one of its folder: `llmspell.<LLMSPELL_ENV>.toml`.

    Raises:
        ConfigurationError: `LLMSPELL_ENV` would lead to another folder.
    """
    name = environ.get("LLMSPELL_ENV")
    if name and ("/" in name or "\\" in name or "\0" in name):
        raise ConfigurationError(f"LLMSPELL_ENV is not a name: {name!r}", hint="Give a word such as prod.")
    return f"llmspell.{name}.toml" if name else None


def sibling(path: Path, environ: Mapping[str, str]) -> Path | None:
    """`llmspell.<LLMSPELL_ENV>.toml` beside `path`, when it exists."""
    name = beside(environ)
    found = path.with_name(name) if name else None
    return found if found and found != path and found.is_file() else None
