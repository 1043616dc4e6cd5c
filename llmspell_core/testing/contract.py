"""What all contract classes have in common: they cannot be left quietly, and they know the machine's leftovers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

__all__ = ["Contract", "Leftovers"]

MOMENT = 0.01
PATIENCE = 2.0
"""Seconds to wait for what is just ending."""


class Contract:
    """A suite of `test_*` methods that a plugin inherits in its own tests."""

    def test_contract_tests_are_not_overridden(self) -> None:
        """A subclass runs the whole suite; one that it cannot pass is marked, not removed.

        If this fails, remove your own version of the named test, or mark it
        `@pytest.mark.xfail(reason="why your plugin is different")`; to give it other input, override an attribute or
        a `make_*` method instead.
        """
        changed = [name for name in _suite(type(self)) if not _is_kept(type(self), name)]
        assert not changed, f"{type(self).__name__} overrides {', '.join(changed)} without an xfail that says why"


def _suite(cls: type) -> dict[str, object]:
    """The tests that the kit's own classes define."""
    kit = [base for base in cls.__mro__ if base.__module__.startswith("llmspell_core.testing")]
    return {name: vars(base)[name] for base in reversed(kit) for name in vars(base) if name.startswith("test_")}


def _is_kept(cls: type, name: str) -> bool:
    found = getattr(cls, name, None)
    if found is _suite(cls)[name]:
        return True
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in getattr(found, "pytestmark", ()))


class Leftovers:
    """What a piece of work might leave behind: tasks, child processes, open files, threads.

    `before = Leftovers()`, do the work, then `before.new()` names what is there now and was not then. Child processes
    and open files are seen where the system shows them under /proc.
    """

    def __init__(self) -> None:
        self._seen = _present()

    def new(self) -> list[str]:
        return sorted(name for thing, name in _present().items() if thing not in self._seen)

    async def new_after_a_moment(self, seconds: float | None = None) -> list[str]:
        """As `new`, but waits for things that are just ending."""
        for _ in range(round((PATIENCE if seconds is None else seconds) / MOMENT)):
            if not self.new():
                break
            await asyncio.sleep(MOMENT)
        return self.new()


def _present() -> dict[object, str]:
    """Everything that is there, with a name for people; things of equal names are still different things."""
    own = asyncio.current_task()
    found: dict[object, str] = {task: f"task {task.get_name()}" for task in asyncio.all_tasks() if task is not own}
    # The loop's own pool of threads stays for the next call, by design.
    found.update({t: f"thread {t.name}" for t in threading.enumerate() if not t.name.startswith("asyncio_")})
    found.update({name: name for name in (*_children(), *_open_files())})
    return found


def _children() -> set[str]:
    found: set[str] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            found |= {f"process {pid}" for pid in listing.read_text().split()}
        except OSError:
            continue  # that thread has just ended
    return found


def _open_files() -> set[str]:
    found: set[str] = set()
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # the listing's own descriptor
        if not target.startswith(("/dev/", "/proc/", "anon_inode:", "pipe:")):
            found.add(f"file {target} as {entry.name}")
    return found


async def cancelled_at(moment: float, work: Callable[[], Awaitable[object]]) -> None:
    """Start `work`, cancel it after `moment` seconds (0: as soon as it has started), and wait for its end."""
    task = asyncio.ensure_future(work())
    await asyncio.sleep(moment)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # an error of its own is fine here, but it has to be looked at
