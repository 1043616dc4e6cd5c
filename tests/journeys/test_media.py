"""A prompt with an image: from a file or from bytes, on the wire of every provider that takes images."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import ValidationError
from llmspell_core.media_forms import PATH
from llmspell_core.messages import AgentInput
from llmspell_core.testing.fake_server import FakeServer, Reply

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(24))
TEXT = base64.b64encode(PNG).decode("ascii")
PROVIDERS = {"openai": "/v1", "anthropic": "", "gemini": "", "ollama": ""}
ASK = {
    "lua": """
        local forms = {{path = "cat.png"}, {bytes = {BYTES}}, {base64 = "BASE64", format = "png"}}
        for i, name in ipairs({"openai", "anthropic", "gemini", "ollama"}) do
          local agent = Agent.builder():name(name):model(name .. "/m"):build()
          pcall(agent.execute, agent, {text = "What is it?", media = forms})
          pcall(agent.execute, agent, {text = "What is it?", image = "cat.png"})
        end
    """,
    "javascript": """
        const forms = [{path: "cat.png"}, {bytes: new Uint8Array([BYTES])}, {base64: "BASE64", format: "png"}]
        for (const name of ["openai", "anthropic", "gemini", "ollama"]) {
          const agent = await Agent.builder().name(name).model(`${name}/m`).build()
          try { await agent.execute({text: "What is it?", media: forms}) } catch {}
          try { await agent.execute({text: "What is it?", image: "cat.png"}) } catch {}
        }
    """,
}


def images(path: str, body: dict[str, Any]) -> list[Any]:
    """Those of the last message, as base64 or data URL."""
    if "contents" in body:
        parts = [part["inlineData"] for part in body["contents"][-1]["parts"] if "inlineData" in part]
        assert {part.get("mimeType") or part["mime_type"] for part in parts} == {"image/png"}
        return [part["data"].replace("-", "+").replace("_", "/") for part in parts]  # either alphabet is taken
    message = body["messages"][-1]
    if "images" in message:
        return list(message["images"])
    if path.startswith("/v1/chat"):
        return [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]
    return [part["source"]["data"] for part in message["content"] if part["type"] == "image"]


@pytest.mark.parametrize("language", ASK)
async def test_an_image_reaches_every_provider_from_a_file_and_from_bytes(
    make_runtime: Any, isolated: Path, language: str
) -> None:
    (isolated / "cat.png").write_bytes(PNG)
    async with FakeServer(Reply(500, {"error": {"message": "no"}})) as server:
        tables = {
            name: {"base_url": server.url + tail, "api_key": "sk-x", "max_retries": 0}
            for name, tail in PROVIDERS.items()
        }
        files = {"file_operations": {"allowed_paths": [str(isolated)]}}
        runtime = await make_runtime({"providers": tables, "tools": files})
        source = ASK[language].replace("BYTES", ", ".join(map(str, PNG))).replace("BASE64", TEXT)
        await runtime.run_script(source, engine=language, timeout=60)
        assert len(server.received) == 2 * len(PROVIDERS)
        for i, received in enumerate(server.received):
            found = images(received.path, received.json())
            assert [each.rpartition(",")[2] for each in found] == [TEXT] * (1 if i % 2 else 3), received.path


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (5, "a table or a path, not int"),
        ({}, ""),
        ({"pth": "x.png"}, "no field 'pth'"),
        ({"format": "png"}, "no content"),
        ({"path": "a.png", "base64": TEXT}, "both path and base64"),
        ({"base64": "no base64!"}, "not base64"),
        ({"base64": TEXT, "format": "exe"}, "'exe' is no format"),
        ({"bytes": [1, 256]}, "numbers from 0 to 255"),
        ({"bytes": "text"}, "numbers from 0 to 255"),
        ({"url": "ftp://x"}, "no address of media"),
        ({"path": "a.png", "type": "picture"}, "no kind of media"),
    ],
)
def test_a_wrong_form_is_an_error_that_shows_the_right_ones(form: Any, words: str) -> None:
    if form == {}:  # an empty list of a Lua script
        assert AgentInput.of({"text": "x", "media": {}}).media == []
        return
    with pytest.raises(ValidationError, match=words.replace("(", r"\(")) as caught:
        AgentInput.of({"text": "x", "media": [form]})
    assert 'path = "cat.png"' in str(caught.value.hint)


async def test_a_file_that_may_not_be_read_ends_the_run_before_a_model_is_asked(
    make_runtime: Any, isolated: Path
) -> None:
    from llmspell_core.errors import LLMSpellError

    runtime = await make_runtime(
        {"providers": {"own": {"provider_type": "openai", "base_url": "http://127.0.0.1:9/v1"}}}
    )
    agent = runtime.agents.builder().name("a").model("own/m").build()
    for path, words in (("/etc/shadow", "/etc/shadow"), ("missing.png", "missing.png")):
        with pytest.raises(LLMSpellError) as caught:
            await runtime.run_agent(agent, {"text": "x", "media": [path]})
        assert words in caught.value.message
    assert AgentInput.of({"text": "x", "media": "a.png"}).media[0].metadata == {PATH: "a.png"}
