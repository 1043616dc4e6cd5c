"""The immutable builder of LLM agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.config import AgentConfig
from llmspell_core.errors import ComponentError
from llmspell_core.messages import new_id

if TYPE_CHECKING:
    from llmspell_core.agent.approval import Approver
    from llmspell_core.agent.llm import LLMAgent

__all__ = ["AgentBuilder"]


class AgentBuilder:
    """Collects an agent's configuration. Immutable: every step returns a new builder, so a half-made one can be shared.

    agent = runtime.agents.builder().name("poet").model("local/smollm2").tool("calculator").build()
    """

    __slots__ = ("_approver", "_config", "_create", "_offer")

    def __init__(
        self,
        create: Callable[[AgentConfig], LLMAgent],
        config: AgentConfig | None = None,
        *,
        offer: Callable[[Any], str] | None = None,
        approver: Approver | None = None,
    ) -> None:
        """`offer` registers a tool or an agent as a tool, and returns its name."""
        self._create = create
        self._config = config or AgentConfig(new_id("agent"))
        self._offer = offer
        self._approver = approver

    def set(self, **values: Any) -> AgentBuilder:
        """A new builder with these fields of `AgentConfig`."""
        config = replace(self._config, **values)
        return AgentBuilder(self._create, config, offer=self._offer, approver=self._approver)

    def name(self, name: str) -> AgentBuilder:
        return self.set(name=name)

    def type(self, word: str) -> AgentBuilder:
        """A word for people and lists; the agent is an LLM agent all the same."""
        return self.set(agent_type=word)

    def description(self, description: str) -> AgentBuilder:
        return self.set(description=description)

    def model(self, model: str | Sequence[str]) -> AgentBuilder:
        """`provider/model`, or a bare model when `provider` is set too; several are a chain: the first that can answer."""
        return self.set(model=model)

    def provider(self, provider: str) -> AgentBuilder:
        return self.set(provider=provider)

    def system_prompt(self, prompt: str) -> AgentBuilder:
        return self.set(system_prompt=prompt)

    def temperature(self, temperature: float) -> AgentBuilder:
        return self.set(temperature=temperature)

    def max_tokens(self, max_tokens: int) -> AgentBuilder:
        return self.set(max_tokens=max_tokens)

    def tool(self, *tools: Any) -> AgentBuilder:
        """Tools by name, tool objects, or agents, which become tools named `<agent>_tool`."""
        names = tuple(self._named(tool) for tool in tools)
        return self.set(allowed_tools=(*self._config.allowed_tools, *names))

    def tools(self, *tools: Any) -> AgentBuilder:
        """These tools and no others."""
        return self.set(allowed_tools=tuple(self._named(tool) for tool in tools))

    def _named(self, tool: Any) -> str:
        if isinstance(tool, str):
            return tool
        if self._offer is None:
            raise ComponentError("this builder knows no runtime", hint="Use runtime.agents.builder(), or tool names.")
        return self._offer(tool)

    def ask_tool(self, *names: str) -> AgentBuilder:
        """Tools it may call, each call only with a person's consent."""
        allowed = self._config.allowed_tools
        more = () if "*" in allowed else tuple(n for n in names if n not in allowed and n != "*")
        return self.set(allowed_tools=(*allowed, *more), ask_tools=(*self._config.ask_tools, *names))

    def on_approval(self, approver: Approver) -> AgentBuilder:
        """Who is asked: a function of an `ApprovalRequest` that answers True, False, a `Decision`, or None for later.

        It allows calls of `ask_tool`; of those that the configuration wants consent to it can only refuse some.
        """
        return AgentBuilder(self._create, self._config, offer=self._offer, approver=approver)

    def handoff(self, *names: str) -> AgentBuilder:
        """Agents that the model may hand the conversation over to."""
        return self.set(handoff_targets=(*self._config.handoff_targets, *names))

    def allow_all_tools(self) -> AgentBuilder:
        return self.set(allowed_tools=("*",))

    def base_url(self, url: str) -> AgentBuilder:
        return self.set(base_url=url)

    def api_key(self, key: str) -> AgentBuilder:
        return self.set(api_key=key)

    def response_schema(self, schema: dict[str, Any]) -> AgentBuilder:
        return self.set(response_schema=schema)

    def tool_choice(self, choice: str) -> AgentBuilder:
        """`auto`, `none`, `required`, or the tool that must be called first."""
        return self.set(tool_choice=choice)

    def max_conversation_length(self, messages: int) -> AgentBuilder:
        return self.set(max_conversation_length=messages)

    def context_window(self, tokens: int) -> AgentBuilder:
        """What the model can take; by default what its provider knows."""
        return self.set(context_window=tokens)

    def max_execution_time(self, seconds: float) -> AgentBuilder:
        return self.limits(max_execution_time_secs=seconds)

    def max_tool_calls(self, calls: int) -> AgentBuilder:
        return self.limits(max_tool_calls=calls)

    def max_iterations(self, calls: int) -> AgentBuilder:
        """Model calls per execution."""
        return self.limits(max_iterations=calls)

    def max_recursion_depth(self, depth: int) -> AgentBuilder:
        return self.limits(max_recursion_depth=depth)

    def max_total_tokens(self, tokens: int) -> AgentBuilder:
        """Input and output of all model calls of one execution."""
        return self.limits(max_total_tokens=tokens)

    def max_cost_usd(self, dollars: float) -> AgentBuilder:
        """Money per execution, as far as prices are known."""
        return self.limits(max_cost_usd=dollars)

    def limits(self, **limits: Any) -> AgentBuilder:
        """Any of the fields of `ResourceLimits`."""
        return self.set(limits=replace(self._config.limits, **limits))

    def custom(self, **values: Any) -> AgentBuilder:
        return self.set(custom={**self._config.custom, **values})

    def build(self) -> LLMAgent:
        """Make and register the agent.

        Raises:
            ValidationError: no model, a name that is taken, an unknown tool.
            NotFoundError: the provider is unknown.
        """
        agent = self._create(self._config)
        agent.approver = self._approver
        return agent
