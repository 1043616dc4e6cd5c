"""The record of a run: its tree, its sums, what it hides, and what of it survives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from llmspell_core.cli.run_tree import models
from llmspell_core.errors import ApprovalRequiredError, LLMSpellError, NotFoundError
from llmspell_core.messages import Usage
from llmspell_core.runtime import Runtime
from llmspell_core.testing.scripted import call, say
from llmspell_core.trace import Journal, Node, Span, Tracer, tree_of

MakeRuntime = Callable[..., Awaitable[Runtime]]
TRACED = {"tracing": {"enabled": True}}


def last(runtime: Runtime) -> Node:
    journal = Journal.of(runtime.config)
    tree = tree_of(journal.read(journal.find("last")))
    assert tree is not None
    return tree


async def test_nobody_watches_unless_asked(make_runtime: MakeRuntime, isolated: Path) -> None:
    runtime = await make_runtime(replies=[say("hi")])
    agent = runtime.agents.builder().name("a").model("scripted/any").build()
    await runtime.run_agent(agent, "hello")
    assert runtime.tracer is None
    assert not (isolated / "home" / "traces").exists()


async def test_an_agents_calls_lie_below_it_with_their_tokens(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime(TRACED, replies=[call("calculator", {"expression": "1+1"}), say("2")])
    agent = runtime.agents.builder().name("a").model("scripted/any").tool("calculator").build()
    await runtime.run_agent(agent, "1+1?")
    tree = last(runtime)
    assert (tree.span.kind, tree.span.name, tree.span.status) == ("agent", "a", "ok")
    assert [child.span.kind for child in tree.children] == ["model", "tool", "model"]
    assert tree.children[0].span.attributes == {"provider": "scripted", "finish_reason": "tool_calls"}
    assert (tree.usage().input_tokens, tree.usage().output_tokens) == (6, 4)
    assert (tree.span.input_tokens, tree.span.output_tokens) == (6, 4)
    assert all(span.duration_ms is not None for span in tree.every())


async def test_streamed_runs_leave_the_same_tree(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime(TRACED, replies=[call("calculator", {"expression": "1+1"}), say("2")])
    agent = runtime.agents.builder().name("a").model("scripted/any").tool("calculator").build()
    assert [chunk async for chunk in runtime.stream_agent(agent, "1+1?")][-1].type == "end"
    assert [child.span.kind for child in last(runtime).children] == ["model", "tool", "model"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_who_takes_over_a_conversation_is_in_the_same_run(make_runtime: MakeRuntime, streamed: bool) -> None:
    runtime = await make_runtime(
        {"tracing": {"enabled": True}}, replies=[call("transfer_to_agent", {"agent": "b"}), say("b here")]
    )
    builder = runtime.agents.builder().model("scripted/any")
    builder.name("b").build()
    agent = builder.name("a").handoff("b").build()
    if streamed:
        async for _ in runtime.stream_agent(agent, "hello"):
            pass
    else:
        await runtime.run_agent(agent, "hello")
    assert len(Journal.of(runtime.config).runs()) == 1
    tree = last(runtime)
    assert (tree.span.name, tree.span.attributes["handoff"]) == ("a", "b")
    assert [child.span.name for child in tree.children if child.span.kind == "agent"] == ["b"]
    assert tree.usage().total_tokens == 10


async def test_parallel_runs_do_not_mix(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime(TRACED, replies=[say("hi")])
    agents = [runtime.agents.builder().name(f"a{i}").model("scripted/any").build() for i in range(20)]
    await asyncio.gather(*(runtime.run_agent(agent, "hello") for agent in agents))
    journal = Journal.of(runtime.config)
    trees = [tree_of(journal.read(id_)) for id_ in journal.runs()]
    assert sorted(tree.span.name for tree in trees if tree) == sorted(agent.name for agent in agents)
    assert all(tree is not None and len(tree.children) == 1 for tree in trees)


async def test_failures_and_cancelled_work_are_marked(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime(TRACED)
    with pytest.raises(LLMSpellError):
        await runtime.invoke_tool("calculator", {})
    assert last(runtime).span.status == "error"
    assert last(runtime).span.error
    assert runtime.tracer is not None
    with pytest.raises(asyncio.CancelledError), runtime.tracer.span("tool", "slow"):
        raise asyncio.CancelledError
    journal = Journal.of(runtime.config)
    statuses = [span.status for id_ in journal.runs() for span in journal.read(id_)]
    assert sorted(statuses) == ["cancelled", "error"]


async def test_no_secret_is_written(make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "environment-secret")
    runtime = await make_runtime({**TRACED, "providers": {"openai": {"api_key": "configured-secret"}}})
    assert runtime.tracer is not None
    with pytest.raises(ValueError, match="secret"), runtime.tracer.span("tool", "t environment-secret"):
        raise ValueError("configured-secret and environment-secret")
    journal = Journal.of(runtime.config)
    text = (journal.folder / f"{journal.find('last')}.jsonl").read_text()
    assert "-secret" not in text
    assert "********" in text


def test_what_happened_before_a_kill_is_there(tmp_path: Path) -> None:
    program = f"""
import os, signal, pathlib
from llmspell_core.trace import Journal, Tracer
tracer = Tracer()
tracer.add(Journal(pathlib.Path({str(tmp_path)!r})))
with tracer.span("script", "s"):
    with tracer.span("tool", "done"):
        pass
    with tracer.span("tool", "open"):
        os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    journal = Journal(tmp_path)
    with (tmp_path / f"{journal.find('last')}.jsonl").open("a") as file:
        file.write('{"event": "end", "id')  # torn
    found = {span.name: span.status for span in journal.read(journal.find("last"))}
    assert found == {"s": "error", "done": "ok", "open": "error"}


def test_old_records_make_room_and_files_are_private(tmp_path: Path) -> None:
    tracer = Tracer()
    journal = Journal(tmp_path / "traces", keep=3)
    tracer.add(journal)
    for _ in range(10):
        with tracer.span("tool", "t"):
            pass
    assert 3 <= len(journal.runs()) <= 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in journal.folder.iterdir())
    with pytest.raises(NotFoundError, match="runs begin with"):
        journal.find("2")


def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def started(self, span: Span) -> None:
            raise OSError("full")

        ended = started

        def close(self) -> None: ...

    tracer = Tracer()
    tracer.add(Broken())
    with tracer.span("tool", "t") as span:
        pass
    assert span.status == "ok"
    assert "full" in caplog.text


def test_the_tree_as_data_has_totals(tmp_path: Path) -> None:
    spans = [
        Span("script", "s", "r", "1"),
        Span("model", "m", "r", "2", "1", input_tokens=5, output_tokens=1, cost_usd=0.5),
        Span("model", "m", "r", "3", "gone", input_tokens=5, output_tokens=1, cost_usd=0.25),
    ]
    tree = tree_of(spans)
    assert tree is not None
    data = json.loads(json.dumps(tree.to_dict()))
    assert data["total"] == {"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.75}
    assert len(data["children"]) == 2
    assert os.sep not in data["run_id"]


def test_a_tree_says_what_each_model_was_used_for() -> None:
    root = Node(Span("script", "s", "r", "1"))
    for number, (provider, model) in enumerate([("openai", "x"), ("openai", "x"), ("fallback", "local/y")]):
        span = Span("model", model, "r", str(number + 2), "1", attributes={"provider": provider}, model=model)
        span.use(Usage(3, 2, 0.5 if provider == "openai" else None))
        root.children.append(Node(span))
    assert [(r["provider"], r["model"], r["calls"], r["input_tokens"], r["cost_usd"]) for r in root.by_model()] == [
        ("local", "y", 1, 3, None),
        ("openai", "x", 2, 6, 1.0),
    ]
    assert models(root) == ["  local/y  1 calls  3 + 2 tokens", "  openai/x  2 calls  6 + 4 tokens  $1.0000"]
    assert models(root.children[0]) == [], "one model's use is in the tree already"


async def test_a_run_that_waits_for_consent_has_not_failed(make_runtime: MakeRuntime) -> None:
    asks = call("calculator", {"expression": "1+1"})
    runtime = await make_runtime({"tracing": {"enabled": True}}, replies=[call("b_tool", {"text": "x"}), asks])
    builder = runtime.agents.builder().model("scripted/any")
    inner = builder.name("b").ask_tool("calculator").build()
    builder.name("a").tool(inner).build()
    with pytest.raises(ApprovalRequiredError):
        await runtime.run_agent("a", "go")
    status = {span.name: span.status for span in last(runtime).every()}
    assert status == {"a": "waiting", "b_tool": "waiting", "b": "waiting", "any": "ok"}
