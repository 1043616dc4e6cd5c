"""The events of a streamed message put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.errors import ContentRefusedError, LLMSpellError
from llmspell_core.messages import AgentChunk, Usage, new_id
from llmspell_core.provider.reading import text_of, tool_call_of
from llmspell_provider_anthropic.failure import Failures
from llmspell_provider_anthropic.wire import check_finish, finish_of, plain_block, usage_of

__all__ = ["StreamReader"]


@dataclass(slots=True)
class _Block:
    """One block of the message as the server sent it, and what its deltas added."""

    sent: dict[str, Any]
    pieces: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, piece: Any) -> None:
        self.pieces[name] = self.pieces.get(name, "") + text_of(piece)

    @property
    def arguments(self) -> Any:
        """Some servers send them whole at the block's start."""
        return self.pieces["input"] if self.pieces.get("input", "").strip() else self.sent.get("input")

    def whole(self) -> dict[str, Any]:
        """As a whole answer would hold it."""
        made = self.sent | {name: text_of(self.sent.get(name)) + piece for name, piece in self.pieces.items()}
        if self.sent.get("type") in CALLS:
            made["input"] = tool_call_of("", "", self.arguments).parameters
        return made


CALLS = frozenset({"tool_use", "server_tool_use"})
DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "input",
}
"""The field of a block that a kind of delta adds to. A delta holds the piece under the same name, but for one."""


@dataclass(slots=True)
class StreamReader:
    """Turns the server's events into chunks; one per stream."""

    failures: Failures
    model: str
    stream_id: str = field(default_factory=new_id)
    _blocks: list[_Block] = field(default_factory=list)
    _by_index: dict[int, _Block] = field(default_factory=dict)
    _usage: Usage = field(default_factory=Usage)
    _before: Usage = field(default_factory=Usage)
    _finish: str | None = None
    _said: int = 0
    _count: int = 0
    _events: int = 0

    def read(self, event: Any) -> Iterator[AgentChunk]:
        """The chunks of one event: none, or one."""
        handlers: dict[str, Callable[[Any], AgentChunk | None]] = {
            "message_start": self._start,
            "content_block_start": self._block,
            "content_block_delta": self._delta,
            "message_delta": self._message,
            "message_stop": self._stop,
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
        calls = [tool_call_of(b.sent.get("id"), b.sent.get("name"), b.arguments) for b in self._called()]
        check_finish(self._finish, bool(self._said or calls), self.failures, self.model)
        for call in calls:
            yield self._chunk(AgentChunk("tool_call", call=call, call_id=call.tool_id, tool_name=call.tool_name))
        data = {"finish_reason": finish_of(self._finish, bool(calls)), "model": self.model}
        yield self._chunk(AgentChunk("end", usage=self._before + self._usage, data=data))

    @property
    def is_paused(self) -> bool:
        """Whether the server wants to be asked to go on."""
        return self._finish == "pause_turn"

    def following(self) -> StreamReader:
        """For the stream that goes on with this one."""
        reader = StreamReader(self.failures, self.model, self.stream_id)
        reader._before, reader._count, reader._said = self._before + self._usage, self._count, self._said
        return reader

    def blocks(self) -> list[dict[str, Any]]:
        """What the server said, as it has to be told again."""
        return [block.whole() for block in self._blocks]

    def _called(self) -> list[_Block]:
        return [block for block in self._blocks if block.sent.get("type") == "tool_use"]

    def _unfinished(self) -> LLMSpellError:
        return self.failures.broken_off() if self._events else self.failures.garbage(self.model)

    def _refusal(self) -> ContentRefusedError:
        return self.failures.refused("the answer was stopped for safety", self.model)

    def _start(self, event: Any) -> None:
        self.model = getattr(event.message, "model", None) or self.model
        self._usage = usage_of(getattr(event.message, "usage", None))

    def _block(self, event: Any) -> AgentChunk | None:
        block = _Block(plain_block(event.content_block))
        self._blocks.append(block)
        self._by_index[event.index] = block
        kind, text = block.sent.get("type"), text_of(block.sent.get("text"))
        if kind == "text" and text:
            self._said += len(text)
            return AgentChunk("text", text=text)
        return self._progress(block) if kind == "tool_use" else None

    def _delta(self, event: Any) -> AgentChunk | None:
        """A piece of a call under a number that is none's belongs to the call that was begun last."""
        delta = event.delta
        name = DELTAS.get(delta.type)
        if name is None:
            return None
        piece = text_of(getattr(delta, "partial_json" if name == "input" else name, None))
        block = self._by_index.get(event.index)
        if name == "input" and (block is None or block.sent.get("type") not in CALLS):
            block = next((each for each in reversed(self._blocks) if each.sent.get("type") in CALLS), None)
        if block is None and name == "text":  # some servers do not begin their blocks
            block = self._by_index[event.index] = _Block({"type": "text", "text": ""})
            self._blocks.append(block)
        if block is None:
            return None
        block.add(name, piece)
        if name == "text":
            self._said += len(piece)
            return AgentChunk("text", text=piece) if piece else None
        return self._progress(block) if block.sent.get("type") == "tool_use" else None

    def _message(self, event: Any) -> None:
        """The counts here are totals of the whole message; servers leave out what they told at the start."""
        self._finish = getattr(event.delta, "stop_reason", None) or self._finish
        told = usage_of(getattr(event, "usage", None))
        before = self._usage
        self._usage = Usage(told.input_tokens or before.input_tokens, told.output_tokens or before.output_tokens)

    def _stop(self, _event: Any) -> None:
        """Some servers say that a message is over, and not why."""
        if self._blocks:
            self._finish = self._finish or "end_turn"

    def _progress(self, block: _Block) -> AgentChunk:
        sent = block.sent
        written = block.pieces.get("input", "")
        return AgentChunk("tool_call_progress", call_id=sent.get("id"), tool_name=sent.get("name"), arguments=written)

    def _chunk(self, chunk: AgentChunk) -> AgentChunk:
        chunk.stream_id, chunk.chunk_index = self.stream_id, self._count
        self._count += 1
        return chunk
