"""What one call of an agent may set in another way than its configuration does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.json_schema import with_lists
from llmspell_core.messages import INPUT_KEYS, as_list
from llmspell_core.names import check_known
from llmspell_core.provider import CompletionRequest

__all__ = ["apply_overrides", "check_input", "iterations"]

CHOICES = ("auto", "none", "required")


def check_input(agent: Any, given: Any, where: str = "execute") -> None:
    """What is said to an agent of a model in a table has no field that nobody reads.

    Agents of plugins may read whatever they like.

    Raises:
        ValidationError: `execute: unknown option 'tempature' (did you mean 'temperature'?)`.
    """
    if isinstance(given, Mapping) and agent.input_fields is not None and not given.keys() <= agent.input_fields:
        known = {snake(name) for name in agent.input_fields}
        check_known(where, {snake(str(name)): value for name, value in given.items()}, known)


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def apply_overrides(request: CompletionRequest, given: Mapping[str, Any]) -> None:
    """Set what `given` names. Raises: ValidationError naming the field."""
    for name, read in READERS.items():
        value = _given(given, name)
        if value is not None:
            setattr(request, name, read(name, value))
    names = {tool.name for tool in request.tools}
    if request.tool_choice.replace("_", "-") in names:
        request.tool_choice = request.tool_choice.replace("_", "-")  # as tools are found everywhere else
    if request.tool_choice not in CHOICES and request.tool_choice not in names:
        raise ValidationError(
            f"'tool_choice' is {', '.join(CHOICES)}, or one of the agent's tools, not '{request.tool_choice}'",
            field="tool_choice",
            hint=f"Its tools: {', '.join(sorted(names))}." if names else "The agent has no tools.",
        )


def iterations(given: Mapping[str, Any], default: int) -> int:
    """How many model calls there may be. Raises: ValidationError."""
    value = _given(given, "max_iterations")
    return default if value is None else _count("max_iterations", value)


def _given(given: Mapping[str, Any], name: str) -> Any:
    """As Python and Lua write it, or as JavaScript does, or by its short name."""
    value = given.get(name, given.get(SHORT.get(name, name)))
    if value is None and "_" in name:
        first, *rest = name.split("_")
        value = given.get(first + "".join(word.capitalize() for word in rest))
    return value


def _wrong(name: str, what: str, value: Any) -> ValidationError:
    return ValidationError(f"'{name}' must be {what}, not {value!r}", field=name)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _number(name: str, value: Any) -> float:
    if not _is_number(value) or value < 0:
        raise _wrong(name, "a number, at least 0", value)
    return float(value)


def _integer(name: str, value: Any) -> int:
    """Scripts may write 3.0."""
    if not _is_number(value) or value != int(value):
        raise _wrong(name, "a whole number", value)
    return int(value)


def _count(name: str, value: Any) -> int:
    if not _is_number(value) or value != int(value) or value < 1:
        raise _wrong(name, "a whole number, at least 1", value)
    return int(value)


def _texts(name: str, value: Any) -> list[str]:
    texts = as_list(value)
    if not all(isinstance(text, str) for text in texts) or not isinstance(value, (str, Sequence, Mapping)):
        raise _wrong(name, "a string or a list of strings", value)
    return texts


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a string", value)
    return value


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(name, "a table", value)
    return dict(value)


READERS: dict[str, Callable[[str, Any], Any]] = {
    "temperature": _number,
    "max_tokens": _count,
    "tool_choice": _text,
    "response_schema": lambda name, value: with_lists(_table(name, value)),
    "stop": _texts,
    "seed": _integer,
    "timeout": _number,
    "options": _table,
}
SHORT = {"response_schema": "schema"}
FIELDS = INPUT_KEYS.union(READERS, SHORT.values(), ("max_iterations",))
"""What a table that is said to an agent may hold; `parameters` in it is free."""
