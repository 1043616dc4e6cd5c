"""What every command gets: the global options, ways to print, and the way to the runtime.

@click.command()
@click.pass_obj
def hello(shell: Shell) -> None:
    shell.emit({"greeting": "hello"}, "hello")
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from llmspell_core.cli.ending import Ending
from llmspell_core.cli.harmless import harmless
from llmspell_core.cli.options import LEVELS, Options, choice
from llmspell_core.redaction import Redaction

if TYPE_CHECKING:
    import logging
    from contextlib import AbstractContextManager

    from llmspell_core.config import Config
    from llmspell_core.config.checks import Tables
    from llmspell_core.errors import ScriptError
    from llmspell_core.plugins.catalog import Catalog
    from llmspell_core.runtime import Runtime

__all__ = ["Shell", "dumps", "tables_of_plugins"]

T = TypeVar("T")


class Shell:
    """One run of the program."""

    def __init__(self) -> None:
        self.options = Options()
        self.ending = Ending()
        self.redaction = Redaction()
        """What no error and no log may repeat: keys of the environment, and of the configuration once it is read."""
        self._noted: set[str] = set()

    @property
    def is_json(self) -> bool:
        return self.options.output == "json"

    @property
    def is_pretty(self) -> bool:
        return self.options.output == "pretty"

    @property
    def level(self) -> str | None:
        """The log level that was asked for; `LLMSPELL_LOG` replaces `--trace`. None: the configuration decides."""
        return choice("LLMSPELL_LOG", LEVELS, "error" if self.options.quiet else self.options.trace) or None

    def begin(self) -> None:
        """Called once all options are known, before the command."""
        if sys.stderr.isatty():
            from llmspell_core.plugins import patience

            patience.tell = self.waiting
        if self.level not in {None, "warn", "error", "off"}:
            from llmspell_core.cli.logs import start

            start(self.level, {}, self.redaction)

    # -- printing -------------------------------------------------------------------------------------------------

    def emit(
        self, data: Any, text: str | Callable[[], str] | None = None, pretty: Callable[[], str] | None = None
    ) -> None:
        """Print a result: `data` as one JSON document, or its text, or its layout for people.

        Args:
            text: lines without decoration; by default `data` itself, strings raw.
            pretty: only for `--output pretty`; by default the text.
        """
        if self.is_json:
            print(dumps(data))
        elif self.is_pretty and pretty is not None:
            _line(pretty())
        elif text is None:
            _line(data if isinstance(data, str) else dumps(data))
        else:
            _line(text() if callable(text) else text)

    def note(self, message: str) -> None:
        """Say something that is not the result: to stderr, unless `--quiet`."""
        if not self.options.quiet:
            print(harmless(message), file=sys.stderr)

    def waiting(self, what: str) -> AbstractContextManager[None]:
        """Inside, a person who waits for longer than a second is told what for."""
        from llmspell_core.cli.waiting import Waiting

        return Waiting(self).during(what)

    @property
    def is_interactive(self) -> bool:
        """Whether a person can be asked something."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.options.quiet

    def confirm(self, question: str, *, default: bool = False) -> bool:
        """Ask a person; without one the answer is no."""
        if not self.is_interactive:
            return False
        import click

        return click.confirm(question, default=default, err=True)

    # -- the parts a command needs ---------------------------------------------------------------------------------

    def config(self, *, check: bool = True) -> Config:
        """The configuration that the global options choose."""
        from llmspell_core.config import load_config

        chosen = self.options.security_profile
        overrides = {"runtime": {"security": {"profile": chosen}}} if chosen else None
        config = load_config(self.options.config, self.options.profile, overrides, check=check)
        config.plugin_tables = tables_of_plugins
        holds = config.get("runtime.security.profile")
        if chosen and holds != chosen:
            self.note(f"--security-profile {chosen} would loosen the configured profile, so {holds} holds")
        for line in config.trust_notes():
            self._note_once(f"Note: {line}")
        return config

    def _note_once(self, message: str) -> None:
        if message not in self._noted:
            self._noted.add(message)
            self.note(message)

    def runtime(self) -> Runtime:
        """A runtime that is not entered yet: `async with shell.runtime() as runtime`."""
        import gc

        from llmspell_core.runtime import Runtime

        gc.enable()
        config = self.config()
        log = self.start_logging(config)
        log.debug("configuration: %s", ", ".join(map(str, config.files)) or "no file, only defaults")
        if config.files:
            config.check()  # again: now it is known what is installed
        idle = len(config.without_effect()) if config.needs_checking else 0
        if idle:
            log.warning("%d setting%s without effect; see: llmspell config check", idle, "s" if idle > 1 else "")
        return Runtime(config)

    def catalog(self, *, refresh: bool = False) -> Catalog:
        """What is installed, without the runtime."""
        from llmspell_core.cli.plugin_settings import plugin_settings
        from llmspell_core.plugins.catalog import Catalog

        settings = plugin_settings(self.options, lambda: self.config(check=False))
        return Catalog.load(refresh, block=settings.get("block") or (), prefer=settings.get("prefer") or ())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the asynchronous part of a command.

        On asyncio's own loop: where uvloop 0.23 has run, `print` of a text beyond 64 KB to a pipe that is read late loses the
        rest without an error.
        """
        try:
            import asyncio

            from llmspell_core.cli.threads import Threads
            from llmspell_core.errors import ScriptError

            threads = Threads()
            with self.ending.as_interrupt(), asyncio.Runner() as runner:
                runner.get_loop().set_default_executor(threads)
                try:
                    return runner.run(self._insistently(work))
                except (KeyboardInterrupt, ScriptError) as error:
                    if not isinstance(error, ScriptError) or error.phase == "deadline":
                        threads.abandon()
                    raise
        finally:
            self.ending.over()
            work.close()  # an interrupt may come before it has begun; Python would complain

    async def _insistently(self, work: Coroutine[Any, Any, T]) -> T:
        import asyncio

        with self.ending.insisting(asyncio.get_running_loop()):
            return await work

    def end_at(self, when: float, error: Callable[[], ScriptError]) -> None:
        """The program's script should have ended at that time: soon after, the program does, whatever holds it up."""
        from llmspell_core.cli.failures import report

        self.ending.at_deadline(when, lambda: report(error(), self))

    def start_logging(self, config: Config) -> logging.Logger:
        """The program's logger, which writes where `[logging]` says."""
        from llmspell_core.cli.logs import start

        for secret in config.secrets():
            self.redaction.add(secret)
        return start(self.level, config.section("logging"), self.redaction)


def tables_of_plugins() -> Tables:
    """The tables of the configuration that belong to what is installed, and the names in each."""
    from llmspell_core.config.checks import bare
    from llmspell_core.plugins.catalog import Catalog

    catalog = Catalog.load()
    tools = {f"tools.{bare(each.name)}": each.extra.get("settings") for each in catalog.components("tools")}
    return tools | {each.name: each.extra.get("settings") for each in catalog.components("observers")}


def dumps(data: Any) -> str:
    """One JSON document, in ASCII where the output cannot carry more: what replaces a letter there is no JSON."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    return json.dumps(data, indent=2, ensure_ascii=encoding != "utf8", default=str)


def _line(text: str) -> None:
    """A pipe gets it as it is."""
    if text:
        print(harmless(text) if sys.stdout.isatty() else text)
