"""The tools of a runtime: found, their settings, and the time that they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ComponentError, ConfigurationError, NotFoundError, ValidationError

if TYPE_CHECKING:
    from llmspell_core.component import BaseAgent
    from llmspell_core.plugins.records import Component
    from llmspell_core.runtime.desk import Runtime
    from llmspell_core.tool import Tool

__all__ = ["Tools"]


class Tools:
    """`runtime.tools`; `Runtime.invoke_tool` runs one."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def find(self, name: str) -> Tool[Any]:
        """The tool of that name or alias. Raises: NotFoundError, PluginError."""
        from llmspell_core.tool import Tool

        tool = self._runtime.registry.get("tools", name)
        if not isinstance(tool, Tool):
            raise ComponentError(f"'{name}' is not a tool but {type(tool).__name__}")
        return tool

    def names(self) -> list[str]:
        return self._runtime.registry.names("tools")

    def about(self, name: str) -> dict[str, Any]:
        """`name`, `description`, `version`, `category`, and `security_level` where the catalog has it; nothing is imported."""
        record = self._runtime.registry.info("tools", name)
        if record is not None:
            level = {"security_level": record.security_level}
            return {"name": name, **_texts(record), **level}
        return {"name": name, **_texts(self.find(name))}

    async def discover(self, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """What `about` says of every tool, of those of a `category`, or of those in whose description there is `tag`."""
        asked, hooks = dict(query or {}), self._runtime.hooks
        await hooks.fire("BeforeToolDiscovery", "registry", {"query": asked})
        rows = [self.about(name) for name in self.names()]
        if category := asked.get("category"):
            rows = [row for row in rows if row["category"] == category]
        if tag := str(asked.get("tag") or "").lower():
            rows = [row for row in rows if tag in str(row["description"]).lower()]
        found: dict[str, Any] = {"query": asked, "result": rows, "discovered_count": len(rows)}
        await hooks.fire("AfterToolDiscovery", "registry", found)
        changed: list[dict[str, Any]] = found["result"]
        return changed

    def offer(self, component: Tool[Any] | BaseAgent) -> str:
        """Make a tool object callable by its name; an agent becomes the tool `<agent>_tool`. Returns the name.

        Raises:
            ValidationError: another tool has that name.
        """
        from llmspell_core.tool import Tool

        if not isinstance(component, Tool):
            return self._runtime.agents.wrap(component)
        registry = self._runtime.registry
        if not registry.has("tools", component.name) or self.find(component.name) is not component:
            registry.register("tools", component.name, component)
        return component.name

    def needs_approval(self, name: str) -> bool:
        """Whether the configuration wants a person's consent before an agent calls this tool."""
        config, canonical = self._runtime.config, self._runtime.registry.canonical
        if config.get("tools.security.require_approval"):
            return True
        asks = config.get("tools.approval.ask") or ()
        if not asks:
            return False
        return "*" in asks or canonical("tools", name) in {canonical("tools", each) for each in asks}

    def time_limit(self, name: str, default: float | None = None) -> float | None:
        """Seconds, None for no limit. `default`: the tool's own, which `tools.timeouts` overrides by name only."""
        timeouts = self._runtime.config.get("tools.timeouts") or {}
        value = timeouts.get(name, default or timeouts.get("default", 30))
        return float(value) if value else None

    def settings(self, name: str) -> dict[str, Any]:
        """The table `[tools.<name>]`, its values as the tool's `settings` want them. Raises: ConfigurationError."""
        tables = self._runtime.config.section("tools")
        found = tables.get(name) or tables.get(name.replace("-", "_")) or {}
        if not found or not isinstance(found, Mapping):
            return {}
        try:
            tool = self.find(name)
        except NotFoundError:  # one that was made by hand
            return dict(found)
        return {**found, **_settings(tool, found)}


def _settings(tool: Tool[Any], table: Mapping[str, Any]) -> dict[str, Any]:
    from llmspell_core.parameters import validated

    where = f"tools.{tool.name.replace('-', '_')}"
    declared = {key: value for key, value in table.items() if key in tool.settings.model_fields}
    try:
        return validated(where, tool.settings, declared, hint="").model_dump(exclude_unset=True)
    except ValidationError as error:
        hint = f"Correct [{where}] in the configuration; see: llmspell config show {where}"
        raise ConfigurationError(error.message.removeprefix("Validation error: "), hint=hint) from None


def _texts(tool: Tool[Any] | Component) -> dict[str, Any]:
    return {"description": tool.description, "version": tool.version, "category": tool.category}
