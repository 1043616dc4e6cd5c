"""What the program writes down is its owner's; the record of denials outlives a flood of other lines; a full disk is told of."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llmspell_core import private
from llmspell_core.testing.fixtures import CliResult
from llmspell_core.testing.terminal import Terminal

Cli = Callable[..., CliResult]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@pytest.fixture(autouse=True)
def usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> list[str]:
    return sorted(
        f"{stat.S_IMODE(path.stat().st_mode):o} {path.relative_to(folder)}"
        for path in folder.rglob("*")
        if path.stat().st_mode & 0o077
    )


def test_nothing_that_the_program_keeps_is_readable_by_others(invoke_cli: Cli, isolated: Path) -> None:
    kept = isolated / "kept"
    settings = (
        "[tracing]\nenabled = true\n[logging]\nlog_file = 'kept/logs/a.log'\nlog_level = 'info'\nmax_size_mb = 1\n"
    )
    (isolated / "own.toml").write_text(settings, "utf-8")
    env = {
        name: str(kept / name) for name in ("HOME", "LLMSPELL_CACHE_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "TMPDIR")
    }
    env["XDG_CONFIG_HOME"] = str(kept / "config")
    (kept / "TMPDIR").mkdir(parents=True, mode=0o700)
    kept.chmod(0o700)
    loud = "for i = 1, 4 do for j = 1, 30 do Debug.info(string.rep('x', 10000)) end end"
    for _ in range(3):
        invoke_cli("--config", "own.toml", "exec", loud, env=env).assert_success()
    invoke_cli("tool", "list", env=env).assert_success()
    assert {"a.log", "a.log.1", "a.log.2.gz"} <= {path.name for path in (kept / "logs").iterdir()}
    assert readable_by_others(kept) == []


def test_the_history_of_a_session_is_private(isolated: Path) -> None:
    history = isolated / "state" / "history"
    terminal = Terminal("repl", "--history", str(history))
    terminal.expect("lua>")
    terminal.kill()
    assert readable_by_others(isolated / "state") == []
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_a_log_of_an_earlier_version_is_closed_to_others(tmp_path: Path) -> None:
    old = tmp_path / "a.log"
    old.write_text("x\n")
    old.chmod(0o644)
    os.close(private.append(old))
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    assert old.read_text() == "x\n"


def test_a_flood_of_lines_does_not_push_out_what_was_denied(invoke_cli: Cli, isolated: Path) -> None:
    settings = (
        "[logging]\nlog_file = 'a.log'\nlog_level = 'info'\nmax_size_mb = 1\nmax_backups = 1\nconsole_level = 'error'\n"
    )
    (isolated / "own.toml").write_text(settings, "utf-8")
    refused = "pcall(Tool.execute, 'file-operations', {operation = 'read', path = '/etc/shadow'})"
    invoke_cli(
        "--config", "own.toml", "exec", f"{refused} for i = 1, 300 do Debug.info(string.rep('x', 10000)) end"
    ).assert_success()
    logs = [path for path in isolated.glob("a.log*") if not path.name.endswith(".denied")]
    assert not any("/etc/shadow" in path.read_text("utf-8") for path in logs if path.suffix != ".gz")
    assert "denied: access to '/etc/shadow'" in (isolated / "a.log.denied").read_text("utf-8")


def test_a_run_that_is_denied_something_all_the_time_does_not_push_out_the_denials_of_others(
    invoke_cli: Cli, isolated: Path
) -> None:
    (isolated / "own.toml").write_text("[logging]\nlog_file = 'a.log'\nconsole_level = 'error'\n", "utf-8")
    often = "for i = 1, 1100 do pcall(Tool.execute, 'file-operations', {operation = 'read', path = '/etc/x' .. i}) end"
    invoke_cli("--config", "own.toml", "exec", often).assert_success()
    lines = (isolated / "a.log.denied").read_text("utf-8").splitlines()
    assert len(lines) == 1001
    assert lines[-1].endswith("1,000 denials; no more of this run")


def test_a_log_that_cannot_be_written_is_told_of_once(invoke_cli: Cli, isolated: Path) -> None:
    (isolated / "own.toml").write_text("[logging]\nlog_file = '/dev/full'\nlog_level = 'info'\n", "utf-8")
    done = invoke_cli("--config", "own.toml", "exec", "Debug.info('a') Debug.info('b') print(1)").assert_success()
    assert done.stdout == "1\n"
    assert done.stderr == "Warning: the log file /dev/full cannot be written: No space left on device\n"


def test_traces_that_cannot_be_written_are_told_of_once(isolated: Path) -> None:
    (isolated / "own.toml").write_text("[tracing]\nenabled = true\n", "utf-8")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from llmspell_core.cli import main; sys.exit(main())"
    )
    script = "for i = 1, 20 do Tool.execute('calculator', {expression = '1'}) end print(1)"
    command = [sys.executable, "-c", code, "--config", "own.toml", "exec", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert done.stderr.count("File too large") == 1


def test_packed_logs_can_be_read(tmp_path: Path) -> None:
    with (
        private.drafted(tmp_path / "a.gz", tmp_path / "a.new") as number,
        os.fdopen(number, "wb", closefd=False) as file,
    ):
        file.write(gzip.compress(b"text"))
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"text"
    assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]
