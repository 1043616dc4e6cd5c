"""The Lua VM inside the worker: lupa, a sandbox, and the prelude built from the manifest.

Rules that keep it safe (each was learnt the hard way):
- Scripts run in their own environment table. The real globals end up without `debug` and `python`.
- No Python object ever becomes visible to a script: only scalars, tables, and functions written in Lua.
- Python functions called from Lua never raise; they return `True, value...` or `False, message`.
- Lua functions are never kept here: callbacks are integer ids, the functions stay in the VM.
"""

from __future__ import annotations

import binascii
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from llmspell_core.script.remembered import OF_SCRIPT, misuse
from llmspell_core.script.vm import HostError, Interrupted, VMError
from llmspell_core.script.wire import MAX_FRAME, json_problem, load
from llmspell_engine_lua.hooks import Hooks
from llmspell_engine_lua.memory import Memory
from llmspell_engine_lua.values import (
    BadValue,
    NoData,
    Values,
    bytes_view,
    dump,
    is_text,
    may_hold_lists,
    portable,
    whole_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.worker import Host

__all__ = ["LuaVM"]

CHUNKS = ("sandbox", "language", "prelude", "show", "async", "files", "session")
CONVERTERS = ("special", "mark", "keep", "kept", "handle")
HIGH_MEMORY = 32 * 1024 * 1024
MAX_DEPTH = 60_000
"""Nested calls that are never too many. It is looked at each time the stack has grown to four times its size."""
BYTES_PER_CALL = 800
"""With little memory fewer calls are allowed: so many bytes for each, so that the check comes before the memory is used up."""

_library: Any = None
_hooks: Hooks | None = None
_sources: dict[str, str] = {}


def _nothing() -> None:
    """Lifts and lowers no limit."""


def _deny(*_: object) -> object:
    """The attribute filter: a script sees no attribute of any Python object."""
    raise AttributeError("access denied")


class LuaVM:
    """One Lua state. See `llmspell_core.script.vm.VM` for the contract."""

    raw: ClassVar[bool] = True
    encoding: ClassVar[str] = "latin-1"

    @staticmethod
    def prepare(boot: dict[str, Any]) -> None:
        """Loads what has to be loaded before the fence closes."""
        global _library, _hooks
        _library = import_module(f"lupa.{boot['options'].get('variant', 'lua54')}")
        folder = Path(__file__).parent
        for name in CHUNKS:
            _sources[name] = (folder / f"{name}.lua").read_text("ascii")
        if boot.get("interactive"):
            _hooks = Hooks(_library)

    def __init__(self, boot: dict[str, Any], host: Host) -> None:
        self._host, self._mark = host, str(boot["mark"])
        self._memory_error = _library.LuaMemoryError
        self._error = _library.LuaError
        self._runtime = self._new_runtime(boot)
        self._programs: dict[str, str] = {}
        self._parameters = _parameters(boot["manifest"])
        limit = _memory(boot)
        self._memory = self._new_memory(limit, boot["profile"])
        keeps_limit = "jit" not in _library.__name__
        self._k = self._runtime.table_from(
            {
                "max_text": None if keeps_limit and limit and limit < MAX_FRAME else MAX_FRAME,
                "soft_limit": None if keeps_limit else limit,
                "host": self._runtime.table_from(self._host_functions()),
                "profile": boot["profile"],
                "interactive": bool(boot["interactive"]),
                "max_depth": min(MAX_DEPTH, (limit or sys.maxsize) // BYTES_PER_CALL),
            }
        )
        services = {"json_encode": self._json_encode, "json_decode": self._json_decode, "error_info": self._error_info}
        self._k["vm"] = self._runtime.table_from(services)
        for name in CHUNKS:
            self._load(name)(self._k)
            if name == "prelude":
                self._values = Values(self._runtime, self._mark, *(self._k[each] for each in CONVERTERS))
        self._install(boot["manifest"])

    def _new_runtime(self, boot: dict[str, Any]) -> Any:
        options: dict[str, Any] = {}
        memory = _memory(boot)
        if memory and "jit" not in _library.__name__:
            options["max_memory"] = memory
        return _library.LuaRuntime(
            encoding="latin-1",
            source_encoding="latin-1",
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_deny,
            **options,
        )

    def _new_memory(self, limit: int | None, profile: str) -> Memory:
        """The VM's memory limit; lifted from here on whenever Python is at work. LuaJIT keeps none."""
        runtime, keeps = self._runtime, bool(limit) and "jit" not in _library.__name__
        self._lift: Callable[[], Any] = partial(runtime.set_max_memory, 0) if keeps else _nothing
        self._lower: Callable[[], Any] = partial(runtime.set_max_memory, limit) if keeps else _nothing
        self._lift()
        collector = "local collect = collectgarbage return function() return collect({}) end"
        collect = runtime.execute(collector.format("'collect'"))
        kilobytes = runtime.execute(collector.format("'count'"))
        used: Callable[[], int] = runtime.get_memory_used if keeps else lambda: int(kilobytes() * 1024)
        more = "" if profile == "high" else ", or raise runtime.security.max_memory_bytes"
        return Memory(self._host, limit, collect, used, f"Keep less at one time, ask for a part of it{more}.")

    def _load(self, name: str) -> Any:
        load = self._runtime.eval("function(source, name) return assert(load(source, name, 't')) end")
        return load(_sources[name], f"=[llmspell] {name}")

    def _install(self, manifest: dict[str, Any]) -> None:
        vm, k = self._k["vm"], self._k
        for name in (
            "host",
            "arrays",
            "identity",
            "env",
            "traceback",
            "getinfo",
            "used_bytes",
            "shown",
            "chunks",
            "opaque",
        ):
            vm[name] = k[name]
        vm["share"] = k
        vm["list"] = self._runtime.eval("function(arrays) return function(t) arrays[t] = true return t end end")(
            k["arrays"]
        )
        # Before any user code runs, nothing of this may be left in the real globals.
        self._runtime.execute("python = nil")
        k["install"](self._runtime.table_from(manifest, recursive=True))
        self._run, self._dispatch = k["run"], k["dispatch"]
        self._runtime.execute("debug, package, io, os, dofile, loadfile, require = nil")

    # -- the contract -----------------------------------------------------------------------------------------------

    def run(self, source: str, name: str, args: dict[str, Any], mode: str) -> str:
        self._k["set_args"](self._runtime.table_from(args, recursive=True))
        try:
            outcome = self._enter(self._run, source, name, mode)
            if not outcome[0]:
                raise self._failure(str(outcome[1]), outcome[2])
            display = outcome[2] if len(outcome) > 2 else None
            value = self._result(outcome[1] if len(outcome) > 1 else None, loosely=display is not None)
            if mode == "code" and outcome[3] == 1 and value is not None:
                display = None
            return whole_text({"value": value, "display": display})
        except BadValue as error:
            raise VMError("runtime", f"the script's result cannot be handed over: {error}", file=name) from None
        except (self._memory_error, MemoryError):
            raise VMError("memory", f"{name}: the script used up its memory", file=name) from None
        except self._error as error:
            if self._host.interrupted:  # it hit our own code, just before or after the script's
                raise self._interrupted() from None
            raise VMError("runtime", str(error), file=name) from None

    def _interrupted(self) -> VMError:
        """Forgets what was under way; variables stay."""
        self._host.interrupted = False
        self._k["abandon"]()
        return VMError("interrupted", "interrupted")

    def _result(self, value: Any, *, loosely: bool) -> Any:
        """Data of what was returned. Cells and expressions may end in anything: what is no data is only shown."""
        try:
            return self._values.result(value)
        except BadValue as error:
            if loosely:
                return None
            if not isinstance(error, NoData):
                raise
            failure = VMError("runtime", str(error))
            failure.error["unfit"] = error.kind
            raise failure from None

    def invoke(self, invocation: int, callback: int, args: str) -> str:
        try:
            given = load(args)
            self._memory.weigh("what a callback is given", given, len(args))
            values = [self._values.into(item, handles=self._mark in args) for item in given]
            table = self._runtime.table_from({i + 1: value for i, value in enumerate(values)})
            ok, value, trace = self._enter(self._dispatch, callback, table, len(values))
            if not ok:
                raise self._failure(str(value), trace)
            return whole_text(self._values.out(value))
        except HostError as error:
            raise VMError("memory", str(error)) from None
        except BadValue as error:
            raise VMError("runtime", f"a callback returned something that cannot be handed over: {error}") from None
        except (self._memory_error, MemoryError):
            raise VMError("memory", "the script used up its memory in a callback") from None
        except self._error as error:
            raise VMError("runtime", str(error)) from None

    def complete(self, text: str) -> list[str]:
        return [str(name) for name in self._enter(self._k["complete"], text).values()]

    def _enter(self, body: Any, *args: Any) -> Any:
        """Calls one of the `entry` functions of the VM, after which its memory limit is lifted again."""
        try:
            return body(*args)
        except BaseException:
            self._lift()
            self._k["lifted"]()
            raise

    # -- errors -----------------------------------------------------------------------------------------------------

    def _failure(self, message: str, trace: str | None) -> VMError:
        phase = "syntax" if trace is None else "runtime"
        if trace is not None and self._host.interrupted:
            return VMError("interrupted", "interrupted")
        if trace is not None and "not enough memory" in message:
            phase = "memory"
        file, line = self._position(message, trace or "")
        error = VMError(
            phase, message, file=file, line=line, source_line=self._line_of(file, line), traceback=trace or None
        )
        if phase == "runtime" and message.endswith("stack overflow"):
            error.error["hint"] = "Look for a function that calls itself without an end."
        return error

    def _position(self, message: str, trace: str) -> tuple[str | None, int | None]:
        """Where the message says it happened; else the innermost line of the script in the traceback."""
        chunks = dict(self._k["chunks"].items())
        for text in (message, *(piece.strip() for piece in trace.splitlines())):
            for short, name in chunks.items():
                digits = text[len(short) + 1 :].partition(":")[0] if text.startswith(f"{short}:") else ""
                if digits.isdecimal():
                    return name, int(digits)
        return None, None

    def _line_of(self, file: str | None, line: int | None) -> str | None:
        lines = self._programs.get(file or "", "").split("\n")
        return lines[line - 1].strip()[:500] if line and line <= len(lines) else None

    # -- what Lua calls ---------------------------------------------------------------------------------------------

    def _host_functions(self) -> dict[str, Callable[..., Any]]:
        return {
            "lift": self._lift,
            "lower": self._lower,
            "call": self._call,
            "file": self._file,
            "post": self._post,
            "start": self._start,
            "cancel": self._host.cancel,
            "step": self._step,
            "write": self._host.write,
            "exit": self._host.exit,
            "interrupted": lambda: self._host.interrupted,
            **({"calm": self._calm} if _hooks is not None and _hooks.found else {}),
            "advice": lambda: (self._host.last_error or {}).get("hint") or "",
            "remember": self._programs.__setitem__,
            "note": self._note,
        }

    def _calm(self, address: str) -> None:
        """Takes the hook of the VM's own thread away, to be put back when an interrupt comes: hooks make loops slow."""
        assert _hooks is not None
        self._host.on_interrupt = _hooks.take(int(address, 16))

    def _call(self, op: str, line: int, *args: Any) -> Any:
        try:
            return True, self._opened(op, self._host.call(op, self._arguments(op, args), line))
        except Exception as error:  # noqa: BLE001 - see _said
            return False, self._refused(op, error)

    def _opened(self, op: str, env: str) -> Any:
        """The value in an env. Raises: HostError."""
        size = len(env)
        found = load(env)
        lists = may_hold_lists(env)
        del env
        if not found["ok"]:
            self._host.open(found)
        value, view = found["value"], found.get("v")
        self._memory.weigh(f"the result of {_label(op)}", value, size)
        table = self._values.into(value, handles="h" in found, lists=lists)
        if view is None:
            return table
        envelope = self._values.decode(value["text"], self._weigh_json) if view["json"] else None
        return self._k["complete_view"](table, self._runtime.table_from(view, recursive=True), envelope)

    def _weigh_json(self, value: Any, size: int) -> None:
        self._memory.weigh("the JSON value", value, size)

    def _post(self, op: str, *args: Any) -> Any:
        try:
            self._host.post(op, self._arguments(op, args))
        except Exception as error:  # noqa: BLE001 - see _said
            return False, self._refused(op, error)
        return True, None

    def _start(self, op: str, line: int, count: int, *args: Any) -> Any:
        def done(env: str) -> None:
            try:
                value = (True, self._opened(op, env))
            except Exception as error:  # noqa: BLE001 - see _said
                value = (False, self._refused(op, error))
            self._enter(self._k["settle"], call_id, *value)

        try:
            call_id = self._host.start(op, self._arguments(op, args[:count]), line, done)
        except Exception as error:  # noqa: BLE001 - see _said
            return False, self._refused(op, error)
        return True, call_id

    def _refused(self, op: str, error: Exception) -> str:
        """What a script reads of it; what is behind that is remembered, see `Debug.error_info`."""
        said = _said(op, error)
        if isinstance(error, BadValue):
            self._host.errors.add(misuse(said))
        return said

    def _error_info(self, text: str) -> Any:
        """The fields of an error that is a text; no part of a message of ours may be missing in it."""
        found = self._host.errors.info(text)
        shown = {key: value for key, value in found.items() if key != "kind" and value is not None}
        return self._values.into(shown)

    def _note(self, message: str, code: Any = None, kind: Any = None, hint: Any = None, retryable: Any = None) -> None:
        """An error that the VM made, or that a script threw as a table."""
        given = {"code": code, "type": kind, "hint": hint}
        said = misuse(message) if code == "validation" and kind is None else {"message": message, **OF_SCRIPT}
        said |= {key: value for key, value in given.items() if isinstance(value, str)}
        self._host.errors.add(said | ({"retryable": retryable} if isinstance(retryable, bool) else {}))

    def _step(self, left_ms: float | None) -> Any:
        """Serves one frame: "ok", "timeout" or a message, and the milliseconds that are left."""
        begin = monotonic()
        try:
            served = self._host.step(None if left_ms is None else max(0.0, left_ms / 1000))
        except Exception as error:  # noqa: BLE001 - see _said
            return _said("waiting", error), left_ms
        left = None if left_ms is None else left_ms - (monotonic() - begin) * 1000
        return "ok" if served and (left is None or left > 0) else "timeout", left

    def _file(self, op: str, *args: Any) -> Any:
        """A file operation: content that is no text crosses as base64."""
        try:
            content = [portable(arg) if isinstance(arg, str) else self._values.out(arg) for arg in args]
            found = load(self._host.call(op, whole_text(content), 0))
            value = found["value"] if found["ok"] else self._host.open(found)
            self._memory.weigh(
                f"the result of {_label(op)}", value, len(str(value)) if isinstance(value, str) else 1024
            )
        except Exception as error:  # noqa: BLE001 - see _said
            return False, self._refused(op, error)
        if isinstance(value, dict) and "b64" in value:
            value = binascii.a2b_base64(value["b64"]).decode("latin-1")
        return True, self._values.into(value)

    def _arguments(self, op: str, args: tuple[Any, ...]) -> str:
        """JSON text of the arguments. Raises: BadValue, which names the argument."""
        params = self._parameters.get(op, ())
        data = []
        for i, arg in enumerate(args):
            kind = type(arg)
            if kind is str or kind is int or kind is bool or arg is None:
                data.append(arg)
                continue
            name, allow = params[i] if i < len(params) else (f"argument {i + 1}", None)
            try:
                data.append(self._values.out(arg, allow))
            except BadValue as error:
                raise BadValue(f"{_label(op)}: '{name}': {error}") from None
        text = dump(data)
        return text if text.isascii() or is_text(text) else _refuse_bytes(op, data, params)

    def _json_encode(self, value: Any, pretty: bool = False) -> Any:
        try:
            text = self._values.encode(value, pretty=bool(pretty))
            if not text.isascii() and not is_text(text):
                return False, "there is text in it that is not UTF-8; encode it first (base64-encoder)"
            self._memory.weigh("the JSON text", text, len(text))
            return True, text
        except (BadValue, HostError) as error:
            return False, str(error)

    def _json_decode(self, text: Any) -> Any:
        if not isinstance(text, str):
            return False, "JSON parse error: a string is expected"
        try:
            return True, self._values.decode(text, self._weigh_json)
        except HostError as error:
            return False, str(error)
        except (ValueError, RecursionError) as error:
            characters = text.encode("latin-1").decode("utf-8", "replace")
            return False, bytes_view(f"JSON parse error: {json_problem(characters) or error}")


def _said(what: str, error: Exception) -> str:
    """What a script reads of an exception here; the exception itself must never reach it."""
    if isinstance(error, (HostError, BadValue, _library.LuaError)):
        return str(error)
    if isinstance(error, Interrupted):
        return "interrupted"
    return "not enough memory" if isinstance(error, MemoryError) else f"{what} failed: {type(error).__name__}"


def _memory(boot: dict[str, Any]) -> int | None:
    """Bytes that the VM may use."""
    given: int | None = boot["memory"]
    return min(given or HIGH_MEMORY, HIGH_MEMORY) if boot["profile"] == "high" else given


Parameter = tuple[str, "Callable[[str], bool] | None"]


def _parameters(manifest: dict[str, Any]) -> dict[str, list[Parameter]]:
    """op -> its parameters' names and where functions may stand in them; a method's first argument is its object."""
    found: dict[str, list[Parameter]] = {}

    def add_global(spec: dict[str, Any]) -> None:
        for function in spec["functions"]:
            found[function["op"]] = [_parameter(p) for p in function["params"]]
        for builder in spec["builders"]:
            found[builder["build"]["op"]] = [("fields", _allowed_fields(builder))]
        for sub in spec["subglobals"]:
            add_global(sub)

    for spec in manifest["globals"]:
        add_global(spec)
    for handle in manifest["handles"].values():
        for method in handle["methods"]:
            found[method["op"]] = [("self", None), *(_parameter(p) for p in method["params"])]
    return found


def _parameter(spec: dict[str, Any]) -> Parameter:
    if spec["type"] == "function":
        return spec["name"], lambda key: key == ""
    return spec["name"], _allows(set(spec["callbacks"]))


def _allows(keys: set[str]) -> Callable[[str], bool] | None:
    if not keys:
        return None
    return (lambda _: True) if "*" in keys else keys.__contains__


def _allowed_fields(builder: dict[str, Any]) -> Callable[[str], bool] | None:
    keys: set[str] = set()
    for setter in builder["setters"]:
        for param in setter["params"]:
            keys.update(param["callbacks"])
            if param["type"] == "function":
                keys.update({param["name"], setter["field"] or setter["name"]})
    return _allows(keys)


def _label(op: str) -> str:
    return op.replace("#", ":")


def _refuse_bytes(op: str, data: list[Any], params: Any) -> str:
    for i, item in enumerate(data):
        if not is_text(dump(item)):
            name = params[i][0] if i < len(params) else f"argument {i + 1}"
            raise BadValue(f"{_label(op)}: '{name}' holds text that is not UTF-8; encode it first (base64-encoder)")
    raise BadValue(f"{_label(op)}: text that is not UTF-8")
