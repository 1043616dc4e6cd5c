"""Brings the catalog up to date: reads the metadata of what is installed, has what changed described.

Only metadata is read here. Components are imported in a child process (`llmspell_core.plugins.describe`), so that a plugin that
ends its process, crashes or hangs costs its own row and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any, Self

from llmspell_core import private
from llmspell_core.plugins.cache import (
    FORMAT,
    environment,
    is_fresh,
    modified,
    read_catalog,
    search_path,
    settled_path_times,
    spare_file,
    spare_folder,
)
from llmspell_core.plugins.records import Component, Distribution, normalized

__all__ = ["build", "describe_in_child", "renew", "scan"]

log = logging.getLogger("llmspell.catalog")

GROUP_PREFIX = "llmspell."

LONGEST_WAIT = 60.0
"""Seconds to wait for another process that is making the same catalog."""
FORGOTTEN = 90 * 86_400
"""Seconds after which the catalog of an environment that may be gone is deleted."""
TIMEOUT = 20.0
"""Seconds that one component may take to be imported (`LLMSPELL_DESCRIBE_TIMEOUT`)."""

Key = tuple[str, str, str]
"""Distribution, kind, name."""
CHILD = "import sys; sys.path[:] = sys.argv[1:]; from llmspell_core.plugins.describe import main; main()"


def renew(path: str, blocked: list[str], *, refresh: bool = False) -> tuple[dict[str, Any], str]:
    """A catalog of what is installed now, and the file it is kept in: `path`, or another one where that is impossible.

    Of several processes one does the work and the others wait for it.
    """
    place = path if _can_write(path) else (_spare() or path)
    with _alone(place):
        data = None if refresh else read_catalog(place)
        if data is None or not is_fresh(data, blocked):
            data = build(data, place, blocked)
    return data, place


def _spare() -> str | None:
    with contextlib.suppress(OSError):
        private.make_folder(spare_folder())
    return spare_file()


def _can_write(path: str) -> bool:
    folder = Path(path).parent
    try:
        private.make_folder(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """One process at a time, as far as the file system lets us; who waited too long goes on all the same."""
    try:
        number = private.open_lock(f"{path}.lock")
    except OSError:
        yield
        return
    try:
        private.wait_for_lock(number, time.monotonic() + LONGEST_WAIT)
        yield
    finally:
        os.close(number)


def build(previous: dict[str, Any] | None, path: str, blocked: list[str]) -> dict[str, Any]:
    """A catalog of what is installed now; unchanged distributions keep what `previous` says about them."""
    paths = settled_path_times()
    installed = scan()
    kept = _unchanged(previous, [d for d, _ in installed]) if previous else {}
    changed = [c for d, rows in installed if d.name not in kept and d.name not in blocked for c in rows if not c.error]
    described, schemas = describe_in_child(changed)
    rows = [kept.get(d.name) or [described.get(_key(c), c) for c in found] for d, found in installed]
    data: dict[str, Any] = {
        "format": FORMAT,
        "environment": environment(),
        "paths": paths,
        "blocked": blocked,
        "distributions": [d._replace(described=d.name not in blocked) for d, _ in installed],
        "components": _by_kind(c for each in rows for c in each),
        "sources": {c.source: modified(c.source) for each in rows for c in each if c.source},
    }
    _save(Path(path), data, schemas, {d.name for d, _ in installed})
    return json.loads(json.dumps(data))  # type: ignore[no-any-return]  # the shapes a reader of the file would see


def scan() -> list[tuple[Distribution, list[Component]]]:
    """Every installed distribution with llmspell entry points, sorted by name, with bare rows."""
    found: dict[str, tuple[Distribution, list[Component]]] = {}
    for installed in metadata.distributions(path=search_path()):
        try:
            text = installed.read_text("entry_points.txt") or ""
            if GROUP_PREFIX not in text:
                continue
            distribution = _distribution(installed, text)
            rows = list(_rows(text, distribution))
        except Exception as error:  # noqa: BLE001 - somebody's broken metadata is not our failure
            log.warning("unreadable distribution: %s: %s", getattr(installed, "_path", "unknown"), error)
            continue
        # As for imports, the first one on the path hides the others.
        found.setdefault(distribution.name, (distribution, rows))
    return [found[name] for name in sorted(found)]


def _distribution(installed: metadata.Distribution, entry_points: str) -> Distribution:
    from zlib import crc32

    folder = getattr(installed, "_path", None)
    named = [*Path(str(folder)).stem.split("-"), "", ""]  # the folder says it, too
    name, version = _field(installed, "Name") or named[0], _field(installed, "Version") or named[1]
    stamp = f"{crc32(entry_points.encode()):08x}-{modified(os.path.join(str(folder), 'METADATA'))}"  # noqa: PTH118
    return Distribution(normalized(name), version, _field(installed, "Summary"), str(folder or ""), stamp)


def _field(installed: metadata.Distribution, name: str) -> str:
    try:
        return (installed.metadata[name] or "") if name in installed.metadata else ""  # newer Pythons refuse to look
    except UnicodeDecodeError:  # somebody's summary is in another encoding
        return ""


def _rows(entry_points: str, distribution: Distribution) -> Iterator[Component]:
    """Read here, because Python's reader gives up all distributions for one line."""
    group = ""
    for line in map(str.strip, entry_points.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith("#") and group.startswith(GROUP_PREFIX):
            kind = group.removeprefix(GROUP_PREFIX)
            name, equals, value = (part.strip() for part in line.partition("="))
            row = Component(kind, name, value, distribution.name, distribution.version)
            yield row if equals and name and value else row._replace(value="", error=_unreadable(line))


def _unreadable(line: str) -> dict[str, str]:
    return {
        "type": "ConfigurationError",
        "message": f"'{line[:60]}' in its entry_points.txt is not written name = module:attribute",
        "hint": "Install a repaired version, or uninstall it.",
    }


def _unchanged(previous: dict[str, Any], installed: list[Distribution]) -> dict[str, list[Component]]:
    """Distributions whose rows can be kept: same installation, same source files, nothing broken."""
    before = {row[0]: Distribution(*row) for row in previous["distributions"]}
    rows: dict[str, list[Component]] = {}
    for group in previous["components"].values():
        for row in group:
            rows.setdefault(row[3], []).append(Component(*row))
    edited = {path for path, stamp in previous["sources"].items() if modified(path) != stamp}
    return {
        d.name: rows[d.name]
        for d in installed
        if before.get(d.name) == d and d.name in rows and not any(_stale(c, edited) for c in rows[d.name])
    }


def _stale(component: Component, edited: set[str]) -> bool:
    # What was broken, or missed a library, may work after something else was installed.
    return bool(component.error or component.missing) or component.source in edited


def _key(component: Component) -> Key:
    return component.distribution, component.kind, component.name


def _by_kind(components: Iterable[Component]) -> dict[str, list[Component]]:
    grouped: dict[str, list[Component]] = {}
    for component in components:
        grouped.setdefault(component.kind, []).append(component)
    return grouped


# -- describing -------------------------------------------------------------------------------------------------------


def describe_in_child(components: list[Component]) -> tuple[dict[Key, Component], dict[str, dict[str, Any]]]:
    """What the components say about themselves, and their JSON schemas by distribution.

    A component that takes the process down, or does not come back in time, is blamed; the rest go to a fresh process.
    """
    described: dict[Key, Component] = {}
    schemas: dict[str, dict[str, Any]] = {}
    waiting = {_key(c): c for c in components}
    while waiting:
        current: Component | None = None
        with _Child(list(waiting.values())) as child:
            for answer in child.answers():
                key: Key = tuple(answer["key"])
                current = waiting[key] if answer["event"] == "begin" else None
                if answer["event"] == "done":
                    described[key] = _fill(waiting.pop(key), answer["row"])
                    if answer["schema"] is not None:
                        schemas.setdefault(key[0], {})[f"{key[1]}:{key[2]}"] = answer["schema"]
        if waiting:
            blamed = current or next(iter(waiting.values()))
            described[_key(blamed)] = _fatal(waiting.pop(_key(blamed)), child.ending())
    return described, schemas


def _fill(component: Component, row: dict[str, Any]) -> Component:
    fields = {name: value for name, value in row.items() if name in Component._fields}
    return component._replace(**fields)


def _fatal(component: Component, ending: str) -> Component:
    from importlib.util import find_spec

    source = ""
    with contextlib.suppress(Exception):  # finding a submodule imports its parents, which may be what is broken
        spec = find_spec(component.value.partition(":")[0].partition(".")[0])
        source = (spec.origin or "") if spec else ""
    hint = f"Report it to its author, update it, or block it: LLMSPELL_PLUGINS_BLOCK={component.distribution}"
    error = {"type": "Fatal", "message": f"importing it {ending}", "hint": hint}
    return component._replace(value="", source=source, error=error)


class _Child:
    """The describing process, its answers read with a deadline each."""

    def __init__(self, components: list[Component]) -> None:
        self._request = json.dumps([[*_key(c), c.value] for c in components])
        self._lines: Queue[str | None] = Queue()
        self._timed_out = False
        self._limit = float(os.environ.get("LLMSPELL_DESCRIBE_TIMEOUT") or TIMEOUT)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            # -B: a module compiled into a folder of the path would make the catalog look out of date at once.
            [sys.executable, "-B", "-c", CHILD, *filter(None, sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(self._request)
            self._process.stdin.close()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timed_out:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def answers(self) -> Iterator[dict[str, Any]]:
        while True:
            try:
                line = self._lines.get(timeout=self._limit)
            except Empty:
                self._timed_out = True
                return
            if line is None:
                return
            yield json.loads(line)

    def ending(self) -> str:
        """How it went, as the end of a sentence; to be asked after the `with` block."""
        if self._timed_out:
            return f"does not come back ({self._limit:g} s)"
        code = self._process.returncode
        return f"ends the process (signal {-code})" if code < 0 else f"ends the process (exit code {code})"


# -- writing ----------------------------------------------------------------------------------------------------------


def _save(path: Path, data: dict[str, Any], schemas: dict[str, dict[str, Any]], installed: set[str]) -> None:
    folder = path.with_suffix("")
    try:
        private.make_folder(folder)
        private.forget_drafts(folder, "*.new")
        private.forget_drafts(path.parent, f"{path.name}.*.new")
        for name, tables in schemas.items():
            _write(folder / f"{name}.json", tables)
        for stale in folder.glob("*.json"):
            if stale.stem not in installed:
                stale.unlink(missing_ok=True)
        _write(path, data)
        _forget_old(path.parent)
    except OSError as error:
        log.info(
            "the plugin catalog cannot be kept (%s); set LLMSPELL_CACHE_DIR to a folder that can be written", error
        )


def _forget_old(folder: Path) -> None:
    for file in folder.glob("*.json"):
        if time.time() - file.stat().st_mtime > FORGOTTEN:
            file.unlink(missing_ok=True)
            shutil.rmtree(file.with_suffix(""), ignore_errors=True)


def _write(path: Path, data: Any) -> None:
    """Whole or not at all: another process may read it at this moment."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with private.drafted(path, draft) as number, os.fdopen(number, "w", encoding="utf-8", closefd=False) as file:
        file.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
