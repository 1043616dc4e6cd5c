"""The script global Dice: the tool in fewer words, and a cup that remembers."""

from __future__ import annotations

from typing import Any

from llmspell_core.script.declare import Function, Global, Handle, Param

SIDES = Param("sides", "integer", default=6)
COUNT = Param("count", "integer", default=1)


class Cup:
    """Dice that are thrown again and again."""

    def __init__(self, sides: int) -> None:
        self.sides = sides
        self.total = 0


async def throw(scope: Any, sides: int, count: int) -> list[int]:
    output = await scope.runtime.invoke_tool("dice", {"sides": sides, "count": count}, scope.context)
    throws: list[int] = output.metadata.extra["response"]["result"]["throws"]
    return throws


def cup(_scope: Any, sides: int) -> Cup:
    return Cup(sides)


async def shake(scope: Any, made: Cup, count: int) -> int:
    made.total += sum(await throw(scope, made.sides, count))
    return made.total


GLOBAL = Global(
    "Dice",
    doc="Throws dice.",
    functions=(
        Function("throw", throw, (SIDES, COUNT), "array", "What each die shows.", aliases=("roll",)),
        Function("cup", cup, (SIDES,), "Cup", "Dice that remember their sum."),
    ),
    handles=(
        Handle(
            "Cup",
            fields=("sides",),
            methods=(
                Function("shake_it", shake, (COUNT,), "integer", "Throw, and tell the sum of all throws so far."),
            ),
            doc="A cup of dice.",
        ),
    ),
)
