"""One JavaScript VM inside a worker process.

The border is crossed by JSON text and small integers only, through two functions: `_enter`, which lives in the VM and is
all that Python calls, and `_bridge` and `_ask`, which are all that JavaScript can call and which never raise. Whoever waits, waits
in `_turn`: it runs the VM's jobs, fires timers, and serves one frame of the host.

Standard library and the VM library only. `_quickjs` is imported instead of `quickjs`, which starts a thread pool.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any, ClassVar

import _quickjs

from llmspell_core.script.vm import LATER, HostError, Interrupted, Stopped, VMError
from llmspell_core.script.wire import json_problem, load
from llmspell_engine_javascript.crossing import LARGE, holds_big_integer, printable, rich, with_big_integers
from llmspell_engine_javascript.failure import Failures, out_of_memory, said
from llmspell_engine_javascript.memory import Memory
from llmspell_engine_javascript.modules import Modules
from llmspell_engine_javascript.native import Rejections, load_modules, stop_when
from llmspell_engine_javascript.sources import BOOTSTRAP_LINE, SourceMap, is_module
from llmspell_engine_javascript.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.worker import Host

__all__ = ["JavaScriptVM"]

STACK_BYTES = 4 * 1024 * 1024
"""Enough for about 2,500 frames, half of what the main thread has."""
HIGH_MEMORY = 32 * 1024 * 1024
"""The most that a script of the profile "high" may use."""

_PARTS = ("values", "errors", "promises", "inspect", "loop", "api", "cells", "main")
_WEB = ("begin", "text", "url", "events", "clone", "fetch", "console", "end")
_ASKING = frozenset({"start", "post", "timer"})
_DRAIN_SECONDS = 1.0
_MOST_RANDOM = 65536
_NOT_STOPPABLE = "This build of QuickJS cannot be interrupted: an interrupt ends the session and its variables.\n"
_SHARED_MEMORY = "delete globalThis.Atomics; delete globalThis.SharedArrayBuffer;"


def _read(part: str) -> str:
    # Not pathlib: it takes longer to import than all of this to run.
    with open(os.path.join(os.path.dirname(__file__), "js", f"{part}.js"), encoding="utf-8") as file:  # noqa: PTH118, PTH120, PTH123
        return file.read()


def _new_context() -> tuple[Any, Any, Rejections]:
    """A VM, the compiled bootstrap (a function of the bridge), and who watches the VM's promises."""
    context = _quickjs.Context()
    context.set_max_stack_size(STACK_BYTES)
    code = "\n".join(map(_read, _PARTS))
    rejections = Rejections(context)
    shell = context.eval(f'{chr(10) * BOOTSTRAP_LINE}(function(bridge, ask, lower){{"use strict";{code}\n}})')
    return context, shell, rejections


_web = "\n".join(
    _read(f"web/{part}") for part in _WEB
)  # before the fence closes; run when a script first asks for one of its globals
_ready = [_new_context()]
"""Made while this module is imported: before the fence closes, and while the host is busy with other things."""


class JavaScriptVM:
    """See `llmspell_core.script.vm.VM`."""

    raw: ClassVar[bool] = True
    encoding: ClassVar[str] = "utf-8"

    def __init__(self, boot: dict[str, Any], host: Host) -> None:
        self._host, self._mark = host, str(boot["mark"])
        self._sources = SourceMap()
        self._timers = Timers()
        self._calls: set[int] = set()
        self._invocations: set[int] = set()
        self._outcome: str | VMError | None = None
        self._depth = 0
        self._interactive = bool(boot.get("interactive"))
        self._failures = Failures(self._sources, interactive=self._interactive)
        self._modules = Modules(self._ask_module, self._sources, self._failures)
        self._context, self._enter = self._bootstrap(boot)
        if self._interactive:
            self._allow_interrupts()

    # -- what the worker calls --------------------------------------------------------------------------------------

    def run(self, source: str, name: str, args: dict[str, Any], mode: str) -> str:
        """Runs a script to its end: its result, its timers and its open calls."""
        self._running = True
        try:
            return self._run(source, name, args, mode)
        except (Interrupted, VMError):
            if self._stopping:
                raise self._interrupted() from None
            raise
        finally:
            self._running = False

    def _run(self, source: str, name: str, args: dict[str, Any], mode: str) -> str:
        self._outcome, cell = None, mode == "cell"
        line = self._sources.place(name, source)
        module = self._failures.knows_modules and not cell and is_module(source)
        if not cell:
            self._guarded("arguments", json.dumps(_arguments(name, args) | {"module": module}))
        text = source if source[:2] != "#!" else "//" + source
        if module:
            self._modules.main = name, text
        self._guarded("run", json.dumps({"source": text, "line": line, "mode": mode, "module": module}))
        self._turn()
        while self._outcome is None or (self._has_work() and not cell and isinstance(self._outcome, str)):
            self._turn()
        if self._stopping:
            raise Interrupted
        if isinstance(self._outcome, VMError):
            raise self._outcome
        if self._rejections.take("$lost"):
            self._report_lost(json.loads(self._guarded("lost")), cell=cell)
        return self._outcome

    def _report_lost(self, described: dict[str, Any], *, cell: bool) -> None:
        """A promise failed and nobody listened: the script's failure, a remark in an interactive session."""
        error = self._failures.of("runtime", described)
        if not cell:
            raise error
        self._host.write("stderr", f"A promise failed and nobody listened: {error}\n")

    def invoke(self, invocation: int, callback: int, args: str) -> Any:
        """Calls a script function; its answer goes out when it is there, see `_bridge_answer`."""
        self._invocations.add(invocation)
        try:
            text, changed = self._weighed_arguments(args)
        except HostError as error:
            self._invocations.discard(invocation)
            raise VMError("memory", str(error)) from None
        self._guarded("invoke", invocation, callback, text, changed or self._mark in text)
        if self._depth == 0 and not self._driving:
            self._drive_callbacks()
        return LATER

    def stop(self, invocation: int) -> None:
        """Whoever asked for it is gone; what its Promise becomes is of no interest any more."""
        if invocation in self._invocations:
            self._invocations.discard(invocation)
            self._host.fail(invocation, Stopped().error)

    def _weighed_arguments(self, args: str) -> tuple[str, bool]:
        """The arguments as the VM reads them, and whether there is a big integer among them. Raises: HostError."""
        if len(args) < LARGE:
            return with_big_integers(args, self._mark)
        value = load(args)
        self._memory.weigh("what a callback is given", value, args)
        return with_big_integers(args, self._mark) if holds_big_integer(value) else (args, False)

    def idle(self) -> float | None:
        """Between the cells of an interactive session: what was started goes on, and timers fire."""
        if not self._interactive:
            return None
        self._outcome, self._host.interrupted, self._running = None, False, True
        try:
            self._go_on()
        except (Interrupted, VMError) as error:
            self._remark(self._interrupted() if self._stopping else error)
        finally:
            self._running = False
        return self._timers.seconds()

    def _go_on(self) -> None:
        """At most one round of timers: whoever repeats without a pause must not keep the next cell waiting."""
        self._pump()
        for _ in range(len(self._timers)):
            if self._outcome is not None or not self._fire_due():
                break
            self._pump()
        if isinstance(self._outcome, VMError):
            raise self._outcome
        if self._rejections.take("$lost"):
            self._report_lost(json.loads(self._guarded("lost")), cell=True)

    def _remark(self, error: BaseException) -> None:
        self._host.write("stderr", f"Between two entries: {error}\n")

    def complete(self, text: str) -> list[str]:
        found: list[str] = json.loads(self._guarded("complete", json.dumps(text)))
        return found

    _running = False

    @property
    def _stopping(self) -> bool:
        return self._running and self._host.interrupted

    # -- start ------------------------------------------------------------------------------------------------------

    def _bootstrap(self, boot: dict[str, Any]) -> tuple[Any, Callable[..., Any]]:
        context, shell, self._rejections = _ready.pop()
        memory, profile = boot.get("memory"), boot.get("profile") or "medium"
        if profile == "high":
            context.eval(_SHARED_MEMORY)
            memory = min(memory or HIGH_MEMORY, HIGH_MEMORY)
        self._memory = Memory(self._host, context, int(memory) if memory else None, profile)
        self._failures.knows_modules = load_modules(context, self._modules.source_of, self._modules.name_of)
        context.add_callable("$bridge", self._bridge)
        context.add_callable("$ask", self._ask)
        context.add_callable("$lower", self._memory.lower)
        given = [context.eval(f"globalThis.{name}") for name in ("$bridge", "$ask", "$lower")]
        enter: Callable[..., Any] = shell(*given)
        context.eval("delete globalThis.$bridge; delete globalThis.$ask; delete globalThis.$lower")
        enter("boot", json.dumps(boot.get("manifest") or {"globals": [], "handles": {}}), profile, self._mark)
        return context, enter

    def _allow_interrupts(self) -> None:
        if not stop_when(self._context, lambda: self._stopping):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            self._host.write("stderr", _NOT_STOPPABLE)

    def _ask_module(self, written: str, base: str | None) -> str:
        try:
            return self._ask("Script.module", json.dumps([written, base]), "")
        finally:
            self._memory.lower()

    # -- into the VM ------------------------------------------------------------------------------------------------

    def _guarded(self, *arguments: Any) -> Any:
        self._depth += 1
        self._memory.lift()
        try:
            return self._enter(*arguments)
        except _quickjs.JSException as error:
            raise self._broken(str(error)) from None
        finally:
            self._memory.lower()
            self._depth -= 1

    def _broken(self, text: str) -> VMError:
        """What ended the VM's code in a way that no script can catch."""
        if self._stopping:
            return VMError("interrupted", "interrupted")
        if "out of memory" in text or text == "null":
            return out_of_memory()
        return VMError("runtime", said(text.strip().partition("\n")[0].removeprefix("Error: ")))

    def _pump(self) -> None:
        """Runs every job that is ready: the continuations of promises."""
        run_job, host = self._context.execute_pending_job, self._host
        before, host.origin = host.origin, host.served
        self._depth += 1
        try:
            while run_job():
                if self._stopping:
                    raise Interrupted
        except _quickjs.JSException as error:
            if self._outcome is None:
                self._outcome = self._broken(str(error))
        finally:
            self._depth -= 1
            host.origin = before

    # -- waiting ----------------------------------------------------------------------------------------------------

    _driving = False

    def _turn(self) -> None:
        """Lets the script go on as far as it can; waits for one thing to happen if that was not its end."""
        driving, self._driving = self._driving, True
        try:
            self._pump()
            if self._outcome is None or self._has_work():
                happened = self._fire_due() or self._host.step(self._timers.seconds() if self._may_wait() else 0)
                if not happened:
                    self._check_stuck()
                self._pump()
        finally:
            self._driving = driving

    def _may_wait(self) -> bool:
        return bool(self._timers or self._host.in_flight or self._invocations or self._can_be_called())

    def _can_be_called(self) -> bool:
        return bool(self._enter("callbacks"))

    def _has_work(self) -> bool:
        return bool(self._timers.tie or self._calls)

    def _check_stuck(self) -> None:
        if self._outcome is None and not self._may_wait():
            self._outcome = VMError("runtime", "the script never settles: it awaits a Promise that nothing can resolve")

    def _drive_callbacks(self) -> None:
        """No script runs: stays until every callback has answered, so that those that await can go on."""
        self._driving = True
        try:
            self._pump()
            while self._invocations:
                if not self._fire_due():
                    self._host.step(self._timers.seconds())
                self._pump()
        finally:
            self._driving = False

    def _fire_due(self) -> bool:
        due = self._timers.take_due()
        if due is None:
            return False
        timer, host = due[0], self._host
        before, host.origin = host.origin, due[1]
        try:
            self._guarded("fire", timer)
        finally:
            host.served, host.origin = due[1], before
        return True

    # -- out of the VM ----------------------------------------------------------------------------------------------

    def _bridge(self, kind: str, *arguments: Any) -> Any:
        """What JavaScript calls, except for `_ask`. Never raises: the wrapper would lose the error's text."""
        try:
            if self._stopping and kind in _ASKING:
                raise Interrupted
            return getattr(self, "_bridge_" + kind)(*arguments)
        except HostError as error:
            return json.dumps({"ok": False, "error": error.error})
        except Interrupted:
            return json.dumps(_refusal("Cancelled", "interrupted"))
        except Exception as error:  # noqa: BLE001 - see above
            return json.dumps(_refusal("Internal", f"{type(error).__name__}: {error}"))

    def _bridge_start(self, op: str, args: str, site: str) -> int:
        calls = self._calls

        def on_done(env: str) -> None:
            calls.discard(call)
            self._guarded("settle", call, self._weighed(op, env))

        call = self._host.start(op, args, self._sources.line_of(site), on_done)
        calls.add(call)
        return call

    def _ask(self, op: str, args: str, site: str) -> str:
        """The env of a call that waits in place. Never raises, see `_bridge`."""
        try:
            if self._stopping:
                raise Interrupted
            answer = self._host.ask(op, args, self._sources.line_of(site))
            env = self._wait_in_place(answer) if isinstance(answer, int) else answer
            self._memory.lift()  # until the answer is there as a value, see `callHost`
            return self._weighed(op, env)
        except HostError as error:
            return json.dumps({"ok": False, "error": error.error})
        except Interrupted:
            return json.dumps(_refusal("Cancelled", "interrupted"))
        except Exception as error:  # noqa: BLE001 - see `_bridge`
            return json.dumps(_refusal("Internal", f"{type(error).__name__}: {error}"))

    def _weighed(self, op: str, env: str) -> str:
        """The env as the VM reads it, if there is room for what is in it; otherwise one that says so."""
        if len(env) < LARGE:
            return rich(env, self._mark)
        value = load(env)
        try:
            self._memory.weigh(f"the result of {op.replace('#', '.')}", value, env)
        except HostError as error:
            return json.dumps({"ok": False, "error": error.error})
        return rich(env, self._mark) if holds_big_integer(value) else env

    def _wait_in_place(self, call: int) -> str:
        """Serves the callbacks that arrive meanwhile, asynchronous ones included."""
        host = self._host
        try:
            while not host.is_done(call):
                if self._invocations:
                    self._pump()
                    if self._fire_due() or host.is_done(call):
                        continue
                host.step(self._timers.seconds() if self._invocations else None)
        except (Interrupted, Stopped):
            host.cancel(call)
            raise
        env: str = host.wait(call)
        return env

    def _bridge_post(self, op: str, args: str) -> None:
        self._host.post(op, args)

    def _bridge_out(self, stream: str, text: str) -> None:
        self._host.write(stream, printable(json.loads(text)))

    def _bridge_settled(self, value: str, display: str) -> None:
        if self._outcome is None:
            shown = display if display == "null" else json.dumps(printable(json.loads(display)))
            self._outcome = f'{{"value":{value},"display":{shown}}}'

    def _bridge_failed(self, phase: str, text: str) -> None:
        if self._outcome is None or isinstance(self._outcome, str):
            self._outcome = self._failures.of(phase, json.loads(text))

    def _bridge_answer(self, invocation: int, value: str) -> None:
        if invocation in self._invocations:  # else it was stopped
            self._invocations.discard(invocation)
            self._host.answer(invocation, value)

    def _bridge_fail(self, invocation: int, text: str) -> None:
        if invocation not in self._invocations:
            return
        self._invocations.discard(invocation)
        self._host.fail(invocation, self._failures.of("runtime", json.loads(text)).error)

    def _bridge_timer(self, timer: int, milliseconds: float) -> None:
        self._timers.set(timer, milliseconds, self._host.origin)

    def _bridge_untimer(self, timer: int) -> None:
        self._timers.clear(timer)

    def _bridge_untied(self, timer: int) -> None:
        self._timers.untie(timer)

    def _bridge_place(self, text: str) -> int:
        path, source = json.loads(text)
        return self._sources.place(path, source)

    def _bridge_frames(self, text: str) -> str:
        return json.dumps(self._sources.readable(json.loads(text)))

    def _bridge_web(self) -> str:
        return _web

    def _bridge_random(self, count: int) -> str:
        return os.urandom(min(int(count), _MOST_RANDOM)).hex()

    def _bridge_json(self, text: str) -> str:
        return json.dumps(json_problem(json.loads(text)))

    def _bridge_exit(self, code: int) -> None:
        self._host.exit(code)

    # -- interrupts -------------------------------------------------------------------------------------------------

    def _interrupted(self) -> VMError:
        """Forgets what was under way; variables stay."""
        self._drain()
        for call in self._calls:
            self._host.cancel(call)
        for invocation in self._invocations:
            self._host.fail(invocation, VMError("interrupted", "interrupted").error)
        self._calls.clear()
        self._invocations.clear()
        self._timers.clear_all()
        self._host.interrupted = False
        self._rejections.forget()
        self._enter("forget")
        return VMError("interrupted", "interrupted")

    def _drain(self) -> None:
        """Ends what still wants to go on, such as `while (true) await null`: the VM stops it at its next check."""
        self._host.interrupted = True
        deadline = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < deadline:
            try:
                if not self._context.execute_pending_job():
                    return
            except _quickjs.JSException:
                # Checks come at fixed distances: move them, or they might hit the same harmless place for ever.
                self._context.eval("0")


def _refusal(kind: str, message: str) -> dict[str, Any]:
    words = {"kind": kind, "type": f"{kind}Error", "code": kind.lower()}
    return {"ok": False, "error": {**words, "message": message, "retryable": False}}


def _arguments(name: str, args: dict[str, Any]) -> dict[str, Any]:
    """What becomes `process.argv` and `ARGS`."""
    numbered = enumerate([args.get("script", name), *args.get("positional", [])])
    everything = {str(i): word for i, word in numbered} | args.get("named", {})
    return {"name": name, "argv": ["llmspell", name, *args.get("raw", [])], "args": everything}
