"""Stops JavaScript that is running, for interactive sessions: the VM asks every few thousand steps whether to go on.

The wrapper does not offer that, but its library exports the function, and the runtime's address is found in the context
object, behind the object header; `JS_GetRuntime` confirms it. Where that does not hold, nothing is installed.

Imported before the worker's fence closes: a callback for C needs executable memory, which cannot be had afterwards.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import _quickjs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["stop_when"]

_wanted: list[Callable[[], bool]] = []


_Handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_asked = _Handler(lambda _runtime, _opaque: 1 if _wanted[0]() else 0)


def stop_when(context: Any, wanted: Callable[[], bool]) -> bool:
    """Has `context` stop, uncatchably, when `wanted()` is true; False when this build does not allow it."""
    try:
        library = ctypes.PyDLL(_quickjs.__file__)
        runtime = _runtime_of(context, library)
        if runtime is None:
            return False
        install = library.JS_SetInterruptHandler
        install.argtypes, install.restype = [ctypes.c_void_p, _Handler, ctypes.c_void_p], None
    except (OSError, AttributeError):
        return False
    _wanted[:] = [wanted]
    install(runtime, _asked, None)
    return True


def _runtime_of(context: Any, library: ctypes.PyDLL) -> int | None:
    """The JSRuntime of `context`, if the two words behind the header really are a runtime and its context."""
    pair = ctypes.c_void_p * 2
    runtime, inner = pair.from_address(id(context) + object.__basicsize__)
    if not runtime or not inner:
        return None
    library.JS_GetRuntime.argtypes, library.JS_GetRuntime.restype = [ctypes.c_void_p], ctypes.c_void_p
    confirmed: int | None = library.JS_GetRuntime(inner)
    return runtime if confirmed == runtime else None
