"""Consent to tool calls: who is asked, what may be answered, and runs that wait for an answer as records.

A record holds the conversation, the calls that wait, and the agent's configuration without secrets. It lies in the
state store, and also in a file of its own while that store forgets everything when the process ends.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError, StorageError, ValidationError
from llmspell_core.messages import Message, Record, ToolCall, Usage, new_id

if TYPE_CHECKING:
    from llmspell_core.state import StateStore

__all__ = ["ApprovalRequest", "Approver", "Decision", "Records", "RunRecord"]

WORDS = {"approve": True, "approved": True, "yes": True, "deny": False, "denied": False, "no": False}


@dataclass(frozen=True, slots=True)
class ApprovalRequest(Record):
    """What a person is asked: may this agent make this call?"""

    agent: str
    tool: str
    parameters: dict[str, Any]
    call_id: str


@dataclass(frozen=True, slots=True)
class Decision(Record):
    """The answer. `reason` is told to the model; `parameters` replace those of the call."""

    approved: bool
    reason: str | None = None
    parameters: dict[str, Any] | None = None

    @classmethod
    def of(cls, value: Any) -> Decision | None:
        """Reads True, False, `approve`, `deny`, or a table with `approved`; None means: not decided.

        Raises:
            ValidationError: anything else.
        """
        if value is None or isinstance(value, Decision):
            return value
        if isinstance(value, bool):
            return cls(value)
        if isinstance(value, str) and value.lower() in WORDS:
            return cls(WORDS[value.lower()])
        if isinstance(value, Mapping) and isinstance(value.get("approved"), bool):
            given = value.get("parameters")
            return cls(value["approved"], value.get("reason"), dict(given) if isinstance(given, Mapping) else None)
        raise ValidationError(
            f"{value!r} is not a decision",
            field="decision",
            hint="Answer true, false, 'approve', 'deny', or {approved=..., reason=...}.",
        )


Approver = Callable[[ApprovalRequest], "Awaitable[Any] | Any"]
"""Answers a request with what `Decision.of` reads; None leaves it open, and the run stops with a record."""


async def asked(approver: Approver, request: ApprovalRequest, deadline: asyncio.Timeout | None) -> Decision | None:
    """The approver's answer. The time it takes does not count for the run's deadline."""
    loop = asyncio.get_running_loop()
    when = deadline.when() if deadline is not None else None
    left = None if when is None else when - loop.time()
    if deadline is not None:
        deadline.reschedule(None)
    try:
        answer = approver(request)
        return Decision.of(await answer if inspect.isawaitable(answer) else answer)
    finally:
        if deadline is not None and left is not None:
            deadline.reschedule(loop.time() + left)


def settle(call: ToolCall, decision: Decision) -> None:
    """Write a decision into its call: a denied one has its result, an approved one may have other parameters."""
    from llmspell_core.messages import ToolOutput

    if decision.approved:
        call.parameters = decision.parameters if decision.parameters is not None else call.parameters
    else:
        why = f": {decision.reason}" if decision.reason else ""
        call.result = ToolOutput(False, None, f"the user did not allow this call{why}")


@dataclass(slots=True)
class RunRecord(Record):
    """A run that waits. `messages` without the system prompt; `start` is where this run's turns begin in them.

    `waiting` holds the calls of the last turn, `ask` the ids of those that need a decision.
    """

    agent: str
    config: dict[str, Any]
    messages: list[Message]
    start: int
    waiting: list[ToolCall]
    ask: list[str]
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    model_calls: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: new_id("run"))
    created_at: float = field(default_factory=time.time)
    version: int = 1

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRecord:
        """Raises: ValidationError when this is not a record that this version reads."""
        try:
            if data["version"] != 1:
                raise ValidationError(f"this record has version {data['version']}, which is not known here")
            given = {k: data[k] for k in cls.__dataclass_fields__ if k in data}
            given["messages"] = [Message.from_dict(m) for m in data["messages"]]
            given["waiting"] = [ToolCall.from_dict(c) for c in data["waiting"]]
            given["calls"] = [ToolCall.from_dict(c) for c in data["calls"]]
            given["usage"] = Usage.from_dict(data["usage"])
            return cls(**given)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValidationError(f"this is not the record of a run: {error} is missing or wrong") from None

    def requests(self) -> list[ApprovalRequest]:
        return [
            ApprovalRequest(self.agent, c.tool_name, c.parameters, c.tool_id)
            for c in self.waiting
            if c.tool_id in self.ask
        ]


class Records:
    """The waiting runs of a runtime: in its state store, and in `folder` while that store is not durable."""

    def __init__(self, state: StateStore, folder: Path) -> None:
        self._state = state
        self._folder = folder

    async def save(self, record: RunRecord) -> None:
        data = record.to_dict()
        await self._state.set(f"approval:{record.id}", data)
        if not self._state.durable:
            write_record(self._path(record.id), data)

    async def load(self, id_: str) -> RunRecord:
        """Raises: NotFoundError."""
        data = await self._state.get(f"approval:{id_}")
        if data is None and self._path(id_).is_file():
            data = read_record(self._path(id_))
        if data is None:
            raise NotFoundError(
                f"there is no waiting run '{id_}'", hint="See: llmspell agent pending", what="runs", name=id_
            )
        return RunRecord.from_dict(data)

    async def remove(self, id_: str) -> None:
        await self._state.delete(f"approval:{id_}")
        self._path(id_).unlink(missing_ok=True)

    async def all(self) -> list[RunRecord]:
        """The waiting runs, oldest first."""
        found = {key.split(":", 1)[1] for key in await self._state.keys("approval:")}
        found |= {path.stem for path in self._folder.glob("run_*.json")}
        return sorted([await self.load(id_) for id_ in found], key=lambda r: r.created_at)

    def _path(self, id_: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", id_):
            raise ValidationError(f"'{id_}' is not the id of a run", field="record")
        return self._folder / f"{id_}.json"


def write_record(path: Path, data: dict[str, Any]) -> None:
    """As JSON that only the owner may read: it holds a conversation. Raises: StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file, ensure_ascii=False, indent=1)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", operation="write") from error


def read_record(path: Path) -> dict[str, Any]:
    """Raises: StorageError, ValidationError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", operation="read") from error
    except ValueError as error:
        raise ValidationError(f"{path} is not the record of a run: {error}") from None
    if not isinstance(data, dict):
        raise ValidationError(f"{path} is not the record of a run")
    return data
