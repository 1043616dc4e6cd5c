"""The presets that the reference project's scripts name."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmspell_core.config import load_config


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("providers", "openai"),
        ("ollama", "ollama"),
        ("claude-prod", "anthropic"),
        ("gemini-prod", "gemini"),
        ("candle", "local"),
    ],
)
def test_a_preset_of_the_reference_names_its_provider(name: str, provider: str, tmp_path: Path) -> None:
    config = load_config(environ={"HOME": str(tmp_path)}, cwd=tmp_path, profile=name)
    assert config.get("providers.default_provider") == provider
    assert config.get(f"providers.{provider}.provider_type") == provider


def test_state_and_minimal_exist_and_minimal_leaves_tmp_writable(tmp_path: Path) -> None:
    for name, paths in (("state", None), ("minimal", ["/tmp"])):
        config = load_config(environ={"HOME": str(tmp_path)}, cwd=tmp_path, profile=name)
        assert paths is None or config.get("tools.file_operations.allowed_paths") == paths
