"""The test kit for plugin authors: contract classes, a scripted provider, fixtures.

The fixtures come with the package (`runtime`, `make_runtime`, `run_script`, `invoke_cli`); a contract class is inherited
in the plugin's own test file:

    class TestWeather(ToolContract):
        tool_class = Weather
        example = {"city": "Lisbon"}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmspell_core.testing.engine import EngineContract as EngineContract
    from llmspell_core.testing.executor import ExecutorContract as ExecutorContract
    from llmspell_core.testing.provider import ProviderContract as ProviderContract
    from llmspell_core.testing.scripted import ScriptedProvider as ScriptedProvider
    from llmspell_core.testing.scripted import call as call
    from llmspell_core.testing.scripted import say as say
    from llmspell_core.testing.tool import ToolContract as ToolContract
    from llmspell_core.testing.workflow import WorkflowContract as WorkflowContract

_HOMES = {
    "EngineContract": "engine",
    "ExecutorContract": "executor",
    "ProviderContract": "provider",
    "ScriptedProvider": "scripted",
    "ToolContract": "tool",
    "WorkflowContract": "workflow",
    "call": "scripted",
    "say": "scripted",
}

__all__ = [
    "EngineContract",
    "ExecutorContract",
    "ProviderContract",
    "ScriptedProvider",
    "ToolContract",
    "WorkflowContract",
    "call",
    "say",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'llmspell_core.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"llmspell_core.testing.{_HOMES[name]}"), name)
