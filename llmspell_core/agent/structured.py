"""Answers that must follow a JSON schema."""

from __future__ import annotations

from typing import Any

from llmspell_core.errors import ValidationError
from llmspell_core.json_schema import differences, validator
from llmspell_core.json_text import read_json

__all__ = ["check_schema", "parsed_answer"]

FENCE = "```"


def check_schema(schema: dict[str, Any]) -> Any:
    """What validates answers. Raises: ValidationError when this is no JSON schema, or refers to other documents."""
    try:
        return validator(schema, "the response_schema")
    except ValidationError as error:
        error.field = "response_schema"
        raise


def parsed_answer(text: str, schema: dict[str, Any]) -> Any:
    """The value of an answer. Raises: ValidationError that says where it differs from the schema."""
    checker = check_schema(schema)
    try:
        value = read_json(_unfenced(text))
    except ValueError as error:
        raise ValidationError(f"the answer is not JSON: {error}", field="response_schema") from None
    problems = differences(checker, value, "the answer")
    if problems:
        raise ValidationError(f"the answer does not fit the schema: {'; '.join(problems)}", field="response_schema")
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
