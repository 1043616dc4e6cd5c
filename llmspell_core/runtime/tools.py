"""The tools of a runtime: found, allowed, run within their time."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ComponentError, ConfigurationError, NotFoundError, TimeoutError, ValidationError
from llmspell_core.messages import AgentInput, AgentOutput
from llmspell_core.time_limit import time_limit

if TYPE_CHECKING:
    from llmspell_core.agent.consent import Agreed
    from llmspell_core.config import Config
    from llmspell_core.context import ExecutionContext
    from llmspell_core.metrics import Metrics
    from llmspell_core.plugins.registry import Registry
    from llmspell_core.policy import Policy
    from llmspell_core.tool import Tool

__all__ = ["Tools"]


class Tools:
    """The part of `Runtime` that has to do with tools."""

    config: Config
    metrics: Metrics
    policy: Policy
    registry: Registry

    if TYPE_CHECKING:  # what the rest of the runtime gives

        def context(self) -> ExecutionContext: ...

    def tool_for(self, name: str) -> Tool[Any]:
        """The tool of that name or alias. Raises: NotFoundError, PluginError."""
        from llmspell_core.tool import Tool

        tool = self.registry.get("tools", name)
        if not isinstance(tool, Tool):
            raise ComponentError(f"'{name}' is not a tool but {type(tool).__name__}")
        return tool

    def tool_names(self) -> list[str]:
        return self.registry.names("tools")

    async def invoke_tool(
        self,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        context: ExecutionContext | None = None,
        *,
        agreed: Agreed | None = None,
    ) -> AgentOutput:
        """Run a tool.

        Args:
            agreed: what somebody agreed to, which must be this call.

        Raises:
            NotFoundError: no such tool.
            ValidationError: the parameters do not fit.
            SecurityError: the policy does not allow the tool or what it wanted to do.
            TimeoutError: it took longer than `tools.timeouts` allows.
        """
        tool = self.tool_for(name)
        self.policy.check_tool(tool)
        limit = self._tool_timeout(tool.name, tool.default_timeout)
        given = {} if parameters is None else parameters
        input = AgentInput(parameters={"parameters": given}) if agreed is None else agreed.input(tool, given)
        try:
            async with time_limit(limit):
                return await tool.execute(input, context or self.context())
        except builtins.TimeoutError as error:
            self.metrics.counts["tool.errors"] += 1
            raise TimeoutError(
                f"tool '{tool.name}' did not finish within {limit:g} s",
                hint=f"Raise tools.timeouts.{tool.name} in the configuration.",
                duration_ms=int((limit or 0) * 1000),
            ) from error

    async def call_tool(
        self, name: str, parameters: dict[str, Any], context: ExecutionContext, agreed: Agreed | None = None
    ) -> AgentOutput:
        """A tool call that a model made."""
        return await self.invoke_tool(name, parameters, context, agreed=agreed)

    def _tool_timeout(self, name: str, default: float | None = None) -> float | None:
        timeouts = self.config.get("tools.timeouts") or {}
        value = timeouts.get(name, default or timeouts.get("default", 30))
        return float(value) if value else None

    def tool_settings(self, name: str) -> dict[str, Any]:
        """The table `[tools.<name>]`, its values as the tool's `settings` want them. Raises: ConfigurationError."""
        tables = self.config.section("tools")
        found = tables.get(name) or tables.get(name.replace("-", "_")) or {}
        if not found or not isinstance(found, Mapping):
            return {}
        try:
            tool = self.tool_for(name)
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
