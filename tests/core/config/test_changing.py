"""What a script may change of the configuration, and what not."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell_core.config.changing import check_changes, check_provider
from llmspell_core.errors import CancelledByHookError, ScriptError, SecurityError, ValidationError
from llmspell_core.hooks import HookResult

PRIVATE = {"tools": {"http_request": {"allow_private_networks": ["127.0.0.1"]}}}


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
        {"providers": {"openai": {"api_base": "http://elsewhere"}}},
        {"providers": {"openai": {"defaults": {"api_base": "http://elsewhere"}}}},
        {"providers": {"providers": {"openai": {"api_base": "http://elsewhere"}}}},
        {"providers": {"local": {"model_directory": "."}}},
        {"providers": {"local": {"defaults": {"model_directory": "."}}}},
        {"providers": {"llm": {"user_dir": "."}}},
        {"state": {"max_state_size_bytes": 1_000_000_000}},
        {"tools": {"approval": {"ask": []}}},
        {"tools": {"security": {"require_approval": False}}},
        {"tools": {"enabled": True}},
        {"otel": {"endpoint": "http://elsewhere"}},
        {"tracing": {"enabled": False}},
        {"logging": {"log_file": "x"}},
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
    with pytest.raises(SecurityError, match="AWS_SECRET"):
        check_provider("mine", {"defaults": {"api_key_env": "AWS_SECRET"}}, lambda name: name == "SEEN")
    for key in ("model_directory", "user_dir", "backend", "anything"):
        with pytest.raises(SecurityError, match=key):
            check_provider("mine", {"provider_type": "local", key: "."}, lambda _: True)
    for name in ("a.b", "providers", ""):
        with pytest.raises(ValidationError):
            check_provider(name, {}, lambda _: True)
    table = {"model": "m", "rate_limit": {"requests_per_minute": 5}, "defaults": {"temperature": 1}}
    usual = {"default_model": "m", "rate_limit": {"requests_per_minute": 5}, "temperature": 1}
    assert check_provider("mine", table, lambda _: True) == usual


async def test_a_key_of_the_environment_never_goes_to_an_address_that_a_script_chose(
    make_runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    runtime = await make_runtime(PRIVATE)
    assert runtime.providers.settings("openai").api_key == "sk-of-the-environment"
    await runtime.run_script('Config.setProvider("openai", {base_url = "http://127.0.0.1:9"})', engine="lua")
    settings = runtime.providers.settings("openai")
    assert (settings.base_url, settings.api_key) == ("http://127.0.0.1:9", None)


async def test_a_hook_can_forbid_a_change(runtime: Any) -> None:
    runtime.hooks.register("ConfigurationChange", lambda _: HookResult.cancel("not today"))
    with pytest.raises(Exception, match="not today") as caught:
        await runtime.run_script('Config.set("hooks.timeout_ms", 7)', engine="lua")
    assert isinstance(caught.value.__cause__, CancelledByHookError)
    assert runtime.config.get("hooks.timeout_ms") != 7


async def test_an_agent_uses_the_provider_that_a_script_set(make_runtime: Any) -> None:
    runtime = await make_runtime(PRIVATE)
    before = runtime.policy.settings
    source = """Config.setProvider("mine", {provider_type = "openai", base_url = "http://127.0.0.1:9/v1", api_key = "my-own-key-1"})
                return Agent.builder():model("mine/x"):build():get_config().provider"""
    assert (await runtime.run_script(source, engine="lua")).value == "mine"
    assert runtime.policy.settings is before
    assert "my-own-key-1" not in runtime.policy.redact("it was my-own-key-1")


SERVERS = {
    "an agent's own server": "Agent.builder():model('openai/x'):base_url('{url}'):api_key('k'):build()",
    "an agent from a table": "Agent.create({{model = 'openai/x', base_url = '{url}', api_key = 'k'}})",
    "a registered agent": "Agent.register({{name = 'a', model = 'openai/x', base_url = '{url}'}})",
    "a provider": "Config.setProvider('mine', {{provider_type = 'openai', base_url = '{url}'}})",
    "a provider in other words": "Config.setProvider('mine', {{provider_type = 'openai', defaults = {{api_base = '{url}'}}}})",
}
PLACES = ("http://127.0.0.1:9/v1", "http://2130706433:9", "http://[::ffff:127.0.0.1]:9", "http://169.254.169.254/v1",
          "http://user@localhost:9", "file:///etc/passwd", "http://10.0.0.1", "http://[", "nothing")  # fmt: skip


@pytest.mark.parametrize("url", PLACES)
@pytest.mark.parametrize("how", SERVERS)
async def test_a_script_cannot_have_prompts_sent_where_tools_may_not_go(make_runtime: Any, how: str, url: str) -> None:
    runtime = await make_runtime()
    with pytest.raises(ScriptError) as caught:
        await runtime.run_script(SERVERS[how].format(url=url), engine="lua")
    assert isinstance(caught.value.__cause__, SecurityError | ValidationError), caught.value


@pytest.mark.parametrize("how", SERVERS)
async def test_what_is_configured_may_be_named_by_a_script_too(make_runtime: Any, how: str) -> None:
    runtime = await make_runtime(
        {"providers": {"lab": {"provider_type": "openai", "base_url": "http://127.0.0.1:9/v1"}}}
    )
    await runtime.run_script(SERVERS[how].format(url="http://127.0.0.1:9/v1/"), engine="lua")


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8000/v1", "http://127.0.0.1:1234/v1/", "http://localhost:11434", "http://127.0.0.1:9/admin",
     "http://127.0.0.1:9/v1?x=", "http://user@127.0.0.1:9/v1", "http://localhost:11434/api/delete"],
)  # fmt: skip
@pytest.mark.parametrize("how", SERVERS)
async def test_a_server_on_this_machine_is_open_only_as_it_was_configured(
    make_runtime: Any, how: str, url: str
) -> None:
    runtime = await make_runtime(
        {"providers": {"lab": {"provider_type": "openai", "base_url": "http://127.0.0.1:9/v1"}}}
    )
    with pytest.raises(ScriptError) as caught:
        await runtime.run_script(SERVERS[how].format(url=url), engine="lua")
    assert isinstance(caught.value.__cause__, SecurityError)
    assert "[providers." in str(caught.value.__cause__.hint)


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("ollama/x", "http://127.0.0.1:11434/"),
        ("vllm/x", "http://localhost:8000/v1"),
        ("openai/x", "https://api.openai.com/v1"),
    ],
)
async def test_a_script_may_say_where_a_provider_goes_of_itself(make_runtime: Any, model: str, url: str) -> None:
    runtime = await make_runtime({"providers": {"openai": {"api_key": "sk-configured-key"}}})
    await runtime.run_script(f"Agent.builder():model('{model}'):base_url('{url}'):build()", engine="lua")
    assert not runtime.providers.settings(model.partition("/")[0], base_url=url).from_caller
    assert runtime.providers.settings("openai", base_url="https://api.openai.com/v1/").api_key == "sk-configured-key"


@pytest.mark.parametrize(
    "source",
    [
        *(source.format(url="https://8.8.8.8/v1") for source in SERVERS.values()),
        "Agent.builder():model('openai/x'):api_key('of-somebody-else'):build()",
        "Config.setProvider('mine', {provider_type = 'openai', api_key = 'of-somebody-else'})",
        "Config.setProvider('mine', {provider_type = 'openai'})",
        "Config.set('hooks.timeout_ms', 5)",
        "Config.restoreSnapshot(Config.snapshot())",
    ],
)
async def test_an_untrusted_script_changes_nothing_and_brings_no_server(make_runtime: Any, source: str) -> None:
    runtime = await make_runtime({"runtime": {"security": {"profile": "high"}}})
    with pytest.raises(ScriptError) as caught:
        await runtime.run_script(source, engine="lua")
    assert isinstance(caught.value.__cause__, SecurityError)
    assert (await runtime.run_script("return Config.getPermissions().modify_providers", engine="lua")).value is False


@pytest.mark.parametrize("language", ["lua", "javascript"])
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("speling", "speling: nothing reads this setting"),
        ("hooks.timout_ms", "did you mean timeout_ms"),
        ("events.colour", "events.colour: nothing reads this setting"),
    ],
)
async def test_a_setting_that_nothing_reads_is_not_set(runtime: Any, language: str, key: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        await runtime.run_script(f'Config.set("{key}", 5)', engine=language)
    assert runtime.config.get(key) is None
    value = await runtime.run_script('Config.set("app.colour", 5); return Config.get("app.colour")', engine=language)
    assert value.value == 5
