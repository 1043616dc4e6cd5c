"""The process that runs jq and the schema validator; started as a script, it imports neither llmspell nor its caller.

Both libraries hold Python's global lock while they work, and jq can work for ever (`def f: f; f`) or ask for all
memory there is: in the caller's process nothing could stop them, and every other task would stand still.

Standard input: one line of JSON `{"operation", "query", "schema", "lines", "output"}`, then the document. Standard
output: JSON `{"ok": ...}` or `{"error": {"kind", "message"}}`, where kind is input, query, schema, run or output.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

_LARGE = re.compile(r"\d[eE]\+?\d{2}|\d{300}")


class ProblemError(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    try:
        answer: dict[str, Any] = {"ok": _answer(request, sys.stdin.buffer.read().decode())}
    except ProblemError as problem:
        answer = {"error": {"kind": problem.kind, "message": problem.message}}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))


def _answer(request: dict[str, Any], text: str) -> Any:
    if request["operation"] == "validate":
        return _errors(request["schema"], _parsed(text, "the input"))
    return list(_outputs(request["query"], text, request["lines"], request["output"]))


def _parsed(text: str, what: str) -> Any:
    try:
        return loads(text)
    except ValueError as error:
        raise ProblemError("input", f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise ProblemError("input", f"{what} is nested too deeply") from None


def loads(text: str) -> Any:
    """The value of JSON text. Raises: ValueError, also for numbers that no float can hold; RecursionError."""
    # A number of one digit needs three in its exponent to be too large; one without an exponent needs three hundred.
    finite = _finite if _LARGE.search(text) else None
    return json.loads(text, parse_constant=_refuse_constant, parse_float=finite)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")


def _documents(text: str, lines: bool) -> Iterator[str]:
    if not lines:
        _parsed(text, "the input")
        yield text
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            _parsed(line, f"line {number}")
            yield line


def _outputs(query: str, text: str, lines: bool, limit: int) -> Iterator[Any]:
    import jq

    try:
        program = jq.compile(query)
    except ValueError as error:
        raise ProblemError("query", str(error)) from None
    size = 0
    for document in _documents(text, lines):
        try:
            for output in program.input_text(document):
                size += _size(output)
                if size > limit:
                    raise ProblemError("output", "the query produces more than that")
                yield output
        except ValueError as error:
            raise ProblemError("run", str(error)) from None


def _size(value: Any) -> int:
    """Bytes of `value` as JSON; cheap for the small values that endless queries produce."""
    return (
        len(value) + 2 if isinstance(value, str) else 8 if isinstance(value, (int, float)) else len(json.dumps(value))
    )


def _errors(schema: Any, document: Any) -> list[dict[str, Any]]:
    import jsonschema_rs

    try:
        named = isinstance(schema, dict) and "$schema" in schema
        make = jsonschema_rs.validator_for if named else jsonschema_rs.Draft7Validator
        validator = make(schema, retriever=_refuse_reference)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ProblemError("schema", str(error).partition("\n")[0]) from None
    return [_described(error) for error in validator.iter_errors(document)]


def _refuse_reference(_: str) -> NoReturn:
    raise ValueError("schemas elsewhere are not read")


def _described(error: Any) -> dict[str, Any]:
    words = [part for part in error.schema_path if isinstance(part, str)]
    pointer = "".join(f"/{_escaped(part)}" for part in error.instance_path)
    return {"path": pointer, "message": error.message, "keyword": words[-1] if words else ""}


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


if __name__ == "__main__":
    main()
