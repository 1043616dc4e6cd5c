"""The contract of a model provider: one request in, one completion or a stream of chunks out.

A provider plugin translates these records to its vendor's wire and back, and maps every foreign exception to the
error tree. It keeps no conversation; agents do.
"""

from __future__ import annotations

from llmspell_core.provider.contract import (
    INVALID_JSON,
    Completion,
    CompletionRequest,
    FinishReason,
    Health,
    LocalModel,
    LocalProvider,
    ModelSpec,
    Network,
    Provider,
    ProviderCapabilities,
    ProviderFactory,
    ProviderSettings,
    PullProgress,
    ToolDefinition,
)

__all__ = [
    "INVALID_JSON",
    "Completion",
    "CompletionRequest",
    "FinishReason",
    "Health",
    "LocalModel",
    "LocalProvider",
    "ModelSpec",
    "Network",
    "Provider",
    "ProviderCapabilities",
    "ProviderFactory",
    "ProviderSettings",
    "PullProgress",
    "ToolDefinition",
]
