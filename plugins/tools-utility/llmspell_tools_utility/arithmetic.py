"""The functions and operators of the calculator, on IEEE doubles.

1/0 is infinite, sqrt(-1) is not a number, and nothing can grow without bound.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_EXPONENT = 100
MAX_ARGUMENTS = 100


class ExpressionError(Exception):
    """The expression cannot be read, is not allowed, or is too large; the text is for the person who wrote it."""


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _modulo(a: float, b: float) -> float:
    try:
        return math.fmod(a, b)
    except ValueError:
        return math.nan


def _power(a: float, b: float) -> float:
    if abs(b) > MAX_EXPONENT:
        raise ExpressionError(f"the exponent {b:g} is beyond the limit of {MAX_EXPONENT}")
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 else math.inf
    except ValueError:
        return math.inf if a == 0 else math.nan


def _real(function: Callable[[float], float]) -> Callable[[float], float]:
    """`function` with infinity for an overflow and NaN outside its domain, as IEEE arithmetic has it."""

    def apply(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    return apply


def _whole(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: float(function(x)) if math.isfinite(x) else x


def _ln(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def _log(first: float, second: float | None = None) -> float:
    base, x = (10.0, first) if second is None else (first, second)
    exact = {2.0: math.log2, 10.0: math.log10}.get(base)
    return exact(x) if exact and x > 0 else _divide(_ln(x), _ln(base))


def _sinh(x: float) -> float:
    return math.copysign(_real(math.sinh)(abs(x)), x)


def _atanh(x: float) -> float:
    return math.copysign(math.inf, x) if abs(x) == 1 else _real(math.atanh)(x)


def _round(x: float, digits: float = 0.0) -> float:
    if not math.isfinite(x):
        return x
    return round(x, int(digits)) if digits else math.copysign(math.floor(abs(x) + 0.5), x)


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x else x


@dataclass(frozen=True, slots=True)
class Function:
    call: Callable[..., float]
    least: int = 1
    most: int = 1


FUNCTIONS: dict[str, Function] = {
    **{name: Function(_real(getattr(math, name))) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
    **{name: Function(_real(getattr(math, name))) for name in ("cosh", "tanh", "asinh", "acosh", "sqrt", "exp")},
    **{name: Function(_whole(getattr(math, name))) for name in ("ceil", "floor")},
    "sinh": Function(_sinh),
    "atanh": Function(_atanh),
    "ln": Function(_ln),
    "log": Function(_log, 1, 2),
    "abs": Function(abs),
    "sign": Function(_sign),
    "int": Function(_whole(math.trunc)),
    "round": Function(_round, 1, 2),
    "min": Function(lambda *numbers: min(numbers), 1, MAX_ARGUMENTS),
    "max": Function(lambda *numbers: max(numbers), 1, MAX_ARGUMENTS),
    "pi": Function(lambda: math.pi, 0, 0),
    "e": Function(lambda: math.e, 0, 0),
}
CONSTANTS = {"pi": math.pi, "e": math.e}


def _truth(compare: Callable[[Any, Any], bool]) -> Callable[[float, float], float]:
    return lambda a, b: float(compare(a, b))


OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.Mod: _modulo,
    ast.Pow: _power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: lambda x: float(not x),
    ast.Eq: _truth(operator.eq),
    ast.NotEq: _truth(operator.ne),
    ast.Lt: _truth(operator.lt),
    ast.LtE: _truth(operator.le),
    ast.Gt: _truth(operator.gt),
    ast.GtE: _truth(operator.ge),
}
