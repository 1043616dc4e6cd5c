"""The second fence: what the operating system takes away from an engine worker before a script runs in it.

`apply` is called once, by the worker, when the VM library is loaded and the socket to the host is open. From then on
no file, socket or process can be opened, nobody else can be signalled, and memory is bounded. What is open stays
usable. Nothing of it can be undone by the process.

No module can be imported afterwards either: an `import` of something not loaded yet ends in `ModuleNotFoundError`, and
tracebacks show no source lines. So a worker imports first whatever it may ever need.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from llmspell_core.script.fence import kernel, landlock, seccomp

__all__ = ["apply", "probe"]

BASE_BYTES = 768 * 1024 * 1024
"""Address space on top of the script's memory: for the worker's own copies of what crosses the socket.

The VM's own limit is what holds a script. This one is behind it, and so far away that Python never runs out of memory while
the VM waits for what it hands over: six times the largest frame.
"""
OPEN_FILES = 32
PARTS = ("rlimits", "no_new_privs", "dumpable", "parent_death", "capabilities", "landlock", "seccomp")


def apply(settings: dict[str, Any], helpers: Callable[[], list[str]] | None = None) -> dict[str, Any]:
    """Close the fence around this process; returns what is in force.

    Args:
        helpers: starts all threads that this process will ever have and returns what could not be started. Landlock
            comes before them, because it holds for one thread and those that it starts, and the filter behind them,
            because it holds for all and refuses any further one; so do the limits, which count from what is in use.
        settings: all optional. `memory_bytes`: for the script, on top of what is in use now. `jit`: allow executable
            memory. `threads`: False to refuse new threads too. `require_fence`: a part that cannot be had is an error.

    Returns:
        One entry per part of `PARTS`: its value, or `"unavailable: <reason>"`; `missing` names the latter, and
        `missing_watch` what `helpers` could not start.

    Raises:
        SecurityError: with `require_fence`, when a part is missing.
    """
    refuse = _refusal() if settings.get("require_fence") else None
    import resource  # noqa: F401 - no file can be read any more when it is used

    measure = _statm()
    time.localtime()  # the C library reads the time zone file on first use
    jit, threads = bool(settings.get("jit")), bool(settings.get("threads", True))
    report: dict[str, Any] = {"platform": sys.platform, "missing": []}
    _part(report, "no_new_privs", lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1) == 0)
    _part(report, "dumpable", lambda: kernel.prctl(kernel.PR_SET_DUMPABLE, 0) != 0)
    _part(report, "parent_death", _die_with_parent)
    _part(report, "capabilities", kernel.drop_capabilities)
    _part(report, "landlock", landlock.restrict)
    kernel.share_heap()
    report["missing_watch"] = helpers() if helpers is not None else []
    threads = threads and helpers is None
    _part(report, "rlimits", lambda: _limit(settings.get("memory_bytes"), measure, threads=threads))
    _part(report, "seccomp", lambda: seccomp.install(jit=jit, threads=threads))
    if refuse and report["missing"]:
        raise refuse(report)
    return report


def probe() -> dict[str, Any]:
    """What `apply` would achieve on this machine, found out in a child process.

    Raises:
        InternalError: the child did not answer.
    """
    import json
    import subprocess
    from pathlib import Path

    from llmspell_core.errors import InternalError

    folder = str(Path(__file__).resolve().parents[3])
    code = (
        f"import sys; sys.path.append({folder!r}); import json; from llmspell_core.script.fence import apply; "
        "print(json.dumps(apply({'memory_bytes': 1 << 28})))"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env={})
    try:
        report: dict[str, Any] = json.loads(answer.stdout)
    except ValueError as error:
        problem = (answer.stderr.strip().splitlines() or [f"it ended with status {answer.returncode}"])[-1]
        raise InternalError(f"the fence could not be tried out: {problem}") from error
    return report


def _part(report: dict[str, Any], name: str, enforce: Callable[[], object]) -> None:
    try:
        value = enforce()
        report[name] = "dropped" if value is None else value
    except (OSError, ValueError, AttributeError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        report[name] = f"unavailable: {reason}"
        report["missing"].append(name)


def _refusal() -> Callable[[dict[str, Any]], Exception]:
    # Imported before the fence stands: afterwards nothing can be.
    from llmspell_core.errors import SecurityError

    def refuse(report: dict[str, Any]) -> Exception:
        parts = "; ".join(f"{name} {report[name]}" for name in report["missing"])
        return SecurityError(
            f"the script's process cannot be fenced in completely: {parts}",
            hint="run on a kernel that offers it, or set require_fence = false under [runtime.security]",
            violation_type="fence",
        )

    return refuse


def _die_with_parent() -> str:
    # The kernel counts the thread that started this process as its parent, so that thread has to live as long.
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    return "SIGKILL"


def _limit(memory_bytes: int | None, measure: int | None, *, threads: bool) -> dict[str, int]:
    import resource

    wanted = {"CORE": 0, "FSIZE": 0, "NOFILE": OPEN_FILES}
    if not threads or sys.platform != "linux":  # Linux counts threads as processes
        wanted["NPROC"] = 0
    if memory_bytes:
        wanted["AS"] = memory_bytes + BASE_BYTES + _address_space(measure, resource.getpagesize())
    for name, value in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
        wanted[name] = value
    return wanted


def _statm() -> int | None:
    """A descriptor that tells the address space in use whenever it is read; opened while files still can be."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return None


def _address_space(measure: int | None, page: int) -> int:
    """Bytes of address space in use now; a generous guess where the system does not say."""
    if measure is None:
        return 512 * 1024 * 1024
    try:
        return int(os.read(measure, 100).split()[0]) * page
    finally:
        os.close(measure)
