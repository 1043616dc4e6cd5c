"""The bridge from pluggy plugins to the hook chains. Imported only when a hook plugin is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pluggy

from llmspell_core.errors import PluginError
from llmspell_core.hooks import PRIORITIES, HookContext, specs

__all__ = ["hookimpl", "implementations"]

hookimpl = pluggy.HookimplMarker("llmspell")


def implementations(plugin: object, name: str) -> Iterator[tuple[str, Callable[[HookContext], Any], int]]:
    """Yields (point, function, priority) for every spec that `plugin` implements.

    Raises:
        PluginError: what pluggy found wrong, e.g. an argument that the spec does not have.
    """
    manager = pluggy.PluginManager("llmspell")
    manager.add_hookspecs(specs)
    try:
        manager.register(plugin, f"hooks:{name}")
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(
            f"hook plugin '{name}' does not fit the hook specs: {str(error).splitlines()[-1].strip()}",
            hint="Compare its functions with llmspell_core.hooks.specs.",
            plugin=name,
        ) from error
    for caller in manager.get_hookcallers(plugin) or ():
        point = caller.name.removeprefix("llmspell_")
        for impl in caller.get_hookimpls():
            yield point, _adapt(impl.function, impl.argnames), _priority(impl)


def _adapt(function: Callable[..., Any], argnames: tuple[str, ...]) -> Callable[[HookContext], Any]:
    """pluggy lets an implementation take fewer arguments than its spec."""
    return function if argnames else lambda _context: function()


def _priority(impl: Any) -> int:
    return PRIORITIES["high"] if impl.tryfirst else PRIORITIES["low"] if impl.trylast else PRIORITIES["normal"]
