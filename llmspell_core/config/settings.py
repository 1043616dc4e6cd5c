"""The typed shape of the settings.

Defaults are not here: they are the lowest layer, `defaults.toml`. A field with `= None` has no default. Importing this
module brings in pydantic, so it is imported only when there is something to check or somebody asks for typed settings.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

__all__ = ["OPAQUE", "Section", "Settings"]

OPAQUE = {
    "app", "applications", "metadata", "monitoring", "orchestration", "otel", "parameters", "profile", "profiles",
    "templates", "workflows",
}  # fmt: skip
"""Top-level sections that are kept as they are: scripts read them with `Config.get`, plugins read their own."""


def _listed(value: Any) -> Any:
    """A list may be given as JSON or with commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


Strings = Annotated[list[str], BeforeValidator(_listed)]
Level = Literal["off", "error", "warn", "warning", "info", "debug", "trace"]
ToolLevel = Literal["safe", "restricted", "privileged"]
Temperature = Annotated[float, Field(ge=0, le=2)]


class Section(BaseModel):
    """One table. Keys it does not know are kept; `open` tables hold names that others choose."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True, defer_build=True)
    open: ClassVar[bool] = False


class RateLimit(Section):
    requests_per_minute: PositiveInt = 60
    tokens_per_minute: PositiveInt | None = None
    max_concurrent: PositiveInt | None = None
    auto_retry: bool = True


class Retry(Section):
    max_retries: NonNegativeInt = 3
    initial_delay_ms: NonNegativeInt = 1000
    max_delay_ms: NonNegativeInt = 30000
    backoff_multiplier: PositiveFloat = 2.0


class CircuitBreaker(Section):
    failure_threshold: PositiveInt = 5
    reset_seconds: PositiveFloat = 30.0


class ModelPrice(Section):
    input: NonNegativeFloat
    output: NonNegativeFloat


class ProviderTable(Section):
    open: ClassVar[bool] = True
    name: str | None = None
    provider_type: Annotated[str, Field(min_length=1)] | None = None
    enabled: bool = True
    base_url: str | None = None
    api_key_env: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    default_model: str | list[str] | None = None
    max_tokens: PositiveInt | None = None
    timeout_seconds: PositiveFloat | None = None
    temperature: Temperature | None = None
    max_retries: NonNegativeInt | None = None
    rate_limit: RateLimit | None = None
    retry: Retry | None = None
    circuit_breaker: CircuitBreaker | None = None
    prices: dict[str, ModelPrice] | None = None
    headers: dict[str, str] | None = Field(default=None, repr=False)
    proxy: str | None = Field(default=None, repr=False)


class Providers(Section):
    open: ClassVar[bool] = True
    __pydantic_extra__: dict[str, ProviderTable]
    default_provider: str | None = None


class Lua(Section):
    variant: str | None = None
    max_memory_bytes: PositiveInt | None = None
    timeout_ms: PositiveInt | None = None
    allowed_modules: Strings
    module_paths: Strings


class JavaScript(Section):
    max_heap_size_bytes: PositiveInt | None = None
    timeout_ms: PositiveInt | None = None
    allowed_modules: Strings
    module_paths: Strings


class Engines(Section):
    open: ClassVar[bool] = True
    lua: Lua
    javascript: JavaScript


class RuntimeSecurity(Section):
    profile: str
    allow_file_access: bool
    allow_network_access: bool
    allow_process_spawn: bool
    max_tool_level: ToolLevel
    require_fence: bool | None = None
    max_memory_bytes: PositiveInt | None = None
    max_execution_time_ms: PositiveInt | None = None


class StatePersistence(Section):
    max_state_size_bytes: PositiveInt


class RuntimeTable(Section):
    max_concurrent_scripts: PositiveInt
    script_timeout_seconds: PositiveInt
    security: RuntimeSecurity
    state_persistence: StatePersistence


class DomainLimit(Section):
    max_requests: PositiveInt = 100
    window_seconds: PositiveInt = 60


class Sandbox(Section):
    allowed_paths: Strings | None = None
    denied_paths: Strings | None = None
    allowed_domains: Strings | None = None
    allowed_env_vars: Strings
    rate_limit: DomainLimit | None = None


class Security(Section):
    sandbox: Sandbox
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict)


class FileOperations(Section):
    enabled: bool
    allowed_paths: Strings
    max_file_size: PositiveInt
    atomic_writes: bool
    allowed_extensions: Strings
    blocked_extensions: Strings
    read_only_paths: Strings | None = None
    max_dir_entries: PositiveInt | None = None


class HttpRequest(Section):
    allowed_hosts: Strings
    blocked_hosts: Strings
    max_request_size: PositiveInt
    timeout_seconds: PositiveFloat
    max_redirects: NonNegativeInt
    default_headers: dict[str, str] | None = None
    allow_private_networks: Strings | None = None
    blocked_ports: list[int] | None = None
    max_response_size: PositiveInt | None = None


class Network(Section):
    verify_ssl: bool


class System(Section):
    allow_process_execution: bool
    allowed_commands: Strings
    max_output_size: PositiveInt
    command_timeout_seconds: PositiveFloat
    allowed_env_vars: Strings


class ToolSecurity(Section):
    require_approval: bool


class Approval(Section):
    ask: Strings


class Timeouts(Section):
    open: ClassVar[bool] = True
    __pydantic_extra__: dict[str, PositiveFloat]
    default: PositiveFloat


class Tools(Section):
    open: ClassVar[bool] = True
    enabled: bool
    file_operations: FileOperations
    http_request: HttpRequest
    network: Network
    system: System
    security: ToolSecurity
    permissions: dict[str, ToolLevel]
    approval: Approval
    timeouts: Timeouts


class Hooks(Section):
    enabled: bool
    timeout_ms: PositiveInt


class Events(Section):
    enabled: bool
    buffer_size: PositiveInt


class Logging(Section):
    log_level: Level
    log_file: str | None = None
    max_size_mb: PositiveInt
    max_backups: NonNegativeInt
    max_age_days: PositiveInt
    compress: bool
    json_format: bool
    console_enabled: bool
    console_level: Level
    console_color: bool


class Tracing(Section):
    enabled: bool
    keep: PositiveInt


class ModuleFilters(Section):
    enabled: Strings
    disabled: Strings


class Debug(Section):
    enabled: bool
    level: Level
    module_filters: ModuleFilters


class Plugins(Section):
    prefer: Strings | dict[str, str]
    block: Strings


class Settings(BaseSettings):
    """Everything. The layers are merged before, because each value must remember where it came from."""

    model_config = SettingsConfigDict(extra="allow", hide_input_in_errors=True)
    open: ClassVar[bool] = False

    default_engine: Annotated[str, Field(min_length=1)]
    providers: Providers
    engines: Engines
    runtime: RuntimeTable
    security: Security
    tools: Tools
    hooks: Hooks
    events: Events
    logging: Logging
    tracing: Tracing
    debug: Debug
    prompts: dict[str, Any]
    plugins: Plugins

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)
