"""Standard input for a script that asks for it."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import threading

__all__ = ["StandardInput"]

_PIECE = 65_536


class StandardInput:
    """Gives standard input piece by piece, and touches it only when it is asked.

    A thread of its own waits, because a file cannot be waited for by an event loop; it reads the descriptor itself,
    because a thread that holds the lock of `sys.stdin` at the end of the program would abort it.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._turn = asyncio.Lock()
        self._ended = False
        self._question: asyncio.Future[bytes] | None = None

    async def __call__(self) -> str | None:
        """The next piece, as long as what is there; None at the end. What is not UTF-8 is replaced."""
        async with self._turn:
            text = ""
            while not text and not self._ended:
                data = await self._read()
                if self._question is not None:
                    _settle(self._question, data)
                    await asyncio.sleep(0)
                    continue
                self._ended = not data
                text = self._decoder.decode(data, final=self._ended)
            return text or None

    async def answer(self) -> str | None:
        """The line that a person types as the answer to a question; None at the end of the input.

        A script that waits for input already goes on waiting: what is typed now is not for it.
        """
        if self._turn.locked():
            self._question = asyncio.get_running_loop().create_future()
            try:
                data = await self._question
            finally:
                self._question = None
        else:
            async with self._turn:
                data = await self._read()
        return data.decode("utf-8", "replace") if data else None

    def _read(self) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def work() -> None:
            try:
                data = os.read(self._descriptor, _PIECE)
            except OSError:  # closed: nothing more to read
                data = b""
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, answer, data)

        threading.Thread(target=work, name="standard input", daemon=True).start()
        return answer


def _settle(answer: asyncio.Future[bytes], data: bytes) -> None:
    if not answer.done():
        answer.set_result(data)
