"""The tool `text-manipulator`."""

from __future__ import annotations

import json
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import TimeoutError, ValidationError
from llmspell_core.tool import Tool, ToolResult
from llmspell_tools_utility.limit import MIB, require_size
from llmspell_tools_utility.returns import TEXT

MAX_BYTES = 10 * MIB
MAX_SECONDS = 1.0
LINES_BETWEEN_LOOKS = 1000

CASE_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
WORD = re.compile(r"[^\W_]+")
# Control characters except tab and line ends, and characters that nobody sees: zero widths, direction marks, BOM.
UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
)
ELLIPSIS = "..."
LINE_END = re.compile(r"\r\n|\r|\n")


class Options(BaseModel):
    from_: str | None = Field(None, alias="from", description="replace: the text to look for.")
    to: str | None = Field(None, description="replace: what to put in its place.")
    start: int | None = Field(None, ge=0, description="substring: index of the first character, from 0.")
    end: int | None = Field(None, ge=0, description="substring: index after the last character.")
    delimiter: str = Field(" ", description="split and join: what stands between the parts.")
    max_length: int = Field(100, ge=0, description="truncate: the most characters to keep, '...' included.")
    spaces: int = Field(4, ge=0, description="indent: spaces before each line.")
    width: int = Field(80, ge=1, description="word_wrap: the most characters in a line.")


class Parameters(BaseModel):
    input: str = Field(description="The text. For join: a JSON array of strings.")
    operation: Literal[
        "uppercase",
        "lowercase",
        "reverse",
        "trim",
        "replace",
        "substring",
        "split",
        "join",
        "snake_case",
        "camel_case",
        "pascal_case",
        "sanitize",
        "truncate",
        "indent",
        "dedent",
        "normalize_whitespace",
        "word_wrap",
        "count",
    ] = Field(
        description="What to do. sanitize removes control and invisible characters; split gives a JSON array. "
        "A character is a Unicode code point: reverse and truncate take apart what is made of several."
    )
    count_type: Literal["chars", "words", "lines"] = Field("chars", description="count: what to count.")
    options: Options = Field(
        default_factory=Options, description="Needed for replace (from, to) and substring (start, end)."
    )

    @field_validator("options", mode="before")
    @classmethod
    def _empty_table(cls, value: Any) -> Any:
        return {} if value in ([], None) else value


class TextManipulator(Tool[Parameters]):
    name = "text-manipulator"
    description = (
        "Changes text: case, naming style, trim, replace, substring, split, join, wrap, indent, truncate, count."
    )
    parameters = Parameters
    returns = TEXT
    example = {"input": "hello world", "operation": "uppercase"}

    def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        require_size("the text", len(params.input.encode()), MAX_BYTES)
        if params.operation == "count":
            return self._count(params)
        made = OPERATIONS[params.operation](params.input, params.options)
        result = {
            "result": made,
            "operation": params.operation,
            "original_length": len(params.input),
            "result_length": len(made),
        }
        return ToolResult(result, message=f"Text {params.operation} done")

    @staticmethod
    def _count(params: Parameters) -> ToolResult:
        counts = {"chars": len(params.input), "words": len(params.input.split())}
        found = counts.get(params.count_type, len(_lines(params.input)))
        result = {"result": found, "operation": "count", "count_type": params.count_type}
        return ToolResult(result | {"original_length": len(params.input)}, message="Text count done")


def _lines(text: str) -> list[str]:
    """Without their ends, as editors count them: what Unicode calls a line separator does not end one."""
    parts = LINE_END.split(text)
    return parts if parts[-1] else parts[:-1]


def _missing(option: str, operation: str) -> ValidationError:
    return ValidationError(
        f"text-manipulator: '{operation}' needs the option '{option}'",
        field=f"options.{option}",
        hint=f"Pass it in options, for example options={{{option}=...}}.",
    )


def _replace(text: str, options: Options) -> str:
    if not options.from_:
        raise _missing("from", "replace")
    if options.to is None:
        raise _missing("to", "replace")
    found = text.count(options.from_)
    require_size("the result", len(text) + found * (len(options.to) - len(options.from_)), MAX_BYTES)
    return text.replace(options.from_, options.to)


def _substring(text: str, options: Options) -> str:
    if options.start is None:
        raise _missing("start", "substring")
    if options.end is None:
        raise _missing("end", "substring")
    if options.start > min(options.end, len(text)):
        raise ValidationError(
            f"text-manipulator: there is nothing from {options.start} to {options.end} in {len(text)} characters",
            field="options.start",
            hint="`start` counts from 0 and must not lie behind `end` or the end of the text.",
        )
    return text[options.start : options.end]


def _split(text: str, options: Options) -> str:
    parts = text.split(options.delimiter) if options.delimiter else list(text)
    return json.dumps(parts, ensure_ascii=False)


def _join(text: str, options: Options) -> str:
    parts = _strings(text)
    require_size("the result", len(text) + len(parts) * len(options.delimiter), MAX_BYTES)
    return options.delimiter.join(parts)


def _strings(text: str) -> list[str]:
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValidationError(
            "text-manipulator: join needs a JSON array of strings", field="input", hint='Write it as ["one", "two"].'
        )
    return parts


def _words(text: str) -> list[str]:
    return WORD.findall(CASE_BORDER.sub(" ", text))


def _pascal_case(text: str) -> str:
    return "".join(word.capitalize() for word in _words(text))


def _camel_case(text: str) -> str:
    made = _pascal_case(text)
    return made[:1].lower() + made[1:]


def _truncate(text: str, options: Options) -> str:
    if len(text) <= options.max_length:
        return text
    room = options.max_length - len(ELLIPSIS)
    return text[:room] + ELLIPSIS if room > 0 else text[: options.max_length]


def _indent(text: str, options: Options) -> str:
    require_size("the result", len(text) + (text.count("\n") + 1) * options.spaces, MAX_BYTES)
    pad = " " * options.spaces
    return "\n".join(pad + line if line.strip() else line for line in text.split("\n"))


def _word_wrap(text: str, options: Options) -> str:
    """Existing line ends stay; a word longer than the width gets a line of its own."""
    ends = time.monotonic() + MAX_SECONDS
    made: list[str] = []
    for line in text.split("\n"):
        for number, wrapped in enumerate(_wrapped(line, options.width)):
            made.append(wrapped)
            if number % LINES_BETWEEN_LOOKS == 0:
                _check_time(ends)
    return "\n".join(made)


def _check_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise TimeoutError(
            f"text-manipulator was not done after {MAX_SECONDS:g} second",
            duration_ms=round(MAX_SECONDS * 1000),
            hint="Pass less text at a time.",
        )


def _wrapped(line: str, width: int) -> Iterator[str]:
    current: list[str] = []
    length = -1
    for word in line.split():
        if current and length + 1 + len(word) > width:
            yield " ".join(current)
            current, length = [], -1
        current.append(word)
        length += 1 + len(word)
    yield " ".join(current)


OPERATIONS: dict[str, Callable[[str, Options], str]] = {
    "uppercase": lambda text, _: text.upper(),
    "lowercase": lambda text, _: text.lower(),
    "reverse": lambda text, _: text[::-1],
    "trim": lambda text, _: text.strip(),
    "replace": _replace,
    "substring": _substring,
    "split": _split,
    "join": _join,
    "snake_case": lambda text, _: "_".join(_words(text)).lower(),
    "camel_case": lambda text, _: _camel_case(text),
    "pascal_case": lambda text, _: _pascal_case(text),
    "sanitize": lambda text, _: UNSEEN.sub("", text),
    "truncate": _truncate,
    "indent": _indent,
    "dedent": lambda text, _: textwrap.dedent(text),
    "normalize_whitespace": lambda text, _: " ".join(text.split()),
    "word_wrap": _word_wrap,
}
