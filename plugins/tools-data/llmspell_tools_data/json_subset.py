"""The part of jq that works without jq: paths, indexes, slices, pipes, map, select, keys, length, sort_by, comparisons.

pipe     = comma { "|" comma }            comma   = either { "," either }
either   = both { "or" both }             both    = compare { "and" compare }
compare  = postfix [ sign postfix ]       postfix = term { "." name | "[" ... "]" | "?" }
term     = "." [ name ] | literal | "(" pipe ")" | name [ "(" pipe ")" ]
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from llmspell_tools_data.json_filter import (
    COMPARISONS,
    PLAIN,
    TAKING,
    Filter,
    after_each_other,
    combined,
    constant,
    each,
    field_of,
    identity,
    is_true,
    item_at,
    of_value,
    part,
    quiet,
    then,
)

TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>\d+(?:\.\d+)?)|(?P<field>\.[A-Za-z_]\w*)|(?P<name>[A-Za-z_]\w*)'
    r"|(?P<sign>==|!=|<=|>=|[-.|,()\[\]:?<>]))"
)
MAX_DEPTH = 100
WORDS = {"true": True, "false": False, "null": None}


class QueryError(Exception):
    """The query is not in this part of jq."""


def compile_query(query: str) -> Filter:
    """Raises: QueryError when the query needs more than this part of jq."""
    return _Parser(query).whole()


class _Parser:
    def __init__(self, query: str) -> None:
        self._tokens = list(_tokens(query))
        self._at = 0
        self._depth = 0

    def whole(self) -> Filter:
        found = self._pipe()
        if self._peek():
            raise QueryError(f"'{self._peek()}' is not understood here")
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        """The next token if it is one of `wanted`, else an empty text."""
        token = self._peek()
        if token and token in wanted:
            self._at += 1
            return token
        return ""

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise QueryError(f"'{wanted}' is missing before '{self._peek() or 'the end'}'")

    def _pipe(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise QueryError("the query is nested too deeply")
        found = self._comma()
        while self._take("|"):
            found = then(found, self._comma())
        self._depth -= 1
        return found

    def _comma(self) -> Filter:
        found = self._either()
        while self._take(","):
            found = after_each_other(found, self._either())
        return found

    def _either(self) -> Filter:
        found = self._both()
        while self._take("or"):
            found = combined(found, self._both(), lambda a, b: is_true(a) or is_true(b))
        return found

    def _both(self) -> Filter:
        found = self._compare()
        while self._take("and"):
            found = combined(found, self._compare(), lambda a, b: is_true(a) and is_true(b))
        return found

    def _compare(self) -> Filter:
        found = self._postfix()
        sign = self._take("==", "!=", "<", "<=", ">", ">=")
        return combined(found, self._postfix(), COMPARISONS[sign]) if sign else found

    def _postfix(self) -> Filter:
        found = self._term()
        while step := self._step():
            found = step(found)
        return found

    def _step(self) -> Callable[[Filter], Filter] | None:
        """What stands directly after a value, as a change of its filter."""
        if self._take("?"):
            return quiet
        nothing = self._peek() not in {".", "["} and not self._peek().startswith(".")
        path = None if nothing else self._path()
        return None if path is None else lambda found: then(found, path)

    def _string(self) -> str:
        token = self._peek()
        self._at += 1
        try:
            return str(json.loads(token))
        except ValueError:
            raise QueryError(f"the text {token} is not understood") from None

    def _term(self) -> Filter:
        token = self._peek()
        if token.startswith("."):
            return self._path()
        if self._take("("):
            found = self._pipe()
            self._need(")")
            return found
        if self._take("-"):
            return constant(-self._number())
        if token[:1].isdigit():
            return constant(self._number())
        return constant(self._string()) if token.startswith('"') else self._function()

    def _path(self) -> Filter:
        first = self._peek()
        self._at += 1
        if first.startswith(".") and len(first) > 1:
            return field_of(first[1:])
        if first == "[" or self._take("["):
            return self._brackets()
        return field_of(self._string()) if self._peek().startswith('"') else identity

    def _number(self) -> int | float:
        token = self._peek()
        if not token[:1].isdigit():
            raise QueryError(f"a number is missing before '{token or 'the end'}'")
        self._at += 1
        return float(token) if "." in token else int(token)

    def _brackets(self) -> Filter:
        """What stands in brackets after a value: nothing, an index, a name, or a slice."""
        if self._take("]"):
            return each
        if self._peek().startswith('"'):
            found = field_of(self._string())
        else:
            found = self._index_or_slice()
        self._need("]")
        return found

    def _index_or_slice(self) -> Filter:
        start = self._bound()
        end = self._bound() if (sliced := bool(self._take(":"))) else None
        if sliced and (start is not None or end is not None):
            return part(start, end)
        if sliced or start is None:
            raise QueryError("a number is missing in the brackets")
        return item_at(start)

    def _bound(self) -> int | None:
        if self._peek() in {":", "]"}:
            return None
        sign = -1 if self._take("-") else 1
        return sign * int(self._number())

    def _function(self) -> Filter:
        name = self._peek()
        self._at += 1
        if name in WORDS:
            return constant(WORDS[name])
        if name in PLAIN:
            return of_value(PLAIN[name])
        if name not in TAKING:
            raise QueryError(f"'{name or 'the end'}' is not understood")
        self._need("(")
        argument = self._pipe()
        self._need(")")
        return TAKING[name](argument)


def _tokens(query: str) -> Iterator[str]:
    position, end = 0, len(query.rstrip())
    while position < end:
        match = TOKEN.match(query, position)
        if match is None:
            raise QueryError(f"'{query[position:].strip()[:1]}' is not understood")
        yield match[str(match.lastgroup)]
        position = match.end()
