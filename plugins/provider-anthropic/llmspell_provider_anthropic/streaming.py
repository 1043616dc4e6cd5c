"""The events of a streamed message put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.errors import ContentRefusedError, LLMSpellError
from llmspell_core.messages import AgentChunk, Usage, new_id
from llmspell_provider_anthropic.failure import Failures
from llmspell_provider_anthropic.wire import finish_of, tool_call_of, usage_of

__all__ = ["StreamReader"]


@dataclass(slots=True)
class _PartialCall:
    call_id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class StreamReader:
    """Turns the server's events into chunks; one per stream."""

    failures: Failures
    model: str
    stream_id: str = field(default_factory=new_id)
    _calls: dict[int, _PartialCall] = field(default_factory=dict)
    _usage: Usage = field(default_factory=Usage)
    _finish: str | None = None
    _count: int = 0
    _events: int = 0

    def read(self, event: Any) -> Iterator[AgentChunk]:
        """The chunks of one event: none, or one."""
        handlers: dict[str, Callable[[Any], AgentChunk | None]] = {
            "message_start": self._start,
            "content_block_start": self._block,
            "content_block_delta": self._delta,
            "message_delta": self._message,
        }
        kind = getattr(event, "type", None)
        self._events += kind in handlers
        chunk = handlers[kind](event) if kind in handlers else None
        if chunk is not None:
            yield self._chunk(chunk)

    def end(self) -> Iterator[AgentChunk]:
        """The finished tool calls and the end.

        Raises:
            ProviderError: there was no stream of events at all.
            NetworkError: the stream stopped before the server said why it finished.
            ContentRefusedError: the answer is a refusal.
        """
        if self._finish is None:
            raise self._unfinished()
        if self._finish == "refusal":
            raise self._refusal()
        calls = [tool_call_of(c.call_id, c.name, c.arguments) for c in self._calls.values()]
        for call in calls:
            yield self._chunk(AgentChunk("tool_call", call=call, call_id=call.tool_id, tool_name=call.tool_name))
        data = {"finish_reason": finish_of(self._finish, bool(calls)), "model": self.model}
        yield self._chunk(AgentChunk("end", usage=self._usage, data=data))

    def _unfinished(self) -> LLMSpellError:
        return self.failures.broken_off() if self._events else self.failures.garbage(self.model)

    def _refusal(self) -> ContentRefusedError:
        return self.failures.refused("the answer was stopped for safety", self.model)

    def _start(self, event: Any) -> None:
        self.model = event.message.model or self.model
        self._usage = usage_of(event.message.usage)

    def _block(self, event: Any) -> AgentChunk | None:
        block = event.content_block
        if block.type == "text" and block.text:
            return AgentChunk("text", text=block.text)
        if block.type != "tool_use":
            return None
        self._calls[event.index] = _PartialCall(block.id, block.name)
        return self._progress(event.index)

    def _delta(self, event: Any) -> AgentChunk | None:
        delta = event.delta
        if delta.type == "text_delta":
            return AgentChunk("text", text=delta.text)
        if delta.type != "input_json_delta" or event.index not in self._calls:
            return None
        self._calls[event.index].arguments += delta.partial_json
        return self._progress(event.index)

    def _message(self, event: Any) -> None:
        """The counts here are totals of the whole message; servers leave out what they told at the start."""
        self._finish = event.delta.stop_reason or self._finish
        told = usage_of(event.usage)
        self._usage = Usage(told.input_tokens or self._usage.input_tokens, told.output_tokens)

    def _progress(self, index: int) -> AgentChunk:
        call = self._calls[index]
        return AgentChunk("tool_call_progress", call_id=call.call_id, tool_name=call.name, arguments=call.arguments)

    def _chunk(self, chunk: AgentChunk) -> AgentChunk:
        chunk.stream_id, chunk.chunk_index = self.stream_id, self._count
        self._count += 1
        return chunk
