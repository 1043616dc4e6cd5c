"""Which settings are secret, and what is shown in their place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llmspell_core.redaction import MASK

__all__ = ["MASK", "is_secret", "masked"]

_SECRET = re.compile(
    r"(^|_)(((api|access|private|secret|hmac|signing|encryption|auth|service)_?)key|token|password|passwd|passphrase|secret"
    r"|credentials?|authorization|cookie|dsn)$"
)
_HEADERS = {"headers", "default_headers"}
# Any other header may carry a key, whatever its name is.
_PUBLIC_HEADERS = {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
_URL_PASSWORD = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*):[^/\s@]+@")


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
        return _URL_PASSWORD.sub(rf"\g<scheme>:{MASK}@", value)
    return value
