"""Scripts and surroundings that stopped other command lines: marks, line ends, names, variables, shadows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HELLO = {"lua": "print('hello ' .. 'ü')", "js": "console.log('hello ' + 'ü')"}
SOURCES = {
    "marked": "\ufeff{hello}\n",
    "crlf": "{hello}\r\n\r\n",
    "shebang": "#!/usr/bin/env llmspell\r\n{hello}\r\n",
    "marked shebang": "\ufeff#!/usr/bin/env llmspell\n{hello}",
    "-dash": "{hello}\n",
    "größe 🧙": "{hello}\n",
}


def run(*command: str, folder: Path, **environment: str | None) -> tuple[int, str, str]:
    kept = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-m", "llmspell_core", *command],
        cwd=folder,
        env=kept,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("language", HELLO)
def test_marks_line_ends_and_names_of_scripts(isolated: Path, language: str) -> None:
    for name, source in SOURCES.items():
        path = isolated / f"{name}.{language}"
        path.write_bytes(source.format(hello=HELLO[language]).encode())
        assert run("run", "--", path.name, folder=isolated) == (0, "hello ü\n", ""), name


def test_surroundings_that_are_not_as_usual(isolated: Path) -> None:
    (isolated / "json.py").write_text("raise SystemExit('shadowed')")
    (isolated / "asyncio.py").write_text("raise SystemExit('shadowed')")
    for environment in ({"LC_ALL": "C", "PYTHONUTF8": None}, {"COLUMNS": "0", "NO_COLOR": "1"}, {"HOME": None}):
        code, out, said = run("exec", HELLO["lua"], folder=isolated / ".", PYTHONSAFEPATH="1", **environment)  # type: ignore[arg-type]
        assert (code, out, said) == (0, "hello ü\n", ""), environment


@pytest.mark.skipif(sys.platform == "win32", reason="no folder in use can be removed there")
def test_a_folder_that_is_gone_is_no_traceback(isolated: Path) -> None:
    command = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -P -m llmspell_core exec 'print(1)'"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=isolated, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (0, "1\n") or "Error:" in done.stderr
