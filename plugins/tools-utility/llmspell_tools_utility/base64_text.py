"""Base64 as RFC 4648 says it, which Python's decoder does not insist on."""

from __future__ import annotations

import base64
import re
from typing import Literal

Alphabet = Literal["standard", "url-safe"]

ALPHABETS: dict[Alphabet, re.Pattern[bytes]] = {
    "standard": re.compile(rb"([A-Za-z0-9+/]*)(={0,2})"),
    "url-safe": re.compile(rb"([A-Za-z0-9_-]*)(={0,2})"),
}
SPACE = re.compile(rb"\s+")


def read_base64(text: bytes, alphabet: Alphabet) -> bytes:
    """White space is skipped (files are wrapped); the padding may be left out as a whole, but not be of another length.

    Raises: ValueError saying what does not fit.
    """
    match = ALPHABETS[alphabet].fullmatch(SPACE.sub(b"", text))
    if match is None:
        message = "there is a character that is not in its alphabet, or '=' before the end"
        raise ValueError(message)
    letters, padding = match.groups()
    needed = -len(letters) % 4
    if needed == 3 or (padding and len(padding) != needed):
        message = "something is missing at the end" if needed == 3 else f"it ends with {len(padding)} '=', not {needed}"
        raise ValueError(message)
    altchars = b"-_" if alphabet == "url-safe" else None
    data = base64.b64decode(letters + b"=" * needed, altchars=altchars)
    if needed and _last_letter(data, altchars) != letters[-1:]:
        message = "its last letter holds bits that belong to no byte"
        raise ValueError(message)
    return data


def _last_letter(data: bytes, altchars: bytes | None) -> bytes:
    """Of the base64 of `data`, without its padding."""
    rest = len(data) % 3
    return base64.b64encode(data[-rest:], altchars=altchars)[rest : rest + 1]


def read_either(text: bytes) -> bytes:
    """Of whichever alphabet. Raises: ValueError."""
    return read_base64(text, "url-safe" if re.search(rb"[-_]", text) else "standard")
