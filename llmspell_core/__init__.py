"""llmspell's core: what a plugin is, and how the parts come together.

Everything public is a name of this module, imported when it is first used: `import llmspell_core` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmspell_core.agent import AgentBuilder as AgentBuilder
    from llmspell_core.agent import AgentConfig as AgentConfig
    from llmspell_core.agent import LLMAgent as LLMAgent
    from llmspell_core.agent import ResourceLimits as ResourceLimits
    from llmspell_core.component import BaseAgent as BaseAgent
    from llmspell_core.component import ComponentId as ComponentId
    from llmspell_core.component import ComponentMetadata as ComponentMetadata
    from llmspell_core.component import Version as Version
    from llmspell_core.config import Config as Config
    from llmspell_core.config import load_config as load_config
    from llmspell_core.context import ContextScope as ContextScope
    from llmspell_core.context import ExecutionContext as ExecutionContext
    from llmspell_core.errors import ComponentError as ComponentError
    from llmspell_core.errors import ConfigurationError as ConfigurationError
    from llmspell_core.errors import LLMSpellError as LLMSpellError
    from llmspell_core.errors import NetworkError as NetworkError
    from llmspell_core.errors import NotFoundError as NotFoundError
    from llmspell_core.errors import PluginError as PluginError
    from llmspell_core.errors import ProviderError as ProviderError
    from llmspell_core.errors import RateLimitError as RateLimitError
    from llmspell_core.errors import ScriptError as ScriptError
    from llmspell_core.errors import SecurityError as SecurityError
    from llmspell_core.errors import StorageError as StorageError
    from llmspell_core.errors import TimeoutError as TimeoutError
    from llmspell_core.errors import ToolError as ToolError
    from llmspell_core.errors import ValidationError as ValidationError
    from llmspell_core.events import Event as Event
    from llmspell_core.events import EventBus as EventBus
    from llmspell_core.hooks import HookContext as HookContext
    from llmspell_core.hooks import HookResult as HookResult
    from llmspell_core.hooks import Hooks as Hooks
    from llmspell_core.hooks.plugins import hookimpl as hookimpl
    from llmspell_core.messages import AgentChunk as AgentChunk
    from llmspell_core.messages import AgentInput as AgentInput
    from llmspell_core.messages import AgentOutput as AgentOutput
    from llmspell_core.messages import Media as Media
    from llmspell_core.messages import Message as Message
    from llmspell_core.messages import ToolCall as ToolCall
    from llmspell_core.messages import ToolOutput as ToolOutput
    from llmspell_core.messages import Usage as Usage
    from llmspell_core.plugins.registry import Registry as Registry
    from llmspell_core.provider import Completion as Completion
    from llmspell_core.provider import CompletionRequest as CompletionRequest
    from llmspell_core.provider import Health as Health
    from llmspell_core.provider import LocalModel as LocalModel
    from llmspell_core.provider import LocalProvider as LocalProvider
    from llmspell_core.provider import ModelSpec as ModelSpec
    from llmspell_core.provider import Provider as Provider
    from llmspell_core.provider import ProviderCapabilities as ProviderCapabilities
    from llmspell_core.provider import ProviderSettings as ProviderSettings
    from llmspell_core.provider import PullProgress as PullProgress
    from llmspell_core.provider import ToolDefinition as ToolDefinition
    from llmspell_core.runtime import Runtime as Runtime
    from llmspell_core.state import MemoryState as MemoryState
    from llmspell_core.state import State as State
    from llmspell_core.state import StateStore as StateStore
    from llmspell_core.tool import NoParameters as NoParameters
    from llmspell_core.tool import SecurityLevel as SecurityLevel
    from llmspell_core.tool import SecurityRequirements as SecurityRequirements
    from llmspell_core.tool import Tool as Tool
    from llmspell_core.tool import ToolResult as ToolResult

_ERRORS = (
    "ComponentError ConfigurationError LLMSpellError NetworkError NotFoundError PluginError ProviderError RateLimitError "
    "ScriptError SecurityError StorageError TimeoutError ToolError ValidationError"
)
_HOMES = {
    "agent": "AgentBuilder AgentConfig LLMAgent ResourceLimits",
    "component": "BaseAgent ComponentId ComponentMetadata Version",
    "config": "Config load_config",
    "context": "ContextScope ExecutionContext",
    "errors": _ERRORS,
    "events": "Event EventBus",
    "hooks.plugins": "hookimpl",
    "hooks": "HookContext HookResult Hooks",
    "messages": "AgentChunk AgentInput AgentOutput Media Message ToolCall ToolOutput Usage",
    "provider": (
        "Completion CompletionRequest Health LocalModel LocalProvider ModelSpec Provider ProviderCapabilities "
        "ProviderSettings PullProgress ToolDefinition"
    ),
    "plugins.registry": "Registry",
    "runtime": "Runtime",
    "state": "MemoryState State StateStore",
    "tool": "NoParameters SecurityLevel SecurityRequirements Tool ToolResult",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'llmspell_core' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"llmspell_core.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
