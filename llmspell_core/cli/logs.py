"""What the program logs: to the terminal, and to the file that `[logging]` names."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from llmspell_core import private
from llmspell_core.cli.harmless import harmless
from llmspell_core.errors import ConfigurationError
from llmspell_core.redaction import Redaction

__all__ = ["FileLog", "start"]

TRACE = 5
"""A logging level below DEBUG."""
OFF = logging.CRITICAL + 1
NUMBERS = {"off": OFF, "error": 40, "warn": 30, "warning": 30, "info": 20, "debug": 10, "trace": TRACE}
QUIET = ("httpx", "httpcore", "httpx2", "httpcore2", "openai", "asyncio", "urllib3")
COLOURS = {"ERROR": "31", "CRITICAL": "31", "WARNING": "33", "INFO": "32", "DEBUG": "36", "TRACE": "90"}
DAY = 86_400


def start(level: str | None, settings: Mapping[str, Any], redaction: Redaction) -> logging.Logger:
    """Log as the table `[logging]` says; called again, it replaces what it did before.

    Args:
        level: of the terminal, where the command line or the environment asked for one.
        settings: the table; empty is a terminal with warnings.
        redaction: what must not be written anywhere.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    logging.addLevelName(TRACE, "TRACE")
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, Terminal | FileLog)]:
        root.removeHandler(old)
        old.close()
    made = [*_terminal(level, settings, redaction), *_file(settings, redaction)]
    for handler in made:
        root.addHandler(handler)
    lowest = min((handler.level for handler in made), default=OFF)
    root.setLevel(lowest)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if lowest <= TRACE else logging.WARNING)
    return logging.getLogger("llmspell")


def _terminal(level: str | None, settings: Mapping[str, Any], redaction: Redaction) -> list[logging.Handler]:
    if level is None and not settings.get("console_enabled", True):
        return []
    handler = Terminal()
    # `off` still shows errors: whoever wants nothing at all switches the console off.
    handler.setLevel(min(NUMBERS[level or str(settings.get("console_level") or "warn")], logging.ERROR))
    coloured = settings.get("console_color", True) and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    plain = Lines(redaction, coloured=bool(coloured), dated=False)
    handler.setFormatter(JsonLines(redaction) if settings.get("json_format") else plain)
    return [handler]


def _file(settings: Mapping[str, Any], redaction: Redaction) -> list[logging.Handler]:
    path, level = settings.get("log_file"), NUMBERS[str(settings.get("log_level") or "info")]
    if not path or level >= OFF:
        return []
    from llmspell_core.cli.denials import DenialLog

    file = Path(str(path)).expanduser()
    handler = FileLog(file, settings)
    handler.setLevel(level)
    made = [handler, DenialLog(file, settings)] if _keeps_denials(file) else [handler]
    for each in made:
        each.setFormatter(JsonLines(redaction) if settings.get("json_format") else Lines(redaction))
    return [*made]


def _keeps_denials(file: Path) -> bool:
    """Not beside a device or a pipe."""
    return file.is_file() or not file.exists()


class Patient(logging.Handler):
    """Where nobody reads any more, or the disk is full, work goes on without its log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        pass


class Terminal(Patient, logging.StreamHandler[TextIO]):
    """Writes to the stderr of now; a test or a daemon may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class Lines(logging.Formatter):
    """Text for people. One record is one line and what is indented below it: no message can forge another one."""

    def __init__(self, redaction: Redaction, *, coloured: bool = False, dated: bool = True) -> None:
        super().__init__()
        self._redaction, self._coloured, self._dated = redaction, coloured, dated

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname
        shown = f"\x1b[{COLOURS[level]}m{level}\x1b[0m" if self._coloured and level in COLOURS else level
        when = f"{_time(record)} " if self._dated else ""
        return f"{when}{shown} {record.name}: {_indented(_text(self, record, self._redaction))}"


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        message = _text(self, record, self._redaction)
        row = {"timestamp": _time(record), "level": record.levelname.lower(), "logger": record.name, "message": message}
        return json.dumps(row)


def _text(formatter: logging.Formatter, record: logging.LogRecord, redaction: Redaction) -> str:
    """The message and, where there is one, the traceback."""
    parts = [record.getMessage()]
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    return redaction.clean("\n".join(parts))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _indented(text: str) -> str:
    """Nothing in it can draw on a terminal or pass for another record."""
    return harmless(text).replace("\n", "\n    ")


class FileLog(Patient):
    """Appends to a file that several processes may share, and begins a new one when it is full.

    Old files are `<name>.1` (the newest), `<name>.2.gz`, ...

    Raises:
        ConfigurationError: the file cannot be opened.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.path = path.absolute()
        self._most = int(settings.get("max_size_mb") or 10) * 1_000_000
        self._backups = int(settings.get("max_backups", 5))
        self._oldest = float(settings.get("max_age_days") or 7) * DAY
        self._told = False
        self._suffix = ".gz" if settings.get("compress", True) else ""
        try:
            private.make_folder(self.path.parent)
            self._stream = self._open()
        except OSError as error:
            raise ConfigurationError(
                f"the log file {path} cannot be written: {error.strerror}",
                setting="logging.log_file",
                hint="Name another file in logging.log_file, or remove the setting.",
            ) from error

    def _open(self) -> TextIO:
        return os.fdopen(private.append(self.path), "a", encoding="utf-8", errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._follow()
            self._stream.write(self.format(record) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Once: work goes on without its log, but not in secret."""
        if not self._told:
            self._told = True
            reason = getattr(error, "strerror", None) or error
            print(f"Warning: the log file {self.path} cannot be written: {reason}", file=sys.stderr)

    def _follow(self) -> None:
        """Go to the file that bears the name now, and to a new one when it is full."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            there = None
        if there is None or there.st_ino != os.fstat(self._stream.fileno()).st_ino:
            self._reopen()
        elif there.st_size >= self._most:
            with _locked(self.path):
                if self.path.exists() and self.path.stat().st_size >= self._most:  # nobody else did it meanwhile
                    self._rotate()
                self._reopen()

    def _reopen(self) -> None:
        self._stream.close()
        self._stream = self._open()

    def _rotate(self) -> None:
        """Number the old files one up, the oldest away; the youngest stays readable, others may still write to it."""
        if not self._backups:
            os.truncate(self.path, 0)
            return
        self._old(self._backups).unlink(missing_ok=True)
        for number in range(self._backups - 1, 0, -1):
            self._move(self._old(number), self._old(number + 1))
        self.path.replace(self._old(1))
        for number in range(1, self._backups + 1):
            old = self._old(number)
            if old.exists() and time.time() - old.stat().st_mtime > self._oldest:
                old.unlink()
            elif old.exists():
                private.mine_only(old)

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{self._suffix if number > 1 else ''}")

    def _move(self, source: Path, target: Path) -> None:
        if not source.exists():
            return
        if source.suffix == target.suffix or not self._suffix or source.suffix == ".gz":
            source.replace(target)
            return
        draft = target.with_name(f".{target.name}.new")
        draft.unlink(missing_ok=True)  # of a process that was ended in the middle; who rotates is alone
        with private.drafted(target, draft) as number, source.open("rb") as text:
            _pack(text, number)
        source.unlink()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        super().close()


def _pack(text: BinaryIO, number: int) -> None:
    with os.fdopen(number, "wb", closefd=False) as file, gzip.GzipFile(fileobj=file, mode="wb") as packed:
        shutil.copyfileobj(text, packed)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    if sys.platform == "win32":  # such locks are not to be had there
        yield
        return
    from fcntl import LOCK_EX, flock

    number = private.open_lock(path.with_name(f".{path.name}.lock"))
    try:
        flock(number, LOCK_EX)
        yield
    finally:
        os.close(number)
