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
    "app", "applications", "daemon", "kernel", "memory", "metadata", "models", "monitoring", "orchestration", "otel",
    "parameters",
    "profile", "profiles", "protocols", "service", "sessions", "signals", "state", "storage", "templates", "tenancy",
    "workflows",
}  # fmt: skip
"""Top-level sections that are kept as they are."""


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
    default_model: str | None = None
    max_tokens: PositiveInt | None = None
    timeout_seconds: PositiveFloat | None = None
    temperature: Temperature | None = None
    max_retries: NonNegativeInt | None = None
    rate_limit: RateLimit | None = None
    retry: Retry | None = None
    circuit_breaker: CircuitBreaker | None = None
    prices: dict[str, ModelPrice] | None = None
    headers: dict[str, str] | None = Field(default=None, repr=False)


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


class Backup(Section):
    backup_dir: str = "./backups"
    compression_enabled: bool = True
    compression_type: Literal["zstd", "none", "gzip", "lz4"] = "zstd"
    compression_level: Annotated[int, Field(ge=1, le=9)] = 3
    incremental_enabled: bool = True
    max_backups: PositiveInt = 10
    max_backup_age: PositiveInt = 2592000


class StatePersistence(Section):
    enabled: bool
    backend_type: str
    migration_enabled: bool
    backup_on_migration: bool
    backup_enabled: bool
    schema_directory: str | None = None
    max_state_size_bytes: PositiveInt | None = None
    backup: Backup | None = None


class Sessions(Section):
    enabled: bool
    max_sessions: PositiveInt
    max_artifacts_per_session: PositiveInt
    artifact_compression_threshold: PositiveInt
    session_timeout_seconds: PositiveInt
    storage_backend: str
    auto_save_interval: PositiveInt | None = None


class RuntimeTable(Section):
    max_concurrent_scripts: PositiveInt
    script_timeout_seconds: PositiveInt
    enable_streaming: bool
    strict_validation: bool
    hot_reload: bool
    security: RuntimeSecurity
    state_persistence: StatePersistence
    sessions: Sessions
    memory: dict[str, Any] | None = None


class DomainLimit(Section):
    max_requests: PositiveInt = 100
    window_seconds: PositiveInt = 60


class Sandbox(Section):
    enabled: bool
    mode: str
    allowed_paths: Strings | None = None
    denied_paths: Strings | None = None
    allowed_domains: Strings | None = None
    allowed_env_vars: Strings
    allow_stdlib: Strings | None = None
    rate_limit: DomainLimit | None = None
    working_directory: str | None = None


class Security(Section):
    sandbox: Sandbox
    profiles: dict[str, dict[str, Any]] = Field(default_factory=dict)
    authentication: dict[str, Any] | None = None
    rate_limiting: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None


class FileOperations(Section):
    enabled: bool
    allowed_paths: Strings
    max_file_size: PositiveInt
    atomic_writes: bool
    max_depth: PositiveInt
    allowed_extensions: Strings
    blocked_extensions: Strings
    validate_file_types: bool
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
    timeout_seconds: PositiveFloat
    max_retries: NonNegativeInt
    verify_ssl: bool


class System(Section):
    allow_process_execution: bool
    allowed_commands: Strings
    max_output_size: PositiveInt
    command_timeout_seconds: PositiveFloat
    allowed_env_vars: Strings


class ToolSecurity(Section):
    default_level: ToolLevel
    require_approval: bool
    sandbox_tools: bool


class Approval(Section):
    ask: Strings


class Timeouts(Section):
    open: ClassVar[bool] = True
    __pydantic_extra__: dict[str, PositiveFloat]
    default: PositiveFloat


class Tools(Section):
    open: ClassVar[bool] = True
    enabled: bool
    rate_limit_per_minute: PositiveInt | None = None
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
    rate_limit_per_minute: PositiveInt
    timeout_ms: PositiveInt
    circuit_breaker_threshold: PositiveFloat
    builtin: dict[str, bool] | None = None


class EventFilter(Section):
    include_types: Strings
    include_components: Strings
    exclude_types: Strings
    exclude_components: Strings


class EventExport(Section):
    stdout: bool
    pretty_json: bool
    file: str | None = None
    webhook: Annotated[str, Field(pattern=r"^https?://")] | None = None


class Events(Section):
    enabled: bool
    buffer_size: PositiveInt
    emit_timing_events: bool
    emit_state_events: bool
    emit_debug_events: bool
    max_events_per_second: PositiveInt | None = None
    filtering: EventFilter
    export: EventExport
    correlation: dict[str, Any] | None = None


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
    rotation: dict[str, Any] | None = None
    syslog_enabled: bool | None = None
    syslog_facility: str | None = None
    syslog_tag: str | None = None


class Tracing(Section):
    enabled: bool
    keep: PositiveInt


class DebugOutput(Section):
    stdout: bool
    colored: bool
    format: Literal["text", "json"]
    file: str | dict[str, Any] | None = None
    buffer: dict[str, Any] | None = None


class Debug(Section):
    open: ClassVar[bool] = True
    enabled: bool
    level: Level
    output: DebugOutput


class VectorStorage(Section):
    dimensions: PositiveInt
    backend: str
    max_memory_mb: PositiveInt
    persistence_path: str | None = None
    hnsw: dict[str, Any] | None = None


class Embedding(Section):
    default_provider: str
    cache_enabled: bool
    cache_size: PositiveInt
    cache_ttl_seconds: PositiveInt
    batch_size: PositiveInt
    timeout_seconds: PositiveFloat
    max_retries: NonNegativeInt


class Chunking(Section):
    strategy: Literal["sliding_window", "semantic", "sentence"]
    chunk_size: PositiveInt
    overlap: NonNegativeInt
    max_chunk_size: PositiveInt
    min_chunk_size: PositiveInt


class Rag(Section):
    enabled: bool
    multi_tenant: bool
    vector_storage: VectorStorage
    embedding: Embedding
    chunking: Chunking
    cache: dict[str, Any] | None = None
    sessions: dict[str, Any] | None = None
    multi_tenant_settings: dict[str, Any] | None = None


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
    rag: Rag
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
