"""Placeholders: `{{step.NAME.result}}` and the other forms, replaced at any depth of a step's input.

A text that is one placeholder and nothing else becomes the value itself; inside a longer text a value is written out.
What nobody knows is an error; `\\{{x}}` is the text `{{x}}`. In a parameter that a tool declares to be text of a template
language of its own (`Tool.template_parameters`) the unknown ones stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from llmspell_core.errors import WorkflowError
from llmspell_core.json_text import read_json
from llmspell_core.names import suggestion
from llmspell_core.purse import MOST_EXPANDED, Room, json_weight
from llmspell_core.workflow.condition import text_of
from llmspell_core.workflow.expression import dig

__all__ = ["MISSING", "Source", "steps_named", "substitute"]

PLACEHOLDER = re.compile(r"(\\)?(?:\{\{([^{}]+)\}\}|\$([^\W\d][\w-]*)\.output\b)")
"""A backslash before it, what stands between the braces, the step before `.output`."""
MOST_NAMED = 20


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


class Source(Protocol):
    """Where placeholders look."""

    def is_step(self, name: str) -> bool: ...

    def has_run(self, name: str) -> bool: ...

    def output_of(self, name: str) -> tuple[Any, Any]:
        """The output of a step, and all that is known of it."""
        ...

    def branch_output(self, branch: str, step: str) -> Any: ...

    def variable_or(self, name: str, default: Any) -> Any: ...

    def input_or(self, key: str, default: Any) -> Any: ...

    def shared_or(self, key: str, default: Any) -> Any: ...

    def names(self) -> list[str]:
        """What a placeholder may begin with, for messages."""
        ...


def substitute(value: Any, source: Source, room: Room | None = None, *, strict: bool = True) -> Any:
    """`value` with its placeholders replaced.

    Args:
        strict: whether one that nobody knows is an error; otherwise it stays as it is.

    Raises:
        WorkflowError: nobody knows one, or it names a step that does not exist or has no output.
        ResourceLimitError: they become larger than there is `room`.
    """
    room = room or Room()
    if isinstance(value, str):
        return _substitute_text(value, source, room, strict) if "{{" in value or "$" in value else value
    if isinstance(value, Mapping):
        return {key: substitute(item, source, room, strict=strict) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [substitute(item, source, room, strict=strict) for item in value]
    return value


def steps_named(value: Any) -> Iterator[tuple[str, list[str]]]:
    """The placeholders in `value` that must name a step: the text, and the names it may mean."""
    if isinstance(value, str):
        for match in PLACEHOLDER.finditer(value):
            head, *rest = re.split(r"[.:]", (match[2] or "").strip())
            if head == "step" and rest and not match[1]:
                body = match[2].strip()[5:]
                yield match[0], [body[:at] for at, c in enumerate(f"{body}.") if c in ".:"]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from steps_named(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from steps_named(item)


def _substitute_text(text: str, source: Source, room: Room, strict: bool) -> Any:
    whole = PLACEHOLDER.fullmatch(text.strip())
    if whole is not None and not whole[1]:
        value = _found(whole, source, strict)
        return text if value is MISSING else room.take(value)

    def written(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        value = _found(match, source, strict)
        return match[0] if value is MISSING else text_of(room.take(value))

    return PLACEHOLDER.sub(written, text)


def _found(match: re.Match[str], source: Source, strict: bool) -> Any:
    value = _resolve(match, source)
    if value is MISSING and strict and (match[3] or match[2].strip()):
        raise _unknown(match, source)
    return value


def _unknown(match: re.Match[str], source: Source) -> WorkflowError:
    names = sorted(set(source.names()))
    head = match[3] or re.split(r"[.:]", match[2].strip().removeprefix("input."))[0].strip()
    listed = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    return WorkflowError(
        f"unknown placeholder {match[0]}{suggestion(head, names)}",
        hint=f"Known here: {listed or 'nothing'}. For the text itself write \\{match[0]}.",
    )


def _resolve(match: re.Match[str], source: Source) -> Any:
    dollar = match[3]
    if dollar is not None:
        return _step_output(dollar, [], source) if source.is_step(dollar) else MISSING
    name = match[2].strip()
    if not name:
        return MISSING
    if next((c for c in name if c in ".:"), None) == ":":
        first, *parts = [part.strip() for part in name.split(":")]
        reader = _COLON_FORMS.get(first)
        return reader(parts, source) if reader else _bare(name, name, [], source)
    head, *path = name.split(".")
    if head in _DOT_FORMS and path:
        return _DOT_FORMS[head](path, source)
    return _bare(name, head, path, source)


def _bare(name: str, head: str, path: list[str], source: Source) -> Any:
    if source.is_step(name) and source.input_or(name, MISSING) is MISSING:
        return _step_output(name, [], source)
    for look in (source.variable_or, source.input_or):
        found = look(head, MISSING)
        if found is not MISSING:
            return _dig(found, path)
    if source.is_step(head):
        return _step_output(head, path, source)
    return _dig(source.shared_or(head, MISSING), path)


def _dig(value: Any, path: list[str]) -> Any:
    if not path or value is MISSING:
        return value
    found = dig(_parsed(value), path)
    return MISSING if found is None else found


def _parsed(value: Any) -> Any:
    """A model often answers in JSON: its fields can be named."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")) or json_weight(value) > MOST_EXPANDED:
        return value
    try:
        return read_json(value)
    except ValueError:
        return value


def _step_output(name: str, path: list[str], source: Source) -> Any:
    if not source.is_step(name):
        raise WorkflowError(
            f"there is no step '{name}' in this workflow", step=name, hint="A placeholder refers to it; check its name."
        )
    if not source.has_run(name):
        raise WorkflowError(
            f"step '{name}' has no output",
            step=name,
            hint="It has not run yet, was skipped, or failed; a placeholder needs it.",
        )
    output, details = source.output_of(name)
    if not path:
        return output
    for value in (output, details):
        found = dig(_parsed(value), path)
        if found is not None:
            return found
    raise WorkflowError(f"the output of step '{name}' has no '{'.'.join(path)}'", step=name)


def _step_dotted(path: list[str], source: Source) -> Any:
    """`step.NAME.result`, `step.NAME.output.PATH`; the name itself may contain dots."""
    for at in range(len(path), 0, -1):
        name, rest = ".".join(path[:at]), path[at:]
        if source.is_step(name):
            return _step_output(name, rest[1:] if rest[:1] in (["result"], ["output"]) else rest, source)
    wanted = path[:-1] if path[-1] in {"result", "output"} and len(path) > 1 else path[:1]
    return _step_output(".".join(wanted), [], source)


def _step_colons(parts: list[str], source: Source) -> Any:
    """`step:NAME:output.PATH`; the name itself may contain colons."""
    for at in range(len(parts), 0, -1):
        name, rest = ":".join(parts[:at]), parts[at:]
        if source.is_step(name):
            head, *path = ":".join(rest).split(".") if rest else ["output"]
            return _step_output(name, path if head in {"output", "result"} else [head, *path], source)
    return _step_output(parts[0], [], source)


def _loop(parts: list[str], source: Source) -> Any:
    head, *path = parts[0].split(".")
    return _dig(source.variable_or(head, MISSING), path)


def _branch(parts: list[str], source: Source) -> Any:
    if len(parts) < 2:
        return MISSING
    path = parts[2].split(".")[1:] if len(parts) > 2 else []
    return _dig(source.branch_output(parts[0], parts[1]), path)


_COLON_FORMS: dict[str, Callable[[list[str], Source], Any]] = {
    "step": _step_colons,
    "loop": _loop,
    "branch": _branch,
    "input": lambda parts, source: _dig(source.input_or(parts[0].split(".")[0], MISSING), parts[0].split(".")[1:]),
    "shared": lambda parts, source: _dig(source.shared_or(parts[0], MISSING), []),
}
_DOT_FORMS: dict[str, Callable[[list[str], Source], Any]] = {
    "step": _step_dotted,
    "input": lambda path, source: _dig(source.input_or(path[0], MISSING), path[1:]),
    "shared": lambda path, source: _dig(source.shared_or(path[0], MISSING), path[1:]),
    "shared_data": lambda path, source: _dig(source.shared_or(path[0], MISSING), path[1:]),
    "loop": lambda path, source: _dig(source.variable_or(path[0], MISSING), path[1:]),
}
