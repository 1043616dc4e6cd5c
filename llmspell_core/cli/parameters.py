"""Parameters on the command line: `--param key=value`, `--params JSON|@file|-`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from llmspell_core.cli.streams import read_stdin
from llmspell_core.errors import UsageError
from llmspell_core.json_text import read_json

__all__ = ["parameter_options", "parameters"]


def parameter_options(command: Any) -> Any:
    """Adds `--param` and `--params` to a command."""
    single = click.option("--param", "pairs", multiple=True, metavar="KEY=VALUE", help="One parameter; repeatable.")
    whole = click.option("--params", metavar="JSON", help="All parameters: a JSON object, @FILE, or - for stdin.")
    return single(whole(command))


def parameters(pairs: Sequence[str], whole: str | None, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The parameters as one mapping; single ones win over the JSON object.

    Args:
        schema: the JSON schema of whom they are for; what is a string there stays one, though it may read as JSON.

    Raises:
        UsageError: a pair without `=`, or something that is not a JSON object.
    """
    made = _object(_text(whole)) if whole is not None else {}
    texts = _strings(schema or {})
    return made | dict(_pair(pair, texts) for pair in pairs)


def _strings(schema: Mapping[str, Any]) -> set[str]:
    """The properties that can be nothing but strings."""
    found = set()
    for name, spec in schema.get("properties", {}).items():
        types = {option.get("type") for option in spec.get("anyOf", (spec,))}
        if types <= {"string", "null"} and "string" in types:
            found.add(name)
    return found


def _pair(text: str, texts: set[str]) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(
            f"--param {text!r} is not of the form KEY=VALUE",
            field="param",
            hint=f'Write e.g. --param {_example(key)}; or all of them as JSON: --params \'{{"key": "value"}}\'',
        )
    if key.strip() in texts:
        return key.strip(), value
    try:
        return key.strip(), read_json(value, finite=True)
    except ValueError:
        return key.strip(), value


def _example(key: str) -> str:
    return f"{key.strip() or 'key'}=value"


def _text(whole: str) -> str:
    if whole == "-":
        return read_stdin().decode("utf-8-sig", "replace")
    if not whole.startswith("@"):
        return whole
    try:
        return Path(whole[1:]).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--params: cannot read {whole[1:]}: {reason}", field="params") from None


def _object(text: str) -> dict[str, Any]:
    try:
        value = read_json(text.removeprefix("\ufeff"), finite=True)  # of a file that is marked as UTF-8
    except ValueError as error:
        raise UsageError(
            f"--params is not JSON: {error}",
            field="params",
            hint='Quote it for the shell: --params \'{"key": "value"}\'',
        ) from None
    if not isinstance(value, dict):
        raise UsageError(
            f"--params must be a JSON object, got {_word(value)}", field="params", hint='--params \'{"key": "value"}\''
        )
    return value


def _word(value: Any) -> str:
    words = {list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return words.get(type(value), "null")
