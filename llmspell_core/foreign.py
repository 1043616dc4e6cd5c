"""Failures of code that others wrote: which ones are its own, and how they are told."""

from __future__ import annotations

import asyncio

from llmspell_core.watchdog import OverdueError

__all__ = ["describe", "is_its_own"]


def is_its_own(error: BaseException) -> bool:
    """Whether a plugin raised this itself: it may say SystemExit or CancelledError, but does not end the run with it."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and not task.cancelling()
    return not isinstance(error, (OverdueError, KeyboardInterrupt, GeneratorExit))


def describe(error: BaseException) -> str:
    """Kind and text of an error, whatever its `__str__` does."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - as foreign as the error
        text = "(its text cannot be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
