"""Where the cursor stands in a half-written line of Lua or JavaScript: in which call, which table, which text.

A scan of brackets and quotes, not a parser: what is typed is rarely whole. Where it guesses wrong nothing is offered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Cursor", "chain_before", "masked"]

LAST_WORD = re.compile(r"[\w$]*\Z")
KEY = re.compile(r"(?P<name>[\w$]+)\s*[=:]\s*\Z")
OPENING, CLOSING = "([{", ")]}"
COMMENTS = {"lua": "--", "javascript": "//"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """One position.

    Attributes:
        start: where the word begins that is being typed, or the text in quotes.
        quoted: whether it is a text in quotes.
        chain: what is called, its own calls left out: `["Agent", "builder", "tool"]`. Empty: no call.
        argument: the number of the call's argument, from 0.
        keys: of the tables around the word, outermost first; the last one is None where a key, not a value, is typed.
            Empty: it is in no table.
    """

    start: int
    quoted: bool
    chain: tuple[str, ...]
    argument: int
    keys: tuple[str | None, ...]

    @classmethod
    def of(cls, text: str, language: str) -> Cursor:
        plain, quote = masked(text, language)
        start = quote + 1 if quote is not None else len(text) - len(LAST_WORD.findall(text)[0])
        opened = _opened(plain)
        tables: list[int] = []
        while opened and plain[opened[-1]] in "{[":
            tables.insert(0, opened.pop())
        before = plain[: start - (quote is not None)]
        begin = tables[0] if tables else len(before)
        call, argument = _call(plain, opened, begin)
        ends = [*tables[1:], len(before)] if tables else []
        keys = tuple(_key(before[at + 1 : end]) for at, end in zip(tables, ends, strict=True))
        return cls(start, quote is not None, call, argument, keys)


def masked(text: str, language: str) -> tuple[str, int | None]:
    """`text` with blanks for what is in quotes and comments; and where the quote is that nothing closes."""
    found: list[str] = []
    quote, at = None, 0
    while at < len(text):
        letter = text[at]
        if quote is not None:
            step = 2 if letter == "\\" else 1
            found.append(letter if letter == text[quote] else " " * min(step, len(text) - at))
            quote = None if letter == text[quote] else quote
        elif text.startswith(COMMENTS.get(language, "//"), at):
            step = (text.find("\n", at) + 1 or len(text)) - at
            found.append(" " * step)
        else:
            step = 1
            found.append(letter)
            quote = at if letter in "\"'`" else None
        at += step
    return "".join(found), quote


def _opened(plain: str) -> list[int]:
    """Where the brackets are that nothing closes."""
    found: list[int] = []
    for at, letter in enumerate(plain):
        if letter in OPENING:
            found.append(at)
        elif letter in CLOSING and found:
            found.pop()
    return found


def _call(plain: str, opened: list[int], begin: int) -> tuple[tuple[str, ...], int]:
    """The call around position `begin`, and which of its arguments that is. Lua also calls with a table alone: `f{`."""
    alone = chain_before(plain[:begin]) if begin < len(plain) and plain[begin] == "{" else ()
    if alone:
        return alone, 0
    if not opened or plain[opened[-1]] != "(":
        return (), 0
    return chain_before(plain[: opened[-1]]), _commas(plain[opened[-1] + 1 : begin])


def _commas(plain: str) -> int:
    depth = count = 0
    for letter in plain:
        depth += (letter in OPENING) - (letter in CLOSING)
        count += letter == "," and depth == 0
    return count


def _key(table: str) -> str | None:
    """The key whose value is typed at the end of the inside of a table."""
    depth = 0
    for at in range(len(table) - 1, -1, -1):
        depth += (table[at] in CLOSING) - (table[at] in OPENING)
        if depth == 0 and table[at] in ",;":
            table = table[at + 1 :]
            break
    found = KEY.search(table)
    return found["name"] if found else None


def chain_before(plain: str) -> tuple[str, ...]:
    """The names at the end of `plain`: of `x = Agent.builder():name("a"):tool` they are Agent, builder, name, tool."""
    names: list[str] = []
    at = len(plain.rstrip())
    while at:
        at = _over_groups(plain, at)
        word = LAST_WORD.findall(plain[:at])[0]
        if not word:
            return ()
        names.insert(0, word)
        at = len(plain[: at - len(word)].rstrip())
        if not at or plain[at - 1] not in ".:":
            break
        at = len(plain[: at - 1].rstrip())
    return tuple(names)


def _over_groups(plain: str, at: int) -> int:
    """The position before the calls that end at `at`."""
    while at and plain[at - 1] in CLOSING:
        depth = 0
        for begin in range(at - 1, -1, -1):
            depth += (plain[begin] in CLOSING) - (plain[begin] in OPENING)
            if depth == 0:
                break
        else:
            return 0
        at = len(plain[:begin].rstrip())
    return at
