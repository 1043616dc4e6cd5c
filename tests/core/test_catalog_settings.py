"""Commands that read only the catalog still see which plugins the configuration blocks or prefers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.cli.plugin_settings import plugin_settings
from llmspell_core.cli.shell import Shell
from llmspell_core.config.trust import Trust
from llmspell_core.tool import Tool


def read_settings() -> dict[str, Any]:
    shell = Shell()
    return plugin_settings(shell.options, lambda: shell.config(check=False))


@pytest.mark.parametrize("name", ["llmspell.toml", ".config/llmspell.toml"])
def test_a_file_in_the_folder_is_read_when_it_is_trusted(isolated: Path, name: str) -> None:
    path = isolated / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('[plugins]\nblock = ["rude-tools"]\nprefer = ["mine"]\n')
    assert read_settings() == {"block": [], "prefer": []}
    Trust().add(isolated)
    found = read_settings()
    assert (found["block"], found["prefer"]) == (["rude-tools"], ["mine"])


def test_without_any_configuration_nothing_is_read(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(isolated))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Shell, "config", lambda *_: pytest.fail("the configuration was loaded"))
    assert read_settings() == {}


def test_a_variable_is_enough(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSPELL_PLUGINS__PREFER", '["mine"]')
    assert read_settings()["prefer"] == ["mine"]


def test_settings_that_are_no_model_are_a_mistake_of_the_class() -> None:
    with pytest.raises(TypeError, match="settings must be a pydantic model, not dict"):
        type("Weather", (Tool,), {"settings": {"unit": "celsius"}})


def test_a_tool_says_which_settings_it_reads(invoke_cli: Any) -> None:
    assert (
        "rate_limit_per_minute in [tools.http_request]"
        in invoke_cli("tool", "info", "http-request").assert_success().stdout
    )
    shown = json.loads(invoke_cli("tool", "info", "http-request", "--output", "json").assert_success().stdout)
    assert shown["settings"] == ["rate_limit_per_minute"]
    assert "settings" not in json.loads(invoke_cli("tool", "info", "calculator", "--output", "json").stdout)
