"""What arrives at a collector on a real socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llmspell_core.errors import ConfigurationError
from llmspell_core.runtime import Runtime
from llmspell_core.testing.engine import Probe
from llmspell_core.testing.fake_server import FakeServer, Received, Reply
from llmspell_core.testing.scripted import call, say

MakeRuntime = Callable[..., Awaitable[Runtime]]
OK = Reply(headers={"Content-Type": "application/x-protobuf"})


def spans_of(received: list[Received]) -> list[Any]:
    found = []
    for each in received:
        request = ExportTraceServiceRequest.FromString(each.body)
        found += [span for r in request.resource_spans for s in r.scope_spans for span in s.spans]
    return found


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


async def exported(make_runtime: MakeRuntime, *replies: Any, fails: bool = False) -> dict[str, Any]:
    """Name -> span, of one agent run."""
    async with FakeServer(OK) as server:
        table = {"endpoint": f"{server.url}/v1/traces", "headers": {"x-team": "blue"}}
        runtime = await make_runtime({"otel": table}, replies=replies)
        runtime.registry.register("tools", "probe", Probe())
        agent = runtime.agents.builder().name("helper").model("scripted/any").tool("probe").build()
        try:
            await runtime.run_agent(agent, "a private question")
        except Exception:
            assert fails
        await runtime.close()
        assert {r.path for r in server.received} == {"/v1/traces"}
        assert {r.headers["x-team"] for r in server.received} == {"blue"}
        assert b"private question" not in b"".join(r.body for r in server.received)
        return {span.name: span for span in spans_of(server.received)}


async def test_a_run_arrives_as_a_tree_with_the_genai_names(make_runtime: MakeRuntime) -> None:
    spans = await exported(make_runtime, call("probe", {"text": "1"}), say("2"))
    assert set(spans) == {"invoke_agent helper", "chat any", "execute_tool probe"}
    agent, model, tool = spans["invoke_agent helper"], spans["chat any"], spans["execute_tool probe"]
    assert not agent.parent_span_id
    assert model.parent_span_id == tool.parent_span_id == agent.span_id
    assert model.trace_id == tool.trace_id == agent.trace_id
    assert agent.start_time_unix_nano <= tool.start_time_unix_nano <= tool.end_time_unix_nano
    about = attributes(model)
    assert about["gen_ai.operation.name"] == "chat"
    assert about["gen_ai.provider.name"] == "scripted"
    assert about["gen_ai.request.model"] == "any"
    assert about["gen_ai.usage.input_tokens"] == 3
    assert about["gen_ai.usage.output_tokens"] == 2
    assert attributes(agent)["gen_ai.agent.name"] == "helper"
    assert attributes(tool)["gen_ai.tool.name"] == "probe"


async def test_failures_carry_their_type(make_runtime: MakeRuntime) -> None:
    from llmspell_core.errors import ProviderError

    spans = await exported(make_runtime, ProviderError("the model is gone"), fails=True)
    assert spans["chat any"].status.code == 2
    assert spans["chat any"].status.message == "the model is gone"
    assert attributes(spans["chat any"])["error.type"] == "ProviderError"


async def test_without_a_table_nothing_is_watched_and_without_an_endpoint_it_says_so(
    make_runtime: MakeRuntime,
) -> None:
    assert (await make_runtime()).tracer is None
    with pytest.raises(ConfigurationError, match="endpoint"):
        await make_runtime({"otel": {"service_name": "x"}})
