"""Hooks: what a chain does with each kind of result, in which order, and what a broken hook may not do."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ApprovalRequiredError, CancelledByHookError, PluginError, ValidationError
from llmspell_core.hooks import HOOK_POINTS, HookContext, HookResult, Hooks, parse_point
from llmspell_core.hooks import specs as specs_module
from llmspell_core.hooks.plugins import hookimpl
from llmspell_core.testing import call, say
from llmspell_core.tool import NoParameters, Tool

POINT = "BeforeToolExecution"


def context(**data: object) -> HookContext:
    return HookContext(POINT, "calculator", "tool", {"parameters": {"a": 1}, **data}, "c-1")


def test_every_point_has_one_documented_spec_and_every_spec_a_point() -> None:
    specs = {n: f for n, f in vars(specs_module).items() if n.startswith("llmspell_")}
    assert len(HOOK_POINTS) == 43
    assert {parse_point(n.removeprefix("llmspell_")) for n in specs} == set(HOOK_POINTS)
    assert all(re.search(r"\w", f.__doc__ or "") for f in specs.values())


@pytest.mark.parametrize("name", ["custom:mine", "Custom:mine", "kernel_PreCodeExecution", "artifact:before_create"])
def test_custom_points_are_accepted(name: str) -> None:
    assert parse_point(name)


def test_an_unknown_point_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match="Unknown hook point: BeforeToolExecutoin") as caught:
        Hooks().register("BeforeToolExecutoin", print)
    assert "BeforeToolExecution" in str(caught.value.hint)


async def test_hooks_run_by_priority_then_by_registration() -> None:
    hooks = Hooks()
    seen: list[str] = []
    for name, priority in [("b", None), ("d", "low"), ("a", "highest"), ("c", 0)]:
        hooks.register(POINT, lambda _c, name=name: seen.append(name), priority, name=name)
    await hooks.run(context())
    assert seen == ["a", "b", "c", "d"]


@pytest.mark.parametrize("value", [None, True, "continue", "skip", {"type": "skipped"}, {}, 7])
async def test_these_values_let_the_operation_go_on(value: object) -> None:
    hooks = Hooks()
    hooks.register(POINT, lambda _c: value)
    outcome = await hooks.run(context())
    assert not outcome.replaced
    assert not outcome.modified


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("cancle", "'cancle' (did you mean 'cancel'?)"),
        ("not today", "'not today', which is no answer"),
        (False, "false"),
        ({"type": "modifed", "data": {}}, "the type 'modifed' (did you mean 'modified'?)"),
        ({"data": {}}, "a table without a type"),
        ({"type": "modified", "dta": {}}, "unknown field 'dta' (did you mean 'data'?)"),
    ],
)
async def test_an_answer_that_does_not_exist_fails_the_operation(value: object, told: str) -> None:
    hooks = Hooks()
    hooks.register(POINT, lambda _c: value, name="guard")
    with pytest.raises(ValidationError, match="hook 'guard' at BeforeToolExecution") as caught:
        await hooks.run(context())
    assert told in caught.value.message
    assert caught.value.hint is not None


@pytest.mark.parametrize("value", [{"type": "cancel", "reason": "no"}, HookResult.cancel("no")])
async def test_cancel_raises_with_the_reason(value: object) -> None:
    hooks = Hooks()
    hooks.register(POINT, lambda _c: value, name="guard")
    with pytest.raises(CancelledByHookError, match="no") as caught:
        await hooks.run(context())
    assert "guard" in str(caught.value.hint)


@pytest.mark.parametrize("changes", [{"parameters": {"b": 2}}, {"b": 2}])
async def test_modified_data_is_merged_and_seen_by_later_hooks(changes: dict[str, object]) -> None:
    hooks = Hooks()
    seen: list[object] = []
    hooks.register(POINT, lambda _c: {"action": "modified", "modifiedData": changes}, name="one")
    hooks.register(POINT, lambda c: seen.append(dict(c.data["parameters"])), name="two")
    outcome = await hooks.run(context())
    assert outcome.modified
    assert seen == [{"a": 1, "b": 2}]


async def test_replace_ends_the_chain() -> None:
    hooks = Hooks()
    seen: list[int] = []
    hooks.register(POINT, lambda _c: {"type": "replace", "data": 42}, name="one")
    hooks.register(POINT, lambda _c: seen.append(1), name="two")
    outcome = await hooks.run(context())
    assert outcome.replaced
    assert outcome.value == 42
    assert seen == []


async def test_a_hook_that_raises_is_logged_and_the_chain_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    hooks.register(POINT, lambda _c: 1 / 0, name="broken")
    hooks.register(POINT, lambda _c: {"type": "replace", "data": "still here"}, name="after")
    assert (await hooks.run(context())).value == "still here"
    assert "broken" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_slow_hook_is_stopped_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    stopped = asyncio.Event()

    async def slow(_context: HookContext) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return "cancel"

    hooks.register(POINT, slow, timeout=0.02)
    await hooks.run(context())
    assert stopped.is_set()
    assert "took longer" in caplog.text


async def test_a_result_that_the_point_cannot_honour_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    hooks.register(POINT, lambda _c: {"type": "redirect", "target": "other"}, name="redirector")
    for _ in range(3):
        await hooks.run(context())
    assert caplog.text.count("cannot honour 'redirect'") == 1


def test_unregister_is_idempotent_and_silences_the_point() -> None:
    hooks = Hooks()
    handle = hooks.register(POINT, print)
    assert hooks.any_active(POINT)
    assert [h.id for h in hooks.registered(POINT)] == [handle.id]
    assert handle.unregister() is True
    assert handle.unregister() is False
    assert not hooks.any_active(POINT)


def test_the_same_name_twice_at_one_point_is_refused() -> None:
    hooks = Hooks()
    hooks.register(POINT, print, name="x")
    hooks.register("AfterToolExecution", print, name="x")
    with pytest.raises(ValidationError, match="already registered"):
        hooks.register(POINT, print, name="x")


async def test_a_hook_may_unregister_itself_while_the_chain_runs() -> None:
    hooks = Hooks()
    seen: list[str] = []
    handle = hooks.register(POINT, lambda _c: (seen.append("once"), handle.unregister(), None)[2], name="once")
    hooks.register(POINT, lambda _c: seen.append("always"), name="always")
    await hooks.run(context())
    await hooks.run(context())
    assert seen == ["once", "always", "always"]


class Plugin:
    @hookimpl
    def llmspell_before_tool_execution(self, context: HookContext) -> HookResult:
        return HookResult.modified({"by": "plugin"})

    @hookimpl(tryfirst=True)
    def llmspell_after_tool_execution(self) -> None:
        """Takes fewer arguments than the spec."""


async def test_a_pluggy_plugin_joins_the_same_chain() -> None:
    hooks = Hooks()
    handles = hooks.load_plugin(Plugin(), "mine")
    assert {(h.point, h.priority) for h in handles} == {(POINT, 0), ("AfterToolExecution", -100)}
    given = context(by=None)
    await hooks.run(given)
    assert given.data["by"] == "plugin"
    await hooks.run(given.at("AfterToolExecution", result={"text": "x"}))


def test_a_plugin_whose_signature_does_not_fit_is_refused_at_the_door() -> None:
    class Wrong:
        @hookimpl
        def llmspell_before_tool_execution(self, contxt: object) -> None: ...

    with pytest.raises(PluginError, match="contxt") as caught:
        Hooks().load_plugin(Wrong(), "wrong")
    assert "hooks.specs" in str(caught.value.hint)


class Keeper(Tool[NoParameters]):
    name = "keeper"
    description = "Writes a value of its own."
    parameters = NoParameters

    async def run(self, params: NoParameters, ctx: ExecutionContext) -> str:
        await ctx.require_desk().state.set("tool:keeper:last", "by a tool")
        return str(await ctx.require_desk().state.get("tool:keeper:last"))


async def test_state_hooks_see_every_writer_and_every_reader(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("hello")])
    runtime.tools.offer(Keeper())
    seen: dict[str, list[str]] = {"BeforeStateWrite": [], "AfterStateRead": []}
    for point, keys in seen.items():
        runtime.hooks.register(point, lambda hook, keys=keys: keys.append(hook.data["key"]))
    agent = runtime.agents.builder().name("a").model("scripted/any").build()
    await runtime.run_agent(agent, "hi")
    await agent.save_state()
    await runtime.state.set("global:python", 1)
    assert (await runtime.invoke_tool("keeper")).metadata.extra["response"]["result"] == "by a tool"
    assert (await runtime.run_script('State.set("script", 2) return State.get("script")', engine="lua")).value == 2
    workflow = runtime.workflows.make("sequential", [{"name": "s", "tool": "keeper"}])
    await runtime.run_workflow(workflow)
    written, read = seen["BeforeStateWrite"], seen["AfterStateRead"]
    assert {"agent:a", "global:python", "tool:keeper:last", "global:script"} <= set(written)
    assert any(key.startswith("workflow:") for key in written)
    assert {"tool:keeper:last", "global:script"} <= set(read)


async def test_no_hook_sees_the_records_of_runs_that_wait(make_runtime: Any) -> None:
    runtime = await make_runtime({"tools": {"approval": {"ask": ["keeper"]}}}, replies=[call("keeper", {})])
    runtime.tools.offer(Keeper())
    keys: list[str] = []
    runtime.hooks.register("BeforeStateWrite", lambda hook: keys.append(hook.data["key"]))
    agent = runtime.agents.builder().name("a").model("scripted/any").tool("keeper").build()
    with pytest.raises(ApprovalRequiredError):
        await runtime.run_agent(agent, "hi")
    assert len(await runtime.records.all()) == 1
    assert [key for key in keys if key.startswith("approval")] == []


async def test_discovery_hooks_fire_for_python_and_for_scripts(make_runtime: Any) -> None:
    runtime = await make_runtime()
    runtime.hooks.register("AfterToolDiscovery", lambda _: HookResult.modified({"result": ["only"]}))
    assert await runtime.tools.discover() == ["only"]
    assert (await runtime.run_script("return Tool.discover()", engine="lua")).value == ["only"]
    assert (await runtime.run_script("return Tool.discover()", engine="javascript")).value == ["only"]


@pytest.mark.parametrize(("language", "nothing"), [("lua", "function() end"), ("javascript", "() => {}")])
async def test_what_is_no_priority_is_named_as_that(make_runtime: Any, language: str, nothing: str) -> None:
    runtime = await make_runtime()
    table = '{priorty = "high"}' if language == "lua" else '{priorty: "high"}'
    for wrong in (table, "true", '"hihg"'):
        with pytest.raises(Exception, match="is not a priority") as caught:
            await runtime.run_script(f'Hook.register("BeforeToolExecution", {nothing}, {wrong})', engine=language)
        assert "one of" in str(getattr(caught.value, "hint", ""))
