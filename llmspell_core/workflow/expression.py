"""The expression language of conditions and loops: own grammar, own parser, nothing is ever evaluated as code.

expression := or            or := and ("or" and)*      and := not ("and" not)*      not := "not" not | comparison
comparison := value (("==" | "!=" | "<" | "<=" | ">" | ">=") value)?
value      := number | "text" | 'text' | true | false | null | nil | "(" or ")" | "-" number | name
name       := shared_data.KEY | step_result.STEP.success|output|error | input.KEY | $iteration | $KEY
            | loop_index | current_item | total_iterations          (each may be followed by .FIELD)
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from llmspell_core.errors import WorkflowError

__all__ = ["Expression", "Names", "truth"]

MAX_LENGTH = 2000
MAX_DEPTH = 50
TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"""|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"|(?P<name>\$?[^\W\d][\w-]*(?:\.[\w-]+)*)"
    r"|(?P<sign>==|!=|~=|<=|>=|[<>()-]))"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "~=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
CONSTANTS = {"true": True, "false": False, "null": None, "nil": None}
VARIABLES = (
    "loop_index",
    "current_item",
    "total_iterations",
    "current_value",
    "loop_value",
    "current_index",
    "iteration",
)


class Names(Protocol):
    """Where an expression looks names up."""

    def shared_value(self, key: str) -> Any: ...

    def input_value(self, key: str) -> Any: ...

    def variable(self, name: str) -> Any: ...

    def step_state(self, step: str) -> Mapping[str, Any]:
        """`success`, `output`, `error`. Raises: WorkflowError when there is no such step."""
        ...


Value = Callable[[Names], Any]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class Expression:
    """A parsed expression; `evaluate` may be called any number of times."""

    __slots__ = ("_value", "steps", "text")

    def __init__(self, text: str) -> None:
        """Raises: WorkflowError that quotes the expression and says what is not understood."""
        self.text = text
        parser = _Parser(text)
        self._value = parser.parse()
        self.steps = tuple(parser.steps)
        """The names of steps in it."""

    def evaluate(self, names: Names) -> Any:
        """Raises: WorkflowError for values that cannot be compared and steps that do not exist."""
        return self._value(names)


def truth(value: Any) -> bool:
    """nil and false are false, everything else is true, as in Lua."""
    return value is not None and value is not False


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._next = 0
        self._depth = 0
        self.steps: list[str] = []

    def parse(self) -> Value:
        if not self._tokens:
            raise self._wrong("it is empty")
        value = self._or()
        if self._next < len(self._tokens):
            raise self._unexpected()
        return value

    def _split(self) -> list[_Token]:
        if len(self._text) > MAX_LENGTH:
            raise self._wrong(f"it is longer than {MAX_LENGTH} characters")
        found, at, end = [], 0, len(self._text.rstrip())
        while at < end:
            match = TOKEN.match(self._text, at)
            if match is None:
                rest = self._text[at:].lstrip()
                raise self._wrong(f"'{rest[:20]}' is not part of an expression")
            kind = str(match.lastgroup)
            found.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return found

    def _wrong(self, what: str) -> WorkflowError:
        return WorkflowError(
            f"the expression '{self._text[:200]}' cannot be read: {what}",
            hint="Write comparisons of shared_data.KEY, step_result.STEP.output, $iteration and literals.",
        )

    def _unexpected(self) -> WorkflowError:
        if self._next >= len(self._tokens):
            return self._wrong("it ends too early")
        token = self._tokens[self._next]
        return self._wrong(f"'{token.text}' at position {token.at + 1} does not belong there")

    def _take(self, *texts: str) -> str | None:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.kind in {"sign", "name"} and token.text in texts:
                self._next += 1
                return token.text
        return None

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong("it is nested too deeply")

    def _or(self) -> Value:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda names: any(truth(p(names)) for p in parts)

    def _and(self) -> Value:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda names: all(truth(p(names)) for p in parts)

    def _not(self) -> Value:
        if not self._take("not"):
            return self._comparison()
        self._deeper()
        inner = self._not()
        self._depth -= 1
        return lambda names: not truth(inner(names))

    def _comparison(self) -> Value:
        left = self._single()
        sign = self._take(*COMPARE)
        if sign is None:
            return left
        right = self._single()
        return lambda names: self._compare(sign, left(names), right(names))

    def _compare(self, sign: str, left: Any, right: Any) -> bool:
        if isinstance(left, bool) != isinstance(right, bool):
            left, right = (left, right) if sign in {"==", "!=", "~="} else (None, None)
            if sign in {"==", "!=", "~="}:
                return sign != "=="
        try:
            return COMPARE[sign](left, right)
        except TypeError:
            raise WorkflowError(
                f"the expression '{self._text}' compares {_word(left)} with {_word(right)}",
                hint="Both sides of <, <=, >, >= must be numbers, or both texts.",
            ) from None

    def _single(self) -> Value:
        if self._take("("):
            self._deeper()
            inner = self._or()
            if not self._take(")"):
                raise self._unexpected()
            self._depth -= 1
            return inner
        if self._take("-"):
            return _constant(-self._number())
        if self._next >= len(self._tokens):
            raise self._unexpected()
        token = self._tokens[self._next]
        if token.kind == "number":
            return _constant(self._number())
        if token.kind == "sign":
            raise self._unexpected()
        self._next += 1
        return _constant(_unquoted(token.text)) if token.kind == "text" else self._name(token)

    def _number(self) -> float:
        if self._next >= len(self._tokens) or self._tokens[self._next].kind != "number":
            raise self._unexpected()
        text = self._tokens[self._next].text
        self._next += 1
        return int(text) if text.isdigit() else float(text)

    def _name(self, token: _Token) -> Value:
        if token.text in CONSTANTS:
            return _constant(CONSTANTS[token.text])
        head, *path = token.text.split(".")
        if head.startswith("$"):
            return lambda names: dig(_dollar(names, head[1:]), path)
        if head in {"shared_data", "shared"} and path:
            return lambda names: dig(names.shared_value(path[0]), path[1:])
        if head == "input" and path:
            return lambda names: dig(names.input_value(path[0]), path[1:])
        if head in {"step_result", "step"} and len(path) >= 2:
            return self._step(path)
        if head in VARIABLES:
            return lambda names: dig(names.variable(head), path)
        raise self._wrong(f"'{token.text}' is not a name that it knows")

    def _step(self, path: list[str]) -> Value:
        at = next((i for i in range(1, len(path)) if path[i] in {"success", "output", "result", "error"}), None)
        if at is None:
            raise self._wrong(f"step_result.{path[0]} is followed by success, output or error")
        step, part = ".".join(path[:at]), "output" if path[at] == "result" else path[at]
        self.steps.append(step)
        return lambda names: dig(names.step_state(step)[part], path[at + 1 :])


def _constant(value: Any) -> Value:
    return lambda _: value


def _dollar(names: Names, key: str) -> Any:
    value = names.variable(key)
    return names.shared_value(key) if value is None else value


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])


def _word(value: Any) -> str:
    words = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return words.get(type(value), "nothing (nil)" if value is None else type(value).__name__)


def dig(value: Any, path: list[str]) -> Any:
    """What lies under `path` in tables and lists (counted from 1); None when there is nothing."""
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and 0 < int(part) <= len(value):
            value = value[int(part) - 1]
        else:
            return None
    return value
