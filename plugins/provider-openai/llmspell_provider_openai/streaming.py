"""The pieces of a streamed answer put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.messages import AgentChunk, Usage, new_id
from llmspell_core.provider import CompletionRequest
from llmspell_core.provider.reading import CallPieces, text_of
from llmspell_provider_openai.failure import Failures
from llmspell_provider_openai.wire import FILTERED, check_finish, estimated, finish_of, function_of, items_of, usage_of

__all__ = ["StreamReader"]


@dataclass(slots=True)
class StreamReader:
    """Turns the server's events into chunks; one per stream."""

    failures: Failures
    request: CompletionRequest
    model: str = ""
    stream_id: str = field(default_factory=new_id)
    _calls: CallPieces = field(default_factory=CallPieces)
    _usage: Usage | None = None
    _finish: str | None = None
    _refusal: str = ""
    _said: int = 0
    _count: int = 0
    _events: int = 0
    _has_pieces: bool = False

    def read(self, event: Any) -> Iterator[AgentChunk]:
        """The chunks of one event: none, or several."""
        if isinstance(event, str | list | int | float | None):  # a keep-alive
            return
        self._events += 1
        self.model = getattr(event, "model", None) or self.model or self.request.model
        told = usage_of(getattr(event, "usage", None))
        if told is not None and (told.total_tokens or self._usage is None):  # zeros at the end take nothing back
            self._usage = told
        for choice in items_of(getattr(event, "choices", None)):
            if (getattr(choice, "index", 0) or 0) == 0:  # `n` asks for others; a whole answer is the first, too
                yield from self._read(choice)

    def _read(self, choice: Any) -> Iterator[AgentChunk]:
        self._finish = getattr(choice, "finish_reason", None) or self._finish
        delta = getattr(choice, "delta", None)
        self._refusal += text_of(getattr(delta, "refusal", None))
        text = text_of(getattr(choice if delta is None else delta, "text" if delta is None else "content", None))
        if text:
            self._said += len(text)
            yield self._chunk(AgentChunk("text", text=text))
        pieces = items_of(getattr(delta, "tool_calls", None))
        self._has_pieces = self._has_pieces or bool(pieces)
        for piece in pieces:
            yield self._progress(getattr(piece, "index", None), piece)
        # What calls were before there were tools; some servers send every piece in both forms.
        if getattr(delta, "function_call", None) is not None and not self._has_pieces:
            yield self._progress(0, delta)

    def end(self, *, said_done: bool = False) -> Iterator[AgentChunk]:
        """The finished tool calls and the end.

        Args:
            said_done: whether the server said so itself; some never say why.

        Raises:
            ProviderError: there was no stream of events at all.
            NetworkError: the stream stopped before the server said why it finished.
            ContentRefusedError: the answer is a refusal.
        """
        if not self._events:
            raise self.failures.garbage(self.model)
        if self._finish is None and not said_done:
            raise self.failures.broken_off()
        if self._refusal:
            raise self.failures.refused(self._refusal, self.model)
        if self._finish == "content_filter" and not self._said:
            raise self.failures.refused(FILTERED, self.model)
        calls = self._calls.finished()
        check_finish(self._finish, bool(self._said or calls), self.failures, self.model)
        for call in calls:
            yield self._chunk(AgentChunk("tool_call", call=call, call_id=call.tool_id, tool_name=call.tool_name))
        made = self._said + sum(len(call.arguments) for call in self._calls)
        usage = self._usage or estimated(self.request, made)
        data = {"finish_reason": finish_of(self._finish, bool(calls)), "model": self.model}
        yield self._chunk(AgentChunk("end", usage=usage, data=data))

    def _progress(self, number: Any, piece: Any) -> AgentChunk:
        call = self._calls.add(number, getattr(piece, "id", None), *function_of(piece))
        chunk = AgentChunk("tool_call_progress", call_id=call.call_id, tool_name=call.name, arguments=call.arguments)
        return self._chunk(chunk)

    def _chunk(self, chunk: AgentChunk) -> AgentChunk:
        chunk.stream_id, chunk.chunk_index = self.stream_id, self._count
        self._count += 1
        return chunk
