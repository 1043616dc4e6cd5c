"""The configuration as its readers want it: the policy's settings, a provider's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.config.environment import KEY_VARIABLES
from llmspell_core.places import configuration_places

if TYPE_CHECKING:
    from llmspell_core.config.configuration import Config
    from llmspell_core.provider import ProviderSettings

__all__ = ["policy_settings", "provider_settings", "script_limits"]

_POLICY = {
    "allow_tools": "tools.enabled",
    "allow_network_access": "runtime.security.allow_network_access",
    "max_tool_level": "runtime.security.max_tool_level",
    "tool_levels": "tools.permissions",
    "minimum_levels": "tools.minimum_permissions",
    "denied_paths": "security.sandbox.denied_paths",
    "allowed_extensions": "tools.file_operations.allowed_extensions",
    "blocked_extensions": "tools.file_operations.blocked_extensions",
    "max_file_size": "tools.file_operations.max_file_size",
    "max_dir_entries": "tools.file_operations.max_dir_entries",
    "atomic_writes": "tools.file_operations.atomic_writes",
    "allow_private_networks": "tools.http_request.allow_private_networks",
    "blocked_hosts": "tools.http_request.blocked_hosts",
    "blocked_ports": "tools.http_request.blocked_ports",
    "http_timeout": "tools.http_request.timeout_seconds",
    "max_redirects": "tools.http_request.max_redirects",
    "max_request_size": "tools.http_request.max_request_size",
    "max_response_size": "tools.http_request.max_response_size",
    "default_headers": "tools.http_request.default_headers",
    "verify_ssl": "tools.network.verify_ssl",
    "requests_per_window": "security.sandbox.rate_limit.max_requests",
    "window_seconds": "security.sandbox.rate_limit.window_seconds",
    "allowed_commands": "tools.system.allowed_commands",
    "command_timeout": "tools.system.command_timeout_seconds",
    "max_output_size": "tools.system.max_output_size",
}
"""Field of `PolicySettings` -> the setting it is taken from."""

_FIELDS = ("base_url", "api_key_env", "default_model", "max_tokens", "temperature", "proxy")
_USED = {*_FIELDS, "name", "provider_type", "enabled", "api_key", "timeout_seconds", "max_retries", "headers"}


def policy_default(key: str, profile: str) -> Any:
    """What the policy uses for the dotted setting `key` where nothing sets it; None when the policy does not know it."""
    from llmspell_core.policy.settings import PolicySettings

    field = next((field for field, name in _POLICY.items() if name == key), key.rpartition(".")[2])
    return getattr(PolicySettings.for_profile(profile), field, None)


def policy_settings(config: Config) -> dict[str, Any]:
    """What `Policy` is made from; None means the policy's own default."""
    values = {field: config.get(key, secrets=True) for field, key in _POLICY.items()}
    system, sandbox = config.section("tools.system"), config.section("security.sandbox")
    values["profile"] = _base_profile(config)
    values["allow_file_access"] = bool(
        config.get("runtime.security.allow_file_access") and config.get("tools.file_operations.enabled")
    )
    values["allowed_paths"] = _first(sandbox.get("allowed_paths"), _allowed_paths(config))
    values["allowed_hosts"] = _first(sandbox.get("allowed_domains"), config.get("tools.http_request.allowed_hosts"))
    values["allow_process_spawn"] = bool(
        config.get("runtime.security.allow_process_spawn") or system.get("allow_process_execution")
    )
    values["allowed_env_vars"] = [*system.get("allowed_env_vars", ()), *sandbox.get("allowed_env_vars", ())]
    values["read_only_paths"] = _read_only(config)
    return values


def _first(wide: Any, narrow: Any) -> Any:
    """An empty list is an answer, too: nothing."""
    return narrow if wide is None else wide


def _base_profile(config: Config) -> str:
    """The policy knows low, medium and high; a custom profile extends one of them."""
    name, seen = str(config.get("runtime.security.profile")), set()
    while name not in {"low", "medium", "high"} and name not in seen:
        seen.add(name)
        name = str(config.get(f"security.profiles.{name}.extends", "medium"))
    return name


def _allowed_paths(config: Config) -> Any:
    """The default is left to the policy, which knows where this platform keeps temporary files."""
    key = "tools.file_operations.allowed_paths"
    return None if config.origin(key) == "default" else config.get(key)


def _read_only(config: Config) -> list[str]:
    """Whoever could write a configuration file would choose the permissions of the next run."""
    given = config.get("tools.file_operations.read_only_paths") or []
    return [*configuration_places(config.environ), str(config.home), *map(str, config.files), *given]


def script_limits(config: Config, engine: str, timeout: float | None = None) -> tuple[float | None, int | None]:
    """Seconds and bytes for a script: the smallest of what runtime, engine and security say.

    Args:
        engine: the name of the engine's table.
        timeout: asked for by whoever starts the script; wins over the configured seconds.
    """
    security, own = config.section("runtime.security"), config.section(f"engines.{engine}")
    times = (own.get("timeout_ms"), security.get("max_execution_time_ms"))
    seconds = [config.get("runtime.script_timeout_seconds"), *(each / 1000 for each in times if each)]
    sizes = (own.get("max_memory_bytes"), own.get("max_heap_size_bytes"), security.get("max_memory_bytes"))
    known = [float(each) for each in seconds if each]
    smallest = timeout if timeout is not None else min(known, default=None)
    return smallest, min((int(each) for each in sizes if each), default=None)


def provider_settings(config: Config, name: str, environ: Mapping[str, str] | None = None) -> ProviderSettings:
    """The table `providers.<name>` with its key and defaults; a name without a table is its own type.

    The key is what the merged table holds (`LLMSPELL_PROVIDER_<NAME>_API_KEY`, the vendor's variable, the file, in this
    order), otherwise what `api_key_env` names; an `api_key_env` of one's own is preferred to the vendor's variable. A
    table that sends requests elsewhere (`base_url`) under a name of its own never gets the vendor's key.
    """
    from llmspell_core.provider import ProviderSettings

    table = config.section(f"providers.{name}")
    type_ = str(table.get("provider_type") or name)
    settings = ProviderSettings(
        name=name,
        provider_type=type_,
        api_key=_key(config, name, type_, config.environ if environ is None else environ),
        headers=dict(table.get("headers") or {}),
        options={key: value for key, value in table.items() if key not in _USED},
    )
    for field in _FIELDS:
        setattr(settings, field, table.get(field))
    if isinstance(settings.default_model, list):
        settings.default_model = ", ".join(settings.default_model)
    settings.timeout_seconds = float(table.get("timeout_seconds") or settings.timeout_seconds)
    if table.get("max_retries") is not None:
        settings.max_retries = int(table["max_retries"])
    settings.from_caller = config.origin(f"providers.{name}.base_url") == "script"
    return settings


def _key(config: Config, name: str, type_: str, environ: Mapping[str, str]) -> str | None:
    table = config.section(f"providers.{name}")
    own, variable = table.get("api_key"), table.get("api_key_env")
    vendor = KEY_VARIABLES.get(type_)
    if own and variable and config.origin(f"providers.{name}.api_key") == f"environment {vendor}":
        return environ.get(variable)
    if own:
        return str(own)
    if variable:
        return environ.get(variable)
    return environ.get(vendor) if vendor and not table.get("base_url") else None
