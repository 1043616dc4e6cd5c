"""A system call filter: a list of what a loaded Python and its VM need to compute and to talk; the rest is EPERM.

An allow-list, because it also refuses what later kernels will add. A few calls are allowed for some arguments only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from llmspell_core.script.fence import kernel

SECCOMP = {"x86_64": 317, "aarch64": 277}
SET_MODE_FILTER = 1
ALL_THREADS = 1
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

ALLOW = 0x7FFF0000
REFUSE = 0x00050000  # plus the error number
KILL_PROCESS = 0x80000000

# Classic BPF: (operation, jump if true, jump if false, constant)
LOAD = 0x20
JUMP_EQUAL = 0x15
JUMP_ANY_BIT = 0x45
RETURN = 0x06
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16

Instruction = tuple[int, int, int, int]
# (position, test, constants): "any" - one of the constants, "without" - no bit of it, "with" - some bit of it
Check = tuple[int, str, tuple[int, ...]]

PROT_EXEC = 0x4
CLONE_THREAD = 0x10000
F_GETFD_TO_F_SETFL = (1, 2, 3, 4)
FIONREAD, FIONBIO = 0x541B, 0x5421

# name: (x86_64, aarch64); None where the architecture has no such call
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # the socket and the descriptors that are open already
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66),
    "close": (3, 57), "lseek": (8, 62), "fstat": (5, 80),
    "recvfrom": (45, 207), "sendto": (44, 206), "shutdown": (48, 210),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "fcntl": (72, 25), "ioctl": (16, 29),
    # memory
    "mmap": (9, 222), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226), "madvise": (28, 233),
    "brk": (12, 214),
    # threads that exist, locks
    "futex": (202, 98), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "membarrier": (324, 283),
    "rseq": (334, 293), "set_robust_list": (273, 99), "set_tid_address": (218, 96), "clone": (56, 220),
    # time and chance
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "sysinfo": (99, 179),
    "setitimer": (38, 103), "getitimer": (36, 102), "alarm": (37, None), "getrandom": (318, 278),
    # signals to itself
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132),
    "restart_syscall": (219, 128), "kill": (62, 129), "tgkill": (234, 131),
    # itself
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getrlimit": (97, 163), "prlimit64": (302, 261),
    "exit": (60, 93), "exit_group": (231, 94),
    # answered with "not implemented", after which the C library falls back to `clone`
    "clone3": (435, 435),
}  # fmt: skip


def _checks(*, jit: bool, threads: bool) -> dict[str, tuple[Check, ...] | None]:
    """The calls that depend on their arguments; None means never."""
    myself = (0, "any", (os.getpid(),))
    no_address = (4, "any", (0,))
    thread_only = (0, "with", (CLONE_THREAD,))
    checks: dict[str, tuple[Check, ...] | None] = {
        "sendto": (no_address,),
        "fcntl": ((1, "any", F_GETFD_TO_F_SETFL),),
        "ioctl": ((1, "any", (FIONREAD, FIONBIO)),),
        "kill": (myself,),
        "tgkill": (myself,),
        "prlimit64": ((0, "any", (0,)), (2, "any", (0,))),  # reading its own limits
        "clone": (thread_only,) if threads else None,
    }
    if not jit:
        checks["mmap"] = checks["mprotect"] = ((2, "without", (PROT_EXEC,)),)
    return checks


def _test(check: Check) -> list[Instruction]:
    """Go on when the argument passes, return EPERM when it does not.

    Where a zero is asked for, all 64 bits are looked at; elsewhere the kernel itself only reads the low half.
    """
    position, kind, constants = check
    refuse = (RETURN, 0, 0, REFUSE | errno.EPERM)
    low = ARGUMENTS_AT + 8 * position
    if kind == "without":
        return [(LOAD, 0, 0, low), (JUMP_ANY_BIT, 0, 1, constants[0]), refuse]
    if kind == "with":
        return [(LOAD, 0, 0, low), (JUMP_ANY_BIT, 1, 0, constants[0]), refuse]
    steps: list[Instruction] = [(LOAD, 0, 0, low)]
    steps += [(JUMP_EQUAL, len(constants) - index, 0, value) for index, value in enumerate(constants)]
    steps.append(refuse)
    if constants == (0,):
        steps += [(LOAD, 0, 0, low + 4), (JUMP_EQUAL, 1, 0, 0), refuse]
    return steps


def _rule(number: int, checks: tuple[Check, ...]) -> list[Instruction]:
    body = [step for check in checks for step in _test(check)]
    body.append((RETURN, 0, 0, ALLOW))
    return [(JUMP_EQUAL, 0, len(body), number), *body]


def program(architecture: str, *, jit: bool = False, threads: bool = False) -> list[Instruction]:
    """The filter's instructions for `x86_64` or `aarch64`; another architecture's calls kill the process.

    Raises:
        OSError: there is no table for that architecture.
    """
    if architecture not in AUDIT_ARCH:
        raise OSError(f"no system call table for {architecture}")
    column = list(AUDIT_ARCH).index(architecture)
    checks = _checks(jit=jit, threads=threads)
    steps: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH[architecture]),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER_AT),
        (JUMP_EQUAL, 0, 1, NUMBERS["clone3"][column] or 0),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
    ]
    for name, numbers in NUMBERS.items():
        number, needed = numbers[column], checks.get(name, ())
        if number is not None and needed is not None and name != "clone3":
            steps += _rule(number, needed)
    return [*steps, (RETURN, 0, 0, REFUSE | errno.EPERM)]


def assemble(steps: list[Instruction]) -> bytes:
    """`struct sock_filter[]`."""
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(*, jit: bool = False, threads: bool = False) -> str:
    """Put the filter over every thread of this process; returns what is in force.

    Raises:
        OSError: not available here.
    """
    architecture = kernel.machine()
    steps = program(architecture, jit=jit, threads=threads)
    allowed = sum(1 for step in steps if step == (RETURN, 0, 0, ALLOW))
    filter_ = _Program(len(steps), assemble(steps))
    outsider = kernel.call(SECCOMP[architecture], SET_MODE_FILTER, ALL_THREADS, ctypes.byref(filter_))
    if outsider:
        raise OSError(f"thread {outsider} could not be put under the filter")
    return f"filter of {allowed} rules"
