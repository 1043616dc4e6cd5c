"""The child process: loads the plugins of `llm` and answers requests that come as lines of JSON.

Plugins of others print, keep clients open and block in C; none of that happens in the process that runs agents. Nothing of
llmspell is imported here.

    host -> worker: {"id", "op": "ask", ...}, {"id", "op": "cancel"}, {"gate", "addresses", "refusal"}
    worker -> host: {"ready": {model: abilities}, "failed": {plugin: why}, "version"}, {"id", "event": ..., ...},
                    {"gate", "host", "port"}
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing
from typing import Any

from llmspell_provider_llm.asking import response_for
from llmspell_provider_llm.gate import Gate
from llmspell_provider_llm.models import Models, missing_key
from llmspell_provider_llm.report import end_of, event_of, report_of

__all__ = ["main"]


class Server:
    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self._sending = threading.Lock()
        self._asked: dict[int, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._models = Models()
        self._gate = Gate(self._send)

    async def serve(self) -> None:
        """Until the host closes the line."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        self._gate.close_all_else()
        self._models.load()
        self._send(self._models.ready())
        await loop.create_future()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: not every system lets an event loop read a pipe that somebody else opened."""
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "gate" in message:  # whoever waits for it may hold the loop
                self._gate.answered(message)
            else:
                loop.call_soon_threadsafe(self._take, message)
        os._exit(0)  # a thread of somebody's plugin may still be busy

    def _take(self, message: dict[str, Any]) -> None:
        number = message["id"]
        if message["op"] == "cancel":
            task = self._asked.get(number)
            if task is not None:
                task.cancel()
            return
        task = asyncio.get_running_loop().create_task(self._ask(number, message))
        self._asked[number] = task
        task.add_done_callback(lambda _: self._asked.pop(number, None))

    async def _ask(self, number: int, message: dict[str, Any]) -> None:
        try:
            async with aclosing(self._answer(message)) as answer:
                async for told in answer:
                    self._send({"id": number} | told)
        except asyncio.CancelledError:
            self._send({"id": number, "event": "gone"})
        except Exception as error:  # noqa: BLE001 - whatever a plugin of others raises is told to the host
            self._send({"id": number, "event": "error"} | report_of(error))

    async def _answer(self, message: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        model, is_async = self._models.find(message["model"], message["base_url"], message["key"])
        variable = missing_key(model)
        if variable and message["key"] is None:  # variables of vendors are the host's
            yield {"event": "key", "variable": variable}
            return
        response = response_for(model, message, is_async=is_async)
        if is_async:
            async with aclosing(response.astream_events()) as events:
                async for event in events:
                    yield event_of(event)
            yield end_of(response, await response.messages())
            return
        # Such a model may hold a C library that serves one caller at a time.
        async with self._turns.setdefault(model.model_id, asyncio.Lock()), aclosing(_in_thread(response)) as told:
            async for each in told:
                yield each

    def _send(self, message: dict[str, Any]) -> None:
        with self._sending:
            self._wire.write(json.dumps(message, default=str) + "\n")
            self._wire.flush()


async def _in_thread(response: Any) -> AsyncGenerator[dict[str, Any], None]:
    """What a blocking model says. Who leaves early is held until the thread has come to its next event, and ended."""
    loop, queue, stop = asyncio.get_running_loop(), asyncio.Queue[Any](), threading.Event()

    def run() -> None:
        try:
            for told in _told(response, stop):
                loop.call_soon_threadsafe(queue.put_nowait, told)
            loop.call_soon_threadsafe(queue.put_nowait, None)
        except Exception as error:  # noqa: BLE001 - it is raised again on the other side
            loop.call_soon_threadsafe(queue.put_nowait, error)

    thread = loop.run_in_executor(None, run)
    try:
        while (told := await queue.get()) is not None:
            if isinstance(told, Exception):
                raise told
            yield told
    finally:
        stop.set()
        await asyncio.shield(thread)


def _told(response: Any, stop: threading.Event) -> Iterator[dict[str, Any]]:
    with closing(response.stream_events()) as events:
        for event in events:
            if stop.is_set():
                return
            yield event_of(event)
    yield end_of(response, response.messages())


def main() -> None:
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what plugins print is no message
    asyncio.run(Server(wire).serve())


if __name__ == "__main__":
    main()
