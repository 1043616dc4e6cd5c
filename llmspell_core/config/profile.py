"""Profiles: named sets of settings, shipped as small TOML files, extended by each other and by the user's own.

NAME                 a preset, or a single layer of that name
presets/NAME         the same, said exactly; also bases/, features/, envs/ and security/
layer,layer,...      several, from left to right
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llmspell_core.config.document import parse
from llmspell_core.config.layers import Layer
from llmspell_core.errors import ConfigurationError, NotFoundError

__all__ = ["KINDS", "MAX_DEPTH", "Profile", "Profiles"]

KINDS = ("presets", "bases", "features", "envs", "backends", "security")
MAX_DEPTH = 10
SHIPPED = Path(__file__).parent / "profiles"
_META = ("profile", "metadata")


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile file. `path` is None for a `[profiles.<name>]` table of a configuration file."""

    name: str
    kind: str
    description: str
    extends: tuple[str, ...]
    category: str
    tree: dict[str, Any]
    path: Path | None = None

    @property
    def shipped(self) -> bool:
        return self.path is not None and self.path.is_relative_to(SHIPPED)

    @property
    def layer(self) -> Layer:
        kind = "security" if self.kind == "security" else "profile"
        return Layer(kind if self.shipped else "own profile", f"profile:{self.kind}/{self.name}", self.tree)


class Profiles:
    """All profiles that can be named: the user's folder wins over the shipped ones."""

    def __init__(self, user_folder: Path | None = None, inline: dict[str, Any] | None = None) -> None:
        self._folders = [folder for folder in (user_folder, SHIPPED) if folder is not None]
        self._inline = inline or {}

    def all(self) -> list[Profile]:
        return [self.load(f"{kind}/{name}") for kind, name in self._names()]

    def layers(self, spec: str) -> list[Layer]:
        """The layers that `spec` names, lowest first.

        Raises:
            NotFoundError: an unknown name, with near matches.
            ConfigurationError: profiles that extend each other in a circle or too deeply.
        """
        return [
            profile.layer for part in spec.split(",") if part.strip() for profile in self._resolve(part.strip(), ())
        ]

    def load(self, spec: str) -> Profile:
        """The profile named `spec`, without what it extends."""
        if spec in self._inline:
            return _profile(spec, "presets", self._inline[spec], None)
        path = self._find(spec)
        return _profile(path.stem, path.parent.name, parse(str(path), path.read_text("utf-8")).tree, path)

    def _resolve(self, spec: str, chain: tuple[str, ...]) -> list[Profile]:
        profile = self.load(spec)
        own = f"{profile.kind}/{profile.name}"
        if own in chain:
            circle = " -> ".join((*chain, own))
            raise ConfigurationError(f"profile {own} extends itself: {circle}", hint="Remove one of these 'extends'.")
        if len(chain) >= MAX_DEPTH:
            raise ConfigurationError(
                f"profile {chain[0]} extends others more than {MAX_DEPTH} levels deep", hint="Name the layers directly."
            )
        below = [each for parent in profile.extends for each in self._resolve(parent, (*chain, own))]
        return [*below, profile]

    def _find(self, spec: str) -> Path:
        kind, _, name = spec.rpartition("/")
        for folder in self._folders:
            for each in (kind,) if kind else KINDS:
                path = folder / each / f"{name}.toml"
                if each in KINDS and path.is_file():
                    return path
        raise self._unknown(spec)

    def _names(self) -> Iterator[tuple[str, str]]:
        found = [("presets", name) for name in self._inline]
        for folder in self._folders:
            found += [(kind, path.stem) for kind in KINDS for path in sorted((folder / kind).glob("*.toml"))]
        return iter(dict.fromkeys(found))

    def _unknown(self, spec: str) -> NotFoundError:
        names = [name for kind, name in self._names() if kind != "security"]
        full = [f"{kind}/{name}" for kind, name in self._names()]
        near = get_close_matches(spec, full if "/" in spec else names, n=3, cutoff=0.5)
        advice = f"Did you mean {' or '.join(near)}? " if near else ""
        hint = f"{advice}'llmspell config list-profiles' shows them all."
        return NotFoundError(f"there is no profile '{spec}'", what="profile", name=spec, near=near, hint=hint)


def _profile(name: str, kind: str, tree: dict[str, Any], path: Path | None) -> Profile:
    about, more = _table(name, tree, "profile"), _table(name, tree, "metadata")
    return Profile(
        name=name,
        kind=kind,
        description=str(about.get("description", "")),
        extends=_extended(name, about.get("extends", tree.get("extends", ()))),
        category=str(more.get("category", "Layer")),
        tree={key: value for key, value in tree.items() if key not in (*_META, "extends")},
        path=path,
    )


def _table(name: str, tree: dict[str, Any], key: str) -> dict[str, Any]:
    table = tree.get(key, {})
    if not isinstance(table, dict):
        raise ConfigurationError(
            f"profile {name}: {key} must be a table", hint=f"Write [{key}] and its settings below it."
        )
    return table


def _extended(name: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise ConfigurationError(
            f"profile {name}: extends must be a list of names", hint='E.g. extends = ["envs/dev"].'
        )
    return tuple(names)
