"""`ctx.files`: files as a tool sees them, every path checked by the policy."""

from __future__ import annotations

import asyncio
import codecs
import copy
import errno
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, cast

from llmspell_core.errors import ResourceLimitError, SecurityError, ValidationError
from llmspell_core.policy.path import PathMode, decodable
from llmspell_core.policy.place import Place, explained, is_regular, open_directory, open_place, real_path

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.policy.policy import Policy

__all__ = ["FileEntry", "Files"]

log = logging.getLogger("llmspell.policy")

T = TypeVar("T")
AnyPath = str | os.PathLike[str]
FileType = Literal["file", "directory", "symlink", "unknown"]
CHUNK = 1024 * 1024
LONGEST_NAME = 200  # bytes of a temporary file's name that are of the file it becomes; systems allow 255
OPEN_FLAGS = {
    "rb": os.O_RDONLY,
    "wb": os.O_WRONLY | os.O_CREAT,  # emptied when it is known what it is
    "ab": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the system knows about a file. Times are aware, in UTC.

    `name` and `path` are the system's own; bytes that are no UTF-8 are half surrogates in them, as everywhere in Python.
    """

    name: str
    path: str
    type: FileType
    size: int
    modified: datetime
    accessed: datetime
    created: datetime
    readonly: bool

    @classmethod
    def of(cls, path: Path, status: os.stat_result) -> FileEntry:
        created = getattr(status, "st_birthtime", status.st_ctime)
        return cls(
            path.name,
            str(path),
            _type_of(status.st_mode),
            status.st_size,
            _time(status.st_mtime),
            _time(status.st_atime),
            _time(created),
            not status.st_mode & 0o222,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data; times as RFC 3339, and U+FFFD for what cannot be decoded in a name."""
        times = {"created": self.created, "modified": self.modified, "accessed": self.accessed}
        name, path = decodable(self.name), decodable(self.path)
        plain = {"name": name, "path": path, "type": self.type, "size": self.size, "readonly": self.readonly}
        return plain | {key: value.isoformat().replace("+00:00", "Z") for key, value in times.items()}


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _type_of(mode: int) -> FileType:
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "unknown"


Entries = list[FileEntry]  # inside Files the name `list` is a method


class Files:
    """Files for one execution.

    The asynchronous methods work in a thread; `open` and `resolve` are for code that is in one already, or that hands
    a file object to a library. Relative paths start at the policy's working directory.

    Every method raises SecurityError (`path_denied`) for a path the policy refuses, NotFoundError for one that is not
    there, ValidationError for one of the wrong kind, ResourceLimitError for one that is too big, StorageError for
    what the system refuses.
    """

    def __init__(self, policy: Policy, context: ExecutionContext | None = None) -> None:
        self._policy = policy
        self._context = context
        self._paths = policy.paths

    def only(self, folder: AnyPath) -> Files:
        """Files of which those in `folder` are allowed, and nothing else; what is denied or sensitive stays so."""
        files = copy.copy(self)
        files._paths = self._paths.only(folder)  # noqa: SLF001 - its own class
        return files

    async def read_bytes(self, path: AnyPath) -> bytes:
        return await self._run("read", path, self._read)

    async def read_text(self, path: AnyPath, encoding: str = "utf-8") -> str:
        """The file as text. Raises: ValidationError when it is not text of that encoding."""
        data = await self.read_bytes(path)
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            message = f"'{os.fspath(path)}' is not {encoding} text (byte {error.start} does not fit)"
            raise ValidationError(message, field="path", hint=_looks_like(data)) from None

    async def write_bytes(self, path: AnyPath, data: bytes, *, atomic: bool | None = None) -> FileEntry:
        """Write the whole file. Readers see the old content or the new, never a part; `atomic=False` writes in place."""
        return await self._run("write", path, lambda p: self._write(p, data, atomic))

    async def write_text(
        self, path: AnyPath, text: str, *, encoding: str = "utf-8", atomic: bool | None = None
    ) -> FileEntry:
        return await self.write_bytes(path, _encoded(text, encoding), atomic=atomic)

    async def append(self, path: AnyPath, data: str | bytes) -> FileEntry:
        """Add to the end; makes the file when it is not there."""
        added = data if isinstance(data, bytes) else _encoded(data, "utf-8")
        return await self._run("append to", path, lambda p: self._append(p, added))

    async def delete(self, path: AnyPath) -> None:
        """Delete a file, or a link but not what it points to. Directories stay."""
        await self._run("delete", path, self._delete)

    async def mkdir(self, path: AnyPath, *, parents: bool = False, exist_ok: bool = False) -> None:
        await self._run("create", path, lambda p: self._mkdir(p, parents=parents, exist_ok=exist_ok))

    async def list(self, path: AnyPath = ".", *, recursive: bool = False) -> Entries:
        """A directory's entries by name. Links are listed, not followed."""
        return await self._run("list", path, lambda p: self._list(p, recursive))

    async def copy(self, source: AnyPath, target: AnyPath) -> FileEntry:
        """Copy one file with its permissions; an existing target is replaced and keeps its own."""
        return await self._run("copy", source, lambda p: self._copy(p, target))

    async def move(self, source: AnyPath, target: AnyPath) -> None:
        """Rename a file or a directory; an existing target file is replaced."""
        await self._run("move", source, lambda p: self._move(p, target))

    async def stat(self, path: AnyPath) -> FileEntry:
        """Links are followed."""
        return await self._run("look at", path, self._stat)

    async def exists(self, path: AnyPath) -> bool:
        return await self._run("look at", path, self._exists)

    def resolve(self, path: AnyPath, mode: PathMode = "read") -> Path:
        """The real, checked path, for libraries that insist on one. Prefer `open`: it leaves no gap after the check."""
        return self._checked("resolve", path, lambda p: self._resolve(p, mode))

    def open(self, path: AnyPath, mode: Literal["rb", "wb", "ab"] = "rb") -> BinaryIO:
        """A binary file object; the caller closes it."""
        return self._checked("open", path, lambda p: self._open(p, mode))

    async def _run(self, operation: str, path: AnyPath, work: Callable[[AnyPath], T]) -> T:
        try:
            return await asyncio.to_thread(self._explained, operation, path, work)
        except SecurityError as error:
            await self._policy.report(error, self._context)
            raise

    def _checked(self, operation: str, path: AnyPath, work: Callable[[AnyPath], T]) -> T:
        try:
            return self._explained(operation, path, work)
        except SecurityError as error:
            self._policy.report_soon(error, self._context)
            raise

    def _explained(self, operation: str, path: AnyPath, work: Callable[[AnyPath], T]) -> T:
        log.debug("%s %s", operation, path)
        with explained(path, operation):
            return work(path)

    def _resolve(self, path: AnyPath, mode: PathMode) -> Path:
        real = real_path(self._paths, path)
        self._paths.check(real, mode, path)
        return real

    def _open(self, path: AnyPath, mode: str) -> BinaryIO:
        _require_file_name(path)
        with open_place(self._paths, path, "read" if mode == "rb" else "write") as place:
            return _file(place, mode, path)

    def _place_to_write(self, path: AnyPath) -> AbstractContextManager[Place]:
        _require_file_name(path)
        return open_place(self._paths, path, "write")

    def _read(self, path: AnyPath) -> bytes:
        with self._open(path, "rb") as file:
            self._check_size(os.fstat(file.fileno()).st_size, path)
            data = file.read(self._policy.settings.max_file_size + 1)
        self._check_size(len(data), path)  # it may have grown, or be a file without a size
        return data

    def _write(self, path: AnyPath, data: bytes, atomic: bool | None) -> FileEntry:
        self._check_size(len(data), path)
        with self._place_to_write(path) as place:
            if atomic if atomic is not None else self._policy.settings.atomic_writes:
                _replace(place, path, lambda file: file.write(data))
            else:
                with _file(place, "wb", path) as file:
                    file.write(data)
            return _entry(place)

    def _append(self, path: AnyPath, data: bytes) -> FileEntry:
        with self._place_to_write(path) as place, _file(place, "ab", path) as file:
            self._check_size(os.fstat(file.fileno()).st_size + len(data), path)
            file.write(data)
            file.flush()
            return _entry(place)

    def _delete(self, path: AnyPath) -> None:
        with open_place(self._paths, path, "write", follow=False) as place:
            status = _required(place)
            if stat.S_ISDIR(status.st_mode):
                raise ValidationError(f"'{os.fspath(path)}' is a directory; only files can be deleted", field="path")
            place.unlink()

    def _mkdir(self, path: AnyPath, *, parents: bool, exist_ok: bool) -> None:
        real = self._resolve(path, "write")
        missing = [p for p in (real, *real.parents) if not p.exists()] if parents else [real]
        for directory in reversed(missing):
            with open_place(self._paths, directory, "write") as place:
                place.mkdir()
        if real not in missing and not exist_ok:
            raise FileExistsError(errno.EEXIST, "exists already")

    def _list(self, path: AnyPath, recursive: bool) -> Entries:
        limit = self._policy.settings.max_dir_entries
        found: Entries = []
        for entry in self._walk(path, recursive):
            found.append(entry)
            if len(found) > limit:
                raise ResourceLimitError(
                    f"'{os.fspath(path)}' holds more entries than can be listed",
                    resource="directory entries",
                    limit=limit,
                    used=f"more than {limit}",
                )
        return found

    def _walk(self, path: AnyPath, recursive: bool) -> Iterator[FileEntry]:
        """Depth first, without recursion of its own: how deep folders lie is somebody else's choice."""
        waiting = [iter(self._entries(path))]
        while waiting:
            entry = next(waiting[-1], None)
            if entry is None:
                waiting.pop()
                continue
            yield entry
            if recursive and entry.type == "directory" and self._may_enter(entry.path):
                waiting.append(iter(self._entries(entry.path)))

    def _entries(self, path: AnyPath) -> Entries:
        with open_directory(self._paths, path) as place:
            return _entries(place, self._policy.settings.max_dir_entries + 1)

    def _may_enter(self, path: str) -> bool:
        try:
            self._paths.check(Path(path), "read", path)
        except SecurityError:
            return False
        return True

    def _copy(self, source: AnyPath, target: AnyPath, *, moving: bool = False) -> FileEntry:
        with self._open(source, "rb") as file:
            status = os.fstat(file.fileno())
            self._check_size(status.st_size, source)
            with explained(target, "write"), self._place_to_write(target) as place:
                _replace(place, target, lambda copy: self._pour(file, copy, source), status, moving=moving)
                return _entry(place)

    def _pour(self, source: BinaryIO, target: BinaryIO, path: AnyPath) -> None:
        done = 0
        while chunk := source.read(CHUNK):
            done += len(chunk)
            self._check_size(done, path)
            target.write(chunk)

    def _move(self, source: AnyPath, target: AnyPath) -> None:
        rules = self._paths
        with open_place(rules, source, "write", follow=False) as old:
            status = _required(old)
            with explained(target, "write"), open_place(rules, target, "write", follow=False) as new:
                if not stat.S_ISDIR(status.st_mode):
                    _require_file_name(target)
                else:
                    rules.check_tree(old.path, source)
                    rules.check_tree(new.path, target)
                try:
                    old.replace(new)
                    return
                except OSError as error:
                    if error.errno != errno.EXDEV or not is_regular(status):
                        raise
        self._copy(source, target, moving=True)  # another file system
        self._delete(source)

    def _stat(self, path: AnyPath) -> FileEntry:
        with open_place(self._paths, path, "read") as place:
            return FileEntry.of(place.path, _required(place))

    def _exists(self, path: AnyPath) -> bool:
        real = self._resolve(path, "read")
        if not real.parent.is_dir():
            return False
        with open_place(self._paths, path, "read") as place:
            status = place.status()
            # What is still a link after all links were followed is part of a circle.
            return status is not None and not stat.S_ISLNK(status.st_mode)

    def _check_size(self, size: int, path: AnyPath) -> None:
        limit = self._policy.settings.max_file_size
        if size > limit:
            raise ResourceLimitError(
                f"'{os.fspath(path)}' is too big",
                resource="file size",
                limit=limit,
                used=size,
                hint="Raise tools.file_operations.max_file_size (bytes) if this size is wanted.",
            )


def _looks_like(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and len(data) % 2 == 0:
        return "It looks like UTF-16; save it as UTF-8 first."
    if b"\0" not in data:
        return "It may be text in an older encoding, which has to be saved as UTF-8 first, or a binary file."
    return "It looks like a binary file; use a tool made for its format."


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        reason = f"it holds {text[error.start]!r}, which {encoding} cannot write"
        raise ValidationError(f"this is not text: {reason}", field="input", hint="Write it as bytes.") from None


def _file(place: Place, mode: str, path: AnyPath) -> BinaryIO:
    fd = place.open(OPEN_FLAGS[mode])
    try:
        status = os.fstat(fd)
        _require_file(status, path)
        if mode != "rb":
            _require_one_name(status, path)
        if mode == "wb":
            os.ftruncate(fd, 0)
        return cast("BinaryIO", os.fdopen(fd, mode))
    except BaseException:
        os.close(fd)
        raise


def _require_one_name(status: os.stat_result, path: AnyPath) -> None:
    """Refuse to change a file in place that has other names: nobody can say whether they may be changed."""
    if status.st_nlink > 1:
        raise SecurityError(
            f"'{os.fspath(path)}' has another name (a hard link), so it may not be changed in place",
            violation_type="path_denied",
            hint="Write it as a whole: that makes a new file of this name.",
        )


def _replace(
    place: Place,
    path: AnyPath,
    write: Callable[[BinaryIO], object],
    source: os.stat_result | None = None,
    *,
    moving: bool = False,
) -> None:
    """Write beside the place and rename.

    A file that was there hands its permissions on; a new one has those of `source`, as far as the user's mask lets it.

    Args:
        moving: the new file is to be `source` itself, with its permissions and times.
    """
    old = place.status()
    if old is not None:
        _require_file(old, path)
    mode = 0o644 if source is None else source.st_mode & 0o777
    beside = place.sibling(f".{_shortened(place.path.name)}.{secrets.token_hex(4)}.tmp")
    fd = beside.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            write(file)
            file.flush()
            _take_over(file.fileno(), source if moving else old)
            if source is not None and moving and os.utime in os.supports_fd:
                os.utime(file.fileno(), ns=(source.st_atime_ns, source.st_mtime_ns))
            os.fsync(file.fileno())
        beside.replace(place)
    except BaseException:
        beside.unlink()
        raise
    place.sync_directory()


def _take_over(fd: int, status: os.stat_result | None) -> None:
    if status is not None and hasattr(os, "fchmod"):
        os.fchmod(fd, status.st_mode & 0o777)  # no set-user-id for what has another content


def _shortened(name: str) -> str:
    """So that something can be appended: systems count bytes, and a letter may have four."""
    return os.fsencode(name)[:LONGEST_NAME].decode("utf-8", "ignore")


def _require_file_name(path: AnyPath) -> None:
    """A path that ends with a slash names a directory, whatever is there."""
    text = os.fspath(path)
    if text.endswith(("/", os.sep, "/.", "/..")):
        raise ValidationError(
            f"'{text}' names a directory, not a file", field="path", hint="Leave out what follows the file's name."
        )


def _require_file(status: os.stat_result, path: AnyPath) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    if not is_regular(status):
        raise ValidationError(f"'{os.fspath(path)}' is not a regular file", field="path")


def _required(place: Place) -> os.stat_result:
    status = place.status()
    if status is None:
        raise FileNotFoundError(errno.ENOENT, "not there")
    return status


def _entry(place: Place) -> FileEntry:
    return FileEntry.of(place.path, _required(place))


def _entries(place: Place, most: int) -> list[FileEntry]:
    """Sorted; a directory of millions is not read to its end."""
    found = []
    with os.scandir(place.directory if place.directory is not None else place.path) as scan:
        for entry in islice(scan, most):
            with suppress(FileNotFoundError):  # deleted while we looked
                found.append(FileEntry.of(place.path / entry.name, entry.stat(follow_symlinks=False)))
    return sorted(found, key=lambda entry: entry.name)
