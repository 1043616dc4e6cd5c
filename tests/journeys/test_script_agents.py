"""Scripts of both languages with agents: many calls at once, tools made of script functions, long streams."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llmspell_core.messages import AgentChunk
from llmspell_core.provider import Completion, CompletionRequest
from llmspell_core.runtime import Runtime
from llmspell_core.testing.scripted import ScriptedProvider, call, say

LANGUAGES = ("lua", "javascript")
MakeRuntime = Callable[..., Awaitable[Runtime]]

HUNDRED = {
    "lua": """
        local agent = Agent.builder():name("a"):model("slow/any"):build()
        local handles = {}
        for i = 1, 100 do handles[i] = agent:execute_async({text = "question " .. i}) end
        local texts = {}
        for i, answer in ipairs(Async.all(handles)) do texts[i] = answer.text end
        return texts""",
    "javascript": """
        const agent = Agent.builder().name("a").model("slow/any").build();
        const questions = Array.from({length: 100}, (_, i) => agent.execute({text: `question ${i + 1}`}));
        return (await Promise.all(questions)).map(answer => answer.text)""",
}


def echo(request: CompletionRequest) -> Completion:
    return say(f"answer to {request.messages[-1].content}")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_hundred_agent_calls_run_at_one_time(make_runtime: MakeRuntime, language: str) -> None:
    runtime = await make_runtime()
    serving = ScriptedProvider.serving(echo, delay=0.3)
    runtime.registry.register("providers", "slow", serving)
    result = await runtime.run_script(HUNDRED[language], engine=language, timeout=30)
    assert result.value == [f"answer to question {i}" for i in range(1, 101)]
    assert serving().most_active == 100


OWN_TOOL = {
    "lua": """
        local seen = {}
        Tool.create({
          name = "weather", description = "The weather of a town.",
          parameters = {town = {type = "string", required = true}},
          handler = function(p)
            seen[#seen + 1] = p.town
            if p.town == "Nowhere" then error("there is no such town") end
            return {result = Tool.execute("calculator", {expression = "20 + 1"}).result.result, success = true}
          end,
        })
        local agent = Agent.builder():name("a"):model("scripted/any"):allow_tool("weather"):build()
        local out = agent:execute({text = "What is it like in Oslo?"})
        return {text = out.text, seen = seen}""",
    "javascript": """
        const seen = [];
        Tool.create({
          name: "weather", description: "The weather of a town.",
          parameters: {town: {type: "string", required: true}},
          handler: async ({town}) => {
            seen.push(town);
            if (town === "Nowhere") throw new Error("there is no such town");
            return {result: (await Tool.execute("calculator", {expression: "20 + 1"})).result.result, success: true};
          },
        });
        const agent = Agent.builder().name("a").model("scripted/any").allowTool("weather").build();
        const out = await agent.execute({text: "What is it like in Oslo?"});
        return {text: out.text, seen}""",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_agent_uses_a_tool_of_the_script(make_runtime: MakeRuntime, language: str) -> None:
    asked: list[CompletionRequest] = []

    def conclude(request: CompletionRequest) -> Completion:
        asked.append(request)
        return say("21 degrees")

    replies = [call("weather", {"town": "Oslo"}), call("weather", {"town": "Nowhere"}), call("weather", {}), conclude]
    runtime = await make_runtime(replies=replies)
    result = await runtime.run_script(OWN_TOOL[language], engine=language, timeout=20)
    assert result.value == {"text": "21 degrees", "seen": ["Oslo", "Nowhere"]}
    answers = [str(message.content) for message in asked[0].messages if message.role == "tool"]
    assert "21" in answers[0]
    assert "there is no such town" in answers[1]
    assert "'town' is required" in answers[2]


CHUNKS = 10_000


class Endless(ScriptedProvider):
    """Streams CHUNKS numbered pieces, as fast as they are taken."""

    produced = 0

    async def stream(self, request: CompletionRequest) -> Any:
        for number in range(CHUNKS):
            type(self).produced = number
            yield AgentChunk("text", text=f"{number} ")
        yield AgentChunk("end", data={"finish_reason": "stop", "model": "any"})


PULL = {
    "lua": """
        local agent = Agent.builder():name("a"):model("endless/any"):build()
        local count, wrong = 0, 0
        local answer = agent:invokeStream({text = "go"}, function(chunk)
          if chunk.text and chunk.text ~= "" then
            if chunk.text ~= count .. " " then wrong = wrong + 1 end
            count = count + 1
          end
        end)
        return {count = count, wrong = wrong, kilobytes = math.floor(collectgarbage("count"))}""",
    "javascript": """
        const agent = Agent.builder().name("a").model("endless/any").build();
        let count = 0, wrong = 0;
        for await (const chunk of agent.stream({text: "go"})) {
          if (!chunk.text) continue;
          if (chunk.text !== `${count} `) wrong++;
          count++;
        }
        return {count, wrong, kilobytes: 0}""",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_ten_thousand_chunks_keep_their_order_in_bounded_memory(make_runtime: MakeRuntime, language: str) -> None:
    runtime = await make_runtime({"runtime": {"security": {"max_memory_bytes": 24_000_000}}})
    runtime.registry.register("providers", "endless", Endless)
    result = await runtime.run_script(PULL[language], engine=language, timeout=40)
    assert (result.value["count"], result.value["wrong"]) == (CHUNKS, 0)
    assert result.value["kilobytes"] < 4_000


SLOW = {
    "lua": """
        local agent = Agent.builder():name("a"):model("endless/any"):build()
        pcall(agent.invokeStream, agent, {text = "go"}, function(chunk) if chunk.text == "100 " then error("enough") end end)""",
    "javascript": """
        const agent = Agent.builder().name("a").model("endless/any").build();
        for await (const chunk of agent.stream({text: "go"})) if (chunk.text === "100 ") break;""",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_model_is_not_asked_for_more_than_the_script_takes(make_runtime: MakeRuntime, language: str) -> None:
    runtime = await make_runtime()
    Endless.produced = 0
    runtime.registry.register("providers", "endless", Endless)
    await runtime.run_script(SLOW[language], engine=language, timeout=20)
    assert 100 <= Endless.produced < 1000


IMPOSSIBLE = {
    "max_iterations": (0, "'max_iterations' must be a number, at least 1, got 0"),
    "max_tokens": (-1, "'max_tokens' must be a number, at least 1, got -1"),
    "max_tool_calls": (-3, "'max_tool_calls' must be a number, at least 0, got -3"),
    "max_execution_time": (-5, "'max_execution_time_secs' must be a number above 0, got -5"),
    "max_total_tokens": (-1, "'max_total_tokens' must be a number, at least 0, got -1"),
    "max_cost_usd": (-0.5, "'max_cost_usd' must be a number, at least 0, got -0.5"),
    "temperature": (-1, "'temperature' must be a number, at least 0, got -1"),
}
LIMITED = {
    "lua": """
        local ok, said = pcall(function() return Agent.builder():model("scripted/any"):{name}({value}):build() end)
        return tostring(said)""",
    "javascript": """
        try { Agent.builder().model("scripted/any").{name}({value}).build(); return "made" } catch (e) { return e.message }""",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_limit_that_nothing_could_keep_is_refused_when_the_agent_is_made(
    make_runtime: MakeRuntime, language: str
) -> None:
    """An agent that may call no model would blame tools that it never called."""
    runtime = await make_runtime()
    runtime.registry.register("providers", "scripted", ScriptedProvider.serving(echo))
    for name, (value, message) in IMPOSSIBLE.items():
        code = LIMITED[language].replace("{name}", name).replace("{value}", str(value))
        assert message in (await runtime.run_script(code, engine=language, timeout=30)).value


def test_the_options_of_one_call_stand_beside_the_prompt_or_in_its_table(run_script: Callable[..., Any]) -> None:
    schema = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    lua = f"""local a = Agent.create({{name = "a", model = "scripted/any"}})
        local s = JSON.parse('{schema}')
        local ok, why = pcall(a.execute, a, "x", {{tempature = 1}})
        return {{a:execute("x", {{schema = s}}).data.n, a:execute({{text = "x", schema = s}}).data.n,
          a:execute({{text = "x", response_schema = s}}).data.n, tostring(why)}}"""
    js = f"""const a = await Agent.create({{name: "a", model: "scripted/any"}}), s = JSON.parse('{schema}');
        let why; try {{ await a.execute("x", {{tempature: 1}}) }} catch (e) {{ why = e.message }}
        return [(await a.execute("x", {{schema: s}})).data.n, (await a.execute({{text: "x", schema: s}})).data.n,
          (await a.execute({{text: "x", responseSchema: s}})).data.n, why]"""
    for source, language in ((lua, "lua"), (js, "javascript")):
        *numbers, why = run_script(source, language, replies=[say('{"n": 1}')] * 3).value
        assert numbers == [1, 1, 1]
        assert "unknown option 'tempature' (did you mean 'temperature'?)" in why
