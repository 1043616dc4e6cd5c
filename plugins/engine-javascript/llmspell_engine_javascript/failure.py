"""What went wrong in the VM, as the host is told of it: the kind, the script's own lines, and advice."""

from __future__ import annotations

from typing import Any

from llmspell_core.script.vm import VMError
from llmspell_engine_javascript.sources import MAIN, SourceMap, is_module

__all__ = ["Failures", "out_of_memory", "said"]

_NAMED = frozenset({"SyntaxError", "TypeError", "ReferenceError", "RangeError", "InternalError"})


class Failures:
    """Makes errors of what the VM's own code describes.

    Attributes:
        knows_modules: whether this build of the VM loads ES modules.
        not_found: the last module that was not there, what was said about it, and which module asked for it.
    """

    def __init__(self, sources: SourceMap, *, interactive: bool) -> None:
        self._sources = sources
        self._interactive = interactive
        self.knows_modules = False
        self.not_found = ("", "", "")

    def of(self, phase: str, described: dict[str, Any]) -> VMError:
        name, message = described.get("name"), said(described["message"])
        if name == "InternalError" and "out of memory" in message:
            return out_of_memory()
        if described.get("nothing"):
            return out_of_memory("the script ran out of memory, or threw null")
        if name in _NAMED:
            message = f"{name}: {message}"
        stack = described.get("stack") or ""
        if name == "SyntaxError" and f"at {MAIN}:" in stack.partition("\n")[0]:
            phase = "syntax"
        return self._with_more(self._placed(phase, message, stack), described)

    def _placed(self, phase: str, message: str, stack: str) -> VMError:
        frames = self._sources.frames(stack, syntax=phase == "syntax")
        if not frames and self.not_found[0] and self.not_found[1] in message:
            frames = self._sources.import_of(self.not_found[0], self.not_found[2])
        file, line = frames[0][1:] if frames else (None, None)
        return VMError(
            phase,
            message,
            file=file,
            line=line,
            source_line=self._sources.text_of(file, line),
            traceback="\n".join(f"    at {name} ({file}:{line})" for name, file, line in frames) or None,
        )

    def _with_more(self, error: VMError, described: dict[str, Any]) -> VMError:
        if described.get("unfit"):
            error.error["unfit"] = described["unfit"]
        for field in ("code", "hint"):
            if described.get(field):
                error.error[field] = described[field]
        cause = described.get("cause")
        if cause:
            error.error["cause"] = cause
            error.error["hint"] = described.get("hint") or cause.get("hint")
        elif error.error["phase"] == "syntax" and self._is_in_module(error):
            error.error["hint"] = self._advice(str(error.error["message"]))
        return error

    def _is_in_module(self, error: VMError) -> bool:
        file = error.error["file"]
        return file is not None and is_module(self._sources.source_of(str(file)))

    def _advice(self, message: str) -> str | None:
        """For whoever wrote `import` or `export` where it cannot be, or `return` where they are."""
        if not self.knows_modules:
            return "ES modules (import, export) are not available; use require('name')."
        if self._interactive:
            return "Here: const { name } = await import('./file.js')."
        return "A module has no return: export default value." if "return not in a function" in message else None


def said(message: str) -> str:
    """`new Error(null)` has the message "null": nobody learns anything from that."""
    return message if message not in {"", "null", "undefined"} else "an error without a message was thrown"


def out_of_memory(message: str = "the script ran out of memory") -> VMError:
    error = VMError("memory", message)
    error.error["hint"] = "Raise the memory limit of scripts, or keep less at one time."
    return error
