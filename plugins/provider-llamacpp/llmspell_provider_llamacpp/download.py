"""A large file over HTTP: resumed where it was interrupted, checked before it is used."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import AuthenticationError, LLMSpellError, ModelNotFoundError, NetworkError, StorageError
from llmspell_provider_llamacpp.package_index import host_of

if TYPE_CHECKING:
    import httpx2

__all__ = ["Remote", "Report", "fetch", "open_client", "sha256_of", "storage_error"]

BLOCK = 256 * 1024
ATTEMPTS = 3
Report = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Remote:
    """`sha256` and `size` of the file's content, where the source tells them."""

    url: str
    sha256: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    size: int | None = None


def open_client() -> httpx2.AsyncClient:
    """Proxies and certificates as the environment says, pip's certificate variable included."""
    import httpx2

    bundle = next(
        (os.environ[v] for v in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if os.environ.get(v)), None
    )
    verify: Any = ssl.create_default_context(cafile=bundle) if bundle and Path(bundle).is_file() else True
    timeout = httpx2.Timeout(30.0, connect=15.0)
    return httpx2.AsyncClient(verify=verify, timeout=timeout, follow_redirects=True)


async def fetch(client: httpx2.AsyncClient, remote: Remote, folder: Path, report: Report) -> Path:
    """Download into `folder` and return the file. What an earlier attempt left there is continued.

    Raises:
        NetworkError: unreachable, or broken off more than twice; what arrived is kept for the next attempt.
        ModelNotFoundError, AuthenticationError: the server says so.
        StorageError: the disk is full, or the checksum is wrong; then nothing is kept.
    """
    part = folder / f".{hashlib.sha256(remote.url.encode()).hexdigest()[:16]}.part"
    for attempt in range(ATTEMPTS):
        try:
            digest = await _continue(client, remote, part, report)
            break
        except NetworkError:
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.5 * 2**attempt)
    expected = remote.sha256 or digest
    if expected and await asyncio.to_thread(sha256_of, part) != expected:
        _forget(part)
        raise StorageError(
            f"the file from {host_of(remote.url)} does not have the expected checksum; it was deleted",
            hint="Try again. If it happens again, the source holds another file than the one that was announced.",
        )
    return part


async def _continue(client: httpx2.AsyncClient, remote: Remote, part: Path, report: Report) -> str | None:
    """One attempt. Returns the checksum that the server itself announced, if it did."""
    import httpx2

    try:
        async with client.stream("GET", remote.url, headers=_headers(remote, part)) as response:
            if response.status_code == 416:  # nothing is left to fetch, or what we have is not of this file
                return await _restart(client, remote, part, report, response)
            _check_status(response, remote)
            await _receive(response, remote, part, report)
            return _announced(response)
    except httpx2.HTTPError as error:
        raise unreachable(remote.url, error) from None
    except OSError as error:
        raise storage_error(error, part) from None


async def _restart(
    client: httpx2.AsyncClient, remote: Remote, part: Path, report: Report, response: httpx2.Response
) -> str | None:
    total = response.headers.get("content-range", "").rpartition("/")[2]
    if total.isdigit() and int(total) == _size(part):
        return _announced(response)
    _forget(part)
    return await _continue(client, remote, part, report)


def _headers(remote: Remote, part: Path) -> dict[str, str]:
    """Asks for the rest if it is sure to be of the same file: by checksum, or by the mark the server gave it."""
    headers = {"Accept-Encoding": "identity", **dict(remote.headers)}
    have = _size(part)
    mark = _mark(part).read_text("utf-8") if _mark(part).is_file() else ""
    if have and (mark or remote.sha256):
        headers["Range"] = f"bytes={have}-"
        if mark and not remote.sha256:
            headers["If-Range"] = mark
    return headers


async def _receive(response: httpx2.Response, remote: Remote, part: Path, report: Report) -> None:
    resumed = response.status_code == 206
    done = _size(part) if resumed else 0
    length = response.headers.get("content-length", "")
    total = done + int(length) if length.isdigit() else None
    etag = response.headers.get("etag", "")
    _mark(part).write_text("" if etag.startswith("W/") else etag, "utf-8")
    _check_size(remote, part, total)
    report(done, total)
    file = await asyncio.to_thread(part.open, "ab" if resumed else "wb")
    try:
        async for block in response.aiter_raw(BLOCK):
            await asyncio.to_thread(file.write, block)
            done += len(block)
            _check_size(remote, part, done)
            report(done, total)
    finally:
        file.close()


def _check_size(remote: Remote, part: Path, size: int | None) -> None:
    """A server that sends more than it announced would fill the disk."""
    if remote.size is None or (size or 0) <= remote.size:
        return
    _forget(part)
    raise StorageError(
        f"{host_of(remote.url)} sends {size} bytes or more, and the file should have {remote.size}; it was deleted",
        hint="The source holds another file than the one that was announced.",
    )


def _check_status(response: httpx2.Response, remote: Remote) -> None:
    status, host = response.status_code, host_of(remote.url)
    if status < 400:
        return
    if status in {401, 403}:
        raise AuthenticationError(
            f"{host} does not allow this download ({status})", status=status, hint="For gated models set HF_TOKEN."
        )
    if status in {404, 410}:
        raise ModelNotFoundError(f"{host} has no such file: {_path(remote.url)}", status=status, hint="Check the name.")
    raise NetworkError(f"{host} answered with status {status}", hint="Try again later; the download continues.")


def _announced(response: httpx2.Response) -> str | None:
    """The hub names the checksum of large files in a header of its redirect."""
    for reply in (*response.history, response):
        tag = reply.headers.get("x-linked-etag", "").strip('"')
        if re.fullmatch(r"[0-9a-f]{64}", tag):
            return str(tag)
    return None


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _mark(part: Path) -> Path:
    return part.with_suffix(".etag")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark(part).unlink(missing_ok=True)


def _path(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).path


def unreachable(url: str, error: Exception) -> NetworkError:
    reason = str(error) or type(error).__name__
    return NetworkError(
        f"{host_of(url)} cannot be reached: {reason}",
        hint="Check the network and the proxy variables. The same command continues where it stopped. "
        "Offline, give a file: llmspell model pull /path/to/model.gguf",
    )


def storage_error(error: OSError, path: Path) -> LLMSpellError:
    import errno

    if error.errno == errno.ENOSPC:
        return StorageError(
            f"the disk is full: {path.parent}", operation="write", hint="Free some space; the download continues."
        )
    return StorageError(
        f"{path.parent} cannot be written: {error.strerror or error}",
        operation="write",
        hint="Set LLMSPELL_HOME, or providers.local.model_directory, to a folder that you may write.",
    )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
