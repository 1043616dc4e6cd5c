"""The few Linux system calls that Python has no function for."""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
M_ARENA_MAX = -8

CAPSET = {"x86_64": 126, "aarch64": 91}
CAPABILITY_VERSION_3 = 0x20080522

_libc: ctypes.CDLL | None = None


def machine() -> str:
    """`x86_64`, `aarch64`, ... as the kernel names it; empty where there is no such name."""
    return os.uname().machine if sys.platform == "linux" else ""


def _library() -> ctypes.CDLL:
    global _libc
    if sys.platform != "linux":
        raise OSError("only Linux has it")
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
        _libc.syscall.restype = ctypes.c_long
    return _libc


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(number: int, *arguments: object) -> int:
    """One raw system call; integers are passed as `long`, everything else as ctypes does it.

    Raises:
        OSError: with the kernel's error number.
    """
    longs = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(_library().syscall(ctypes.c_long(number), *longs))


def prctl(option: int, value: int) -> int:
    """`prctl(option, value, 0, 0, 0)`."""
    zero = ctypes.c_ulong(0)
    return _checked(_library().prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def share_heap() -> None:
    """One heap for all threads: glibc gives each its own otherwise, which takes 64 MB of the address space.

    Does nothing where the C library has no such thing.
    """
    if sys.platform == "linux" and hasattr(_library(), "mallopt"):
        _library().mallopt(M_ARENA_MAX, 1)


def drop_capabilities() -> None:
    """Give up every capability, so that even root cannot raise a limit again.

    Raises:
        OSError: the kernel refused, or the machine is not one of `CAPSET`.
    """
    number = CAPSET.get(machine())
    if number is None:
        raise OSError(f"no system call table for {machine()}")
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    call(number, ctypes.byref(header), ctypes.byref(nothing))
