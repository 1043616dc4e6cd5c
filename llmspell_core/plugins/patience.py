"""Who tells a person that reading the installed packages takes a while: nobody, unless the program says so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

__all__ = ["tell"]


def _say_nothing(_: str) -> AbstractContextManager[None]:
    return nullcontext()


tell: Callable[[str], AbstractContextManager[None]] = _say_nothing
"""Replaced by the command line, where a terminal is there to tell it on."""
