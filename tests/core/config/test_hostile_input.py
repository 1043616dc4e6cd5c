"""Whatever a file or a variable holds: settings, or one of our errors."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell_core.config import load_config, policy_settings, provider_settings
from llmspell_core.config.document import parse, read
from llmspell_core.errors import ConfigurationError, LLMSpellError

NAMES = st.sampled_from(
    ["runtime", "security", "providers", "openai", "profile", "profiles", "tools", "extends", "allowed_paths", "engines",
     "lua", "hooks", "enabled", "defaults", "events", "filtering", "include_types", "timeouts", "prompts", "", "é", "a b"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "high", "[", "{", "${X}", "~", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_tree_is_settings_or_one_of_our_errors(tree: dict[str, Any]) -> None:
    with contextlib.suppress(LLMSpellError):
        config = load_config(overrides=tree, environ={"HOME": "/nonexistent"}, cwd="/nonexistent")
        policy_settings(config)
        provider_settings(config, "openai")
        assert config.flat()
        assert config.problems() is not None


@settings(max_examples=150, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), st.text(max_size=12))
def test_any_variable_is_a_setting_or_one_of_our_errors(parts: list[str], text: str) -> None:
    environ = {"HOME": "/nonexistent", f"LLMSPELL_{'__'.join(parts)}".upper(): text}
    with contextlib.suppress(LLMSpellError):
        assert load_config(environ=environ, cwd="/nonexistent").flat()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_file_is_settings_or_one_of_our_errors(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "llmspell.toml")
        path.write_bytes(content)
        with contextlib.suppress(LLMSpellError):
            assert load_config(path, environ={"HOME": folder}, cwd=folder).flat()


def test_a_file_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        parse("deep.toml", "a = " + "[" * 100_000)


@pytest.mark.parametrize("name", ["large.toml", "large.json"])
def test_a_number_that_python_does_not_read_is_refused(name: str) -> None:
    number = "9" * 5000
    with pytest.raises(ConfigurationError, match="too many digits"):
        parse(name, f"a = {number}" if name.endswith("toml") else f'{{"a": {number}}}')


@pytest.mark.parametrize("text", ["[profiles.x]\nextends = 5\n", "[profiles.x]\nprofile = 5\n"])
def test_a_malformed_profile_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "llmspell.toml").write_text(text)
    with pytest.raises(ConfigurationError, match="profile x:"):
        load_config("llmspell.toml", "x", environ={"HOME": str(tmp_path)}, cwd=tmp_path)


def test_a_file_that_is_marked_as_utf_8_is_read(tmp_path: Path) -> None:
    for name, text in (
        ("a.toml", b"[runtime]\r\nhot_reload = true\r\n"),
        ("a.json", b'{"runtime": {"hot_reload": true}}'),
    ):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text)
        assert read(tmp_path / name).tree == {"runtime": {"hot_reload": True}}
