"""A person's terminal, for tests of what is different there. POSIX only."""

from __future__ import annotations

import os
import re
import select
import struct
import sys
import time

__all__ = ["Terminal"]

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A person's terminal with `llmspell` in it, so many `columns` wide.

    Attributes:
        seen: everything that was shown, control sequences included.
    """

    def __init__(self, *arguments: str, columns: int = 80) -> None:
        import fcntl  # these are not there on Windows
        import pty
        import termios

        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            for variable in ("COLUMNS", "LINES"):  # readline sets them, past os.environ; they hide the terminal's own
                os.unsetenv(variable)
            os.environ.update(TERM="xterm", PROMPT_TOOLKIT_NO_CPR="1")  # nobody here answers where the cursor is
            os.execv(sys.executable, [sys.executable, "-m", "llmspell_core", *arguments])
        self.seen = ""
        self._expected = 0
        self.exit_code: int | None = None

    @property
    def text(self) -> str:
        """What was shown, control sequences aside."""
        return ESCAPES.sub("", self.seen)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def expect(self, text: str, timeout: float = 20.0) -> None:
        """Waits until `text` was shown after what was expected before, control sequences aside."""
        deadline = time.monotonic() + timeout
        while (found := self.text.find(text, self._expected)) < 0:
            assert time.monotonic() < deadline, f"{text!r} was not shown in {self.seen!r}"
            assert self._read(0.2), f"it ended without {text!r}: {self.seen!r}"
        self._expected = found + len(text)

    def end(self) -> int:
        """Waits for the program's own end; its exit code."""
        deadline = time.monotonic() + 20
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it does not end: {self.seen!r}"
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code

    def _read(self, wait: float) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], wait)
        if not ready:
            return True
        try:
            piece = os.read(self.descriptor, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.seen += piece.decode(errors="replace")
        return bool(piece)

    def kill(self) -> None:
        if self.exit_code is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
            os.close(self.descriptor)
