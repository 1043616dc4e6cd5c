"""`llmspell repl`: one interactive session, line by line."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmspell_core.cli import completing
from llmspell_core.cli.harmless import harmless
from llmspell_core.cli.scripts import Seconds, Writer, default_engine
from llmspell_core.cli.shell import Shell

if TYPE_CHECKING:
    from llmspell_core.cli.assistance import Assistance
    from llmspell_core.cli.lines import Lines
    from llmspell_core.runtime import Runtime
    from llmspell_core.script.host import ScriptSession
    from llmspell_core.script.result import ScriptResult

__all__ = ["repl"]

UNFINISHED = re.compile(
    r"<eof>|unexpected end|end of (input|file|comment|string)|unterminated|expecting '[\])}]'|token in expression: ''"
)
"""What engines say about code that stops too early. An empty line ends the waiting for more."""
HELP = """\
.help            this list
.exit            leave (also Ctrl-D)
.clear           clear the screen
.load FILE       read a file as if it were typed; .run does the same
.save FILE       write what was entered so far
.history         show what was entered so far
.globals         what scripts find without importing it
.info            engine and session
.perf on|off     show how long each entry takes
.reset           begin again with fresh variables
.pwd             the current folder
NAME?            what NAME is: Tool?, Tool.execute?, or a variable
Tab completes names, options, and the names of tools and models. The last value is kept as _.
A line that is not finished asks for more; an empty line ends it. Ctrl-C stops what is running and keeps the variables."""
ALIASES = {"h": "help", "?": "help", "quit": "exit", "q": "exit", "cls": "clear", "hist": "history", "run": "load"}


@click.command()
@click.option("--engine", metavar="NAME", shell_complete=completing.component("engines"), help="lua, javascript, ...")
@click.option("--history", type=click.Path(path_type=Path), help="Where entered lines are kept.")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", default=300.0, help="Seconds for one entry.")
@click.pass_obj
def repl(shell: Shell, engine: str | None, history: Path | None, timeout: float) -> int:
    """Talk to a script engine line by line.

    \b
    Examples:
      llmspell repl
      llmspell repl --engine js
    """
    from llmspell_core.plugins.cache import cache_dir

    place = history or Path(cache_dir()) / "llmspell_history"
    with asyncio.Runner() as runner:
        return Conversation(shell, runner, engine or default_engine(), timeout, place).hold()


class Conversation:
    """The loop: read, run, print. Reading happens outside of the event loop where the terminal library allows it."""

    def __init__(self, shell: Shell, runner: asyncio.Runner, engine: str | None, timeout: float, history: Path) -> None:
        self.shell = shell
        self.runner = runner
        self.engine = engine
        self.timeout = timeout
        self.history = history
        self.entered: list[str] = []
        self.measures = False
        self.exit_code = 0

    def hold(self) -> int:
        """Talk until the person leaves; the exit code is the one a script gave to `os.exit`."""
        from llmspell_core.cli.lines import open_lines

        runtime = self.shell.runtime()
        self.runner.run(runtime.__aenter__())
        try:
            self.runtime: Runtime = runtime
            self.session: ScriptSession = self.runner.run(self._open())
            self.lines: Lines = open_lines(self.runner, self.history, self._complete)
            self._greet()
            self._loop()
        finally:
            self.runner.run(runtime.__aexit__(None, None, None))
        return self.exit_code

    async def _open(self) -> ScriptSession:
        return await self.runtime.scripts.console(self.engine, timeout=self.timeout, output=Writer())

    async def _complete(self, text: str) -> tuple[int, list[str]]:
        from llmspell_core.errors import LLMSpellError

        try:
            return await self._assistance().complete(text)
        except LLMSpellError:  # a broken plugin, or a session that has ended: the next entry says so
            return 0, []

    def _assistance(self) -> Assistance:
        from llmspell_core.cli.assistance import Assistance

        return Assistance(
            self.runtime.scripts.api, self.session.engine.language, self._names, self._parameters, self.session.complete
        )

    def _names(self, kind: str) -> list[str]:
        if kind == "models":
            return completing.models(self.shell.catalog())
        if kind == "points":
            from llmspell_core.hooks import HOOK_POINTS

            return list(HOOK_POINTS)
        return self.runtime.providers.names() if kind == "providers" else self.runtime.registry.names(kind)

    def _parameters(self, tool: str) -> list[str]:
        catalog = self.shell.catalog()
        found = catalog.find("tools", tool)
        return list(((catalog.schema(found) if found else None) or {}).get("properties", {}))

    def _greet(self) -> None:
        if sys.stdin.isatty():
            self.shell.note(f"llmspell {self.session.engine.name} - .help for help, .exit or Ctrl-D to leave")

    def _loop(self) -> None:
        while True:
            try:
                text = self.lines.read(f"{self.session.engine.name}> ")
            except EOFError:
                return
            except KeyboardInterrupt:
                continue
            if text.startswith("."):
                if not self._meta(*_command(text)):
                    return
            elif not self._helped(text) and text.strip() and not self._entry(text):
                return

    def _helped(self, text: str) -> bool:
        """Whether the line asked what something is: `Tool.execute?`."""
        from llmspell_core.cli.assistance import asks
        from llmspell_core.cli.failures import describe
        from llmspell_core.errors import LLMSpellError

        if not asks(text):
            return False
        try:
            answer = self.runner.run(self._assistance().help(text))
        except LLMSpellError as error:
            print("\n".join(describe(error)), file=sys.stderr)
        else:
            print(harmless(answer) if sys.stdout.isatty() else answer)
        return True

    # -- running ----------------------------------------------------------------------------------------------------

    def _entry(self, text: str) -> bool:
        """Run what was typed, asking for more lines while it is unfinished; False when the script ended the session."""
        from llmspell_core.cli.failures import describe
        from llmspell_core.errors import LLMSpellError

        while True:
            started = time.perf_counter()
            try:
                result = self.runner.run(self._run(text))
                break
            except LLMSpellError as error:
                more = self._more() if _unfinished(error, text) else None
                if more is None:
                    print("\n".join(describe(error)), file=sys.stderr)
                    return self._survived(text)
                text = f"{text}\n{more}"
        self.entered.append(text)
        if result.display is not None:
            print(harmless(result.display) if sys.stdout.isatty() else result.display)
        if self.measures:
            self.shell.note(f"{time.perf_counter() - started:.3f} s")
        self.exit_code = result.exit_code
        return not result.exited

    def _more(self) -> str | None:
        try:
            line = self.lines.read("... ")
        except (EOFError, KeyboardInterrupt):
            return None
        return line if line.strip() else None

    def _survived(self, text: str) -> bool:
        """After an error the session is usually still there; after a crash or a deadline a new one is opened."""
        self.entered.append(text)
        if self.session.alive:
            return True
        self.shell.note("The session has ended; its variables are gone. A new one begins.")
        self._reset()
        return True

    def _reset(self) -> None:
        self.runner.run(self.runtime.scripts.close_session(self.session))
        self.session = self.runner.run(self._open())

    async def _run(self, text: str) -> ScriptResult:
        """One entry; Ctrl-C interrupts it and leaves the session."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.session.interrupt)
        try:
            return await self.session.run(text, name="repl", mode="cell")
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    # -- commands with a dot ------------------------------------------------------------------------------------------

    def _meta(self, name: str, argument: str) -> bool:
        """Obey one; False to leave."""
        name = ALIASES.get(name, name)
        if name == "exit":
            return False
        known: dict[str, Callable[[str], Any]] = {
            "help": lambda _: print(HELP),
            "clear": lambda _: click.clear(),
            "history": lambda _: print("\n".join(self.entered)),
            "pwd": lambda _: print(Path.cwd()),
            "globals": lambda _: self._show_globals(),
            "info": lambda _: print(f"{self.session.engine.name}, {len(self.entered)} entries"),
            "perf": self._measure,
            "reset": lambda _: self._reset(),
            "save": self._save,
            "load": self._load,
        }
        if name in known:
            known[name](argument)
        else:
            print(f"Error: there is no .{name}; .help lists what there is", file=sys.stderr)
        return True

    def _show_globals(self) -> None:
        from llmspell_core.cli.tables import aligned

        here = set(self.runner.run(self.session.complete("")))
        declared = [each for each in self.runtime.scripts.api.globals if each.name in here]
        print(aligned([(each.name, each.doc.partition("\n")[0]) for each in declared]))

    def _measure(self, argument: str) -> None:
        self.measures = argument != "off"

    def _save(self, argument: str) -> None:
        try:
            Path(argument).write_text("\n".join([*self.entered, ""]), "utf-8")
        except OSError as error:
            print(f"Error: cannot write {argument or 'it: name a file'}: {error.strerror}", file=sys.stderr)

    def _load(self, argument: str) -> None:
        try:
            text = Path(argument).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            print(f"Error: cannot read {argument or 'it: name a file'}: {reason}", file=sys.stderr)
            return
        self._entry(text)


def _command(text: str) -> tuple[str, str]:
    name, _, argument = text[1:].strip().partition(" ")
    return name.lower(), argument.strip()


def _unfinished(error: Exception, text: str) -> bool:
    """Whether more lines could mend it. Engines differ in what they say, so open brackets count as well."""
    if getattr(error, "phase", None) != "syntax":
        return False
    opened = sum(text.count(bracket) for bracket in "([{") - sum(text.count(bracket) for bracket in ")]}")
    return opened > 0 or UNFINISHED.search(str(error)) is not None
