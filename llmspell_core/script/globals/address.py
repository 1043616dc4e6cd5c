"""Where a script may have the requests of its agents sent, when it names a server itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmspell_core.errors import NetworkError, NotFoundError, PluginError, SecurityError, ValidationError

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

__all__ = ["check_server"]

PORTS = {"http": 80, "https": 443}


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
    if not url or _is_known(scope, provider, str(url)):
        return
    scheme, host, port = _origin(str(url))
    rules = scope.runtime.policy.hosts
    try:
        rules.check_url(scheme, host, port)
        with suppress(NetworkError):  # a name that nobody knows leads nowhere; the request will say so
            await rules.addresses(host, port)
    except SecurityError as error:
        error.hint = (
            "A server of your own is named in the configuration file: [providers.mine] with provider_type and base_url; "
            "its models are mine/<model>."
        )
        raise


def _is_known(scope: ScriptScope, provider: str, url: str) -> bool:
    """Whether the operator configured this very address, path included, or the provider goes there of itself."""
    with suppress(PluginError, NotFoundError):
        known: bool = scope.runtime.providers.knows_server(provider, url)
        return known
    return False


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises: ValidationError."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "").encode("idna").decode("ascii")
        return scheme, host, parts.port or PORTS.get(scheme, 0)
    except (ValueError, UnicodeError):
        raise ValidationError(f"'{url[:80]}' is no URL", field="base_url", hint="Write https://host/v1.") from None
