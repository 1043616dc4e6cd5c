"""Standard input, output and error: what happens when one of them is closed, full, or has lost its reader.

Lost output is a failure: one line on stderr, and an exit code that is not 0. A reader that went away has seen enough: nothing
is said. What cannot be written to stderr is not worth an end of the work, but the exit code tells of it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

__all__ = ["Stream", "finish", "is_lost_output", "prepare", "read_stdin"]

FAILURE = 1


class Stream(io.TextIOWrapper):
    """One that remembers the first write that failed, and that only the program closes, by its end.

    Attributes:
        make_way: called with what is about to be written, where something on the terminal has to go for it.
    """

    lost: OSError | None = None
    make_way: Callable[[str], None] | None = None

    def write(self, text: str, /) -> int:
        if self.make_way is not None:
            self.make_way(text)
        try:
            return super().write(text)
        except OSError as error:
            self.fail(error)
        except ValueError:
            self.miss()
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.fail(error)
        except ValueError:
            self.miss()

    def close(self) -> None:
        """A library that closes what it did not open takes nobody else's words away."""
        self.flush()

    def miss(self) -> None:
        """What is below was closed or taken away: Python says ValueError, the system would say this. Once is enough."""
        if self.lost is None:
            self.fail(_closed())

    def fail(self, error: OSError) -> None:
        self.lost = self.lost or error
        raise error


class Diagnostics(Stream):
    """Standard error: after a write that failed everything goes nowhere."""

    def fail(self, error: OSError) -> None:
        self.lost = self.lost or error
        _lead_nowhere(2)


def _closed() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def prepare() -> None:
    """Make the three usable, whatever the program was started with."""
    closed = _open_closed()
    for name, kind in (("stdout", Stream), ("stderr", Diagnostics)):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:  # the program's own, not that of a test
            setattr(sys, name, _remembering(stream, kind))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if 2 in closed:
        _lead_nowhere(2)  # on purpose, it seems; nothing is lost that somebody wanted


def _remembering(stream: io.TextIOWrapper, kind: type[Stream]) -> Stream:
    return kind(
        stream.buffer,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open_closed() -> set[int]:
    """Occupy the numbers of closed descriptors, or the next file or socket would get what is printed.

    They are opened the wrong way round: to use one is the error that it would be anyway.
    """
    closed = set()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            if os.open(os.devnull, os.O_RDONLY if number else os.O_WRONLY) != number:
                continue
        closed.add(number)
        stream = _stream(number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    return closed


def _stream(number: int) -> io.TextIOWrapper:
    raw = io.FileIO(number, "wb" if number else "rb", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw) if number else io.BufferedReader(raw), encoding="utf-8")


def read_stdin(most: int = -1) -> bytes:
    """All of it, or so many bytes. Raises: ValidationError when it is closed."""
    try:
        return sys.stdin.buffer.read(most)
    except OSError as error:
        from llmspell_core.errors import ValidationError

        raise ValidationError(
            f"standard input cannot be read: {error.strerror}",
            field="stdin",
            hint="Name a file, or pipe something into it.",
        ) from None


def is_lost_output(error: BaseException) -> bool:
    """Whether that is why the error happened; `finish` will say so."""
    return isinstance(error, OSError) and getattr(sys.stdout, "lost", None) is not None


def finish(code: int) -> int:
    """Write what is left; the exit code of the program."""
    lost = _lost_output()
    if lost is not None:
        if lost.errno != errno.EPIPE:
            print(f"Error: the output could not be written: {lost.strerror}", file=sys.stderr)
        _lead_nowhere(1)  # Python would complain once more at exit
        code = code or FAILURE
    sys.stderr.flush()
    return code or FAILURE if getattr(sys.stderr, "lost", None) is not None else code


def _lost_output() -> OSError | None:
    if sys.stdout is None:
        return _closed()
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    found: OSError | None = getattr(sys.stdout, "lost", None)
    return found


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
