"""Functions of a script that the host has called: how deep they nest, how long they may take, how they are stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell_core.errors import ResourceLimitError
from llmspell_core.hooks.nesting import Link, Links, links, links_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[Callable[[int], tuple[bytes, str, str]]], tuple[int, asyncio.Future[Any]]]

__all__ = ["Callbacks", "Patience"]

MOST_NESTED = 16
"""Functions of a script of which each was called by what the one before did."""
GRACE = 1.0
"""Seconds in which a function that is stopped has to end, where the code that calls it must go on."""


class Patience(NamedTuple):
    """How long a function may take once it has begun, and what it is, for the error that ends its script."""

    what: str
    seconds: float


class _Called(Link):
    """One function that was called and has not answered."""

    __slots__ = ("begun", "links", "number")

    def __init__(self, around: Links, owner: object) -> None:
        super().__init__(owner)
        self.number = 0
        self.links: Links = (*around, self)
        self.begun: asyncio.Future[None] | None = None


class Callbacks:
    """The functions of one script that are under way.

    Args:
        ask: sends the parts of a frame that it gets for a number; returns number and answer.
        send: sends a frame.
        give_up: ends the script, or what it is doing, because of a function that cannot be stopped.
    """

    def __init__(self, ask: Ask, send: Callable[[bytes], object], give_up: Callable[[Patience], None]) -> None:
        self._ask = ask
        self._send = send
        self._give_up = give_up
        self._open: dict[int, _Called] = {}

    async def call(self, callback: int, args: bytes, patience: Patience | None) -> Any:
        """Call a function and wait for what it returns.

        Args:
            args: JSON text of a list.

        Raises:
            ScriptError: it failed, or its script has ended.
            ResourceLimitError: functions of this script call each other too deep.
            TimeoutError: it took longer than `patience`, and was stopped.
        """
        around = links()
        depth = sum(link.owner is self for link in around)
        if depth >= MOST_NESTED:
            raise _too_deep(depth)
        made = _Called(around, self)
        parent = next((link.number for link in reversed(around) if isinstance(link, _Called) and link.owner is self), 0)
        told = 1 if patience else 0
        number, answer = self._ask(lambda number: (args, f'["invoke",{number},{callback},{parent},{told},', "]"))
        made.number, self._open[number] = number, made
        try:
            return await (answer if patience is None else self._in_time(number, made, answer, patience))
        except asyncio.CancelledError:
            self._abandon(number, made, answer, patience)
            raise

    def _abandon(self, number: int, made: _Called, answer: asyncio.Future[Any], patience: Patience | None) -> None:
        """Whoever called it has gone; it keeps the time that it had."""
        if number not in self._open:
            return
        self._stop(number, answer)
        if patience is not None and made.begun is not None and made.begun.done():
            asyncio.get_running_loop().call_later(patience.seconds + GRACE, self._check, number, patience)

    async def _in_time(self, number: int, made: _Called, answer: asyncio.Future[Any], patience: Patience) -> Any:
        """The clock starts when the function does: until then the script is busy with something else."""
        made.begun = asyncio.get_running_loop().create_future()
        await asyncio.wait([made.begun, answer], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([answer], timeout=patience.seconds)
        if answer.done():
            return answer.result()
        self._stop(number, answer)
        await asyncio.wait([answer], timeout=GRACE)
        if number in self._open:
            self._check(number, patience)
            return await answer  # the end of the script
        raise TimeoutError

    def _stop(self, number: int, answer: asyncio.Future[Any]) -> None:
        """A function that waits is told to end; one that computes does not hear it."""
        self._send(b'["stop",%d]' % number)
        answer.add_done_callback(_seen)

    def _check(self, number: int, patience: Patience) -> None:
        if number in self._open:
            self._give_up(patience)

    # -- what the worker says ---------------------------------------------------------------------------------------

    def begun(self, number: int) -> None:
        """A function that somebody is patient with was called. Raises: KeyError, ValueError."""
        begun = self._open[number].begun
        if begun is None or begun.done():
            raise ValueError(number)
        begun.set_result(None)

    def ended(self, number: int) -> None:
        """It has answered, in time or not."""
        made = self._open.pop(number, None)
        if made is not None:
            made.ended = True

    def within(self, number: int, function: Callable[..., None], *args: Any) -> None:
        """What a function asks the host for happens inside of whatever called that function."""
        if type(number) is not int:
            raise TypeError(number)
        made = self._open.get(number)
        with links_of(made.links if made is not None else ()):
            function(*args)


def _seen(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more, and asyncio need not say so."""
    if not answer.cancelled():
        answer.exception()


def _too_deep(depth: int) -> ResourceLimitError:
    return ResourceLimitError(
        f"functions of this script call each other {depth} deep through the host",
        resource="nested callbacks",
        limit=MOST_NESTED,
        used=depth + 1,
        hint="Look for a tool or a step whose function uses itself: Tool.execute of the tool that it is, for example.",
    )
