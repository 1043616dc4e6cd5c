# ruff: noqa: PTH101, PTH120 - pathlib would be imported for it at every start
"""Files for their owner only, in folders for their owner only: what the program writes down about a person's work.

Logs, traces, records of runs, histories and caches go through here, and nothing else in the program says 0600.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "advice",
    "append",
    "create",
    "drafted",
    "forget_drafts",
    "make_folder",
    "mine_only",
    "open_lock",
    "own_folder",
    "wait_for_lock",
]

FILE, FOLDER = 0o600, 0o700
PLAIN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
ADVICE = {
    errno.ENOSPC: "Free some space, then try again.",
    errno.EDQUOT: "Free some space, then try again.",
    errno.EFBIG: "The system limits the size of files here; see: ulimit -f.",
    errno.EMFILE: "The system allows this process too few open files; see: ulimit -n.",
    errno.ENFILE: "The system has too many open files; end other programs.",
    errno.EROFS: "Name a folder that can be written; llmspell's own one is LLMSPELL_HOME.",
    errno.EIO: "The disk has an error; look at the system's log.",
}
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(path: str | Path) -> None:
    """A folder and those above it that do not exist; those that do are as their owner wants them.

    Raises: OSError.
    """
    path = os.fspath(path)
    if os.path.isdir(path):  # noqa: PTH112
        return
    above = os.path.dirname(path)
    if above and above != path:
        make_folder(above)
    try:
        os.mkdir(path, FOLDER)  # noqa: PTH102
    except FileExistsError:
        if not os.path.isdir(path):  # noqa: PTH112 - else somebody else made it at this moment
            raise


def own_folder(path: str | Path) -> None:
    """A folder that holds nothing but ours: others are shut out of it, whoever made it. Raises: OSError."""
    make_folder(path)
    if hasattr(os, "geteuid") and os.stat(path).st_mode & OTHERS:  # noqa: PTH116
        os.chmod(path, FOLDER)


def append(path: str | Path) -> int:
    """A descriptor that writes to the end of a file. One of an earlier version that others can read is closed to them.

    Raises: OSError.
    """
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | PLAIN, FILE)
    _close_to_others(number)
    return number


def create(path: str | Path) -> int:
    """A descriptor of a new file, for bytes. Raises: FileExistsError, OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN, FILE)


def open_lock(path: str | Path) -> int:
    """A descriptor of a file that is only there to be locked. Raises: OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | PLAIN, FILE)


def wait_for_lock(number: int, until: float) -> bool:
    """Lock an open file or folder until it is closed; False when somebody else still has the lock at a `time.monotonic`.

    Where there are no such locks it is as if there were nobody else.
    """
    if sys.platform == "win32":
        return True
    from fcntl import LOCK_EX, LOCK_NB, flock

    while True:
        try:
            flock(number, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        except OSError:
            return True  # a file system without locks
        else:
            return True


@contextlib.contextmanager
def drafted(path: Path, draft: Path) -> Iterator[int]:
    """A descriptor of `draft`, which becomes `path` at the end: whole or not at all. Raises: OSError."""
    number = create(draft)
    try:
        yield number
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            os.close(number)
        draft.unlink(missing_ok=True)


def forget_drafts(folder: Path, pattern: str) -> None:
    """Remove what processes left there that were ended in the middle; to be called by one that is alone."""
    for left in folder.glob(pattern):
        left.unlink(missing_ok=True)


def mine_only(path: str | Path) -> None:
    """Close a file to others that another program's code opens; it is made, if need be. Raises: OSError."""
    os.close(append(path))


def advice(error: OSError) -> str:
    """What to do about something that could not be written."""
    return ADVICE.get(error.errno or 0, "Check the folder's permissions.")


def _close_to_others(number: int) -> None:
    found = os.fstat(number)
    if hasattr(os, "fchmod") and stat.S_ISREG(found.st_mode) and found.st_mode & OTHERS:
        with contextlib.suppress(OSError):  # it is somebody else's
            os.fchmod(number, stat.S_IMODE(found.st_mode) & ~OTHERS)
