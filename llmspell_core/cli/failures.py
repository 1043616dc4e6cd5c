"""What a person sees when something goes wrong: one message, its causes, a hint, and the right exit code.

0 success, 1 failure, 2 wrong usage, 130 interrupted, 143 terminated. Nobody gets a traceback unless they ask with `--trace debug`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import click

from llmspell_core.cli.harmless import harmless
from llmspell_core.cli.shell import Shell, dumps
from llmspell_core.cli.streams import finish, is_lost_output, prepare
from llmspell_core.errors import LLMSpellError, ScriptError

__all__ = ["guarded", "report"]

FAILURE, USAGE = 1, 2
MOST_FRAMES = 12
DEFECT = "This looks like a defect of llmspell; run it again with --trace debug to see where it happens."


def guarded(arguments: Sequence[str] | None) -> int:
    """Run the program and turn whatever happens into an exit code."""
    prepare()
    shell = Shell()
    shell.ending.is_program = arguments is None
    shell.ending.listen()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given, shell)
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and not is_lost_output(error):
            raise
        code = FAILURE
    code = finish(code)
    if code and "llmspell_core.cli.threads" in sys.modules:
        from llmspell_core.cli.threads import leave

        leave(code)
    return code


def _run(arguments: list[str], shell: Shell) -> int:
    from llmspell_core.cli.app import app

    try:
        code = app.main(arguments, prog_name="llmspell", standalone_mode=False, obj=shell)
    except (KeyboardInterrupt, click.Abort):
        print("Interrupted", file=sys.stderr)
        return shell.ending.exit_code
    except click.ClickException as error:
        return _usage(error, arguments, shell)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last place where anything can be said
        return FAILURE if is_lost_output(error) else report(error, shell)
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, arguments: list[str], shell: Shell) -> int:
    ctx = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        print(error.ctx.get_help() if error.ctx else "", file=sys.stderr)
        return USAGE
    message = error.format_message()
    if ctx is not None:
        print(ctx.get_usage(), file=sys.stderr)
    print(harmless(f"Error: {message}"), file=sys.stderr)
    if ctx is not None:
        print(f"Hint: {ctx.command_path} --help", file=sys.stderr)
    if shell.is_json or _asks_for_json(arguments):
        print(dumps({"status": "error", "error": {"kind": "Usage", "message": message}}))
    return USAGE if isinstance(error, click.UsageError) else error.exit_code


def _asks_for_json(arguments: list[str]) -> bool:
    """Also where parsing stopped before the option was reached."""
    return "--output=json" in arguments or ("--output", "json") in pairwise(arguments)


def report(error: BaseException, shell: Shell, **more: Any) -> int:
    """Print an error and return the exit code.

    Args:
        more: further keys of the JSON document.
    """
    clean = shell.redaction.clean  # the last fence: no error repeats a key, whoever wrote its message
    for line in describe(error):
        print(clean(line), file=sys.stderr)
    if shell.level in {"debug", "trace"}:
        import traceback

        print(harmless(clean("".join(traceback.format_exception(error)))), end="", file=sys.stderr)
    if shell.is_json:
        if isinstance(error, ScriptError):
            more.setdefault("output", error.output)
        print(clean(dumps({"status": "error", **more, "error": as_data(error)})))
    return error.exit_code if isinstance(error, LLMSpellError) else FAILURE


def as_data(error: BaseException) -> dict[str, Any]:
    if isinstance(error, LLMSpellError):
        cause = error.__cause__ if isinstance(error, ScriptError) else None
        if isinstance(cause, LLMSpellError):
            return error.to_dict() | {"retryable": cause.is_retryable(), "cause": cause.to_dict()}
        return error.to_dict()
    return {"kind": "Internal", "type": type(error).__name__, "message": str(error), "hint": DEFECT}


def describe(error: BaseException) -> Iterator[str]:
    """The lines for a person. What is in them may come from anywhere: nothing in it can draw on the terminal."""
    return map(harmless, _described(error))


def _described(error: BaseException) -> Iterator[str]:
    if not isinstance(error, LLMSpellError):
        yield f"Error: {type(error).__name__}: {error}"
        yield f"Hint: {DEFECT}"
        return
    yield f"Error: {error.message}"
    yield from _script_lines(error)
    yield from _causes(error)
    if error.hint:
        yield f"Hint: {error.hint}"


def _script_lines(error: LLMSpellError) -> Iterator[str]:
    """Where in a script it happened, when the message does not say so itself."""
    file, line = getattr(error, "file", None), getattr(error, "line", None)
    if file and line and f":{line}" not in error.message:
        yield f"  at {file}:{line}"
    if getattr(error, "source_line", None):
        yield f"    {str(error.source_line).strip()}"  # type: ignore[attr-defined]
    yield from _call_stack(getattr(error, "traceback", None) or "")


def _call_stack(traceback: str) -> Iterator[str]:
    """How the script came there, innermost first, unless that is one call only."""
    frames = [line.strip() for line in traceback.splitlines() if line.strip() and not line.startswith("stack trace")]
    while frames and frames[0].startswith("[C]"):  # what failed, which the message names
        del frames[0]
    if len(frames) < 2:
        return
    yield "  call stack:"
    for frame in frames[:MOST_FRAMES]:
        yield f"    {frame}"
    if len(frames) > MOST_FRAMES:
        yield f"    ... {len(frames) - MOST_FRAMES} more"


def _causes(error: BaseException) -> Iterator[str]:
    """The chain below, without what the message above it says already."""
    said, cause = str(error), error.__cause__
    while cause is not None:
        text = cause.message if isinstance(cause, LLMSpellError) else f"{type(cause).__name__}: {cause}"
        if str(cause) and str(cause) not in said and text not in said:
            yield f"  caused by: {text.splitlines()[0]}"
        said, cause = said + text, cause.__cause__
