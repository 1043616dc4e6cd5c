"""One row of the catalog, and how names of components and distributions are compared. Imports nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["RETURNS", "Component", "Distribution", "normalized", "spellings"]

RETURNS = "x-returns"
"""Where the stored schema of a tool says what the tool answers."""


class Component(NamedTuple):
    """One entry point and what it says about itself.

    Attributes:
        kind: the group of one of `llmspell_core.plugins.kinds.KINDS`.
        value: `module:attribute`; empty when importing it must not be tried (it ends the process, or it clashes).
        aliases: other names that find it; for a provider also the presets it serves.
        missing: import names of optional libraries that it needs and that are not installed.
        source: the file that defines it.
        error: None, or `{"type", "message", "hint"}`: why it cannot be used.
        extra: what only this kind has, e.g. an engine's file extensions, a provider's key variable.
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    description: str = ""
    category: str = ""
    security_level: str = ""
    aliases: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    source: str = ""
    error: dict[str, str] | None = None
    extra: dict[str, Any] = {}

    @property
    def available(self) -> bool:
        return self.error is None and not self.missing


class Distribution(NamedTuple):
    """An installed distribution that offers components. `stamp` changes when it is installed anew."""

    name: str
    version: str
    summary: str
    path: str
    stamp: str
    described: bool = True


def normalized(name: str) -> str:
    """A distribution's name as packaging compares it."""
    return "-".join(filter(None, name.strip().lower().replace("_", "-").replace(".", "-").split("-")))


def spellings(name: str) -> list[str]:
    """The ways in which a component of that name may be registered."""
    plain = str(name).strip().lower().replace("_", "-")
    other = plain.removesuffix("-tool") if plain.endswith("-tool") else f"{plain}-tool"
    return [str(name), plain, other]
