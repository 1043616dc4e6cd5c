"""What models, tools and callers do wrong, and what an agent makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from llmspell_core.agent import Agent, AgentConfig
from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ComponentError, ResourceLimitError, StorageError, ValidationError
from llmspell_core.messages import AgentInput, AgentOutput, ToolCall, Usage
from llmspell_core.provider import INVALID_JSON, Completion
from llmspell_core.runtime import Runtime
from llmspell_core.testing import ScriptedProvider, call, say
from llmspell_core.tool import Tool


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class Raises(Tool[Anything]):
    name = "raises"
    description = "Raises."
    parameters = Anything

    async def run(self, params: Anything, ctx: ExecutionContext) -> str:
        raise KeyError("boom")


class Hangs(Raises):
    name = "hangs"

    async def run(self, params: Anything, ctx: ExecutionContext) -> str:
        await asyncio.sleep(100)
        return ""


class Huge(Raises):
    name = "huge"

    async def run(self, params: Anything, ctx: ExecutionContext) -> str:
        return "x" * 5_000_000


def scripted(runtime: Runtime) -> ScriptedProvider:
    made = runtime.registry.load("providers", "scripted")()
    assert isinstance(made, ScriptedProvider)
    return made


@pytest.fixture
def world(make_runtime: Any) -> Any:
    async def make(*replies: Any, **config: Any) -> tuple[Runtime, Any]:
        runtime = await make_runtime({"tools": {"timeouts": {"default": 0.1}}}, replies=replies)
        for tool in (Raises, Hangs, Huge):
            runtime.registry.register("tools", tool.name, tool())
        builder = runtime.agents.builder().name("a").model("scripted/any").tool("raises", "hangs", "huge")
        return runtime, builder.set(**config).build()

    return make


def calls(*made: tuple[str, str, dict[str, Any]]) -> Completion:
    return Completion(tool_calls=[ToolCall(*each) for each in made], usage=Usage(3, 2))


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        (call("raises"), "KeyError: 'boom'"),
        (call("hangs"), "did not finish within 0.1 s"),
        (call("nope"), "there is no tool 'nope'; you have: hangs, huge, raises"),
        (calls(("c", "raises", {INVALID_JSON: "{a"})), "not a JSON object: '{a'"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_that_goes_wrong_is_told_to_the_model(world: Any, turn: Any, told: str, streamed: bool) -> None:
    runtime, agent = await world(turn, say("all right"))
    if streamed:
        chunks = [chunk async for chunk in runtime.stream_agent(agent, "go")]
        assert [c.type for c in chunks if c.type in {"tool_call", "tool_result", "end"}] == [
            "tool_call",
            "tool_result",
            "end",
        ]
        output = chunks[-1].output
    else:
        output = await runtime.run_agent(agent, "go")
    assert output is not None
    assert (output.text, agent.state) == ("all right", "Ready")
    assert told in scripted(runtime).requests[-1].messages[-1].content


async def test_a_model_that_calls_for_ever_is_stopped(world: Any) -> None:
    runtime, agent = await world(call("raises"))
    with pytest.raises(ResourceLimitError, match="model calls limit 3"):
        await runtime.run_agent(agent, {"text": "go", "max_iterations": 3})
    assert (agent.history, agent.state) == ([], "Ready")


@pytest.mark.parametrize(("window", "most"), [(None, 200_100), (8_000, 32_000), (300, 900)])
async def test_a_huge_result_is_cut_for_the_model_but_not_for_the_caller(world: Any, window: Any, most: int) -> None:
    runtime, agent = await world(call("huge"), say("seen"), context_window=window)
    output = await runtime.run_agent(agent, "go")
    content = scripted(runtime).requests[-1].messages[-1].content
    assert len(content) < most
    assert content.endswith("characters left out]")
    assert len(output.tool_calls[0].result.data["result"]) == 5_000_000


async def test_earlier_turns_give_way_to_results(world: Any) -> None:
    runtime, agent = await world(*(say("y" * 400) for _ in range(6)), call("huge"), say("seen"), context_window=1_000)
    for _ in range(6):
        await runtime.run_agent(agent, "q" * 400)
    await runtime.run_agent(agent, "now")
    before, after = scripted(runtime).requests[-2:]
    assert len(after.messages) < len(before.messages)
    assert [m.content for m in after.messages if m.role == "user"][-1] == "now"
    assert agent.history[-1].content == "seen"


async def test_calls_of_one_id_are_told_apart(world: Any) -> None:
    runtime, agent = await world(calls(("c", "raises", {}), ("c", "huge", {}), ("", "raises", {})), say("k"))
    output = await runtime.run_agent(agent, "go")
    ids = [c.tool_id for c in output.tool_calls]
    assert (len(set(ids)), "" in ids, ids[0]) == (3, False, "c")


async def test_an_empty_answer_leaves_no_empty_turn(world: Any) -> None:
    runtime, agent = await world(say(""), call("raises"), say(""), say("at last"))
    assert (await runtime.run_agent(agent, "one")).text == ""
    assert agent.history == []
    await runtime.run_agent(agent, "two")
    await runtime.run_agent(agent, "three")
    assert all(m.content or m.tool_calls for m in agent.history)


OVERRIDES = {
    "temperature": "hot",
    "max_tokens": -1,
    "tool_choice": "nope",
    "max_iterations": "abc",
    "timeout": "soon",
    "stop": 5,
    "seed": 1.5,
    "response_schema": "x",
}


@pytest.mark.parametrize("name", OVERRIDES)
async def test_a_wrong_override_is_named_before_the_model_is_asked(world: Any, name: str) -> None:
    runtime, agent = await world(say("k"))
    with pytest.raises(ValidationError, match=f"'{name}'") as caught:
        await runtime.run_agent(agent, {"text": "x", name: OVERRIDES[name]})
    assert (caught.value.field, agent.state, scripted(runtime).requests) == (name, "Ready", [])


async def test_an_override_holds_for_one_call(world: Any) -> None:
    runtime, agent = await world(say("k"), temperature=0.5)
    await runtime.run_agent(agent, {"text": "x", "temperature": 1, "max_tokens": 7.0, "stop": "."})
    await runtime.run_agent(agent, "x")
    first, second = scripted(runtime).requests
    assert (first.temperature, first.max_tokens, first.stop) == (1, 7, ["."])
    assert (second.temperature, second.max_tokens, second.stop) == (0.5, None, [])


async def test_a_schema_that_is_none_is_found_out_when_the_agent_is_built(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("{}")])
    builder = runtime.agents.builder().name("a").model("scripted/any")
    with pytest.raises(ValidationError, match="not a JSON schema"):
        builder.response_schema({"type": "nonsense"}).build()


class Broken(Agent):
    async def respond(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        raise ConnectionResetError("odd")


async def test_no_foreign_error_leaves_an_agent(world: Any) -> None:
    runtime, _ = await world(ValueError("odd"))
    runtime.agents.add(Broken(AgentConfig("broken"), runtime))
    runtime.agents.create_composite("team", ["a"], lambda *_: 1 / 0)
    for name, what in (
        ("a", "ValueError: odd"),
        ("broken", "ConnectionResetError: odd"),
        ("team", "ZeroDivisionError"),
    ):
        with pytest.raises(ComponentError, match=what):
            await runtime.run_agent(name, "x")
        assert runtime.agents[name].metrics()["requests_failed"] == 1


async def test_what_is_no_conversation_is_not_loaded(world: Any) -> None:
    runtime, agent = await world(say("k"))
    await runtime.run_agent(agent, "x")
    for nonsense in ({"conversation": [{"no": 1}]}, [1], {"conversation": 5}):
        await runtime.state.set("agent:a", nonsense)
        with pytest.raises(StorageError, match="no conversation"):
            await agent.load_state()
    assert len(agent.history) == 2


async def test_calls_at_the_same_time_keep_their_turns_together(world: Any) -> None:
    runtime, agent = await world(lambda r: say("re:" + r.messages[-1].content))
    outputs = await asyncio.gather(*(runtime.run_agent(agent, f"q{i}") for i in range(20)))
    assert [o.text for o in outputs] == [f"re:q{i}" for i in range(20)]
    turns = [(m.role, m.content) for m in agent.history]
    assert all(turns[i + 1] == ("assistant", f"re:{turns[i][1]}") for i in range(0, 40, 2))
    assert (agent.state, agent.metrics()["requests_active"]) == ("Ready", 0)


@pytest.mark.parametrize("where", ["model", "tool", "stream", "paused"])
async def test_cancelled_wherever_it_is_an_agent_is_ready_again(world: Any, where: str) -> None:
    runtime, agent = await world(call("hangs") if where == "tool" else say("k"), say("k"))
    provider = scripted(runtime)
    provider.delay = 0 if where == "tool" else 30
    if where == "paused":
        await agent.initialize()
        await agent.start()
        await agent.pause()
        with pytest.raises(ComponentError, match="paused"):
            await runtime.run_agent(agent, "x")
        await agent.resume()
        await agent.stop()

    async def run() -> None:
        if where == "stream":
            async for _ in runtime.stream_agent(agent, "x"):
                pass
        else:
            await runtime.run_agent(agent, "x")

    task = asyncio.create_task(run())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (agent.state, agent.metrics()["requests_active"], provider.active) == ("Ready", 0, 0)
    provider.delay = 0
    provider.replies = [say("still here")]
    assert (await runtime.run_agent(agent, "x")).text == "still here"


LUA = """
local a = Agent.builder():name("a"):model("scripted/any"):allowed_tools({"calculator"}):build()
local function try(input) local ok, e = pcall(function() return a:execute(input) end) return ok and e.text or tostring(e) end
print(try({text = "x", temperature = "hot"}))
print(try({text = "x", max_iterations = 2}))
print(try("x"))
"""
JAVASCRIPT = """
const a = Agent.builder().name("a").model("scripted/any").allowedTools(["calculator"]).build();
const attempt = async (input) => { try { return (await a.execute(input)).text; } catch (e) { return e.message; } };
console.log(await attempt({text: "x", temperature: "hot"}));
console.log(await attempt({text: "x", maxIterations: 2}));
console.log(await attempt("x"));
"""


@pytest.mark.parametrize(("language", "source"), [("lua", LUA), ("javascript", JAVASCRIPT)])
def test_scripts_are_told_the_same(run_script: Any, language: str, source: str) -> None:
    replies = [call("nope"), call("nope"), say("in the end")]
    said = run_script(source, language, replies=replies).output.splitlines()
    assert "'temperature' must be a number" in said[0]
    assert "still called tools after 2 model calls" in said[1]
    assert said[2] == "in the end"
