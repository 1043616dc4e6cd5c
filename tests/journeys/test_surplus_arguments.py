"""Arguments that a call does not take: options are refused, what `list.map(fn)` passes is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

SOURCES = {
    "lua": """
        local function refused(...) local ok, problem = pcall(...) return (not ok) and tostring(problem) or "" end
        return {
          refused(State.set, "k", 1, {tll = 1}),
          refused(Hook.unregister, {}),
          refused(Hook.unregister, 5),
          Hook.unregister("gone") == false and State.get("k", 1, {1, 2}) == nil
            and Tool.execute("calculator", {expression = "1"}, {timeout = 1}).success,
        }""",
    "javascript": """
        const refused = fn => { try { fn(); return "" } catch (problem) { return String(problem) } };
        return [
          refused(() => State.set("k", 1, {tll: 1})),
          refused(() => Hook.unregister({a: 1})),
          refused(() => Hook.unregister(5)),
          Hook.unregister("gone") === false && State.get("k", 1, [1, 2]) == null
            && (await Tool.execute("calculator", {expression: "1"}, {timeout: 1})).success,
        ];""",
}


@pytest.mark.parametrize("language", SOURCES)
def test_options_that_nobody_reads_are_refused_and_other_surplus_is_not(run_script: Run, language: str) -> None:
    options, table, number, fine = run_script(SOURCES[language], language).value
    assert "State.set takes 2 arguments, got a table as argument 3" in options
    assert "a hook, or its id, is expected" in table
    assert "a hook, or its id, is expected" in number
    assert fine is True
