"""An agent as a tool that other agents, scripts and workflows call. Imported when the first one is made: it needs pydantic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from llmspell_core.agent.handoff import child_context
from llmspell_core.errors import ValidationError
from llmspell_core.json_schema import check_tool_name
from llmspell_core.messages import AgentInput, Record
from llmspell_core.purse import Room
from llmspell_core.tool import SecurityLevel, Tool, ToolResult, ToolSchema

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.component import BaseAgent
    from llmspell_core.context import ExecutionContext

__all__ = ["AgentWrappedTool", "ParameterConfig", "Transform"]

PROMPTS = ("text", "prompt", "input", "message")


class _Free(BaseModel):
    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True, slots=True)
class Transform:
    """What becomes of one parameter: under which name, how, and what when it is missing.

    `kind`: identity, to_string, extract_field (`argument`: its name), json_path (`argument`: a dotted path),
    custom (`function`).
    """

    target: str
    kind: Literal["identity", "to_string", "extract_field", "json_path", "custom"] = "identity"
    argument: str = ""
    required: bool = False
    default: Any = None
    function: Callable[[Any], Any] | None = None

    def apply(self, value: Any) -> Any:
        if self.kind == "to_string":
            return value if isinstance(value, str) else str(value)
        if self.kind in {"extract_field", "json_path"}:
            for part in self.argument.removeprefix("$").strip(".").split("."):
                value = _field(value, part)
            return value
        return self.function(value) if self.kind == "custom" and self.function is not None else value


def _field(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, list) and name.isdigit() and int(name) < len(value):
        return value[int(name)]
    return None


NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
LONGEST_NAME = 59  # with the ending as long as vendors take


@dataclass(frozen=True, slots=True)
class ParameterConfig(Record):
    """How a call's parameters become the agent's input.

    Attributes:
        bundle_parameters: the agent finds them all under `parameters`; otherwise beside each other.
        transforms: parameter -> what becomes of it; others pass unchanged.
        include_tool_context: adds `tool_context` with the tool's name, category and security level.
        input_template: the prompt, with `{parameter}` filled in; by default the call's `text`.
    """

    bundle_parameters: bool = True
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    include_tool_context: bool = True
    input_template: str | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ParameterConfig:
        transforms = {name: Transform(**given) for name, given in data["transforms"].items()}
        return cls(**{**data, "transforms": transforms})


class AgentWrappedTool(Tool[_Free]):
    """A tool that runs an agent and answers with what it said."""

    parameters = _Free

    def __init__(
        self,
        agent: BaseAgent,
        *,
        name: str | None = None,
        description: str | None = None,
        category: str = "utility",
        security_level: SecurityLevel = SecurityLevel.RESTRICTED,
        parameter_config: ParameterConfig | None = None,
        schema: dict[str, Any] | None = None,
    ) -> None:
        self.agent = agent
        self.name = name or f"{NOT_IN_NAMES.sub('_', agent.name)[:LONGEST_NAME]}_tool"
        check_tool_name(self.name)
        self.description = description or f"Asks the agent {agent.name}: {agent.description}"
        self.category = category
        self.security_level = security_level
        self._parameter_config = parameter_config or ParameterConfig()
        self._schema = ToolSchema(self.name, self.description, schema or self._default_schema())
        limits = getattr(getattr(agent, "config", None), "limits", None)
        self.default_timeout = None if limits is None else float(limits.max_execution_time_secs)

    def _default_schema(self) -> dict[str, Any]:
        template = self._parameter_config.input_template
        names = list(dict.fromkeys(re.findall(r"\{(\w+)\}", template))) if template else ["text"]
        about = {"text": "What the agent is asked or told to do."}
        properties = {
            n: {"type": "string", "description": about.get(n, f"Fills {{{n}}} of the prompt.")} for n in names
        }
        return {"type": "object", "properties": properties, "required": names}

    def described(self) -> dict[str, Any]:
        """What `runtime.agents.wrap` needs to make it again, as plain data; a transform that is a function is none."""
        config = self._parameter_config
        is_plain = all(transform.function is None for transform in config.transforms.values())
        return {
            "agent": self.agent.name,
            "description": self.description,
            "category": self.category,
            "security_level": str(self.security_level),
            "schema": self._schema.to_json_schema() if self._schema is not None else None,
            "parameter_config": config.to_dict() if is_plain else None,
        }

    async def run(self, params: _Free, ctx: ExecutionContext) -> ToolResult:
        assert ctx.desk is not None
        input = self._input(dict(params.model_extra or {}))
        output = await ctx.desk.run_agent(self.agent, input, child_context(ctx))
        return ToolResult(output.text, metadata={"agent": self.agent.name})

    def _input(self, given: dict[str, Any]) -> AgentInput:
        config = self._parameter_config
        text = self._prompt(given)
        parameters = self._transformed(given)
        bundled: dict[str, Any] = {"parameters": parameters} if config.bundle_parameters else parameters
        if config.include_tool_context:
            level = str(self.security_level)
            bundled["tool_context"] = {"tool_name": self.name, "tool_category": self.category, "security_level": level}
        return AgentInput(text, parameters=bundled)

    def _prompt(self, given: dict[str, Any]) -> str:
        template = self._parameter_config.input_template
        if template is not None:
            room = Room(f"what fills the prompt of tool '{self.name}' would")
            return re.sub(r"\{(\w+)\}", lambda m: str(room.take(given.get(m[1], m[0]))), template)
        text = next((given[name] for name in PROMPTS if isinstance(given.get(name), str)), None)
        return text or f"Do what you are for, {self.agent.name}. Parameters: {given}"

    def _transformed(self, given: dict[str, Any]) -> dict[str, Any]:
        made = {name: value for name, value in given.items() if name not in self._parameter_config.transforms}
        for name, transform in self._parameter_config.transforms.items():
            if name in given:
                made[transform.target] = transform.apply(given[name])
            elif transform.default is not None:
                made[transform.target] = transform.default
            elif transform.required:
                raise ValidationError(f"{self.name}: '{name}' is required", field=name)
        return made
