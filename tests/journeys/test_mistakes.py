"""What people mistype in scripts, and what they are told: the name they may have meant, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmspell_core.errors import ScriptError, ValidationError

Run = Callable[..., Any]
LUA = {
    "Agent.biulder()": "builder",
    "Agnet.builder()": "Agent",
    'Agent.builder():modle("x")': "model",
    "JSON.strinify({})": "stringify",
    "return Tool.exceute('calculator', {})": "execute",
    'return #Agent.create({name = "a"}):get_history()': "Did you mean get_state_history?",
    "Agent.builder():timeout_ms(1)": "'timeout_ms' is one of Workflow.builder().",
}
JAVASCRIPT = {
    "Agent.biulder()": "builder",
    "Agnet.builder()": "Agent",
    'Agent.builder().modle("x")': "model",
    "JSON.strinify({})": "stringify",
    "await Workflow.mapRedcue({})": "mapReduce",
    'const agent = await Agent.create({name: "a"}); agent.getHistory().length': "Did you mean getStateHistory?",
}
CASES = [*(("lua", *case) for case in LUA.items()), *(("javascript", *case) for case in JAVASCRIPT.items())]


@pytest.mark.parametrize(("language", "source", "meant"), CASES)
def test_a_misspelled_name_gets_the_one_that_was_meant(run_script: Run, language: str, source: str, meant: str) -> None:
    with pytest.raises(ScriptError) as caught:
        run_script(source, language)
    assert meant in str(caught.value.hint)


@pytest.mark.parametrize(("language", "source"), [("lua", "local t = {} t.plugh()"), ("javascript", "xyzzy.plugh()")])
def test_no_advice_is_better_than_far_fetched_advice(run_script: Run, language: str, source: str) -> None:
    with pytest.raises(ScriptError) as caught:
        run_script(source, language)
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("lua", 'return Agent.builder():model({"lmstudio/a", "local/b"}):build():get_config().model'),
        ("javascript", 'return Agent.builder().model(["lmstudio/a", "local/b"]).build().getConfig().model'),
    ],
)
def test_a_list_of_models_is_a_chain(run_script: Run, language: str, source: str) -> None:
    assert run_script(source, language).value == "lmstudio/a, local/b"


EMPTY = ['""', '" "', '","', 'JSON.parse("[]")', 'JSON.parse("{}")']


@pytest.mark.parametrize("language", ["lua", "javascript"])
@pytest.mark.parametrize("model", EMPTY)
def test_an_empty_model_is_not_the_default_one(run_script: Run, language: str, model: str) -> None:
    source = f"Agent.builder():model({model}):build()"
    with pytest.raises(ScriptError, match="model is empty"):
        run_script(source if language == "lua" else source.replace(":", "."), language)


def test_a_model_that_is_no_name_is_refused(run_script: Run) -> None:
    with pytest.raises(ScriptError, match="a string or a list of strings") as caught:
        run_script("Agent.builder():model(42):build()")
    assert isinstance(caught.value.__cause__, ValidationError)


def test_an_agent_that_is_asked_nothing_says_so(run_script: Run) -> None:
    with pytest.raises(ScriptError, match="got nothing"):
        run_script('Agent.builder():model("local/smollm2"):build():execute()')


def test_an_option_of_the_script_without_the_dashes_before_it(invoke_cli: Run) -> None:
    done = invoke_cli("run", "any.lua", "--decide", "no")
    assert done.exit_code == 2
    assert "Options for the script stand after a lone --: -- --decide" in done.stderr
