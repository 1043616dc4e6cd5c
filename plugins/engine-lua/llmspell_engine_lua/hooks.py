"""The hook of a VM's main thread, taken away and put back from outside of the VM.

With a hook that counts, Lua looks at every instruction whether it is due: loops take twice as long. So an interactive
session runs without, and the hook is put back when an interrupt comes, as the `lua` program does it in its signal handler:
`lua_sethook` may be called while the VM runs. lupa lets go of Python's lock meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Hooks"]

MASK_COUNT = 8


class Hooks:
    """Of one library of lupa's. LuaJIT has none: its compiled loops ask no hooks."""

    def __init__(self, library: Any) -> None:
        self.found = False
        if "jit" in library.__name__:
            return
        import ctypes

        try:
            functions = ctypes.PyDLL(library.__file__)
            self._get, self._set = functions.lua_gethook, functions.lua_sethook
        except (OSError, AttributeError):  # a build that does not show its functions: slower loops
            return
        self._get.argtypes, self._get.restype = [ctypes.c_void_p], ctypes.c_void_p
        self._set.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        self._set.restype = None
        self.found = True

    def take(self, thread: int) -> Callable[[], object]:
        """Takes the hook away from the thread at that address; what is returned has it called at the next instruction."""
        hook = self._get(thread)
        self._set(thread, None, 0, 0)
        return partial(self._set, thread, hook, MASK_COUNT, 1)
