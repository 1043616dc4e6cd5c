"""JSON Schemas that scripts, models and plugins wrote: made, and values held against them.

A schema is a stranger's text: its references are never fetched, neither from the network nor from files, and its patterns
run in time that is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, NoReturn

from llmspell_core.errors import ValidationError
from llmspell_core.names import check_known, nearest

__all__ = [
    "KEYWORDS",
    "TOOL_NAME",
    "TYPES",
    "check_keywords",
    "check_tool_name",
    "differences",
    "filled_in",
    "validator",
    "with_lists",
]

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
KEYWORDS = frozenset((
    *("$schema", "$id", "$ref", "$defs", "definitions", "$anchor", "$comment", "title", "description", "default"),
    *("examples", "example", "deprecated", "readOnly", "writeOnly", "type", "enum", "const", "format", "nullable"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern"),
    *("items", "prefixItems", "additionalItems", "contains", "minContains", "maxContains", "minItems", "maxItems"),
    *("uniqueItems", "properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
    *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "allOf", "anyOf"),
    *("oneOf", "not", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties", "contentEncoding"),
    *("contentMediaType", "contentSchema"),
))  # fmt: skip
LISTS = frozenset({"required", "enum", "anyOf", "oneOf", "allOf", "prefixItems", "examples", "type"})
"""Keywords whose value is a list."""
TABLES = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords below which the keys are names, and the values schemas."""
VALUES = frozenset({"const", "default", "enum", "examples", "required"})
"""Keywords whose value is no schema."""
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every vendor takes as the name of a tool."""
MISSPELT = 0.75
MOST = 5
DEPTH = 64


def validator(schema: Any, what: str) -> Any:
    """What holds values against a schema, for `differences`.

    Args:
        what: how messages call the schema.

    Raises:
        ValidationError: this is no JSON Schema, or it refers to another document.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(schema, retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions())
    except ValueError as error:
        first = str(error).partition("\n")[0]
        raise ValidationError(
            f"{what} is not a JSON schema: {first}", field=what, hint="See json-schema.org."
        ) from None


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"references to other documents are not followed: {uri}")


def differences(checker: Any, value: Any, whole: str = "the value") -> list[str]:
    """Where a value differs from a schema: the first places. `whole` is what the value itself is called."""
    found = islice(checker.iter_errors(value), MOST)
    return [f"{'.'.join(map(str, each.instance_path)) or whole}: {each.message}" for each in found]


def check_keywords(schema: Any, where: str, *, closed: bool = False) -> None:
    """Nothing in a schema looks like a keyword and is none; a JSON Schema itself would ignore it.

    Args:
        closed: every other word is an error too, except for those that begin with `x-`.

    Raises:
        ValidationError: `where`, the word, and the nearest keyword.
    """
    for place, table in _tables(schema, where, 0):
        wrong = [k for k in map(str, table) if k not in KEYWORDS and not k.startswith(("x-", "$"))]
        named = {k: 0 for k in wrong if closed or nearest(k, KEYWORDS, cutoff=MISSPELT)}
        check_known(place, named, KEYWORDS, "keyword")
        word = table.get("type")
        if isinstance(word, str) and word not in TYPES:
            check_known(place, {word: 0}, TYPES, "type")


def _tables(schema: Any, where: str, depth: int) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(schema, Mapping) or depth > DEPTH:
        return []
    found = [(where, schema)]
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        found += _tables(inner, f"{where}.{name}", depth + 1)
    return found + _tables(schema.get("items"), f"{where}[]", depth + 1)


def filled_in(schema: Any, value: Any, depth: int = 0) -> Any:
    """The value with the defaults of a schema, and with an empty Lua table as the list or the object that is wanted."""
    if not isinstance(schema, Mapping) or depth > DEPTH:
        return value
    if value == {} and schema.get("type") == "array":
        return []
    if value == [] and schema.get("type") == "object":
        value = {}
    if isinstance(value, Mapping):
        return _object(schema, value, depth)
    if isinstance(value, list):
        return [filled_in(schema.get("items"), item, depth + 1) for item in value]
    return value


def _object(schema: Mapping[str, Any], value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    made = dict(value)
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        if name in made:
            made[name] = filled_in(inner, made[name], depth + 1)
        elif isinstance(inner, Mapping) and inner.get("default") is not None:
            made[name] = inner["default"]
    return made


def with_lists(schema: Any) -> Any:
    """`required = {}` is an empty table in Lua; where a schema wants a list, an empty table is an empty list."""
    if isinstance(schema, list):
        return [with_lists(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _keyword(key, value) for key, value in schema.items()}


def _keyword(key: Any, value: Any) -> Any:
    if key in LISTS and value == {}:
        return []
    if key in VALUES:
        return value
    if key in TABLES and isinstance(value, Mapping):
        return {name: with_lists(each) for name, each in value.items()}
    return with_lists(value)


def check_tool_name(name: str) -> None:
    """Raises: ValidationError for a name that models' vendors refuse."""
    if not TOOL_NAME.fullmatch(name):
        raise ValidationError(
            f"{name!r} is no name for a tool",
            field="name",
            hint="Vendors of models take 1 to 64 letters from a to z, digits, '_' and '-', e.g. 'read_notes'.",
        )
