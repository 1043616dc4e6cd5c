"""The contract of a template: a finished piece of work with parameters, built from agents, tools and workflows.

class Parameters(BaseModel):
    question: str = Field(description="What to ask.")

class Ask(Template[Parameters]):
    name = "ask"
    description = "Asks an agent one question."
    category = "chat"
    parameters = Parameters

    async def run(self, params: Parameters, ctx: ExecutionContext) -> TemplateOutput:
        ...
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, final

from pydantic import BaseModel

from llmspell_core.component import BaseAgent, utc_now
from llmspell_core.errors import ComponentError, LLMSpellError
from llmspell_core.messages import AgentInput, AgentOutput, OutputMetadata, Record, plain
from llmspell_core.parameters import ToolSchema, model_schema, validated

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext

__all__ = ["Artifact", "CostEstimate", "Template", "TemplateOutput"]

P = TypeVar("P", bound=BaseModel)
ResultType = Literal["text", "structured", "file", "multiple"]


@dataclass(slots=True)
class Artifact(Record):
    """A file that a template made, as text."""

    filename: str
    content: str
    mime_type: str = "text/plain"
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class CostEstimate(Record):
    """What a run will take, as far as one can tell. `confidence` from 0 to 1."""

    estimated_tokens: int | None = None
    estimated_cost_usd: float | None = None
    estimated_duration_ms: int | None = None
    confidence: float = 0.5


@dataclass(slots=True)
class TemplateOutput(Record):
    """What a template hands back. `metrics` may hold tokens_used, cost_usd, agents_invoked, tools_invoked, rag_queries."""

    result: Any
    result_type: ResultType = "text"
    artifacts: list[Artifact] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)


METRICS = ("tokens_used", "agents_invoked", "tools_invoked", "rag_queries")


class Template(BaseAgent, Generic[P]):
    """A template. The core validates the parameters and measures; `run` does the work.

    Class attributes:
        name: its id; the entry point has the same name.
        title: what people call it.
        parameters: a pydantic model; unknown keys are ignored.
        requires: names of tools that it uses.
    """

    component_type: ClassVar[Literal["component"]] = "component"
    title: str = ""
    parameters: type[P]
    category: str = "custom"
    author: str | None = None
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    _schema: ToolSchema | None = None

    async def run(self, params: P, ctx: ExecutionContext) -> TemplateOutput:
        """The template's work; `ctx.desk` makes agents and runs tools."""
        raise NotImplementedError(f"{type(self).__name__} must define run")

    async def estimate(self, params: P) -> CostEstimate | None:
        """What a run would take; None when nothing is known."""
        return None

    @property
    def schema(self) -> ToolSchema:
        if self._schema is None:
            self._schema = ToolSchema(self.name, self.description, model_schema(self.parameters))
        return self._schema

    def about(self) -> dict[str, Any]:
        """`id`, `name`, `description`, `category`, `version`, `author`, `requires`, `tags`."""
        return {
            "id": self.name,
            "name": self.title or self.name,
            "description": self.description,
            "category": self.category,
            "version": self.version,
            "author": self.author,
            "requires": list(self.requires),
            "tags": list(self.tags),
        }

    def validate_parameters(self, params: Any) -> P:
        """Raises: ValidationError naming every wrong field."""
        return validated(self.name, self.parameters, params, hint=f"See: llmspell template schema {self.name}")

    @final
    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        started = time.perf_counter()
        executed_at = utc_now().isoformat()
        params = self.validate_parameters(input.parameters)
        output = await self._call(params, context)
        elapsed = round((time.perf_counter() - started) * 1000)
        report = self._report(output, executed_at, elapsed, input.parameters)
        text = output.result if isinstance(output.result, str) else json.dumps(plain(output.result), ensure_ascii=False)
        return AgentOutput(text, metadata=OutputMetadata(execution_time_ms=elapsed, extra={"template": report}))

    async def _call(self, params: P, context: ExecutionContext) -> TemplateOutput:
        try:
            return await self.run(params, context)
        except LLMSpellError:
            raise
        except Exception as error:
            raise ComponentError(f"template '{self.name}' raised {type(error).__name__}: {error}") from error

    def _report(
        self, output: TemplateOutput, executed_at: str, elapsed: int, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        metrics = {"duration_ms": elapsed, **dict.fromkeys(METRICS, 0), "cost_usd": None, **output.metrics}
        custom = {key: value for key, value in output.metrics.items() if key not in (*METRICS, "cost_usd")}
        return {
            "success": True,
            "result_type": output.result_type,
            "result": plain(output.result),
            "artifacts": [artifact.to_dict() for artifact in output.artifacts],
            "metadata": {
                "template_id": self.name,
                "template_version": self.version,
                "executed_at": executed_at,
                "parameters": plain(parameters),
            },
            "metrics": {**metrics, "custom": custom},
        }
