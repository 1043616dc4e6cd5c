# ruff: noqa: PTH100, PTH109, PTH111, PTH116, PTH118, PTH119, PTH120, PTH123 - pathlib would cost a tenth of the whole start-up
"""What is installed, without importing it.

Every component that an installed distribution offers (entry-point groups `llmspell.*`) is one row: what it is called,
what it says about itself, and, if it is broken, why. The rows live in a file in the user's cache directory. While the
folders of `sys.path` and the components' source files are unchanged, reading that file is all that happens; otherwise
`llmspell_core.plugins.discovery` reads the metadata again and describes what changed in a process of its own.

This module is on the way of `llmspell --help`, so it imports nothing heavier than `json`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["KINDS", "Catalog", "Component", "Distribution", "cache_dir", "known_distribution"]

FORMAT = 1
GROUP_PREFIX = "llmspell."
KINDS = (
    "tools",
    "providers",
    "embedders",
    "engines",
    "globals",
    "templates",
    "workflows",
    "state_stores",
    "vector_stores",
    "servers",
    "executors",
    "hooks",
    "observers",
    "commands",
)


class Component(NamedTuple):
    """One entry point and what it says about itself.

    Attributes:
        kind: one of `KINDS`.
        value: `module:attribute`; empty when importing it must not be tried (it ends the process, or it clashes).
        aliases: other names that find it; for a provider also the presets it serves.
        missing: import names of optional libraries that it needs and that are not installed.
        source: the file that defines it.
        error: None, or `{"type", "message", "hint"}`: why it cannot be used.
        extra: what only this kind has, e.g. an engine's file extensions, a provider's key variable.
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    description: str = ""
    category: str = ""
    security_level: str = ""
    aliases: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    source: str = ""
    error: dict[str, str] | None = None
    extra: dict[str, Any] = {}

    @property
    def available(self) -> bool:
        return self.error is None and not self.missing


class Distribution(NamedTuple):
    """An installed distribution that offers components. `stamp` changes when it is installed anew."""

    name: str
    version: str
    summary: str
    path: str
    stamp: str
    described: bool = True


class Catalog:
    """The installed components of this environment; get one with `Catalog.load()`.

    Args:
        data: what the catalog file holds.
        block: distributions that are treated as not there.
        prefer: which distribution answers when two offer one name.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        folder: str = "",
        *,
        block: Iterable[str] = (),
        prefer: Mapping[str, str] | Iterable[str] = (),
    ) -> None:
        self._data = data
        self._folder = folder
        self._blocked = frozenset(normalized(name) for name in block)
        self._prefer = preferences(prefer)
        self._rows: dict[str, list[Component]] = {}
        self._chosen: dict[str, dict[str, Component]] = {}
        self._schemas: dict[str, dict[str, Any]] = {}

    @classmethod
    def load(
        cls,
        refresh: bool = False,
        *,
        block: Iterable[str] = (),
        prefer: Mapping[str, str] | Iterable[str] = (),
    ) -> Catalog:
        """The catalog of this environment, brought up to date if anything changed.

        Args:
            refresh: describe every distribution again.
            block: added to the distributions in `LLMSPELL_PLUGINS_BLOCK` (comma list).
            prefer: distributions that win when two offer the same name, or `{component name: distribution}`.
        """
        blocked = sorted({*map(normalized, block), *map(normalized, _listed("LLMSPELL_PLUGINS_BLOCK"))})
        path = catalog_file()
        data = None if refresh else read_catalog(path)
        if data is None or not is_fresh(data, blocked):
            from llmspell_core.plugins.discovery import build

            data = build(data, path, blocked)
        return cls(data, path.removesuffix(".json"), block=blocked, prefer=prefer)

    def components(self, kind: str) -> list[Component]:
        """The components of one kind, one per name, sorted; a clash of names is one component with an error."""
        if kind not in self._chosen:
            named: dict[str, list[Component]] = {}
            for component in self.rows(kind):
                named.setdefault(component.name, []).append(component)
            self._chosen[kind] = {name: self._choose(rows) for name, rows in sorted(named.items())}
        return list(self._chosen[kind].values())

    def rows(self, kind: str | None = None) -> list[Component]:
        """Every entry point as installed, also those that clash; without those of blocked distributions."""
        if kind is None:
            return [row for each in self.kinds() for row in self.rows(each)]
        if kind not in self._rows:
            made = (_component(row) for row in self._data["components"].get(kind, ()))
            self._rows[kind] = [c for c in made if c.distribution not in self._blocked]
        return self._rows[kind]

    def kinds(self) -> list[str]:
        """The kinds that have components, known ones first."""
        return sorted(self._data["components"], key=lambda k: (KINDS.index(k) if k in KINDS else len(KINDS), k))

    def find(self, kind: str, name: str) -> Component | None:
        """By name; `_` counts as `-`, and aliases and the name with or without `-tool` are tried too."""
        components = self.components(kind)
        found = self._chosen[kind]
        for candidate in _spellings(name):
            if candidate in found:
                return found[candidate]
        wanted = set(_spellings(name))
        return next((c for c in components if not wanted.isdisjoint(c.aliases)), None)

    def near(self, kind: str, name: str, count: int = 3) -> list[str]:
        """Names that look like `name`, best first."""
        from difflib import get_close_matches

        return get_close_matches(name, [c.name for c in self.components(kind)], n=count, cutoff=0.6)

    def distributions(self) -> list[Distribution]:
        """Every distribution that offers components, also the blocked ones."""
        return [Distribution(*row) for row in self._data["distributions"]]

    def is_blocked(self, distribution: str) -> bool:
        return normalized(distribution) in self._blocked

    def problems(self) -> list[Component]:
        """Every entry point that cannot be used, with its `error`; of a clash each side is listed."""
        return [row for row in map(self.judged, self.rows()) if row.error]

    def judged(self, row: Component) -> Component:
        """An entry point with the error of the clash it is part of, if it lost or nobody won."""
        self.components(row.kind)
        chosen = self._chosen[row.kind][row.name]
        if row.error or chosen.distribution == row.distribution:
            return row
        lost = {"type": "Conflict", "message": f"{chosen.distribution} answers for '{row.name}' instead", "hint": ""}
        return row._replace(error=chosen.error or lost)

    def schema(self, component: Component) -> dict[str, Any] | None:
        """The JSON schema of a component's parameters, read from its distribution's own file."""
        name = component.distribution
        if name not in self._schemas:
            kept = read_json(os.path.join(self._folder, f"{name}.json"))
            self._schemas[name] = kept if isinstance(kept, dict) else {}
        found = self._schemas[name].get(f"{component.kind}:{component.name}")
        return found if isinstance(found, dict) else None

    def _choose(self, rows: list[Component]) -> Component:
        if len(rows) == 1:
            return rows[0]
        wanted = self._prefer.get(rows[0].name), self._prefer.get("*")
        for names in filter(None, wanted):
            for row in rows:
                if row.distribution in names:
                    return row
        return _clash(rows)


def _clash(rows: list[Component]) -> Component:
    names = [row.distribution for row in rows]
    both = " and ".join(names)
    message = f"{both} both offer '{rows[0].name}'"
    hint = f'Choose one in the configuration: [plugins] prefer = ["{names[-1]}"], or uninstall the other.'
    return rows[0]._replace(
        value="",
        distribution=both,
        version="",
        error={"type": "Conflict", "message": message, "hint": hint},
    )


def _component(row: list[Any]) -> Component:
    component = Component(*row)
    return component._replace(aliases=tuple(component.aliases), missing=tuple(component.missing))


def _spellings(name: str) -> list[str]:
    plain = str(name).strip().lower().replace("_", "-")
    other = plain.removesuffix("-tool") if plain.endswith("-tool") else f"{plain}-tool"
    return [str(name), plain, other]


def preferences(prefer: Mapping[str, str] | Iterable[str]) -> dict[str, list[str]]:
    """`["dist"]` or `{"component": "dist"}` as component (`*` for all) -> distributions."""
    if isinstance(prefer, Mapping):
        return {name: [normalized(distribution)] for name, distribution in prefer.items()}
    return {"*": [normalized(name) for name in prefer]}


def normalized(name: str) -> str:
    """A distribution's name as packaging compares it."""
    return "-".join(filter(None, name.strip().lower().replace("_", "-").replace(".", "-").split("-")))


def known_distribution(kind: str, name: str) -> str | None:
    """The first-party distribution that offers a component, whether installed or not."""
    known = read_json(os.path.join(os.path.dirname(os.path.abspath(__file__)), "known.json"))
    table = known.get(kind, {}) if isinstance(known, dict) else {}
    return next((table[spelling] for spelling in _spellings(name) if spelling in table), None)


# -- the file ---------------------------------------------------------------------------------------------------------


def cache_dir() -> str:
    """Where caches go: `LLMSPELL_CACHE_DIR`, else the platform's folder for the current user."""
    override = os.environ.get("LLMSPELL_CACHE_DIR")
    if override:
        return os.path.expanduser(override)
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    elif sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "llmspell")


def catalog_file() -> str:
    """One file per environment: another interpreter or another `sys.path` has other plugins."""
    from binascii import crc32

    identity = "\0".join([sys.prefix, f"{sys.version_info[:2]}", *search_path()])
    return os.path.join(cache_dir(), "catalog", f"{crc32(identity.encode('utf-8', 'surrogateescape')):08x}.json")


def search_path() -> list[str]:
    """The folders that hold distributions, in order.

    The folder of the running script, and with `python -m` the current one, are on `sys.path` for another reason; they
    count only if they are there twice.
    """
    folders = [folder for folder in sys.path if folder]
    started = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    own = os.getcwd() if os.path.basename(started) == "__main__.py" else os.path.dirname(started)
    if own in folders:
        folders.remove(own)
    return list(dict.fromkeys(folders))


def read_catalog(path: str) -> dict[str, Any] | None:
    """The catalog file's content; None when there is none that this version can use."""
    data = read_json(path)
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("environment") != environment():
        return None
    wanted = {"components": dict, "distributions": list, "sources": dict, "paths": list, "blocked": list}
    return data if all(isinstance(data.get(key), kind) for key, kind in wanted.items()) else None


def read_json(path: str) -> Any:
    """The file's content; None when it is missing, unreadable or not JSON."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def environment() -> list[str]:
    """What a catalog is valid for."""
    return [sys.prefix, sys.version]


def is_fresh(data: Mapping[str, Any], blocked: list[str]) -> bool:
    """Whether nothing was installed, removed or edited since `data` was written."""
    if data["paths"] != path_times() or data["blocked"] != blocked:
        return False
    return all(modified(path) == stamp for path, stamp in data["sources"].items())


def path_times() -> list[list[Any]]:
    return [[path, modified(path)] for path in search_path()]


def modified(path: str) -> int:
    """Modification time in ns, of a package that of its newest module; 0 when there is no such file."""
    try:
        if path.endswith("__init__.py"):
            with os.scandir(os.path.dirname(path)) as files:
                return max(f.stat().st_mtime_ns for f in files if f.name.endswith((".py", ".lua", ".js")))
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _listed(variable: str) -> list[str]:
    return [part for part in os.environ.get(variable, "").split(",") if part.strip()]
