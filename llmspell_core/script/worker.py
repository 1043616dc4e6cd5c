"""The worker process: one VM, one socket to the host, nothing else.

An engine plugin writes a VM class (see `VM`); this module owns the socket and the main loop. The VM reaches the host
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

import _thread
import os
import select
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from llmspell_core.script import fence  # before the host has said anything: it is thinking meanwhile
from llmspell_core.script.wire import FrameReader, dump, dump_text, load, pack

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LATER", "VM", "Host", "HostError", "Interrupted", "VMError", "main"]

MAX_NESTED = 16
"""Callbacks that may be active inside one another; more of them wait until one has returned."""

_QUIET = 0.002
"""Seconds after a flush in which further output is collected instead of sent at once."""


class _Later:
    """Type of `LATER`."""


LATER = _Later()
"""What `VM.invoke` returns when it will itself call `host.answer` or `host.fail` for that invocation."""


class HostError(Exception):
    """The host answered a call with an error; `error` is {kind, type, message, hint, ...}."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", "unknown error")))
        self.error = error


class VMError(Exception):
    """The script failed. `phase`: syntax, runtime, memory, interrupted; `traceback` in terms of the script."""

    def __init__(
        self,
        phase: str,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        source_line: str | None = None,
        traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.error = {
            "kind": "Script",
            "type": "ScriptError",
            "message": message,
            "phase": phase,
            "file": file,
            "line": line,
            "source_line": source_line,
            "traceback": traceback,
        }


class Interrupted(Exception):  # noqa: N818 - it is not an error, it is what the user asked for
    """The user interrupted an interactive session while it waited for the host."""


class VM(Protocol):
    """What an engine plugin provides. Constructed as `VM(boot, host)`; raises VMError, never anything else.

    `boot` holds: manifest (see ScriptApi.manifest), profile ("high", "medium", "low"), memory (bytes or None),
    interactive (bool), options (of the engine), language.
    """

    raw: ClassVar[bool]
    encoding: ClassVar[str]

    def run(self, source: str, name: str, args: dict[str, Any], mode: str) -> Any:
        """Runs a script (`mode` "script") or a cell of an interactive session ("cell").

        Returns {"value": data, "display": text or None} (`raw`: its JSON text).
        """
        ...

    def invoke(self, invocation: int, callback: int, args: Any) -> Any:
        """Calls a script function that crossed as {"$fn": callback}; returns its value, or LATER."""
        ...

    def complete(self, text: str) -> list[str]: ...


class Host:
    """The VM's only way out. One instance per worker."""

    def __init__(self, read_fd: int, write_fd: int, *, raw: bool, encoding: str) -> None:
        self.interactive = False
        self.interrupted = False
        self.last_error: dict[str, Any] | None = None
        self.in_flight = 0
        self._read_fd, self._write_fd = read_fd, write_fd
        self._raw, self._encoding = raw, encoding
        self._reader = FrameReader()
        self._waiting: dict[int, Callable[[Any], None] | None] = {}
        self._done: dict[int, Any] = {}
        self._next_id = 0
        self._depth = 0
        self._deferred: deque[str] = deque()
        self._vm: VM | None = None
        self._run_id = 0
        self._output: list[tuple[str, str]] = []
        self._flushed_at = 0.0
        self._write_lock = _thread.allocate_lock()
        self._flush_wanted = _thread.allocate_lock()
        self._flush_wanted.acquire()
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(read_fd, select.POLLIN)

    # -- what the VM calls ------------------------------------------------------------------------------------------

    def call(self, op: str, args: Any, line: int = 0) -> Any:
        """Asks the host and waits. Raises: HostError, Interrupted."""
        call_id = self.start(op, args, line)
        if not self.interactive and not self._deferred:
            self._read_answer(call_id)
        return self.wait(call_id)

    def _read_answer(self, call_id: int) -> None:
        """Reads once: in the usual case that is the answer, alone, and the general machinery is not needed."""
        data = os.read(self._read_fd, 65536)
        payload = self._reader.whole(data)
        if payload is not None and payload.startswith(b'["ret",%d,' % call_id):
            self._serve_ret(payload.decode(self._encoding))
        elif data:
            self._reader.feed(data)
        else:
            os._exit(0)

    def start(self, op: str, args: Any, line: int = 0, on_done: Callable[[Any], None] | None = None) -> int:
        """Asks the host without waiting; `on_done(env)` runs inside a later `step`, or use `wait`."""
        self._next_id += 1
        call_id = self._next_id
        text = args if self._raw else self.dump(args)
        self._send(f'["call",{call_id},"{op}",{text},{line}]')
        self._waiting[call_id] = on_done
        self.in_flight += 1
        return call_id

    def wait(self, call_id: int, timeout: float | None = None) -> Any:
        """The value of a started call; `raw`: the env's JSON text.

        Raises: HostError; Interrupted; TimeoutError when `timeout` seconds pass first (the call goes on).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while call_id not in self._done:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self.step(left)
        env = self._done.pop(call_id)
        return env if self._raw else self.open(env)

    def open(self, env: dict[str, Any]) -> Any:
        """The value in an env. Raises: HostError."""
        if env["ok"]:
            return env["value"]
        self.last_error = env["error"]
        raise HostError(env["error"])

    def is_done(self, call_id: int) -> bool:
        return call_id in self._done

    def cancel(self, call_id: int) -> None:
        """Gives up a started call; the host stops working on it."""
        if call_id in self._waiting:
            del self._waiting[call_id]
            self.in_flight -= 1
            self._send(f'["cancel",{call_id}]')
        self._done.pop(call_id, None)

    def post(self, op: str, args: Any) -> None:
        self._send(f'["post","{op}",{args if self._raw else self.dump(args)}]')

    def write(self, stream: str, text: str) -> None:
        """Prints. Quiet scripts are seen at once, noisy ones in batches; a hanging one loses nothing."""
        self._output.append((stream, text))
        if time.monotonic() - self._flushed_at > _QUIET or len(self._output) > 500:
            self.flush()
        elif self._flush_wanted.locked():
            self._flush_wanted.release()

    def flush(self) -> None:
        if self._output:
            with self._write_lock:
                self._flush_locked()

    def answer(self, invocation: int, value: Any) -> None:
        """The result of an invocation for which `VM.invoke` returned LATER."""
        text = value if self._raw else self.dump(value)
        self._send(f'["ret",{invocation},{{"ok":true,"value":{text}}}]')

    def fail(self, invocation: int, error: dict[str, Any]) -> None:
        self._send(f'["ret",{invocation},{self.dump({"ok": False, "error": error})}]')

    def exit(self, code: int) -> None:
        """Ends this script, and with it the process, with `code`; cannot be caught."""
        self._send(f'["done",{self._run_id},{{"ok":true,"value":null,"exit":{code}}}]')
        os._exit(0)

    def dump(self, value: Any) -> str:
        """JSON text of `value`, in the VM's encoding of strings."""
        return dump(value) if self._encoding == "utf-8" else dump_text(value)

    def step(self, timeout: float | None = None) -> bool:
        """Serves one frame; waits for it at most `timeout` seconds. False when none came in time."""
        if self._deferred and self._depth < MAX_NESTED:
            self._serve(self._deferred.popleft())
            return True
        self.flush()
        text = self._next_text(timeout)
        if text is None:
            return False
        self._serve(text)
        return True

    # -- frames -----------------------------------------------------------------------------------------------------

    def _send(self, text: str) -> None:
        data = pack(text.encode(self._encoding))
        with self._write_lock:
            if self._output:
                self._flush_locked()
            self._write_all(data)

    def _flush_locked(self) -> None:
        batch, self._output = self._output, []
        for stream, text in _joined(batch):
            frame = self.dump(["out", stream, text]).encode(self._encoding)
            self._write_all(pack(_valid(frame)))
        self._flushed_at = time.monotonic()

    def _write_all(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._write_fd, data) :]
        except OSError:
            os._exit(0)  # the host is gone, and so is the reason to be here

    def _next_text(self, timeout: float | None) -> str | None:
        while (payload := self._reader.next()) is None:
            if (timeout is not None or self.interactive) and not self._readable(timeout):
                return None
            data = os.read(self._read_fd, 65536)
            if not data:
                os._exit(0)
            self._reader.feed(data)
        try:
            return payload.decode(self._encoding)
        except UnicodeDecodeError:  # half a surrogate pair; JSON can write it in ASCII
            text = payload.decode(self._encoding, "surrogatepass")
            return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def _readable(self, timeout: float | None) -> bool:
        """Waits for data. In an interactive session an interrupt raises here, where no byte can be lost."""
        if self._poll is None:
            return True
        self._check_interrupt()
        self._interruptible = True
        try:
            return bool(self._poll.poll(None if timeout is None else max(0, timeout * 1000)))
        finally:
            self._interruptible = False

    _interruptible = False

    def on_sigint(self, *_: object) -> None:
        self.interrupted = True
        if self._interruptible:
            self._check_interrupt()

    def _check_interrupt(self) -> None:
        if self.interrupted and self._depth_of_run:
            raise Interrupted

    _depth_of_run = 0

    def _serve(self, text: str) -> None:
        kind = text[2 : text.index('"', 2)]
        if kind == "ret":
            self._serve_ret(text)
        elif kind == "invoke":
            self._serve_invoke(text)
        elif kind == "run":
            self._serve_run(text)
        elif kind == "complete":
            _, request, prefix = load(text)
            self._send(f'["ret",{request},{self.dump({"ok": True, "value": self.vm.complete(prefix)})}]')

    @property
    def vm(self) -> VM:
        assert self._vm is not None
        return self._vm

    def _serve_ret(self, text: str) -> None:
        comma = text.index(",", 7)
        call_id = int(text[7:comma])
        if call_id not in self._waiting:
            return  # cancelled meanwhile
        on_done = self._waiting.pop(call_id)
        self.in_flight -= 1
        body = text[comma + 1 : -1]
        env = body if self._raw else load(body)
        if on_done is None:
            self._done[call_id] = env
        else:
            on_done(env)

    def _serve_invoke(self, text: str) -> None:
        if self._depth >= MAX_NESTED:
            self._deferred.append(text)
            return
        first = text.index(",", 10)
        second = text.index(",", first + 1)
        invocation, callback = int(text[10:first]), int(text[first + 1 : second])
        body = text[second + 1 : -1]
        self._depth += 1
        try:
            value = self.vm.invoke(invocation, callback, body if self._raw else load(body))
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
            self._depth -= 1

    def _serve_run(self, text: str) -> None:
        _, run_id, request = load(text)
        self._run_id, self.interrupted, self.last_error = run_id, False, None
        self._depth_of_run += 1
        try:
            result = self.vm.run(request["source"], request["name"], request["args"], request["mode"])
            body = result if self._raw else self.dump(result)
            env = f'{{"ok":true,{body[1:-1]}}}'
        except VMError as error:
            env = self.dump(self._with_cause({"ok": False, "error": error.error}))
        except (Interrupted, MemoryError) as error:
            env = self.dump({"ok": False, "error": _plain_end(error).error})
        finally:
            self._depth_of_run -= 1
            self.interrupted = False
        self._send(f'["done",{run_id},{env}]')

    def _with_cause(self, env: dict[str, Any]) -> dict[str, Any]:
        """Adds the host's error when the script's own message comes from it: it knows the hint."""
        cause = self.last_error
        if cause and str(cause.get("message")) in env["error"]["message"]:
            env["error"]["cause"] = cause
            env["error"]["hint"] = cause.get("hint")
        return env

    # -- life -------------------------------------------------------------------------------------------------------

    def serve_forever(self, vm: VM) -> None:
        self._vm = vm
        while True:
            try:
                self.step()
            except Interrupted:
                continue

    def watch(self) -> list[str]:
        """Starts the two helper threads; returns what could not be started.

        One flushes what a noisy script printed before it went silent. The other ends the process when the host is gone,
        also while the VM is busy and nobody reads the socket.
        """
        missing = []
        _thread.stack_size(256 * 1024)
        for name, target in (("late flush", self._flush_late), ("host watch", self._exit_with_host)):
            try:
                _thread.start_new_thread(target, ())
            except (RuntimeError, OSError):
                missing.append(name)
        return missing

    def _flush_late(self) -> None:
        while True:
            self._flush_wanted.acquire()
            time.sleep(_QUIET * 5)
            self.flush()

    def _exit_with_host(self) -> None:
        if self._poll is None:
            return
        hangup = select.poll()
        hangup.register(self._read_fd, 0)
        while not any(event & (select.POLLHUP | select.POLLERR) for _, event in hangup.poll()):
            time.sleep(0.1)
        os._exit(0)


def _plain_end(error: BaseException) -> VMError:
    """What the VM did not translate itself."""
    if isinstance(error, MemoryError):
        return VMError("memory", "the script used up its memory")
    if isinstance(error, Interrupted):
        return VMError("interrupted", "interrupted")
    return VMError("runtime", f"the engine failed: {type(error).__name__}")


def _joined(batch: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbouring pieces of one stream become one piece."""
    joined: list[tuple[str, str]] = []
    for stream, text in batch:
        if joined and joined[-1][0] == stream and len(joined[-1][1]) < 1 << 20:
            joined[-1] = (stream, joined[-1][1] + text)
        else:
            joined.append((stream, text))
    return joined


def _valid(data: bytes) -> bytes:
    """Output may hold any bytes; frames must be UTF-8."""
    return data if data.isascii() else data.decode("utf-8", "replace").encode()


def _load(path: str) -> type[Any]:
    module, _, name = path.partition(":")
    __import__(module)
    found: type[Any] = getattr(sys.modules[module], name)
    return found


def main(read_fd: int, write_fd: int, vm_path: str) -> None:
    """Runs the worker until the host goes away; the VM library is loaded before the fence closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host = Host(read_fd, write_fd, raw=False, encoding="utf-8")
    try:
        vm_class = _load(vm_path)
        host = Host(read_fd, write_fd, raw=vm_class.raw, encoding=vm_class.encoding)
        _boot(host, vm_class)
    except Exception as error:  # noqa: BLE001 - the host turns this into one clean error
        host._send(host.dump(["fatal", {"message": f"{type(error).__name__}: {error}"}]))  # noqa: SLF001
        os._exit(1)


def _boot(host: Host, vm_class: type[Any]) -> None:
    text = host._next_text(None)  # noqa: SLF001 - same module
    boot = load(text or "")[1]
    host.interactive = bool(boot.get("interactive"))
    prepare = getattr(vm_class, "prepare", None)
    if prepare is not None:
        prepare(boot)  # last chance to import something, e.g. a variant of the library
    report = fence.apply({"memory_bytes": boot.get("memory"), **(boot.get("fence") or {})})
    report["missing_watch"] = host.watch()
    if host.interactive:
        signal.signal(signal.SIGINT, host.on_sigint)
    vm = vm_class(boot, host)
    host._send(host.dump(["ready", {"fence": report}]))  # noqa: SLF001
    host.serve_forever(vm)
