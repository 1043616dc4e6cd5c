"""Which headers a request may have. No message shows a value: it may be a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmspell_core.errors import ValidationError

__all__ = ["check_headers"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LINE_BREAK = re.compile(r"[\r\n\0]")
# How long a message is and where it goes follows from the request; a second opinion smuggles requests past proxies.
FOLLOWING = {
    "host": "the URL",
    "content-length": "the body",
    "transfer-encoding": "the body",
    "trailer": "the body",
    "upgrade": "the protocol",
    "http2-settings": "the protocol",
    "proxy-connection": "the protocol",
}


def check_headers(headers: Mapping[str, Any] | None, *, user_in_url: bool = False) -> None:
    """Raises: ValidationError, naming the header."""
    seen: set[str] = set()
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise _refusal(f"a header may not be called {name!r:.60}", "Use letters, digits and -.")
        if source := FOLLOWING.get(name.lower()):
            raise _refusal(f"the header {name} follows from {source}", "Leave it out.")
        if name.lower() in seen:
            raise _refusal(f"the header {name} is given twice", "Give it once; upper and lower case are the same.")
        seen.add(name.lower())
        _check_value(name, value)
    if user_in_url and "authorization" in seen:
        raise _refusal("the URL names a user, and there is a header Authorization", "Give one of them.")


def _check_value(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _refusal(f"the header {name} is no text", "Write it as text.")
    if LINE_BREAK.search(value):
        where = "ends with" if not LINE_BREAK.search(value.rstrip("\r\n\0")) else "holds"
        raise _refusal(
            f"the value of the header {name} {where} a line break", "Was it read from a file? Remove the break."
        )
    if not value.isascii():
        hint = "Encode it, for example in base64 or with percent signs."
        raise _refusal(f"the value of the header {name} holds a character that is not ASCII", hint)
    if any((ord(sign) < 32 and sign != "\t") or ord(sign) == 127 for sign in value):
        raise _refusal(f"the value of the header {name} holds a control character", "Remove it.")


def _refusal(message: str, hint: str) -> ValidationError:
    return ValidationError(message, field="headers", hint=hint)
