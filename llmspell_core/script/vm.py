"""What the VM class of an engine plugin does, and the errors between it and the worker. Standard library only."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar, Protocol

from llmspell_core.script.wire import load

__all__ = ["LATER", "VM", "HostError", "Interrupted", "Stopped", "VMError", "chosen_vm"]


class _Later:
    """Type of `LATER`."""


LATER = _Later()
"""What `VM.invoke` returns when it will itself call `host.answer` or `host.fail` for that invocation."""


class HostError(Exception):
    """The host answered a call with an error; `error` is {kind, type, message, hint, ...}."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", "unknown error")))
        self.error = error


class Stopped(HostError):  # noqa: N818 - it is not the function's fault
    """What a function of the script is told where it waits, after the host has given it up."""

    def __init__(self) -> None:
        message = "this function was stopped: whatever called it does not wait any more"
        kind = {"kind": "Cancelled", "type": "CancelledError", "code": "cancelled"}
        super().__init__({**kind, "message": message, "hint": None, "retryable": False})


class VMError(Exception):
    """The script failed. `phase`: syntax, runtime, memory, interrupted; `traceback` in terms of the script."""

    def __init__(
        self,
        phase: str,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        source_line: str | None = None,
        traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.error = {
            "kind": "Script",
            "type": "ScriptError",
            "message": message,
            "phase": phase,
            "file": file,
            "line": line,
            "source_line": source_line,
            "traceback": traceback,
        }


class Interrupted(Exception):  # noqa: N818 - it is not an error, it is what the user asked for
    """The user interrupted an interactive session while it waited for the host."""


class VM(Protocol):
    """What an engine plugin provides. Constructed as `VM(boot, host)`; raises VMError, never anything else.

    A VM whose scripts have timers may also have `idle() -> float | None`, called between runs: it does what is due and
    returns the seconds until it wants to be called again, None for "when something has come". One that returns LATER has
    `stop(invocation)`: it forgets that one, and calls `host.fail` for it.

    `boot` holds: manifest (see ScriptApi.manifest), profile ("high", "medium", "low"), memory (bytes or None),
    interactive (bool), options (of the engine), language, mark (str: the end of the keys `$fn` and `$handle` where they are
    functions and objects; scripts must not see it).
    """

    raw: ClassVar[bool]
    encoding: ClassVar[str]

    def run(self, source: str, name: str, args: dict[str, Any], mode: str) -> Any:
        """Runs a script (`mode` "script"), a cell of an interactive session ("cell"), or a piece of code ("code").

        A piece of code is a script; if all of it is an expression, it ends in its value. It has a `display` only where its
        value does not say everything: several values, or one that is no plain data.

        Returns {"value": data, "display": text or None} (`raw`: its JSON text).
        """
        ...

    def invoke(self, invocation: int, callback: int, args: Any) -> Any:
        """Calls a script function that crossed as {"$fn": callback}; returns its value, or LATER."""
        ...

    def complete(self, text: str) -> list[str]: ...


def chosen_vm(read_fd: int) -> type[Any]:
    """Waits for the one line that says which VM this is to be, and loads it; the folders that it needs come onto the path."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(read_fd, 1)  # one by one: what follows are frames
        if not byte:
            os._exit(0)
        line += byte
    said = load(line.decode().rstrip("\n"))
    sys.path[1:1] = [path for path in said["paths"] if path not in sys.path]
    module, _, name = said["vm"].partition(":")
    __import__(module)
    found: type[Any] = getattr(sys.modules[module], name)
    return found
