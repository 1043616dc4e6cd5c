"""Path queries on plain data, in the small part of jq's language that scripts use.

    .            the value itself           .a.b  ."odd key"  .[0]  .[-1]  .[1:3]    steps into it
    .[]          every element              a | b                                   feeds a's results into b
    select(.n > 1)   map(.x)   length  keys  values  first  last  sort  unique  add  min  max  not  type  has("k")

Comparisons are == != < <= > >= with a literal or a path on the right. One result is returned as it is, several as a list,
none as null. A step into something that is not there gives null, as in jq.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from llmspell_core.errors import TimeoutError, ValidationError

__all__ = ["query"]

Step = Callable[[Any], Iterable[Any]]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"(?:[^\"\\]|\\.)*\")|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<op>==|!=|<=|>=|[.\[\]()|<>:]))"
)
_MAX_RESULTS = 100_000
_LONGEST = 10_000
"""Characters of an expression."""
_DEEPEST = 100
_ENDS: ContextVar[float] = ContextVar("llmspell_query_ends")
"""When the query that runs in this context has to be done, as time.monotonic() tells it."""


def query(value: Any, expression: str, seconds: float = 10.0) -> Any:
    """What `expression` finds in `value`.

    Raises:
        ValidationError: the expression is not understood, or does not fit the value.
        TimeoutError: it was not done in `seconds`.
    """
    if len(expression) > _LONGEST:
        raise ValidationError(
            f"JSON.query: an expression may have {_LONGEST:,} characters, this one has {len(expression):,}",
            field="expression",
        )
    token = _ENDS.set(time.monotonic() + seconds)
    try:
        return _found(value, expression)
    except RecursionError:
        raise ValidationError(f"JSON.query: '{expression[:80]}' has too many steps", field="expression") from None
    except _SlowError:
        raise TimeoutError(
            f"JSON.query: '{expression[:80]}' was not done after {seconds:.3g} seconds",
            duration_ms=round(seconds * 1000),
            hint="Ask for something simpler, or of less data at a time.",
        ) from None
    finally:
        _ENDS.reset(token)


class _SlowError(Exception):
    """No time is left."""


def _tick() -> None:
    if time.monotonic() > _ENDS.get():
        raise _SlowError


def _found(value: Any, expression: str) -> Any:
    parser = _Parser(expression)
    step = parser.pipeline()
    parser.expect_end()
    results = []
    for result in step(value):
        results.append(result)
        if len(results) > _MAX_RESULTS:
            raise ValidationError(f"JSON.query: '{expression[:80]}' finds more than {_MAX_RESULTS} values")
    if len(results) == 1 and not parser.many:
        return results[0]
    return results or ([] if parser.many else None)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.many = False
        self.tokens = list(_tokens(text))
        self.position = 0
        self.depth = 0

    def peek(self) -> tuple[str, Any]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", None)

    def take(self, *expected: Any) -> tuple[str, Any]:
        token = self.peek()
        if expected and token[1] not in expected:
            raise self.error()
        self.position += 1
        return token

    def error(self) -> ValidationError:
        found = self.peek()[1]
        where = f"at '{found}'" if found is not None else "at its end"
        return ValidationError(
            f"JSON.query: '{self.text}' is not understood {where}",
            field="expression",
            hint='Examples: .items[0].name, .items[] | select(.n > 1) | .name, map(.x), length, has("k").',
        )

    def expect_end(self) -> None:
        if self.peek()[0] != "end":
            raise self.error()

    def pipeline(self) -> Step:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValidationError(f"JSON.query: brackets are nested deeper than {_DEEPEST}", field="expression")
        step = self.comparison()
        while self.peek() == ("op", "|"):
            self.take()
            step = _chain(step, self.comparison())
        self.depth -= 1
        return step

    def comparison(self) -> Step:
        left = self.term()
        if self.peek()[0] == "op" and self.peek()[1] in _COMPARE:
            compare = _COMPARE[self.take()[1]]
            right = self.term()
            return lambda value: [compare(_one(left(value)), _one(right(value)))]
        return left

    def term(self) -> Step:
        kind, word = self.peek()
        if kind in {"string", "number"}:
            self.take()
            return lambda _: [word]
        if kind == "name":
            return self.call(self.take()[1])
        if word == "(":
            self.take()
            inner = self.pipeline()
            self.take(")")
            return inner
        return self.path()

    def path(self) -> Step:
        self.take(".")
        step: Step = _itself
        kind, word = self.peek()
        if kind in {"name", "string"}:
            self.take()
            step = _field(word)
        while self.peek()[1] in (".", "[") and self.peek()[0] == "op":
            step = _chain(step, self.bracket() if self.take()[1] == "[" else self.dotted())
        return step

    def dotted(self) -> Step:
        if self.peek() == ("op", "["):
            self.take()
            return self.bracket()
        kind, word = self.take()
        if kind not in {"name", "string"}:
            self.position -= 1
            raise self.error()
        return _field(word)

    def bracket(self) -> Step:
        """What stands after `[`."""
        kind, word = self.take()
        if word == "]" and kind == "op":
            self.many = True
            return _elements
        if kind == "string":
            self.take("]")
            return _field(word)
        start = word if kind == "number" else None
        if start is None and word != ":":
            self.position -= 1
            raise self.error()
        if start is not None and self.take("]", ":")[1] == "]":
            return _index(int(start))
        stop = None if self.peek()[1] == "]" else self.take()[1]
        self.take("]")
        return _slice(start, stop)

    def call(self, name: str) -> Step:
        if name in _LITERALS:
            return lambda _: [_LITERALS[name]]
        if name in {"map", "select", "has"}:
            self.take("(")
            many, inner = self.many, self.pipeline()
            self.take(")")
            if name != "select":
                self.many = many
            return _with_argument(name, inner)
        if name not in _FUNCTIONS:
            self.position -= 1
            raise self.error()
        self.many = False
        function = _FUNCTIONS[name]
        return lambda value: [_applied(name, function, value)]


def _tokens(text: str) -> Iterator[tuple[str, Any]]:
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValidationError(f"JSON.query: '{text}' is not understood at '{text[position:].strip()[:1]}'")
        position = match.end()
        kind = str(match.lastgroup)
        raw = match[kind]
        yield kind, json.loads(raw) if kind in {"string", "number"} else raw


def _chain(first: Step, second: Step) -> Step:
    def run(value: Any) -> Iterator[Any]:
        for middle in first(value):
            _tick()
            yield from second(middle)

    return run


def _one(results: Iterable[Any]) -> Any:
    return next(iter(results), None)


def _itself(value: Any) -> list[Any]:
    return [value]


def _field(name: str) -> Step:
    return lambda value: [value.get(name) if isinstance(value, dict) else None]


def _index(i: int) -> Step:
    return lambda value: [value[i] if isinstance(value, list) and -len(value) <= i < len(value) else None]


def _slice(start: Any, stop: Any) -> Step:
    return lambda value: [value[start:stop] if isinstance(value, (list, str)) else None]


def _elements(value: Any) -> Iterable[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _each(value: Any) -> Iterator[Any]:
    for item in _elements(value):
        _tick()
        yield item


def _with_argument(name: str, inner: Step) -> Step:
    if name == "map":
        return lambda value: [[result for item in _each(value) for result in inner(item)]]
    if name == "select":
        return lambda value: [value] if _one(inner(value)) not in (None, False) else []
    return lambda value: [_has(value, _one(inner(value)))]


def _has(value: Any, key: Any) -> bool:
    if isinstance(value, list):
        return isinstance(key, int) and 0 <= key < len(value)
    return isinstance(value, dict) and key in value


def _applied(name: str, function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except (TypeError, ValueError, IndexError, KeyError):
        raise ValidationError(f"JSON.query: '{name}' does not fit a value of type {_type(value)}") from None


def _type(value: Any) -> str:
    if value is None:
        return "null"
    words = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return words.get(type(value), "object")


def _keys(value: Any) -> list[Any]:
    return sorted(value) if isinstance(value, dict) else list(range(len(value)))


def _unique(value: Any) -> list[Any]:
    return sorted({json.dumps(item, sort_keys=True): item for item in _each(value)}.values(), key=_order)


def _order(value: Any) -> tuple[str, Any]:
    _tick()
    return (_type(value), value if isinstance(value, (int, float, str)) else json.dumps(value, sort_keys=True))


def _add(value: Any) -> Any:
    """The sum of all elements, made in one pass: each is taken once."""
    items = [item for item in _elements(value) if item is not None]  # null adds nothing
    kinds = {type(item) for item in items}
    if len(kinds) > 1 or not kinds <= {dict, list, str}:
        return _sum(items)
    if kinds == {str}:
        return "".join(items)
    if kinds == {list}:
        return [inner for item in _each(items) for inner in item]
    return {key: inner for item in _each(items) for key, inner in item.items()} or ({} if kinds else None)


def _sum(items: list[Any]) -> Any:
    """Of numbers; of anything else it says that it cannot be added. Raises: TypeError."""
    if not all(isinstance(item, (int, float)) for item in items):
        raise TypeError
    return sum(items)


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: compare(_order(left), _order(right))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": _comparison(lambda left, right: left < right),
    "<=": _comparison(lambda left, right: left <= right),
    ">": _comparison(lambda left, right: left > right),
    ">=": _comparison(lambda left, right: left >= right),
}
_LITERALS: dict[str, Any] = {"true": True, "false": False, "null": None}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "length": lambda value: 0 if value is None else len(value),
    "keys": _keys,
    "values": lambda value: list(_elements(value)),
    "first": lambda value: value[0] if value else None,
    "last": lambda value: value[-1] if value else None,
    "sort": lambda value: sorted(value, key=_order),
    "unique": _unique,
    "add": _add,
    "min": lambda value: min(value, key=_order) if value else None,
    "max": lambda value: max(value, key=_order) if value else None,
    "not": lambda value: value in (None, False),
    "type": _type,
}
