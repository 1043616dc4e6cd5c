"""The places that decide what a run may do: configuration files, llmspell's own folder, the list of trusted folders.

The one list of them. Without pathlib, because `tool list` asks for it and must not wait.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["PROJECT_FILES", "configuration_places", "own_folder", "project_places", "trust_file", "user_folder",
           "user_places"]  # fmt: skip

PROJECT_FILES = ("llmspell.toml", ".llmspell.toml", "config/llmspell.toml", ".config/llmspell.toml")
"""In the working folder, in the order in which they are tried. What they say is a project's, not the operator's."""


def user_folder(environ: Mapping[str, str]) -> str:
    """The user's home directory as the environment tells it."""
    return environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")  # noqa: PTH111


def own_folder(environ: Mapping[str, str]) -> str:
    """`~/.llmspell`, or what `LLMSPELL_HOME` says: configuration, profiles, trusted folders, models, records."""
    return environ.get("LLMSPELL_HOME") or os.path.join(user_folder(environ), ".llmspell")  # noqa: PTH118


def trust_file(environ: Mapping[str, str]) -> str:
    """The list of trusted folders; see `llmspell_core.config.trust`."""
    return os.path.join(own_folder(environ), "trust.json")  # noqa: PTH118


def user_places(environ: Mapping[str, str]) -> list[str]:
    """The places of the user's configuration file, in the order in which they are tried."""
    user = user_folder(environ)
    configs = environ.get("XDG_CONFIG_HOME") or f"{user}/.config"
    found = (f"{own_folder(environ)}/config.toml", f"{user}/.llmspell.toml", f"{user}/.config/llmspell.toml",
             f"{configs}/llmspell/config.toml")  # fmt: skip
    return list(dict.fromkeys(found))


def project_places(environ: Mapping[str, str], cwd: str) -> list[str]:
    """The places of a project's configuration file; without those that are the user's, where home is the working folder."""
    own = {os.path.realpath(path) for path in user_places(environ)}
    paths = (os.path.join(cwd, name) for name in PROJECT_FILES)  # noqa: PTH118
    return [path for path in paths if os.path.realpath(path) not in own]


def configuration_places(environ: Mapping[str, str], cwd: str = "") -> list[str]:
    """Every file and folder that is read to configure a run; no script may write there.

    Args:
        cwd: the working folder; left out, its files are given as relative paths.
    """
    project = [os.path.join(cwd, name) for name in PROJECT_FILES]  # noqa: PTH118
    configs = environ.get("XDG_CONFIG_HOME") or f"{user_folder(environ)}/.config"
    return list(
        dict.fromkeys(
            [*project, *user_places(environ), f"{configs}/llmspell", own_folder(environ), trust_file(environ)]
        )
    )
