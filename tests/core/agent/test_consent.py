"""Consent to tool calls, limits, and answers that follow a schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llmspell_core.agent import Decision
from llmspell_core.context import ExecutionContext
from llmspell_core.errors import (
    ApprovalRequiredError,
    NotFoundError,
    ResourceLimitError,
    ValidationError,
)
from llmspell_core.messages import Usage
from llmspell_core.provider import Completion
from llmspell_core.runtime import Runtime
from llmspell_core.testing import ScriptedProvider, call, say
from llmspell_core.tool import Tool


class Target(BaseModel):
    name: str


class Deleter(Tool[Target]):
    name = "deleter"
    description = "Deletes a thing."
    parameters = Target

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def run(self, params: Target, ctx: ExecutionContext) -> str:
        self.deleted.append(params.name)
        return "gone"


async def world(make_runtime: Any, *replies: Any, config: dict[str, Any] | None = None) -> tuple[Runtime, Deleter]:
    runtime = await make_runtime(config, replies=replies)
    deleter = Deleter()
    runtime.registry.register("tools", "deleter", deleter)
    return runtime, deleter


def careful(runtime: Runtime) -> Any:
    return runtime.agents.builder().name("a").model("scripted/any").ask_tool("deleter").api_key("k-123")


ASKS = call("deleter", {"name": "x"})


async def test_the_callback_decides_and_may_change_the_call(make_runtime: Any) -> None:
    runtime, deleter = await world(make_runtime, ASKS, say("done"))
    agent = (
        careful(runtime).on_approval(lambda r: Decision(True, parameters={"name": r.parameters["name"] * 2})).build()
    )
    assert (await runtime.run_agent(agent, "go")).text == "done"
    assert deleter.deleted == ["xx"]


async def test_a_denied_call_is_not_made_and_the_model_is_told_why(make_runtime: Any) -> None:
    runtime, deleter = await world(make_runtime, ASKS, say("all right"))
    runtime.approver = lambda _: {"approved": False, "reason": "too dear"}
    output = await runtime.run_agent(careful(runtime).build(), "go")
    assert deleter.deleted == []
    assert "too dear" in str(output.tool_calls[0].result.error)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "config", [{"tools": {"approval": {"ask": ["deleter"]}}}, {"tools": {"security": {"require_approval": True}}}]
)
async def test_the_configuration_marks_tools_too(make_runtime: Any, config: dict[str, Any]) -> None:
    runtime, deleter = await world(make_runtime, ASKS, config=config)
    agent = runtime.agents.builder().name("a").model("scripted/any").tool("deleter").build()
    with pytest.raises(ApprovalRequiredError, match="nobody answered"):
        await runtime.run_agent(agent, "go")
    assert deleter.deleted == []


async def test_a_run_that_waits_goes_on_in_another_runtime(make_runtime: Any, tmp_path: Path) -> None:
    runtime, _ = await world(make_runtime, say("hello"), ASKS)
    agent = careful(runtime).build()
    await runtime.run_agent(agent, "hi")
    with pytest.raises(ApprovalRequiredError) as caught:
        await runtime.run_agent(agent, "go")
    record = str(caught.value.record)
    await runtime.records.export(record, tmp_path / "waiting.json")
    text = (tmp_path / "waiting.json").read_text()
    assert "k-123" not in text
    assert (tmp_path / "waiting.json").stat().st_mode & 0o077 == 0

    other, deleter = await world(make_runtime, say("it is gone"))
    output = await other.resume_run(tmp_path / "waiting.json", "approve")
    assert (output.text, deleter.deleted) == ("it is gone", ["x"])
    said = [m.content for m in other.agents["a"].history]  # type: ignore[attr-defined]
    assert said[:3] == ["hi", "hello", "go"]
    for again in (record, tmp_path / "waiting.json"):
        for runtime_of_it in (other, runtime):
            with pytest.raises(NotFoundError, match=f"somebody has decided about run '{record}' already"):
                await runtime_of_it.resume_run(again, "approve")
    assert deleter.deleted == ["x"]


async def test_each_waiting_call_needs_its_decision(make_runtime: Any) -> None:
    both = call("deleter", {"name": "x"}, ("deleter", {"name": "y"}))
    runtime, deleter = await world(make_runtime, both, say("one is gone"))
    agent = careful(runtime).build()
    with pytest.raises(ApprovalRequiredError) as caught:
        await runtime.run_agent(agent, "go")
    id_ = str(caught.value.record)
    first, second = [r.call_id for r in (await runtime.records.load(id_)).requests()]
    with pytest.raises(ApprovalRequiredError, match="still waits"):
        await runtime.resume_run(id_, {first: True})
    output = await runtime.resume_run(id_, {first: True, second: False})
    assert (output.text, deleter.deleted) == ("one is gone", ["x"])


async def test_what_is_no_record_is_refused(make_runtime: Any, tmp_path: Path) -> None:
    runtime = await make_runtime()
    for text in ("{", "[]", '{"version": 1}', '{"version": 9}'):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(ValidationError):
            await runtime.resume_run(tmp_path / "r.json", True)
    with pytest.raises(ValidationError, match="not the id of a run"):
        await runtime.resume_run("../secret", True)


def test_a_waiting_run_is_decided_on_the_command_line(run_script: Any, invoke_cli: Any) -> None:
    made = run_script(
        """
        local a = Agent.builder():name("a"):model("scripted/any"):ask_tool("calculator"):build()
        local ok, err = pcall(function() return a:execute("go") end)
        print(ok, err)
        """,
        replies=[call("calculator", {"expression": "1+1"})],
    )
    assert made.output.startswith("false")
    assert "needs consent" in made.output
    shown = json.loads(invoke_cli("agent", "pending", "--output", "json").assert_success().stdout)
    assert (shown["count"], shown["waiting"][0]["tool"]) == (1, "calculator")
    nothing = invoke_cli("agent", "resume", shown["waiting"][0]["record"])
    assert (nothing.exit_code, "--approve" in nothing.stderr) == (2, True)


# -- limits ---------------------------------------------------------------------------------------------------------


async def test_tokens_are_limited_and_the_rest_caps_the_answer(make_runtime: Any) -> None:
    runtime, _ = await world(make_runtime, ASKS)
    agent = runtime.agents.builder().name("a").model("scripted/any").tool("deleter").max_total_tokens(60).build()
    with pytest.raises(ResourceLimitError, match="tokens limit 60"):
        await runtime.run_agent(agent, "go")
    guarded: Any = (await runtime.providers.for_agent(agent.config))[0]
    provider = guarded.inner
    assert isinstance(provider, ScriptedProvider)
    assert provider.requests[0].max_tokens is not None
    assert provider.requests[0].max_tokens < 60


async def test_money_is_limited(make_runtime: Any) -> None:
    def dear(_: Any) -> Completion:
        made = call("deleter", {"name": "x"})
        made.usage = Usage(3, 2, cost_usd=0.4)
        return made

    runtime, deleter = await world(make_runtime, dear)
    agent = runtime.agents.builder().name("a").model("scripted/any").tool("deleter").max_cost_usd(0.5).build()
    with pytest.raises(ResourceLimitError, match=r"cost in USD limit 0\.5"):
        await runtime.run_agent(agent, "go")
    assert len(deleter.deleted) == 2


# -- structured answers ---------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


async def test_an_answer_that_does_not_fit_is_repaired_once(make_runtime: Any) -> None:
    runtime, _ = await world(make_runtime, say('{"age": "old"}'), say('```json\n{"age": 7}\n```'))
    agent = runtime.agents.builder().name("a").model("scripted/any").response_schema(SCHEMA).build()
    output = await runtime.run_agent(agent, "how old?")
    assert output.metadata.extra["parsed"] == {"age": 7}
    assert [m.role for m in agent.history] == ["user", "assistant"]
    guarded: Any = (await runtime.providers.for_agent(agent.config))[0]
    provider = guarded.inner
    assert isinstance(provider, ScriptedProvider)
    assert "age" in provider.requests[1].messages[-1].content


async def test_an_answer_that_never_fits_is_an_error(make_runtime: Any) -> None:
    runtime, _ = await world(make_runtime, say("seven"))
    agent = runtime.agents.builder().name("a").model("scripted/any").response_schema(SCHEMA).build()
    with pytest.raises(ValidationError, match="not JSON"):
        await runtime.run_agent(agent, "how old?")
