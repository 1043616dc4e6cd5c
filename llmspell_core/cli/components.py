"""Catalog records as the commands show and demand them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.cli.tables import aligned, listed, on_terminal
from llmspell_core.errors import NotFoundError, PluginError

if TYPE_CHECKING:
    from llmspell_core.plugins.catalog import Catalog, Component

__all__ = ["component_named", "parameter_table", "record", "status"]


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


def parameter_table(schema: dict[str, Any]) -> list[str]:
    """What a JSON Schema of parameters says, as parts of a page: none when there are no parameters."""
    rows = [_parameter(name, spec, schema) for name, spec in schema.get("properties", {}).items()]
    if not rows:
        return []
    if on_terminal():
        return ["", listed(("parameter", "type", "needed", "what it is"), rows)]
    return ["", "Parameters:", aligned([(f"  {name}", *rest) for name, *rest in rows])]


def _parameter(name: str, spec: dict[str, Any], schema: dict[str, Any]) -> tuple[str, str, str, str]:
    kinds = [str(o.get("type", "")) for o in spec.get("anyOf", [spec]) if o.get("type") != "null"]
    needed = "required" if name in schema.get("required", ()) else ""
    about = spec.get("description", "")
    if "enum" in spec:
        about += f" One of: {', '.join(map(str, spec['enum']))}."
    return name, "|".join(dict.fromkeys(filter(None, kinds))) or "any", needed, about.strip()
