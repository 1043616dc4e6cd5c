"""Why a script ended: errors that say what failed, where, and what to do next."""

from __future__ import annotations

from typing import Any

from llmspell_core.errors import LLMSpellError, ScriptError, error_from_dict
from llmspell_core.messages import plain
from llmspell_core.purse import weigh
from llmspell_core.script.process import describe_status
from llmspell_core.script.wire import OUT_OF_MEMORY

__all__ = ["crashed", "failed", "left_behind", "not_returned", "too_late"]

_MAX_TEXT = 20_000
_MAX_BYTES = 10 * _MAX_TEXT
MOST_LINES = 1 << 31
MOST_CODE = 100
HINTS = {
    "memory": "Keep less at one time, look for a recursion without an end, or raise runtime.security.max_memory_bytes."
}
"""What helps with a kind of failure that the engine itself has no advice for."""
UNFIT = {
    "function": "Return what it gives when it is called.",
    "builder": "Call its build(), and return what the methods of the object give.",
    "stream": "Return what comes out of it: collect() makes a list.",
    "promise": "Await it first.",
    "task": "Await it first: task:await().",
    "coroutine": "Return what it gives when it is resumed.",
    "object": "Return what its methods give.",
}
"""What to return instead of something that is no data."""


def failed(error: Any, language: str, *, source: str = "", name: str = "") -> ScriptError:
    """The error a worker reported; everything in it is checked, because the worker may be hostile."""
    data = error if isinstance(error, dict) else {}
    line = data.get("line") if type(data.get("line")) is int and 0 <= data["line"] < MOST_LINES else None
    file = _text(data.get("file"))
    source_line = _text(data.get("source_line"))
    if source_line is None and line is not None and file == name:
        source_line = _line_of(source, line)
    found = ScriptError(
        _text(data.get("message")) or "the script failed",
        hint=_text(data.get("hint")) or UNFIT.get(str(data.get("unfit"))) or HINTS.get(str(data.get("phase"))),
        language=language,
        file=file,
        line=line,
        source_line=source_line,
        traceback=_text(data.get("traceback")),
        phase=_text(data.get("phase")) or "runtime",
    )
    if isinstance(data.get("cause"), dict):
        found.__cause__ = _cause(data["cause"])
    _take_over(found, data)
    return found


def _take_over(found: ScriptError, data: dict[str, Any]) -> None:
    """The code of what was thrown: of an error of ours, or one that the script has given it."""
    cause, own = found.__cause__, _text(data.get("code"))
    if isinstance(cause, LLMSpellError):
        found.code = cause.code
    elif own:
        found.code = own[:MOST_CODE]


def _cause(data: dict[str, Any]) -> LLMSpellError | None:
    """The host's own error that a worker gave back, as far as it still looks like one."""
    try:
        return error_from_dict(
            {key: _text(value) or plain(value) for key, value in data.items() if weigh(value) < _MAX_BYTES}
        )
    except (TypeError, ValueError, AttributeError):
        return None


def too_late(name: str, timeout: float, doing: str | None, language: str) -> ScriptError:
    """The deadline passed."""
    what = doing or "it was computing and never called the host"
    return ScriptError(
        f"the script '{name}' did not end within {timeout:g} s: {what}",
        hint="Give it more time (--timeout), or make that step shorter.",
        language=language,
        file=name,
        phase="deadline",
    )


def not_returned(name: str, what: str, seconds: float, language: str) -> ScriptError:
    """One of its functions computes for ever, and the virtual machine cannot be stopped in any other way."""
    return ScriptError(
        f"the {what} of '{name}' did not return within {seconds:g} s",
        hint="Look for a loop without an end in it. Everybody waits for a hook; hooks.timeout_ms is its time.",
        language=language,
        file=name,
        phase="deadline",
    )


def left_behind(name: str, timeout: float, language: str) -> ScriptError:
    """The script ended in time, but the host could not clean up after it in that time."""
    return ScriptError(
        f"what the script '{name}' left running did not end within {timeout:g} s",
        hint="Give it more time (--timeout), or have the script wait for what it starts.",
        language=language,
        file=name,
        phase="deadline",
    )


def crashed(name: str, status: int, problem: str | None, doing: str | None, language: str) -> ScriptError:
    """The worker is gone without having said why."""
    if status == OUT_OF_MEMORY and problem is None:
        message = f"the script '{name}' used up its memory"
        message = f"{message}; {doing}" if doing else message
        return ScriptError(message, hint=HINTS["memory"], language=language, file=name, phase="memory")
    if problem is not None:
        message = f"the process of the script '{name}' broke the protocol and was ended: {problem}"
    else:
        message = f"the process of the script '{name}' {describe_status(status)}"
    hint = "Nothing else is affected. If the script does nothing unusual, this is a defect of the engine."
    return ScriptError(
        f"{message}; {doing}" if doing else message, hint=hint, language=language, file=name, phase="crash"
    )


def _text(value: Any) -> str | None:
    return value[:_MAX_TEXT] if isinstance(value, str) else None


def _line_of(source: str, line: int) -> str | None:
    lines = source.splitlines()
    return lines[line - 1].strip()[:500] if 0 < line <= len(lines) else None
