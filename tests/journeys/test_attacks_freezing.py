"""A host at `--timeout 3` ends within 4 s, whatever its script does, in both languages and under every profile.

The scripts are in `freezes/`. Every time a short form runs; all of them with `pytest -m nightly tests/journeys`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

FREEZES = Path(__file__).with_name("freezes")
PROFILES = ("high", "medium", "low")
BEGUN = {"lua": "print('begun') ", "js": "console.log('begun'); "}
SPARE = 1.0
"""Seconds from a script's deadline to the end of the program."""
ATTEMPTS = 3
"""A busy machine ends a program late once in a while, a freeze every time."""
AT_ONCE = 3
KINDS = {"vm", "finalizer", "end", "wait", "output", "callbacks", "loop", "globals", "pattern", "query", "library"}


@dataclass(frozen=True)
class Attack:
    """A script that wants to keep the host."""

    kind: str
    name: str
    language: str
    source: str


def attacks(language: str) -> list[Attack]:
    text = (FREEZES / f"attacks.{language}").read_text("utf-8")
    parts = re.split(r"^(?:---|///) (\w+): (.+)\n", text, flags=re.MULTILINE)
    return [Attack(*parts[i : i + 2], language, parts[i + 2]) for i in range(1, len(parts), 3)]


def in_short() -> list[tuple[Attack, str]]:
    """One attack of each kind and language; the profiles take turns, the other way round in the second language."""
    chosen = []
    for i, language in enumerate(BEGUN):
        first = {attack.kind: attack for attack in reversed(attacks(language))}
        chosen += [(first[kind], PROFILES[(n + i) % len(PROFILES)]) for n, kind in enumerate(sorted(first))]
    return chosen


@pytest.mark.parametrize("language", BEGUN)
def test_each_kind_has_three_attacks_in_each_language(language: str) -> None:
    kinds = [attack.kind for attack in attacks(language)]
    assert set(kinds) == KINDS
    assert min(map(kinds.count, KINDS)) >= 3


@pytest.mark.timeout(300)
def test_no_kind_of_script_keeps_the_host_beyond_its_deadline(tmp_path: Path) -> None:
    assert failures(in_short(), 1.0, tmp_path) == []


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("language", "profile"), list(product(BEGUN, PROFILES)))
def test_no_script_keeps_the_host_beyond_its_deadline(language: str, profile: str, tmp_path: Path) -> None:
    assert failures([(attack, profile) for attack in attacks(language)], 3.0, tmp_path) == []


def failures(runs: list[tuple[Attack, str]], seconds: float, home: Path) -> list[str]:
    """Starts all of them, some at a time; what was wrong with which."""
    _llmspell("exec", "1", home=home).communicate(timeout=60)  # what is kept in the home is made once

    def judge(run: tuple[Attack, str]) -> str | None:
        problem = None
        for _ in range(ATTEMPTS):
            problem = _problem(*run, seconds, home)
            if problem is None:
                return None
        attack, profile = run
        return f"{attack.language}, {profile}, {attack.kind}: {attack.name}: {problem}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [found for found in pool.map(judge, runs) if found]


def _problem(attack: Attack, profile: str, seconds: float, home: Path) -> str | None:
    folder = home / f"{attack.kind}-{attack.name}-{profile}".replace("/", "-")
    folder.mkdir(exist_ok=True)
    script = folder / f"attack.{attack.language}"
    script.write_text(BEGUN[attack.language] + attack.source, "utf-8")
    words = ("--security-profile", profile, "run", str(script), "--timeout", str(seconds))
    with (
        (folder / "stderr").open("wb+") as errors,
        _llmspell(*words, home=home, folder=folder, stderr=errors) as program,
    ):
        last = threading.Timer(seconds + 30, program.kill)
        last.start()
        try:
            took = _seconds_to_the_end(program)
        finally:
            program.kill()
            last.cancel()
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    if took > seconds + SPARE:
        return f"ended {took - seconds:.2f} s after its deadline"
    if program.returncode not in {0, 1} or "Traceback" in said or "defect" in said:
        return f"exit code {program.returncode}: {said[-1000:]}"
    if took >= seconds and f"did not end within {seconds:g} s" not in said:
        return f"does not say that its time was over: {said[-1000:]}"
    return None


def _seconds_to_the_end(program: subprocess.Popen[bytes]) -> float:
    """From the script's first words, since its deadline begins there and not at the program's start."""
    assert program.stdout is not None
    program.stdout.readline()
    started = time.monotonic()
    while program.stdout.read1(1 << 20):  # type: ignore[attr-defined]
        pass
    program.wait()
    return time.monotonic() - started


UNREAD = {
    "Lua, stdout": ("stdout", "lua", "print('begun') while true do print(('x'):rep(1000)) end"),
    "JavaScript, stdout": ("stdout", "js", "console.log('begun'); while (true) console.log('x'.repeat(1000))"),
    "Lua, stderr": ("stderr", "lua", "io.stderr:write('begun\\n') while true do io.stderr:write(('x'):rep(1000)) end"),
    "JavaScript, stderr": ("stderr", "js", "console.error('begun'); while (true) console.error('x'.repeat(1000))"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_a_reader_that_stops_reading_does_not_hold_up_the_end(case: str, tmp_path: Path) -> None:
    """And whoever reads the other stream is told what happened."""
    stream, engine, source = UNREAD[case]
    took = [_unread(stream, engine, source, tmp_path)]
    while min(took) > 1 + SPARE and len(took) < ATTEMPTS:
        took.append(_unread(stream, engine, source, tmp_path))
    assert min(took) <= 1 + SPARE, took


def _unread(stream: str, engine: str, source: str, home: Path) -> float:
    ours, theirs = os.pipe()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: theirs}
    words = ("exec", "--engine", engine, "--timeout", "1", source)
    with _llmspell(*words, home=home, **pipes) as program:
        os.close(theirs)
        try:
            assert os.read(ours, 6) == b"begun\n"
            started = time.monotonic()
            _, errors = program.communicate(timeout=20)
            took = time.monotonic() - started
        finally:
            program.kill()
            os.close(ours)
    assert program.returncode == 1
    assert stream == "stderr" or b"did not end within 1 s" in errors
    return took


def _llmspell(
    *words: str, home: Path, folder: Path | None = None, stdout: int = subprocess.PIPE, stderr: object = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "llmspell_core", *words],
        stdin=subprocess.PIPE,  # nobody writes to it, and nobody closes it
        stdout=stdout,
        stderr=stderr,  # type: ignore[call-overload]
        cwd=folder or home,
        env={**os.environ, "HOME": str(home)},
    )
