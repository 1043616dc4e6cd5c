"""What a runtime counts."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.errors import LLMSpellError, ResourceLimitError, ValidationError
from llmspell_core.metrics import MAX_HISTOGRAMS, MAX_SERIES, WINDOW, Metrics
from llmspell_core.testing import say


def test_a_histogram_knows_its_percentiles_and_forgets_old_values() -> None:
    metrics = Metrics()
    for value in range(1, 2 * WINDOW + 1):
        metrics.histogram("h", value)
    got = metrics.get("h")
    assert isinstance(got, dict)
    assert (got["count"], got["min"], got["max"], got["avg"]) == (2048, 1, 2048, 1024.5)
    assert (got["p50"], got["p95"], got["p99"]) == (1536, 1997, 2038)


def test_labels_make_series_and_reset_takes_them_all() -> None:
    metrics = Metrics()
    metrics.increment("a", 2)
    metrics.increment("a", 3, {"y": 1, "x": "b"})
    metrics.gauge("ab", 1.5)
    assert metrics.names("a{") == ["a{x=b,y=1}"]
    metrics.reset("a")
    assert (metrics.names("a"), metrics.get("a")) == (["ab", "agent.errors", "agent.executions"], None)


@pytest.mark.parametrize("name", ["tool.executions", ""])
def test_a_built_in_or_empty_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Metrics().increment(name)


def test_a_name_keeps_its_kind() -> None:
    metrics = Metrics()
    metrics.increment("a")
    with pytest.raises(ValidationError, match="'a' is a counter, not a gauge"):
        metrics.gauge("a", 1)


def test_the_number_of_series_is_bounded() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES):
        metrics.increment("a", 1, {"id": number})
    metrics.increment("a", 1, {"id": 0})
    with pytest.raises(ResourceLimitError, match="10,000"):
        metrics.increment("a", 1, {"id": "one more"})


def test_histograms_keep_values_and_there_are_fewer_of_them() -> None:
    metrics = Metrics()
    for number in range(MAX_HISTOGRAMS):
        metrics.histogram("a", 1, {"id": number})
    metrics.histogram("a", 2, {"id": 0})
    metrics.gauge("b", 1)
    with pytest.raises(ResourceLimitError, match="2,000 histograms"):
        metrics.histogram("a", 1, {"id": "one more"})


async def test_the_parts_of_a_runtime_count(make_runtime: Any) -> None:
    runtime = await make_runtime(replies=[say("hi", input_tokens=5, output_tokens=2)])
    runtime.hooks.register("BeforeToolExecution", lambda _: None)
    await runtime.invoke_tool("calculator", {"expression": "1+1"})
    with pytest.raises(LLMSpellError):
        await runtime.invoke_tool("calculator", {})
    agent = runtime.agents.builder().model("scripted/any").build()
    await runtime.run_agent(agent, "hello")
    async for _ in runtime.stream_agent(agent, "again"):
        pass
    await runtime.state.set("global:a", 1)
    await runtime.state.get("global:a")
    got = runtime.metrics.snapshot()
    names = ("tool.executions", "tool.errors", "agent.executions", "agent.errors", "provider.tokens")
    assert [got[name] for name in names] == [2, 1, 2, 0, 14]
    assert [got[name] for name in ("hook.executions", "state.reads", "state.writes")] == [2, 1, 1]
    assert got["kernel.uptime"] > 0
