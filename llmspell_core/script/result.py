"""What is left when a script has ended, and what it was allowed to use."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llmspell_core.script.scope import MOST_HELD
from llmspell_core.script.wire import MAX_FRAME

__all__ = ["Limits", "Output", "ScriptResult"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one script or interactive session.

    Args:
        timeout: wall-clock seconds of one run, awaits included; None: no limit.
        memory_bytes: what the VM may use; the process gets a little more.
        output_bytes: how much printed text is kept in the result; printing goes on beyond it.
        frame_bytes: largest single message from the script's process.
        open_calls: host calls that may be unanswered at one time.
        held_bytes: memory that the script may make the host hold: open calls, objects, queued events, results, ...
    """

    timeout: float | None = 300.0
    memory_bytes: int | None = 512 * 1024 * 1024
    output_bytes: int = 1024 * 1024
    frame_bytes: int = MAX_FRAME
    open_calls: int = 10_000
    held_bytes: int = MOST_HELD


@dataclass(slots=True)
class ScriptResult:
    """The end of a run.

    Attributes:
        value: what the script returned, as plain data.
        exit_code: what it gave to `os.exit`, else 0.
        output: what it printed, up to `Limits.output_bytes`.
        display: an interactive cell's value as text; None when it was a statement. Of a piece of code only what `value`
            does not say: several values, or one that is no plain data.
        duration: seconds.
        exited: whether the script ended itself with `os.exit`; its session is over then.
    """

    value: Any = None
    exit_code: int = 0
    output: str = ""
    display: str | None = None
    duration: float = 0.0
    exited: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"value": self.value, "exit_code": self.exit_code, "output": self.output, "duration": self.duration}


@dataclass(slots=True)
class Output:
    """Collects printed text up to a limit."""

    limit: int
    parts: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, text: str) -> None:
        if self.size >= self.limit or not text:
            return
        self.size += len(text)
        self.parts.append(text if self.size < self.limit else text[: self.limit - self.size] + "\n[output truncated]\n")

    def text(self) -> str:
        return "".join(self.parts)
