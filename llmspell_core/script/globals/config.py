"""The script global `Config`: the merged configuration, without secrets, and read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.script.declare import Function, Global, Param

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

PATH = Param("path", "string", required=False, doc="A dotted path, e.g. `tools.timeouts.default`.")
NAME = Param("name", "string")


def get(scope: ScriptScope, path: str | None) -> Any:
    return scope.runtime.config.get(path or "")


def has(scope: ScriptScope, path: str) -> bool:
    return bool(scope.runtime.config.has(path))


def list_keys(scope: ScriptScope, path: str | None) -> list[str]:
    return [row.key for row in scope.runtime.config.flat(path)]


def get_section(scope: ScriptScope, name: str) -> Any:
    value = scope.runtime.config.get(name)
    if not isinstance(value, dict):
        raise ValidationError(f"Unknown configuration section: {name}", field="name", hint="See: llmspell config show")
    return value


def get_default_engine(scope: ScriptScope) -> str:
    return str(scope.runtime.config.get("default_engine"))


def get_provider(scope: ScriptScope, name: str) -> Any:
    table = scope.runtime.config.get(f"providers.{name}")
    return table if isinstance(table, dict) else None


def list_providers(scope: ScriptScope) -> list[str]:
    return sorted(scope.runtime.config.provider_names())


def get_security(scope: ScriptScope) -> Any:
    return get_section(scope, "runtime")["security"]


def get_tools(scope: ScriptScope) -> Any:
    return get_section(scope, "tools")


def is_file_access_allowed(scope: ScriptScope) -> bool:
    return bool(scope.runtime.policy.settings.allow_file_access)


def is_network_access_allowed(scope: ScriptScope) -> bool:
    return bool(scope.runtime.policy.settings.allow_network_access)


def get_permissions(_scope: ScriptScope) -> dict[str, bool]:
    """Scripts may read; the policy is not theirs to change."""
    names = ("modify_providers", "modify_tools", "modify_runtime", "modify_security", "access_secrets")
    return {"read": True, **dict.fromkeys(names, False)}


GLOBAL = Global(
    "Config",
    doc="The configuration this script runs with. Secrets are masked.",
    functions=(
        Function("get", get, (PATH,), "any", "The value at a path, nil when there is none; without a path everything."),
        Function("get_all", lambda scope: get(scope, None), returns="object", doc="Everything."),
        Function("has", has, (Param("path", "string"),), "boolean", "Whether there is a value."),
        Function("list", list_keys, (PATH,), "array", "The dotted names of all settings, or of those below a path."),
        Function("getSection", get_section, (NAME,), "object", "A top-level table; raises when there is none."),
        Function("getDefaultEngine", get_default_engine, returns="string", doc="The default script engine."),
        Function("getProvider", get_provider, (NAME,), "object", "A provider's table, or nil."),
        Function("listProviders", list_providers, returns="array", doc="Configured providers."),
        Function("getSecurity", get_security, returns="object", doc="The table `runtime.security`."),
        Function("getTools", get_tools, returns="object", doc="The table `tools`."),
        Function(
            "isFileAccessAllowed", is_file_access_allowed, returns="boolean", doc="Whether tools may touch files."
        ),
        Function(
            "isNetworkAccessAllowed",
            is_network_access_allowed,
            returns="boolean",
            doc="Whether tools may use the network.",
        ),
        Function("getPermissions", get_permissions, returns="object", doc="What this script may change."),
        Function("toJson", lambda scope: get(scope, None), returns="object", doc="Everything, as a table."),
    ),
)
