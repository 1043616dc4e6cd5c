"""What a script gets of an answer that comes piece by piece: docs/how-to/streaming.md."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import NetworkError, ScriptError
from llmspell_core.messages import AgentChunk
from llmspell_core.provider import CompletionRequest
from llmspell_core.runtime import Runtime
from llmspell_core.testing.scripted import ScriptedProvider, call, say

MakeRuntime = Callable[..., Awaitable[Runtime]]
LANGUAGES = ["lua", "javascript"]
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "streaming.md"


class Talking(ScriptedProvider):
    """A model whose arguments are seen while it writes them; as some provider of somebody else's, it calls them text."""

    async def stream(self, request: CompletionRequest) -> AsyncIterator[AgentChunk]:
        async for chunk in super().stream(request):
            if chunk.type == "tool_call":
                about = {"call_id": chunk.call_id, "tool_name": chunk.tool_name}
                yield AgentChunk("tool_call_progress", '{"expr', **about, arguments='{"expr')
                yield AgentChunk("tool_call_progress", '{"expression": "1"}', **about, arguments='{"expression": "1"}')
            yield chunk


def calculating(text: str) -> Any:
    made = call("calculator", {"expression": "6 * 7"})
    made.text = text
    return made


ALL = {
    "lua": """
        local agent = Agent.builder():name("a"):model("talking/any"):tool("calculator"):build()
        local pulled, pushed = {}, {}
        for chunk in agent:stream("go") do pulled[#pulled + 1] = chunk end
        agent[ARGS[1]](agent, "go", {temperature = 0}, function(chunk) pushed[#pushed + 1] = chunk end)
        return {pulled, pushed}""",
    "javascript": """
        const agent = Agent.builder().name("a").model("talking/any").tool("calculator").build();
        const pulled = [], pushed = [];
        for await (const chunk of agent.stream("go")) pulled.push(chunk);
        await agent[ARGS[1]]("go", {temperature: 0}, (chunk) => { pushed.push(chunk); });
        return [pulled, pushed];""",
}


async def chunks_of(
    make_runtime: MakeRuntime, language: str, name: str = "invoke_stream"
) -> list[list[dict[str, Any]]]:
    runtime = await make_runtime()
    replies = [calculating("Let me see. "), say("It is 42.")]
    runtime.registry.register("providers", "talking", Talking.serving(*replies, *replies))
    result = await runtime.run_script(ALL[language], engine=language, args=[name])
    found: list[list[dict[str, Any]]] = result.value
    return found


@pytest.mark.parametrize("name", ["invoke_stream", "invokeStream", "stream"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_text_of_a_chunk_is_the_new_piece_and_the_whole_is_at_the_end(
    make_runtime: MakeRuntime, language: str, name: str
) -> None:
    for chunks in await chunks_of(make_runtime, language, name):
        assert [chunk["index"] for chunk in chunks] == list(range(len(chunks)))
        for name in ("text", "content", "response"):
            assert "".join(chunk[name] for chunk in chunks) == "Let me see. It is 42."
        assert {chunk["type"] for chunk in chunks if chunk["text"]} == {"text"}
        assert [chunk["is_final"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert chunks[-1]["output"]["text"] == "It is 42."
        assert [c["result"]["success"] for c in chunks[-1]["output"]["tool_calls"]] == [True]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_call_is_seen_while_it_is_written_made_and_answered(make_runtime: MakeRuntime, language: str) -> None:
    for chunks in await chunks_of(make_runtime, language):
        calls = [chunk for chunk in chunks if "call" in chunk["type"] or "result" in chunk["type"]]
        assert [c["type"] for c in calls] == ["tool_call_progress"] * 2 + ["tool_call", "tool_result"]
        assert [c["arguments"] for c in calls[:2]] == ['{"expr', '{"expression": "1"}']
        assert {c["tool_name"] for c in calls} == {"calculator"}
        assert len({c["call_id"] for c in calls}) == 1
        assert calls[2]["call"]["parameters"] == {"expression": "6 * 7"}
        assert calls[3]["call"]["result"]["data"]["result"]["value"] == 42


async def test_the_page_names_every_type_and_field_that_comes(make_runtime: MakeRuntime) -> None:
    pulled, _ = await chunks_of(make_runtime, "lua")
    named = set(re.findall(r"`(\w+)`", PAGE.read_text("utf-8")))
    came = {chunk["type"] for chunk in pulled} | {key for chunk in pulled for key in chunk}
    assert came - named == set()


RESTARTS = {
    "lua": """
        local schema = {type = "object", properties = {n = {type = "integer"}}, required = {"n"}}
        local agent, text, whole = Agent.builder():name("a"):model("scripted/any"):response_schema(schema):build(), "", nil
        for chunk in agent:stream("go") do
          text = chunk.type == "restart" and "" or text .. chunk.text
          whole = chunk.output
        end
        return {text, whole.text, whole.data}""",
    "javascript": """
        const schema = {type: "object", properties: {n: {type: "integer"}}, required: ["n"]};
        const agent = Agent.builder().name("a").model("scripted/any").responseSchema(schema).build();
        let text = "", whole;
        for await (const chunk of agent.stream("go")) {
          text = chunk.type === "restart" ? "" : text + chunk.text;
          whole = chunk.output;
        }
        return [text, whole.text, whole.data];""",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_answer_that_comes_once_more_is_announced(make_runtime: MakeRuntime, language: str) -> None:
    runtime = await make_runtime(replies=[say("I think it is 7"), say('{"n": 7}')])
    result = await runtime.run_script(RESTARTS[language], engine=language)
    assert result.value == ['{"n": 7}', '{"n": 7}', {"n": 7}]


async def test_python_gets_the_same_pieces(make_runtime: MakeRuntime) -> None:
    runtime = await make_runtime()
    runtime.registry.register("providers", "talking", Talking.serving(calculating("So. "), say("It is 42.")))
    agent = runtime.agents.builder().name("a").model("talking/any").tool("calculator").build()
    chunks = [chunk async for chunk in runtime.stream_agent(agent, "go")]
    assert "".join(chunk.text for chunk in chunks) == "So. It is 42."
    assert [chunk.arguments for chunk in chunks if chunk.type == "tool_call_progress"][-1] == '{"expression": "1"}'
    assert chunks[-1].output is not None
    assert chunks[-1].output.text == "It is 42."


BUILT = {
    "lua": 'local agent = Agent.builder():name("a"):model("scripted/any"):build()',
    "javascript": 'const agent = Agent.builder().name("a").model("scripted/any").build();',
}
FAILING = [
    ("lua", "\nfor _ in agent:stream('go') do end"),
    ("lua", "\nlocal s = agent:stream('go')\ns:next()"),
    ("lua", "\n\nagent:stream('go'):collect()"),
    ("javascript", "\n\nfor await (const _ of agent.stream('go')) ;"),
    ("javascript", "\nawait agent.stream('go').next();"),
    ("javascript", "\nawait agent.stream('go', () => 1);"),
]


@pytest.mark.parametrize(("language", "source"), FAILING)
async def test_a_model_that_fails_is_the_error_of_the_line_that_took_the_chunk(
    make_runtime: MakeRuntime, language: str, source: str
) -> None:
    runtime = await make_runtime(replies=[NetworkError("nobody answers")])
    code = BUILT[language] + source
    with pytest.raises(ScriptError, match="nobody answers") as caught:
        await runtime.run_script(code, engine=language)
    assert caught.value.line == len(code.splitlines())
