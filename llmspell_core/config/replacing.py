"""A file that a person also edits, on disk: replaced whole or not at all, and changed by one process at a time."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from llmspell_core import private
from llmspell_core.errors import ConfigurationError, StorageError

__all__ = ["alone_at", "replace"]

LONGEST_WAIT = 10.0  # seconds
_ours = threading.RLock()
_locked: set[Path] = set()
"""Folders that the thread which holds `_ours` has locked."""


@contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Inside, no other llmspell changes the file at `path`. May be entered again.

    Its folder is what is locked, and made if need be: the file itself is replaced, and one beside it would be litter in a
    project.

    Raises:
        ConfigurationError: the folder cannot be made. StorageError: another process does not come to an end.
    """
    folder = Path(os.path.realpath(path)).parent
    try:
        private.make_folder(folder)
    except OSError as error:
        raise _refused(path, error) from None
    with _ours:
        if folder in _locked:
            yield
            return
        with _lock(folder):
            _locked.add(folder)
            try:
                yield
            finally:
                _locked.discard(folder)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    if sys.platform == "win32":  # a folder cannot be opened there
        yield
        return
    try:
        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # not to be listed; whether it can be written is another matter
        yield
        return
    try:
        if not private.wait_for_lock(number, time.monotonic() + LONGEST_WAIT):
            hint = "Another llmspell is changing a file in it; end it, or try again."
            raise StorageError(f"{folder} stays locked", operation="write", hint=hint)
        yield
    finally:
        os.close(number)


def replace(path: Path, text: str, ready: Callable[[], object] = lambda: None) -> None:
    """Write the whole file; on a full disk, and after a sudden end, the old one is still there.

    Args:
        ready: called when the text is on the disk, but not yet under its name; when it fails, nothing has changed.

    Raises:
        ConfigurationError: it cannot be written; nothing has changed.
    """
    with alone_at(path):
        try:
            _replace(Path(os.path.realpath(path)), text.encode(), ready)
        except OSError as error:
            raise _refused(path, error) from None


def _refused(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"cannot write {path}: {error.strerror}", path=str(path), hint=private.advice(error))


def _replace(path: Path, data: bytes, ready: Callable[[], object]) -> None:
    """`path` is no link: whoever keeps the file elsewhere wants it to stay there."""
    before = path.stat() if path.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        ready()
        path.write_bytes(data)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    is_written = False
    try:
        private.forget_drafts(path.parent, f".{escape(path.name)}.*.new")
        with private.drafted(path, draft) as number:
            _fill(number, data, before)
            is_written = True
            ready()
    except OSError:
        # A file that may be written in a folder that may not, or one that is mounted there alone.
        if before is None or not _is_fixed(path, draft, is_written=is_written):
            raise
        if not is_written:
            ready()
        _overwrite(path, data)


def _fill(number: int, data: bytes, before: os.stat_result | None) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
    if before is not None and hasattr(os, "fchown"):
        with suppress(OSError):  # only root gives files away
            os.fchown(number, before.st_uid, before.st_gid)
        os.fchmod(number, stat.S_IMODE(before.st_mode))
    os.fsync(number)


def _is_fixed(path: Path, draft: Path, *, is_written: bool) -> bool:
    """Whether the file can be written, but not replaced."""
    return os.access(path, os.W_OK) and (is_written or not os.access(draft.parent, os.W_OK))


def _overwrite(path: Path, data: bytes) -> None:
    """What was in it is put back if there is no room."""
    with path.open("r+b", buffering=0) as file:
        old = file.read()
        try:
            _put(file.fileno(), data)
        except OSError:
            with suppress(OSError):
                _put(file.fileno(), old)
            raise


def _put(number: int, data: bytes) -> None:
    os.lseek(number, 0, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
    os.truncate(number, len(data))
