"""What a script may change of the configuration of the running process: everything but what protects against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from llmspell_core.config.layers import canonical, leaves, nested
from llmspell_core.errors import SecurityError, ValidationError

__all__ = ["check_changes", "check_provider"]

_ROOTS = (("security",), ("runtime", "security"), ("plugins",), ("engines",), ("otel",), ("tracing",), ("logging",))
_POLICY_TABLES = {
    "approval",
    "enabled",
    "file_operations",
    "http_request",
    "network",
    "permissions",
    "security",
    "system",
}
_POLICY_WORD = re.compile(
    r"(^|_)(allow|allowed|block|blocked|deny|denied|paths?|hosts?|domains?|commands?|permissions?|levels?|sandbox)(_|$)"
)
_LIMIT = re.compile(r"(^|_)(timeout|max|limit)(_|$)")
# Others choose folders, programs or devices for what a provider starts outside of the fence.
_HARMLESS = {
    "api_key", "api_key_env", "base_url", "circuit_breaker", "context_size", "default_model", "enabled", "headers",
    "max_retries", "max_tokens", "name", "organization_id", "prices", "provider_type", "rate_limit", "retry",
    "structured_output", "temperature", "timeout_seconds", "tool_calls", "version",
}  # fmt: skip
_WHOLE = {"base_url", "api_key_env", "provider_type", "headers"}


def check_changes(tree: Mapping[str, Any]) -> None:
    """Raises: SecurityError for a setting that belongs to the policy, or that could send a key elsewhere."""
    for written, _ in leaves(dict(tree)):
        keys = canonical(written)  # another spelling is not a way around
        if _is_policy(keys) or _is_policy(written):
            raise _refused(".".join(keys))
        if keys[0] == "providers" and (len(keys) > 2 and _WHOLE & set(keys[2:])):
            raise SecurityError(
                f"a script cannot change '{'.'.join(keys)}' alone",
                violation_type="configuration",
                hint="Config.setProvider replaces the whole table, so that no other key is sent there.",
            )
        if keys[0] == "providers" and len(keys) > 2:
            _check_harmless(keys[2])


def check_provider(name: str, table: Mapping[str, Any], may_read: Callable[[str], bool]) -> dict[str, Any]:
    """The table in the usual spelling.

    Raises:
        ValidationError: a bad name. SecurityError: a variable that is hidden from scripts.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name == "providers":
        raise ValidationError(
            f"'{name[:80]}' is not a provider's name", field="name", hint="Use letters, digits, _, -."
        )
    given = {canonical(keys): value for keys, value in leaves({"providers": {name: dict(table)}}) if len(keys) > 2}
    variable = given.get(("providers", name, "api_key_env"))
    if variable is not None and not may_read(str(variable)):
        raise SecurityError(
            f"a script may not use the environment variable '{variable}' as a key",
            violation_type="configuration",
            hint="Name it in tools.system.allowed_env_vars, or write the provider's table in the configuration file.",
        )
    for keys in given:
        _check_harmless(keys[2])
    found: dict[str, Any] = nested(given).get("providers", {}).get(name, {})
    return found


def _check_harmless(key: str) -> None:
    if key not in _HARMLESS:
        raise SecurityError(
            f"a script cannot set '{key}' of a provider",
            violation_type="configuration",
            hint="Write it in the provider's table in the configuration file.",
        )


def _is_policy(keys: tuple[str, ...]) -> bool:
    if any(keys[: len(root)] == root[: len(keys)] for root in _ROOTS):
        return True
    if keys[0] == "tools":
        return len(keys) < 2 or keys[1] in _POLICY_TABLES or any(_POLICY_WORD.search(key) for key in keys[1:])
    return keys[0] == "runtime" and any(_LIMIT.search(key) for key in keys[1:])


def _refused(key: str) -> SecurityError:
    return SecurityError(
        f"a script cannot change '{key}'",
        violation_type="configuration",
        hint="Permissions and limits are set in the configuration file or on the command line.",
    )
