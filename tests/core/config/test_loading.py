"""Where settings come from, and which one wins."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.config import Config, load_config
from llmspell_core.config.trust import Trust
from llmspell_core.errors import ConfigurationError, NotFoundError, ValidationError

TIMEOUT = "runtime.script_timeout_seconds"


def load(folder: Path, text: str | None = None, environ: dict[str, str] | None = None, **more: Any) -> Config:
    """The configuration of a person whose home and current folder is `folder`, which they trust."""
    if text is not None:
        (folder / "llmspell.toml").write_text(text)
    variables = {"HOME": str(folder), **(environ or {})}
    with suppress(NotFoundError):
        Trust(variables).add(folder)
    return load_config(environ=variables, cwd=folder, **more)


def test_without_any_file_every_value_is_a_default_or_of_the_security_profile(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.path is None
    assert config.get(TIMEOUT) == 300
    assert config.get("default_engine") == "lua"
    assert {row.origin for row in config.flat()} == {"default", "profile:security/medium"}


def test_each_source_wins_over_the_one_below(tmp_path: Path) -> None:
    text = "[runtime]\nscript_timeout_seconds = 10\n"
    environ = {"LLMSPELL_RUNTIME__SCRIPT_TIMEOUT_SECONDS": "30"}
    beside = tmp_path / "llmspell.staging.toml"
    assert load(tmp_path, profile="envs/dev").get(TIMEOUT) == 600
    assert load(tmp_path, text).get(TIMEOUT) == 10
    assert load(tmp_path, profile="envs/dev", path="llmspell.toml").get(TIMEOUT) == 10
    beside.write_text("[runtime]\nscript_timeout_seconds = 20\n")
    assert load(tmp_path, environ={"LLMSPELL_ENV": "staging"}).get(TIMEOUT) == 20
    assert load(tmp_path, environ=environ | {"LLMSPELL_ENV": "staging"}).get(TIMEOUT) == 30
    assert load(tmp_path, environ=environ, overrides={"runtime": {"script_timeout_seconds": 40}}).get(TIMEOUT) == 40


def test_every_value_says_where_it_came_from(tmp_path: Path) -> None:
    text = '# mine\n\n[runtime]\nscript_timeout_seconds = 10\nsecurity.allow_process_spawn = false\n\n[providers.openai]\nmodel = "m"\n'
    environ = {"LLMSPELL_HOOKS__ENABLED": "no", "OPENAI_API_KEY": "sk-1"}
    config = load(tmp_path, text, environ, overrides={"events": {"enabled": False}})
    file = tmp_path / "llmspell.toml"
    assert config.origin(TIMEOUT) == f"{file}:4"
    assert config.origin("runtime.security.allow_process_spawn") == f"{file}:5"
    assert config.origin("providers.openai.default_model") == f"{file}:8"
    assert config.origin("providers.openai.api_key") == "environment OPENAI_API_KEY"
    assert config.origin("hooks.enabled") == "environment LLMSPELL_HOOKS__ENABLED"
    assert config.origin("events.enabled") == "command line"
    assert config.origin("events.buffer_size") == "default"
    assert config.origin("nothing.here") is None


def test_a_value_of_a_profile_names_the_profile(tmp_path: Path) -> None:
    assert load(tmp_path, profile="development").origin("debug.level") == "profile:envs/dev"


@pytest.mark.parametrize(
    "place",
    ["llmspell.toml", ".llmspell.toml", "config/llmspell.toml", ".config/llmspell.toml", ".llmspell/config.toml"],
)
def test_a_file_is_found_in_each_usual_place(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("[runtime]\nscript_timeout_seconds = 7\n")
    assert load(tmp_path).path == path
    assert load(tmp_path).get(TIMEOUT) == 7


def test_the_folder_of_llmspell_and_the_xdg_folder_can_be_moved(tmp_path: Path) -> None:
    for folder in ("own", "xdg/llmspell"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.toml").write_text('[logging]\nlog_file = "~/.llmspell/logs/a.log"\n')
    environ = {"LLMSPELL_HOME": str(tmp_path / "own"), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    config = load(tmp_path, environ=environ)
    assert config.path == tmp_path / "own" / "config.toml"
    assert config.get("logging.log_file") == str(tmp_path / "own" / "logs" / "a.log")
    (tmp_path / "own" / "config.toml").unlink()
    assert load(tmp_path, environ=environ).path == tmp_path / "xdg" / "llmspell" / "config.toml"


def test_the_variable_with_the_file_name_wins_over_the_usual_places(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('default_engine = "javascript"\n')
    assert load(tmp_path, "", {"LLMSPELL_CONFIG": "other.toml"}).get("default_engine") == "javascript"


def test_a_missing_named_file_is_an_error_that_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml does not exist") as caught:
        load(tmp_path, path="nowhere.toml")
    assert "llmspell config init" in str(caught.value.hint)


def test_bad_toml_names_file_line_column_and_shows_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, "[runtime]\nscript_timeout_seconds = 5\ndefault_engine = lua\n")
    assert f"{tmp_path / 'llmspell.toml'}, line 3, column 18" in caught.value.message
    assert "3 | default_engine = lua" in caught.value.message
    assert "quotes" in str(caught.value.hint)


def test_bad_toml_does_not_show_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, "[providers.openai]\napi_key = sk-very-secret\n")
    assert "sk-very-secret" not in caught.value.message
    assert "api_key = ****" in caught.value.message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load(tmp_path)


def test_json_is_accepted_and_its_errors_have_a_line(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"runtime": {"script_timeout_seconds": 3}}')
    assert load(tmp_path, path="c.json").get(TIMEOUT) == 3
    (tmp_path / "c.json").write_text('{\n"runtime": nothing}')
    with pytest.raises(ConfigurationError, match="line 2"):
        load(tmp_path, path="c.json")


def test_a_wrong_type_names_key_place_expectation_and_value(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        load(tmp_path, '[runtime]\nmax_concurrent_scripts = "ten"\n')
    expected = 'runtime.max_concurrent_scripts must be a whole number, but it is "ten" (text)'
    assert caught.value.message == f"{expected} ({tmp_path / 'llmspell.toml'}:2)"
    assert caught.value.field == "runtime.max_concurrent_scripts"


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"must be true or false.*environment LLMSPELL_HOOKS__ENABLED"):
        load(tmp_path, environ={"LLMSPELL_HOOKS__ENABLED": "perhaps"})


def test_all_wrong_values_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        load(
            tmp_path,
            "[runtime]\nmax_concurrent_scripts = 0\n[providers.openai]\ntemperature = 3.5\n[hooks]\nenabled = []\n",
        )
    assert "runtime.max_concurrent_scripts must be a number greater than 0" in caught.value.message
    assert "providers.openai.temperature must be a number of at most 2" in caught.value.message
    assert "hooks.enabled must be true or false" in caught.value.message


def test_a_wrong_secret_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        load(tmp_path, '[providers.openai]\napi_key = ["sk-very-secret"]\n')
    assert "sk-very-secret" not in str(caught.value)


def test_a_table_where_a_value_belongs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ValidationError, match=r"runtime\.script_timeout_seconds must be a whole number, but it is a table"
    ):
        load(tmp_path, "[runtime.script_timeout_seconds]\nlong = true\n")
    with pytest.raises(ValidationError, match="runtime must be a table"):
        load(tmp_path, 'runtime = "fast"\n')


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("LLMSPELL_RUNTIME__SECURITY__ALLOW_FILE_ACCESS", "false", "runtime.security.allow_file_access", False),
        ("llmspell_runtime__script_timeout_seconds", "5", TIMEOUT, 5),
        ("LLMSPELL_TOOLS__FILE_OPERATIONS__ALLOWED_PATHS", "/tmp,/var/tmp", "tools.file_operations.allowed_paths", ["/tmp", "/var/tmp"]),
        ("LLMSPELL_TOOLS__FILE_OPERATIONS__ALLOWED_PATHS", '["/tmp"]', "tools.file_operations.allowed_paths", ["/tmp"]),
        ("LLMSPELL_PROVIDERS__OPENAI__TEMPERATURE", "0.5", "providers.openai.temperature", 0.5),
        ("LLMSPELL_PROVIDERS__OPENAI", '{"model": "m"}', "providers.openai.default_model", "m"),
        ("LLMSPELL_PROVIDER_OPENAI_MODEL", "m", "providers.openai.default_model", "m"),
        ("LLMSPELL_PROVIDER_GROQ_TIMEOUT", "9", "providers.groq.timeout_seconds", 9.0),
        ("LLMSPELL_ENGINE", "javascript", "default_engine", "javascript"),
        ("LLMSPELL_TOOLS__CALCULATOR__PRECISION", "12", "tools.calculator.precision", 12),
        ("LLMSPELL_TOOLS__CALCULATOR__UNIT", "mm", "tools.calculator.unit", "mm"),
        ("OLLAMA_BASE_URL", "http://h:1", "providers.ollama.base_url", "http://h:1"),
    ],
)  # fmt: skip
def test_variables_are_read_as_their_setting_wants(
    tmp_path: Path, variable: str, text: str, key: str, value: Any
) -> None:
    config = load(tmp_path, environ={variable: text})
    assert config.get(key) == value
    assert type(config.get(key)) is type(value)
    assert config.origin(key) == f"environment {variable}"


def test_a_key_of_digits_stays_text(tmp_path: Path) -> None:
    config = load(tmp_path, environ={"LLMSPELL_PROVIDERS__OPENAI__API_KEY": "12345"})
    assert config.get("providers.openai.api_key", secrets=True) == "12345"


def test_a_variable_uses_the_spelling_of_the_file(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[providers.My-Server]\nbase_url = "http://a"\n',
        {"LLMSPELL_PROVIDERS__MY_SERVER__BASE_URL": "http://b"},
    )
    assert config.get("providers.My-Server.base_url") == "http://b"


def test_variables_are_substituted_and_a_missing_one_is_a_warning(tmp_path: Path) -> None:
    text = '[prompts]\na = "${WHO} and $${WHO}"\nb = "[${NOBODY}]"\n'
    config = load(tmp_path, text, {"WHO": "you"})
    assert config.get("prompts.a") == "you and ${WHO}"
    assert config.get("prompts.b") == "[]"
    assert any("${NOBODY} is not set" in warning for warning in config.warnings)


def test_a_tilde_becomes_the_home_folder(tmp_path: Path) -> None:
    config = load(tmp_path, '[tools.file_operations]\nallowed_paths = ["~/data", "a~b"]\n')
    assert config.get("tools.file_operations.allowed_paths") == [f"{tmp_path}/data", "a~b"]


def test_tables_merge_and_a_provider_table_replaces_the_whole(tmp_path: Path) -> None:
    text = '[providers.openai]\ndefault_model = "mine"\n[tools.network]\nverify_ssl = false\n'
    config = load(tmp_path, text, profile="features/llm", path="llmspell.toml")
    assert config.section("providers.openai") == {"default_model": "mine"}
    assert config.get("providers.default_provider") == "openai"
    assert config.section("tools.network") == {"verify_ssl": False}
    assert config.get("tools.http_request.max_redirects") == 5


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[security]\nallow_file_access = false\n", "runtime.security.allow_file_access", False),
        ('[security]\nprofile = "high"\n', "runtime.security.max_tool_level", "safe"),
        ('[providers.providers.x]\napi_base = "http://x"\n', "providers.x.base_url", "http://x"),
        ("[providers.x]\ntimeout = 5\n", "providers.x.timeout_seconds", 5.0),
        ("[providers.x.defaults]\ntemperature = 1\n", "providers.x.temperature", 1.0),
        ("[state]\nmax_state_size_bytes = 9\n", "runtime.state_persistence.max_state_size_bytes", 9),
    ],
)
def test_other_spellings_mean_the_same(tmp_path: Path, text: str, key: str, value: Any) -> None:
    assert load(tmp_path, text).get(key) == value


def test_an_unknown_profile_has_near_matches(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no profile 'developmnt'") as caught:
        load(tmp_path, profile="developmnt")
    assert caught.value.near == ["development"]


def test_layers_apply_from_left_to_right(tmp_path: Path) -> None:
    assert load(tmp_path, profile="bases/testing,envs/dev").get(TIMEOUT) == 600
    assert load(tmp_path, profile="envs/dev,bases/testing").get(TIMEOUT) == 30


def test_a_profile_of_the_user_extends_a_shipped_one(tmp_path: Path) -> None:
    folder = tmp_path / ".llmspell" / "profiles" / "presets"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('[profile]\nextends = ["envs/dev"]\n[runtime]\nmax_concurrent_scripts = 3\n')
    config = load(tmp_path, environ={"LLMSPELL_PROFILE": "mine"})
    assert (config.get("runtime.max_concurrent_scripts"), config.get(TIMEOUT)) == (3, 600)
    assert config.origin("runtime.max_concurrent_scripts") == "profile:presets/mine"


def test_a_profile_can_stand_in_the_configuration_file(tmp_path: Path) -> None:
    text = '[profiles.quick]\nextends = ["envs/dev"]\n[profiles.quick.runtime]\nscript_timeout_seconds = 2\n'
    config = load(tmp_path, text, profile="quick", path="llmspell.toml")
    assert config.get(TIMEOUT) == 2
    assert config.get("debug.enabled") is True


def test_profiles_in_a_circle_are_an_error_that_shows_it(tmp_path: Path) -> None:
    folder = tmp_path / ".llmspell" / "profiles" / "presets"
    folder.mkdir(parents=True)
    (folder / "a.toml").write_text('[profile]\nextends = ["b"]\n')
    (folder / "b.toml").write_text('[profile]\nextends = ["a"]\n')
    with pytest.raises(ConfigurationError, match="presets/a -> presets/b -> presets/a"):
        load(tmp_path, profile="a")


def test_a_long_chain_of_profiles_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / ".llmspell" / "profiles" / "presets"
    folder.mkdir(parents=True)
    for number in range(12):
        (folder / f"p{number}.toml").write_text(f'[profile]\nextends = ["p{number + 1}"]\n')
    with pytest.raises(ConfigurationError, match="more than 10 levels"):
        load(tmp_path, profile="p0")


def test_a_wrong_value_in_a_profile_of_the_user_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / ".llmspell" / "profiles" / "presets"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('[runtime]\nmax_concurrent_scripts = "many"\n')
    with pytest.raises(ValidationError, match="whole number"):
        load(tmp_path, profile="mine")
