"""Keys of two parts: which are one, and which are not."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.state import full_key

PAIRS = [
    (("custom", "a:b"), ("custom:a", "b")),
    (("user", "42:x"), ("user:42", "x")),
    (("a%3Ab", "c"), ("a:b", "c")),
    (("agent", "a:b"), ("agent:a", "b")),
]


@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_keys_of_two_parts_never_collide(run_script: Any, language: str) -> None:
    calls = [f'State.save("{s}", "{k}", {number})' for number, (s, k) in enumerate(p for pair in PAIRS for p in pair)]
    reads = ", ".join(f'State.load("{s}", "{k}")' for pair in PAIRS for s, k in pair)
    lists = 'State.list_keys("custom"), State.list_keys("custom:a")'
    brackets = "{%s}" if language == "lua" else "[%s]"
    source = "\n".join(calls) + f"\nreturn {brackets % f'{reads}, {lists}'}"
    *values, one, other = run_script(source, language).value
    assert values == list(range(2 * len(PAIRS)))
    assert (one, other) == (["a:b"], ["b"])


@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_agents_and_tools_of_any_name_have_places_of_their_own(run_script: Any, language: str) -> None:
    source = """State.agent_set("a:b", "c", 1) State.agent_set("a", "b:c", 2) State.tool_set("a:b", "c", 3)
        return {State.agent_get("a:b", "c"), State.agent_get("a", "b:c"), State.tool_get("a", "b:c") == nil}"""
    if language == "javascript":
        source = source.replace(") State", "); State").replace("{State", "[State").replace("nil}", "null]")
    assert run_script(source, language).value == [1, 2, True]


@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_the_output_of_a_step_is_reached_by_each_of_its_names(run_script: Any, language: str) -> None:
    step = '{name = "s", tool = "calculator", input = {input = "1+1"}}'
    source = f"""local r = Workflow.sequential({{name = "w", steps = {{{step}}}}}):execute({{}})
        local id = r.execution_id
        local known = State.load("workflow", id .. ":s").output
        return {{known, State.load("workflow:" .. id, "s").output, State.load("custom", ":workflow:" .. id .. ":s").output}}"""
    if language == "javascript":
        source = """const step = {name: "s", tool: "calculator", input: {input: "1+1"}}
            const r = await Workflow.sequential({name: "w", steps: [step]}).execute({})
            const id = r.execution_id
            return [State.load("workflow", id + ":s").output, State.load("workflow:" + id, "s").output,
              State.load("custom", ":workflow:" + id + ":s").output]"""
    assert run_script(source, language).value == [2, 2, 2]


def test_a_full_key_is_that_of_its_parts_alone() -> None:
    parts = [("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"), ("a", "b", "c"), ("a:b:c", "")]
    assert len({full_key(*each) for each in parts}) == len(parts) - 1  # the last of ("a", "b:c") may hold anything
    assert full_key("user", "x") == "user:x"
