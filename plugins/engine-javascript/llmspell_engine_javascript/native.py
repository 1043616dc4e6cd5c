"""What the VM's library can do and its Python wrapper does not offer.

`stop_when` stops JavaScript that is running; `Rejections` knows the promises that failed with nobody listening;
`load_modules` serves `import`.

The library exports the functions; the addresses of runtime and context are found in the context object, behind the object
header, and `JS_GetRuntime` confirms them. Where that does not hold, or a self-test fails, nothing is installed.

Imported before the worker's fence closes: a callback for C needs executable memory, which cannot be had afterwards.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import _quickjs

__all__ = ["Rejections", "load_modules", "stop_when"]


class _Value(ctypes.Structure):
    """A JSValue of a 64-bit build: a pointer or a number, and a tag; counted if the tag is negative."""

    _fields_ = (("payload", ctypes.c_int64), ("tag", ctypes.c_int64))


_Pointer = ctypes.c_void_p
_Handler = ctypes.CFUNCTYPE(ctypes.c_int, _Pointer, _Pointer)
_Loader = ctypes.CFUNCTYPE(_Pointer, _Pointer, ctypes.c_char_p, _Pointer)
_Normalizer = ctypes.CFUNCTYPE(_Pointer, _Pointer, ctypes.c_char_p, ctypes.c_char_p, _Pointer)
_Tracker = ctypes.CFUNCTYPE(None, _Pointer, _Value, _Value, ctypes.c_bool, _Pointer)

_MAX_REJECTED = 10_000
_COMPILE_MODULE = 1 << 0 | 1 << 5
_EXCEPTION = 6
"""Tag of the value that stands for "an exception was thrown"."""

_wanted: list[Callable[[], bool]] = []
_rejected: dict[int, tuple[_Value, _Value]] = {}
_modules: list[tuple[ctypes.PyDLL, Callable[[str], str], Callable[[str, str], str]]] = []


def _track(context: int, promise: _Value, reason: _Value, handled: bool, _opaque: int) -> None:
    kept = _rejected.pop(promise.payload, None)
    if kept is not None:
        for value in kept:
            _count[0](context, value, -1)
    elif not handled and len(_rejected) < _MAX_REJECTED:
        # Copies: the arguments themselves end with this call.
        kept = _Value(promise.payload, promise.tag), _Value(reason.payload, reason.tag)
        _rejected[promise.payload] = kept
        for value in kept:
            _count[0](context, value, 1)


def _load(context: int, name: bytes, _opaque: int) -> int | None:
    """The compiled module; None when an exception was thrown in the VM instead."""
    library, source_of, _ = _modules[0]
    try:
        source = source_of(name.decode()).encode("utf-8", "surrogatepass")
    except Exception as error:  # noqa: BLE001 - nothing may be raised through the VM's own code
        _throw(library, context, error)
        return None
    module: _Value = library.JS_Eval(context, source, len(source), name, _COMPILE_MODULE)
    if module.tag == _EXCEPTION:
        return None
    _count[0](context, module, -1)  # the VM keeps one of its own
    return int(module.payload)


def _normalize(context: int, base: bytes, name: bytes, _opaque: int) -> int | None:
    """The name under which the VM keeps the module that `base` calls `name`; None when an exception was thrown instead."""
    library, _, name_of = _modules[0]
    try:
        found = name_of(base.decode("utf-8", "replace"), name.decode("utf-8", "replace")).encode(
            "utf-8", "surrogateescape"
        )
    except Exception as error:  # noqa: BLE001 - as above
        _throw(library, context, error)
        return None
    copy: int | None = library.js_strdup(context, found)
    return copy


def _throw(library: ctypes.PyDLL, context: int, error: Exception) -> None:
    throw = library.JS_ThrowReferenceError if isinstance(error, LookupError) else library.JS_ThrowTypeError
    throw(context, b"%s", ctypes.c_char_p(str(error).encode("utf-8", "replace")))


def _count_by_call(library: ctypes.PyDLL) -> Callable[[int, _Value, int], None]:
    """Takes (1) or gives back (-1) a reference, in libraries that export how."""
    more, less = library.JS_DupValue, library.JS_FreeValue
    more.argtypes, more.restype = [_Pointer, _Value], _Value
    less.argtypes, less.restype = [_Pointer, _Value], None

    def count(context: int, value: _Value, change: int) -> None:
        (more if change > 0 else less)(context, value)

    return count


def _count_by_header(_context: int, value: _Value, change: int) -> None:
    """The same in older libraries, where the count stands first. Never the last one, so nothing has to be freed."""
    if value.tag < 0:
        ctypes.c_int.from_address(value.payload).value += change


_count: list[Callable[[int, _Value, int], None]] = [_count_by_header]
_asked = _Handler(lambda _runtime, _opaque: 1 if _wanted[0]() else 0)
_tracked = _Tracker(_track)
_loaded = _Loader(_load)
_normalized = _Normalizer(_normalize)


def stop_when(context: Any, wanted: Callable[[], bool]) -> bool:
    """Has `context` stop, uncatchably, when `wanted()` is true; False when this build does not allow it."""
    found = _addresses(context)
    if found is None:
        return False
    library, runtime, _ = found
    install = library.JS_SetInterruptHandler
    install.argtypes, install.restype = [_Pointer, _Handler, _Pointer], None
    _wanted[:] = [wanted]
    install(runtime, _asked, None)
    return True


def load_modules(context: Any, source_of: Callable[[str], str], name_of: Callable[[str, str], str]) -> bool:
    """Has `import` in `context` ask for names, `name_of(importer, written)`, and for the sources of what they name.

    Whatever they raise is an error of the script: a LookupError one of reference, all else one of type.

    Returns:
        False when this build does not allow it.
    """
    found = _addresses(context)
    if found is None:
        return False
    library, runtime, _ = found
    try:
        install = library.JS_SetModuleLoaderFunc
        throws = library.JS_ThrowReferenceError, library.JS_ThrowTypeError
    except AttributeError:
        return False
    install.argtypes, install.restype = [_Pointer, _Normalizer, _Loader, _Pointer], None
    copy = getattr(library, "js_strdup", None)
    if copy is not None:
        copy.argtypes, copy.restype = [_Pointer, ctypes.c_char_p], _Pointer
    for throw in throws:
        throw.argtypes, throw.restype = [_Pointer, ctypes.c_char_p], _Value  # and more, as the format says
    library.JS_Eval.argtypes = [_Pointer, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int]
    library.JS_Eval.restype = _Value
    if hasattr(library, "JS_DupValue"):
        _count[:] = [_count_by_call(library)]
    _modules[:] = [(library, source_of, name_of)]
    # Without it the VM makes names relative to the script itself.
    install(runtime, _normalized if copy is not None else _Normalizer(0), _loaded, None)
    return True


class Rejections:
    """The promises of a context that were rejected and that nobody listens to.

    Args:
        context: of the wrapper; nothing has run in it yet.
    """

    def __init__(self, context: Any) -> None:
        self._found = _addresses(context)
        if self._found is not None:
            self._install(context)

    def _install(self, context: Any) -> None:
        assert self._found is not None
        library, runtime, _ = self._found
        if hasattr(library, "JS_DupValue"):
            _count[:] = [_count_by_call(library)]
        install = library.JS_SetHostPromiseRejectionTracker
        install.argtypes, install.restype = [_Pointer, _Tracker, _Pointer], None
        install(runtime, _tracked, None)
        context.eval("{ const p = Promise.reject(7); globalThis.$p = p }")
        seen = [reason.payload for _, reason in _rejected.values()]
        context.eval("globalThis.$p.catch(() => {}); delete globalThis.$p")
        if seen != [7] or _rejected:
            install(runtime, _Tracker(0), None)
            _rejected.clear()
            self._found = None

    def take(self, name: str) -> bool:
        """Makes the reason of the first one the global `name` and forgets all; False if there is none."""
        if self._found is None or not _rejected:
            return False
        library, _, inner = self._found
        library.JS_GetGlobalObject.argtypes, library.JS_GetGlobalObject.restype = [_Pointer], _Value
        library.JS_SetPropertyStr.argtypes = [_Pointer, _Value, ctypes.c_char_p, _Value]
        _, reason = next(iter(_rejected.values()))
        _rejected.clear()
        scope = library.JS_GetGlobalObject(inner)
        library.JS_SetPropertyStr(inner, scope, name.encode(), reason)  # takes over our reference
        _count[0](inner, scope, -1)
        return True

    def forget(self) -> None:
        _rejected.clear()


def _addresses(context: Any) -> tuple[ctypes.PyDLL, int, int] | None:
    """The library, and the JSRuntime and JSContext of `context`."""
    try:
        library = ctypes.PyDLL(_quickjs.__file__)
        ask = library.JS_GetRuntime
        ask.argtypes, ask.restype = [_Pointer], _Pointer
        pair = _Pointer * 2
        runtime, inner = pair.from_address(id(context) + object.__basicsize__)
        if ctypes.sizeof(_Pointer) == 8 and runtime and inner and ask(inner) == runtime:
            return library, runtime, inner
    except (OSError, AttributeError):
        pass
    return None
