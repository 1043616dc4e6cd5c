"""An agent, a real model on this machine, a real tool: the main job, from the desk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.messages import AgentInput
from llmspell_core.runtime import Runtime
from llmspell_core.testing.local_model import model_file

pytestmark = pytest.mark.model
QUESTION = {"text": "What is 17 * 23?", "tool_choice": "calculator"}
LIBRARIES = {"xllamacpp": "xllamacpp", "llama-cpp-python": "llama_cpp"}
Open = Callable[..., Runtime]


@pytest.fixture
def local(tmp_path: Path) -> dict[str, Any]:
    """The table of a provider whose folder holds smollm2."""
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "smollm2.gguf").symlink_to(model_file())
    return {"model_directory": str(tmp_path), "n_threads": 1}


@pytest.fixture(params=sorted(LIBRARIES))
async def runtime(request: pytest.FixtureRequest, local: dict[str, Any]) -> AsyncIterator[Runtime]:
    if find_spec(LIBRARIES[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    async with Runtime(config={"providers": {"local": local | {"backend": request.param}}}) as opened:
        yield opened


async def test_a_local_model_calls_the_calculator_and_answers_with_its_result(runtime: Runtime) -> None:
    runtime.agents.builder().name("clerk").model("local/smollm2").tool("calculator").build()
    output = await runtime.run_agent("clerk", QUESTION)
    (call,) = output.tool_calls
    assert call.tool_name == "calculator"
    assert call.result is not None
    assert call.result.success
    assert output.text.strip()
    assert output.metadata.extra["output_tokens"] > 0
    assert output.metadata.extra["cost_usd"] == 0.0


async def test_the_same_streamed(runtime: Runtime) -> None:
    agent = runtime.agents.builder().name("clerk").model("local/smollm2").tool("calculator").build()
    given = AgentInput.of(QUESTION)
    kinds: list[str] = []
    text = ""
    async for chunk in agent.stream_execute(given, runtime.context()):
        kinds.append(chunk.type)
        text += chunk.text if chunk.type == "text" else ""
    assert [k for k in kinds if k in {"tool_call", "tool_result", "end"}] == ["tool_call", "tool_result", "end"]
    assert text.strip()


async def test_the_same_server_serves_through_the_provider_openai(local: dict[str, Any]) -> None:
    pytest.importorskip("xllamacpp")
    async with Runtime(config={"providers": {"local": local | {"backend": "xllamacpp"}}}) as first:
        first.agents.builder().name("warm").model("local/smollm2").max_tokens(1).build()
        await first.run_agent("warm", "Hi.")
        provider: Any = await first.providers.get("local")
        server = provider.pool._running["smollm2"].server
        lab = {"provider_type": "openai", "base_url": server.url, "api_key": server.api_key}
        async with Runtime(config={"providers": {"lab": lab}}) as second:
            second.agents.builder().name("clerk").model("lab/smollm2").max_tokens(60).tool("calculator").build()
            output = await second.run_agent("clerk", QUESTION)
    assert [call.tool_name for call in output.tool_calls] == ["calculator"]
    assert output.text.strip()
