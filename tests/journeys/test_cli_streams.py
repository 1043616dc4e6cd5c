"""Streams that are closed, full or have lost their reader, and signals to a run in the background of a shell script."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")

COMMANDS = ["exec 'print(1)'", "exec 'return 1'", "--output json exec 'return 1'", "tool list", "config show", "--help"]


def in_shell(command: str, **env: str) -> tuple[int, str, str]:
    """`llmspell` in a POSIX shell: exit code, stdout, stderr."""
    text = command.replace("llmspell", f"{shlex.quote(sys.executable)} -m llmspell_core", 1)
    done = subprocess.run(
        ["/bin/sh", "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_cannot_be_written_is_one_line_and_a_failure(isolated: Path, command: str) -> None:
    for target, reason in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        assert in_shell(f"llmspell {command} {target}") == (
            1,
            "",
            f"Error: the output could not be written: {reason}\n",
        )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_script_whose_output_is_lost_ends_at_once(isolated: Path, unbuffered: str) -> None:
    code, _, said = in_shell("llmspell exec 'while true do print(1) end' >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (code, said) == (1, "Error: the output could not be written: No space left on device\n")


def test_a_reader_that_has_seen_enough_is_no_reason_to_complain(isolated: Path) -> None:
    assert in_shell("llmspell exec 'while true do print(1) end' | head -1") == (0, "1\n", "")


def test_without_stderr_the_work_is_done_and_the_exit_code_tells_of_what_was_lost(isolated: Path) -> None:
    assert in_shell("llmspell exec 'print(1)' 2>/dev/full") == (0, "1\n", "")
    assert in_shell("llmspell exec 'print(1)' 2>&-") == (0, "1\n", "")
    assert in_shell("llmspell exec 'print(1) io.stderr:write(2)' 2>/dev/full")[:2] == (1, "1\n")
    assert in_shell("llmspell nonsense 2>/dev/full")[0] == 2
    assert in_shell("llmspell exec 'os.exit(7)' <&- >&- 2>&-")[0] == 7


def test_a_closed_stdin_is_empty_for_scripts_and_an_error_for_who_reads_it(isolated: Path) -> None:
    assert in_shell("llmspell exec 'print(1)' <&-") == (0, "1\n", "")
    for command in ("exec -", "run -", "tool invoke calculator --params -"):
        code, _, said = in_shell(f"llmspell {command} <&-")
        assert code != 0
        assert said.startswith("Error: standard input cannot be read: ")


def test_nothing_else_gets_the_number_of_a_closed_stream(isolated: Path) -> None:
    (isolated / "x.lua").write_text(
        'Tool.execute("file-operations", {operation = "write", path = "f", input = "text"})'
    )
    assert in_shell("llmspell run x.lua <&- >&- 2>&-")[0] == 0
    assert (isolated / "f").read_text() == "text"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_signals_end_a_run_in_the_background_of_a_script(isolated: Path, name: str) -> None:
    assert background("", name) == 128 + getattr(signal, name)


def test_under_nohup_a_hangup_ends_nothing_and_a_termination_does(isolated: Path) -> None:
    assert background("trap '' HUP;", "SIGHUP", "SIGTERM") == 128 + signal.SIGTERM


def background(before: str, *names: str) -> int:
    """Exit code of a run that a shell without job control started with `&`, and that was sent those signals."""
    source = "print('up') while true do Async.sleep(50) end"
    run = f"{shlex.quote(sys.executable)} -m llmspell_core exec {shlex.quote(source)} --timeout 40"
    with subprocess.Popen(
        ["/bin/sh", "-c", f"{before} {run} & echo $!; wait $!; exit $?"], stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout is not None
        number = int(shell.stdout.readline())
        assert shell.stdout.readline() == "up\n"
        for name in names:
            os.kill(number, getattr(signal, name))
            time.sleep(0.2)  # the first one must have had its chance
        return shell.wait(30)


LONG = {"lua": "return string.rep('x', 3000000)", "javascript": "return 'x'.repeat(3000000)"}


@pytest.mark.parametrize("engine", LONG)
def test_a_result_that_nobody_reads_keeps_the_program_no_longer_than_its_timeout(isolated: Path, engine: str) -> None:
    """Without `--timeout` it waits for its reader, as programs do."""
    command = [sys.executable, "-m", "llmspell_core", "--output", "json", "exec", "--engine", engine]
    for limit, code, said in ((["--timeout", "2"], 1, "not read within the 2 s of --timeout"), ([], 0, "")):
        with subprocess.Popen(
            [*command, *limit, LONG[engine]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            assert run.stderr is not None
            if not limit:
                time.sleep(3.5)  # longer than the other one lasted
                assert run.poll() is None
                assert len(run.stdout.read()) > 3_000_000
            assert run.wait(20) == code
            assert said in run.stderr.read()
