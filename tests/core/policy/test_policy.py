"""Tools, environment names, secrets, profiles, and the news of a denial."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmspell_core.errors import ConfigurationError, SecurityError
from llmspell_core.plugins.registry import Registry
from llmspell_core.policy import Files, Policy, PolicySettings
from llmspell_core.runtime import Runtime


def tool(name: str, level: str) -> Any:
    return SimpleNamespace(name=name, security_level=level)


def test_a_tool_above_the_granted_level_is_refused_and_the_message_says_what_to_change() -> None:
    with pytest.raises(SecurityError, match="tool 'danger' is privileged") as caught:
        Policy().check_tool(tool("danger", "privileged"))
    assert caught.value.violation_type == "tool_level_denied"
    assert "[tools.permissions] danger" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("profile", "name", "level", "allowed"),
    [
        ("low", "anything", "privileged", True),
        ("medium", "anything", "restricted", True),
        ("medium", "file-operations", "privileged", True),
        ("high", "calculator", "safe", True),
        ("high", "http-request", "safe", False),
        ("high", "file-operations", "privileged", False),
    ],
)
def test_profiles_grant_levels(profile: str, name: str, level: str, allowed: bool) -> None:
    policy = Policy({"profile": profile})
    if allowed:
        policy.check_tool(tool(name, level))
    else:
        with pytest.raises(SecurityError):
            policy.check_tool(tool(name, level))


def test_permission_of_one_tool_does_not_take_away_what_the_profile_grants_another() -> None:
    policy = Policy({"tool_levels": {"mine": "safe"}})
    policy.check_tool(tool("mine", "privileged"))
    policy.check_tool(tool("file-operations", "privileged"))


def test_explicit_settings_win_over_the_profile_and_none_leaves_it_alone() -> None:
    settings = PolicySettings.for_profile("high", allow_file_access=True, allow_network_access=None)
    assert settings.allow_file_access
    assert not settings.allow_network_access


@pytest.mark.parametrize("settings", [{"profile": "mediun"}, {"alowed_paths": ["/tmp"]}])
def test_misspelt_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Policy(settings)


def test_only_listed_environment_variables_can_be_read() -> None:
    policy = Policy(
        {"allowed_env_vars": ["HOME", "APP_*"]}, environ={"HOME": "/h", "APP_MODE": "x", "API_KEY": "secret-value"}
    )
    assert policy.env("HOME") == "/h"
    assert policy.env("APP_UNSET") is None
    assert policy.environment() == {"HOME": "/h", "APP_MODE": "x"}
    with pytest.raises(SecurityError, match="API_KEY") as caught:
        policy.env("API_KEY")
    assert "secret-value" not in str(caught.value)


def test_secrets_are_masked_wherever_they_stand() -> None:
    policy = Policy(secrets=["sk-configured"], environ={"GROQ_API_KEY": "gsk-12345678", "EDITOR": "vim-editor"})
    policy.add_secret("added-later")
    text = policy.redact("sk-configured gsk-12345678 added-later vim-editor")
    assert text == "******** ******** ******** vim-editor"


def test_a_secret_that_is_part_of_another_leaves_no_rest() -> None:
    policy = Policy(secrets=["password", "password-and-more"], environ={})
    assert policy.redact("password-and-more") == "********"


async def test_a_denial_is_published_and_seen_by_hooks(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    async with Runtime({}, registry=Registry(), cwd=tmp_path) as runtime:
        runtime.hooks.register("SecurityViolation", lambda hook: seen.append(dict(hook.data)))
        subscription = runtime.events.subscribe("security.*")
        with pytest.raises(SecurityError):
            await runtime.context().files.read_text("/etc/passwd")
        event = await subscription.receive(timeout=2)
    assert event is not None
    assert event.data["violation_type"] == "path_denied"
    assert [data["violation_type"] for data in seen] == ["path_denied"]


async def test_a_denial_in_another_thread_is_published_too(tmp_path: Path) -> None:
    async with Runtime({}, registry=Registry(), cwd=tmp_path) as runtime:
        subscription = runtime.events.subscribe("security.violation")
        with pytest.raises(SecurityError):
            await asyncio.to_thread(runtime.context().files.open, "/etc/passwd")
        event = await subscription.receive(timeout=2)
    assert event is not None
    assert "/etc/passwd" in event.data["message"]


async def test_a_hook_that_cancels_does_not_turn_the_denial_into_something_else(tmp_path: Path) -> None:
    async with Runtime({}, registry=Registry(), cwd=tmp_path) as runtime:
        runtime.hooks.register("SecurityViolation", lambda hook: "cancel")
        with pytest.raises(SecurityError, match="/etc/passwd"):
            await runtime.context().files.read_text("/etc/passwd")


async def test_a_hook_that_is_denied_something_itself_is_not_called_again(tmp_path: Path) -> None:
    calls: list[str] = []
    async with Runtime({}, registry=Registry(), cwd=tmp_path) as runtime:

        async def audit(hook: Any) -> None:
            calls.append(hook.data["message"])
            with suppress(SecurityError):
                await runtime.context().files.append("/etc/audit.log", "x")

        runtime.hooks.register("SecurityViolation", audit)
        with pytest.raises(SecurityError):
            await runtime.context().files.read_text("/etc/passwd")
    assert len(calls) == 1


async def test_a_runtime_leaves_its_own_configuration_alone(tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text('[runtime.security]\nprofile = "medium"\n')
    async with Runtime(registry=Registry(), cwd=tmp_path) as runtime:
        files: Files = runtime.context().files
        assert "medium" in await files.read_text("llmspell.toml")
        with pytest.raises(SecurityError, match="read-only"):
            await files.write_text("llmspell.toml", '[runtime.security]\nprofile = "low"\n')
        with pytest.raises(SecurityError, match="read-only"):
            await files.delete("llmspell.toml")
