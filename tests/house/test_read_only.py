"""What a run reads to configure itself or to import, no script may write: found out by watching what runs read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmspell_core.config import load_config
from llmspell_core.errors import SecurityError
from llmspell_core.runtime import Runtime

WATCHED = """
import json, os, sys
seen = set()

def watch(event, arguments):
    path = arguments[0] if arguments else None
    if event in {"open", "os.listdir", "os.scandir"} and isinstance(path, (str, bytes)):
        if event != "open" or not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            seen.add(os.path.abspath(os.fsdecode(path)))

def looked_at(path, *arguments, **named):
    if isinstance(path, (str, os.PathLike)) and named.get("dir_fd") is None:
        seen.add(os.path.abspath(os.fspath(path)))
    return stat(path, *arguments, **named)

stat, os.stat = os.stat, looked_at
sys.addaudithook(watch)
target = sys.argv.pop(1)
from llmspell_core.cli import main
try:
    main()
finally:
    with open(target, "w") as file:
        json.dump(sorted(seen), file)
"""
COMMANDS = (
    ("run", "own.js"),
    ("run", "--trace", "own.lua"),
    ("tool", "list"),
    ("config", "show"),
)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and llmspell's folders where no other rule covers them."""
    for name in [name for name in os.environ if name.startswith(("LLMSPELL_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMSPELL_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configs"))
    (tmp_path / "home").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "own.lua").write_text("return require('part')", "utf-8")
    (work / "part.lua").write_text("return 1", "utf-8")
    (work / "own.js").write_text("require('./part.js')", "utf-8")
    (work / "part.js").write_text("exports.x = 1", "utf-8")
    return work


def watched(command: tuple[str, ...], work: Path) -> list[Path]:
    target = work.parent / "seen.json"
    arguments = [sys.executable, "-c", WATCHED, str(target), *command]
    done = subprocess.run(arguments, cwd=work, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [Path(text) for text in json.loads(target.read_text("utf-8"))]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_what_a_run_reads_is_read_only_under_every_profile(command: tuple[str, ...], places: Path) -> None:
    config = load_config(overrides={"runtime": {"security": {"profile": "low"}}})
    async with Runtime(config, cwd=places) as runtime:
        rules = runtime.policy.paths
    # What the operator names is theirs to have written; a folder that is looked at is judged by what could be put there.
    named = {places, places.parent, Path(places.anchor), *places.glob("*.lua"), *places.glob("*.js")}
    open_ = []
    for path in watched(command, places):
        real = Path(os.path.realpath(path))
        if real in named or real in map(Path, ("/tmp", "/dev/null")) or real in Path.home().parents:
            continue
        try:
            rules.check(real / "new.py" if real.is_dir() else real, "write", path)
        except SecurityError:
            continue
        open_.append(str(path))
    assert open_ == [], "read by a run, and a script may write it: see llmspell_core.runtime.read_places"
