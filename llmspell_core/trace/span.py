"""One piece of work: what it was, when, how long, how it ended, and what it used."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from llmspell_core.errors import LLMSpellError
from llmspell_core.messages import AgentOutput, Record, Usage, plain

__all__ = ["Kind", "Span", "Status"]

Kind = Literal["script", "agent", "model", "tool", "workflow", "step", "component"]
Status = Literal["running", "ok", "error", "cancelled", "skipped", "waiting"]


@dataclass(slots=True)
class Span(Record):
    """A node of a run's tree.

    Attributes:
        run_id: shared by the whole tree.
        id: 16 hexadecimal digits. parent_id: None for the root.
        started: Unix seconds. duration_ms: None while it runs.
        input_tokens, output_tokens, cost_usd: of an agent, including all its model calls.
    """

    kind: Kind
    name: str
    run_id: str
    id: str
    parent_id: str | None = None
    started: float = field(default_factory=time.time)
    duration_ms: float | None = None
    status: Status = "running"
    error: str | None = None
    error_type: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without what is not known."""
        found = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return {name: value for name, value in found.items() if value is not None and value != {}}

    def fail(self, error: BaseException | str, status: Status = "error") -> None:
        self.status = status
        self.error = error.message if isinstance(error, LLMSpellError) else str(error)
        self.error_type = type(error).__name__ if isinstance(error, BaseException) else None

    def use(self, usage: Usage) -> None:
        self.input_tokens, self.output_tokens, self.cost_usd = usage.input_tokens, usage.output_tokens, usage.cost_usd

    def take(self, output: AgentOutput) -> None:
        """What a component's output says about its work; never the content."""
        extra = output.metadata.extra
        self.model = output.metadata.model
        if "input_tokens" in extra:
            self.use(Usage(extra["input_tokens"], extra.get("output_tokens") or 0, extra.get("cost_usd")))
        if output.transfer_to:
            self.attributes["handoff"] = output.transfer_to
        self._take_envelope(extra.get("response"))

    def _take_envelope(self, envelope: Any) -> None:
        """A tool that reports a failure does not raise."""
        if isinstance(envelope, dict) and envelope.get("success") is False:
            error = envelope.get("error")
            self.fail(str(error.get("message") if isinstance(error, dict) else error or envelope.get("message")))
