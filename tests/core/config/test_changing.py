"""What a script may change of the configuration, and what not."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.config.changing import check_changes, check_provider
from llmspell_core.errors import CancelledByHookError, SecurityError, ValidationError


@pytest.mark.parametrize(
    "tree",
    [
        {"security": {}},
        {"security": {"sandbox": {"allowed_paths": ["/"]}}},
        {"runtime": {"security": {"profile": "low"}}},
        {"runtime": {}},
        {"runtime": None},
        {"runtime": {"script_timeout_seconds": 9999}},
        {"engines": {"lua": {"timeout_ms": 0}}},
        {"plugins": {"prefer": ["evil"]}},
        {"tools": {}},
        {"tools": {"system": {"allow_process_execution": True}}},
        {"tools": {"permissions": {"process-executor": "safe"}}},
        {"tools": {"file_operations": {"max_file_size": 1}}},
        {"tools": {"http_request": {"allowed_hosts": ["*"]}}},
        {"tools": {"network": {"verify_ssl": False}}},
        {"tools": {"mine": {"allowed_commands": ["sh"]}}},
        {"providers": {"openai": {"base_url": "http://elsewhere"}}},
        {"providers": {"openai": {"headers": {"x": "y"}}}},
    ],
)
def test_the_policy_is_not_a_scripts_to_change(tree: dict[str, Any]) -> None:
    with pytest.raises(SecurityError) as caught:
        check_changes(tree)
    assert caught.value.hint


@pytest.mark.parametrize(
    "tree",
    [
        {"hooks": {"timeout_ms": 5}},
        {"tools": {"timeouts": {"default": 5}}},
        {"tools": {"web_search": {"max_results": 3}}},
        {"providers": {"openai": {"default_model": "x"}}},
    ],
)
def test_other_settings_are(tree: dict[str, Any]) -> None:
    check_changes(tree)


def test_a_hidden_variable_cannot_become_a_key() -> None:
    with pytest.raises(SecurityError, match="AWS_SECRET"):
        check_provider("mine", {"api_key_env": "AWS_SECRET"}, lambda name: name == "SEEN")
    check_provider("mine", {"api_key_env": "SEEN"}, lambda name: name == "SEEN")
    with pytest.raises(ValidationError):
        check_provider("a.b", {}, lambda _: True)


async def test_a_key_of_the_environment_never_goes_to_an_address_that_a_script_chose(
    make_runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    runtime = await make_runtime()
    assert runtime.providers.settings("openai").api_key == "sk-of-the-environment"
    await runtime.run_script('Config.setProvider("openai", {base_url = "http://127.0.0.1:9"})', engine="lua")
    settings = runtime.providers.settings("openai")
    assert (settings.base_url, settings.api_key) == ("http://127.0.0.1:9", None)


async def test_a_hook_can_forbid_a_change(runtime: Any) -> None:
    runtime.hooks.register("ConfigurationChange", lambda _: "not today")
    with pytest.raises(Exception, match="not today") as caught:
        await runtime.run_script('Config.set("hooks.timeout_ms", 7)', engine="lua")
    assert isinstance(caught.value.__cause__, CancelledByHookError)
    assert runtime.config.get("hooks.timeout_ms") != 7


async def test_an_agent_uses_the_provider_that_a_script_set(make_runtime: Any) -> None:
    runtime = await make_runtime()
    before = runtime.policy.settings
    source = """Config.setProvider("mine", {provider_type = "openai", base_url = "http://127.0.0.1:9/v1", api_key = "my-own-key-1"})
                return Agent.builder():model("mine/x"):build():get_config().provider"""
    assert (await runtime.run_script(source, engine="lua")).value == "mine"
    assert runtime.policy.settings is before
    assert "my-own-key-1" not in runtime.policy.redact("it was my-own-key-1")
