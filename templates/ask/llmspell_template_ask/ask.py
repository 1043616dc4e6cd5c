"""The template ask: the smallest complete one, and the model for others."""

from __future__ import annotations

from pydantic import BaseModel, Field

from llmspell_core import ExecutionContext
from llmspell_core.errors import ComponentError
from llmspell_core.messages import new_id
from llmspell_core.template import CostEstimate, Template, TemplateOutput

CHARACTERS_PER_TOKEN = 4
ANSWER_TOKENS = 200


class Parameters(BaseModel):
    """What to ask, whom, and with which tools."""

    question: str = Field(min_length=1, description="The question.")
    model: str | None = Field(default=None, description="provider/model; by default the configured or the local one.")
    tools: list[str] = Field(default_factory=list, description="Names of tools that may be used.")
    max_tokens: int = Field(default=ANSWER_TOKENS, ge=1, description="Length of the answer at most.")


class Ask(Template[Parameters]):
    name = "ask"
    title = "Ask"
    description = "Asks a model one question, with the tools that you name."
    category = "chat"
    parameters = Parameters
    tags = ("question", "answer", "quick")

    async def run(self, params: Parameters, ctx: ExecutionContext) -> TemplateOutput:
        desk = ctx.desk
        if desk is None:
            raise ComponentError("the template ask needs a runtime", hint="Run it with runtime.run_template.")
        builder = desk.agents.builder().name(new_id("ask")).max_tokens(params.max_tokens).tool(*params.tools)
        agent = (builder.model(params.model) if params.model else builder).build()
        output = await desk.run_agent(agent, params.question, ctx)
        metrics = {
            "tokens_used": output.metadata.token_count or 0,
            "agents_invoked": 1,
            "tools_invoked": len(output.tool_calls),
        }
        return TemplateOutput(output.text, metrics=metrics)

    async def estimate(self, params: Parameters) -> CostEstimate:
        tokens = len(params.question) // CHARACTERS_PER_TOKEN + params.max_tokens
        return CostEstimate(estimated_tokens=tokens, confidence=0.6)
