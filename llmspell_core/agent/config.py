"""What defines an agent, and what it needs of the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from llmspell_core.errors import ValidationError
from llmspell_core.messages import Record, as_list

if TYPE_CHECKING:
    pass

__all__ = ["AgentConfig", "ResourceLimits"]

DEFAULT_DESCRIPTION = "LLM-powered agent"
LEAST: dict[str, float | None] = {"max_iterations": 1, "max_execution_time_secs": None}
"""The least that a limit may be; None: anything more than 0."""
LISTS = ("allowed_tools", "ask_tools", "handoff_targets")


def _check_least(name: str, value: Any, least: float | None) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if not is_number or (value <= 0 if least is None else value < least):
        what = "a number above 0" if least is None else f"a number, at least {least:g}"
        raise ValidationError(f"'{name}' must be {what}, got {value!r}", field=name)


@dataclass(frozen=True, slots=True)
class ResourceLimits(Record):
    """What one execution of an agent may use, together with the agents it calls as tools and those it hands over to.

    Attributes:
        max_tool_calls: over all turns.
        max_iterations: model calls of the agent itself, repairs of an answer included.
        max_recursion_depth: agents called as tools by agents, and hand-overs, one inside the other.
        max_total_tokens: input and output of all model calls. None: no limit.
        max_cost_usd: as far as prices are known. None: no limit.
        max_memory_mb: accepted and shown, but not enforced: agents share the memory of the runtime's process.
    """

    max_execution_time_secs: float = 300
    max_memory_mb: int = 512
    max_tool_calls: int = 100
    max_recursion_depth: int = 10
    max_iterations: int = 25
    max_total_tokens: int | None = None
    max_cost_usd: float | None = None

    def __post_init__(self) -> None:
        """Raises: ValidationError for what is no limit: it would end every execution, or none."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None or each.default is not None:
                _check_least(each.name, value, LEAST.get(each.name, 0))


@dataclass(frozen=True, slots=True)
class AgentConfig(Record):
    """Everything that defines an agent. `model` is `provider/model`, a bare model of `provider`, or several as a chain.

    Attributes:
        allowed_tools: names; `*` stands for all.
        ask_tools: those of them that need a person's consent for each call; `*` stands for all.
        handoff_targets: agents that the model may hand the conversation over to.
        max_conversation_length: messages of earlier turns that go along with a new one.
        context_window: tokens the model can take; by default what its provider knows.
    """

    name: str
    description: str = DEFAULT_DESCRIPTION
    agent_type: str = "llm"
    model: str | Sequence[str] | None = None
    provider: str | None = None
    system_prompt: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    max_conversation_length: int = 100
    context_window: int | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    allowed_tools: tuple[str, ...] = ()
    ask_tools: tuple[str, ...] = ()
    handoff_targets: tuple[str, ...] = ()
    tool_choice: str | None = None
    response_schema: dict[str, Any] | None = None
    limits: ResourceLimits = field(default_factory=ResourceLimits)
    custom: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises: ValidationError."""
        if self.temperature is not None:
            _check_least("temperature", self.temperature, 0)
        if self.max_tokens is not None:
            _check_least("max_tokens", self.max_tokens, 1)

    def public(self) -> dict[str, Any]:
        """The configuration without secrets."""
        data = {k: v for k, v in self.to_dict().items() if k != "api_key"}
        data["resource_limits"] = data.pop("limits")
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` or `public` wrote."""
        given = dict(data)
        limits = given.pop("resource_limits", None) or given.get("limits") or {}
        given["limits"] = ResourceLimits.from_dict(limits)
        given |= {name: tuple(as_list(given[name])) for name in LISTS if name in given}
        return super(AgentConfig, cls).from_dict(given)
