"""The typed shape of the settings.

Defaults are not here: they are the lowest layer, `defaults.toml`. A field with `= None` has no default. Importing this
module brings in pydantic, so it is imported only when there is something to check or somebody asks for typed settings.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

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

from llmspell_core.config.authority import (
    ANYBODY,
    CHOICE,
    FALSE,
    HOSTS,
    LARGER,
    LEVEL,
    LISTED,
    MORE,
    OPERATOR,
    PATHS,
    RAISED,
    SAME,
    SMALLER,
    SOME_OR_ALL,
    TRUE,
    Rule,
)
from llmspell_core.json_text import read_json

__all__ = ["OPAQUE", "Section", "Settings", "declared_rules", "rule_of"]

OPAQUE = {
    "app": ANYBODY, "applications": ANYBODY, "metadata": ANYBODY, "monitoring": OPERATOR, "orchestration": OPERATOR,
    "otel": OPERATOR, "parameters": ANYBODY, "profile": OPERATOR, "profiles": OPERATOR, "templates": OPERATOR,
    "workflows": OPERATOR,
}  # fmt: skip
"""Top-level sections that are kept as they are: scripts read them with `Config.get`, plugins read their own."""


def _listed(value: Any) -> Any:
    """A list may be given as JSON or with commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return read_json(value)
    return [part.strip() for part in value.split(",") if part.strip()]


Strings = Annotated[list[str], BeforeValidator(_listed)]
Level = Literal["off", "error", "warn", "warning", "info", "debug", "trace"]
ToolLevel = Literal["safe", "restricted", "privileged"]
Temperature = Annotated[float, Field(ge=0, le=2)]


class Section(BaseModel):
    """One table. Keys it does not know are kept; `open` tables hold names that others choose.

    `says` is the rule for every key that carries none itself: who may set it, see `llmspell_core.config.authority`.
    """

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True, defer_build=True)
    open: ClassVar[bool] = False
    says: ClassVar[Rule | None] = None


class RateLimit(Section):
    says: ClassVar[Rule | None] = OPERATOR
    requests_per_minute: PositiveInt = 60
    tokens_per_minute: PositiveInt | None = None
    max_concurrent: PositiveInt | None = None
    auto_retry: bool = True


class Retry(Section):
    says: ClassVar[Rule | None] = OPERATOR
    max_retries: NonNegativeInt = 3
    initial_delay_ms: NonNegativeInt = 1000
    max_delay_ms: NonNegativeInt = 30000
    backoff_multiplier: PositiveFloat = 2.0


class CircuitBreaker(Section):
    says: ClassVar[Rule | None] = OPERATOR
    failure_threshold: PositiveInt = 5
    reset_seconds: PositiveFloat = 30.0


class ModelPrice(Section):
    says: ClassVar[Rule | None] = OPERATOR
    input: NonNegativeFloat
    output: NonNegativeFloat


class ProviderTable(Section):
    says: ClassVar[Rule | None] = OPERATOR
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
    says: ClassVar[Rule | None] = OPERATOR
    open: ClassVar[bool] = True
    __pydantic_extra__: dict[str, ProviderTable]
    default_provider: str | None = None


class Lua(Section):
    variant: Annotated[str | None, OPERATOR] = None
    max_memory_bytes: Annotated[PositiveInt | None, SMALLER] = None
    timeout_ms: Annotated[PositiveInt | None, SMALLER] = None
    allowed_modules: Annotated[Strings, SOME_OR_ALL]
    module_paths: Annotated[Strings, OPERATOR]


class JavaScript(Section):
    max_heap_size_bytes: Annotated[PositiveInt | None, SMALLER] = None
    timeout_ms: Annotated[PositiveInt | None, SMALLER] = None
    allowed_modules: Annotated[Strings, SOME_OR_ALL]
    module_paths: Annotated[Strings, OPERATOR]


class Engines(Section):
    says: ClassVar[Rule | None] = OPERATOR
    open: ClassVar[bool] = True
    lua: Lua
    javascript: JavaScript


class RuntimeSecurity(Section):
    profile: Annotated[str, CHOICE]
    allow_file_access: Annotated[bool, FALSE]
    allow_network_access: Annotated[bool, FALSE]
    allow_process_spawn: Annotated[bool, FALSE]
    max_tool_level: Annotated[ToolLevel, LEVEL]
    require_fence: Annotated[bool | None, TRUE] = None
    max_memory_bytes: Annotated[PositiveInt | None, SMALLER] = None
    max_execution_time_ms: Annotated[PositiveInt | None, SMALLER] = None


class StatePersistence(Section):
    max_state_size_bytes: Annotated[PositiveInt, SMALLER]


class RuntimeTable(Section):
    max_concurrent_scripts: Annotated[PositiveInt, SMALLER]
    script_timeout_seconds: Annotated[PositiveInt, SMALLER]
    security: RuntimeSecurity
    state_persistence: StatePersistence


class DomainLimit(Section):
    max_requests: Annotated[PositiveInt, SMALLER] = 100
    window_seconds: Annotated[PositiveInt, LARGER] = 60


class Sandbox(Section):
    allowed_paths: Annotated[Strings | None, PATHS] = None
    denied_paths: Annotated[Strings | None, MORE] = None
    allowed_domains: Annotated[Strings | None, HOSTS] = None
    allowed_env_vars: Annotated[Strings, LISTED]
    rate_limit: DomainLimit | None = None


class Security(Section):
    sandbox: Sandbox
    profiles: Annotated[dict[str, dict[str, Any]], OPERATOR] = Field(default_factory=dict)


class FileOperations(Section):
    enabled: Annotated[bool, FALSE]
    allowed_paths: Annotated[Strings, PATHS]
    max_file_size: Annotated[PositiveInt, SMALLER]
    atomic_writes: Annotated[bool, TRUE]
    allowed_extensions: Annotated[Strings, SOME_OR_ALL]
    blocked_extensions: Annotated[Strings, MORE]
    read_only_paths: Annotated[Strings | None, MORE] = None
    max_dir_entries: Annotated[PositiveInt | None, SMALLER] = None


class HttpRequest(Section):
    allowed_hosts: Annotated[Strings, HOSTS]
    blocked_hosts: Annotated[Strings, MORE]
    max_request_size: Annotated[PositiveInt, SMALLER]
    timeout_seconds: Annotated[PositiveFloat, SMALLER]
    max_redirects: Annotated[NonNegativeInt, SMALLER]
    default_headers: Annotated[dict[str, str] | None, OPERATOR] = None
    allow_private_networks: Annotated[Strings | None, SAME] = None
    blocked_ports: Annotated[list[int] | None, MORE] = None
    max_response_size: Annotated[PositiveInt | None, SMALLER] = None


class Network(Section):
    verify_ssl: Annotated[bool, TRUE]


class System(Section):
    allow_process_execution: Annotated[bool, FALSE]
    allowed_commands: Annotated[Strings, LISTED]
    max_output_size: Annotated[PositiveInt, SMALLER]
    command_timeout_seconds: Annotated[PositiveFloat, SMALLER]
    allowed_env_vars: Annotated[Strings, LISTED]


class ToolSecurity(Section):
    require_approval: Annotated[bool, TRUE]


class Approval(Section):
    ask: Annotated[Strings, MORE]


class Timeouts(Section):
    open: ClassVar[bool] = True
    __pydantic_extra__: dict[str, PositiveFloat]
    default: Annotated[PositiveFloat, SMALLER]


class Tools(Section):
    open: ClassVar[bool] = True
    enabled: Annotated[bool, FALSE]
    file_operations: FileOperations
    http_request: HttpRequest
    network: Network
    system: System
    security: ToolSecurity
    permissions: Annotated[dict[str, ToolLevel], OPERATOR]
    minimum_permissions: Annotated[dict[str, ToolLevel], RAISED]
    approval: Approval
    timeouts: Timeouts


class Hooks(Section):
    says: ClassVar[Rule | None] = OPERATOR
    enabled: bool
    timeout_ms: PositiveInt


class Events(Section):
    says: ClassVar[Rule | None] = OPERATOR
    enabled: bool
    buffer_size: PositiveInt


class Logging(Section):
    says: ClassVar[Rule | None] = OPERATOR
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
    says: ClassVar[Rule | None] = OPERATOR
    enabled: bool
    keep: PositiveInt


class ModuleFilters(Section):
    says: ClassVar[Rule | None] = ANYBODY
    enabled: Strings
    disabled: Strings


class Debug(Section):
    says: ClassVar[Rule | None] = ANYBODY
    enabled: bool
    level: Level
    module_filters: ModuleFilters


class Plugins(Section):
    says: ClassVar[Rule | None] = OPERATOR
    prefer: Strings | dict[str, str]
    block: Strings


class Settings(BaseSettings):
    """Everything. The layers are merged before, because each value must remember where it came from."""

    model_config = SettingsConfigDict(extra="allow", hide_input_in_errors=True)
    open: ClassVar[bool] = False
    says: ClassVar[Rule | None] = None

    default_engine: Annotated[Annotated[str, Field(min_length=1)], ANYBODY]
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
    prompts: Annotated[dict[str, Any], ANYBODY]
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


def declared_rules(
    model: type[BaseModel] = Settings, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Rule | None]]:
    """Every setting that is declared, with who may say it."""
    for name, field in model.model_fields.items():
        kind = inner_type(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from declared_rules(kind, (*above, name))
        else:
            yield (*above, name), rule_of((*above, name))


def rule_of(keys: tuple[str, ...]) -> Rule | None:
    """Who may say the setting at `keys`; None when nobody has decided, which means: the operator alone."""
    if keys[0] in OPAQUE:
        return OPAQUE[keys[0]]
    model: Any = Settings
    for index, key in enumerate(keys):
        field = model.model_fields.get(key)
        if field is None:
            return _says(model)
        kind = inner_type(field.annotation)
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            found = next((each for each in field.metadata if isinstance(each, Rule)), _says(model))
            below = len(keys) - index - 1
            depth = below if found is ANYBODY else int(get_origin(kind) is dict)
            return found if below <= depth else None
        model = kind
    return _says(model)


def _says(model: Any) -> Rule | None:
    found: Rule | None = model.says
    return found


def inner_type(annotation: Any) -> Any:
    """The type inside `X | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation
