"""Every answer of `tests/cases/providers`, through an agent: a valid message, or an error that names what happened.

`tests/cases/providers.toml` says for each case what comes of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import LLMSpellError
from llmspell_core.messages import AgentInput, AgentOutput
from llmspell_core.provider import Completion
from llmspell_core.provider.reading import arguments_of, tool_call_of
from llmspell_core.runtime import Runtime
from llmspell_core.testing.replay import Replay
from llmspell_core.testing.scripted import say

CASES = Path(__file__).parents[1] / "cases" / "providers"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads(CASES.with_suffix(".toml").read_text("utf-8"))
TOOLS = ("calculator", "uuid-generator", "datetime-handler", "json-processor", "file-operations", "http-request")


def modes(case: str) -> Iterator[str]:
    """Whether the case is about whole answers, streams, or both."""
    endings = {path.suffix for path in (CASES / case).iterdir() if path.name.startswith("1.")} or {".json"}
    if endings & {".json", ".raw"}:
        yield "whole"
    if endings & {".sse", ".sse1", ".ndjson"} or (endings == {".raw"} and not (CASES / case / "2.json").exists()):
        yield "stream"


async def answer_of(runtime: Runtime, case: str, mode: str) -> tuple[Any, AgentOutput | LLMSpellError]:
    agent = runtime.agents.builder().name(f"{case}-{mode}").model(f"{case}/m").tool(*TOOLS).build()
    try:
        if mode == "whole":
            return agent, await runtime.run_agent(agent, "hi")
        ends = [chunk.output async for chunk in runtime.stream_agent(agent, "hi") if chunk.type == "end"]
        assert ends[-1] is not None
        return agent, ends[-1]
    except LLMSpellError as error:
        return agent, error


def seen(agent: Any, found: AgentOutput | LLMSpellError) -> dict[str, Any]:
    """What happened, in the words of the table."""
    if isinstance(found, LLMSpellError):
        return {"error": type(found).__name__, "message": found.message, "hint": found.hint}
    calls = [f"{call.tool_name} {json.dumps(call.parameters, ensure_ascii=False)}" for call in found.tool_calls]
    told = [call.result.error for call in found.tool_calls if call.result is not None and not call.result.success]
    usage = [agent.usage.input_tokens, agent.usage.output_tokens]
    assert all(type(count) is int for count in usage), f"counts are no whole numbers: {usage}"
    finish = found.metadata.extra["finish_reason"]
    return {"text": found.text, "calls": calls, "told": told, "finish": finish, "usage": usage}


def wrong(expected: dict[str, Any], happened: dict[str, Any]) -> str | None:
    """What is not as the table says."""
    for name, value in expected.items():
        found = happened.get(name)
        if name in {"message", "told"}:
            words = [value] if isinstance(value, str) else value
            missing = [word for word in words if word not in str(found)]
            if missing or not found:
                return f"{name}: {found!r} does not say {missing}"
        elif found != value:
            return f"{name} is {found!r}, not {value!r}; {happened}"
    if "error" in happened and "error" not in expected:
        return str(happened)
    return None if "error" not in happened or happened["hint"] else "the error has no hint"


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with Replay(CASES) as server:
        yield server


async def test_every_answer_ends_as_a_message_or_as_a_named_error(
    make_runtime: Any, replay: Replay, isolated: Path
) -> None:
    (isolated / "f").mkdir()
    (isolated / os.fsdecode(b"f/bad\xff.txt")).touch()
    (isolated / "f" / "bom.txt").write_text("\ufeffhi", "utf-8")
    files = {"file_operations": {"allowed_paths": [str(isolated)]}}
    runtime = await make_runtime({"providers": replay.providers(), "tools": files})
    failures: list[str] = []

    async def one(case: str, mode: str) -> None:
        expected = {key: value for key, value in EXPECTED[case].items() if key not in {"whole", "stream"}}
        expected |= EXPECTED[case].get(mode, {})
        agent, found = await answer_of(runtime, case, mode)
        fault = wrong(expected, seen(agent, found))
        if fault:
            failures.append(f"{case} {mode}: {fault}")

    names = sorted(path.name for path in CASES.iterdir())
    assert names == sorted(EXPECTED), "the table and the folders are not the same"
    await asyncio.gather(*(one(case, mode) for case in names for mode in modes(case)))
    assert not failures, "\n".join(sorted(failures))


async def test_what_an_answer_held_goes_back_as_it_came(make_runtime: Any, replay: Replay) -> None:
    """Thoughts with their signatures belong in front of the calls that they led to; paused turns are taken up again."""
    runtime = await make_runtime({"providers": replay.providers()})
    for mode in ("whole", "stream"):
        await answer_of(runtime, "a05", mode)
        turn = replay.bodies["a05 stream" if mode == "stream" else "a05"][1]["messages"][1]["content"]
        thought = {"type": "thinking", "thinking": "hmm", "signature": "SIG=="}
        hidden = [{"type": "redacted_thinking", "data": "RED=="}] if mode == "whole" else []
        call = {"type": "tool_use", "id": "t1", "name": "calculator", "input": {"expression": "1+1"}}
        assert turn == [thought, *hidden, call]
    await answer_of(runtime, "g14", "whole")
    assert replay.bodies["g14"][1]["contents"][1]["parts"][0]["thoughtSignature"] == "U0lH"
    await answer_of(runtime, "a10", "whole")
    assert replay.bodies["a10"][1]["messages"][-1]["content"][0]["type"] == "server_tool_use"
    await answer_of(runtime, "q01", "whole")


@pytest.mark.parametrize("depth", [150, 100_000])
async def test_json_without_end_is_text_of_the_model(make_runtime: Any, depth: int) -> None:
    """As an answer it is the text that it is; as arguments the model is told."""
    deep = "[" * depth + "]" * depth
    call = tool_call_of("1", "calculator", f'{{"expression": {deep}}}')
    runtime = await make_runtime(replies=[Completion(tool_calls=[call]), say(deep)])
    agent = runtime.agents.builder().name("a").model("scripted/any").tool("calculator").build()
    output = await runtime.run_agent(agent, AgentInput("hi"))
    assert output.text == deep
    assert "not a JSON object" in output.tool_calls[0].result.error
    assert arguments_of({"a": json.loads("[" * 150 + "]" * 150)}).keys() == {"_invalid_json"}
