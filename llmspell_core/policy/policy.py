"""Decides about tools, environment names and secrets, and tells the desk about every denial."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from llmspell_core.errors import LLMSpellError, SecurityError
from llmspell_core.policy.host import HostRules, Resolver
from llmspell_core.policy.path import PathRules
from llmspell_core.policy.settings import PolicySettings
from llmspell_core.redaction import Redaction

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk
    from llmspell_core.policy.files import Files
    from llmspell_core.policy.http import Http, HttpPool
    from llmspell_core.policy.process import Process

__all__ = ["Policy"]

log = logging.getLogger("llmspell.policy")

LEVELS = ("safe", "restricted", "privileged")
_reporting: ContextVar[bool] = ContextVar("reporting", default=False)


class LevelledTool(Protocol):
    """What the policy wants to know of a tool."""

    name: str

    @property
    def security_level(self) -> object: ...


class Policy:
    """One runtime's security policy.

    Args:
        settings: see `PolicySettings`; a mapping may carry `profile` and overrides.
        secrets: values that must never be shown, such as configured API keys.
        environ: the environment that `env` reads and child processes get their share of.
        resolver: how host names become addresses; tests hand in their own.
    """

    def __init__(
        self,
        settings: PolicySettings | Mapping[str, Any] | None = None,
        *,
        secrets: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self.settings = PolicySettings.of(settings)
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.paths = PathRules(self.settings)
        self.hosts = HostRules(self.settings, resolver)
        self._redaction = Redaction(secrets, self.environ)
        self._desk: Desk | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reports: set[asyncio.Task[None]] = set()
        self._pool: HttpPool | None = None

    def attach(self, desk: Desk) -> None:
        """Report denials to this desk from now on. Called by the runtime, inside its event loop."""
        self._desk = desk
        self._loop = asyncio.get_running_loop()

    def files(self, context: ExecutionContext | None = None) -> Files:
        """Files for one execution."""
        from llmspell_core.policy.files import Files

        return Files(self, context)

    def http(self, context: ExecutionContext | None = None) -> Http:
        """HTTP for one execution."""
        from llmspell_core.policy.http import Http

        return Http(self, context)

    def process(self, context: ExecutionContext | None = None) -> Process:
        """Programs for one execution."""
        from llmspell_core.policy.process import Process

        return Process(self, context)

    def http_pool(self) -> HttpPool:
        """The connections that every `Http` of this policy shares."""
        if self._pool is None:
            from llmspell_core.policy.http import HttpPool

            self._pool = HttpPool(self)
        return self._pool

    async def aclose(self) -> None:
        """Close the connections and finish reporting."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None
        await asyncio.sleep(0)  # reports from other threads begin with the next round of the loop
        if self._reports:
            await asyncio.gather(*self._reports)

    def check_tool(self, tool: LevelledTool) -> None:
        """Raises: SecurityError when tools are switched off, or its level is above what the policy grants."""
        given = self.settings.tool_levels.get(tool.name, str(tool.security_level))
        needed = max(given, self.settings.minimum_levels.get(tool.name, LEVELS[0]), key=LEVELS.index)
        granted = self.settings.max_tool_level
        if not self.settings.allow_tools:
            denial = SecurityError(
                f"tool '{tool.name}' may not run: tools are switched off",
                violation_type="tools_disabled",
                hint="Set tools.enabled = true.",
            )
        elif LEVELS.index(needed) > LEVELS.index(granted):
            denial = SecurityError(
                f"tool '{tool.name}' is {needed}; the security profile '{self.settings.profile}' allows {granted} tools",
                violation_type="tool_level_denied",
                hint=f'Set runtime.security.max_tool_level = "{needed}", or allow this one: [tools.permissions] {tool.name} = "{granted}".',
            )
        else:
            return
        self.report_soon(denial)
        raise denial

    def env(self, name: str) -> str | None:
        """The environment variable, None when it is not set. Raises: SecurityError when tools may not read it."""
        if not self.may_read_env(name):
            raise SecurityError(
                f"the environment variable {name} may not be read by tools",
                violation_type="environment_denied",
                hint=f'Add "{name}" to security.sandbox.allowed_env_vars.',
            )
        return self.environ.get(name)

    def may_read_env(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.settings.allowed_env_vars)

    def environment(self) -> dict[str, str]:
        """Those variables of the environment that tools and child processes may see."""
        return {name: value for name, value in self.environ.items() if self.may_read_env(name)}

    def add_secret(self, value: str) -> None:
        """Mask this value from now on."""
        self._redaction.add(value)

    def redact(self, text: str) -> str:
        """`text` with every known secret, and every value of a variable named like one, replaced."""
        return self._redaction.clean(text)

    async def report(self, error: SecurityError, context: ExecutionContext | None = None) -> None:
        """Log a denial, publish `security.violation`, and run the SecurityViolation hooks. Never raises for a hook."""
        data = self._violation(error, context)
        if self._desk is None or _reporting.get():  # a hook that is denied something must not be told so forever
            return
        token = _reporting.set(True)
        try:
            self._desk.events.emit("security.violation", data, context)
            # The access is denied already; what a hook makes of it can no longer change that.
            with suppress(LLMSpellError):
                await self._desk.hooks.fire("SecurityViolation", "policy", data)
        finally:
            _reporting.reset(token)

    def report_soon(self, error: SecurityError, context: ExecutionContext | None = None) -> None:
        """The same from code that cannot wait, in any thread."""
        if self._loop is None or self._loop.is_closed():
            self._violation(error, context)
            return
        self._loop.call_soon_threadsafe(self._spawn_report, error, context)

    def _spawn_report(self, error: SecurityError, context: ExecutionContext | None) -> None:
        assert self._loop is not None
        task = self._loop.create_task(self.report(error, context))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    def _violation(self, error: SecurityError, context: ExecutionContext | None) -> dict[str, Any]:
        message = self.redact(error.message)
        log.info("denied: %s (%s)", message, error.violation_type)
        tool = context.tool_name if context is not None else None
        return {"violation_type": error.violation_type, "message": message, "tool_name": tool}
