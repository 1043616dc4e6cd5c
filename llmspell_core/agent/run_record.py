"""Runs that wait for a decision, as records.

A record holds how the run was begun, the conversations and calls that wait, what was finished, and the agents that take
part, without secrets, and is signed (see `signing`). It lies in the state store, and also in a file of its own while that
store forgets everything when the process ends.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core import private
from llmspell_core.agent.approval import ApprovalRequest, WaitingAgent
from llmspell_core.agent.budget import Spent
from llmspell_core.agent.place import Ledger
from llmspell_core.agent.signing import check_signature, signed
from llmspell_core.errors import LLMSpellError, NotFoundError, SecurityError, StorageError, ValidationError
from llmspell_core.json_text import read_json
from llmspell_core.messages import AgentOutput, Record, ToolCall, new_id

if TYPE_CHECKING:
    from llmspell_core.state import StateStore

__all__ = ["Records", "RunRecord", "read_record", "reading", "write_record"]

VERSION = 3
log = logging.getLogger("llmspell.agent")


@dataclass(slots=True)
class RunRecord(Record):
    """A run that waits.

    Attributes:
        root: what was begun: `kind` (agent or workflow), `name`, `input`, and the definition of a workflow.
        waiting, outputs, steps, spent: what its `Ledger` knew, by place.
        team: the agents that may take part, and the tools that they are.
        context: for whom it was done.
        created_at: Unix seconds.
    """

    root: dict[str, Any]
    waiting: dict[str, WaitingAgent]
    outputs: dict[str, AgentOutput] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    team: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: new_id("run"))
    created_at: float = field(default_factory=time.time)
    version: int = VERSION

    @classmethod
    def of(cls, ledger: Ledger, root: dict[str, Any], team: dict[str, Any], context: dict[str, Any]) -> RunRecord:
        return cls(root, ledger.waiting, ledger.outputs, ledger.steps, ledger.spent, team, context)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRecord:
        """Raises: ValidationError when this is not a record that this version reads."""
        with reading():
            if data["version"] != VERSION:
                raise ValidationError(
                    f"this record has version {data['version']}, which is not known here",
                    hint="Another version of llmspell saved it. Begin a new run.",
                )
            given = {k: data[k] for k in cls.__dataclass_fields__ if k in data}
            given["waiting"] = {path: WaitingAgent.from_dict(agent) for path, agent in data["waiting"].items()}
            given["outputs"] = {path: AgentOutput.from_dict(output) for path, output in data["outputs"].items()}
            given["spent"] = {path: Spent.from_dict(spent) for path, spent in data["spent"].items()}
            made = cls(**given)
            if not isinstance(made.id, str):
                raise TypeError("'id'")
            made.requests(), made.ledger()  # what cannot be read fails here, not later
            return made

    def ledger(self) -> Ledger:
        """What the run knows when it goes on."""
        made = Ledger()
        made.waiting, made.outputs = dict(self.waiting), dict(self.outputs)
        made.steps, made.spent = dict(self.steps), dict(self.spent)
        return made

    def calls(self) -> Iterator[tuple[str, WaitingAgent, ToolCall]]:
        """Each call that needs a decision, with the id it is decided by: its own, unless another agent's has the same."""
        found = [(agent, call) for agent in self.waiting.values() for call in agent.asking()]
        count = Counter(call.tool_id for _, call in found)
        seen: Counter[str] = Counter()
        for agent, call in found:
            id_ = call.tool_id if count[call.tool_id] == 1 else f"{agent.agent}.{call.tool_id}"
            seen[id_] += 1
            yield id_ if seen[id_] == 1 else f"{id_}#{seen[id_]}", agent, call

    def unmade(self) -> list[tuple[WaitingAgent, ToolCall]]:
        """Every call that is made when the run goes on, also of those that need no consent."""
        return [(agent, call) for agent in self.waiting.values() for call in agent.unmade()]

    def refused(self) -> list[tuple[WaitingAgent, ToolCall]]:
        """The calls that somebody refused."""
        found = [
            (agent, call) for agent in self.waiting.values() for call in agent.waiting if call.tool_id in agent.ask
        ]
        return [(agent, call) for agent, call in found if call.result is not None]

    def requests(self) -> list[ApprovalRequest]:
        return [ApprovalRequest(agent.agent, c.tool_name, c.parameters, id_) for id_, agent, c in self.calls()]


class Records:
    """The waiting runs of a runtime: in its state store, and in `folder` while that store is not durable."""

    def __init__(self, state: StateStore, folder: Path) -> None:
        self._state = state
        self._folder = folder

    async def save(self, record: RunRecord) -> None:
        data = signed(record.to_dict(), self._folder)
        await self._state.set(f"approval:{record.id}", data)
        if not self._state.durable:
            with suppress(OSError):  # what is wrong is said when it is written
                private.own_folder(self._folder)
            write_record(self._path(record.id), data)

    async def load(self, id_: str) -> RunRecord:
        """Raises: NotFoundError, and what `read` raises."""
        record = self.read(await self._stored(id_))
        if record.id != id_:
            raise SecurityError(
                f"what is saved as {id_} is the record of {record.id}",
                violation_type="record_signature",
                hint="Somebody copied it. See: llmspell agent pending",
            )
        return record

    def read(self, data: Mapping[str, Any]) -> RunRecord:
        """A record as it was saved by this user.

        Raises:
            ValidationError: it is none. SecurityError: it was changed since, or another user saved it.
            StorageError: the key that it was signed with is gone.
        """
        record = RunRecord.from_dict(data)
        check_signature(data, self._folder)
        return record

    async def take_in(self, path: Path) -> str:
        """Take in a waiting run from a file; returns its id.

        Raises:
            StorageError, ValidationError: no such record. SecurityError: it was changed, or another user saved it.
            NotFoundError: somebody has decided about it already.
        """
        record = self.read(read_record(path))
        await self.check_unused(record.id)
        await self.save(record)
        return record.id

    async def export(self, id_: str, path: Path) -> None:
        """Copy a record into a file. Raises: NotFoundError, StorageError."""
        data = await self._stored(id_)
        self.read(data)
        write_record(path, data)

    async def _stored(self, id_: str) -> dict[str, Any]:
        await self.check_unused(id_)
        data = await self._state.get(f"approval:{id_}")
        if data is None and self._path(id_).is_file():
            data = read_record(self._path(id_))
        if data is None:
            raise NotFoundError(
                f"there is no waiting run '{id_}'", hint="See: llmspell agent pending", what="runs", name=id_
            )
        return dict(data)

    async def check_unused(self, id_: str) -> None:
        """Raises: NotFoundError when somebody has decided about this run, however many copies of its record there are."""
        if self._mark(id_).exists() or await self._state.get(f"approval_used:{id_}"):
            raise NotFoundError(
                f"somebody has decided about run '{id_}' already",
                hint="What it waited for was done or refused then. To do it again, begin a new run.",
                what="runs",
                name=id_,
            )

    async def remove(self, id_: str) -> bool:
        """Whether it was there: of several that want to go on with a run, in any process, one gets True."""
        was_stored = bool(await self._state.delete(f"approval:{id_}"))
        if self._state.durable and was_stored:
            await self._state.set(f"approval_used:{id_}", True)
        try:
            self._path(id_).unlink()
        except FileNotFoundError:
            return was_stored and self._state.durable
        return self._use(id_)

    def _use(self, id_: str) -> bool:
        """Leave a mark, which outlives every copy of the record; False when it was there."""
        try:
            private.own_folder(self._folder)
            os.close(private.create(self._mark(id_)))
        except FileExistsError:
            return False
        except OSError as error:
            raise StorageError(f"cannot write {self._mark(id_)}: {error.strerror}", operation="write") from None
        return True

    def _mark(self, id_: str) -> Path:
        return self._path(id_).with_suffix(".used")

    async def all(self) -> list[RunRecord]:
        """The waiting runs, oldest first. What cannot be read is logged and left out."""
        ids = {key.split(":", 1)[1] for key in await self._state.keys("approval:")}
        ids |= {path.stem for path in self._folder.glob("run_*.json")}
        found = []
        for id_ in ids:
            try:
                found.append(await self.load(id_))
            except (NotFoundError, SecurityError, StorageError, ValidationError) as error:
                log.warning("the waiting run %s is left out: %s", id_, error.message)
        return sorted(found, key=lambda record: record.created_at)

    def _path(self, id_: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", id_):
            raise ValidationError(f"'{id_}' is not the id of a run", field="record")
        return self._folder / f"{id_}.json"


@contextmanager
def reading() -> Iterator[None]:
    """Whatever a record that somebody edited leads to is said as that. Raises: ValidationError."""
    try:
        yield
    except LLMSpellError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValidationError(
            f"this is not the record of a run: {error} is missing or wrong",
            hint="A record is read as it was saved. Other parameters are part of a decision.",
        ) from None


def write_record(path: Path, data: dict[str, Any]) -> None:
    """As JSON that only the owner may read: it holds a conversation. Whole or not at all. Raises: StorageError."""
    partial = path.with_name(f".{path.name}.{new_id('part')}")
    try:
        private.make_folder(path.parent)
        with os.fdopen(private.create(partial), "w", encoding="utf-8") as file:
            json.dump(data, file, ensure_ascii=False, indent=1)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}", operation="write") from None


def read_record(path: Path) -> dict[str, Any]:
    """Raises: StorageError, ValidationError."""
    try:
        data = read_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "Name the id of a waiting run (llmspell agent pending), or the file that holds one."
        raise StorageError(f"cannot read {path}: {error.strerror}", operation="read", hint=hint) from None
    except ValueError as error:
        raise ValidationError(f"{path} is not the record of a run: {error}") from None
    if not isinstance(data, dict):
        raise ValidationError(f"{path} is not the record of a run")
    return data
