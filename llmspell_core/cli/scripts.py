"""`llmspell run` and `llmspell exec`."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.account import Account
from llmspell_core.cli.options import LEVELS
from llmspell_core.cli.shell import Shell, dumps
from llmspell_core.cli.streams import read_stdin

if TYPE_CHECKING:
    from llmspell_core.cli.input import StandardInput
    from llmspell_core.cli.run_tree import Watcher
    from llmspell_core.runtime import Runtime
    from llmspell_core.script.process import WorkerProcess
    from llmspell_core.script.result import ScriptResult

__all__ = ["Seconds", "Writer", "exec_", "run"]


TREE = "tree"


OPTION = re.compile(r"-{1,2}[A-Za-z][\w-]*(=.*)?|-[\d.]+", re.DOTALL)
"""What an option, known or mistyped, or its value looks like. `-- a comment` and `-1 + 2` do not."""


class ScriptCommand(click.Command):
    """`--trace` alone means `--trace tree`; what follows it may be the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        given = list(args)
        if "--trace" in args[:end]:
            at = args.index("--trace")
            if at + 1 >= end or args[at + 1].lower() not in (*LEVELS, TREE):
                given.insert(at + 1, TREE)
        return super().parse_args(ctx, given)


class FileCommand(ScriptCommand):
    """An unknown option is often meant for the script."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            near = f" Did you mean {' or '.join(sorted(error.possibilities))}?" if error.possibilities else ""
            message = f"No such option {name!r}.{near} Options for the script stand after a lone --: -- {name}"
            raise click.NoSuchOption(name, message, None, error.ctx) from None


class CodeCommand(ScriptCommand):
    """Code that begins with a dash is not taken for an option, as long as it does not look like one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        marked = [Code.mark(word) for word in args[:end]]
        try:
            return super().parse_args(ctx, [*marked, *args[end:]])
        except click.NoSuchOption as error:
            message = f"No such option {error.option_name!r} (code that begins with a dash: llmspell exec -- '-x')."
            raise click.NoSuchOption(error.option_name, message, error.possibilities, error.ctx) from None


class Code(click.types.StringParamType):
    """The text of a script; a mark in front kept the parser from reading it as an option."""

    name = "code"
    MARK = "\0"

    @classmethod
    def mark(cls, word: str) -> str:
        is_code = len(word) > 1 and word[0] == "-" and OPTION.fullmatch(word) is None
        return cls.MARK + word if is_code else word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value.removeprefix(self.MARK)


class Seconds(click.FloatRange):
    """A positive number; `nan` compares with nothing and would never end, and no clock of the system reaches `inf`."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        made = super().convert(value, param, ctx)
        if not isfinite(made):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return made


def _set_trace(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    options = ctx.ensure_object(Shell).options
    if value == TREE:
        options.tree = True
    elif value:
        options.trace = value


def script_options(command: Any) -> Any:
    """What `run` and `exec` share."""
    trace = click.option(
        "--trace",
        type=click.Choice([TREE, *LEVELS], case_sensitive=False),
        callback=_set_trace,
        expose_value=False,
        help="Record the run and show what it did as a tree; or how much to log.",
    )
    engine = click.option(
        "--engine",
        metavar="NAME",
        shell_complete=completing.component("engines"),
        help="lua, javascript, ...; by default told by the file's name.",
    )
    stream = click.option("--stream", is_flag=True, help="Print as it comes, which is the default.")
    timeout = click.option("--timeout", type=Seconds(), metavar="SECONDS", help="Deadline.")
    return engine(stream(timeout(trace(command))))


@click.command(cls=FileCommand)
@click.argument("script", type=click.Path())
@script_options
@click.option("--input", metavar="TEXT", help="What the script finds as ARGS.input.")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(
    shell: Shell, /, script: str, args: tuple[str, ...], engine: str | None, input: str | None, **options: Any
) -> int:
    """Run a script file.

    SCRIPT is its path, or - for standard input. Everything after -- belongs to the script and is found in ARGS.

    \b
    Examples:
      llmspell run hello.lua
      llmspell run hello.lua --trace
      llmspell run report.js --timeout 60 -- --format short input.txt
    """
    words = [*args, *(["--input", input] if input is not None else [])]
    piped = read_stdin() if script == "-" else None
    request: dict[str, Any] = {"path": script} if piped is None else _from_stdin(piped)
    engine = engine or (default_engine(piped) if piped is not None else None)
    result, elapsed = _timed(shell, **request, engine=engine, args=words, timeout=options["timeout"])
    length = _size(script) if piped is None else len(piped)
    about = {"status": "success", "mode": "embedded", "script_length": length, "args_count": len(words)}
    more = {"streaming": True} if options["stream"] else {}
    return _finish(shell, about | more, result, elapsed)


@click.command("exec", cls=CodeCommand)
@click.argument("code", type=Code())
@script_options
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def exec_(shell: Shell, /, code: str, args: tuple[str, ...], engine: str | None, **options: Any) -> int:
    """Run a piece of code.

    CODE is the text itself, or - for standard input. The value of an expression is printed, and what the code returns.

    \b
    Examples:
      llmspell exec 'print("hello")'
      llmspell exec '6 * 7'
      llmspell exec --engine js 'console.log(Tool.list().length)'
      cat hello.lua | llmspell exec -
    """
    request: dict[str, Any] = _from_stdin(read_stdin()) if code == "-" else {"source": code}
    words = [word.removeprefix(Code.MARK) for word in args]
    engine = engine or default_engine(request["source"])
    result, elapsed = _timed(shell, **request, engine=engine, args=words, timeout=options["timeout"], is_code=True)
    about = {"status": "executed", "mode": "embedded", "code_length": len(request["source"])}
    shown = _shown(result)
    if shown is not None and shell.options.output == "text":
        print(shown)
    return _finish(shell, about, result, elapsed)


def _from_stdin(piped: bytes) -> dict[str, Any]:
    return {"source": piped, "name": "<stdin>"}


def default_engine(source: str | bytes = "") -> str | None:
    """The language of code that has no file name, unless its first line tells."""
    import os

    return None if source[:2] in ("#!", b"#!") else os.environ.get("LLMSPELL_ENGINE") or None


def _timed(shell: Shell, **request: Any) -> tuple[ScriptResult, float]:
    started = time.perf_counter()
    try:
        return shell.run(_execute(shell, request)), time.perf_counter() - started
    finally:
        if request["timeout"] is not None:
            shell.ending.at_unread_output(request["timeout"])


async def _execute(shell: Shell, request: dict[str, Any]) -> ScriptResult:
    from llmspell_core.script.deadline import LAST_RESORT
    from llmspell_core.script.process import WorkerProcess

    worker = WorkerProcess.start()  # it boots while the configuration is read and the rest is imported
    LAST_RESORT.set(shell.end_at)
    try:
        return await _execute_in(worker, shell, request)
    finally:
        await worker.discard()


async def _execute_in(worker: WorkerProcess, shell: Shell, request: dict[str, Any]) -> ScriptResult:
    from llmspell_core.cli.input import StandardInput

    writer = None if shell.is_json else Writer()
    watcher = _watcher() if shell.options.tree else None
    account, keyboard = Account(), StandardInput()
    async with shell.runtime() as runtime:
        if shell.is_interactive:
            _let_decide(shell, runtime, keyboard, writer)
        if watcher is not None:
            _watch(watcher, runtime, writer)
        elif writer is not None:
            _tell_what_is_awaited(shell, runtime)
        work = asyncio.ensure_future(runtime.run_script(**request, worker=worker, output=writer, stdin=keyboard))
        asyncio.get_running_loop().call_soon(runtime.observe, account)  # once the worker boots, beside it
        if writer is not None:
            writer.on_broken = work.cancel
        try:
            return await work
        except asyncio.CancelledError:
            if writer is not None and writer.broken is not None:
                raise writer.broken from None
            _tell_what_was_done(shell, account, watcher)
            raise
        finally:
            if watcher is not None:
                watcher.finish()
            for name, error in runtime.scripts.broken_globals.items():
                shell.note(f"Warning: scripts do without the global '{name}': {error.message}")


def _let_decide(shell: Shell, runtime: Runtime, keyboard: StandardInput, writer: Writer | None) -> None:
    """Have the person at the terminal asked what only a person decides."""
    from llmspell_core.cli.consent import ask_for_consent
    from llmspell_core.cli.model import offer_models
    from llmspell_core.cli.person import Person

    person = Person(keyboard, lambda: writer is not None and writer.is_painted)
    offer_models(shell, runtime, person)
    ask_for_consent(shell, runtime, person)


def _tell_what_is_awaited(shell: Shell, runtime: Runtime) -> None:
    """On a terminal, while the script prints nothing."""
    if sys.stderr.isatty():
        from llmspell_core.cli.waiting import Waiting, watch

        watch(runtime, Waiting(shell))


def _tell_what_was_done(shell: Shell, account: Account, watcher: Watcher | None) -> None:
    """Somebody interrupted the run; what it did until then cannot be found out any other way."""
    if watcher is not None:
        watcher.finish()
    account.tell(shell)


def _watcher() -> Watcher:
    from llmspell_core.cli.run_tree import Watcher

    made = Watcher()
    made.begin()  # before logging starts, so that log lines stay above the picture
    return made


def _watch(watcher: Watcher, runtime: Runtime, writer: Writer | None) -> None:
    """Record the run, draw it, and lead what shares the terminal around the picture."""
    if not runtime.config.get("tracing.enabled"):
        from llmspell_core.trace import Journal

        runtime.observe(Journal.of(runtime.config))
    runtime.observe(watcher)
    if runtime.approver is not None:
        runtime.approver = watcher.undisturbed(runtime.approver)
    if runtime.providers.offer_model is not None:
        runtime.providers.offer_model = watcher.undisturbed(runtime.providers.offer_model)
    if writer is not None and watcher.takes_output:
        writer.instead = watcher.write


class Writer:
    """Prints what a script prints, at once and unchanged, until it cannot be written or nobody reads it any more."""

    def __init__(self) -> None:
        self.broken: OSError | None = None
        self.is_painted = False
        """Whether control sequences went to the terminal."""
        self.on_broken: Callable[[], object] = lambda: None
        self.instead: Callable[[str, str], None] | None = None

    def __call__(self, stream: str, text: str) -> None:
        self.is_painted = self.is_painted or "\x1b" in text or "\x9d" in text
        if self.instead is not None:
            self.instead(stream, text)
            return
        target = sys.stderr if stream == "stderr" else sys.stdout
        if self.broken is not None:
            return
        try:
            target.write(text)
            target.flush()
        except OSError as error:
            self.broken = error
            self.on_broken()


def _size(path: str) -> int:
    from pathlib import Path

    return Path(path).stat().st_size


def _finish(shell: Shell, about: dict[str, Any], result: ScriptResult, elapsed: float) -> int:
    if shell.is_json:
        extra: dict[str, Any] = {"exit_code": result.exit_code} if result.exit_code else {}
        if result.display is not None:
            extra["display"] = result.display
        print(dumps(about | {"result": result.value, "output": result.output} | extra))
    elif shell.is_pretty:
        shown = _shown(result)
        print("" if shown is None else f"\nResult: {shown}")
        print(f"Time: {elapsed:.3f} s")
    return result.exit_code


def _shown(result: ScriptResult) -> str | None:
    """What the code ended in; None for nothing."""
    value = result.value
    if result.display is not None or value is None:
        return result.display
    return value if isinstance(value, str) else dumps(value)
