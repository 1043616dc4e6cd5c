"""A tool that tells where it ran."""

from __future__ import annotations

import os

from pydantic import BaseModel, Field

from llmspell_core import ExecutionContext, Tool


class Parameters(BaseModel):
    """What to give back."""

    text: str = Field(description="Comes back with the process's number.")


class Where(Tool[Parameters]):
    """Tells the number of the process that it runs in."""

    name = "where"
    description = "Gives a text back, with the number of the process that it runs in."
    parameters = Parameters
    example = {"text": "here"}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> dict[str, object]:
        return {"text": params.text, "pid": os.getpid()}
