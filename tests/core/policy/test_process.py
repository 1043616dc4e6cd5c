"""Real programs: only those allowed, with little of the environment, and never for longer than allowed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import NotFoundError, SecurityError, StorageError, TimeoutError, ValidationError
from llmspell_core.policy import Policy, Process

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the programs of these tests are those of a POSIX shell"
)


def process(tmp_path: Path, **settings: Any) -> Process:
    given = {
        "allow_process_spawn": True,
        "allowed_commands": ["sh", "sleep", "env", "cat"],
        "working_directory": str(tmp_path),
    }
    return Process(Policy(given | {"allowed_paths": [str(tmp_path)]} | settings))


async def test_a_program_runs_and_tells_how_it_ended(tmp_path: Path) -> None:
    result = await process(tmp_path).run("sh", ["-c", "echo out; echo err >&2; exit 3"])
    assert (result.stdout, result.stderr, result.exit_code, result.truncated) == ("out\n", "err\n", 3, False)


async def test_arguments_are_not_seen_by_a_shell(tmp_path: Path) -> None:
    result = await process(tmp_path).run("sh", ["-c", 'printf %s "$1"', "sh", "a; $(echo b) `c` *"])
    assert result.stdout == "a; $(echo b) `c` *"


async def test_programs_that_are_not_listed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SecurityError, match="'ls' is not a program") as caught:
        await process(tmp_path).run("ls")
    assert caught.value.violation_type == "program_denied"
    assert "tools.system.allowed_commands" in str(caught.value.hint)


async def test_nothing_runs_when_the_profile_says_so(tmp_path: Path) -> None:
    with pytest.raises(SecurityError, match="does not let tools start programs"):
        await Process(Policy({"allowed_commands": ["*"]})).run("sh")


async def test_another_program_of_an_allowed_name_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "sh"
    fake.write_text("#!/bin/sh\necho fake\n")
    fake.chmod(0o755)
    with pytest.raises(SecurityError):
        await process(tmp_path).run(str(fake))
    with pytest.raises(ValidationError, match="relative path"):
        await process(tmp_path).run("./sh")


@pytest.mark.parametrize("path", [".", "", "bin", ".:/usr/bin:/bin"])
async def test_a_relative_folder_on_the_path_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    for folder in (tmp_path, tmp_path / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "sh").write_text("#!/bin/sh\necho fake\n")
        (folder / "sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", path)
    try:
        result = await process(tmp_path).run("sh", ["-c", "echo real"])
    except (NotFoundError, SecurityError):
        return
    assert result.stdout == "real\n"


async def test_a_program_gets_no_open_file_of_the_host(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    with secret.open() as held:
        os.set_inheritable(held.fileno(), True)
        result = await process(tmp_path).run("sh", ["-c", "for f in /proc/self/fd/*; do readlink $f; done; true"])
    assert str(secret) not in result.stdout


async def test_a_second_name_of_an_allowed_program_is_refused(tmp_path: Path) -> None:
    """Many programs are one file that looks at its name, busybox above all."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "box").write_text('#!/bin/sh\nbasename "$0"\n')
    (tools / "box").chmod(0o755)
    for name in ("harmless", "harmful"):
        (tools / name).symlink_to("box")
    allowed = process(tmp_path, allowed_commands=[str(tools / "harmless")])
    with pytest.raises(SecurityError):
        await allowed.run(str(tools / "harmful"))


async def test_missing_and_broken_programs_are_explained(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x00\x01 no program")
    broken.chmod(0o755)
    anything = process(tmp_path, allowed_commands=["*"])
    with pytest.raises(NotFoundError, match="no-such-program"):
        await anything.run("no-such-program")
    with pytest.raises(StorageError, match="cannot start"):
        await anything.run(str(broken))


async def test_only_permitted_variables_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSPELL_TEST_SECRET", "geheim")
    monkeypatch.setenv("LLMSPELL_TEST_MODE", "on")
    runner = process(tmp_path, allowed_env_vars=["LLMSPELL_TEST_MODE", "EXTRA"])
    result = await runner.run("env", env={"EXTRA": "1"})
    assert sorted(result.stdout.split()) == ["EXTRA=1", "LLMSPELL_TEST_MODE=on"]
    with pytest.raises(SecurityError, match="LD_PRELOAD"):
        await runner.run("env", env={"LD_PRELOAD": "evil.so"})


async def test_the_working_directory_is_checked(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert (await process(tmp_path).run("sh", ["-c", "pwd"], cwd="sub")).stdout == f"{tmp_path / 'sub'}\n"
    with pytest.raises(SecurityError):
        await process(tmp_path).run("sh", ["-c", "pwd"], cwd="/etc")
    with pytest.raises(NotFoundError):
        await process(tmp_path).run("sh", ["-c", "pwd"], cwd="missing")


async def test_a_program_that_reads_gets_nothing_instead_of_waiting(tmp_path: Path) -> None:
    assert (await process(tmp_path).run("cat", timeout=5)).stdout == ""


async def test_long_output_is_cut_and_the_program_still_ends(tmp_path: Path) -> None:
    result = await process(tmp_path).run(
        "sh", ["-c", "i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i+1)); done"], max_output=100
    )
    assert (len(result.stdout), result.truncated, result.exit_code) == (100, True, 0)


async def test_a_timeout_ends_the_program_and_its_children(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.3 seconds"):
        await process(tmp_path).run("sh", ["-c", "sleep 60 & echo $! > pid; wait"], timeout=0.3)
    assert not await _is_running(tmp_path / "pid")


async def test_cancelling_ends_the_program_and_its_children(tmp_path: Path) -> None:
    task = asyncio.ensure_future(process(tmp_path).run("sh", ["-c", "sleep 60 & echo $! > pid; wait"]))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await _is_running(tmp_path / "pid")


async def test_children_left_behind_neither_delay_the_result_nor_live_on(tmp_path: Path) -> None:
    started = time.monotonic()
    result = await process(tmp_path).run("sh", ["-c", "sleep 60 & echo $! > pid; echo done"])
    assert result.stdout == "done\n"
    assert time.monotonic() - started < 30
    assert not await _is_running(tmp_path / "pid")


async def test_output_that_is_not_text_does_not_hurt(tmp_path: Path) -> None:
    assert (await process(tmp_path).run("sh", ["-c", r"printf '\377\376ok'"])).stdout.endswith("ok")


async def _is_running(file: Path) -> bool:
    """Whether the process is still there after a moment; a dead one that nobody has waited for does not count."""
    pid = int(file.read_text())
    for _ in range(100):
        if not _exists(pid):
            return False
        await asyncio.sleep(0.02)
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no /proc here, or the process has just gone
        return not Path("/proc/self").exists()
