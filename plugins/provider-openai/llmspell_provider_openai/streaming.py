"""The pieces of a streamed answer put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.messages import AgentChunk, Usage, new_id
from llmspell_core.provider import CompletionRequest
from llmspell_provider_openai.failure import Failures
from llmspell_provider_openai.wire import FILTERED, estimated, finish_of, tool_call_of, usage_of

__all__ = ["StreamReader"]


@dataclass(slots=True)
class _PartialCall:
    call_id: str
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class StreamReader:
    """Turns the server's events into chunks; one per stream."""

    failures: Failures
    request: CompletionRequest
    model: str = ""
    stream_id: str = field(default_factory=new_id)
    _calls: dict[int, _PartialCall] = field(default_factory=dict)
    _usage: Usage | None = None
    _finish: str | None = None
    _refusal: str = ""
    _said: int = 0
    _count: int = 0
    _events: int = 0

    def read(self, event: Any) -> Iterator[AgentChunk]:
        """The chunks of one event: none, or several."""
        self._events += 1
        self.model = event.model or self.model or self.request.model
        if event.usage is not None:
            self._usage = usage_of(event.usage)
        for choice in event.choices or ():
            self._finish = choice.finish_reason or self._finish
            delta = choice.delta
            if delta is None:
                continue
            self._refusal += getattr(delta, "refusal", None) or ""
            if delta.content:
                self._said += len(delta.content)
                yield self._chunk(AgentChunk("text", text=delta.content))
            for piece in delta.tool_calls or ():
                yield self._progress(piece)

    def end(self) -> Iterator[AgentChunk]:
        """The finished tool calls and the end.

        Raises:
            ProviderError: there was no stream of events at all.
            NetworkError: the stream stopped before the server said why it finished.
            ContentRefusedError: the answer is a refusal.
        """
        if not self._events:
            raise self.failures.garbage(self.model)
        if self._finish is None:
            raise self.failures.broken_off()
        if self._refusal:
            raise self.failures.refused(self._refusal, self.model)
        if self._finish == "content_filter" and not self._said:
            raise self.failures.refused(FILTERED, self.model)
        calls = [tool_call_of(c.call_id, c.name, c.arguments, i) for i, c in self._calls.items()]
        for call in calls:
            yield self._chunk(AgentChunk("tool_call", call=call, call_id=call.tool_id, tool_name=call.tool_name))
        made = self._said + sum(len(call.arguments) for call in self._calls.values())
        usage = self._usage or estimated(self.request, made)
        data = {"finish_reason": finish_of(self._finish, bool(calls)), "model": self.model}
        yield self._chunk(AgentChunk("end", usage=usage, data=data))

    def _progress(self, piece: Any) -> AgentChunk:
        call = self._call_for(piece)
        function = piece.function
        if function is not None:
            call.name = call.name or function.name or ""
            call.arguments += function.arguments or ""
        chunk = AgentChunk("tool_call_progress", call_id=call.call_id, tool_name=call.name, arguments=call.arguments)
        return self._chunk(chunk)

    def _call_for(self, piece: Any) -> _PartialCall:
        """By index; a server that leaves it out starts a new call with each new id."""
        index = piece.index
        if index is None:
            known = next((i for i, c in self._calls.items() if c.call_id == piece.id), None)
            last = max(self._calls, default=0)
            index = known if known is not None else last if piece.id is None else len(self._calls)
        return self._calls.setdefault(index, _PartialCall(piece.id or f"call_{index}"))

    def _chunk(self, chunk: AgentChunk) -> AgentChunk:
        chunk.stream_id, chunk.chunk_index = self.stream_id, self._count
        self._count += 1
        return chunk
