"""What the next run executes or believes: no tool writes, makes, moves or deletes it, by whatever way round."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import SecurityError
from llmspell_core.policy import Files, Policy, PolicySettings
from llmspell_core.policy.read_only import folded


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "somebody"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    return home


def files_in(folder: Path, **settings: Any) -> Files:
    return Files(Policy(PolicySettings(working_directory=str(folder), **{"allowed_paths": ("*",)} | settings)))


async def refused(files: Files, path: Path | str) -> None:
    """By every verb that makes or changes something; and it is neither there nor changed afterwards."""
    target = Path(files.resolve("."), path)
    before = target.read_bytes() if target.is_file() else None
    (Path(files.resolve(".")) / "harmless.txt").write_text("harmless")
    for change in (
        lambda: files.write_text(path, "x"),
        lambda: files.write_text(path, "x", atomic=False),
        lambda: files.append(path, "x"),
        lambda: files.copy("harmless.txt", path),
        lambda: files.move("harmless.txt", path),
        lambda: files.mkdir(path, parents=True),
    ):
        with pytest.raises(SecurityError, match=r"read-only|denied"):
            await change()  # type: ignore[no-untyped-call]
    with pytest.raises(SecurityError):
        files.open(path, "wb")
    assert (target.read_bytes() if target.is_file() else None) == before
    if target.exists():
        with pytest.raises(SecurityError):
            await files.delete(path)
        with pytest.raises(SecurityError):
            await files.move(path, "moved.txt")


@pytest.mark.parametrize(
    "path",
    [
        ".bashrc", ".profile", ".zshenv", ".config/fish/config.fish", ".config/autostart/x.desktop", ".local/bin/ls", ".gitconfig",
        ".config/llmspell/config.toml", ".llmspell/config.toml", ".llmspell.toml", ".llmspell/profiles/mine.toml", ".pythonrc",
        ".ssh/authorized_keys", ".local/lib/python3.11/site-packages/x.pth", ".cache/pip/x", ".Config/fish/config.fish",
    ],
)  # fmt: skip
async def test_home_as_the_working_folder_leaves_its_hidden_files_alone(home: Path, path: str) -> None:
    await refused(files_in(home, allowed_paths=(".",)), path)


async def test_what_is_not_hidden_in_home_is_an_ordinary_file(home: Path) -> None:
    files = files_in(home, allowed_paths=(".",))
    await files.write_text("notes.py", "x")
    await files.mkdir("work/deep", parents=True)
    await files.write_text("work/deep/.hidden", "x")
    await files.move("work", "play")
    await files.delete("play/deep/.hidden")


async def test_a_hidden_folder_of_home_can_be_named(home: Path) -> None:
    (home / ".config" / "mine").mkdir(parents=True)
    files = files_in(home, allowed_paths=("~/.config/mine",))
    await files.write_text("~/.config/mine/a.txt", "x")
    with pytest.raises(SecurityError):
        await files.write_text("~/.config/other.txt", "x")


async def test_a_working_folder_below_a_hidden_folder_of_home_is_worked_in(home: Path) -> None:
    place = home / ".worktrees" / "one"
    place.mkdir(parents=True)
    await files_in(place).write_text("a.txt", "x")
    with pytest.raises(SecurityError):
        await files_in(place).write_text("../other.txt", "x")


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/post-checkout", "deep/.git/config", ".git", ".GIT/hooks/pre-commit", ".g\u200cit/config", "sub/.hg/hgrc",
        ".venv/lib/python3.11/site-packages/x.pth", "venv/bin/activate", "x.pth", "lib/site-packages/a.py", "pyvenv.cfg",
        "sitecustomize.py", "usercustomize.pyc", "a/__pycache__/b.pyc", "x.dist-info/entry_points.txt",
        "src/x.egg-info/entry_points.txt", "__editable__.egg-link", ".envrc", ".vscode/tasks.json", ".idea/workspace.xml",
        ".cursor/mcp.json", ".mcp.json", ".claude/settings.json",
        "llmspell_plugins/evil.py", "llmspell.toml", "Llmspell.TOML", "sub/llmspell.prod.toml", ".llmspell.toml",
        "config/llmspell.toml", "LLMSPELL_PLUGINS/x.py", "l\u200dlmspell.toml",
    ],
)  # fmt: skip
async def test_names_that_are_executed_or_believed_anywhere(tmp_path: Path, path: str) -> None:
    await refused(files_in(tmp_path, allowed_paths=(".",)), path)


async def test_an_environment_is_known_by_its_file_and_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "tools" / "bin").mkdir(parents=True)
    (tmp_path / "tools" / "pyvenv.cfg").write_text("home = /usr/bin")
    await refused(files_in(tmp_path), "tools/bin/activate")
    await refused(files_in(tmp_path), "tools/lib64/x.txt")


async def test_work_goes_on_in_a_folder_that_is_an_environment_itself(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin")
    (tmp_path / "bin").mkdir()
    files = files_in(tmp_path, allowed_paths=(".",))
    await files.write_text("notes.txt", "x")
    await files.mkdir("out")
    await refused(files, "bin/python")
    await refused(files, "lib/python3.11/x.txt")


async def test_the_interpreter_and_the_folders_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "tools"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}relative{os.pathsep}{os.environ['PATH']}")
    files = files_in(tmp_path)
    await refused(files, "tools/ls")
    for folder in (sys.prefix, sys.base_prefix, Path(sys.executable).parent, Path(os.__file__).parent):
        with pytest.raises(SecurityError):
            await files.write_text(Path(folder) / "evil.txt", "x")


async def test_a_working_folder_on_the_search_path_keeps_its_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "deploy").write_text("#!/bin/sh")
    (tmp_path / "deploy").chmod(0o755)
    files = files_in(tmp_path)
    await files.write_text("notes.txt", "x")
    await refused(files, "deploy")


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on `sys.path`, as an editable install puts it there: the working folder of its author."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "shared").mkdir()
    other = tmp_path.parent / f"{tmp_path.name}-other"
    (other / "shared").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(other)])
    return tmp_path


@pytest.mark.parametrize(
    "path",
    ["json.py", "x.so", "mine/data.json", "mine/sub/new.txt", "mine/__init__.py", "new/__init__.py", "shared/part.py"],
)
async def test_what_python_would_import_from_the_working_folder(imported: Path, path: str) -> None:
    await refused(files_in(imported, blocked_extensions=()), path)


async def test_other_files_of_a_folder_on_the_search_path_are_ordinary(imported: Path) -> None:
    files = files_in(imported)
    await files.write_text("notes.txt", "x")
    await files.mkdir("out")
    await files.write_text("out/generated.py", "x")


async def test_a_folder_does_not_become_a_package_by_moving(imported: Path) -> None:
    files = files_in(imported)
    await files.mkdir("out/json", parents=True)
    await files.write_text("out/json/__init__.py", "x")
    for source, target in (("out/json", "json"), ("mine", "out/mine"), (".", "../elsewhere")):
        with pytest.raises(SecurityError):
            await files.move(source, target)


@pytest.mark.parametrize(
    "inside", [".git/config", "llmspell.toml", "a/b/.venv/pyvenv.cfg", "tools/pyvenv.cfg", "x/llmspell.dev.toml"]
)
async def test_a_folder_that_holds_such_a_file_is_not_moved(tmp_path: Path, inside: str) -> None:
    """Who moves the folder away can put another one, with other files, in its place."""
    place = tmp_path / "project" / inside
    place.parent.mkdir(parents=True)
    place.write_text("x")
    files = files_in(tmp_path)
    with pytest.raises(SecurityError, match="may not be moved"):
        await files.move("project", "old")
    await files.mkdir("empty")
    with pytest.raises(SecurityError):
        await files.move("project", "empty")


async def test_a_folder_above_a_configured_place_is_not_moved_and_none_moves_there(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    files = files_in(tmp_path, read_only_paths=("a/b/models", "c/d/catalog"))
    await files.mkdir("mine/d/catalog", parents=True)
    for source, target in (("a", "old"), ("a/b", "old"), ("mine", "c")):
        with pytest.raises(SecurityError):
            await files.move(source, target)
    await files.move("mine", "yours")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
async def test_a_link_on_the_way_to_such_a_place_is_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("real")
    files = files_in(tmp_path, read_only_paths=("one/catalog",))
    for name in ("one", "two"):
        with pytest.raises(SecurityError):
            await files.delete(name)
        with pytest.raises(SecurityError):
            await files.move(name, "away")
    for name in ("one/catalog", "two/catalog/x.json", "real/catalog", "REAL/Catalog"):
        with pytest.raises(SecurityError):
            await files.write_text(name, "x")


async def test_another_name_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "settings").write_text("old")
    room = tmp_path / "room"
    room.mkdir()
    os.link(tmp_path / "outside" / "settings", room / "linked")
    files = files_in(room, allowed_paths=(".",))
    with pytest.raises(SecurityError, match="hard link"):
        await files.append("linked", "x")
    with pytest.raises(SecurityError, match="hard link"):
        await files.write_text("linked", "x", atomic=False)
    with pytest.raises(SecurityError, match="hard link"):
        files.open("linked", "wb")
    await files.write_text("linked", "new")
    assert (tmp_path / "outside" / "settings").read_text() == "old"


async def test_a_place_that_is_denied_is_denied_in_every_case_of_its_letters(tmp_path: Path) -> None:
    for folder in ("Secret", "secret"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "key").write_text("k")
    files = files_in(tmp_path, denied_paths=("SECRET",))
    for path in ("Secret/key", "secret/key", "./secret/../secret/KEY"):
        with pytest.raises(SecurityError):
            await files.read_text(path)


def test_one_text_stands_for_all_spellings() -> None:
    assert folded("/A/\u0045\u0301t\u00e9") == folded("/a/\u00e9te\u0301")
    assert folded("/a/\u200d/b") != folded("/a/b")
