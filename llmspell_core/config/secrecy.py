"""Which settings are secret, what is shown in their place, and how a stranger's text is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from llmspell_core.redaction import MASK

__all__ = ["MASK", "is_secret", "masked", "secrets_in", "shown"]

_SECRET = re.compile(
    r"(^|_)(((api|access|private|secret|hmac|signing|encryption|auth|service)_?)key|token|password|passwd|passphrase|secret"
    r"|credentials?|authorization|cookie|dsn)$"
)
_HEADERS = {"headers", "default_headers"}
# Any other header may carry a key, whatever its name is.
_PUBLIC_HEADERS = {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
# In the same way for what follows the "?" of an address.
_PUBLIC_PARAMETERS = {"alt", "api-version", "deployment", "format", "location", "model", "region", "v", "version"}
_URL = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?:(?P<user>[^/\s?#]*)@)?(?P<place>[^\s?#]*)"
    r"(?:\?(?P<query>[^\s#]*))?(?:#(?P<fragment>\S*))?"
)


def is_secret(keys: Sequence[str]) -> bool:
    """Whether the setting at the end of `keys` must never be shown."""
    if not keys:
        return False
    name = keys[-1].lower()
    if len(keys) > 1 and keys[-2] in _HEADERS:
        return name not in _PUBLIC_HEADERS
    return _SECRET.search(name.replace("-", "_")) is not None


def masked(keys: Sequence[str], value: Any) -> Any:
    """`value` as it may be shown: secrets, and passwords inside addresses, are replaced."""
    if isinstance(value, dict):
        return {key: masked((*keys, key), item) for key, item in value.items()}
    if value not in (None, "", [], {}) and is_secret(keys):
        return MASK
    if isinstance(value, list):
        return [masked(keys, item) for item in value]
    if isinstance(value, str) and "://" in value:
        return _URL.sub(_masked_url, value)
    return value


def shown(text: str) -> str:
    """`text` of a stranger, as it may be put on a terminal: nothing in it moves, paints or turns around."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def secrets_in(value: Any) -> Iterator[str]:
    """What is masked inside the addresses in `value`."""
    if isinstance(value, str) and "://" not in value:
        return
    from urllib.parse import unquote

    if isinstance(value, list):
        for item in value:
            yield from secrets_in(item)
    for found in _URL.finditer(value) if isinstance(value, str) else ():
        parts = [_user(found)[1], *(_parameter(each)[1] for each in (found["query"] or "").split("&"))]
        for part in (*parts, found["fragment"] or ""):
            yield from {part, unquote(part)} - {""}


def _masked_url(found: re.Match[str]) -> str:
    name, secret = _user(found)
    user = f"{name}{MASK if secret else ''}@" if found["user"] is not None else ""
    query = "&".join(_masked_parameter(each) for each in (found["query"] or "").split("&"))
    fragment = f"#{MASK}" if found["fragment"] else ""
    return f"{found['scheme']}{user}{found['place']}{'?' + query if found['query'] else ''}{fragment}"


def _user(found: re.Match[str]) -> tuple[str, str]:
    """What may be shown of `name:password`, and what not; a single word is a token."""
    name, colon, password = (found["user"] or "").partition(":")
    return (f"{name}:", password) if colon else ("", name)


def _masked_parameter(text: str) -> str:
    name, secret = _parameter(text)
    return f"{name}{MASK}" if secret else text


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        return "", name
    return f"{name}=", "" if name.lower() in _PUBLIC_PARAMETERS else value
