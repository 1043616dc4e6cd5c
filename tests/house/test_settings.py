"""Every setting that is declared, shown or set by a profile is read by the code that it promises to change."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llmspell_core.config.settings import OPAQUE, Settings, declared_rules, inner_type, rule_of

ROOT = Path(__file__).parents[2]
CORE = ROOT / "llmspell_core"
ROOTS = (CORE, *ROOT.glob("plugins/*/llmspell_*"), *ROOT.glob("templates/*/llmspell_*"))
ONLY_SHOWN = ("config/absent.py", "config/changing.py", "config/checks.py", "config/environment.py",
              "config/layers.py", "config/security_profile.py", "config/settings.py", "cli/config.py", "cli/info.py")  # fmt: skip
"""Code that knows names of settings without acting on them."""
FOR_SCRIPTS = {"prompts"}
"""What scripts read, with `Config.get`."""

HANDED_OVER = {"logging": CORE / "cli" / "logs.py"}
"""Tables that are given away as a whole, and where they are read."""


def texts(path: Path) -> set[str]:
    """The string constants of a module, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    spoken = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken
    }


@cache
def sources() -> dict[Path, set[str]]:
    shown = {CORE / name for name in ONLY_SHOWN}
    return {path: texts(path) for root in ROOTS for path in root.rglob("*.py") if path not in shown}


def declared(model: type[BaseModel] = Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting; `*` stands for names that others choose."""
    for name, field in model.model_fields.items():
        yield from _below(inner_type(field.annotation), (*above, name))
    extra = model.__annotations__.get("__pydantic_extra__", "")
    if "ProviderTable" in str(extra):
        from llmspell_core.config.settings import ProviderTable

        yield from declared(ProviderTable, (*above, "*"))


def _below(kind: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from declared(kind, path)
    else:
        yield path


def is_read(path: tuple[str, ...]) -> bool:
    """Somewhere the code says the whole name, or the name of the table and, in the same file, that of the key."""
    *above, key = path
    whole, table = ".".join(path), ".".join(above)
    if table in HANDED_OVER:
        return key in sources()[HANDED_OVER[table]]
    if "*" in path:  # a table is handed over as a whole and read in its own rooms
        return any(
            key in said for file, said in sources().items() if file.parent.name in {"resilience", "config", "runtime"}
        )
    return any(whole in said or (key in said and _names(table, said)) for said in sources().values())


def _names(table: str, said: set[str]) -> bool:
    """`section("a.b")`; `section("a")["b"]`; or `section(f"a.{name}")`."""
    above, _, last = table.rpartition(".")
    return table in said or (above in said and last in said) or (bool(above) and f"{above}." in said)


@pytest.mark.parametrize("path", sorted(declared()), ids=".".join)
def test_a_declared_setting_is_read(path: tuple[str, ...]) -> None:
    assert path[0] in FOR_SCRIPTS or is_read(path), "read it, or do not declare it"


def test_the_search_finds_what_nobody_reads() -> None:
    assert not is_read(("runtime", "nobody_reads_this"))
    assert not is_read(("rag", "enabled"))


def leaves(tree: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


FILES = [CORE / "config" / "defaults.toml", *sorted((CORE / "config" / "profiles").rglob("*.toml"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_defaults_and_profiles_set_declared_settings_only(path: Path) -> None:
    from llmspell_core.config.checks import is_declared

    text = path.read_text(encoding="utf-8").replace("#? [", "[").replace("#? ", "")
    tables = tomllib.loads(text)
    given = [keys for keys in leaves(tables) if keys[0] not in {"profile", "metadata"}]
    examples = {("tools", "calculator", "precision"), ("prompts", "greeting")}
    assert [".".join(keys) for keys in given if not is_declared(keys) and keys not in examples] == []


@pytest.mark.parametrize("path", sorted(declared()), ids=".".join)
def test_a_declared_setting_says_who_may_set_it(path: tuple[str, ...]) -> None:
    assert rule_of(path) is not None, "annotate it with a rule of llmspell_core.config.authority"


def test_every_declared_setting_is_among_those_with_rules() -> None:
    known = {keys for keys, _ in declared_rules()}
    assert {path for path in declared() if "*" not in path} <= known


@pytest.mark.parametrize(
    "path",
    ["tools.some-tool.program", "nobody.knows", "engines.other.program", "runtime.new", "tools", "tools.timeouts.x"],
)
def test_what_is_not_declared_is_the_operators(path: str) -> None:
    rule = rule_of(tuple(path.split(".")))
    assert rule is None or rule.meet is None


def test_tables_of_plugins_are_the_operators() -> None:
    assert {name for name, rule in OPAQUE.items() if rule.meet is not None} == {
        "app",
        "applications",
        "metadata",
        "parameters",
    }
