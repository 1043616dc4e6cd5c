"""Arithmetic as people and models write it: read, checked against limits, evaluated by simpleeval.

The grammar is the usual one: `^` is a power, `!` binds like a minus sign, comparisons yield 1 or 0.
"""

from __future__ import annotations

import ast
import math
import re
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from simpleeval import SimpleEval

from llmspell_tools_utility.arithmetic import CONSTANTS, FUNCTIONS, OPERATORS, ExpressionError

MAX_LENGTH = 1000
MAX_NESTING = 20
MAX_OPERATIONS = 100
MAX_CALLS = 50
MAX_SECONDS = 0.1
MAX_VARIABLES = 50
MAX_RECURSION = 3
MAX_BYTES = 1024 * 1024

BANNED_CALLS = ("exp(exp", "pow(pow")
BANNED_WORDS = frozenset({"factorial", "while", "for", "loop", "eval", "exec", "system", "import"})
NODE_BYTES = 64

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|&&|\|\||[=!<>]=|[-+*/%^<>!(),]))"
)
NAME = re.compile(r"[A-Za-z_]\w*")
# `!` becomes `~` because that binds as tightly as a minus sign; Python's `not` would swallow a whole comparison.
PYTHON_SIGNS = {"^": "**", "&&": " and ", "||": " or ", "!": "~"}


def parse(expression: str) -> ast.expr:
    """The expression as a tree. Raises: ExpressionError when it is not one, or breaks a limit."""
    if not expression.strip():
        raise ExpressionError("the expression is empty")
    if len(expression) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(expression)} characters, the limit is {MAX_LENGTH}")
    tokens = list(_tokens(expression))
    _check_words(tokens)
    _check_nesting(tokens)
    tree = _tree(tokens)
    _check_tree(tree)
    return tree


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    position: int


def _tokens(expression: str) -> Iterator[Token]:
    end, position = len(expression.rstrip()), 0
    while position < end:
        match = TOKEN.match(expression, position)
        if match is None:
            where = position + len(expression[position:]) - len(expression[position:].lstrip())
            raise ExpressionError(f"'{expression[where]}' at position {where + 1} is not part of an expression")
        kind = str(match.lastgroup)
        yield Token(kind, match[kind], match.start(kind))
        position = match.end()


def _check_words(tokens: list[Token]) -> None:
    for token in tokens:
        if token.text.lower() in BANNED_WORDS:
            raise ExpressionError(f"'{token.text}' is not allowed in an expression")
    bare = "".join(token.text for token in tokens).lower()
    for banned in BANNED_CALLS:
        if banned in bare:
            raise ExpressionError(f"'{banned}' is not allowed: it grows too fast")


def _check_nesting(tokens: list[Token]) -> None:
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 0:
            raise ExpressionError(f"there is a ')' too many at position {token.position + 1}")
        if depth > MAX_NESTING:
            raise ExpressionError(f"the brackets are nested deeper than {MAX_NESTING}")
    if depth:
        raise ExpressionError("a '(' is never closed")


def _tree(tokens: list[Token]) -> ast.expr:
    starts, source = [], ""
    for token in tokens:
        starts.append(len(source))
        source += _python(token)
    try:
        return ast.parse(source, mode="eval").body
    except SyntaxError as error:
        at = bisect_right(starts, max((error.offset or 1) - 1, 0)) - 1
        near = tokens[at]
        raise ExpressionError(
            f"the expression cannot be read near '{near.text}' at position {near.position + 1}"
        ) from None
    except (MemoryError, RecursionError):
        raise ExpressionError("the expression is nested too deeply") from None


def _python(token: Token) -> str:
    if token.kind == "number":
        value = float(token.text)
        return f"{value!r} " if math.isfinite(value) else "1e999 "
    # The prefix keeps Python's keywords out of the grammar.
    return f"n_{token.text} " if token.kind == "name" else PYTHON_SIGNS.get(token.text, token.text)


def _check_tree(tree: ast.expr) -> None:
    operations = calls = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.Starred):
            raise ExpressionError("a ',' may only stand between the arguments of a function")
        operations += _operations(node)
        if isinstance(node, ast.Call):
            calls += 1
            _check_call(node)
    if operations > MAX_OPERATIONS:
        raise ExpressionError(f"the expression has {operations} operations, the limit is {MAX_OPERATIONS}")
    if calls > MAX_CALLS:
        raise ExpressionError(f"the expression calls {calls} functions, the limit is {MAX_CALLS}")
    _check_recursion(tree, {})


def _operations(node: ast.AST) -> int:
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    return len(node.ops) if isinstance(node, ast.Compare) else int(isinstance(node, ast.BinOp | ast.UnaryOp))


def _check_call(node: ast.Call) -> None:
    name = node.func.id.removeprefix("n_") if isinstance(node.func, ast.Name) else ""
    function = FUNCTIONS.get(name)
    if function is None:
        what = f"there is no function '{name}'" if name else "only a function's name may stand before '('"
        raise ExpressionError(f"{what}; there are: {', '.join(FUNCTIONS)}")
    if not function.least <= len(node.args) <= function.most:
        wanted = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
        raise ExpressionError(f"{name}() takes {wanted} arguments, got {len(node.args)}")


def _check_recursion(node: ast.AST, open_calls: Mapping[str, int]) -> None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        open_calls = {**open_calls, name: open_calls.get(name, 0) + 1}
        if open_calls[name] > MAX_RECURSION:
            raise ExpressionError(f"{name.removeprefix('n_')}() stands inside itself more than {MAX_RECURSION} times")
    for child in ast.iter_child_nodes(node):
        _check_recursion(child, open_calls)


def _variables(tree: ast.expr) -> set[str]:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called}


def check_variables(variables: Mapping[str, int | float]) -> dict[str, float]:
    """The variables as doubles. Raises: ExpressionError for too many, a bad name or a number beyond a double."""
    if len(variables) > MAX_VARIABLES:
        raise ExpressionError(f"there are {len(variables)} variables, the limit is {MAX_VARIABLES}")
    wrong = next((name for name in variables if not NAME.fullmatch(name)), None)
    if wrong is not None:
        raise ExpressionError(f"'{wrong[:60]}' is not a variable name: use letters, digits and '_'")
    try:
        return {name: float(value) for name, value in variables.items()}
    except OverflowError:
        raise ExpressionError("a variable is too large for a number of double precision") from None


def memory_of(expression: str, tree: ast.expr, variables: Mapping[str, float]) -> int:
    """Bytes that the expression holds, estimated. Raises: ExpressionError beyond 1 MB."""
    names = sum(sys.getsizeof(name) + sys.getsizeof(value) for name, value in variables.items())
    total = sys.getsizeof(expression) + names + NODE_BYTES * sum(1 for _ in ast.walk(tree))
    if total > MAX_BYTES:
        raise ExpressionError(f"the expression and its variables take {total} bytes, the limit is {MAX_BYTES}")
    return total


class Evaluation(SimpleEval):  # type: ignore[misc]  # simpleeval carries no types
    """One evaluation: counts its steps and stops when its processor time is up."""

    def __init__(self, variables: Mapping[str, float]) -> None:
        names = {f"n_{name}": value for name, value in {**CONSTANTS, **variables}.items()}
        functions = {f"n_{name}": function.call for name, function in FUNCTIONS.items()}
        super().__init__(operators=OPERATORS, functions=functions, names=names)
        self.steps = 0
        self._ends = time.thread_time() + MAX_SECONDS

    def value_of(self, expression: str, tree: ast.expr) -> float:
        """Raises: ExpressionError for an unknown variable, an exponent beyond the limit, or no time left."""
        missing = _variables(tree) - self.names.keys()
        if missing:
            name = min(missing).removeprefix("n_")
            raise ExpressionError(f"there is no variable '{name}'; give its value in `variables`")
        return float(self.eval(expression, tree))

    def _eval(self, node: ast.AST) -> Any:
        self.steps += 1
        if time.thread_time() > self._ends:
            raise ExpressionError(f"the evaluation took more than {MAX_SECONDS * 1000:g} ms")
        return super()._eval(node)

    def _eval_boolop(self, node: ast.BoolOp) -> float:
        return float(bool(super()._eval_boolop(node)))

    def _eval_compare(self, node: ast.Compare) -> float:
        values = [node.left, *node.comparators]
        pairs = zip(node.ops, pairwise(values), strict=True)
        return float(all(OPERATORS[type(sign)](self._eval(a), self._eval(b)) for sign, (a, b) in pairs))
