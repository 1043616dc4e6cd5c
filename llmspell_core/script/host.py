"""The host side of one script: it answers what the script asks, ends it in time, and tells why it ended.

api = ScriptApi(globals, runtime)
session = await ScriptSession.open(engine, api, runtime, limits=Limits(timeout=10), output=print_piece)
try:
    result = await session.run("return 1 + 1", name="sum.lua")
finally:
    await session.close()
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ComponentError, ResourceLimitError, ScriptError
from llmspell_core.purse import ENTRY
from llmspell_core.script.args import script_args
from llmspell_core.script.callbacks import Callbacks, Patience
from llmspell_core.script.calls import Calls
from llmspell_core.script.deadline import LAST_RESORT, OWNERS, Deadline
from llmspell_core.script.failure import crashed, failed, left_behind, not_returned, too_late
from llmspell_core.script.process import WorkerProcess
from llmspell_core.script.result import Limits, Output, ScriptResult
from llmspell_core.script.scope import ScriptScope, gone
from llmspell_core.script.spelling import meant
from llmspell_core.script.wire import dump_text, encoded
from llmspell_core.time_limit import RunTime, run_time
from llmspell_core.watchdog import OverdueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk
    from llmspell_core.script.api import ScriptApi
    from llmspell_core.script.engine import ScriptEngine

__all__ = ["ScriptSession"]

log = logging.getLogger("llmspell.script")
MOST_WORDS = 2_000
"""Characters of what a worker says that could not start."""
GRACE = 3.0
"""Seconds in which an interrupted cell has to end before its session is ended."""
AGAIN = 0.1
"""Seconds after which an interrupt is repeated."""


class ScriptSession:
    """One worker and what it does: a single script, or an interactive session of many cells. Made by `open`."""

    def __init__(
        self,
        engine: ScriptEngine,
        api: ScriptApi,
        scope: Callable[[ScriptSession], ScriptScope],
        worker: WorkerProcess,
        limits: Limits,
        output: Callable[[str, str], None] | None,
        *,
        interactive: bool,
    ) -> None:
        self.engine = engine
        self.limits = limits
        self.interactive = interactive
        self.fence: dict[str, Any] = {}
        """What the second fence reported, once the worker has started."""
        self.scope = scope(self)
        self._worker = worker
        self.scope.process_id = worker.process.pid
        self._api = api
        self._calls = Calls(api, self.scope, worker, limits.open_calls)
        self._callbacks = Callbacks(self._ask, worker.send, self._give_up)
        self._sink = output
        self._output = Output(limits.output_bytes)
        self._run: asyncio.Future[dict[str, Any]] | None = None
        self._run_id = 0
        self._running = False
        self._name = "script"
        self._requests: dict[int, asyncio.Future[Any]] = {}
        self._next_request = 0
        self._end: ScriptError | None = None
        self._closed = False
        self._deadline: Deadline | None = None
        self._time = RunTime()

    @classmethod
    async def open(
        cls,
        engine: ScriptEngine,
        api: ScriptApi,
        runtime: Desk,
        *,
        context: ExecutionContext | None = None,
        profile: str = "medium",
        limits: Limits | None = None,
        output: Callable[[str, str], None] | None = None,
        interactive: bool = False,
        worker: WorkerProcess | None = None,
        require_fence: bool = False,
    ) -> ScriptSession:
        """Starts a session; returns at once, while the worker is still booting.

        Args:
            runtime: what handlers find as `scope.runtime`.
            context: what they find as `scope.context`; by default made by `runtime.context()` when first needed.
            output: called with ("stdout" or "stderr", text) for what the script prints.
            interactive: several cells, which an interrupt survives; otherwise one script, which it ends.
            worker: one that was spawned earlier, or from a pool.
            require_fence: refuse to run where the operating system cannot give the whole second fence.
        """
        limits = limits or Limits()
        worker = worker or WorkerProcess.spawn(engine)

        def scope(session: ScriptSession) -> ScriptScope:
            return ScriptScope(
                runtime,
                context,
                session,
                lambda kind: api.handles[kind].fields if kind in api.handles else (),
                language=engine.language,
                profile=profile,
                held_bytes=limits.held_bytes,
            )

        session = cls(engine, api, scope, worker, limits, output, interactive=interactive)
        worker.on_frame, worker.on_end = session._on_frame, session._on_end
        await session._connect()
        fence = {"memory_bytes": limits.memory_bytes, "threads": True, "require_fence": require_fence}
        boot = {
            "manifest": api.manifest(engine.language),
            "language": engine.language,
            "profile": profile,
            "memory": limits.memory_bytes,
            "frame": limits.frame_bytes,
            "interactive": interactive,
            "options": engine.options(),
            "mark": worker.mark,
            "fence": {**fence, **engine.fence_options()},
        }
        worker.send(encoded(dump_text(["boot", boot])))
        return session

    async def _connect(self) -> None:
        """What the worker asks for is done in its name: from the context of the connection everybody can tell."""
        owners = OWNERS.set((*OWNERS.get(), self._calls.owner))
        token = run_time.set(self._time)
        try:
            await self._worker.connect(self.limits.frame_bytes)
        finally:
            run_time.reset(token)
            OWNERS.reset(owners)

    # -- running ----------------------------------------------------------------------------------------------------

    async def run(
        self,
        source: str | bytes,
        *,
        name: str = "script",
        args: Sequence[str] | Mapping[str, Any] = (),
        mode: str = "script",
        timeout: float | None = None,
        directory: str | None = None,
    ) -> ScriptResult:
        """Runs a script or a piece of code (`mode` "code"), or in an interactive session a cell ("cell").

        Args:
            name: file name for messages; `directory`: where `require` and `dofile` look first.
            args: what stood behind the script on the command line, or ready-made named values.
            timeout: seconds; by default `limits.timeout`.

        Raises:
            ScriptError: it failed (`phase`: syntax, runtime, memory, deadline, crash, interrupted).
            ResourceLimitError: the source is too large.
            ComponentError: this session is running something already.
        """
        text = self._source_text(source, name)
        self._check_idle()
        self._begin(name, directory)
        started = time.monotonic()
        request = {"source": text, "name": name, "args": script_args(name, args), "mode": mode}
        self._worker.send(encoded(dump_text(["run", self._run_id, request])))
        try:
            env = await self._finish(self.limits.timeout if timeout is None else timeout)
            return self._result(env, text, time.monotonic() - started)
        except ScriptError as error:
            error.output = self._output.text()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can run another cell."""
        return not self._closed and self._end is None

    def interrupt(self) -> None:
        """Stops what an interactive session does now and keeps its variables; ends any other session.

        Some code of an engine cannot be stopped, such as a search that takes for ever: it has `GRACE` seconds to end.
        """
        if self.interactive:
            self._worker.interrupt()
            if self._running:
                loop = asyncio.get_running_loop()
                loop.call_later(GRACE, self._insist, self._run_id)
                loop.call_later(AGAIN, self._interrupt_again, self._run_id)
        else:
            self._stop(ScriptError(f"the script '{self._name}' was interrupted", phase="interrupted"))

    def _interrupt_again(self, run_id: int) -> None:
        """The first one may have come before the worker had begun: what comes between two cells is for neither."""
        if self._running and self._run_id == run_id:
            self._worker.interrupt()
            asyncio.get_running_loop().call_later(AGAIN, self._interrupt_again, run_id)

    def _insist(self, run_id: int) -> None:
        if self._running and self._run_id == run_id:
            message = f"'{self._name}' was interrupted in code that cannot be stopped"
            self._stop(ScriptError(message, phase="interrupted", hint="Its session has ended with it."))

    async def complete(self, text: str) -> list[str]:
        """What `text` could become, from the declarations and the live globals; whole replacements of its last word."""
        self._check_alive()
        found = await self._request(lambda request: (encoded(dump_text(["complete", request, text])),))
        return [str(item) for item in found] if isinstance(found, list) else []

    async def invoke(self, callback: int, args: list[Any], patience: Patience | None = None) -> Any:
        """Calls a function of the script.

        Raises:
            ScriptError: it raises, or the script has ended.
            TimeoutError: `patience` is at its end.
        """
        if self._end is not None or self._closed:
            raise gone(self._name)
        data = encoded(self._calls.text(args))
        size = self.scope.purse.take(ENTRY + len(data))
        try:
            return await self._callbacks.call(callback, data, patience)
        finally:
            self.scope.purse.give_back(size)

    def _give_up(self, patience: Patience) -> None:
        """A function of the script cannot be stopped, and what called it cannot wait."""
        if self._end is not None or self._closed:
            return
        error = not_returned(self._name, patience.what, patience.seconds, self.engine.language)
        if self.interactive:
            log.warning("%s; what runs is interrupted", error.message)
            self.interrupt()
        else:
            self._stop(error)

    async def close(self) -> None:
        """Ends the worker and everything the session holds. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await self.scope.close()
        self._worker.kill()
        await self._worker.ended()
        await self._calls.close()
        if self._deadline is not None:
            self._deadline.cancel()

    # -- frames from the worker -------------------------------------------------------------------------------------

    def _on_frame(self, frame: list[Any]) -> None:
        try:
            kind = frame[0]
            if kind == "call":
                if self._worker.gone:
                    return
                if len(frame) > 5:
                    self._callbacks.within(frame[5], self._calls.call, *frame[1:5])
                else:
                    self._calls.call(*frame[1:])
            elif kind == "out":
                self._on_output(*frame[1:])
            else:
                self._on_rare_frame(kind, frame)
        except OverdueError:
            self._worker.kill()
        except Exception as error:  # noqa: BLE001 - whatever a broken worker says ends this script and nothing else
            log.debug("a message of the script '%s' was not understood: %r", self._name, error)
            self._worker.kill(f"it sent a malformed {str(frame[0])[:20]!r} message")

    def _on_rare_frame(self, kind: str, frame: list[Any]) -> None:
        if kind == "ret":
            self._on_ret(*frame[1:])
        elif kind == "post":
            self._callbacks.within(frame[3] if len(frame) > 3 else 0, self._calls.post, *frame[1:3])
        elif kind == "begun":
            self._callbacks.begun(*frame[1:])
        elif kind == "cancel":
            self._calls.cancel(*frame[1:])
        elif kind == "done":
            self._on_done(*frame[1:])
        elif kind == "ready":
            self.fence = dict(frame[1]["fence"])
        elif kind == "fatal":
            message = str(frame[1]["message"])[:MOST_WORDS]
            what = "failed" if self.fence else "could not start"
            self._stop(ScriptError(f"the {self.engine.name} engine {what}: {message}", phase="crash"))
        else:
            raise ValueError(kind)

    def _on_output(self, stream: str, text: str) -> None:
        if stream not in {"stdout", "stderr"} or not isinstance(text, str):
            raise ValueError(stream)
        self._output.add(text)
        if self._sink is not None:
            self._sink(stream, text)

    def _on_ret(self, request: int, env: dict[str, Any]) -> None:
        if not 0 < request <= self._next_request:
            raise ValueError(request)
        error = None if _is_ok(env) else failed(env["error"], self.engine.language)
        waiting = self._requests.pop(request, None)
        self._callbacks.ended(request)
        if waiting is None or waiting.done():
            return  # nobody waits for it any more
        if error is None:
            waiting.set_result(env.get("value"))
        else:
            waiting.set_exception(error)

    def _on_done(self, run_id: int, env: dict[str, Any]) -> None:
        if run_id != self._run_id or not self._running or self._run is None:
            raise ValueError(run_id)
        _is_ok(env)
        self._running = False
        if not self._run.done():
            self._run.set_result(env)

    def _on_end(self, status: int) -> None:
        self._calls.stop()
        if self._end is None and self._deadline is not None and self._deadline.missed:
            self._end = self._late(self._deadline)
        elif self._end is None:
            doing = None if self._closed else self._calls.doing()
            self._end = crashed(self._name, status, self._worker.problem, doing, self.engine.language)
        for waiting in (self._run, *self._requests.values()):
            if waiting is not None and not waiting.done():
                waiting.set_exception(self._end)
                waiting.exception()  # whoever awaits it sees it; nobody has to
        self._requests.clear()

    # -- inner ------------------------------------------------------------------------------------------------------

    def _begin(self, name: str, directory: str | None) -> None:
        self._name = self.scope.script_name = name
        self.scope.script_dir = directory
        self._run_id += 1
        self._running = True
        self._output = Output(self.limits.output_bytes)
        self._calls.forget()
        self._run = asyncio.get_running_loop().create_future()

    async def _finish(self, timeout: float | None) -> dict[str, Any]:
        """Waits for the run. Cancelling it ends the script (interrupts it, in an interactive session)."""
        assert self._run is not None
        timer = asyncio.get_running_loop().call_later(timeout, self._expire) if timeout else None
        if timeout:
            self._watch(timeout)
        try:
            return await self._run
        except asyncio.CancelledError:
            self.interrupt()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            # What a script that was ended left in the loop still has to end: `close` calls the watch off.
            if self._deadline is not None and (self._end is None or self.interactive):
                self._deadline.cancel()

    def _watch(self, timeout: float) -> None:
        deadline = self._deadline = Deadline(timeout, self._worker, self._calls)
        self._time.ends = deadline.when
        last_resort = LAST_RESORT.get()
        if last_resort is not None and not self.interactive and not OWNERS.get():
            last_resort(deadline.when, lambda: self._late(deadline))

    def _expire(self) -> None:
        assert self._deadline is not None
        self._stop(self._late(self._deadline))

    def _late(self, deadline: Deadline) -> ScriptError:
        """The error of a run that has no time left; safe in another thread."""
        if self._run is not None and self._run.done() and self._end is None:
            return left_behind(self._name, deadline.seconds, self.engine.language)
        doing = deadline.doing if deadline.missed else self._calls.doing()
        error = too_late(self._name, deadline.seconds, doing, self.engine.language)
        error.output = self._output.text()
        return error

    def _stop(self, reason: ScriptError) -> None:
        self._end = self._end or reason
        self._worker.kill()

    def _failed(self, error: Any, source: str) -> ScriptError:
        found = failed(error, self.engine.language, source=source, name=self._name)
        found.hint = found.hint or meant(found.message, found.source_line, self._api.manifest(self.engine.language))
        return found

    def _result(self, env: dict[str, Any], source: str, duration: float) -> ScriptResult:
        if not env["ok"]:
            raise self._failed(env["error"], source)
        exit_code, display = env.get("exit"), env.get("display")
        return ScriptResult(
            value=env.get("value"),
            exit_code=_one_byte(exit_code) if isinstance(exit_code, int) else 0,
            output=self._output.text(),
            display=display if isinstance(display, str) else None,
            duration=duration,
            exited=isinstance(exit_code, int),
        )

    async def _request(self, frame: Callable[[int], tuple[Any, ...]]) -> Any:
        return await self._ask(frame)[1]

    def _ask(self, frame: Callable[[int], tuple[Any, ...]]) -> tuple[int, asyncio.Future[Any]]:
        """Sends `frame(request)`, the arguments of `WorkerProcess.send`; the request's number, and its answer."""
        self._next_request += 1
        request = self._next_request
        if not self._worker.send(*frame(request)):
            raise ResourceLimitError(
                "what a script's function is given is too large", resource="bytes", limit=self._worker.largest, used=0
            )
        waiting = self._requests[request] = asyncio.get_running_loop().create_future()
        return request, waiting

    def _source_text(self, source: str | bytes, name: str) -> str:
        if len(source) > self.engine.max_source_bytes:
            limit = self.engine.max_source_bytes
            raise ResourceLimitError(
                f"the script '{name}' is too large", resource="script bytes", limit=limit, used=len(source)
            )
        try:
            # Bytes of the command line that are no text arrive as lone surrogates.
            data = source.encode() if isinstance(source, str) else source
            return source if isinstance(source, str) else data.decode("utf-8-sig")
        except UnicodeError as error:
            position = error.start if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else 0
            raise ScriptError(
                f"'{name}' is not a text file: byte {position} is not UTF-8",
                phase="syntax",
                language=self.engine.language,
                file=name,
                hint="Scripts are UTF-8 text.",
            ) from None

    def _check_idle(self) -> None:
        self._check_alive()
        if self._running:
            raise ComponentError("this session is running a script already", hint="Open one session per script.")
        if self._run is not None and not self.interactive:
            raise ComponentError("a script session runs one script", hint="Open it with interactive=True for several.")

    def _check_alive(self) -> None:
        if self._closed:
            raise ComponentError("this script session is closed", hint="Open a new one.")
        if self._end is not None:
            raise self._end


def _is_ok(env: dict[str, Any]) -> bool:
    """Whether an env says that all went well. Raises: TypeError, KeyError for one that is not an env."""
    ok = env["ok"]
    if not isinstance(ok, bool) or not (ok or isinstance(env["error"], dict)):
        raise TypeError("env")
    return ok


def _one_byte(code: int) -> int:
    """What a system keeps of an exit code; 256 is no success, though its last byte is."""
    return code & 0xFF or int(bool(code))
