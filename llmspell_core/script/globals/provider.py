"""The script global `Provider`: which models can be used."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError
from llmspell_core.script.declare import Function, Global, Param

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

NAME = Param("name", "string", doc="`openai`, or the whole `<config name>/<type>/<model>`.")


async def _row(scope: ScriptScope, name: str) -> dict[str, Any]:
    provider = await scope.runtime.providers.get(name)
    settings = provider.settings
    capabilities = provider.capabilities.to_dict()
    capabilities["available_models"] = await _models(provider)
    model = settings.default_model or (DEFAULTS.get(name, "default"))
    return {
        "name": f"{settings.name}/{settings.provider_type}/{model.rpartition('/')[2]}",
        "enabled": True,
        "capabilities": capabilities,
    }


async def _models(provider: Any) -> list[str]:
    """Those of this machine; of a vendor only what is configured: nobody waits for a list of thousands."""
    own = [model.strip() for model in (provider.settings.default_model or "").split(",") if model.strip()]
    if provider.as_local() is None:
        return own
    try:
        async with asyncio.timeout(SECONDS_TO_LIST):
            return list(await provider.list_models())
    except (LLMSpellError, TimeoutError):
        return own


SECONDS_TO_LIST = 2.0
DEFAULTS = {"local": "smollm2"}


def _config_name(name: str) -> str:
    return name.partition("/")[0]


def _usable(scope: ScriptScope) -> list[str]:
    names: list[str] = scope.runtime.providers.usable()
    return names


async def list_providers(scope: ScriptScope) -> list[dict[str, Any]]:
    return [await _row(scope, name) for name in _usable(scope)]


async def get(scope: ScriptScope, name: str) -> dict[str, Any] | None:
    known = _config_name(name)
    if known not in _usable(scope) and not scope.runtime.registry.has("providers", known):
        return None
    try:
        return await _row(scope, known)
    except LLMSpellError:
        return None


async def get_capabilities(scope: ScriptScope, name: str) -> Any:
    row = await get(scope, name)
    return None if row is None else row["capabilities"]


async def is_available(scope: ScriptScope, name: str) -> bool:
    return _config_name(name) in _usable(scope) and await get(scope, name) is not None


def usage(scope: ScriptScope, name: str | None) -> list[dict[str, Any]]:
    rows = scope.runtime.providers.totals.rows(_config_name(name) if name else None)
    return [row.to_dict() | {"total_tokens": row.usage.total_tokens} for row in rows]


GLOBAL = Global(
    "Provider",
    doc="Which model providers can be used.",
    functions=(
        Function(
            "list",
            list_providers,
            returns="array",
            doc="Usable providers: `name`, `enabled`, `capabilities` with `max_context_tokens` where it is known, and `available_models`.",
        ),
        Function("get", get, (NAME,), "object", "One of them, or nil."),
        Function("getCapabilities", get_capabilities, (NAME,), "object", "What it can do, or nil."),
        Function(
            "usage",
            usage,
            (Param("name", "string", required=False, doc="Only of this provider."),),
            "array",
            "What was used so far, by provider and model: `provider`, `model`, `requests`, `errors`, `input_tokens`, "
            "`output_tokens`, `total_tokens`, `cost_usd` (nil while no price is known).",
        ),
        Function("isAvailable", is_available, (NAME,), "boolean", "Whether it is configured, or needs no key."),
    ),
)
