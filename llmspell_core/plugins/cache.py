# ruff: noqa: PTH100, PTH109, PTH111, PTH116, PTH118, PTH119, PTH120, PTH123 - pathlib would cost a tenth of the whole start-up
"""The file that the catalog is kept in: where it is, whether it can be used, and whether it is still true.

One file for each environment. Nobody trusts what is in it further than its shape: a damaged file is made anew.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from stat import S_ISDIR
from typing import Any

__all__ = ["FORMAT", "cache_dir", "catalog_file", "environment", "is_fresh", "modified", "path_times", "read_catalog", "read_json",
           "search_path", "settled_path_times", "spare_file", "spare_folder"]  # fmt: skip

FORMAT = 4
ROW = [*[str] * 8, list, list, str, dict, dict]
"""The types of a component's fields; an error may be None."""
DISTRIBUTION = [*[str] * 5, bool]
SETTLED = 2 * 10**9  # nanoseconds after which nobody is writing into a folder any more


def cache_dir() -> str:
    """Where caches go: `LLMSPELL_CACHE_DIR`, else the platform's folder for the current user."""
    override = os.environ.get("LLMSPELL_CACHE_DIR")
    if override:
        return os.path.expanduser(override)
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    elif sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
    return os.path.join(base, "llmspell")


def catalog_file() -> str:
    """One file per environment: another interpreter or another `sys.path` has other plugins."""
    return os.path.join(cache_dir(), "catalog", _name())


def spare_file() -> str | None:
    """Where the catalog goes when that folder cannot be written: a folder of the user's own among the temporary ones.

    None where there is no such folder, or it is somebody else's, who could choose what is imported here.
    """
    if sys.platform == "win32":
        return None
    folder = spare_folder()
    try:
        status = os.lstat(folder)
    except OSError:
        return None
    own = S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
    return os.path.join(folder, _name()) if own else None


def spare_folder() -> str:
    # Anybody may make a folder of that name first; `spare_file` looks whose it is.
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"llmspell-{os.getuid()}")  # noqa: S108


def _name() -> str:
    from binascii import crc32

    identity = "\0".join([sys.prefix, f"{sys.version_info[:2]}", *search_path()])
    return f"{crc32(identity.encode('utf-8', 'surrogateescape')):08x}.json"


def search_path() -> list[str]:
    """The folders that hold distributions, in order.

    The folder of the running script, and with `python -m` the current one, are on `sys.path` for another reason; they
    count only if they are there twice.
    """
    folders = [folder for folder in sys.path if folder]
    started = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    own = os.getcwd() if os.path.basename(started) == "__main__.py" else os.path.dirname(started)
    if own in folders:
        folders.remove(own)
    return list(dict.fromkeys(folders))


def read_catalog(path: str) -> dict[str, Any] | None:
    """The catalog file's content; None when there is none that this version can use."""
    data = read_json(path)
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("environment") != environment():
        return None
    wanted = {"components": dict, "distributions": list, "sources": dict, "paths": list, "blocked": list}
    return data if all(isinstance(data.get(key), kind) for key, kind in wanted.items()) and _sound(data) else None


def _sound(data: dict[str, Any]) -> bool:
    """Whether every row has the shape that the rest of the code takes for granted."""
    broken = [*ROW[:11], type(None), dict]
    rows = (list(map(type, row)) for kind in data["components"].values() for row in kind)
    try:
        return all(row in (broken, ROW) for row in rows) and all(
            list(map(type, row)) == DISTRIBUTION for row in data["distributions"]
        )
    except TypeError:
        return False


def read_json(path: str) -> Any:
    """The file's content; None when it is missing, unreadable or not JSON."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError):
        return None


def environment() -> list[str]:
    """What a catalog is valid for."""
    return [sys.prefix, sys.version]


def is_fresh(data: Mapping[str, Any], blocked: list[str]) -> bool:
    """Whether nothing was installed, removed or edited since `data` was written."""
    if data["blocked"] != blocked or not _same_paths(data["paths"]):
        return False
    return all(modified(path) == stamp for path, stamp in data["sources"].items())


def _same_paths(kept: list[Any]) -> bool:
    now = path_times()
    return kept == now or (_unsettled(now) == kept and any(stamp < 0 for _, stamp in kept))


def settled_path_times() -> list[list[Any]]:
    """For a catalog that is being made: it is not trusted for long about a folder that changed just now."""
    return _unsettled(path_times())


def _unsettled(times: list[list[Any]]) -> list[list[Any]]:
    """Somebody may still be writing there. The stamps of such folders are negative until they are settled."""
    from time import time_ns

    now = time_ns()
    return [[path, stamp if now - stamp > SETTLED else -stamp] for path, stamp in times]


def path_times() -> list[list[Any]]:
    return [[path, modified(path)] for path in search_path()]


def modified(path: str) -> int:
    """Modification time in ns, of a package that of its newest module; 0 when there is no such file."""
    try:
        if path.endswith("__init__.py"):
            with os.scandir(os.path.dirname(path)) as files:
                return max(f.stat().st_mtime_ns for f in files if f.name.endswith((".py", ".lua", ".js")))
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
