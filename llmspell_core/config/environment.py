"""Settings from environment variables.

`LLMSPELL_` and the path with `__` between its levels, in any case; the vendors' own key variables; and
`LLMSPELL_PROVIDER_<NAME>_API_KEY` with its siblings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmspell_core.config.document import Keys
from llmspell_core.config.layers import Layer, nested
from llmspell_core.json_text import read_json

__all__ = ["KEY_VARIABLES", "environment_layer", "unknown_variables", "vendor_layer"]

PREFIX = "LLMSPELL_"

KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "groq": "GROQ_API_KEY",
    "xai": "XAI_API_KEY",
    "huggingface": "HFHUB_API_KEY",
    "cohere": "COHERE_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "together": "TOGETHER_API_KEY",
    "perplexity": "PERPLEXITY_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "replicate": "REPLICATE_API_TOKEN",
}
"""Provider type -> the vendor's own variable."""

_NO_SETTINGS = {
    "CACHE_DIR",
    "CONFIG",
    "DESCRIBE_TIMEOUT",
    "ENV",
    "HOME",
    "LOG",
    "OUTPUT",
    "PLUGINS_BLOCK",
    "PROFILE",
    "TRACE",
}
"""Read elsewhere, before there is a configuration."""

_RENAMED: dict[str, Keys] = {"ENGINE": ("default_engine",), "DEFAULT_ENGINE": ("default_engine",)}
_PROVIDER = re.compile(r"PROVIDER_(?P<name>[A-Z0-9_]+?)_(?P<key>API_KEY|BASE_URL|MODEL|TIMEOUT|MAX_RETRIES)")
_PROVIDER_KEY = re.compile(r"API_KEY_(?P<last>[A-Z0-9_]+)|(?P<first>[A-Z0-9_]+)_API_KEY")


def vendor_layer(environ: Mapping[str, str]) -> Layer:
    """`OPENAI_API_KEY` and the like, as `providers.<type>.api_key`."""
    set_: dict[Keys, str] = {
        ("providers", name, "api_key"): variable for name, variable in KEY_VARIABLES.items() if environ.get(variable)
    }
    if environ.get("OLLAMA_BASE_URL"):
        set_["providers", "ollama", "base_url"] = "OLLAMA_BASE_URL"
    return _layer("vendor", {keys: environ[variable] for keys, variable in set_.items()}, set_)


def environment_layer(environ: Mapping[str, str], known: dict[str, Any]) -> Layer:
    """All `LLMSPELL_` variables that are settings.

    Args:
        environ: the environment.
        known: the settings merged so far: their spelling decides between `my-server` and `my_server`.
    """
    values: dict[Keys, Any] = {}
    variables: dict[Keys, str] = {}
    for variable, name, text in _own(environ):
        keys = _keys(name, known)
        if keys:
            values[keys] = _value(text)
            variables[keys] = variable
    return _layer("environment", values, variables)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """`LLMSPELL_` variables that mean nothing to the configuration."""
    return [variable for variable, name, _ in _own(environ) if name not in _NO_SETTINGS and not _keys(name, {})]


def _own(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """(variable, its name without the prefix in upper case, text), sorted so that a shorter path comes first."""
    for variable in sorted(environ):
        name = variable.upper()
        if name.startswith(PREFIX):
            yield variable, name.removeprefix(PREFIX), environ[variable]


def _keys(name: str, known: dict[str, Any]) -> Keys | None:
    if name in _RENAMED:
        return _RENAMED[name]
    if "__" in name:
        return _spelled(name.split("__"), known)
    if found := _PROVIDER.fullmatch(name):
        return _spelled(["providers", found["name"], found["key"]], known)
    if found := _PROVIDER_KEY.fullmatch(name):
        return _spelled(["providers", found["last"] or found["first"], "api_key"], known)
    return None


def _spelled(parts: list[str], known: Any) -> Keys:
    """The path in the spelling that is already in use; otherwise lower case."""
    keys = []
    for part in parts:
        plain = part.lower()
        tables = known if isinstance(known, dict) else {}
        key = next((key for key in tables if key.lower().replace("-", "_") == plain.replace("-", "_")), plain)
        known = tables.get(key)
        keys.append(key)
    return tuple(keys)


def _value(text: str) -> Any:
    """Tables are written as JSON; every other text is read later, when it is known what the setting wants."""
    if text.lstrip().startswith("{"):
        try:
            return read_json(text)
        except ValueError:
            return text
    return text


def guessed(text: str) -> Any:
    """What `text` looks like, for settings that the core does not know: true, 12, 0.5, [..] or plain text."""
    if text.lower() in {"true", "yes", "false", "no"}:
        return text.lower() in {"true", "yes"}
    try:
        value = read_json(text)
    except ValueError:
        return text
    return text if value is None else value


def _layer(kind: str, values: dict[Keys, Any], variables: dict[Keys, str]) -> Layer:
    ordered = dict(sorted(values.items(), key=lambda item: len(item[0])))
    return Layer(kind, "environment", nested(ordered), variables=variables)
