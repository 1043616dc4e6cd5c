"""What a script says about itself in the comments at its top: `-- llmspell: security=high`."""

from __future__ import annotations

import re

from llmspell_core.errors import ValidationError

__all__ = ["asked_profile"]

PROFILES = ("low", "medium", "high")
_LINES = 50
_SETTING = re.compile(r"(?:--|//|\*|/\*)\s*llmspell:\s*security\s*=\s*([\w-]+)")
_COMMENT = re.compile(r"\s*(?:--|//|/\*|\*|#!|$)")


def asked_profile(source: str | bytes) -> str | None:
    """The security profile that the comments before the first line of code ask for.

    Raises:
        ValidationError: there is no such profile; a misspelt wish for more security must not run with less.
    """
    text = source[:10_000].decode("utf-8-sig", "replace") if isinstance(source, bytes) else source[:10_000]
    for line in text.split("\n", _LINES)[:_LINES]:
        if not _COMMENT.match(line):
            return None
        found = _SETTING.search(line)
        if found is not None:
            return _checked(found[1].lower(), line.strip())
    return None


def _checked(name: str, line: str) -> str:
    if name not in PROFILES:
        raise ValidationError(
            f"'{line[:80]}': there is no security profile '{name}'",
            field="security",
            hint=f"A script can ask for {', '.join(PROFILES)}, and gets it where it is stricter than its surroundings.",
        )
    return name
