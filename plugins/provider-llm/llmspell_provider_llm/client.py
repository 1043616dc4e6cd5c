"""The child process from the host's side: started once, asked by many, replaced when it can no longer be used."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

from llmspell_core.errors import LLMSpellError, PluginError, SecurityError
from llmspell_provider_llm.surroundings import Surroundings

__all__ = ["Worker"]

log = logging.getLogger("llmspell")
MAX_LINE = 2**30
GRACE = 0.5
"""Seconds that a model has to end what nobody waits for any longer; then its process is ended."""
TAIL = 600
LAST = frozenset({"end", "error", "gone", "key"})


class Worker:
    """One child process.

    Args:
        surroundings: the variables and folders that it sees.
        addresses: says where it may connect to for a host and port. Raises: SecurityError, NetworkError.

    Attributes:
        models: name -> abilities, of the models that installed plugins registered.
        failed: plugin -> why it cannot be loaded.
        retired: nobody may ask any more; it ends with its last answer.
    """

    def __init__(self, surroundings: Surroundings, addresses: Callable[[str, int], Awaitable[list[str]]]) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        self.version = ""
        self.retired = False
        self._surroundings = surroundings
        self._addresses = addresses
        self._asked: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Queue[dict[str, Any] | None]] = {}
        self._begun: set[int] = set()
        self._tail = b""
        self._readers: list[asyncio.Task[None]] = []

    async def start(self, seconds: float) -> None:
        """Raises: PluginError when the child does not come up."""
        command = [sys.executable, "-P", "-m", "llmspell_provider_llm.worker"]
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._surroundings.environment(), limit=MAX_LINE
        )
        self._readers = [asyncio.create_task(self._keep_tail(), name="llm stderr")]
        try:
            async with asyncio.timeout(seconds):
                ready = await self._first_words()
        except (TimeoutError, ValueError):
            ready = None
        if ready is None:
            await self.close()
            raise self._did_not_start()
        self.models, self.failed, self.version = ready["ready"], ready["failed"], ready["version"]
        self._readers.append(asyncio.create_task(self._read(), name="llm answers"))

    async def _first_words(self) -> Any:
        """Plugins may ask their servers for models before they are ready."""
        while line := await self._out.readline():
            told = json.loads(line)
            if "gate" not in told:
                return told
            self._answer(told)
        return None

    @property
    def is_usable(self) -> bool:
        return not self.retired and self.is_alive

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    @property
    def _out(self) -> asyncio.StreamReader:
        assert self._process.stdout is not None
        return self._process.stdout

    def _did_not_start(self) -> PluginError:
        words = self._tail.decode(errors="replace").strip().splitlines()
        return PluginError(
            f"the process for the models of llm did not start{': ' + words[-1] if words else ''}",
            hint="Try `llm models` in the same environment; it shows what its plugins complain about.",
        )

    async def ask(self, message: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The events of one answer, `end` or `error` last; none of them when the process died."""
        number, queue = next(self._numbers), asyncio.Queue[dict[str, Any] | None]()
        self._answers[number] = queue
        done = False
        try:
            self._send({"id": number, "op": "ask"} | message)
            while not done and (told := await queue.get()) is not None:
                done = told["event"] in LAST
                yield told
            done = True
        finally:
            await self._leave(number, done)

    async def _leave(self, number: int, done: bool) -> None:
        """A model that does not end at once is ended with its process, as soon as no other answer is being given.

        Who only waits for its turn there is told that the process is gone, and asks the next one.
        """
        ended = done
        try:
            if not done:
                self._send({"id": number, "op": "cancel"})
                ended = await self._ends(self._answers[number])
        finally:
            self.retired = self.retired or not ended
            del self._answers[number]
            self._begun.discard(number)
            if self.retired and not self._begun:
                await self.close()

    async def _ends(self, queue: asyncio.Queue[dict[str, Any] | None]) -> bool:
        try:
            async with asyncio.timeout(GRACE):
                while (told := await queue.get()) is not None and told["event"] not in LAST:
                    pass
        except TimeoutError:
            return False
        return True

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _read(self) -> None:
        while line := await self._out.readline():
            told = json.loads(line)
            if "gate" in told:
                self._answer(told)
            elif told["id"] in self._answers:
                self._begun.add(told["id"])
                self._answers[told["id"]].put_nowait(told)
        self.retired = True
        for queue in self._answers.values():
            queue.put_nowait(None)

    def _answer(self, asked: dict[str, Any]) -> None:
        task = asyncio.create_task(self._judge(asked), name="llm address")
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _judge(self, asked: dict[str, Any]) -> None:
        """Say where the child may connect to, or why it may not."""
        addresses: list[str] = []
        refusal = None
        try:
            addresses = await self._addresses(str(asked["host"]), int(asked["port"]))
        except SecurityError as error:
            refusal = {"message": error.message, "violation_type": error.violation_type, "hint": error.hint}
        except LLMSpellError as error:  # no such host: an empty list means the same to the child
            log.debug("%s", error.message)
        self._send({"gate": asked["gate"], "addresses": addresses, "refusal": refusal})

    async def _keep_tail(self) -> None:
        assert self._process.stderr is not None
        while said := await self._process.stderr.read(4096):
            self._tail = (self._tail + said)[-TAIL:]

    async def close(self) -> None:
        self.retired = True
        if self.is_alive:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await asyncio.gather(*self._readers, *self._asked, return_exceptions=True)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._surroundings.remove()
