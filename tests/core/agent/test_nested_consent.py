"""A call that needs consent somewhere below: the whole run waits with one record, and goes on as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llmspell_core.agent import Agent, AgentConfig
from llmspell_core.agent.wrapped import ParameterConfig
from llmspell_core.context import ExecutionContext
from llmspell_core.errors import (
    ApprovalRequiredError,
    ComponentError,
    LLMSpellError,
    NotFoundError,
    ResourceLimitError,
    ValidationError,
)
from llmspell_core.messages import AgentInput, AgentOutput
from llmspell_core.provider import Completion, CompletionRequest
from llmspell_core.runtime import Runtime
from llmspell_core.testing import call, say
from llmspell_core.tool import Tool


class Name(BaseModel):
    name: str


class Noting(Tool[Name]):
    """A tool whose effects a test can count."""

    parameters = Name

    def __init__(self, name: str) -> None:
        self.name = name
        self.description = f"A {name}."
        self.made: list[str] = []

    async def run(self, params: Name, ctx: ExecutionContext) -> str:
        self.made.append(params.name)
        return f"{self.name} {params.name}"


class World:
    """A runtime whose agents answer by what was said to them, with a tool that needs consent and one that does not."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.deleter, self.noter = Noting("deleter"), Noting("noter")
        for tool in (self.deleter, self.noter):
            runtime.registry.register("tools", tool.name, tool)

    def agent(self, name: str, *tools: Any, **config: Any) -> Any:
        made = self.runtime.agents.builder().name(name).model("scripted/any").tool(*tools).system_prompt(name)
        return made.set(**config).build()

    def careful(self, name: str = "inner") -> Any:
        return self.agent(name, "deleter", ask_tools=("deleter",))


def by_agent(**turns: Any) -> Any:
    """A model that answers each agent (told by its system prompt) with its turns in order of its tool results."""

    def reply(request: CompletionRequest) -> Completion:
        name = request.messages[0].content
        last_user = max(i for i, m in enumerate(request.messages) if m.role == "user")
        done = sum(m.role == "assistant" for m in request.messages[last_user:])
        turn = turns[name][done]
        made: Completion = turn(request) if callable(turn) else turn
        from llmspell_core.testing.scripted import _fresh

        return _fresh(made)

    return reply


def last(request: CompletionRequest) -> Completion:
    """Says what the last tool found, or why it did not."""
    content = request.messages[-1].content
    if not content.startswith("{"):
        return say(f"done: {content}")
    found = json.loads(content)
    return say(f"done: {found['result'] if found['success'] else found['error']}")


DELETES = [call("deleter", {"name": "x"}), last]


@pytest.fixture
def make_world(make_runtime: Any) -> Any:
    async def make(**turns: Any) -> World:
        return World(await make_runtime(replies=[by_agent(**turns)]))

    return make


async def stopped(runtime: Runtime, agent: str, prompt: str = "go") -> str:
    with pytest.raises(ApprovalRequiredError, match="nobody answered; the run is saved as run_") as caught:
        await runtime.run_agent(agent, prompt)
    assert len(await runtime.records.all()) == 1
    return str(caught.value.record)


OUTER = [call("inner_tool", {"text": "delete it"}, ("noter", {"name": "n"})), last]


@pytest.mark.parametrize("decision", [True, False])
async def test_an_agent_that_is_a_tool_waits_with_its_caller_and_both_go_on(make_world: Any, decision: bool) -> None:
    world = await make_world(outer=OUTER, inner=DELETES)
    world.agent("outer", world.careful(), "noter")
    id_ = await stopped(world.runtime, "outer")
    assert (world.deleter.made, world.noter.made) == ([], ["n"])
    output = await world.runtime.resume_run(id_, decision)
    assert output.text == "done: noter n"
    assert (world.deleter.made, world.noter.made) == (["x"] if decision else [], ["n"])
    inner = output.tool_calls[0].result.data["result"]
    assert ("deleter x" in inner) if decision else ("did not allow" in inner)
    assert [m.role for m in world.runtime.agents["outer"].history][-1] == "assistant"
    assert await world.runtime.records.all() == []


async def test_it_goes_on_in_another_runtime_that_knows_no_agent(make_world: Any, tmp_path: Path) -> None:
    turns = {
        "outer": [call("ask_middle", {"text": "a"}), last],
        "middle": [call("inner_tool", {"text": "t"}), last],
        "inner": DELETES,
    }
    first = await make_world(**turns)
    first.agent("middle", first.careful())
    name = first.runtime.agents.wrap(
        first.runtime.agents["middle"], name="ask_middle", parameter_config=ParameterConfig(input_template="Do {text}")
    )
    first.agent("outer", name)
    id_ = await stopped(first.runtime, "outer")
    await first.runtime.records.export(id_, tmp_path / "waiting.json")

    second = await make_world(**turns)
    output = await second.runtime.resume_run(tmp_path / "waiting.json", "approve")
    assert "deleter x" in output.text
    assert (first.deleter.made, second.deleter.made) == ([], ["x"])
    assert second.runtime.agents["middle"].history[0].content == "Do a"


async def test_a_run_may_wait_more_than_once(make_world: Any) -> None:
    twice = [call("deleter", {"name": "x"}), call("deleter", {"name": "y"}), last]
    world = await make_world(outer=[call("inner_tool", {"text": "t"}), last], inner=twice)
    world.agent("outer", world.careful())
    id_ = await stopped(world.runtime, "outer")
    with pytest.raises(ApprovalRequiredError) as caught:
        await world.runtime.resume_run(id_, True)
    assert caught.value.record != id_
    output = await world.runtime.resume_run(str(caught.value.record), True)
    assert (world.deleter.made, "deleter y" in output.text) == (["x", "y"], True)


async def test_each_level_may_ask_about_its_own_call(make_world: Any) -> None:
    world = await make_world(outer=OUTER, inner=DELETES)
    world.agent("outer", world.careful(), "noter", ask_tools=("inner_tool", "noter"))
    id_ = await stopped(world.runtime, "outer")
    first = {r.tool: r.call_id for r in (await world.runtime.records.load(id_)).requests()}
    assert set(first) == {"inner_tool", "noter"}
    with pytest.raises(ApprovalRequiredError, match="'inner' wants to call deleter") as caught:
        await world.runtime.resume_run(id_, {first["inner_tool"]: True, first["noter"]: False})
    edited = {"approved": True, "parameters": {"name": "edited"}}
    await world.runtime.resume_run(str(caught.value.record), edited)
    assert (world.deleter.made, world.noter.made) == (["edited"], [])


async def test_for_whom_and_with_what_it_was_begun_is_known_afterwards(make_world: Any, tmp_path: Path) -> None:
    first = await make_world(inner=DELETES)
    first.careful()
    context = first.runtime.context(session_id="s", user_id="u")
    context.data.update(k={"n": [1]}, live=object())
    with pytest.raises(ApprovalRequiredError) as caught:
        await first.runtime.run_agent("inner", {"text": "go", "temperature": 0.3}, context)
    await first.runtime.records.export(str(caught.value.record), tmp_path / "w.json")
    second = await make_world(inner=DELETES)
    later = second.runtime.context()
    await second.runtime.resume_run(tmp_path / "w.json", True, later)
    assert (later.session_id, later.user_id, later.data) == ("s", "u", {"k": {"n": [1]}})
    provider = second.runtime.registry.load("providers", "scripted")()
    assert provider.requests[-1].temperature == 0.3


async def test_one_record_that_cannot_be_read_does_not_hide_the_others(
    make_world: Any, isolated: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = await make_world(inner=DELETES)
    world.careful()
    await stopped(world.runtime, "inner")
    for name, text in (("run_old", '{"version": 1}'), ("run_cut", '{"version": 2, "ro')):
        (isolated / "home" / "approvals" / f"{name}.json").write_text(text)
    assert len(await world.runtime.records.all()) == 1
    assert "run_old is left out: this record has version 1" in caplog.text


async def test_of_two_that_decide_at_the_same_time_one_goes_on(make_world: Any) -> None:
    first, second = await make_world(outer=OUTER, inner=DELETES), await make_world(outer=OUTER, inner=DELETES)
    first.agent("outer", first.careful(), "noter")
    id_ = await stopped(first.runtime, "outer")
    made = await asyncio.gather(
        *(world.runtime.resume_run(id_, True) for world in (first, second, second)), return_exceptions=True
    )
    assert [type(each).__name__ for each in made].count("AgentOutput") == 1
    assert all(isinstance(each, (AgentOutput, LLMSpellError)) for each in made)
    assert len(first.deleter.made + second.deleter.made) == 1


async def test_two_that_wait_at_the_same_time_are_decided_one_by_one(make_world: Any) -> None:
    world = await make_world(
        outer=[call("one_tool", {"text": "t"}, ("two_tool", {"text": "t"})), last],
        one=[call("deleter", {"name": "one"}), last],
        two=[call("deleter", {"name": "two"}), last],
    )
    world.agent("outer", world.careful("one"), world.careful("two"))
    id_ = await stopped(world.runtime, "outer")
    asked = {r.agent: r.call_id for r in (await world.runtime.records.load(id_)).requests()}
    await world.runtime.resume_run(id_, {asked["one"]: True, asked["two"]: False})
    assert world.deleter.made == ["one"]


async def test_a_conversation_that_was_handed_over_keeps_its_chain(make_world: Any, tmp_path: Path) -> None:
    turns = {
        "desk": [call("transfer_to_agent", {"agent": "middle"})],
        "middle": [call("transfer_to_agent", {"agent": "inner", "message": "delete it"})],
        "inner": DELETES,
    }
    first = await make_world(**turns)
    first.careful()
    first.agent("middle", handoff_targets=("inner",))
    first.agent("desk", handoff_targets=("middle",))
    id_ = await stopped(first.runtime, "desk")
    await first.runtime.records.export(id_, tmp_path / "w.json")
    output = await (await make_world(**turns)).runtime.resume_run(tmp_path / "w.json", True)
    assert output.metadata.extra["handoff_chain"] == ["desk", "middle", "inner"]
    assert output.metadata.token_count == 5 * 4
    assert output.text == "done: deleter x"


async def test_control_that_comes_back_waits_too(make_world: Any) -> None:
    world = await make_world(
        desk=[call("transfer_to_agent", {"agent": "inner", "return_control": True}), last], inner=DELETES
    )
    world.careful()
    world.agent("desk", handoff_targets=("inner",))
    output = await world.runtime.resume_run(await stopped(world.runtime, "desk"), True)
    assert output.text == "done: done: deleter x"


@pytest.mark.parametrize("routing", ["sequential", "parallel", "vote", "writer"])
async def test_a_composite_waits_and_asks_nobody_twice(make_world: Any, tmp_path: Path, routing: str) -> None:
    turns = {"writer": [call("noter", {"name": "w"}), say("inner")], "inner": DELETES}
    first = await make_world(**turns)
    first.agent("writer", "noter")
    first.careful()
    first.runtime.agents.create_composite("team", ["writer", "inner"], routing)
    id_ = await stopped(first.runtime, "team")
    assert first.noter.made == ["w"]
    await first.runtime.records.export(id_, tmp_path / "w.json")
    second = await make_world(**turns)
    output = await second.runtime.resume_run(tmp_path / "w.json", True)
    assert (second.noter.made, second.deleter.made) == ([], ["x"])
    assert routing == "vote" or "done: deleter x" in output.text


async def test_a_stream_that_waits_goes_on(make_world: Any) -> None:
    world = await make_world(desk=[call("transfer_to_agent", {"agent": "inner"})], inner=DELETES)
    world.careful()
    world.agent("desk", handoff_targets=("inner",))
    with pytest.raises(ApprovalRequiredError) as caught:
        async for _ in world.runtime.stream_agent("desk", "go"):
            pass
    output = await world.runtime.resume_run(str(caught.value.record), True)
    assert output.metadata.extra["handoff_chain"] == ["desk", "inner"]
    assert world.deleter.made == ["x"]


class Own(Agent):
    async def respond(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        assert context.desk is not None
        answer = await context.desk.run_agent("inner", input, context)
        return AgentOutput(f"own: {answer.text}")


async def test_code_of_a_program_goes_on_only_in_that_program(make_world: Any, tmp_path: Path) -> None:
    first = await make_world(inner=DELETES)
    first.careful()
    first.runtime.agents.add(Own(AgentConfig("own"), first.runtime))
    id_ = await stopped(first.runtime, "own")
    await first.runtime.records.export(id_, tmp_path / "w.json")
    second = await make_world(inner=DELETES)
    with pytest.raises(ComponentError, match="'own', which is a Own: only the program"):
        await second.runtime.resume_run(tmp_path / "w.json", True)
    assert (await first.runtime.resume_run(id_, True)).text == "own: done: deleter x"


async def test_a_tool_that_is_missing_is_told_before_anything_is_done(make_runtime: Any, make_world: Any) -> None:
    first = await make_world(outer=OUTER, inner=DELETES)
    first.agent("outer", first.careful(), "noter")
    id_ = await stopped(first.runtime, "outer")
    bare = await make_runtime()
    with pytest.raises(NotFoundError, match=r"noter|deleter"):
        await bare.resume_run(id_, True)
    assert len(await bare.records.all()) == 1


async def test_what_was_used_before_the_question_counts_after_it(make_world: Any) -> None:
    world = await make_world(outer=[call("inner_tool", {"text": "t"}), last], inner=DELETES)
    world.careful()
    boss = world.runtime.agents.builder().name("outer").model("scripted/any").system_prompt("outer")
    boss = boss.tool(world.runtime.agents["inner"]).limits(max_tool_calls=2, max_total_tokens=400)
    boss.build()
    id_ = await stopped(world.runtime, "outer")
    output = await world.runtime.resume_run(id_, True)
    assert output.metadata.token_count == 20
    assert output.metadata.extra["usage_by_agent"]["inner"]["input_tokens"] == 6
    boss.name("strict").limits(max_tool_calls=1).build()
    with pytest.raises(ResourceLimitError, match="tool calls limit 1"):
        await world.runtime.run_agent("strict", "go")


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in plain data."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _edited(data: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(data))
    target: Any = copied
    for key in path[:-1]:
        target = target[key]
    if value is GONE:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return copied


GONE = object()


@pytest.mark.parametrize("value", [GONE, None, 7, "zz", [], {"a": 1}], ids=["gone", "null", "7", "zz", "list", "table"])
async def test_an_edited_record_goes_on_or_says_what_is_wrong(make_world: Any, tmp_path: Path, value: Any) -> None:
    world = await make_world(outer=OUTER, inner=DELETES)
    world.agent("outer", world.careful(), "noter")
    path = tmp_path / "waiting.json"
    await world.runtime.records.export(await stopped(world.runtime, "outer"), path)
    data = json.loads(path.read_text())
    for place in _places(data):
        path.write_text(json.dumps(_edited(data, place, value)))
        other = await make_world(outer=OUTER, inner=DELETES)
        with contextlib.suppress(LLMSpellError):
            await other.runtime.resume_run(str(path), "approve")
        assert len(other.deleter.made) <= 1


@pytest.mark.parametrize("left", [0, 1, 0.5, 0.99])
async def test_a_record_that_was_cut_off_is_refused(make_world: Any, tmp_path: Path, left: float) -> None:
    world = await make_world(outer=OUTER, inner=DELETES)
    world.agent("outer", world.careful(), "noter")
    path = tmp_path / "waiting.json"
    await world.runtime.records.export(await stopped(world.runtime, "outer"), path)
    text = path.read_text()
    path.write_text(text[: left if isinstance(left, int) else int(len(text) * left)])
    with pytest.raises(ValidationError, match="is not the record of a run"):
        await world.runtime.resume_run(str(path), "approve")
    assert world.deleter.made == []


async def test_a_record_is_written_whole_or_not_at_all(make_world: Any, tmp_path: Path) -> None:
    world = await make_world(inner=DELETES)
    world.careful()
    id_ = await stopped(world.runtime, "inner")
    path = tmp_path / "waiting.json"
    path.write_text("what was there")
    held = path.open()
    await world.runtime.records.export(id_, path)
    with held:
        assert held.read() == "what was there"  # the file was replaced, not written over
    assert json.loads(path.read_text())["id"] == id_
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []
