"""Everything that is wrong with a definition, said at once.

Whoever reads a list of things reads it with `each`: what is wrong with one does not hide what is wrong with the next.
Around the making of a workflow stands `all_problems`, which raises what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from llmspell_core.errors import LLMSpellError, NotFoundError, ValidationError, WorkflowError

__all__ = ["FOUND", "all_problems", "each", "located", "problems_of"]

T = TypeVar("T")
MOST = 20
FOUND = (ValidationError, WorkflowError, NotFoundError)
_open: ContextVar[list[LLMSpellError] | None] = ContextVar("workflow_problems", default=None)


def each(read: Callable[[Any, int], T], entries: Iterable[Any]) -> list[T]:
    """`read(entry, number)` of every entry, counted from 1; without those that cannot be read.

    Raises:
        LLMSpellError: for those that cannot be read, at the end; at once inside of `all_problems`, which raises them.
    """
    made: list[T] = []
    with all_problems():
        for number, entry in enumerate(entries, 1):
            try:
                made.append(read(entry, number))
            except FOUND as error:
                _note(error)
    return made


@contextmanager
def all_problems(what: str = "the definition", *, apart: bool = False) -> Iterator[None]:
    """Raises at its end one error for everything that `each` found inside, and for what ended it early.

    Inside of another one it leaves both to that one, unless it is to be `apart`.
    """
    if _open.get() is not None and not apart:
        yield
        return
    found: list[LLMSpellError] = []
    token = _open.set(found)
    try:
        yield
    except FOUND as error:
        _note(error)
    finally:
        _open.reset(token)
    if found:
        raise _together(found, what)


def _note(error: LLMSpellError) -> None:
    found = _open.get()
    assert found is not None
    if not any(error.message == other.message for other in found):
        found.append(error)


def _together(found: list[LLMSpellError], what: str) -> LLMSpellError:
    if len(found) == 1:
        return found[0]
    messages = [message for error in found for message in problems_of(error)]
    lines = messages[:MOST] + ([f"and {len(messages) - MOST} more"] if len(messages) > MOST else [])
    return ValidationError(
        f"{what} has {len(messages)} problems:" + "".join(f"\n- {line}" for line in lines),
        hint=next((error.hint for error in found if error.hint), None),
        field=getattr(found[0], "field", None),
        problems=messages,
    )


def problems_of(error: LLMSpellError) -> list[str]:
    """The messages that an error stands for."""
    return getattr(error, "problems", None) or [error.message]


def located(place: str, errors: Sequence[LLMSpellError]) -> LLMSpellError:
    """One error for what is wrong at one place; its messages begin with the place."""
    messages = [m if m.startswith(place) else f"{place}: {m}" for error in errors for m in problems_of(error)]
    first = errors[0]
    hint = next((error.hint for error in errors if error.hint), None)
    if len(messages) == 1 and not isinstance(first, ValidationError):
        return type(first)(messages[0], hint=hint)
    field = getattr(first, "field", None)
    return ValidationError("; ".join(messages), hint=hint, field=field, problems=messages if messages[1:] else None)
