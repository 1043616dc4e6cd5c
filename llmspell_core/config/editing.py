"""Writing configuration files: the commented default, and one setting changed in place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.config.absent import missing_part
from llmspell_core.config.document import parse, read
from llmspell_core.config.environment import guessed
from llmspell_core.config.layers import canonical
from llmspell_core.config.replacing import alone_at, replace
from llmspell_core.errors import ConfigurationError, ValidationError

if TYPE_CHECKING:
    from llmspell_core.config.checks import Problem, Tables

__all__ = ["default_toml", "project_places_of", "set_value", "write", "write_configuration"]

_ACTIVE = re.compile(r"^(?=[A-Za-z_-]+ = )", re.MULTILINE)
_EXAMPLE = re.compile(r"^#\? ", re.MULTILINE)


def default_toml() -> str:
    """A configuration file that names every setting with its default, commented out, and loads as it is."""
    text = Path(__file__).with_name("defaults.toml").read_text("utf-8")
    return _EXAMPLE.sub("#", _ACTIVE.sub("#", text))


def set_value(
    path: Path,
    key: str,
    value: Any,
    written: Callable[[Path, str], object] | None = None,
    plugin_tables: Callable[[], Tables] = dict,
) -> Any:
    """Set the dotted `key` in the file at `path`, keeping comments and order; the file is made when it is missing.

    Args:
        value: plain data, or a text as typed on a command line: `true`, `12`, `["a"]`, otherwise text.
        written: writes the file; by default `write`.
        plugin_tables: asked which tables plugins read.

    Returns:
        the value as it was written.

    Raises:
        ConfigurationError: the file is not valid TOML, or cannot be written.
        ValidationError: a part of `key` is not a table, the new value is not what the setting wants, or
            there is no such setting.
    """
    import tomlkit

    parsed = guessed(value) if isinstance(value, str) else value
    keys = tuple(key.split("."))
    if not all(keys):
        raise ValidationError(
            f"'{key}' is not a setting", field=key, hint="Write section.name, e.g. runtime.script_timeout_seconds."
        )
    with alone_at(path):
        document = tomlkit.parse(read(path).text if path.exists() else "")
        parsed = _checked(path, document, keys, parsed, value, plugin_tables)
        (written or write)(path, tomlkit.dumps(document))
    return parsed


def _checked(
    path: Path, document: Any, keys: tuple[str, ...], parsed: Any, given: Any, tables: Callable[[], Tables]
) -> Any:
    """Puts the value in, types the result, and knows the setting; a text that only looks like a number is tried as text, too."""
    looks_like_text = isinstance(given, str) and parsed != given and isinstance(parsed, int | float)
    error: ValidationError | None = None
    for value in [parsed, given] if looks_like_text else [parsed]:
        _put(document, keys, value)
        error = _error(path, document.as_string(), keys, tables)
        if error is None:
            return value
    assert error is not None
    raise error


def _put(document: Any, keys: tuple[str, ...], value: Any) -> None:
    import tomlkit

    table = document
    for index, key in enumerate(keys[:-1]):
        if key not in table:
            table[key] = tomlkit.table(is_super_table=index < len(keys) - 2)
        table = table[key]
        if not isinstance(table, dict):
            name = ".".join(keys[: index + 1])
            raise ValidationError(f"{name} is one setting, not a table", field=name, hint=f"Set {name} itself.")
    if isinstance(table.get(keys[-1]), dict) and not isinstance(value, dict):
        name = ".".join(keys)
        raise ValidationError(f"{name} is a table, not one setting", field=name, hint=f"Set {name}.<setting>.")
    table[keys[-1]] = value


def _error(path: Path, text: str, keys: tuple[str, ...], tables: Callable[[], Tables]) -> ValidationError | None:
    from llmspell_core.config.checks import typed, unknown
    from llmspell_core.config.loading import stacked

    tree = stacked([parse(str(path), text)])
    wanted = canonical(keys)
    settings, found = typed(tree)
    found = found if settings is None else [each for each in unknown(settings, tables) if _is_mistake(each)]
    wrong = [problem for problem in found if all(a == b for a, b in zip(problem.keys, wanted, strict=False))]
    return ValidationError(wrong[0].message, field=".".join(keys), hint="Nothing was written.") if wrong else None


def _is_mistake(problem: Problem) -> bool:
    """Whoever writes a setting now wants it to do something now; a table may be that of a plugin that comes later."""
    owner = 2 if problem.keys[0] == "tools" else 1
    own = len(problem.keys) > owner and missing_part(problem.keys) is None
    return problem.severity == "error" or own


def write_configuration(path: Path, text: str, environ: Mapping[str, str], *, whole: bool) -> bool:
    """Write a configuration file, and trust its folder where all that it lets a run read is what we wrote or was trusted.

    Args:
        whole: nothing of what was in the file is in `text`.

    Returns:
        False when the folder is one that still has to be trusted.

    Raises:
        ConfigurationError: it cannot be written, or is a link to another folder. StorageError: the list of trusted folders
            cannot be written. Nothing has changed then.
    """
    with alone_at(path):
        return _write_trusted(path, text, environ, whole=whole)


def _write_trusted(path: Path, text: str, environ: Mapping[str, str], *, whole: bool) -> bool:
    from llmspell_core.config.trust import Project, Trust

    trust, ours = Trust(environ), list[Project | None]()
    for folder, name in project_places_of(path, environ):
        before = Project.of(folder, environ)
        theirs = before.without_file(name) if whole else before
        good = not theirs.foreign or trust.state(before) == "trusted"
        ours.append(before.with_file(name, text.encode()) if good else None)

    def vouch() -> None:
        for project in ours:
            if project is not None:
                trust.add(project)

    replace(path, text, vouch)
    return not ours or ours[0] is not None


def project_places_of(path: Path, environ: Mapping[str, str]) -> list[tuple[Path, str]]:
    """The working folders that the file at `path` configures, and its name in there; none when it is the operator's file.

    Raises:
        ConfigurationError: it is a link to another folder.
    """
    from llmspell_core.config.trust import configured_folders
    from llmspell_core.places import user_places

    if os.path.realpath(path) in map(os.path.realpath, user_places(environ)):
        return []
    places = configured_folders(path)
    if not all(Path(os.path.realpath(folder / name)).is_relative_to(folder) for folder, name in places):
        raise ConfigurationError(f"{path} is a link to another folder", path=str(path), hint="Write that file instead.")
    return places


def write(path: Path, text: str) -> None:
    """It may come to hold keys, so a new one is private; whoever shares one shares it. Raises: ConfigurationError."""
    replace(path, text)
