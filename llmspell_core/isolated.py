"""Runs a Python file in a process of its own, for libraries that cannot be stopped from outside.

A parser in C may hold Python's lock until it is done, and hostile data may keep it busy for ever or make it ask for all
memory there is. In a child process a deadline is a kill and a memory limit is the system's.

    answer = await run_isolated(WORKER, data, tool="json-processor", library="jq", seconds=30, memory=2**30)

The file reads what it is given from standard input and writes its answer to standard output. It starts with an empty
environment, sees the standard library and the folder of `library`, and can write no files.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from llmspell_core.errors import LLMSpellError, ResourceLimitError, TimeoutError, ToolError
from llmspell_core.time_limit import within

__all__ = ["is_installed", "run_isolated"]

# Limits are set inside the child, so that the parent need not fork through Python code. What a system does not offer
# (Windows: all of it, macOS: the memory limit) is left to the deadline.
BOOT = """
import sys
worker, folder, memory, seconds = sys.argv[1:5]
try:
    import resource
    limits = (resource.RLIMIT_CPU, int(seconds)), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)
    for limit, value in ((resource.RLIMIT_AS, int(memory)), *limits):
        try:
            resource.setrlimit(limit, (value, value))
        except (ValueError, OSError):
            pass
except ImportError:
    pass
sys.path.append(folder)
with open(worker, encoding="utf-8") as file:
    code = compile(file.read(), worker, "exec")
exec(code, {"__name__": "__main__", "__file__": worker})
"""
OUT_OF_MEMORY = ("MemoryError", "allocate", "std::bad_alloc")


def is_installed(library: str) -> bool:
    return find_spec(library) is not None


async def run_isolated(worker: Path, given: bytes, *, tool: str, library: str, seconds: float, memory: int) -> bytes:
    """What the file at `worker` answers to `given`.

    Args:
        library: import name of the library the worker uses; the worker gets its folder and no other.
        seconds: after that many the process is killed; earlier where a script that waits for it has less time left.
        memory: bytes of address space the process may have, where the system can limit it.

    Raises:
        ToolError: the library is missing, or the worker ended without an answer.
        TimeoutError: it was not done in time.
        ResourceLimitError: it ran out of memory.
    """
    seconds = within(seconds)
    arguments = (str(worker), _home_of(library, tool), str(memory), str(int(seconds) + 1))
    command = (sys.executable, "-I", "-S", "-X", "utf8", "-c", BOOT, *arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment())
    try:
        async with asyncio.timeout(seconds):
            answer, errors = await process.communicate(given)
    except builtins.TimeoutError:
        raise _not_in_time(tool, seconds) from None
    finally:
        await _end(process)
    if process.returncode != 0:
        raise _crash(tool, process.returncode, errors.decode(errors="replace"), memory)
    return answer


def _home_of(library: str, tool: str) -> str:
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        name = library.replace("_", "-")
        raise ToolError(f"{tool} needs {name}, which is not installed", tool_name=tool, hint=f"pip install {name}")
    origin = Path(spec.origin)
    return str(origin.parent.parent if origin.name.startswith("__init__.") else origin.parent)


def _environment() -> dict[str, str]:
    """Nothing that data could reach; Windows alone cannot start a process without its root."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


def _not_in_time(tool: str, seconds: float) -> TimeoutError:
    return TimeoutError(
        f"{tool} was not done after {seconds:.3g} seconds",
        duration_ms=round(seconds * 1000),
        hint="Pass less data at a time, or ask for something simpler.",
    )


def _crash(tool: str, code: int | None, errors: str, memory: int) -> LLMSpellError:
    if any(word in errors for word in OUT_OF_MEMORY):
        return ResourceLimitError(
            f"{tool} needs too much memory for this",
            resource="memory in bytes",
            limit=memory,
            used=f"more than {memory}",
            hint="Pass less data at a time, or ask for less of it.",
        )
    last = errors.strip().splitlines()[-1:] or [f"exit code {code}"]
    return ToolError(
        f"{tool} ended without an answer: {last[0][:200]}",
        tool_name=tool,
        hint="The data may be damaged; try a part of it.",
    )
