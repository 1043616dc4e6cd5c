"""What a script learns of providers before it asks one: which there are, what they can, and what they lack."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.errors import AuthenticationError
from llmspell_core.testing.scripted import ScriptedProvider

LIST = {
    "lua": """
        local rows = {}
        for i, row in ipairs(Provider.list()) do
          local able = row.capabilities
          rows[i] = {row.name, row.enabled, able.max_context_tokens or 0, able.available_models}
        end
        return rows
    """,
    "javascript": """
        return Provider.list().map(row => [row.name, row.enabled, row.capabilities.max_context_tokens ?? 0,
                                           row.capabilities.available_models])
    """,
}
BUILD = {
    "lua": """
        local ok, why = pcall(function() return Agent.builder():model(MODEL):build() end)
        return ok and "made" or tostring(why)
    """,
    "javascript": """
        try { await Agent.builder().model(MODEL).build(); return "made" } catch (error) { return `${error}` }
    """,
}


class Away(ScriptedProvider):
    """A provider whose backend is not installed."""

    @classmethod
    def is_usable(cls, settings: Any) -> bool:
        return False


@pytest.mark.parametrize("language", LIST)
async def test_the_list_names_what_is_configured(make_runtime: Any, language: str) -> None:
    tables = {"claude": {"provider_type": "anthropic", "api_key": "sk-x", "default_model": "haiku, opus"}, "openai": {}}
    runtime = await make_runtime({"providers": tables})
    result = await runtime.run_script(LIST[language], engine=language)
    rows = {row[0]: row[1:] for row in result.value}
    assert rows["claude/anthropic/haiku, opus"] == [True, 200_000, ["haiku", "opus"]]
    assert set(rows) == {"claude/anthropic/haiku, opus", "openai/openai/default"}


@pytest.mark.parametrize("is_there", [True, False])
async def test_local_is_listed_when_its_backend_is_there(make_runtime: Any, is_there: bool) -> None:
    runtime = await make_runtime()
    runtime.registry.register("providers", "local", ScriptedProvider if is_there else Away, replace=True)
    for language in LIST:
        result = await runtime.run_script(LIST[language], engine=language)
        assert len(result.value) == int(is_there), result.value
    available = await runtime.run_script('return Provider.isAvailable("local")', engine="lua")
    assert available.value is is_there


@pytest.mark.parametrize("language", BUILD)
async def test_an_agent_whose_provider_has_no_key_is_not_built(make_runtime: Any, language: str) -> None:
    runtime = await make_runtime(
        {"providers": {"own": {"provider_type": "openai", "base_url": "http://127.0.0.1:9/v1"}}}
    )
    for model in ("openai/gpt-4o", "anthropic/x", "gemini/x", "groq/x"):
        source = BUILD[language].replace("MODEL", f'"{model}"')
        told = (await runtime.run_script(source, engine=language)).value
        assert "has no API key" in told, (model, told)
    for model in ("own/x", "ollama/x", "vllm/x"):
        source = BUILD[language].replace("MODEL", f'"{model}"')
        assert (await runtime.run_script(source, engine=language)).value == "made", model


async def test_the_hint_of_a_missing_key_names_the_variable(make_runtime: Any) -> None:
    runtime = await make_runtime()
    with pytest.raises(AuthenticationError) as caught:
        runtime.agents.builder().model("groq/llama").build()
    assert "GROQ_API_KEY" in str(caught.value.hint)
    assert runtime.agents.builder().name("keyed").model("groq/llama").api_key("sk-mine").build()


async def test_local_models_are_ollamas_where_one_is_configured(make_runtime: Any) -> None:
    def resolved(runtime: Any, model: str) -> str:
        return str(runtime.providers.resolve(model))

    runtime = await make_runtime({"providers": {"ollama": {"base_url": "http://127.0.0.1:9"}}})
    assert resolved(runtime, "local/llama3.2") == "ollama/llama3.2"
    assert resolved(runtime, "local/llama3.2:latest@llamacpp") == "llamacpp/llama3.2:latest@llamacpp"
    both = await make_runtime({"providers": {"ollama": {}, "local": {}}})
    assert resolved(both, "local/llama3.2") == "local/llama3.2"
    neither = await make_runtime()
    assert resolved(neither, "local/llama3.2") == "local/llama3.2"
