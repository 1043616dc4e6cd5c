"""`Spell.create` and `spell:cast` in their shortest shape: on a scripted model, and on the one of this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import ScriptError
from llmspell_core.testing import call, say

Run = Callable[..., Any]

LUA = """
for _, name in ipairs({"AcademicResearcher", "NewsResearcher", "SynthesisExpert"}) do
  Agent.builder():name(name):model("MODEL"):temperature(0):max_tokens(30):build()
end
local spell = Spell.create({
  name = "research_spell",
  workflow = Workflow.sequential({
    {
      name = "research_phase",
      type = "parallel",
      agents = {
        {agent = "AcademicResearcher", tools = {"calculator", "text-manipulator"}},
        {agent = "NewsResearcher", tools = {"calculator"}},
      },
    },
    {name = "synthesis_phase", agent = "SynthesisExpert", tools = {"text-manipulator"}},
  }),
  error_strategy = ErrorStrategy.cascade({retry_count = 3, backoff_ms = 1, circuit_breaker = {failure_threshold = 5}}),
})
local result = spell:cast({topic = "owls", output_format = "one sentence"})
return {result.success, result.status, result.outputs, result.output, result.metadata.extra.agent_outputs, #Workflow.list(), result.text}
"""
JS = """
for (const name of ["AcademicResearcher", "NewsResearcher", "SynthesisExpert"])
  Agent.builder().name(name).model("MODEL").temperature(0).maxTokens(30).build()
const spell = Spell.create({
  name: "research_spell",
  workflow: Workflow.sequential([
    {
      name: "research_phase",
      type: "parallel",
      agents: [
        {agent: "AcademicResearcher", tools: ["calculator", "text-manipulator"]},
        {agent: "NewsResearcher", tools: ["calculator"]},
      ],
    },
    {name: "synthesis_phase", agent: "SynthesisExpert", tools: ["text-manipulator"]},
  ]),
  errorStrategy: ErrorStrategy.cascade({retryCount: 3, backoffMs: 1, circuitBreaker: {failureThreshold: 5}}),
})
const result = await spell.cast({topic: "owls", output_format: "one sentence"})
const agents = result.metadata.extra.agent_outputs
return [result.success, result.status, result.outputs, result.output, agents, Workflow.list().length, result.text]
"""
BOTH = [(LUA, "lua"), (JS, "javascript")]
GIVEN = "output_format: one sentence\ntopic: owls"


@pytest.mark.parametrize(("source", "language"), BOTH)
def test_the_spell_of_the_vision_runs_on_a_scripted_model(run_script: Run, source: str, language: str) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def reply(request: Any) -> Any:
        asked.append((request.messages[-1].content, tuple(sorted(tool.name for tool in request.tools))))
        return say(f"<{len(asked)}>")

    value = run_script(source.replace("MODEL", "scripted/any"), language, replies=[reply]).value
    assert value[:2] == [True, "completed"]
    assert set(value[2]["research_phase"]) == {"AcademicResearcher", "NewsResearcher"}
    assert value[3] == value[2]["synthesis_phase"] == value[4]["SynthesisExpert"] == "<3>"
    assert value[5] == 1
    assert value[6].startswith("Sequential workflow 'research_spell' completed successfully.")
    assert sorted(asked[:2]) == [(GIVEN, ("calculator",)), (GIVEN, ("calculator", "text-manipulator"))]
    assert asked[2][0].startswith(GIVEN)
    assert "<1>" in asked[2][0]
    assert "<2>" in asked[2][0]
    assert asked[2][1] == ("text-manipulator",)


@pytest.mark.parametrize(("source", "language"), BOTH)
def test_its_cascade_tries_each_agent_again_and_then_gives_up(run_script: Run, source: str, language: str) -> None:
    from llmspell_core.errors import ProviderError

    attempts: list[str] = []

    def reply(request: Any) -> Any:
        attempts.append(request.messages[-1].content)
        if len(attempts) < 3:
            raise ProviderError("the model is away", provider="scripted")
        return say("back")

    value = run_script(source.replace("MODEL", "scripted/any"), language, replies=[reply]).value
    assert value[:2] == [True, "completed"]
    assert len(attempts) == 5

    def never(_request: Any) -> Any:
        raise ProviderError("the model is away", provider="scripted")

    with pytest.raises(ScriptError, match="the model is away"):
        run_script(source.replace("MODEL", "scripted/any"), language, replies=[never])


@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_templates_of_agents_can_be_named_too(run_script: Run, language: str) -> None:
    lua = """
        local spell = Spell.create({name = "s", workflow = Workflow.sequential({
          {name = "one", agent = "basic", input = "say {{word}}"}, {name = "two", agent = "llm", tools = {"calculator"}}})})
        return {spell.name, spell:cast({word = "hi"}).outputs, #Agent.list()}"""
    js = """
        const spell = Spell.create({name: "s", workflow: Workflow.sequential([
          {name: "one", agent: "basic", input: "say {{word}}"}, {name: "two", agent: "llm", tools: ["calculator"]}])})
        return [spell.name, (await spell.cast({word: "hi"})).outputs, Agent.list().length]"""

    def reply(request: Any) -> Any:
        return (
            call("calculator", {"input": "6*7"}) if request.tools and request.messages[-1].role == "user" else say("ok")
        )

    config = {"providers": {"default_provider": "scripted", "scripted": {"default_model": "any"}}}
    value = run_script(lua if language == "lua" else js, language, replies=[reply], config=config).value
    assert value == ["s", {"one": "ok", "two": "ok"}, 0]


WRONG = [
    ("Spell.create({name = 'x'})", "Spell.create({name: 'x'})", "'workflow' is required"),
    ("Spell.create({workflow = 5})", "Spell.create({workflow: 5})", "'workflow' is required"),
    ("Spell.create({workflow = 'ghost'})", "Spell.create({workflow: 'ghost'})", "Workflow not found: ghost"),
    ("Spell.create({workflow = {{name = 'a', agent = 'Nobody'}}}):cast()",
     "await Spell.create({workflow: [{name: 'a', agent: 'Nobody'}]}).cast()", "Agent 'Nobody' not found"),
    ("Spell.create({workflow = {{name = 'a', type = 'x'}, {name = 'b'}}})",
     "Spell.create({workflow: [{name: 'a', type: 'x'}, {name: 'b'}]})", "2 problems"),
    ("Spell.create({workflow = {{name = 'a', tool = 'x'}}, error_strategy = ErrorStrategy.cascade({retry_count = -1})})",
     "Spell.create({workflow: [{name: 'a', tool: 'x'}], error_strategy: ErrorStrategy.cascade({retry_count: -1})})",
     "'retry_count' must be a whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("lua", "js", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_is_wrong_is_said_alike(run_script: Run, lua: str, js: str, message: str) -> None:
    for source, language in ((lua, "lua"), (js, "javascript")):
        with pytest.raises(ScriptError, match=message):
            run_script(source, language)


@pytest.mark.model
@pytest.mark.parametrize(("source", "language"), BOTH)
def test_it_runs_on_the_model_of_this_machine(
    run_script: Run, smollm2: Path, tmp_path: Path, source: str, language: str
) -> None:
    (tmp_path / "models" / "smollm2").mkdir(parents=True)
    (tmp_path / "models" / "smollm2" / "smollm2.gguf").symlink_to(smollm2)
    config = {"providers": {"local": {"model_directory": str(tmp_path / "models"), "n_threads": 1}}}
    # Tools make the small model's prompts long; what is tested is that real agents get and use them.
    plain = source.replace('"calculator", "text-manipulator"', '"calculator"').replace(
        '"text-manipulator"', '"calculator"'
    )
    value = run_script(plain.replace("MODEL", "local/smollm2"), language, config=config, timeout=120).value
    assert value[:2] == [True, "completed"]
    assert set(value[4]) == {"AcademicResearcher", "NewsResearcher", "SynthesisExpert"}
    assert all(isinstance(text, str) for text in value[4].values())
