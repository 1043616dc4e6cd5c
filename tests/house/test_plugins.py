"""Every plugin has the same shape, and only says what is true of itself."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.plugins.kinds import GROUPS, KINDS, kind_of

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(
    path.parent for path in [*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("templates/*/pyproject.toml")]
)


def stem(folder: Path) -> str:
    """`plugins/tool-pdf` -> `tool-pdf`, `templates/ask` -> `template-ask`."""
    return folder.name if folder.parent.name == "plugins" else f"template-{folder.name}"


PLUGINS = {stem(folder): folder for folder in FOLDERS}
PROJECT_KEYS = {
    "name",
    "version",
    "description",
    "readme",
    "license",
    "requires-python",
    "dependencies",
    "entry-points",
}
OPTIONAL_KEYS = {"optional-dependencies", "keywords"}
TIERS = ("common", "full")  # the extras that name plugins; the others name libraries of the core
README_SECTIONS = ["Install", "Use", "Permissions"]
# Their entry-point name is the component's own name; the others are named by the entry point alone.
NAMED_KINDS = ("tools", "engines")


def load(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


ROOT_PROJECT = load(ROOT / "pyproject.toml")


@pytest.fixture(params=PLUGINS)
def folder(request: pytest.FixtureRequest) -> Path:
    return PLUGINS[str(request.param)]


@pytest.fixture
def metadata(folder: Path) -> dict[str, Any]:
    return load(folder / "pyproject.toml")


@pytest.fixture
def project(metadata: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = metadata["project"]
    return found


def package(folder: Path) -> Path:
    return folder / f"llmspell_{stem(folder).replace('-', '_')}"


def test_its_names_follow_from_its_folder(folder: Path, project: dict[str, Any]) -> None:
    assert project["name"] == f"llmspell-{stem(folder)}"
    assert (package(folder) / "__init__.py").exists()
    assert (package(folder) / "py.typed").exists()
    assert list((folder / "tests").glob("test_*.py")), "a plugin without tests"


def test_its_metadata_says_all_that_is_needed_and_no_more(project: dict[str, Any]) -> None:
    assert PROJECT_KEYS <= set(project) <= PROJECT_KEYS | OPTIONAL_KEYS
    assert project["requires-python"] == ROOT_PROJECT["project"]["requires-python"]
    assert project["license"] == ROOT_PROJECT["project"]["license"]
    assert "llmspell>=0.1,<0.2" in project["dependencies"]
    assert len(project["description"]) > 20


def test_its_pyproject_holds_no_settings_of_tools(metadata: dict[str, Any]) -> None:
    assert set(metadata["tool"]) <= {"uv"}, "ruff, mypy and pytest are set up once, at the root"


def test_what_it_needs_has_bounds(project: dict[str, Any]) -> None:
    extras = project.get("optional-dependencies", {})
    wanted = [*project["dependencies"], *(each for names in extras.values() for each in names)]
    loose = [text for text in wanted if not re.search(r">=|==|~=", text)]
    assert not loose, f"these have no lower bound: {loose}"


def test_its_entry_points_are_of_known_kinds(project: dict[str, Any]) -> None:
    groups = [group for group in project["entry-points"] if group.startswith("llmspell.")]
    assert groups
    assert {group.removeprefix("llmspell.") for group in groups} <= set(GROUPS)


def test_its_components_are_called_what_their_entry_points_say(project: dict[str, Any]) -> None:
    for kind in NAMED_KINDS:
        for name, value in project["entry-points"].get(f"llmspell.{kind}", {}).items():
            module, _, attribute = value.partition(":")
            assert getattr(import_module(module), attribute).name == name


def test_its_readme_has_the_usual_sections(folder: Path, project: dict[str, Any]) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {project['name']}\n")
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [name for name in README_SECTIONS if name not in sections] == []
    assert f"pip install {project['name']}" in text or f'pip install "{project["name"]}' in text


def test_its_readme_awaits_what_is_a_promise_in_javascript(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```(?:js|javascript)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert [line for line in code.splitlines() if "execute(" in line and "await" not in line] == []


def test_every_extra_of_the_root_names_plugins_that_exist_and_every_plugin_is_in_one() -> None:
    extras: dict[str, list[str]] = ROOT_PROJECT["project"]["optional-dependencies"]
    named = {re.split(r"[\[<>=]", text)[0] for key, names in extras.items() if key in TIERS for text in names} - {
        "llmspell"
    }
    assert named == {f"llmspell-{name}" for name in PLUGINS}


def test_the_workspace_knows_every_plugin() -> None:
    sources = ROOT_PROJECT["tool"]["uv"]["sources"]
    assert {f"llmspell-{name}" for name in PLUGINS} == set(sources) - {"llmspell"}


def test_the_import_rules_cover_every_plugin() -> None:
    rules = ROOT_PROJECT["tool"]["importlinter"]
    packages = {package(folder).name for folder in FOLDERS}
    assert packages == set(rules["root_packages"]) - {"llmspell_core"}
    for contract in rules["contracts"]:
        listed = {name for names in contract.values() if isinstance(names, list) for name in names}
        named = {name for name in listed if name.startswith("llmspell_") and not name.startswith("llmspell_core")}
        assert named in (set(), packages), contract["name"]


def test_the_models_of_the_profiles_are_ones_that_their_providers_have_prices_for() -> None:
    """A profile must not choose a model that its vendor has withdrawn; the price lists are what is kept up to date."""
    prices: dict[str, Any] = {}
    for file in ROOT.glob("plugins/provider-*/llmspell_*/prices.toml"):
        prices |= tomllib.loads(file.read_text("utf-8"))
    for file in ROOT.glob("llmspell_core/config/profiles/**/*.toml"):
        for table in tomllib.loads(file.read_text("utf-8")).get("providers", {}).values():
            if isinstance(table, dict) and table.get("provider_type") in prices:
                assert table["default_model"] in prices[table["provider_type"]], file.name


READ = [kind for kind in KINDS if kind.page]


@pytest.mark.parametrize("kind", READ, ids=[kind.group for kind in READ])
def test_a_kind_has_what_its_row_says(kind: Any) -> None:
    """A contract that can be imported, a kit where one is named, a page for authors, something that `plugin new` writes."""
    import llmspell_core.testing
    from llmspell_core import scaffold

    assert (ROOT / "docs" / "plugin-authors" / kind.page).is_file()
    if kind.contract:
        module, _, name = kind.contract.partition(":")
        assert isinstance(getattr(import_module(module), name), type)
    if kind.kit:
        assert isinstance(getattr(llmspell_core.testing, kind.kit), type)
    if kind.new:
        assert any((scaffold.HERE / kind.new).rglob("*.txt"))


def test_what_authors_can_write_is_in_the_table() -> None:
    pages = {path.name for path in (ROOT / "docs" / "plugin-authors").glob("*.md")} - {"index.md"}
    assert pages == {kind.page for kind in READ}
    assert kind_of("strange_things").word == "Strange_thing"
