"""Keys and headers as they may stand in a request. What cannot stand there is refused without being shown."""

from __future__ import annotations

import re

from llmspell_core.errors import AuthenticationError, ConfigurationError
from llmspell_core.provider.contract import ProviderSettings

__all__ = ["check_key"]

NOT_IN_A_KEY = re.compile(r"[^\x21-\x7e]")
NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e]")
NAMES = {"\n": "a line break", "\r": "a line break", "\t": "a tab", " ": "a space", "\0": "a null byte"}


def check_key(settings: ProviderSettings) -> None:
    """Every provider's key and headers pass here before the first request.

    Raises: AuthenticationError, ConfigurationError for a character that no header carries. White space around a key is
    no fault: it is gone since the settings were made.
    """
    found = NOT_IN_A_KEY.search(settings.api_key or "")
    if found:
        raise AuthenticationError(
            f"the API key of provider '{settings.name}' cannot be sent: character {found.start() + 1} of it is "
            f"{NAMES.get(found[0], _described(found[0]))}",
            provider=settings.name,
            hint="Write the key again, in one line and without quotation marks or blanks. "
            f"It comes from {_source(settings)}.",
        )
    for name, value in settings.headers.items():
        if NOT_IN_A_HEADER.search(value) or NOT_IN_A_KEY.search(name) or not name:
            raise ConfigurationError(
                f"the header {name!r} of provider '{settings.name}' cannot be sent: it holds a line break or a character "
                "that is not ASCII",
                setting=f"providers.{settings.name}.headers",
                hint="Write it in one line of plain characters.",
            )


def _described(character: str) -> str:
    return "a control character" if ord(character) < 0x80 else "not ASCII"


def _source(settings: ProviderSettings) -> str:
    named = f"the variable {settings.api_key_env}" if settings.api_key_env else "the vendor's variable"
    return f"api_key in [providers.{settings.name}], {named} or the caller"
