"""Where the lines of an interactive session come from: prompt_toolkit, a plain terminal, or a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from llmspell_core import private

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer

__all__ = ["Lines", "open_lines"]

Complete = Callable[[str], Coroutine[Any, Any, tuple[int, list[str]]]]
"""Where in a text the replacement begins, and what it could be."""


class Lines(Protocol):
    def read(self, prompt: str) -> str:
        """The next line. Raises: EOFError at the end, KeyboardInterrupt on Ctrl-C."""


def open_lines(runner: asyncio.Runner, history: Path, complete: Complete) -> Lines:
    """The best source that there is: editing and completion on a terminal, bare lines from a pipe."""
    if not sys.stdin.isatty():
        return PipedLines(runner)
    with contextlib.suppress(OSError):
        private.make_folder(history.parent)
        private.mine_only(history)  # what is typed may hold keys
    try:
        return EditedLines(runner, history, complete)
    except ImportError:
        return PlainLines(runner, history, complete)


class PipedLines:
    """Standard input without prompts; the session goes on while a line is awaited."""

    def __init__(self, runner: asyncio.Runner) -> None:
        from llmspell_core.cli.input import StandardInput

        self._runner = runner
        self._input = StandardInput()
        self._text = ""

    def read(self, prompt: str) -> str:
        while "\n" not in self._text:
            piece = self._runner.run(self._input())
            if piece is None:
                break
            self._text += piece
        if not self._text:
            raise EOFError
        line, _, self._text = self._text.partition("\n")
        return line


class PlainLines:
    """`input`, with the history and the Tab of readline where Python has it."""

    def __init__(self, runner: asyncio.Runner, history: Path, complete: Complete) -> None:
        self._runner = runner
        self._history = history
        self._complete = complete
        self._offered: list[str] = []
        self._readline: Any = None
        with contextlib.suppress(ImportError):
            import readline

            self._readline = readline
            with contextlib.suppress(OSError):
                readline.read_history_file(history)
            readline.set_completer_delims("")  # what is completed is the line up to the cursor
            readline.set_completer(self._offer)
            readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")

    def _offer(self, text: str, number: int) -> str | None:
        """Asked for one after the other. The event loop rests while a line is awaited."""
        if number == 0:
            start, words = self._runner.run(self._complete(text))
            self._offered = [text[:start] + word for word in words]
        return self._offered[number] if number < len(self._offered) else None

    def read(self, prompt: str) -> str:
        line = input(prompt)
        if self._readline is not None:
            with contextlib.suppress(OSError):
                self._readline.write_history_file(self._history)
        return line


class EditedLines:
    """prompt_toolkit: history file, search, completion from the live session. Raises: ImportError without it."""

    def __init__(self, runner: asyncio.Runner, history: Path, complete: Complete) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory

        self._runner = runner
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(history)), completer=_completer(complete), complete_while_typing=False
        )

    def read(self, prompt: str) -> str:
        from prompt_toolkit.patch_stdout import patch_stdout

        with patch_stdout(raw=True):  # what a timer prints meanwhile appears above the prompt
            return self._runner.run(self._session.prompt_async(prompt))


def _completer(complete: Complete) -> Completer:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class FromSession(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Any:
            return ()

        async def get_completions_async(
            self,
            document: Document,
            complete_event: CompleteEvent,
        ) -> AsyncGenerator[Completion, None]:
            text = document.text_before_cursor
            start, words = await complete(text)
            for word in words:
                yield Completion(word, start_position=start - len(text))

    return FromSession()
