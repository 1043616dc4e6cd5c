"""A script names the server of its agent: whose keys arrive there, and where it may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell_core.testing.fake_server import FakeServer, Received, Reply
from llmspell_core.testing.provider_wire import baited

PROVIDERS = ("openai", "anthropic", "gemini", "ollama", "llm", "groq", "vllm")
MODELS = {"llm": "llm/gpt-4o-mini"}
OWN = "sk-own-of-the-script"
OPERATOR = "of-the-operator-4c2e"
ASK = {
    "lua": """
        local function ask(key)
          local builder = Agent.builder():model(MODEL):base_url(URL)
          if key then builder = builder:api_key(key) end
          local ok, why = pcall(function() return builder:build():execute("Hi.") end)
          return tostring(why)
        end
        return { ask(nil), ask(OWN) }
    """,
    "javascript": """
        const ask = async key => {
          try {
            let builder = Agent.builder().model(MODEL).base_url(URL)
            if (key) builder = builder.api_key(key)
            return String((await builder.build().execute("Hi.")).text)
          } catch (error) { return `${error}` }
        }
        return [await ask(null), await ask(OWN)]
    """,
}
SAY = {
    "lua": """
        local ok, why = pcall(function() return Agent.builder():model(MODEL):build():execute("Hi.") end)
        return tostring(why)
    """,
    "javascript": """
        try { return String((await Agent.builder().model(MODEL).build().execute("Hi.")).text) }
        catch (error) { return `${error}` }
    """,
}


def written(template: str, **values: str) -> str:
    for name, value in values.items():
        template = template.replace(name, json.dumps(value))
    return template


def wire(server: FakeServer) -> str:
    return json.dumps([[r.path, r.headers, r.body.decode("utf-8", "replace")] for r in server.received])


def place(server: FakeServer) -> str:
    return server.url.partition("//")[2]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_nothing_of_the_operator_reaches_a_server_that_a_script_named(make_runtime: Any, provider: str) -> None:
    table = {"api_key": f"key-{OPERATOR}", "headers": {"X-Own": f"header-{OPERATOR}"}, "max_retries": 0}
    async with FakeServer(Reply(500, {"error": {"message": "no"}})) as server, FakeServer(Reply(500)) as decoy:
        with baited(decoy.url):
            runtime = await make_runtime(
                {
                    "providers": {provider: table},
                    "tools": {"http_request": {"allowed_hosts": [place(server)]}},
                }
            )
            for language, template in ASK.items():
                source = written(template, MODEL=MODELS.get(provider, f"{provider}/x"), URL=server.url, OWN=OWN)
                await runtime.run_script(source, engine=language, timeout=60)
            await runtime.close()
        sent = wire(server)
        assert OPERATOR not in sent
        assert "bait-" not in sent
        assert OWN in sent, "the script's own key is for that server"
        assert not decoy.received


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama", "llm"])
async def test_a_server_cannot_send_an_agent_into_the_network(make_runtime: Any, provider: str) -> None:
    async with FakeServer(Reply(body={"inside": "the metadata"})) as inner:

        def answer(received: Received) -> Reply:
            return Reply(307, b"", {"Location": f"{inner.url}/latest/meta-data"})

        async with FakeServer(answer) as server:
            table = {"base_url": server.url, "api_key": f"key-{OPERATOR}", "max_retries": 0}
            runtime = await make_runtime({"providers": {provider: table}})
            for language, template in SAY.items():
                source = written(template, MODEL=MODELS.get(provider, f"{provider}/x"))
                said = (await runtime.run_script(source, engine=language, timeout=60)).value
                assert place(inner).rpartition(":")[2] in said
                assert "the metadata" not in said
            await runtime.close()
        assert not inner.received


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama", "llm"])
async def test_a_key_with_a_line_break_is_not_shown_to_a_script(make_runtime: Any, provider: str) -> None:
    async with FakeServer(Reply(500)) as server:
        table = {"base_url": server.url, "api_key": f"sk-{OPERATOR}\nX: y", "max_retries": 0}
        runtime = await make_runtime({"providers": {provider: table}})
        for language, template in SAY.items():
            source = written(template, MODEL=MODELS.get(provider, f"{provider}/x"))
            said = (await runtime.run_script(source, engine=language, timeout=60)).value
            assert OPERATOR not in said
            assert "a line break" in said
        assert not server.received


@pytest.mark.parametrize("language", SAY)
async def test_a_provider_that_a_script_set_up_is_judged_at_every_request(make_runtime: Any, language: str) -> None:
    """Its name may have led elsewhere when the script was checked."""
    found = iter([["8.8.8.8"]])

    async def resolver(_host: str, _port: int) -> list[str]:
        return next(found, ["127.0.0.1"])

    async with FakeServer(Reply(500)) as server:
        port = int(server.url.rpartition(":")[2])
        runtime = await make_runtime({})
        runtime.policy.hosts._resolver = resolver
        set_up = f"http://moving.example:{port}/v1"
        table = {"lua": "{provider_type = 'openai', base_url = URL, api_key = OWN}",
                 "javascript": "{provider_type: 'openai', base_url: URL, api_key: OWN}"}[language]  # fmt: skip
        await runtime.run_script(written(f"Config.setProvider('mine', {table})", URL=set_up, OWN=OWN), engine=language)
        said = (await runtime.run_script(written(SAY[language], MODEL="mine/x"), engine=language)).value
        assert "may not be reached" in said
        assert not server.received
