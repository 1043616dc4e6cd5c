"""Runs on disk: one file of JSON lines per run, a line when a span begins and one when it has ended.

Each line is handed to the operating system at once, so it survives the sudden end of the process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core import private
from llmspell_core.errors import NotFoundError, StorageError
from llmspell_core.json_text import read_json
from llmspell_core.places import own_folder
from llmspell_core.trace.span import Span

if TYPE_CHECKING:
    from llmspell_core.config import Config

__all__ = ["Journal"]

SUFFIX = ".jsonl"


class Journal:
    """An observer that writes, and the way to what was written.

    Args:
        folder: made when first needed; its files are readable by their owner only.
        keep: how many runs stay; older ones are removed as new ones begin.
    """

    def __init__(self, folder: Path, keep: int = 100) -> None:
        self.folder = folder
        self._keep = keep
        self._begun = 0

    @classmethod
    def of(cls, config: Config) -> Journal:
        """The records of runs in the user's folder, as many as `tracing.keep` says."""
        return cls(Path(own_folder(os.environ), "traces"), int(config.get("tracing.keep") or 100))

    # -- writing ------------------------------------------------------------------------------------------------------

    def started(self, span: Span) -> None:
        if span.parent_id is None:
            if self._begun % self._keep == 0:
                private.make_folder(self.folder)
                self._prune()
            self._begun += 1
        self._write({"event": "start", **({} if span.parent_id else {"pid": os.getpid()})}, span)

    def ended(self, span: Span) -> None:
        self._write({"event": "end"}, span)

    def close(self) -> None:
        """Nothing is held back."""

    def _write(self, head: dict[str, Any], span: Span) -> None:
        line = json.dumps({**head, **span.to_dict()}, ensure_ascii=False, default=str) + "\n"
        # Opened for each line: a thousand runs at once must not need a thousand descriptors.
        path = self.folder / f"{span.run_id}{SUFFIX}"
        descriptor = private.append(path)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def _prune(self) -> None:
        ids = self.runs()
        for id_ in ids[: max(len(ids) - self._keep + 1, 0)]:
            (self.folder / f"{id_}{SUFFIX}").unlink(missing_ok=True)

    # -- reading ------------------------------------------------------------------------------------------------------

    def runs(self) -> list[str]:
        """Their ids, oldest first."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))

    def find(self, word: str) -> str:
        """The id that `word` means: an id, the beginning of one, or `last`. Raises: NotFoundError."""
        ids = self.runs()
        found = ids[-1:] if word == "last" else [i for i in ids if i == word] or [i for i in ids if i.startswith(word)]
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} runs begin with '{word}'" if found else f"there is no record of a run '{word}'"
        hint = f"Name one: {', '.join(found[-3:])}." if found else "See: llmspell trace list. Record one: run --trace."
        raise NotFoundError(what, hint=hint, what="runs", name=word)

    def read(self, id_: str) -> list[Span]:
        """The spans of a run in the order in which they began. Raises: StorageError."""
        spans: dict[str, Span] = {}
        alive = True
        for line in self._lines(id_):
            span = Span.from_dict(line)
            spans[span.id] = span
            alive = _is_alive(line["pid"]) if "pid" in line else alive
        for span in spans.values():
            if span.status == "running" and not alive:
                span.fail("the process ended before it did")
        return list(spans.values())

    def _lines(self, id_: str) -> Iterator[dict[str, Any]]:
        try:
            text = (self.folder / f"{id_}{SUFFIX}").read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise StorageError(f"the record of {id_} cannot be read: {error.strerror}", operation="read") from error
        for line in text.splitlines():
            try:
                data = read_json(line)
            except ValueError:  # the last line of a process that was killed while it wrote
                continue
            if isinstance(data, dict) and {"id", "kind", "name", "run_id"} <= data.keys():
                yield data


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
