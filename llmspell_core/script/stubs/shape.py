"""What both kinds of declarations need to know about the globals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.script.declare import Function, Global, Handle, Setter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["handles_of", "one_line", "setter_function", "word_of"]


def handles_of(globals_: Iterable[Global]) -> Iterator[Handle]:
    """Every handle once, those of subglobals included."""
    seen: set[str] = set()
    for declared in globals_:
        for handle in (*declared.handles, *handles_of(declared.subglobals)):
            if handle.name not in seen:
                seen.add(handle.name)
                yield handle


def setter_function(setter: Setter, returns: str) -> Function:
    """A setter as the method that it is."""
    return Function(setter.name, params=setter.param_list, doc=setter.doc, aliases=setter.aliases, returns=returns)


def one_line(text: str) -> str:
    return " ".join(text.split())


def word_of(value: Any) -> str:
    """The type word of a constant."""
    words = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        tuple: "array",
        dict: "object",
    }
    return words.get(type(value), "any")
