"""The agent that a model answers for: its conversation, its tools, and what they need of the runtime."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.base import Agent
from llmspell_core.agent.config import DEFAULT_DESCRIPTION, AgentConfig
from llmspell_core.agent.handoff import TRANSFER, check_targets, transfer_tool
from llmspell_core.agent.history import trimmed
from llmspell_core.agent.loop import Run
from llmspell_core.agent.overrides import FIELDS
from llmspell_core.errors import LLMSpellError, StorageError, ValidationError
from llmspell_core.json_schema import check_tool_name
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput, MediaKind, Message, Usage
from llmspell_core.provider import ToolDefinition
from llmspell_core.state import full_key

if TYPE_CHECKING:
    from llmspell_core.agent.approval import Approver
    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk

__all__ = ["LLMAgent"]

log = logging.getLogger("llmspell.agent")


class LLMAgent(Agent):
    """An agent whose turns are answered by a model.

    Attributes:
        history: the conversation so far, without the system prompt.
        approver: asked about calls that need consent. It may refuse any of them, and allow those of `ask_tools`;
            what the configuration demands, only the runtime's approver can allow.
    """

    input_fields = FIELDS

    def __init__(self, config: AgentConfig, desk: Desk) -> None:
        super().__init__(config, desk)
        self.history: list[Message] = []
        self.usage = Usage()
        self.approver: Approver | None = None
        self._definitions: tuple[ToolDefinition, ...] | None = None
        self._asking: frozenset[str] = frozenset()

    @property
    def supported_media_types(self) -> list[MediaKind]:
        return ["text", "image"]

    def validate_input(self, input: AgentInput) -> None:
        if not input.text and not input.media:
            raise ValidationError(
                f"agent '{self.name}' got no prompt",
                field="text",
                hint='Pass a string, or a table with text, e.g. {text = "..."}.',
            )
        for media in input.media:
            media.validate_size()

    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        return await self.limited(lambda: self.respond(input, context), input, context)

    async def respond(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        check_targets(self.config.handoff_targets, self.desk)
        provider, model = await self.desk.providers.for_agent(self.config)
        return await Run(self, input, context, provider.complete).answer(provider, model)

    def stream_execute(self, input: AgentInput, context: ExecutionContext) -> AsyncIterator[AgentChunk]:
        """Text and tool chunks as they come, then `end` with the whole output. Closing the iterator stops the run."""
        check_targets(self.config.handoff_targets, self.desk)
        from llmspell_core.agent.streaming import StreamingRun

        return StreamingRun(self, AgentInput.of(input), context).chunks()

    @property
    def desk(self) -> Desk:
        return self._desk

    # -- tools ---------------------------------------------------------------------------------------------------------

    def tool_names(self) -> list[str]:
        """The tools this agent may call; `*` stands for all."""
        allowed = self.config.allowed_tools
        return self.desk.tools.names() if "*" in allowed else list(allowed)

    def tool_definitions(self) -> tuple[ToolDefinition, ...]:
        """What the model is offered, the hand-over tool included."""
        if self._definitions is None:
            tools = [self.desk.tools.find(name) for name in self.tool_names()]
            for tool in tools:
                check_tool_name(tool.name)
            made = [ToolDefinition(t.name, t.description, t.schema.to_json_schema()) for t in tools]
            self._asking = frozenset(t.name for t in tools if self.asks_itself(t.name) or self.asks_operator(t.name))
            if self.config.handoff_targets:
                made.append(transfer_tool(self.config.handoff_targets, self.desk))
            self._definitions = tuple(made)
        return self._definitions

    def is_tool(self, name: str) -> bool:
        """Whether that name is a tool's, and not the hand-over to another agent."""
        return name != TRANSFER or not self.config.handoff_targets

    def asks_itself(self, name: str) -> bool:
        """Whether this agent wants consent to calls of that tool."""
        asks = self.config.ask_tools
        return "*" in asks or any(name in (word, word.replace("_", "-"), self._tool_named(word)) for word in asks)

    def _tool_named(self, word: str) -> str:
        """The name of the tool that an alias or another spelling stands for."""
        try:
            return str(self.desk.tools.find(word).name)
        except LLMSpellError:
            return word

    def asks_operator(self, name: str) -> bool:
        """Whether the operator's configuration wants consent to calls of that tool."""
        return self._desk.tools.needs_approval(name)

    def needs_consent(self, name: str) -> bool:
        return name in self._asking

    # -- the conversation ----------------------------------------------------------------------------------------------

    def system_messages(self) -> list[Message]:
        prompt = self.config.system_prompt
        if prompt is None and self.config.description != DEFAULT_DESCRIPTION:
            prompt = f"You are {self.name}. {self.config.description}"
        return [Message("system", prompt)] if prompt else []

    def get_conversation(self) -> list[Message]:
        return list(self.history)

    def add_message(self, message: Message) -> None:
        """Put something into the conversation that the model should know of."""
        self.history.append(message)
        self.trim_conversation(self.config.max_conversation_length)

    def remember(self, turns: list[Message], usage: Usage) -> None:
        """Keep the turns of an execution that succeeded."""
        self.history.extend(turns)
        if len(self.history) > self.config.max_conversation_length:
            self.trim_conversation(self.config.max_conversation_length)
        self.usage = self.usage + usage

    def clear_conversation(self) -> None:
        self.history.clear()

    def trim_conversation(self, length: int, tokens: int | None = None) -> None:
        """Drop the oldest turns; a tool result never stays without the call it answers, system messages stay."""
        self.history[:] = trimmed(self.history, length, tokens)

    # -- what outlives it ----------------------------------------------------------------------------------------------

    def _place(self) -> str:
        """No key of `State.agent_set` is the same."""
        return full_key("agent", self.name, "").removesuffix(":")

    async def save_state(self) -> None:
        """Keep the conversation under `agent:<name>`. Raises: StorageError."""
        data = {
            "version": 1,
            "name": self.name,
            "state": self.state,
            "conversation": [message.to_dict() for message in self.history],
            "usage": self.usage.to_dict(),
        }
        await self.desk.state.set(self._place(), data)

    async def load_state(self) -> bool:
        """Replace the conversation by the saved one. Whether there was one.

        Raises: StorageError when what is there is no conversation; the present one stays.
        """
        data = await self.desk.state.get(self._place())
        if data is None:
            return False
        try:
            conversation = [Message.from_dict(message) for message in data.get("conversation") or ()]
            usage = Usage.from_dict(data.get("usage") or {})
        except (AttributeError, KeyError, TypeError) as error:
            raise StorageError(
                f"what is saved for agent '{self.name}' is no conversation",
                hint="delete_state() removes it.",
                operation="format",
            ) from error
        self.history[:], self.usage = conversation, usage
        return True

    async def delete_state(self) -> bool:
        return bool(await self.desk.state.delete(self._place()))

    async def _auto_save(self) -> None:
        try:
            await self.save_state()
        except (LLMSpellError, OSError) as error:
            log.warning("agent %s: its conversation could not be saved: %s", self.name, error)

    def metrics(self) -> dict[str, Any]:
        return {
            **super().metrics(),
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "conversation_length": len(self.history),
        }
