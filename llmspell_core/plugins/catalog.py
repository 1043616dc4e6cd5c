# ruff: noqa: PTH100, PTH118, PTH120 - pathlib would cost a tenth of the whole start-up
"""What is installed, without importing it.

Every component that an installed distribution offers (entry-point groups `llmspell.*`) is one row: what it is called,
what it says about itself, and, if it is broken, why. The rows live in a file in the user's cache directory. While the
folders of `sys.path` and the components' source files are unchanged, reading that file is all that happens; otherwise
`llmspell_core.plugins.discovery` reads the metadata again and describes what changed in a process of its own.

This module is on the way of `llmspell --help`, so it imports nothing heavier than `json`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from llmspell_core.plugins.cache import cache_dir, catalog_file, is_fresh, read_catalog, read_json, spare_file
from llmspell_core.plugins.kinds import GROUPS
from llmspell_core.plugins.records import Component, Distribution, normalized, spellings

__all__ = ["Catalog", "Component", "Distribution", "cache_dir", "known_distribution", "normalized"]


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
        if data is None and not refresh and (spare := spare_file()):
            data, path = read_catalog(spare), spare
        if data is None or not is_fresh(data, blocked):
            from llmspell_core.plugins import patience
            from llmspell_core.plugins.discovery import renew

            with patience.tell("reading what is installed"):
                data, path = renew(catalog_file(), blocked, refresh=refresh)
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
        return sorted(self._data["components"], key=lambda k: (GROUPS.index(k) if k in GROUPS else len(GROUPS), k))

    def find(self, kind: str, name: str) -> Component | None:
        """By name; `_` counts as `-`, and aliases and the name with or without `-tool` are tried too."""
        components = self.components(kind)
        found = self._chosen[kind]
        for candidate in spellings(name):
            if candidate in found:
                return found[candidate]
        wanted = set(spellings(name))
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


def preferences(prefer: Mapping[str, str] | Iterable[str]) -> dict[str, list[str]]:
    """`["dist"]` or `{"component": "dist"}` as component (`*` for all) -> distributions."""
    if isinstance(prefer, Mapping):
        return {name: [normalized(distribution)] for name, distribution in prefer.items()}
    return {"*": [normalized(name) for name in prefer]}


def known_distribution(kind: str, name: str) -> str | None:
    """The first-party distribution that offers a component, whether installed or not."""
    known = read_json(os.path.join(os.path.dirname(os.path.abspath(__file__)), "known.json"))
    table = known.get(kind, {}) if isinstance(known, dict) else {}
    return next((table[spelling] for spelling in spellings(name) if spelling in table), None)


def _listed(variable: str) -> list[str]:
    return [part for part in os.environ.get(variable, "").split(",") if part.strip()]
