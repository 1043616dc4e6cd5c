"""One configuration file: read, parsed, and able to say on which line a key stands."""

from __future__ import annotations

import json
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any

from llmspell_core.config.secrecy import MASK, is_secret, shown
from llmspell_core.errors import ConfigurationError

__all__ = ["MAX_BYTES", "Document", "Keys", "decoded", "parse", "read", "too_large"]

Keys = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[\[?\s*(?P<name>[^\]#]+?)\s*\]\]?\s*(#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*(?P<name>(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^."'\s]+))\s*""")
_DEEP = re.compile(r"""(?:^|[\[{,])\s*+(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')\s*+\.\s*+){50}""", re.MULTILINE)
"""A name of fifty parts: the parser needs minutes for one of thousands."""
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")

MAX_BYTES = 1_000_000
"""Of one file. Settings are a few kilobytes; the parser's time is ours."""


class Document:
    """The tree of one file.

    Attributes:
        name: how the file is called in messages; its path, or `profile:NAME`.
        tree: plain tables.
    """

    def __init__(self, name: str, text: str, tree: dict[str, Any]) -> None:
        self.name = name
        self.text = text
        self.tree = tree

    def line(self, keys: Keys) -> int | None:
        """The line, from 1, where `keys` or the nearest table around it is written; None when nothing of it is."""
        for length in range(len(keys), 0, -1):
            found = self._lines.get(keys[:length])
            if found is not None:
                return found
        return None

    @cached_property
    def _lines(self) -> dict[Keys, int]:
        """Only needed for messages and `config show`, so it is made when first asked for."""
        found: dict[Keys, int] = {}
        table: Keys = ()
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := _HEADER.match(line):
                table = _split(header["name"])
                found.setdefault(table, number)
            elif assignment := _ASSIGNMENT.match(line):
                found.setdefault(table + _split(assignment["name"]), number)
        return found


def _split(dotted: str) -> Keys:
    return tuple(double or single or bare for double, single, bare in _PART.findall(dotted))


def read(path: Path) -> Document:
    """The file at `path`, TOML or (by its ending) JSON.

    Raises:
        ConfigurationError: it is missing, unreadable, not text, or not valid; with line, column and the line's text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"the configuration file {path} does not exist",
            path=str(path),
            hint=f"Write one with 'llmspell config init --output {path}', or leave --config and LLMSPELL_CONFIG out.",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration file {path}: {error.strerror}",
            path=str(path),
            hint="Check its permissions.",
        ) from None
    return decoded(str(path), content)


def decoded(name: str, content: bytes) -> Document:
    """A file's content as a document.

    Raises: ConfigurationError.
    """
    if len(content) > MAX_BYTES:
        raise too_large(name)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{name} is not a text file in UTF-8 (byte {error.start})", path=name, hint="Save it as UTF-8 TOML."
        ) from None
    # Editors of one system mark a file as UTF-8 with a character that is no part of it.
    return parse(name, text.removeprefix("\ufeff").replace("\r\n", "\n"))


def too_large(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} has more than {MAX_BYTES:,} bytes", path=name, hint="Is it really a configuration file?"
    )


def parse(name: str, text: str) -> Document:
    """`text` as a document; the ending of `name` says whether it is JSON.

    Raises: ConfigurationError.
    """
    if name.endswith((".yaml", ".yml")):
        raise ConfigurationError(
            f"{name}: YAML is not available", path=name, hint="Write the settings as TOML or JSON."
        )
    if _DEEP.search(text):
        raise ConfigurationError(
            f"{name} has a name of too many parts", path=name, hint="Settings are a few levels deep."
        )
    try:
        tree = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise _syntax_error(name, text, error) from None
    except RecursionError:
        raise ConfigurationError(
            f"{name} is nested too deeply", path=name, hint="Settings are a few levels deep."
        ) from None
    except ValueError:  # Python reads no more than 4,300 digits
        raise ConfigurationError(
            f"{name} holds a number of too many digits", path=name, hint="No setting is as large as that."
        ) from None
    if not isinstance(tree, dict):
        raise ConfigurationError(f"{name} holds no table of settings", path=name, hint='Start with {"section": {...}}.')
    return Document(name, text, tree)


def _syntax_error(name: str, text: str, error: ValueError) -> ConfigurationError:
    line, column, reason = _position(text, error)
    lines = text.splitlines()
    source = lines[line - 1] if line <= len(lines) else ""
    message = f"{name}, line {line}, column {column}: {reason}"
    if source.strip():
        message += f"\n  {line} | {shown(_without_secret(source))}"
    return ConfigurationError(message, path=name, hint=_advice(reason, source))


def _position(text: str, error: ValueError) -> tuple[int, int, str]:
    if isinstance(error, json.JSONDecodeError):
        return error.lineno, error.colno, error.msg
    found = _POSITION.search(str(error))
    reason = _POSITION.sub("", str(error)).removesuffix("(at end of document)").strip()
    if found:
        return int(found[1]), int(found[2]), reason
    return max(1, len(text.splitlines())), 1, f"{reason} at the end of the file"


def _without_secret(source: str) -> str:
    """The line as it may be shown: a key that is being typed wrongly is still a key."""
    name, separator, _ = source.partition("=")
    return f"{name}{separator} {MASK}" if separator and is_secret(_split(name.strip()) or ("",)) else source


def _advice(reason: str, source: str) -> str:
    if "overwrite" in reason.lower() or "twice" in reason.lower() or "declare" in reason.lower():
        return "The same key or table is written twice: keep one of them."
    if "Invalid value" in reason:
        return 'Text needs quotes: name = "value"; numbers, true and false do not.'
    if source.lstrip().startswith("["):
        return "A table header is [section] or [section.name], alone on its line."
    if "=" not in source:
        return 'A setting is written name = value, e.g. default_engine = "lua".'
    return "Correct that line; 'llmspell config check' shows the next problem, if there is one."
