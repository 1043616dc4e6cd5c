"""Answers that must follow a JSON schema."""

from __future__ import annotations

import json
from typing import Any

from llmspell_core.errors import MissingDependencyError, ValidationError

__all__ = ["check_schema", "parsed_answer"]

FENCE = "```"


def _library() -> Any:
    """The library that validates. Raises: MissingDependencyError saying what to install."""
    try:
        import jsonschema_rs
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "answers with a response_schema are validated with the package 'jsonschema-rs', which is not installed",
            hint="pip install 'llmspell[schema]'",
            package="jsonschema-rs",
        ) from error
    return jsonschema_rs


def check_schema(schema: dict[str, Any]) -> Any:
    """What validates answers. Raises: ValidationError when this is no JSON schema; MissingDependencyError."""
    library = _library()
    try:
        return library.validator_for(schema)
    except ValueError as error:
        first = str(error).partition("\n")[0]
        raise ValidationError(
            f"the response_schema is not a JSON schema: {first}", field="response_schema", hint="See json-schema.org."
        ) from None


def parsed_answer(text: str, schema: dict[str, Any]) -> Any:
    """The value of an answer. Raises: ValidationError that says where it differs from the schema."""
    validator = check_schema(schema)
    try:
        value = json.loads(_unfenced(text))
    except RecursionError:
        raise ValidationError("the answer is nested too deeply", field="response_schema") from None
    except ValueError as error:
        raise ValidationError(f"the answer is not JSON: {error}", field="response_schema") from None
    problems = list(validator.iter_errors(value))
    if problems:
        text = "; ".join(f"{_place(p.instance_path)}: {p.message}" for p in problems[:5])
        raise ValidationError(f"the answer does not fit the schema: {text}", field="response_schema")
    return value


def _unfenced(text: str) -> str:
    """What stands between a line of three backquotes, perhaps with the word json, and another one."""
    bare = text.strip()
    if not (bare.startswith(FENCE) and bare.endswith(FENCE)):
        return text
    first, _, rest = bare.partition("\n")
    inner = rest.removesuffix(FENCE)
    at_line = not inner.rpartition("\n")[2].strip()
    return inner if first.strip() in {FENCE, f"{FENCE}json"} and at_line else text


def _place(path: Any) -> str:
    return ".".join(str(part) for part in path) or "the answer"
