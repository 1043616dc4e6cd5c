"""What a script says about itself in the comments at its top: `-- llmspell: security=high`.

A line that looks like it and is not understood is an error: a misspelt wish for more security must not run with less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmspell_core.errors import ValidationError

__all__ = ["asked_profile"]

PROFILES = ("low", "medium", "high")
MOST_COMMENTS = 200_000  # characters
HOW = "Write it like this: -- llmspell: security=high (in JavaScript: // llmspell: security=high)."
# White space, the first line of a Unix script, "use strict", and the comments of both languages, one at a time.
_TOP = re.compile(
    r"""\s+|;|(?P<quote>['"])use\ strict(?P=quote)
    |--\[(?P<level>=*)\[(?P<long>.*?)(?:\](?P=level)\]|\Z)
    |/\*(?P<block>.*?)(?:\*/|\Z)
    |(?:\#|--|//|<!--)(?P<line>[^\r\n\u2028\u2029]*)""",
    re.VERBOSE | re.DOTALL,
)
_LINES = re.compile(r"[\r\n\u2028\u2029]+")
_NAMED = re.compile(r"(?P<name>[\w-]+)\s*(?P<sign>[:=]*)\s*(?P<rest>.*)", re.DOTALL)
_SETTING = re.compile(r"(?P<key>[\w-]+)\s*(?P<sign>[:=]+)?\s*(?P<value>.*)", re.DOTALL)
_VALUE = re.compile(r"""['"]?(?P<word>[\w-]+)['"]?\s*[.;]?\s*(?:(?:--|//|\#|\().*)?""", re.DOTALL)


def asked_profile(source: str | bytes) -> str | None:
    """The security profile that the comments before the first line of code ask for.

    Raises:
        ValidationError: it looks like such a wish and is none that can be fulfilled, or there are two of them.
    """
    text = source.decode("utf-8-sig", "replace") if isinstance(source, bytes) else source
    found = [profile for line in _top_lines(text.removeprefix("\ufeff")) if (profile := _asked(line)) is not None]
    if len(set(found)) > 1:
        raise ValidationError(
            f"the top of the script asks for two security profiles: {' and '.join(found)}",
            field="security",
            hint="Leave one of them.",
        )
    return found[0] if found else None


def _top_lines(text: str) -> Iterator[str]:
    """The lines of the comments before the first code, without the signs around them."""
    position = 0
    while match := _TOP.match(text, position):
        position = match.end()
        if position > MOST_COMMENTS:
            raise ValidationError(
                f"the script begins with more than {MOST_COMMENTS:,} characters of comments",
                field="security",
                hint="What it asks for stands in them, so they are all read. Shorten them.",
            )
        for line in _LINES.split(match["long"] or match["block"] or match["line"] or ""):
            if "sec" in line.lower() or "spell" in line.lower() or not line.isascii():
                yield _normal(line).strip(" \t\v\f\0-/*#!<>[]=@\ufeff\u200b\u200c\u200d\u2060")


def _normal(line: str) -> str:
    if line.isascii():
        return line
    from unicodedata import normalize

    return normalize("NFKC", line)


def _asked(line: str) -> str | None:
    """Raises: ValidationError."""
    match = _NAMED.match(line)
    if match is None:
        return None
    name, rest = match["name"].lower(), match["rest"]
    if not _is_like(name, "llmspell"):
        alone = _is_like(name, "security") and match["sign"] and _VALUE.fullmatch(rest)
        if alone and _is_like(alone["word"].lower(), *PROFILES):
            raise _not_understood(line, "it does not name llmspell")
        return None
    setting = _SETTING.match(rest)
    if setting is None or not _is_wish(setting, rest):
        return None  # a sentence about llmspell
    return _checked(line, name, match["sign"], setting)


def _is_wish(setting: re.Match[str], rest: str) -> bool:
    key = setting["key"].lower()
    return "=" in rest or _is_like(key, "security") or (key in PROFILES and not setting["value"])


def _checked(line: str, name: str, sign: str, setting: re.Match[str]) -> str:
    if name != "llmspell" or sign != ":":
        raise _not_understood(line, "it does not begin with 'llmspell:'")
    if setting["key"].lower() != "security":
        raise _not_understood(line, f"there is no setting '{setting['key'][:40]}' for a script")
    if setting["sign"] != "=":
        raise _not_understood(line, "'security=' is expected")
    value = _VALUE.fullmatch(setting["value"])
    if value is None:
        raise _not_understood(line, "one word is expected after 'security='")
    word = value["word"].lower()
    if word not in PROFILES:
        raise ValidationError(
            f"'{line[:80]}': there is no security profile '{word[:40]}'",
            field="security",
            hint=f"A script can ask for {', '.join(PROFILES)}, and gets it where it is stricter than its surroundings.",
        )
    return word


def _is_like(word: str, *known: str) -> bool:
    if word in known:
        return True
    from difflib import SequenceMatcher

    return any(SequenceMatcher(None, word[:20], each).ratio() >= 0.75 for each in known)


def _not_understood(line: str, why: str) -> ValidationError:
    message = f"'{line[:80]}' looks like a wish for a security profile, but {why}"
    return ValidationError(message, field="security", hint=HOW)
