"""Host calls of one session: found, validated, answered; waited for in tasks that the session owns."""

from __future__ import annotations

import asyncio
import logging
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import InternalError, LLMSpellError, ResourceLimitError, ValidationError
from llmspell_core.foreign import is_its_own
from llmspell_core.purse import OBJECT, weigh
from llmspell_core.script.deadline import new_owner
from llmspell_core.script.reference import Reference
from llmspell_core.script.scope import HandleRef
from llmspell_core.script.stream import STREAM_OPERATIONS, Stream
from llmspell_core.script.validate import bind, fit
from llmspell_core.script.values import Encoder, View
from llmspell_core.script.wire import encoded
from llmspell_core.watchdog import OverdueError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from llmspell_core.script.api import Operation, ScriptApi
    from llmspell_core.script.process import WorkerProcess
    from llmspell_core.script.scope import ScriptScope

__all__ = ["Calls"]

log = logging.getLogger("llmspell.script")

MOST_MESSAGE = 10_000
"""Characters of an error's message; one that quotes what it was given may be of any length."""
SMALL_FRAME = 256
"""Bytes of a frame that is not worth weighing: what it says takes so many times as much, at most."""
TIMES = 32


class Calls:
    """Answers the "call", "post" and "cancel" frames of one worker.

    A plain handler is answered inside `call` itself, before control goes back to the event loop; a coroutine becomes a
    task, at most `limit` of them at one time.

    Attributes:
        owner: number of this session, under which its work is known (see `OWNERS`).
        is_answering: whether the loop is in a plain handler now.
    """

    def __init__(self, api: ScriptApi, scope: ScriptScope, worker: WorkerProcess, limit: int) -> None:
        self._api = api
        self._operations = api.operations
        self._handles = api.handles
        self._scope = scope
        self._worker = worker
        self._limit = limit
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._labels: dict[int, tuple[str, int]] = {}
        self._last: tuple[str, int] | None = None
        self._has_handles = False
        self._encoder = Encoder(self._special)
        self._posted = 0
        self.owner = new_owner()
        self.is_answering = False

    def call(self, call_id: int, op: str, args: list[Any], line: int) -> None:
        if type(call_id) is not int or type(line) is not int or type(args) is not list or type(op) is not str:
            raise TypeError("call")
        if call_id < 0 or call_id in self._tasks:
            raise ValueError(call_id)
        operation = self._operations.get(op) or self._first_use(call_id, op)
        if operation is None:
            return
        self._last = (operation.label, line)
        self._scope.call_bytes = weight = self._weight(args)
        self.is_answering = True
        try:
            result = operation.handler(self._scope, *self._bound(operation, args))
            if type(result) is CoroutineType:
                self._wait_for(call_id, operation, result, line, weight)
                return
            self._answer(call_id, operation, result)
        except BaseException as error:  # whatever a handler raises becomes one clean error of the script
            if not is_its_own(error):
                raise
            self._refuse(call_id, error, operation.label)
        finally:
            self.is_answering = False

    def post(self, op: str, args: list[Any]) -> None:
        """A call that wants no answer; its errors are logged."""
        if type(op) is not str or type(args) is not list:
            raise TypeError("post")
        operation = self._operations.get(op) or self._api.find(op)
        if operation is None:
            raise KeyError(op)
        self.is_answering = True
        try:
            result = operation.handler(self._scope, *self._bound(operation, args))
            if type(result) is CoroutineType:
                self._posted -= 1
                self._wait_for(self._posted, operation, result, 0, self._weight(args))
        except LLMSpellError as error:
            log.warning("%s: %s", operation.label, error.message)
        finally:
            self.is_answering = False

    def cancel(self, call_id: int) -> None:
        task = self._tasks.get(call_id)
        if task is not None:
            task.cancel()

    def doing(self) -> str | None:
        """What the script was doing last, in words; None when it never asked for anything and computes."""
        open_ = self._labels.copy()  # the watchdog's thread asks, too
        if self.is_answering and self._last is not None:
            open_[0] = self._last
        if open_:
            label, line = next(reversed(open_.values()))
            return f"it was waiting for {label}{_at(line)}"
        asleep = self._worker.is_asleep
        if self._last is not None:
            now = "waiting" if asleep else "computing"
            return f"it was {now}; its last host call was {self._last[0]}{_at(self._last[1])}"
        return "it was waiting, but not for the host: for a timer, or for its output to be read" if asleep else None

    def forget(self) -> None:
        """A new run begins; what the one before did last is of no interest any more."""
        self._last = None

    def owns(self, task: asyncio.Task[Any]) -> bool:
        """Whether a task answers a call of this script. Safe in another thread."""
        return task in self._tasks.copy().values()

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def close(self) -> None:
        """Cancels what is unanswered and waits until it has cleaned up."""
        self.stop()
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))
            # The watchdog may have interrupted what takes a task out when it is done.
            self._tasks = {id_: task for id_, task in self._tasks.items() if not task.done()}

    def text(self, value: Any) -> str:
        """JSON text of a value on its way to the worker."""
        return self._encoder.text(value)

    def _first_use(self, call_id: int, op: str) -> Operation | None:
        """An operation whose global is imported now; None when the call was refused."""
        try:
            found = STREAM_OPERATIONS.get(op) or self._api.find(op)
        except LLMSpellError as error:
            self._refuse(call_id, error)
            return None
        if found is None:
            self._refuse(call_id, ValidationError(f"there is no '{op[:80]}' here"))
        return found

    # -- inner ------------------------------------------------------------------------------------------------------

    def _bound(self, operation: Operation, args: list[Any]) -> list[Any]:
        if operation.builder is not None:
            fields = args[0] if args and isinstance(args[0], dict) else {}
            return [fields | fit(operation.label, operation.containers, fields)]
        if operation.handle is None:
            return bind(operation.label, operation.params, args, varargs=operation.varargs)
        target = self._scope.get(args[0] if args else None, operation.handle)
        return [target, *bind(operation.label, operation.params, args[1:], varargs=operation.varargs)]

    def _weight(self, args: list[Any]) -> int:
        """Bytes of memory that the arguments of the call take that came just now."""
        size = self._worker.frame_bytes
        return size * TIMES if size <= SMALL_FRAME else weigh(args)

    def _wait_for(
        self, call_id: int, operation: Operation, work: Coroutine[Any, Any, Any], line: int, weight: int
    ) -> None:
        """Raises: ResourceLimitError when the calls that wait are too large together."""
        if len(self._tasks) >= self._limit:
            work.close()
            self._worker.kill(f"it has more than {self._limit} calls open")
            return
        try:
            size = self._scope.purse.take(OBJECT + weight)
        except ResourceLimitError:
            work.close()
            raise
        task = asyncio.get_running_loop().create_task(self._finish(call_id, operation, work, weight))
        self._tasks[call_id] = task
        self._labels[call_id] = (operation.label, line)
        task.add_done_callback(lambda task: self._finished(task, call_id, work, size))

    def _finished(self, task: asyncio.Task[None], call_id: int, work: Coroutine[Any, Any, Any], size: int) -> None:
        self._tasks.pop(call_id, None)
        self._labels.pop(call_id, None)
        if not task.cancelled():
            task.exception()  # of an interrupt at an odd place; the run has ended by then
        work.close()  # of a task that was cancelled before it began, nobody else does
        self._scope.purse.give_back(size)

    async def _finish(self, call_id: int, operation: Operation, work: Coroutine[Any, Any, Any], weight: int) -> None:
        self._scope.call_bytes = weight
        try:
            result = await work
            if self._worker.is_clogged:
                await self._until_taken(result)
            self._scope.call_bytes = weight
            self._labels.pop(call_id, None)
            self._answer(call_id, operation, result)
        except OverdueError:
            return  # the script has ended: nobody waits for an answer
        except BaseException as error:  # see call
            if not is_its_own(error):
                raise
            self._labels.pop(call_id, None)
            self._refuse(call_id, error, operation.label)

    async def _until_taken(self, result: Any) -> None:
        """Keeps a result until the worker reads. Raises: ResourceLimitError when there are too many that wait."""
        size = self._scope.purse.take(weigh(getattr(result, "value", result)))
        try:
            await self._worker.taken()
        finally:
            self._scope.purse.give_back(size)

    def _answer(self, call_id: int, operation: Operation, result: Any) -> None:
        if call_id < 0:
            return
        self._has_handles = False
        more = ""
        if type(result) is View:
            more = f',"v":{self._encoder.text(result.wire())}'
            result = result.value
        data = encoded(self._encoder.text(self._returned(operation.returns, result)))
        del result  # a large one need not wait here until it has been sent
        if self._has_handles:
            more += ',"h":1'
        if not self._worker.send(data, f'["ret",{call_id},{{"ok":true,"value":', f"{more}}}]"):
            self._refuse(call_id, _too_large(operation.label, len(data), self._worker.largest), operation.label)

    def _returned(self, returns: str, result: Any) -> Any:
        if result is None:
            return None
        if returns in self._handles:
            return result if isinstance(result, HandleRef) else self._scope.handle(returns, result)
        if returns == "stream" and hasattr(result, "__anext__"):  # else: a call whose callback got the pieces
            return self._scope.handle("Stream", Stream(result))
        if returns.startswith("["):
            return [self._scope.handle(returns[1:-1], item) for item in result]
        return result

    def _special(self, value: Any) -> Any:
        if isinstance(value, HandleRef | Reference):
            self._has_handles = True
            return value.to_wire(self._worker.mark)
        return None

    def _refuse(self, call_id: int, error: BaseException, label: str = "") -> None:
        if not isinstance(error, LLMSpellError):
            log.error("%s failed", label, exc_info=error)
            error = InternalError(
                f"{label} failed: {type(error).__name__}", hint="This is a defect; the log has the details."
            )
        if call_id < 0:
            log.warning("%s: %s", label, error.message)
            return
        env = {"ok": False, "error": self._plain_error(error)}
        self._worker.send(encoded(self._encoder.text(env)), f'["ret",{call_id},', "]")

    @staticmethod
    def _plain_error(error: LLMSpellError) -> dict[str, Any]:
        data = error.to_dict()
        if len(error.message) > MOST_MESSAGE:
            data["message"] = f"{error.message[:MOST_MESSAGE]}... ({len(error.message):,} characters in all)"
        data.setdefault("hint", None)
        return data


def _too_large(label: str, size: int, most: int) -> ResourceLimitError:
    return ResourceLimitError(
        f"the result of {label} is too large for a script: it takes {size:,} bytes on its way, {most:,} is the most",
        resource="result bytes",
        limit=most,
        used=size,
        hint="Ask for a part of it, or have it written to a file.",
    )


def _at(line: int) -> str:
    return f" (line {line})" if line > 0 else ""
