"""The filters of the basic part of jq: each turns one value into any number of values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cmp_to_key
from typing import Any

Filter = Callable[[Any], Iterator[Any]]

ENDS: ContextVar[float] = ContextVar("ENDS")
"""The monotonic time at which filters of this context stop."""

RANKS: tuple[tuple[type, ...], ...] = ((type(None),), (bool,), (int, float), (str,), (list,), (dict,))
NAMES = ("null", "boolean", "number", "string", "array", "object")


class RunError(Exception):
    """The query does not fit the data."""


class TimeUpError(Exception):
    """The query was not done in time."""


def identity(value: Any) -> Iterator[Any]:
    yield value


def constant(constant: Any) -> Filter:
    return lambda _: iter((constant,))


def of_value(function: Callable[[Any], Any]) -> Filter:
    return lambda value: iter((function(value),))


def then(first: Filter, second: Filter) -> Filter:
    return lambda value: (output for middle in first(value) for output in second(middle))


def after_each_other(first: Filter, second: Filter) -> Filter:
    def run(value: Any) -> Iterator[Any]:
        yield from first(value)
        yield from second(value)

    return run


def combined(first: Filter, second: Filter, function: Callable[[Any, Any], Any]) -> Filter:
    return lambda value: (function(a, b) for b in second(value) for a in first(value))


def quiet(filter_: Filter) -> Filter:
    def run(value: Any) -> Iterator[Any]:
        try:
            yield from filter_(value)
        except RunError:
            return

    return run


def field_of(name: str) -> Filter:
    def run(value: Any) -> Any:
        if value is not None and not isinstance(value, dict):
            raise RunError(f'cannot index {_type(value)} with "{name}"')
        return None if value is None else value.get(name)

    return of_value(run)


def item_at(index: int) -> Filter:
    def run(value: Any) -> Any:
        if value is not None and not isinstance(value, list):
            raise RunError(f"cannot index {_type(value)} with number")
        return value[index] if value and -len(value) <= index < len(value) else None

    return of_value(run)


def part(start: int | None, end: int | None) -> Filter:
    def run(value: Any) -> Any:
        if value is not None and not isinstance(value, (list, str)):
            raise RunError(f"cannot slice {_type(value)}")
        return None if value is None else value[start:end]

    return of_value(run)


def each(value: Any) -> Iterator[Any]:
    if not isinstance(value, (list, dict)):
        raise RunError(f"cannot iterate over {_type(value)}")
    for item in value if isinstance(value, list) else value.values():
        if time.monotonic() > ENDS.get():
            raise TimeUpError
        yield item


def mapped(argument: Filter) -> Filter:
    return lambda value: iter(([output for item in each(value) for output in argument(item)],))


def selected(argument: Filter) -> Filter:
    return lambda value: (value for wanted in argument(value) if is_true(wanted))


def sorted_by(argument: Filter) -> Filter:
    def run(value: Any) -> Any:
        if not isinstance(value, list):
            raise RunError(f"{_type(value)} cannot be sorted, as it is not an array")
        return sorted(value, key=lambda item: cmp_to_key(_order)(list(argument(item))))

    return of_value(run)


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return sorted(value)
    if isinstance(value, list):
        return list(range(len(value)))
    raise RunError(f"{_type(value)} has no keys")


def _length(value: Any) -> Any:
    if isinstance(value, bool):
        raise RunError("boolean has no length")
    return 0 if value is None else abs(value) if isinstance(value, (int, float)) else len(value)


PLAIN: dict[str, Callable[[Any], Any]] = {"keys": _keys, "length": _length, "not": lambda value: not is_true(value)}
TAKING: dict[str, Callable[[Filter], Filter]] = {"map": mapped, "select": selected, "sort_by": sorted_by}
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: _order(a, b) == 0,
    "!=": lambda a, b: _order(a, b) != 0,
    "<": lambda a, b: _order(a, b) < 0,
    "<=": lambda a, b: _order(a, b) <= 0,
    ">": lambda a, b: _order(a, b) > 0,
    ">=": lambda a, b: _order(a, b) >= 0,
}


def is_true(value: Any) -> bool:
    return value is not None and value is not False


def _type(value: Any) -> str:
    return NAMES[_rank(value)]


def _rank(value: Any) -> int:
    return next(rank for rank, types in enumerate(RANKS) if isinstance(value, types))


def _order(a: Any, b: Any) -> int:
    """jq's order: null < booleans < numbers < strings < arrays < objects (by keys, then by values)."""
    first, second = _rank(a), _rank(b)
    if first != second or a is None:
        return first - second
    if isinstance(a, list):
        pairs = (_order(x, y) for x, y in zip(a, b, strict=False))
        return next((order for order in pairs if order), len(a) - len(b))
    if isinstance(a, dict):
        names = sorted(a), sorted(b)
        return _order(*names) or next((order for name in names[0] if (order := _order(a[name], b[name]))), 0)
    return int(a > b) - int(a < b)
