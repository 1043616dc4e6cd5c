"""The worker process: one VM, one socket to the host, nothing else.

An engine plugin writes a VM class (see `llmspell_core.script.vm`); this module owns the socket and the main loop. The VM reaches the host
only through `Host`:

    host.call("Tool.execute", ["calculator", {...}], line)   # waits; callbacks that arrive meanwhile are served, nested
    call_id = host.start(op, args, line, on_done)            # does not wait; on_done(env) when the answer is there
    host.wait(call_id, timeout)                              # waits for a call that was started without on_done
    host.step(timeout)                                       # waits for and serves one frame; False when none came
    host.post(op, args)                                      # fire and forget
    host.write("stdout", text)                               # batched, but in order with everything else

Two ways to carry data, chosen by class attributes of the VM:
- `raw = False`: arguments and values are Python data (None, bool, int, float, str, list, dict).
- `raw = True`: arguments, envs and results are JSON *text*; nothing is parsed here (JavaScript parses it itself).
- `encoding = "latin-1"`: every str is a view of UTF-8 bytes, one character per byte. Lua strings are bytes, so with this
  nothing is ever decoded; what leaves the process is checked to be UTF-8.

Standard library only, and little of it: start-up time is the user's waiting time.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from llmspell_core.script import fence  # loaded before the host has said anything: it is thinking meanwhile
from llmspell_core.script.channel import Channel, TooLargeError
from llmspell_core.script.remembered import Remembered
from llmspell_core.script.vm import LATER, VM, HostError, Interrupted, Stopped, VMError, chosen_vm
from llmspell_core.script.wire import MAX_FRAME, OUT_OF_MEMORY, complete_view, load

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Host", "main"]

MAX_NESTED = 16
"""Callbacks that may be active inside one another; more of them wait until one has returned."""
MAX_DEPTH = 40
"""Those included that cannot wait, because an active one waits for them."""


class Host:
    """The VM's only way out. One instance per worker."""

    def __init__(self, read_fd: int, write_fd: int, *, raw: bool, encoding: str) -> None:
        self.interactive = False
        self.interrupted = False
        self.on_interrupt: Callable[[], object] = _nothing
        """Called in a thread of its own when an interrupt comes, also while the VM is busy."""
        self._woken = -1
        self.last_error: dict[str, Any] | None = None
        self.errors = Remembered()
        self.in_flight = 0
        self.origin = 0
        """The invocation for which the VM does what it does now; 0: none, the script itself."""
        self.served = 0
        """The origin of what was served last: continuations that it made ready are of the same."""
        self._channel = Channel(read_fd, write_fd, encoding)
        self._raw = raw
        self._waiting: dict[int, Callable[[Any], None] | None] = {}
        self._done: dict[int, Any] = {}
        self._next_id = 0
        self._origins: dict[int, int] = {}
        self._active: list[int] = []
        self._parents: dict[int, int] = {}
        self._stopped: set[int] = set()
        self._deferred: deque[bytes | bytearray] = deque()
        self._vm: VM | None = None
        self._run_id = 0
        self._runs = 0
        self._interruptible = False

    # -- what the VM calls ------------------------------------------------------------------------------------------

    def call(self, op: str, args: Any, line: int = 0) -> Any:
        """Asks the host and waits. Raises: HostError, Interrupted."""
        answer = self.ask(op, args if self._raw else self.dump(args), line)
        if isinstance(answer, int):
            return self.wait(answer)
        return answer if self._raw else self.open(load(answer))

    def ask(self, op: str, args: str, line: int) -> str | int:
        """Sends a call and reads once: the env's JSON text, if that is all that comes; else the call's id for `wait`.

        Raises: HostError when the arguments are too large for one message.

        In the usual case the next thing to come is the answer, and the general machinery is not needed.
        """
        self._next_id += 1
        call_id, channel = self._next_id, self._channel
        try:
            channel.send(f'["call",{call_id},"{op}",{args},{line}{self._tail()}', then_reads=True)
        except TooLargeError as error:
            raise self._too_large(op, error) from None
        if not self.interactive and not self._deferred and channel.idle:
            text = channel.read_whole(b'["ret",%d,' % call_id)
            if text is not None:
                return text
        self._waiting[call_id] = None
        self._count(1)
        return call_id

    def start(self, op: str, args: Any, line: int = 0, on_done: Callable[[Any], None] | None = None) -> int:
        """Asks the host without waiting; `on_done(env)` runs inside a later `step`, or use `wait`."""
        self._next_id += 1
        call_id = self._next_id
        text = args if self._raw else self.dump(args)
        try:
            self._channel.send(f'["call",{call_id},"{op}",{text},{line}{self._tail()}')
        except TooLargeError as error:
            raise self._too_large(op, error) from None
        self._waiting[call_id] = on_done
        if self.origin:
            self._origins[call_id] = self.origin
        self._count(1)
        return call_id

    def _tail(self) -> str:
        """The end of a frame that says for which invocation it is sent."""
        return f",{self.origin}]" if self.origin else "]"

    def _count(self, more: int) -> None:
        self.in_flight += more
        self._channel.unanswered += more

    def wait(self, call_id: int, timeout: float | None = None) -> Any:
        """The value of a started call; `raw`: the env's JSON text.

        Raises: HostError; Interrupted; TimeoutError when `timeout` seconds pass first (the call goes on).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while call_id not in self._done:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError
                self.step(left)
        except Stopped:
            self.cancel(call_id)
            raise
        env = self._done.pop(call_id)
        return env if self._raw else self.open(env)

    def open(self, env: dict[str, Any]) -> Any:
        """The value in an env. Raises: HostError."""
        if env["ok"]:
            return complete_view(env["value"], env["v"]) if "v" in env else env["value"]
        self._remember(env["error"])
        raise HostError(env["error"])

    def _remember(self, error: dict[str, Any]) -> None:
        self.last_error = error
        self.errors.add(error)

    def refusal(self, message: str, hint: str) -> HostError:
        """The error of a call that never reaches the host, or whose answer finds no room."""
        kind = {"kind": "Resource limit", "type": "ResourceLimitError", "code": "resource_limit"}
        error = {**kind, "message": message, "hint": hint, "retryable": False}
        self._remember(error)
        return HostError(error)

    def _too_large(self, op: str, error: TooLargeError) -> HostError:
        message = f"{op.replace('#', ':')}: what was given to it {error}"
        return self.refusal(message, "Pass it in pieces, or the path of a file.")

    def is_done(self, call_id: int) -> bool:
        return call_id in self._done

    def cancel(self, call_id: int) -> None:
        """Gives up a started call; the host stops working on it."""
        if call_id in self._waiting:
            del self._waiting[call_id]
            self._origins.pop(call_id, None)
            self._count(-1)
            self._channel.send(f'["cancel",{call_id}]')
        self._done.pop(call_id, None)

    def post(self, op: str, args: Any) -> None:
        """A call without an answer. Raises: HostError when the arguments are too large for one message."""
        try:
            self._channel.send(f'["post","{op}",{args if self._raw else self.dump(args)}{self._tail()}')
        except TooLargeError as error:
            raise self._too_large(op, error) from None

    def write(self, stream: str, text: str) -> None:
        """Prints. Quiet scripts are seen at once, noisy ones in batches; a hanging one loses nothing."""
        self._channel.print(stream, text)

    def flush(self) -> None:
        self._channel.flush()

    def answer(self, invocation: int, value: Any) -> None:
        """The result of an invocation for which `VM.invoke` returned LATER."""
        text = value if self._raw else self.dump(value)
        try:
            self._channel.send(f'["ret",{invocation},{{"ok":true,"value":{text}}}]')
        except TooLargeError as error:
            self.fail(invocation, VMError("runtime", f"what a callback returned {error}").error)
        else:
            self._answered(invocation)

    def fail(self, invocation: int, error: dict[str, Any]) -> None:
        self._channel.send(f'["ret",{invocation},{self.dump({"ok": False, "error": error})}]')
        self._answered(invocation)

    def _answered(self, invocation: int) -> None:
        self._channel.unanswered -= 1
        self._parents.pop(invocation, None)

    def exit(self, code: int) -> None:
        """Ends this script, and with it the process, with `code`; cannot be caught."""
        self._channel.send(f'["done",{self._run_id},{{"ok":true,"value":null,"exit":{code}}}]')
        os._exit(0)

    def dump(self, value: Any) -> str:
        """JSON text of `value`, in the VM's encoding of strings."""
        return self._channel.dump(value)

    def step(self, timeout: float | None = None) -> bool:
        """Serves one frame; waits for it at most `timeout` seconds. False when none came in time.

        Raises: Stopped, in an invocation that the host has given up.
        """
        if self._stopped and self._active and self._active[-1] in self._stopped:
            raise Stopped
        if self._deferred and len(self._active) < MAX_NESTED:
            self._serve(self._deferred.popleft())
            return True
        self.flush()
        frame = self._next_frame(timeout)
        if frame is None:
            return False
        self._serve(frame)
        return True

    def send(self, frame: list[Any]) -> None:
        """Any other frame; used by `main`."""
        self._channel.send(self.dump(frame))

    # -- frames -----------------------------------------------------------------------------------------------------

    def _next_frame(self, timeout: float | None) -> bytes | bytearray | None:
        while (frame := self._channel.next()) is None:
            if (timeout is not None or self.interactive) and not self._readable(timeout):
                return None
            self._channel.read()
        return frame

    def _readable(self, timeout: float | None) -> bool:
        """Waits for data. In an interactive session an interrupt raises here, where no byte can be lost."""
        self._check_interrupt()
        self._interruptible = True
        try:
            return self._channel.poll(timeout)
        finally:
            self._interruptible = False

    def on_sigint(self, *_: object) -> None:
        self.interrupted = True
        if self._interruptible:
            self._check_interrupt()

    def _check_interrupt(self) -> None:
        if self.interrupted and self._runs:
            raise Interrupted

    def _serve(self, frame: bytes | bytearray) -> None:
        kind = frame[2 : frame.index(b'"', 2)]
        if kind == b"ret":
            self._serve_ret(frame)
        elif kind == b"invoke":
            self._serve_invoke(frame)
        elif kind == b"run":
            self._serve_run(self._channel.text(frame))
        elif kind == b"stop":
            self._serve_stop(int(frame[8:-1]))
        elif kind == b"complete":
            _, request, prefix = load(self._channel.text(frame))
            self._channel.send(f'["ret",{request},{self.dump({"ok": True, "value": self.vm.complete(prefix)})}]')

    @property
    def vm(self) -> VM:
        assert self._vm is not None
        return self._vm

    def _body(self, frame: bytes | bytearray, start: int) -> str:
        """The rest of a frame, without its bracket. A large frame is given back before its text is looked at."""
        body = self._channel.text(frame, start, -1)
        if isinstance(frame, bytearray):
            frame.clear()
        return body

    def _serve_ret(self, frame: bytes | bytearray) -> None:
        comma = frame.index(b",", 7)
        call_id = int(frame[7:comma])
        if call_id not in self._waiting:
            return  # cancelled meanwhile
        on_done = self._waiting.pop(call_id)
        self._count(-1)
        body = self._body(frame, comma + 1)
        env = body if self._raw else load(body)
        if on_done is None:
            self._done[call_id] = env
            return
        before, self.origin = self.origin, self._origins.pop(call_id, 0)
        try:
            on_done(env)
        finally:
            self.served, self.origin = self.origin, before

    def _serve_invoke(self, frame: bytes | bytearray) -> None:
        first = frame.index(b",", 10)
        second = frame.index(b",", first + 1)
        third = frame.index(b",", second + 1)
        invocation, parent = int(frame[10:first]), int(frame[second + 1 : third])
        if len(self._active) >= MAX_NESTED and not self._is_awaited(parent):
            self._deferred.append(frame)
            return
        self._channel.unanswered += 1
        self._parents[invocation] = parent
        if len(self._active) >= MAX_DEPTH:
            self.fail(invocation, _too_many().error)
            return
        if frame[third + 1 : third + 2] == b"1":
            self._channel.send(f'["begun",{invocation}]')
        self._invoke(invocation, int(frame[first + 1 : second]), self._body(frame, third + 3))

    def _is_awaited(self, parent: int) -> bool:
        """Whether an active callback waits for what this one has started, and so on."""
        while parent and parent not in self._active:
            parent = self._parents.get(parent, 0)
        return parent != 0

    def _invoke(self, invocation: int, callback: int, args: str) -> None:
        self._active.append(invocation)
        before, self.origin = self.origin, invocation
        try:
            value = self.vm.invoke(invocation, callback, args if self._raw else load(args))
            if value is not LATER:
                self.answer(invocation, value)
        except VMError as error:
            self.fail(invocation, error.error)
        except Interrupted as error:
            self.fail(invocation, _plain_end(error).error)
            raise
        except Exception as error:  # noqa: BLE001 - a callback's failure must not become that of the call around it
            self.fail(invocation, _plain_end(error).error)
        finally:
            self._active.pop()
            self._stopped.discard(invocation)
            self.served, self.origin = invocation, before

    def _serve_stop(self, invocation: int) -> None:
        """One that waits hears it where it waits; one whose answer comes later is forgotten at once."""
        for frame in self._deferred:
            if frame.startswith(b'["invoke",%d,' % invocation):
                self._deferred.remove(frame)
                self._channel.unanswered += 1
                self.fail(invocation, Stopped().error)
                return
        if invocation in self._active:
            self._stopped.add(invocation)
        stop: Callable[[int], None] | None = getattr(self.vm, "stop", None)
        if stop is not None:
            stop(invocation)

    def _serve_run(self, text: str) -> None:
        _, run_id, request = load(text)
        self._run_id, self.interrupted, self.last_error = run_id, False, None
        self.origin = self.served = 0
        self._runs += 1
        try:
            result = self.vm.run(request["source"], request["name"], request["args"], request["mode"])
            body = result if self._raw else self.dump(result)
            env = f'{{"ok":true,{body[1:-1]}}}'
        except VMError as error:
            env = self.dump(self._with_cause({"ok": False, "error": error.error}))
        except (Interrupted, MemoryError) as error:
            env = self.dump({"ok": False, "error": _plain_end(error).error})
        finally:
            self._runs -= 1
            self.interrupted = False
        try:
            self._channel.send(f'["done",{run_id},{env}]')
        except TooLargeError as error:
            failure = VMError("runtime", f"the script's result {error}").error
            failure["hint"] = "Write it to a file and return its path."
            self._channel.send(f'["done",{run_id},{self.dump({"ok": False, "error": failure})}]')

    def _with_cause(self, env: dict[str, Any]) -> dict[str, Any]:
        """Adds the host's error when the script's own message comes from it: it knows the hint."""
        error = env["error"]
        found = self.errors.find(error["message"])
        if found is not None:
            error["hint"] = found.get("hint") or error.get("hint")
            error["code"] = found["code"]
            if found["type"] != "ScriptError":
                error["cause"] = found
        return env

    # -- life -------------------------------------------------------------------------------------------------------

    def watch(self) -> list[str]:
        """Starts the helper threads; returns what could not be started."""
        return self._channel.watch({"interrupts": self._tell_interrupts} if self.interactive else {})

    def take_interrupts(self) -> None:
        """From now on an interrupt ends a cell, not the process. To be called before the fence closes."""
        self._woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self.on_sigint)

    def _tell_interrupts(self) -> None:
        """Python's own handler has to wait until the VM comes back from its own code; this thread need not."""
        while os.read(self._woken, 1):
            self.on_interrupt()

    def end_without_memory(self) -> None:
        """Ends the process; what was printed still goes out if it can."""
        try:
            self._waiting, self._done, self._vm = {}, {}, None
            self.flush()
        except MemoryError:
            pass
        os._exit(OUT_OF_MEMORY)

    def serve_forever(self, vm: VM) -> None:
        self._vm = vm
        idle: Callable[[], float | None] = getattr(vm, "idle", lambda: None)
        while True:
            try:
                self.step(idle())
            except Interrupted:
                continue


def _plain_end(error: BaseException) -> VMError:
    """What the VM did not translate itself."""
    if isinstance(error, MemoryError):
        return VMError("memory", "the script used up its memory")
    if isinstance(error, Interrupted):
        return VMError("interrupted", "interrupted")
    return VMError("runtime", f"the engine failed: {type(error).__name__}")


def _nothing() -> None:
    pass


def _too_many() -> VMError:
    return VMError("runtime", f"{MAX_DEPTH} functions of the script are waiting inside one another already")


def main(read_fd: int, write_fd: int) -> None:
    """Runs the worker until the host goes away; the VM library is loaded before the fence closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host = Host(read_fd, write_fd, raw=False, encoding="utf-8")
    try:
        vm_class = chosen_vm(read_fd)
        host = Host(read_fd, write_fd, raw=vm_class.raw, encoding=vm_class.encoding)
        _boot(host, vm_class)
    except MemoryError:
        host.end_without_memory()
    except Exception as error:  # noqa: BLE001 - the host turns this into one clean error
        host.send(["fatal", {"message": f"{type(error).__name__}: {error}"}])
        os._exit(1)


def _boot(host: Host, vm_class: type[Any]) -> None:
    frame = host._next_frame(None)  # noqa: SLF001 - same module
    boot = load(host._channel.text(frame or b""))[1]  # noqa: SLF001
    host.interactive = bool(boot.get("interactive"))
    host._channel.most = int(boot.get("frame") or MAX_FRAME)  # noqa: SLF001
    prepare = getattr(vm_class, "prepare", None)
    if prepare is not None:
        prepare(boot)  # last chance to import something, e.g. a variant of the library
    if host.interactive:
        host.take_interrupts()
    report = fence.apply({"memory_bytes": boot.get("memory"), **(boot.get("fence") or {})}, host.watch)
    vm = vm_class(boot, host)
    host.send(["ready", {"fence": report}])
    host.serve_forever(vm)
