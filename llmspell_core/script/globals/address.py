"""Where a script may have the requests of its agents sent, when it names a server itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmspell_core.errors import NetworkError, NotFoundError, PluginError, SecurityError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmspell_core.script.scope import ScriptScope

__all__ = ["check_server"]

PORTS = {"http": 80, "https": 443}
# Ollama listens there on every machine that has it.
USUAL = ("http://localhost:11434", "http://127.0.0.1:11434")


async def check_server(scope: ScriptScope, provider: str, given: dict[str, Any]) -> None:
    """The `base_url` and `api_key` of a script's own: the policy decides, as it does about the requests of tools.

    Raises:
        SecurityError: the profile denies it, or the address is private and nobody configured it.
        ValidationError: it is no URL.
    """
    url, key = given.get("base_url"), given.get("api_key")
    settings = scope.runtime.policy.settings
    if (url or key) and not settings.allow_network_access:
        raise SecurityError(
            f"the security profile '{settings.profile}' sends prompts to configured providers only",
            violation_type="network_denied",
            hint="Write the provider's table, with its base_url and key, in the configuration file.",
        )
    if not url or _origin(str(url)) in set(map(_origin, _known(scope, provider))):
        return
    scheme, host, port = _origin(str(url))
    rules = scope.runtime.policy.hosts
    rules.check_url(scheme, host, port)
    with suppress(NetworkError):  # a name that nobody knows leads nowhere; the request will say so
        await rules.addresses(host, port)


def _known(scope: ScriptScope, provider: str) -> Iterator[str]:
    """Addresses that are configured, and those that plugins use of themselves."""
    yield from USUAL
    for table in scope.runtime.config.section("providers").values():
        if isinstance(table, dict) and table.get("base_url"):
            yield str(table["base_url"])
    with suppress(PluginError, NotFoundError):
        presets = scope.runtime.registry.load("providers", provider).presets
        yield from (str(preset["base_url"]) for preset in presets.values() if preset.get("base_url"))


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises: ValidationError."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "").encode("idna").decode("ascii")
        return scheme, host, parts.port or PORTS.get(scheme, 0)
    except (ValueError, UnicodeError):
        raise ValidationError(f"'{url[:80]}' is no URL", field="base_url", hint="Write https://host/v1.") from None
