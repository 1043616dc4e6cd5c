"""Dice, as people will use them."""

import pytest
from llmspell_dice.tool import Dice

from llmspell_core.testing import ToolContract


class TestDiceContract(ToolContract):
    tool_class = Dice
    example = {"sides": 6, "count": 3, "seed": 7}


def test_a_seed_gives_the_same_throws(invoke_tool):
    first = invoke_tool("dice", {"count": 5, "seed": 3})["result"]
    assert first == invoke_tool("dice", {"count": 5, "seed": 3})["result"]
    assert first["sum"] == sum(first["throws"])


LUA = """
local throws = Dice.throw(6, 3)
local cup = Dice.cup(4)
local ok, err = pcall(Dice.throw, "six")
return {#throws, cup.sides, cup:shake_it(2) >= 2, ok, err}
"""
JS = """
const throws = Dice.throw(6, 3);
const cup = Dice.cup(4);
let ok = true, err;
try { Dice.throw("six") } catch (e) { ok = false; err = e.message }
return [throws.length, cup.sides, cup.shakeIt(2) >= 2, ok, err];
"""


@pytest.mark.parametrize(("language", "source"), [("lua", LUA), ("javascript", JS)])
def test_the_global_is_there_in_both_languages(language, source, run_script):
    value = run_script(source, language).value
    assert value[:4] == [3, 4, True, False]
    assert "'sides' must be an integer" in value[4]
