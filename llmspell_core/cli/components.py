"""Catalog records as the commands show and demand them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError, PluginError

if TYPE_CHECKING:
    from llmspell_core.plugins.catalog import Catalog, Component

__all__ = ["component_named", "record", "status"]


def component_named(catalog: Catalog, kind: str, name: str) -> Component:
    """The installed component.

    Raises:
        NotFoundError: with the nearest names, or what to install.
        PluginError: it is there but broken, or two distributions offer it.
    """
    found = catalog.find(kind, name)
    if found is None:
        from llmspell_core.plugins.registry import Registry

        raise Registry(catalog).not_found(kind, name) if kind != "plugin" else NotFoundError(f"'{name}' not found")
    if found.error is not None:
        message = f"'{found.name}' of {found.distribution} {found.version}".rstrip() + f": {found.error['message']}"
        raise PluginError(message, hint=found.error["hint"], plugin=found.name, distribution=found.distribution)
    return found


def record(component: Component) -> dict[str, Any]:
    """A component as plain data."""
    data: dict[str, Any] = {
        "name": component.name,
        "description": component.description,
        "category": component.category,
        "security_level": component.security_level,
        "available": component.available,
        "distribution": component.distribution,
        "version": component.version,
    }
    if component.missing:
        data["missing"] = list(component.missing)
    if component.error is not None:
        data["error"] = component.error
    return {key: value for key, value in data.items() if value != "" or key == "description"}


def status(component: Component) -> str:
    """One word for `plugin list`: ok, incomplete (a library is missing), conflict or broken."""
    if component.error is not None:
        return "conflict" if component.error["type"] == "Conflict" else "broken"
    return "incomplete" if component.missing else "ok"
