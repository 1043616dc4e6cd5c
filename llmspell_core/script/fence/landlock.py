"""Landlock: no files, no TCP, no signals and no abstract sockets outside, as far as the kernel offers it.

The ruleset handles every access right of the kernel's ABI level and grants none.
"""

from __future__ import annotations

import ctypes
import os

from llmspell_core.script.fence import kernel

# The same numbers on every architecture.
CREATE_RULESET = 444
RESTRICT_SELF = 446
ASK_VERSION = 1

# (first ABI level, number of file access rights it knows)
FILE_RIGHTS = ((5, 16), (3, 15), (2, 14), (1, 13))
TCP_BIND_AND_CONNECT = 0b11  # from level 4
ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # from level 6


def abi() -> int:
    """The kernel's Landlock level.

    Raises:
        OSError: the kernel has none, or it is switched off.
    """
    return kernel.call(CREATE_RULESET, None, 0, ASK_VERSION)


def ruleset(level: int) -> bytes:
    """`struct landlock_ruleset_attr` of that level: files, then network, then scopes, 64 bits each."""
    files = next(count for first, count in FILE_RIGHTS if level >= first)
    words = [(1 << files) - 1]
    if level >= 4:
        words.append(TCP_BIND_AND_CONNECT)
    if level >= 6:
        words.append(ABSTRACT_SOCKETS_AND_SIGNALS)
    return b"".join(word.to_bytes(8, "little") for word in words)


def restrict() -> str:
    """Lock this thread and all it starts in; returns what is in force. `no_new_privs` must be set before.

    Raises:
        OSError: not available, or other threads run already (they would stay outside).
    """
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - pathlib is not loaded in a worker
    if threads > 1:
        raise OSError(f"{threads} threads were running already")
    level = abi()
    attributes = ruleset(level)
    descriptor = kernel.call(CREATE_RULESET, ctypes.c_char_p(attributes), len(attributes), 0)
    try:
        kernel.call(RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)
    return f"abi {level}"
