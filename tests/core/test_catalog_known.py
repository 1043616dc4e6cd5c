"""The table of first-party components, which the install hints come from."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import llmspell_core

ROOT = Path(llmspell_core.__file__).parent.parent
KNOWN = json.loads((ROOT / "llmspell_core" / "plugins" / "known.json").read_text("utf-8"))


def declared() -> dict[str, dict[str, str]]:
    """Kind -> component -> distribution, from the plugins' own files."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(path.read_text("utf-8"))["project"]
        for group, points in project.get("entry-points", {}).items():
            if group.startswith("llmspell."):
                kind = found.setdefault(group.removeprefix("llmspell."), {})
                kind.update(dict.fromkeys(points, project["name"]))
    return found


def test_every_component_of_our_plugins_is_in_the_table() -> None:
    missing = {
        (kind, name)
        for kind, points in declared().items()
        for name, distribution in points.items()
        if KNOWN.get(kind, {}).get(name) != distribution
    }
    assert missing == set()


def test_the_table_names_nothing_that_no_plugin_offers() -> None:
    offered = {distribution for points in declared().values() for distribution in points.values()}
    assert {distribution for points in KNOWN.values() for distribution in points.values()} <= offered
