"""Which folders the operator trusts: by path, and by the content of all that they let a run read.

trust = Trust(os.environ)
trust.add("spells")          # from now on, until something in it changes
trust.state(Project.of("spells", os.environ))
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from llmspell_core import private
from llmspell_core.config.discovery import beside
from llmspell_core.config.document import MAX_BYTES, too_large
from llmspell_core.errors import ConfigurationError, NotFoundError, StorageError
from llmspell_core.places import PROJECT_FILES, project_places, trust_file

__all__ = ["Entry", "Project", "State", "Trust", "configured_folders"]

State = Literal["trusted", "changed", "unknown"]
PLUGINS = "llmspell_plugins"
MAX_FILES, MAX_PLUGIN_BYTES = 1000, 50_000_000
MAX_ALL_BYTES = 10 * MAX_BYTES
"""Of all configuration files of a folder together: they are read at each start, before anybody trusts them."""
LONGEST_WAIT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder that was trusted, and when."""

    folder: Path
    digest: str
    at: float


@dataclass(frozen=True)
class Project:
    """What a working folder lets a run read, read once: what was judged is what is used.

    Attributes:
        folder: the real path.
        contents: name in the folder -> content of the configuration files.
        main: the name of the file that is read; None when there is none.
        extra: the name of the file that is read after it, for `LLMSPELL_ENV`.
        outside: names of files that are links to another folder.
        strange: what has a configuration's name and is no file.
    """

    folder: Path
    contents: dict[str, bytes]
    main: str | None
    extra: str | None
    outside: frozenset[str] = frozenset()
    strange: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: str | os.PathLike[str], environ: Mapping[str, str]) -> Project:
        """Raises: ConfigurationError when a file is too large or cannot be read."""
        real = Path(os.path.realpath(folder))
        mains = [Path(path).relative_to(real).as_posix() for path in project_places(environ, str(real))]
        contents, strange = _contents(real, mains)
        main = next((name for name in mains if name in contents), None)
        name = beside(environ)
        extra = Path(main).with_name(name).as_posix() if main and name else None
        return cls(
            folder=real,
            contents=contents,
            main=main,
            extra=extra if extra in contents and extra != main else None,
            outside=frozenset(name for name in contents if not _is_inside(real, name)),
            strange=tuple(strange),
        )

    @property
    def names(self) -> list[str]:
        """The files that are read, the stronger one last."""
        return [name for name in (self.main, self.extra) if name is not None]

    @cached_property
    def digest(self) -> str:
        """A hash of all of it, `llmspell_plugins` included."""
        whole = hashlib.sha256()
        for name, digest in sorted({**_digests(self.contents), **_plugins(self.folder)}.items()):
            whole.update(f"{len(name)}:{name}={digest}\n".encode("utf-8", "surrogateescape"))
        return whole.hexdigest()

    @property
    def foreign(self) -> bool:
        """Whether there is something in it that somebody may have put there."""
        return bool(self.contents) or (self.folder / PLUGINS).exists()

    def with_file(self, name: str, content: bytes) -> Project:
        """The same with one file as it was just written."""
        return Project(self.folder, {**self.contents, name: content}, self.main or name, self.extra)

    def without_file(self, name: str) -> Project:
        kept = {each: content for each, content in self.contents.items() if each != name}
        return Project(self.folder, kept, None, None)


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _contents(folder: Path, mains: list[str]) -> tuple[dict[str, bytes], list[str]]:
    contents: dict[str, bytes] = {}
    strange: list[str] = []
    for name in mains:
        _take(folder, name, contents, strange)
    for parent in sorted({Path(name).parent for name in mains}):
        for path in sorted((folder / parent).glob("llmspell.*.toml"))[:MAX_FILES]:
            name = path.relative_to(folder).as_posix()
            if name not in contents:
                _take(folder, name, contents, strange)
                if sum(map(len, contents.values())) > MAX_ALL_BYTES:
                    reason = f"{folder} has more than {MAX_ALL_BYTES:,} bytes of configuration"
                    raise ConfigurationError(
                        reason, path=str(folder), hint="Remove the files llmspell.*.toml that nobody needs."
                    )
    return contents, strange


def _take(folder: Path, name: str, contents: dict[str, bytes], strange: list[str]) -> None:
    """Puts the file's content into `contents`; opened without waiting, because a named pipe would make us wait."""
    try:
        number = os.open(folder / name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if _is_regular(folder / name):
            reason = f"cannot read the configuration file {folder / name}: {error.strerror}"
            raise ConfigurationError(reason, path=str(folder / name), hint="Check its permissions.") from None
        strange.append(name)
        return
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        strange += [] if stat.S_ISDIR(mode) else [name]
        return
    with os.fdopen(number, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise too_large(str(folder / name))
    contents[name] = content


def _is_regular(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True


def _is_inside(folder: Path, name: str) -> bool:
    return Path(os.path.realpath(folder / name)).is_relative_to(folder)


def _plugins(folder: Path) -> dict[str, str]:
    """Name -> digest of every file below `llmspell_plugins`.

    Raises:
        ConfigurationError: there is too much of it, or something that cannot be vouched for.
    """
    root = folder / PLUGINS
    try:
        return _digests_below(root, folder) if root.is_dir() else {}
    except OSError as error:
        reason = f"cannot read {error.filename or root}: {error.strerror}"
        raise ConfigurationError(reason, path=str(root), hint="Check its permissions.") from None


def _digests_below(root: Path, folder: Path) -> dict[str, str]:
    found, size = dict[str, str](), 0
    for path in [root, *sorted(root.rglob("*"))]:
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISREG(mode):
            size += path.stat().st_size
            content = path.read_bytes() if size <= MAX_PLUGIN_BYTES else b""
            found[name] = hashlib.sha256(content).hexdigest()
        elif not stat.S_ISDIR(mode):
            raise ConfigurationError(f"{path} is no plain file", path=str(path), hint="Replace it by its content.")
        if len(found) > MAX_FILES or size > MAX_PLUGIN_BYTES:
            raise ConfigurationError(f"{root} holds too much to vouch for", path=str(root), hint="Make it a package.")
    return found


def configured_folders(path: Path) -> list[tuple[Path, str]]:
    """The working folders that the file at `path` configures, with its name in there, the likeliest first.

    There are none for a file that is no project's, and two for one in `config`, which may be a working folder itself.
    """
    whole = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - a link to a file keeps its own name
    if not whole.match("llmspell.*toml") and whole.name != ".llmspell.toml":
        return []
    folders = [whole.parent, whole.parent.parent] if whole.parent.name in {"config", ".config"} else [whole.parent]
    if str(whole.parent) != os.path.abspath("."):  # noqa: PTH100 - also where the current folder is gone
        folders.reverse()
    return [(Path(os.path.realpath(folder)), whole.relative_to(folder).as_posix()) for folder in folders]


class Trust:
    """The list of trusted folders, in llmspell's own folder. Several processes may change it at once."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self.path = Path(trust_file(self._environ)).absolute()

    def entries(self) -> list[Entry]:
        """All of them, sorted by folder.

        Raises:
            StorageError: the list is damaged, or others may write it.
        """
        return [
            Entry(Path(name), str(row.get("digest")), float(row.get("at", 0)))
            for name, row in sorted(self._read().items())
        ]

    def state(self, project: Project) -> State:
        """Whether `project` is trusted as it is now; `changed` when it was trusted as it was before."""
        row = self._read().get(str(project.folder))
        if row is None:
            return "unknown"
        return "trusted" if row.get("digest") == project.digest else "changed"

    def add(self, folder: str | os.PathLike[str] | Project) -> Project:
        """Trust the folder as it is now.

        Raises:
            NotFoundError: there is no configuration in it. StorageError: the list cannot be written.
        """
        project = folder if isinstance(folder, Project) else Project.of(folder, self._environ)
        if project.main is None:
            known = ", ".join(PROJECT_FILES)
            raise NotFoundError(
                f"{project.folder} has no configuration to trust",
                what="configuration",
                name=str(project.folder),
                hint=f"Looked for {known}.",
            )
        with self._changing() as rows:
            rows[str(project.folder)] = {"digest": project.digest, "at": round(time.time(), 3)}
        return project

    def remove(self, folder: str | os.PathLike[str]) -> bool:
        """Whether it was there."""
        real = os.path.realpath(folder)
        with self._changing() as rows:
            return rows.pop(real, None) is not None

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                text = file.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}", operation="read") from None
        if sys.platform != "win32" and (status.st_uid not in {0, os.getuid()} or status.st_mode & 0o022):
            raise StorageError(
                f"{self.path} may be written by others, so nothing in it counts",
                operation="read",
                hint=f"Look at it, then: chmod 600 {self.path}",
            )
        return self._parsed(text)

    def _parsed(self, text: bytes) -> dict[str, dict[str, Any]]:
        try:
            rows = json.loads(text)["folders"]
            return {str(name): dict(row) for name, row in rows.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            hint = f"Remove it, and trust your folders again: llmspell trust PATH ({self.path})."
            raise StorageError(f"{self.path} is damaged", operation="read", hint=hint) from None

    @contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, Any]]]:
        try:
            private.make_folder(self.path.parent)
            with _alone(self.path.with_name(f"{self.path.name}.lock")):
                rows = self._read()
                yield rows
                self._write(rows)
        except OSError as error:
            raise StorageError(
                f"cannot write {self.path}: {error.strerror}", operation="write", hint=private.advice(error)
            ) from None

    def _write(self, rows: dict[str, dict[str, Any]]) -> None:
        private.forget_drafts(self.path.parent, f"{self.path.name}.*.new")
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        number = private.create(partial)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump({"version": 1, "folders": rows}, file, indent=1)
                file.flush()
                os.fsync(number)
            partial.replace(self.path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time. Raises: StorageError when another one does not come to an end."""
    number = private.open_lock(path)
    try:
        if not private.wait_for_lock(number, time.monotonic() + LONGEST_WAIT):
            hint = "Another llmspell is changing the list; end it, or try again."
            raise StorageError(f"{path} stays locked", operation="write", hint=hint)
        yield
    finally:
        os.close(number)
