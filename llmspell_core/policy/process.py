"""`ctx.process`: child processes as a tool sees them: named programs, no shell, a small environment, an end."""

from __future__ import annotations

import asyncio
import builtins
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmspell_core.errors import (
    NotFoundError,
    SecurityError,
    StorageError,
    TimeoutError,
    ValidationError,
)

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.policy.policy import Policy

__all__ = ["Process", "ProcessResult"]

log = logging.getLogger("llmspell.policy")

CHUNK = 65536
LOOK_EVERY = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a program ended. A negative exit code is the signal that ended it."""

    program: str
    exit_code: int
    stdout: str
    stderr: str
    duration_ms: int
    truncated: bool


class Process:
    """Programs for one execution."""

    def __init__(self, policy: Policy, context: ExecutionContext | None = None) -> None:
        self._policy = policy
        self._context = context

    async def run(
        self,
        program: str,
        args: Sequence[str] = (),
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        max_output: int | None = None,
    ) -> ProcessResult:
        """Run a program to its end, without a shell and without input.

        Args:
            program: a name found on the PATH, or an absolute path.
            cwd: by default the policy's working directory.
            env: added to the permitted part of the environment; only permitted names.
            timeout: seconds; by default the policy's. The program and its children are killed then, and on cancel.
            max_output: bytes kept of each stream; the rest is read and dropped.

        Raises:
            SecurityError: the program, the directory or a variable is not permitted.
            NotFoundError, TimeoutError, StorageError: there is no such program, it took too long, it did not start.
        """
        try:
            path = self._permitted(program)
            directory = self._directory(cwd)
            environment = self._environment(env or {})
        except SecurityError as error:
            await self._policy.report(error, self._context)
            raise
        settings = self._policy.settings
        log.info("run %s with %d arguments", path, len(args))
        run = _Run(
            path, list(args), directory, environment, settings.max_output_size if max_output is None else max_output
        )
        return await run.within(settings.command_timeout if timeout is None else timeout)

    def _permitted(self, program: str) -> Path:
        """The absolute path of a permitted program, its last link not followed: some programs look at their name."""
        settings = self._policy.settings
        if not settings.allow_process_spawn:
            raise _denial(
                f"the security profile '{settings.profile}' does not let tools start programs",
                "Set runtime.security.allow_process_spawn = true.",
            )
        found = self._find(program)
        if "*" not in settings.allowed_commands and not any(
            _same(found, self._look_up(c)) for c in settings.allowed_commands
        ):
            allowed = ", ".join(settings.allowed_commands) or "none"
            raise _denial(
                f"'{program}' is not a program that tools may start (allowed: {allowed})",
                f'Add "{program}" to tools.system.allowed_commands.',
            )
        if found is None:
            raise NotFoundError(
                f"there is no program '{program}'",
                what="program",
                name=program,
                hint="Is it installed and on the PATH?",
            )
        return found

    def _find(self, program: str) -> Path | None:
        if not program or "\0" in program:
            raise ValidationError("the program needs a name", field="program")
        if os.sep in program and not Path(program).is_absolute():
            raise ValidationError(
                f"'{program}' is a relative path", field="program", hint="Give a name or an absolute path."
            )
        return self._look_up(program)

    def _look_up(self, program: str) -> Path | None:
        # A relative folder on the PATH would be one that scripts may write to.
        folders = self._policy.environ.get("PATH", os.defpath).split(os.pathsep)
        found = shutil.which(program, path=os.pathsep.join(f for f in folders if Path(f).is_absolute()) or os.devnull)
        return Path(found).absolute() if found else None

    def _directory(self, cwd: str | os.PathLike[str] | None) -> Path:
        if cwd is None:
            return self._policy.settings.base
        real = Path(os.path.realpath(self._policy.paths.absolute(cwd)))
        self._policy.paths.check(real, "read", cwd)
        if not real.is_dir():
            raise NotFoundError(f"there is no directory '{os.fspath(cwd)}'", what="directory", name=os.fspath(cwd))
        return real

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        for name in extra:
            if not self._policy.may_read_env(name):
                raise SecurityError(
                    f"the variable {name} may not be set for programs",
                    violation_type="environment_denied",
                    hint=f'Add "{name}" to security.sandbox.allowed_env_vars.',
                )
        return {**self._policy.environment(), **extra}


class _Run:
    """One running program and everything it started."""

    def __init__(self, path: Path, args: list[str], cwd: Path, env: dict[str, str], max_output: int) -> None:
        self._path = path
        self._args = args
        self._cwd = cwd
        self._env = env
        self._max_output = max_output
        self._truncated = False

    async def within(self, seconds: float) -> ProcessResult:
        started = time.perf_counter()
        process = await self._start()
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                stdout, stderr = await self._finish(process)
        except builtins.TimeoutError:
            if not deadline.expired():
                raise
            raise self._too_slow(seconds) from None
        finally:
            await _end(process)
        elapsed = round((time.perf_counter() - started) * 1000)
        assert process.returncode is not None
        return ProcessResult(
            str(self._path), process.returncode, _text(stdout), _text(stderr), elapsed, self._truncated
        )

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                str(self._path),
                *self._args,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=sys.platform != "win32",
            )
        except (OSError, ValueError) as error:
            raise StorageError(
                f"cannot start {self._path}: {error}", operation="start", hint="Is it a program for this machine?"
            ) from error

    async def _finish(self, process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.TaskGroup() as group:
            out = group.create_task(self._collect(process.stdout))
            err = group.create_task(self._collect(process.stderr))
            await _exited(process)
            # Children left behind hold the pipes open, and nobody would end them.
            _kill_group(process)
        return out.result(), err.result()

    async def _collect(self, stream: asyncio.StreamReader) -> bytes:
        kept = bytearray()
        while chunk := await stream.read(CHUNK):
            room = self._max_output - len(kept)
            kept += chunk[:room]
            self._truncated = self._truncated or len(chunk) > room
        return bytes(kept)

    def _too_slow(self, seconds: float) -> TimeoutError:
        return TimeoutError(
            f"{self._path.name} did not end within {seconds:g} seconds and was stopped",
            duration_ms=round(seconds * 1000),
            hint="Raise the time-out if the program needs longer.",
        )


async def _exited(process: asyncio.subprocess.Process) -> None:
    """Return when the program itself has ended; `wait` alone also waits for whoever else holds its pipes open."""
    while process.returncode is None:
        with suppress(builtins.TimeoutError):
            await asyncio.wait_for(process.wait(), LOOK_EVERY)


async def _end(process: asyncio.subprocess.Process) -> None:
    _kill_group(process)
    await asyncio.shield(_exited(process))


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        elif process.returncode is None:
            process.kill()


def _same(one: Path | None, other: Path | None) -> bool:
    """Whether both are one program; two names of one multi-call binary are two programs."""
    if one is None or other is None:
        return False
    return one.name == other.name and os.path.realpath(one) == os.path.realpath(other)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _denial(message: str, hint: str) -> SecurityError:
    return SecurityError(message, violation_type="program_denied", hint=hint)
