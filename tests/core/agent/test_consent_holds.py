"""What somebody agreed to is what runs, and who may agree to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, Field

from llmspell_core.agent import ApprovalRequest, Decision
from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ApprovalRequiredError, NotFoundError, SecurityError, StorageError, ValidationError
from llmspell_core.hooks import HookContext, HookResult
from llmspell_core.messages import ToolCall
from llmspell_core.provider import Completion
from llmspell_core.runtime import Runtime
from llmspell_core.testing import call, say
from llmspell_core.tool import Tool

ASKED = {"tools": {"approval": {"ask": ["deleter"]}}}


class Target(BaseModel):
    name: str = Field(validation_alias=AliasChoices("name", "target"))
    options: dict[str, Any] = {}
    recursive: bool = True


class Deleter(Tool[Target]):
    name = "deleter"
    description = "Deletes a thing."
    parameters = Target

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def run(self, params: Target, ctx: ExecutionContext) -> str:
        self.deleted.append(params.name)
        return "gone"


class Noter(Deleter):
    name = "noter"
    description = "Notes a thing."


class World:
    """A runtime with an agent that deletes, and the questions that the operator got."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.deleter, self.noter = runtime, Deleter(), Noter()
        self.asked: list[ApprovalRequest] = []
        for tool in (self.deleter, self.noter):
            runtime.registry.register("tools", tool.name, tool)

    def builder(self) -> Any:
        return self.runtime.agents.builder().name("a").model("scripted/any").tool("deleter", "noter")

    def operator(self, answer: Callable[[ApprovalRequest], Any]) -> None:
        def ask(request: ApprovalRequest) -> Any:
            self.asked.append(request)
            return answer(request)

        self.runtime.approver = ask

    async def run(self, agent: Any = None) -> Any:
        return await self.runtime.run_agent(agent or self.builder().build(), "go")

    async def waits(self, agent: Any = None) -> str:
        with pytest.raises(ApprovalRequiredError) as caught:
            await self.run(agent)
        return str(caught.value.record)


@pytest.fixture
def make_world(make_runtime: Any) -> Any:
    async def make(*replies: Any, config: dict[str, Any] | None = None) -> World:
        return World(await make_runtime(ASKED if config is None else config, replies=replies))

    return make


ASKS = call("deleter", {"name": "x"})


# -- hooks ----------------------------------------------------------------------------------------------------------


async def test_hooks_come_before_the_question_and_see_a_call_once(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))
    seen: list[str] = []

    def change(context: HookContext) -> HookResult:
        seen.append(context.data["parameters"]["name"])
        return HookResult.modified({"parameters": {"name": context.data["parameters"]["name"] + "!"}})

    world.runtime.hooks.register("BeforeToolExecution", change)
    world.operator(lambda _: True)
    await world.run()
    assert (seen, [r.parameters for r in world.asked], world.deleter.deleted) == (["x"], [{"name": "x!"}], ["x!"])


@pytest.mark.parametrize("result", [HookResult.cancel("not today"), HookResult.replace("made up"), "no word"])
async def test_nobody_is_asked_about_a_call_that_a_hook_stops(make_world: Any, result: Any) -> None:
    world = await make_world(ASKS, say("done"))
    world.runtime.hooks.register("BeforeToolExecution", lambda _: result)
    world.operator(lambda _: True)
    await world.run()
    assert (world.asked, world.deleter.deleted) == ([], [])


async def test_nobody_is_asked_about_a_call_that_cannot_be_made(make_world: Any) -> None:
    world = await make_world(call("deleter", {"nam": "x"}), say("done"))
    world.operator(lambda _: True)
    output = await world.run()
    assert (world.asked, "'name' is required" in str(output.tool_calls[0].result.error)) == ([], True)


async def test_a_hook_may_not_change_what_a_decision_brought(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))

    def other(context: HookContext) -> HookResult | None:
        given = context.data["parameters"]["name"]
        return HookResult.modified({"parameters": {"name": "z"}}) if given == "y" else None

    world.runtime.hooks.register("BeforeToolExecution", other)
    world.operator(lambda _: Decision(True, parameters={"name": "y"}))
    output = await world.run()
    assert world.deleter.deleted == []
    assert "a hook changed the parameters that were decided" in str(output.tool_calls[0].result.error)


async def test_hooks_judge_what_a_decision_brought(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))
    world.runtime.hooks.register(
        "BeforeToolExecution", lambda c: "never y" if c.data["parameters"]["name"] == "y" else None
    )
    id_ = await world.waits()
    output = await world.runtime.resume_run(id_, Decision(True, parameters={"name": "y"}))
    assert (world.deleter.deleted, "never y" in str(output.tool_calls[0].result.error)) == ([], True)


async def test_calls_beside_the_one_in_question_are_final_too(make_world: Any) -> None:
    both = call("deleter", {"name": "x"}, ("noter", {"name": "n"}))
    world = await make_world(both, say("done"))
    times: list[str] = []

    def count(context: HookContext) -> HookResult:
        times.append(context.component_name)
        return HookResult.modified({"parameters": {"name": f"{context.data['parameters']['name']}{len(times)}"}})

    world.runtime.hooks.register("BeforeToolExecution", count)
    id_ = await world.waits()
    shown = [c.parameters for _, c in (await world.runtime.records.load(id_)).unmade()]
    await world.runtime.resume_run(id_, True)
    assert shown == [{"name": "x1"}, {"name": "n2"}]
    assert (world.deleter.deleted, world.noter.deleted, times) == (["x1"], ["n2"], ["deleter", "noter"])


# -- between the question and the call ----------------------------------------------------------------------------------


async def test_nobody_can_change_a_call_while_somebody_thinks_about_it(make_world: Any) -> None:
    reply = Completion(tool_calls=[ToolCall("c", "deleter", {"name": "x", "options": {"deep": 1}})])
    world = await make_world(reply, say("done"))

    def meddle(context: HookContext) -> None:
        context.data["params"]["options"]["deep"] = 2
        context.data["params"]["name"] = "y"

    world.runtime.hooks.register("ToolValidation", meddle)
    world.operator(lambda r: r.parameters["options"].update(deep=3) or True)
    output = await world.run()
    assert (world.deleter.deleted, output.tool_calls[0].parameters["options"]) == (["x"], {"deep": 1})


async def test_another_tool_of_the_same_name_does_not_run_with_that_consent(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))

    def swap(_: ApprovalRequest) -> bool:
        world.runtime.registry.register("tools", "deleter", Deleter(), replace=True)
        return True

    world.operator(swap)
    output = await world.run()
    assert world.deleter.deleted == []
    assert "is not the one that somebody was asked about" in str(output.tool_calls[0].result.error)


async def test_a_tool_that_was_updated_meanwhile_needs_a_new_run(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))
    id_ = await world.waits()
    world.deleter.version = "9.0.0"
    output = await world.runtime.resume_run(id_, True)
    assert (world.deleter.deleted, "not the one" in str(output.tool_calls[0].result.error)) == ([], True)


async def test_the_question_tells_what_the_tool_fills_in(make_world: Any) -> None:
    world = await make_world(call("deleter", {"target": "x"}), say("done"))
    world.operator(lambda _: True)
    await world.run()
    (first,) = world.asked
    assert (first.reads, first.defaults) == (None, {"recursive": True})


@pytest.mark.parametrize("parameters", [{"target": "harmless", "name": "x"}, {"name": "x", "unknown": 1}])
async def test_nobody_is_asked_about_a_call_that_says_more_than_the_tool_reads(
    make_world: Any, parameters: dict[str, Any]
) -> None:
    world = await make_world(call("deleter", parameters), say("done"))
    world.operator(lambda _: True)
    await world.run()
    assert (world.asked, world.deleter.deleted) == ([], [])


# -- who may agree --------------------------------------------------------------------------------------------------


async def test_an_agents_own_function_cannot_allow_what_the_operator_wants_to_decide(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))
    agent = world.builder().ask_tool("deleter").on_approval(lambda _: True).build()
    id_ = await world.waits(agent)
    assert world.deleter.deleted == []
    world.operator(lambda _: False)
    await world.runtime.resume_run(id_, True)
    assert world.deleter.deleted == ["x"]


@pytest.mark.parametrize("first", [True, None, {"approved": True, "parameters": {"name": "y"}}])
async def test_the_operator_is_asked_last_and_sees_what_became_of_the_call(make_world: Any, first: Any) -> None:
    world = await make_world(ASKS, say("done"))
    world.operator(lambda _: False)
    await world.run(world.builder().on_approval(lambda _: first).build())
    expected = "y" if isinstance(first, dict) else "x"
    assert ([r.parameters["name"] for r in world.asked], world.deleter.deleted) == ([expected], [])


async def test_an_agents_own_function_may_refuse_what_the_operator_would_allow(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))
    world.operator(lambda _: True)
    await world.run(world.builder().on_approval(lambda _: False).build())
    assert (world.asked, world.deleter.deleted) == ([], [])


@pytest.mark.parametrize("word", ["Deleter", "DELETER"])
async def test_the_configuration_means_the_tool_however_it_is_spelled(make_world: Any, word: str) -> None:
    world = await make_world(ASKS, say("done"), config={"tools": {"approval": {"ask": [word]}}})
    await world.waits()
    assert world.deleter.deleted == []


async def test_an_alias_stands_for_its_tool(make_runtime: Any) -> None:
    from llmspell_core.plugins.catalog import Catalog
    from llmspell_core.plugins.registry import Registry

    runtime = await make_runtime({"tools": {"approval": {"ask": ["date_time_handler"]}}})
    if not Registry(Catalog.load()).has("tools", "datetime-handler"):
        pytest.skip("the tool with an alias is not installed")
    assert runtime.tools.needs_approval("datetime-handler")
    assert not runtime.tools.needs_approval("calculator")


@pytest.mark.parametrize("language", ["lua", "javascript"])
def test_a_script_cannot_change_what_is_asked_about(run_script: Any, language: str) -> None:
    lua = """
        local refused = 0
        for _, key in ipairs({"tools.approval.ask", "tools.approval", "tools.security.require_approval"}) do
          if not pcall(Config.set, key, key == "tools.approval" and {ask = {}} or {}) then refused = refused + 1 end
        end
        return refused
    """
    javascript = """
        let refused = 0;
        for (const key of ["tools.approval.ask", "tools.approval", "tools.security.require_approval"]) {
          try { await Config.set(key, key === "tools.approval" ? {ask: []} : []); } catch { refused += 1; }
        }
        return refused;
    """
    config = {"runtime": {"security": {"profile": "low"}}, **ASKED}
    assert run_script(lua if language == "lua" else javascript, language, config=config).value == 3


# -- saved runs -----------------------------------------------------------------------------------------------------


def _edit(data: dict[str, Any], what: str) -> None:
    (agent,) = data["waiting"].values()
    if what == "parameters":
        agent["waiting"][0]["parameters"] = {"name": "everything"}
    elif what == "unseen call":
        agent["waiting"].append({"tool_id": "c9", "tool_name": "noter", "parameters": {"name": "evil"}})
    elif what == "consent":
        agent["ask"] = []
    elif what == "other id":
        data["id"] = "run_00000000"
    else:
        del data["signature"]


@pytest.mark.parametrize("what", ["parameters", "unseen call", "consent", "other id", "signature"])
@pytest.mark.parametrize("decision", [True, False])
async def test_an_edited_record_is_refused(make_world: Any, tmp_path: Path, what: str, decision: bool) -> None:
    world = await make_world(ASKS, say("done"))
    path = tmp_path / "w.json"
    await world.runtime.records.export(await world.waits(), path)
    data = json.loads(path.read_text())
    _edit(data, what)
    path.write_text(json.dumps(data))
    with pytest.raises((SecurityError, ValidationError), match=r"changed after it was saved|is not signed"):
        await world.runtime.resume_run(path, decision)
    assert (world.deleter.deleted, world.noter.deleted) == ([], [])


async def test_a_truncated_record_is_refused(make_world: Any, tmp_path: Path) -> None:
    world = await make_world(ASKS, say("done"))
    path = tmp_path / "w.json"
    await world.runtime.records.export(await world.waits(), path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValidationError, match="is not the record of a run"):
        await world.runtime.resume_run(path, True)


async def test_a_record_under_the_name_of_another_one_is_refused(make_world: Any, tmp_path: Path) -> None:
    world = await make_world(ASKS, say("done"))
    id_ = await world.waits()
    folder = tmp_path / "home" / "approvals"
    shutil.copy(folder / f"{id_}.json", folder / "run_11111111.json")
    other = await make_world(say("done"))
    with pytest.raises(SecurityError, match=f"is the record of {id_}"):
        await other.runtime.resume_run("run_11111111", True)


async def test_another_users_record_is_refused(
    make_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await make_world(ASKS, say("done"))
    path = tmp_path / "w.json"
    await world.runtime.records.export(await world.waits(), path)
    monkeypatch.setenv("LLMSPELL_HOME", str(tmp_path / "other"))
    stranger = await make_world(ASKS, say("done"))
    with pytest.raises(StorageError, match=r"the key .* is gone"):
        await stranger.runtime.resume_run(path, True)
    await stranger.waits()
    with pytest.raises(SecurityError, match="was signed with another key") as caught:
        await stranger.runtime.resume_run(path, True)
    assert "Another user or machine saved it" in str(caught.value.hint)
    assert stranger.deleter.deleted == []


async def test_a_key_that_others_may_read_is_refused(make_world: Any, tmp_path: Path) -> None:
    world = await make_world(ASKS, say("done"))
    id_ = await world.waits()
    folder = tmp_path / "home" / "approvals"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes == {"approvals": 0o700, "key": 0o600, f"{id_}.json": 0o600}
    (folder / "key").chmod(0o644)
    with pytest.raises(SecurityError, match="others than you can read"):
        await world.runtime.resume_run(id_, True)
    (folder / "key").chmod(0o600)
    (folder / "key").write_bytes(b"short")
    with pytest.raises(StorageError, match="is damaged"):
        await world.runtime.resume_run(id_, True)


SIGN = """
import sys
from pathlib import Path
from llmspell_core.agent.signing import signed
print("ready", flush=True)
sys.stdin.readline()
print(signed({"a": 1}, Path(sys.argv[1]))["signature"]["mac"])
"""


def test_several_processes_make_one_key(tmp_path: Path) -> None:
    folder = tmp_path / "approvals"
    command = [sys.executable, "-c", SIGN, str(folder)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    for child in children:  # all are at the same place now
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    made = {child.communicate(timeout=60)[0] for child in children}
    assert len(made) == 1
    assert "".join(made).strip()
    assert [path.name for path in folder.iterdir()] == ["key"]


async def test_what_needs_consent_now_is_asked_whatever_the_record_says(make_world: Any) -> None:
    both = call("deleter", {"name": "x"}, ("noter", {"name": "n"}))
    world = await make_world(both, say("done"))
    id_ = await world.waits()
    (asked,) = (await world.runtime.records.load(id_)).requests()
    stricter = await make_world(say("done"), config={"tools": {"approval": {"ask": ["*"]}}})
    with pytest.raises(ApprovalRequiredError, match="still waits for a decision about noter"):
        await stricter.runtime.resume_run(id_, {asked.call_id: True})
    await stricter.runtime.resume_run(id_, False)
    assert (stricter.deleter.deleted, stricter.noter.deleted) == ([], [])


async def test_what_a_function_allowed_is_asked_again_once_the_operator_wants_to_decide(make_world: Any) -> None:
    both = call("noter", {"name": "n"}, ("deleter", {"name": "x"}))
    world = await make_world(both, say("done"), config={})
    agent = world.builder().ask_tool("deleter", "noter").on_approval(lambda r: r.tool == "noter" or None).build()
    id_ = await world.waits(agent)
    (asked,) = (await world.runtime.records.load(id_)).requests()
    stricter = await make_world(say("done"), config={"tools": {"approval": {"ask": ["noter"]}}})
    with pytest.raises(ApprovalRequiredError, match="still waits for a decision about noter"):
        await stricter.runtime.resume_run(id_, {asked.call_id: True})
    await stricter.runtime.resume_run(id_, True)
    assert (stricter.deleter.deleted, stricter.noter.deleted) == (["x"], ["n"])


async def test_two_agents_of_one_name_and_one_call_id_are_decided_apart(make_world: Any) -> None:
    def reply(request: Any) -> Completion:
        if request.messages[-1].role == "tool":
            return say(request.messages[-1].content)
        return Completion(tool_calls=[ToolCall("c", "deleter", {"name": request.messages[-1].content})])

    world = await make_world(*[reply] * 8)
    world.builder().build()
    steps = [{"name": n, "agent": "a", "input": n} for n in ("one", "two")]
    flow = world.runtime.workflows.make(
        "parallel", {"name": "w", "branches": [{"name": s["name"], "steps": [s]} for s in steps]}
    )
    with pytest.raises(ApprovalRequiredError) as caught:
        await world.runtime.run_workflow(flow)
    id_ = str(caught.value.record)
    asked = {r.call_id: r.parameters["name"] for r in (await world.runtime.records.load(id_)).requests()}
    assert len(asked) == 2
    await world.runtime.resume_run(id_, {key: name == "two" for key, name in asked.items()})
    assert world.deleter.deleted == ["two"]


async def test_everything_that_will_be_made_is_told_before(make_world: Any) -> None:
    both = call("deleter", {"name": "x"}, ("noter", {"name": "n"}))
    world = await make_world(both, say("done"))
    id_ = await world.waits()
    told: list[Any] = []

    def tell(record: Any) -> None:
        told.append(
            (
                [c.tool_name for _, c in record.refused()],
                [c.tool_name for _, c in record.unmade()],
                list(world.noter.deleted),
            )
        )

    await world.runtime.resume_run(id_, False, tell=tell)
    assert told == [(["deleter"], ["noter"], [])]
    assert (world.deleter.deleted, world.noter.deleted) == ([], ["n"])


async def test_of_two_decisions_at_once_one_counts(make_world: Any) -> None:
    world = await make_world(ASKS, say("done"))
    id_ = await world.waits()
    other = await make_world(say("done"))
    both = await asyncio.gather(
        world.runtime.resume_run(id_, True), other.runtime.resume_run(id_, False), return_exceptions=True
    )
    assert sum(isinstance(each, NotFoundError) for each in both) == 1
