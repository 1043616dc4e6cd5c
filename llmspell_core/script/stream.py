"""Async iterators that scripts read piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.script.api import Operation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llmspell_core.script.scope import ScriptScope

__all__ = ["STREAM_OPERATIONS", "Stream"]


class Stream:
    """One iterator, opened by the script's first `next`."""

    def __init__(self, source: AsyncIterator[Any]) -> None:
        self._source = source
        self._done = False

    async def next(self) -> dict[str, Any]:
        """{"value": ..., "done": false}, or {"done": true} at the end and ever after."""
        if self._done:
            return {"done": True}
        try:
            return {"value": await anext(self._source), "done": False}
        except StopAsyncIteration:
            self._done = True
            return {"done": True}
        except BaseException:
            self._done = True
            raise

    async def close(self) -> None:
        self._done = True
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


async def _next(_: ScriptScope, stream: Stream) -> dict[str, Any]:
    return await stream.next()


async def _close(_: ScriptScope, stream: Stream) -> None:
    await stream.close()


STREAM_OPERATIONS = {
    "Stream#next": Operation("Stream#next", "Stream:next", _next, (), "any", "Stream"),
    "Stream#close": Operation("Stream#close", "Stream:close", _close, (), "any", "Stream"),
}
