"""Checks the arguments of a host call against their declaration.

Messages name the call, the argument and both types: `Tool.execute: 'name' must be a string, got table`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.script.reference import Reference, is_function, is_object

if TYPE_CHECKING:
    from llmspell_core.script.declare import Param

__all__ = ["bind", "fit"]

_ARTICLE = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "object": "a table with named fields",
    "array": "a list",
    "function": "a function",
    "handle": "an object",
}


def bind(call: str, params: tuple[Param, ...], args: list[Any], *, varargs: bool = False) -> list[Any]:
    """`args` in declared order, validated and completed with defaults.

    Raises:
        ValidationError: an argument is missing, of the wrong type, or one too many.
    """
    if len(args) > len(params) and not varargs:
        _refuse_options(call, len(params), args)
        args = args[: len(params)]
    bound = [_checked(call, param, args[i] if i < len(args) else None) for i, param in enumerate(params)]
    return bound + args[len(params) :] if varargs else bound


IGNORING = frozenset({"Tool.execute"})
"""Calls with a documented table that counts for nothing."""


def _refuse_options(call: str, takes: int, args: list[Any]) -> None:
    """`list.map(fn)` passes more than a call takes, which is harmless; options that nobody reads are a mistake."""
    for place, extra in enumerate(args[takes:], takes + 1):
        if isinstance(extra, dict) and extra and call not in IGNORING:
            many = f"{takes} argument{'' if takes == 1 else 's'}" if takes else "no arguments"
            raise ValidationError(
                f"{call} takes {many}, got a table as argument {place}",
                hint=f"Nothing would read '{next(iter(extra))}'. Leave the table out.",
            )


def fit(call: str, params: dict[str, Param], fields: dict[str, Any]) -> dict[str, Any]:
    """Those of `fields` that `params` name, validated. Raises: ValidationError."""
    return {name: _checked(call, param, fields[name]) for name, param in params.items() if name in fields}


def _checked(call: str, param: Param, value: Any) -> Any:
    if value is None:
        if param.required and param.type != "any":
            raise ValidationError(f"{call}: '{param.name}' is required", field=param.name, hint=_expect(param))
        return copy.copy(param.default)  # a handler may change its own
    if isinstance(param.options, tuple) and isinstance(value, dict):
        value = _options(call, param.options, value)
    if param.type == "any":
        return value
    accepted, value = _accept(param, value)
    if not accepted:
        raise ValidationError(
            f"{call}: '{param.name}' must be {_expected(param)}, got {_word(value)}",
            field=param.name,
            hint=param.doc or None,
        )
    if param.choices and value not in param.choices:
        raise ValidationError(
            f"{call}: '{param.name}' must be one of {', '.join(param.choices)}, got '{value}'", field=param.name
        )
    return value


def _options(call: str, known: tuple[str, ...], value: dict[str, Any]) -> dict[str, Any]:
    """The table with its keys in snake_case; camelCase is understood in both languages."""
    if value.keys() <= set(known):
        return value
    from llmspell_core.names import check_known
    from llmspell_core.script.declare import snake

    spelled = {snake(key) if snake(key) in known else key: each for key, each in value.items()}
    check_known(call, spelled, known)
    return spelled


def _accept(param: Param, value: Any) -> tuple[bool, Any]:
    """Whether `value` fits, and the value as the handler wants it."""
    kind = param.type
    if kind == "string":
        return isinstance(value, str), value
    if kind == "boolean":
        return isinstance(value, bool), value
    if kind in {"integer", "number"}:
        return _accept_number(kind, value)
    if kind == "object":
        return isinstance(value, dict) or value == [], {} if value == [] else value
    if kind == "array":
        return isinstance(value, list) or value == {}, [] if value == {} else value
    if kind == "function":
        return (True, value.id) if is_function(value) else (False, value)
    return is_object(value) and value.kind == param.handle, value


def _accept_number(kind: str, value: Any) -> tuple[bool, Any]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False, value
    if kind == "number" or isinstance(value, int):
        return True, value
    return value.is_integer(), int(value) if value.is_integer() else value


def _expected(param: Param) -> str:
    return f"a {param.handle}" if param.handle else _ARTICLE[param.type]


def _expect(param: Param) -> str:
    return f"Pass {_expected(param)}." if not param.doc else f"Pass {_expected(param)}: {param.doc}"


def _word(value: Any) -> str:
    """What a script's author calls this value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, Reference):
        return value.kind or "function"
    words = {str: "string", int: "number", float: "number", list: "list", dict: "table"}
    return words.get(type(value), "nil")
