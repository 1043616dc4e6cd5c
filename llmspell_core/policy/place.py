"""A name in a directory that is held open, so that nobody can exchange the directory for a link in the meantime.

Checking a path and then opening it leaves a gap in which a link can be swapped in. Here the directory is opened first,
the system is asked where the open directory really is, the policy decides about that, and everything else happens
relative to the open directory, without following a link in the last component.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llmspell_core.errors import LLMSpellError, NotFoundError, StorageError, ValidationError
from llmspell_core.policy.path import PathMode, PathRules, decodable

__all__ = ["Place", "explained", "open_directory", "open_place"]

DIRECTORY_FLAGS = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
# O_NONBLOCK: opening a named pipe must not wait for somebody at the other end.
FILE_FLAGS = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
HOLDS_DIRECTORIES = os.open in os.supports_dir_fd


@dataclass(frozen=True, slots=True)
class Place:
    """`name` in the open `directory`; where the platform cannot hold directories, None and an absolute name."""

    directory: int | None
    name: str
    path: Path

    def open(self, flags: int, mode: int = 0o644) -> int:
        return os.open(self.name, flags | FILE_FLAGS, mode, dir_fd=self.directory)

    def status(self) -> os.stat_result | None:
        """Of the entry itself, not of what a link points to; None when there is nothing."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def sibling(self, name: str) -> Place:
        return Place(
            self.directory,
            name if self.directory is not None else str(self.path.with_name(name)),
            self.path.with_name(name),
        )

    def mkdir(self) -> None:
        os.mkdir(self.name, dir_fd=self.directory)

    def unlink(self) -> None:
        os.unlink(self.name, dir_fd=self.directory)

    def replace(self, other: Place) -> None:
        """Take `other`'s place, atomically."""
        os.replace(self.name, other.name, src_dir_fd=self.directory, dst_dir_fd=other.directory)

    def sync_directory(self) -> None:
        """Make a rename or a new name survive a power cut."""
        if self.directory is not None:
            os.fsync(self.directory)


@contextmanager
def open_place(
    rules: PathRules, asked: str | os.PathLike[str], mode: PathMode, *, follow: bool = True
) -> Iterator[Place]:
    """The checked place of what the caller asked for; its directory must exist.

    Args:
        follow: follow a link in the last component; without it the place is the link itself.

    Raises:
        SecurityError: the policy says no, now or after a look at where the open directory really is.
    """
    real = real_path(rules, asked, follow=follow)
    rules.check(real, mode, asked)
    if not HOLDS_DIRECTORIES or not real.name:
        yield Place(None, str(real), real)
        return
    directory = os.open(real.parent, DIRECTORY_FLAGS)
    try:
        place = Place(directory, real.name, _where(directory, real.parent) / real.name)
        rules.check(place.path, mode, asked)
        yield place
    finally:
        os.close(directory)


@contextmanager
def open_directory(rules: PathRules, asked: str | os.PathLike[str], mode: PathMode = "read") -> Iterator[Place]:
    """A checked, existing directory: the place's `directory` is the directory itself and its name is `.`."""
    real = real_path(rules, asked)
    rules.check(real, mode, asked)
    if not HOLDS_DIRECTORIES:
        yield Place(None, str(real), real)
        return
    directory = os.open(real, DIRECTORY_FLAGS)
    try:
        path = _where(directory, real)
        rules.check(path, mode, asked)
        yield Place(directory, ".", path)
    finally:
        os.close(directory)


def real_path(rules: PathRules, asked: str | os.PathLike[str], *, follow: bool = True) -> Path:
    path = rules.absolute(asked)
    if follow or path.name in {"", "..", "."}:
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent)) / path.name


def _where(fd: int, expected: Path) -> Path:
    """Where an open directory is. Only Linux and macOS tell; elsewhere the path is looked up once more."""
    if sys.platform == "linux":
        return Path(os.readlink(f"/proc/self/fd/{fd}"))  # noqa: PTH115 - Path.readlink cannot take the magic link's text
    if sys.platform == "darwin":
        import fcntl

        return Path(os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")))
    return Path(os.path.realpath(expected))


def is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


@contextmanager
def explained(asked: str | os.PathLike[str], operation: str) -> Iterator[None]:
    """Turn what the system says about a path into our errors."""
    try:
        yield
    except LLMSpellError:
        raise
    except OSError as error:
        raise _explain(error, f"'{decodable(os.fspath(asked))}'", operation) from error


def _explain(error: OSError, path: str, operation: str) -> LLMSpellError:
    if error.errno == errno.ENOENT and operation in {"write", "append to", "create"}:
        return NotFoundError(
            f"the directory of {path} does not exist", what="directory", name=path.strip("'"), hint="Create it first."
        )
    if error.errno == errno.ENOENT:
        return NotFoundError(
            f"there is no {path}",
            what="file",
            name=path.strip("'"),
            hint="Check the spelling; relative paths start at the working directory.",
        )
    if error.errno == errno.EISDIR:
        return ValidationError(f"{path} is a directory, not a file", field="path")
    if error.errno == errno.ENOTDIR:
        return ValidationError(f"{path} is not a directory, or is below something that is none", field="path")
    if error.errno == errno.ELOOP:
        return ValidationError(f"{path} is a link that leads nowhere", field="path")
    if error.errno == errno.EEXIST:
        return ValidationError(f"{path} exists already", field="path")
    if error.errno == errno.ENAMETOOLONG:
        return ValidationError(f"{path[:60]}...' is too long for a name", field="path")
    hint = "Check the owner and the permissions." if error.errno in {errno.EACCES, errno.EPERM} else None
    return StorageError(f"cannot {operation} {path}: {error.strerror or error}", operation=operation, hint=hint)
