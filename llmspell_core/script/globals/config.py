"""The script global `Config`: the merged configuration, without secrets; changes hold for this process only."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NoReturn

from llmspell_core.config.changing import check_changes, check_provider
from llmspell_core.errors import NotFoundError, SecurityError, ValidationError
from llmspell_core.purse import Purse
from llmspell_core.script.declare import Function, Global, Param
from llmspell_core.script.globals.address import check_server

if TYPE_CHECKING:
    from llmspell_core.config import Config
    from llmspell_core.script.scope import ScriptScope

KEPT = 10
CHANGES_BYTES = 1_000_000
log = logging.getLogger("llmspell.script")

KEY = Param("path", "string", doc="A dotted path, e.g. `hooks.timeout_ms`.")
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


def get_permissions(scope: ScriptScope) -> dict[str, bool]:
    """Scripts may change what does not belong to the policy, and nothing under the profile `high`."""
    may = scope.runtime.policy.settings.profile != "high"
    granted = dict.fromkeys(("modify_providers", "modify_tools", "modify_runtime"), may)
    return {"read": True, **granted, "modify_security": False, "access_secrets": False}


def _purse(scope: ScriptScope) -> Purse:
    """The configuration is everybody's; no script may fill it."""
    purse: Purse = scope.data.setdefault("Config.purse", Purse("configuration", CHANGES_BYTES, scope.purse))
    return purse


# -- changes, in memory --------------------------------------------------------------------------------------------


async def _change(scope: ScriptScope, what: str, config: Config) -> None:
    """The profile and hooks may forbid it; the log says who did it."""
    if scope.runtime.policy.settings.profile == "high":
        raise SecurityError(
            f"a script cannot change '{what}' under the security profile 'high'",
            violation_type="configuration",
            hint="Write it in the configuration file.",
        )
    data = {"key": what, "script": scope.script_name}
    await scope.runtime.hooks.fire("ConfigurationChange", what, data, type="config")
    log.info("script '%s' changed the configuration: %s", scope.script_name, what)
    scope.runtime.use_config(config)


async def set_value(scope: ScriptScope, path: str, value: Any) -> None:
    parts = path.split(".")
    if not all(parts):
        raise ValidationError(
            f"'{path}' is not the path of a setting", field="path", hint="Write e.g. 'hooks.timeout_ms'."
        )
    tree: Any = value
    for part in reversed(parts):
        tree = {part: tree}
    check_changes(tree)
    _purse(scope).spend(path, value)
    await _change(scope, path, scope.runtime.config.changed(tree))


async def set_provider(scope: ScriptScope, name: str, table: dict[str, Any]) -> None:
    given = check_provider(name, table, scope.runtime.policy.may_read_env)
    await check_server(scope, str(given.get("provider_type") or name), given)
    _purse(scope).spend(name, given)
    scope.runtime.policy.add_secret(str(given.get("api_key") or ""))
    key = f"providers.{name}"
    given["provider_type"] = given.get("provider_type") or name
    await _change(scope, key, scope.runtime.config.changed({"providers": {name: given}}, replacing=key))


def _forbidden(what: str, hint: str) -> NoReturn:
    raise SecurityError(f"a script cannot change {what}", violation_type="configuration", hint=hint)


def set_security(_scope: ScriptScope, _table: dict[str, Any]) -> None:
    _forbidden("the security settings", "Set runtime.security in the configuration file.")


def add_allowed_path(_scope: ScriptScope, _path: str) -> None:
    _forbidden("which paths are allowed", "Set tools.file_operations.allowed_paths in the configuration file.")


def snapshot(scope: ScriptScope) -> int:
    """Milliseconds since 1970, different for each; the last ten are kept."""
    kept: dict[int, Config] = scope.data.setdefault("Config", {})
    stamp = max(int(time.time() * 1000), max(kept, default=0) + 1)
    kept[stamp] = scope.runtime.config
    for old in sorted(kept)[:-KEPT]:
        del kept[old]
    return stamp


async def restore_snapshot(scope: ScriptScope, stamp: int) -> None:
    found = scope.data.get("Config", {}).get(stamp)
    if found is None:
        raise NotFoundError(
            f"there is no snapshot {stamp}", what="snapshot", name=str(stamp), hint="The last ten are kept."
        )
    await _change(scope, f"snapshot {stamp}", found)


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
        Function(
            "set",
            set_value,
            (KEY, Param("value", "any", required=False)),
            "null",
            "Change a setting, until the runtime ends.",
        ),
        Function(
            "setProvider",
            set_provider,
            (NAME, Param("provider", "object", options=True, doc="`provider_type`, `default_model`, `base_url`, ...")),
            "null",
            "Add a provider, or replace its whole table, in memory.",
        ),
        Function(
            "setSecurity", set_security, (Param("security", "object"),), "null", "Raises: that is not a script's."
        ),
        Function("addAllowedPath", add_allowed_path, (KEY,), "null", "Raises: that is not a script's."),
        Function("snapshot", snapshot, returns="integer", doc="Keep the configuration; returns what restores it."),
        Function(
            "restoreSnapshot",
            restore_snapshot,
            (Param("snapshot", "integer"),),
            "null",
            "Go back to a configuration; raises when it is not kept any more.",
        ),
        Function("toJson", lambda scope: get(scope, None), returns="object", doc="Everything, as a table."),
    ),
)
