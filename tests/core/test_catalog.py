from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmspell_core.plugins.cache import FORMAT, catalog_file
from llmspell_core.plugins.catalog import Catalog, Component, known_distribution

Install = Callable[..., Path]

GOOD = """
from pydantic import BaseModel, Field
from llmspell_core.tool import SecurityLevel, Tool

class Parameters(BaseModel):
    city: str = Field(description="Name of the city.")

class {cls}(Tool[Parameters]):
    name = "{name}"
    description = "Tells the weather of a city.\\nAnd more."
    parameters = Parameters
    category = "api"
    security_level = SecurityLevel.RESTRICTED
    aliases = ("forecast",)

    async def run(self, params, ctx):
        return params.city
"""


def good(name: str, cls: str = "Made") -> str:
    return GOOD.format(name=name, cls=cls)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An extra folder of installed distributions, and a cache of its own."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def install(site: Path) -> Install:
    """Lays down a distribution with one component, the way an installer would."""

    def lay(name: str, source: str, point: str = "weather", kind: str = "tools", cls: str = "Made") -> Path:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(source)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: About {name}.\n")
        (info / "entry_points.txt").write_text(f"[llmspell.{kind}]\n{point} = {module}:{cls}\n")
        return site / f"{module}.py"

    return lay


def problems() -> list[Component]:
    """What is wrong with the distributions of the test, whatever else is installed here."""
    return [row for row in Catalog.load().problems() if not row.distribution.startswith("llmspell")]


def test_a_tool_is_described_without_being_imported_here(install: Install) -> None:
    install("sunny-tools", good("weather"))
    found = Catalog.load().find("tools", "weather")
    assert found is not None
    assert found.description == "Tells the weather of a city."
    assert (found.category, found.security_level, found.aliases) == ("api", "restricted", ("forecast",))
    assert (found.distribution, found.version) == ("sunny-tools", "1.0")
    assert "sunny_tools" not in sys.modules


def test_the_schema_comes_from_the_distributions_own_file(install: Install) -> None:
    install("sunny-tools", good("weather"))
    catalog = Catalog.load()
    tool = catalog.find("tools", "weather")
    assert tool is not None
    schema = catalog.schema(tool)
    assert schema is not None
    assert schema["properties"]["city"]["description"] == "Name of the city."
    assert "Name of the city" not in Path(catalog_file()).read_text()


@pytest.mark.parametrize("spelling", ["air_quality", "Air-Quality", "air-quality-tool", "air_quality_tool", "forecast"])
def test_underscores_case_the_suffix_and_aliases_find_it_too(install: Install, spelling: str) -> None:
    install("sunny-tools", good("air-quality"), point="air-quality")
    found = Catalog.load().find("tools", spelling)
    assert found is not None
    assert found.name == "air-quality"


def test_the_second_load_reads_only_the_file(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("sunny-tools", good("weather"))
    Catalog.load()

    def refuse(*_: object) -> None:
        pytest.fail("the metadata was read again")

    monkeypatch.setattr("llmspell_core.plugins.discovery.build", refuse)
    assert Catalog.load().find("tools", "weather") is not None


def test_a_new_distribution_and_a_removed_one_are_noticed(install: Install, site: Path) -> None:
    install("sunny-tools", good("weather"))
    Catalog.load()
    install("other-tools", good("tides"), point="tides")
    assert Catalog.load().find("tools", "tides") is not None
    (site / "other_tools-1.0.dist-info" / "entry_points.txt").unlink()
    (site / "other_tools-1.0.dist-info" / "METADATA").unlink()
    (site / "other_tools-1.0.dist-info").rmdir()
    assert Catalog.load().find("tools", "tides") is None


def test_only_what_changed_is_described_again(install: Install, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    for name in ("one", "two"):
        source = f"open({str(marks)!r}, 'a').write('{name}\\n')\n" + good(name)
        install(f"{name}-tools", source, point=name)
    Catalog.load()
    assert sorted(marks.read_text().split()) == ["one", "two"]
    edited = marks.parent / "site" / "two_tools.py"
    edited.write_text(edited.read_text().replace("Tells the weather", "Sings about the weather"))
    found = Catalog.load().find("tools", "two")
    assert found is not None
    assert found.description == "Sings about the weather of a city."
    assert sorted(marks.read_text().split()) == ["one", "two", "two"]


BROKEN = {
    "raises": ("raise RuntimeError('the moon is full')", "RuntimeError: the moon is full"),
    "syntax": ("def broken(:\n    pass", "syntax error in"),
    "dependency": ("import surely_not_installed_anywhere", "needs 'surely_not_installed_anywhere'"),
    "exits": ("import sys; sys.exit(3)", "exit code 3"),
    "dies": ("import os; os._exit(7)", "ends the process (exit code 7)"),
    "crashes": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    "hangs": ("import time; time.sleep(60)", "does not come back (1 s)"),
    "other": ("class Made: pass", "must be a llmspell_core.tool.Tool"),
    "misnamed": (good("something-else"), "calls itself 'something-else'"),
    "absent": ("x = 1", "AttributeError"),
}


def test_every_kind_of_broken_plugin_is_one_row_and_the_rest_works(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMSPELL_DESCRIBE_TIMEOUT", "1")
    install("healthy-tools", good("healthy"), point="healthy")
    for name, (source, _) in BROKEN.items():
        install(f"{name}-tools", source, point=name)
    catalog = Catalog.load()
    healthy = catalog.find("tools", "healthy")
    assert healthy is not None
    assert healthy.available
    found = {row.name: row for row in problems()}
    assert set(found) == set(BROKEN)
    for name, (_, words) in BROKEN.items():
        error = found[name].error
        assert error is not None
        assert words in error["message"]
        assert error["hint"]


def test_one_line_that_is_no_entry_point_costs_nobody_but_itself(install: Install, site: Path) -> None:
    install("sunny-tools", good("sun"), "sun")
    points = site / "sunny_tools-1.0.dist-info" / "entry_points.txt"
    points.write_text(f"[console_scripts]\nx = y:z\n\n# tools\n{points.read_text()}weather\n = a:b\n")
    install("other-tools", good("rain"), "rain")
    catalog = Catalog.load()
    assert catalog.find("tools", "sun").available  # type: ignore[union-attr]
    assert catalog.find("tools", "rain").available  # type: ignore[union-attr]
    broken = problems()
    assert [(row.name, row.distribution) for row in broken] == [("weather", "sunny-tools"), ("", "sunny-tools")]
    assert "'weather' in its entry_points.txt is not written" in broken[0].error["message"]  # type: ignore[index]


def test_a_description_in_another_encoding_hides_nothing(install: Install, site: Path) -> None:
    install("sunny-tools", good("weather"))
    (site / "sunny_tools-1.0.dist-info" / "METADATA").write_bytes(b"Name: sunny-tools\nSummary: gr\xfc\xdfe\n")
    found = Catalog.load().find("tools", "weather")
    assert found is not None
    assert (found.available, found.distribution, found.version) == (True, "sunny-tools", "1.0")


def test_what_ends_the_process_cannot_be_imported_by_accident(install: Install) -> None:
    install("dying-tools", "import os; os._exit(7)", point="dies")
    found = Catalog.load().find("tools", "dies")
    assert found is not None
    assert found.value == ""


def test_a_broken_plugin_gets_another_chance_when_something_is_installed(install: Install) -> None:
    install("needy-tools", "import later_installed\n" + good("weather"))
    assert len(problems()) == 1
    install("later-installed", good("later"), point="later")
    assert problems() == []


def test_two_distributions_with_one_name_clash_until_the_configuration_chooses(install: Install) -> None:
    install("first-tools", good("weather"))
    install("second-tools", good("weather"))
    catalog = Catalog.load()
    found = catalog.find("tools", "weather")
    assert found is not None
    assert found.error is not None
    assert found.error["message"] == "first-tools and second-tools both offer 'weather'"
    assert "prefer" in found.error["hint"]
    assert [row.distribution for row in problems()] == ["first-tools", "second-tools"]
    chosen = Catalog.load(prefer=["Second_Tools"]).find("tools", "weather")
    assert chosen is not None
    assert (chosen.distribution, chosen.error) == ("second-tools", None)
    chosen = Catalog.load(prefer={"weather": "first-tools"}).find("tools", "weather")
    assert chosen is not None
    assert chosen.distribution == "first-tools"


def test_a_blocked_distribution_is_never_imported(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    install("rude-tools", f"open({str(mark)!r}, 'w').write('x')\n" + good("weather"))
    monkeypatch.setenv("LLMSPELL_PLUGINS_BLOCK", "Rude_Tools")
    catalog = Catalog.load()
    assert catalog.find("tools", "weather") is None
    assert catalog.is_blocked("rude-tools")
    assert "rude-tools" in [d.name for d in catalog.distributions()]
    assert not mark.exists()
    monkeypatch.delenv("LLMSPELL_PLUGINS_BLOCK")
    found = Catalog.load().find("tools", "weather")
    assert found is not None
    assert found.description


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff\xfe\x00", b'{"format": 999}'])
def test_a_damaged_catalog_file_is_made_anew(install: Install, content: bytes) -> None:
    install("sunny-tools", good("weather"))
    Catalog.load()
    Path(catalog_file()).write_bytes(content)
    assert Catalog.load().find("tools", "weather") is not None
    assert json.loads(Path(catalog_file()).read_text())["format"] == FORMAT


def test_a_home_that_cannot_be_written_only_costs_time(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("sunny-tools", good("weather"))
    occupied = tmp_path / "occupied"
    occupied.write_text("a file where the folder should be")
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(occupied))
    assert Catalog.load().find("tools", "weather") is not None


def test_what_a_plugin_prints_while_imported_is_not_taken_for_an_answer(install: Install) -> None:
    install("noisy-tools", "import os; print('noise'); os.write(1, b'more noise\\n')\n" + good("weather"))
    found = Catalog.load().find("tools", "weather")
    assert found is not None
    assert found.available


def test_near_names_are_offered(install: Install) -> None:
    install("sunny-tools", good("weather"))
    assert Catalog.load().near("tools", "whether") == ["weather"]


def test_reading_the_catalog_imports_nothing_heavy(install: Install, site: Path) -> None:
    install("sunny-tools", good("weather"))
    code = (
        "import sys; from llmspell_core.plugins.catalog import Catalog; Catalog.load().components('tools');"
        "print(sorted({'pydantic', 'importlib.metadata', 'pathlib', 'subprocess', 'stevedore', 'click'} & set(sys.modules)))"
    )
    run = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(site)}
    os.utime(site, (1e9, 1e9))  # a folder that somebody may still be writing into would be looked at again
    subprocess.run(run, env=environment, check=True, capture_output=True)
    second = subprocess.run(run, env=environment, check=True, capture_output=True, text=True)
    assert second.stdout.strip() == "[]"


def test_first_party_components_are_known_even_when_they_are_not_installed() -> None:
    assert known_distribution("tools", "pdf_processor") == "llmspell-tool-pdf"
    assert known_distribution("engines", "lua") == "llmspell-engine-lua"
    assert known_distribution("tools", "no-such-thing") is None
