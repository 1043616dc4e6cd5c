"""The catalog among other processes, on broken disks, and while somebody installs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core import private
from llmspell_core.plugins import discovery
from llmspell_core.plugins.cache import SETTLED, catalog_file, spare_folder
from llmspell_core.plugins.catalog import Catalog

TOOL = """
from pathlib import Path
from pydantic import BaseModel
from llmspell_core import Tool
with (Path(__file__).parent.parent / "imported").open("a") as file:
    file.write("x")
class Made(Tool):
    name = "weather"
    description = "{text}"
    class parameters(BaseModel):
        pass
    async def run(self, params, ctx):
        return None
"""
Lay = Callable[..., Path]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What plugins import, but no plugin: the packages that are installed here without their metadata."""
    folder = tmp_path_factory.mktemp("library")
    for place in (Path(p) for p in sys.path if p.endswith("site-packages")):
        for entry in place.iterdir():
            if entry.suffix not in {".dist-info", ".pth"} and not entry.name.startswith(("__editable__", "llmspell")):
                (folder / entry.name).symlink_to(entry)
    (folder / "llmspell_core").symlink_to(Path(__file__).parents[2] / "llmspell_core")
    then = time.time() - 100
    os.utime(folder, (then, then))
    return folder


@pytest.fixture
def site(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    base = [p for p in sys.path if p.startswith(sys.base_prefix) and not p.endswith("site-packages")]
    monkeypatch.setattr(sys, "path", [str(folder), str(library), *base])
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return folder


@pytest.fixture
def lay(site: Path) -> Lay:
    def install(text: str = "Tells the weather.", version: str = "1.0", *, age: float = 10) -> Path:
        """`age`: seconds since it was installed."""
        (site / "sunny_tools.py").write_text(TOOL.format(text=text))
        for old in site.glob("*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        info = site / f"sunny_tools-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: sunny-tools\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[llmspell.tools]\nweather = sunny_tools:Made\n")
        then = time.time() - age
        for path in (site / "sunny_tools.py", info / "METADATA", site):
            os.utime(path, (then, then))
        return site

    return install


def imports(site: Path) -> int:
    """How often the plugin was imported to be described."""
    file = site.parent / "imported"
    return len(file.read_text()) if file.exists() else 0


def described() -> str:
    found = Catalog.load().find("tools", "weather")
    assert found is not None
    assert found.error is None
    return f"{found.description} {found.version}"


START = "from llmspell_core.plugins.catalog import Catalog; print(Catalog.load().find('tools', 'weather').description)"


def start() -> subprocess.Popen[str]:
    code = f"import sys; sys.path[:] = {sys.path!r}; {START}"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_of_many_that_start_together_one_describes_and_all_agree(lay: Lay) -> None:
    site = lay()
    running = [start() for _ in range(6)]
    assert {each.communicate(timeout=60)[0] for each in running} == {"Tells the weather.\n"}
    assert imports(site) == 1


def test_one_that_died_while_it_described_does_not_keep_the_others_waiting(lay: Lay, tmp_path: Path) -> None:
    lay()
    first = start()
    first.kill()
    first.communicate()
    assert start().communicate(timeout=60)[0] == "Tells the weather.\n"


def test_a_cache_that_cannot_be_written_moves_to_the_users_own_temporary_folder(
    lay: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = lay()
    (tmp_path / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path / "occupied"))
    assert described() == described()
    assert imports(site) == 1
    assert Path(spare_folder()).stat().st_mode & 0o777 == 0o700

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the metadata was read again")

    monkeypatch.setattr(discovery, "renew", refuse)
    assert described() == "Tells the weather. 1.0"


@pytest.mark.parametrize("how", ["open to all", "a link"])
def test_a_temporary_folder_that_others_may_have_filled_is_not_believed(
    lay: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    site = lay()
    folder = Path(spare_folder())
    (tmp_path / "occupied").write_text("")
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path / "occupied"))
    if how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    assert described() == described()
    assert imports(site) == 2, "made each time"
    assert list((tmp_path / "elsewhere" if how == "a link" else folder).iterdir()) == []


def test_a_full_disk_leaves_no_half_of_a_catalog(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    lay()

    def create(path: Path) -> int:
        path.write_text('{"half": ', "utf-8")
        return os.open("/dev/full", os.O_WRONLY)

    with monkeypatch.context() as patch:
        patch.setattr(private, "create", create)
        assert described() == "Tells the weather. 1.0"
    assert [file for file in Path(catalog_file()).parent.rglob("*") if file.suffix in {".new", ".json"}] == []
    assert described() == "Tells the weather. 1.0"
    assert Path(catalog_file()).exists()


def test_any_damage_is_noticed_and_repaired(lay: Lay) -> None:
    lay()
    described()
    file, chance = Path(catalog_file()), random.Random(7)
    whole = file.read_text("utf-8")
    for text in ("[" * 100_000, '{"format": NaN}', whole[:-20], whole.replace("sunny-tools", "", 1)):
        file.write_text(text, "utf-8")
        assert Catalog.load().find("tools", "weather") is not None
    for _ in range(15):
        file.write_text(json.dumps(_mutated(json.loads(whole), chance)), "utf-8")
        catalog = Catalog.load()
        assert [row.name for row in catalog.components("tools")]
        catalog.distributions()


def _mutated(data: Any, chance: random.Random) -> Any:
    """The same with one value of another type somewhere in the rows."""
    rows = data[chance.choice(["components", "distributions"])]
    place = chance.choice([*rows.values()] if isinstance(rows, dict) else [rows])
    index = chance.randrange(len(place))
    if chance.random() < 0.3:
        place[index] = chance.choice([None, 3, "x", {}, []])
    else:
        place[index][chance.randrange(len(place[index]))] = chance.choice([None, 3, True, 1.5])
    return data


def test_an_upgrade_and_the_way_back_are_both_noticed(lay: Lay) -> None:
    lay("Old.", "1.0", age=100)
    assert described() == "Old. 1.0"
    lay("New.", "2.0", age=50)
    assert described() == "New. 2.0"
    lay("Old.", "1.0", age=100)
    assert described() == "Old. 1.0"


def test_what_was_half_installed_when_we_looked_is_found_a_little_later(
    lay: Lay, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(age=0)
    points = next(site.glob("*.dist-info")) / "entry_points.txt"
    text = points.read_text()
    points.unlink()
    assert Catalog.load().find("tools", "weather") is None
    before = site.stat().st_mtime_ns
    points.write_text(text)
    assert site.stat().st_mtime_ns == before, "the folder itself does not show it"
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 2 * SETTLED)
    assert described() == "Tells the weather. 1.0"
    imported = imports(site)
    described()
    assert imports(site) == imported, "and then it is settled"


def test_each_search_path_has_a_catalog_of_its_own(lay: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = lay()
    described()
    first = catalog_file()
    (tmp_path / "more").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "more"), *sys.path])
    assert catalog_file() != first
    described()
    monkeypatch.setattr(sys, "path", sys.path[1:])
    imported = imports(site)
    described()
    assert imports(site) == imported, "the first one is still good"


def test_catalogs_of_environments_that_are_gone_are_deleted_in_time(lay: Lay) -> None:
    lay()
    folder = Path(catalog_file()).parent
    (folder / "00000000").mkdir(parents=True)
    (folder / "00000000" / "x.json").write_text("{}")
    for name, age in (("00000000.json", 100 * 86_400), ("11111111.json", 86_400)):
        (folder / name).write_text("{}")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    described()
    assert not (folder / "00000000").exists()
    assert {file.name for file in folder.glob("*.json")} == {"11111111.json", Path(catalog_file()).name}
