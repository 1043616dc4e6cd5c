"""The tool dice."""

from __future__ import annotations

import random

from pydantic import BaseModel, Field

from llmspell_core import ExecutionContext, Tool


class Parameters(BaseModel):
    """What to throw."""

    sides: int = Field(default=6, ge=2, le=1000, description="How many sides each die has.")
    count: int = Field(default=1, ge=1, le=100, description="How many dice are thrown.")
    seed: int | None = Field(default=None, description="Gives the same throws again.")


class Dice(Tool[Parameters]):
    """Throws dice."""

    name = "dice"
    description = "Throws dice and tells what they show and their sum."
    parameters = Parameters
    example = {"sides": 6, "count": 2, "seed": 1}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> dict[str, object]:
        source = random.Random(params.seed)
        throws = [source.randint(1, params.sides) for _ in range(params.count)]
        return {"throws": throws, "sum": sum(throws)}
