"""Answers that must follow a JSON schema."""

from __future__ import annotations

import json
import re
from typing import Any

from llmspell_core.errors import MissingDependencyError, ValidationError

__all__ = ["parsed_answer", "require_validator"]

FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n\s*```\s*\Z", re.DOTALL)


def require_validator() -> Any:
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


def parsed_answer(text: str, schema: dict[str, Any]) -> Any:
    """The value of an answer. Raises: ValidationError that says where it differs from the schema."""
    library = require_validator()
    fenced = FENCED.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text)
    except ValueError as error:
        raise ValidationError(f"the answer is not JSON: {error}", field="response_schema") from None
    try:
        problems = list(library.validator_for(schema).iter_errors(value))
    except ValueError as error:
        raise ValidationError(f"the response_schema is not a JSON schema: {error}", field="response_schema") from None
    if problems:
        text = "; ".join(f"{_place(p.instance_path)}: {p.message}" for p in problems[:5])
        raise ValidationError(f"the answer does not fit the schema: {text}", field="response_schema")
    return value


def _place(path: Any) -> str:
    return ".".join(str(part) for part in path) or "the answer"
