"""Configuration files are replaced whole or not at all, and changed by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from llmspell_core.config.editing import set_value
from llmspell_core.config.replacing import replace
from llmspell_core.errors import ConfigurationError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks and limits there")

MANY = """
import sys
from pathlib import Path
from llmspell_core.config.editing import set_value
for number in range(50):
    set_value(Path(sys.argv[1]), f"tools.mine.{sys.argv[2]}{number}", number)
"""
SMALL_DISK = """
import resource, signal, sys
from pathlib import Path
from llmspell_core.config.replacing import replace
from llmspell_core.errors import ConfigurationError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    replace(Path(sys.argv[1]), "b" * 1000)
except ConfigurationError as error:
    print(error.hint)
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from llmspell_core.config.replacing import replace
replace(Path(sys.argv[1]), "new", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def test_two_processes_that_change_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there.toml"
    both = [started(MANY, path, name) for name in "ab"]
    for one in both:
        one.communicate(timeout=60)
        assert one.returncode == 0
    mine = tomllib.loads(path.read_text("utf-8"))["tools"]["mine"]
    assert mine == {f"{name}{number}": number for name in "ab" for number in range(50)}
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("old", "utf-8")
    said, _ = started(SMALL_DISK, path).communicate(timeout=60)
    assert said == "The system limits the size of files here; see: ulimit -f.\n"
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_that_is_killed_in_the_middle_leaves_the_old_file_and_the_next_one_clears_up(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("old", "utf-8")
    child = started(KILLED, path)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert path.read_text("utf-8") == "old"
    replace(path, "newer")
    assert path.read_text("utf-8") == "newer"
    assert list(tmp_path.iterdir()) == [path]


def test_what_must_happen_before_and_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("old", "utf-8")
    with pytest.raises(ZeroDivisionError):
        replace(path, "new", lambda: 1 / 0)
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_permissions_stay_and_a_new_file_is_private(tmp_path: Path) -> None:
    real, link, new = tmp_path / "real.toml", tmp_path / "link.toml", tmp_path / "new.toml"
    real.write_text("", "utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    set_value(link, "tools.mine.a", 1)
    set_value(new, "tools.mine.a", 1)
    assert link.is_symlink()
    assert "a = 1" in real.read_text("utf-8")
    assert [path.stat().st_mode & 0o777 for path in (real, new)] == [0o640, 0o600]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigurationError, match=f"cannot write {tmp_path}{os.sep}file"):
        set_value(tmp_path / "file" / "folder" / "a.toml", "tools.mine.a", 1)
