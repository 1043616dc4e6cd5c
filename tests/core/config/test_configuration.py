"""Reading, checking and showing the configuration."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.config import Config, load_config, policy_settings, provider_settings, script_limits
from llmspell_core.config.editing import default_toml, set_value
from llmspell_core.config.profile import Profiles
from llmspell_core.config.trust import Trust
from llmspell_core.errors import NotFoundError, ValidationError
from llmspell_core.policy import Policy


def load(folder: Path, text: str | None = None, environ: dict[str, str] | None = None, **more: Any) -> Config:
    if text is not None:
        (folder / "llmspell.toml").write_text(text)
    variables = {"HOME": str(folder), **(environ or {})}
    with suppress(NotFoundError):
        Trust(variables).add(folder)
    return load_config(environ=variables, cwd=folder, **more)


SECRETS = """
[providers.openai]
api_key = "sk-very-secret"
max_tokens = 7
[providers.x]
base_url = "https://user:hunter2secret@example.org/v1"
headers = { Authorization = "Bearer abcsecret", Accept = "text/html" }
[tools.email]
smtp_password = "pwsecret"
"""


def test_secrets_are_masked_in_every_dump(tmp_path: Path) -> None:
    config = load(tmp_path, SECRETS)
    shown = f"{config!r} {config.as_dict()} {config.flat()} {config.get('providers')} {config.settings!r}"
    for secret in ("sk-very-secret", "hunter2secret", "abcsecret", "pwsecret"):
        assert secret not in shown.replace(repr(config.settings), "")
    assert "sk-very-secret" not in shown
    assert config.get("providers.openai.max_tokens") == 7
    assert config.get("providers.x.headers.Accept") == "text/html"


def test_code_can_ask_for_secrets(tmp_path: Path) -> None:
    config = load(tmp_path, SECRETS)
    assert config.get("providers.openai.api_key", secrets=True) == "sk-very-secret"
    assert config.section("tools.email") == {"smtp_password": "pwsecret"}
    assert {"sk-very-secret", "pwsecret"} <= set(config.secrets())


def test_what_get_returns_belongs_to_the_caller(tmp_path: Path) -> None:
    config = load(tmp_path)
    config.get("tools.file_operations.allowed_paths").append("/")
    assert "/" not in config.get("tools.file_operations.allowed_paths")


def test_get_has_a_default_for_what_is_not_there(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.get("no.such", 5) == 5
    assert config.get("default_engine.name") is None
    assert config.has("runtime.security")
    assert not config.has("runtime.speed")
    assert config.get("")["default_engine"] == "lua"


def test_a_value_is_no_section(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="not a table"):
        load(tmp_path).section("default_engine")


def test_settings_are_typed(tmp_path: Path) -> None:
    settings = load(tmp_path, "[providers.x]\ntimeout = 5\n").settings
    assert settings.runtime.script_timeout_seconds == 300
    assert settings.providers.model_extra is not None
    assert settings.providers.model_extra["x"].timeout_seconds == 5.0


MISSPELT = (
    "[runtime]\nmax_concurent_scripts = 5\n[speling]\na = 1\n[hooks]\nzzz = 1\n[tools.file_operation]\nenabled = true\n"
    "[tools.calculatr]\na = 1\n[tools.weather]\na = 1\n"
)


def test_a_setting_with_the_likely_name_of_another_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        load(tmp_path, MISSPELT)
    assert "runtime.max_concurent_scripts: did you mean max_concurrent_scripts?" in caught.value.message
    assert f"({tmp_path / 'llmspell.toml'}:2)" in caught.value.message
    assert "zzz" not in caught.value.message


def test_what_is_like_no_setting_and_variables_of_the_environment_are_warnings(tmp_path: Path) -> None:
    environment = {"LLMSPELL_STATE_ENABLED": "1", "LLMSPELL_HOOKS__TIMOUT_MS": "7"}
    config = load(tmp_path, MISSPELT, environment, check=False)
    config.plugin_tables = lambda: {"tools.calculator": (), "tools.file_operations": ()}
    found = {problem.message.partition(" (")[0]: problem.severity for problem in config.problems()}
    assert found["speling: nothing reads this setting"] == "warning"
    assert found["hooks.zzz: nothing reads this setting"] == "warning"
    assert found["hooks.timout_ms: did you mean timeout_ms?"] == "warning"
    assert (
        found["tools.file_operation: no tool 'file_operation' is installed, did you mean 'file_operations'?"] == "error"
    )
    assert found["tools.calculatr: no tool 'calculatr' is installed, did you mean 'calculator'?"] == "error"
    assert found["tools.weather: no tool 'weather' is installed"] == "warning"
    assert any("LLMSPELL_STATE_ENABLED" in message for message in config.warnings)
    assert config.get("runtime.max_concurent_scripts") == 5


@pytest.mark.parametrize(
    "table", ['approval]\nask = ["calculatr"]', 'permissions]\ncalculatr = "safe"', "timeouts]\ncalculatr = 1"]
)
def test_a_tool_that_is_named_in_a_table_of_the_policy_exists(tmp_path: Path, table: str) -> None:
    config = load(tmp_path, f"[tools.{table}\n")
    config.plugin_tables = lambda: {"tools.calculator": ()}
    with pytest.raises(ValidationError, match="no tool 'calculatr' is installed, did you mean 'calculator'"):
        config.check()


SETTINGS = """
[tools.weather]
unit = "celsius"
unitt = "celsius"
[tools.http_request]
rate_limit = 5
rate_limit_per_minut = 5
rate_limit_per_minute = 5
[tools.timeouts]
defautl = 5
[prometheus]
prot = 9
"""


def test_a_name_in_the_table_of_a_plugin_is_one_that_the_plugin_declares(tmp_path: Path) -> None:
    config = load(tmp_path, SETTINGS, check=False)
    config.plugin_tables = lambda: {
        "tools.weather": ["unit"],
        "tools.http_request": ["rate_limit_per_minute"],
        "prometheus": ["port"],
    }
    found = {problem.message.partition(" (")[0]: problem.severity for problem in config.problems()}
    assert found == {
        "tools.weather.unitt: did you mean unit?": "error",
        "tools.http_request.rate_limit: did you mean rate_limit_per_minute?": "error",
        "tools.http_request.rate_limit_per_minut: did you mean rate_limit_per_minute?": "error",
        "tools.timeouts.defautl: no tool 'defautl' is installed, did you mean 'default'?": "error",
        "prometheus.prot: did you mean port?": "error",
    }


def test_tables_for_others_are_no_warning(tmp_path: Path) -> None:
    text = '[tools.calculator]\na = 1\n[engines.mine]\nb = 2\n[app]\nport = 1\n[providers.x]\nspecial = true\n[prompts]\nhi = "x"\n'
    assert load(tmp_path, text).warnings == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rag]\nenabled = true\n", "rag: no effect, because this version has no retrieval"),
        ("[kernel]\nport = 1\n", "kernel: no effect, because this version has no kernel for notebooks"),
        ('[state]\nstorage_backend = "sqlite"\n', "state: no effect, because this version has no durable state"),
        (
            "[runtime.state_persistence]\nmigration_enabled = true\n",
            "runtime.state_persistence.migration_enabled: no effect, because this version has no durable state",
        ),
        ("[runtime.sessions]\nenabled = true\n", "runtime.sessions: no effect, because this version has no recorded"),
        ("[hooks.builtin]\nlogging = true\n", "hooks.builtin: no effect, because this version has no built-in hooks"),
        ("[events.export]\nstdout = true\n", "events.export: no effect, because this version has no event log"),
        ("[debug.performance]\nenabled = true\n", "debug.performance: no effect, because this version has no profiler"),
        ("[features]\nx = 1\n", "features: no effect, because this version has no compile-time features"),
        ("[rga]\nenabled = true\n", "rga: "),
        ("[tools.network]\nmax_retries = 3\n", "tools.network.max_retries: nothing reads this setting"),
    ],
)
def test_a_setting_without_effect_is_a_warning_that_says_why(tmp_path: Path, text: str, said: str) -> None:
    (warning,) = load(tmp_path, text).warnings
    assert warning.startswith(said)
    assert "llmspell.toml:" in warning


def test_contradictions_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match='default_provider is "opnai": did you mean openai'):
        load(tmp_path, '[providers]\ndefault_provider = "opnai"\n[providers.openai]\napi_key = "k"\n')
    with pytest.raises(ValidationError, match='default_engine is "luna": did you mean lua'):
        load(tmp_path, 'default_engine = "luna"\n')
    assert load(tmp_path, 'default_engine = "mine"\n[engines.mine]\na = 1\n').get("default_engine") == "mine"


def test_problems_lists_everything_without_stopping(tmp_path: Path) -> None:
    config = load(tmp_path, '[runtime]\nmax_concurrent_scripts = "ten"\n', check=False)
    assert [problem.severity for problem in config.problems()] == ["error"]
    config = load(tmp_path, "[runtime]\nmax_concurrent_scripts = 500\n[providers.openai]\ntimeout = 700\n", check=False)
    messages = [problem.message for problem in config.problems()]
    assert any("max_concurrent_scripts: 500 is very large" in message for message in messages)
    assert any("providers.openai has no key" in message for message in messages)
    assert any("more than ten minutes" in message for message in messages)


def test_an_unknown_section_to_show_has_near_matches(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no setting 'runtme'") as caught:
        load(tmp_path).flat("runtme")
    assert "runtime" in str(caught.value.hint)


def test_the_security_profile_sets_what_the_file_does_not(tmp_path: Path) -> None:
    config = load(tmp_path, '[runtime.security]\nprofile = "high"\nallow_network_access = true\n')
    assert config.get("runtime.security.allow_network_access") is True
    assert config.get("runtime.security.allow_file_access") is False
    assert config.get("tools.file_operations.allowed_paths") == []


def test_a_security_profile_of_the_command_line_only_tightens(tmp_path: Path) -> None:
    text = '[runtime.security]\nallow_network_access = true\nmax_tool_level = "restricted"\nmax_memory_bytes = 1000\n'
    config = load(tmp_path, text, overrides={"runtime": {"security": {"profile": "high"}}})
    assert config.get("runtime.security.allow_network_access") is False
    assert config.get("runtime.security.max_tool_level") == "safe"
    assert config.get("runtime.security.max_memory_bytes") == 1000
    assert "command line" in str(config.origin("runtime.security.max_tool_level"))
    config = load(tmp_path, text, overrides={"runtime": {"security": {"profile": "low"}}})
    assert config.get("runtime.security.max_tool_level") == "restricted"


def test_a_security_profile_of_the_command_line_does_not_loosen_a_configured_one(tmp_path: Path) -> None:
    low = {"runtime": {"security": {"profile": "low"}}}
    config = load(tmp_path, '[security]\nprofile = "high"\n', overrides=low)
    assert config.get("runtime.security.profile") == "high"
    assert config.get("runtime.security.max_tool_level") == "safe"
    assert load(tmp_path, "", overrides=low).get("runtime.security.max_tool_level") == "privileged"


def test_a_security_profile_of_ones_own_extends_another(tmp_path: Path) -> None:
    text = '[security]\nprofile = "mine"\n[security.profiles.mine]\nextends = "high"\nallow_network_access = true\n'
    config = load(tmp_path, text)
    assert config.get("runtime.security.allow_network_access") is True
    assert config.get("runtime.security.max_tool_level") == "safe"
    assert policy_settings(config)["profile"] == "high"
    with pytest.raises(ValidationError, match="no security profile 'hihg'") as caught:
        load(tmp_path, '[security]\nprofile = "hihg"\n')
    assert "Did you mean high?" in str(caught.value.hint)


@pytest.mark.parametrize("profile", ["low", "medium", "high"])
def test_a_policy_can_be_made_from_every_security_profile(tmp_path: Path, profile: str) -> None:
    config = load(tmp_path, f'[runtime.security]\nprofile = "{profile}"\n')
    policy = Policy(policy_settings(config))
    assert policy.settings.profile == profile
    assert policy.settings.allow_file_access is (profile != "high")
    assert str(tmp_path / "llmspell.toml") in policy.settings.read_only_paths


def test_policy_settings_follow_the_tools_tables(tmp_path: Path) -> None:
    text = '[tools.system]\nallow_process_execution = true\nallowed_commands = "git, ls"\n[tools.permissions]\ncalculator = "safe"\n'
    values = policy_settings(load(tmp_path, text + '[tools.http_request]\nallowed_hosts = ["a.org"]\n'))
    assert values["allow_process_spawn"] is True
    assert values["allowed_commands"] == ["git", "ls"]
    assert values["tool_levels"]["calculator"] == "safe"
    assert values["allowed_hosts"] == ["a.org"]


def test_a_provider_without_a_table_is_its_own_type(tmp_path: Path) -> None:
    settings = provider_settings(load(tmp_path, environ={"OPENAI_API_KEY": "sk-1"}), "openai")
    assert (settings.provider_type, settings.api_key, settings.timeout_seconds) == ("openai", "sk-1", 60.0)
    assert provider_settings(load(tmp_path), "local").api_key is None


def test_a_provider_table_becomes_settings(tmp_path: Path) -> None:
    text = '[providers.mine]\nprovider_type = "openai"\napi_base = "http://h/v1"\napi_key_env = "MINE"\n'
    text += 'model = "m"\ntop_p = 0.5\ntimeout = 3\n'
    settings = provider_settings(load(tmp_path, text, {"MINE": "k", "OPENAI_API_KEY": "vendor"}), "mine")
    assert (settings.provider_type, settings.base_url, settings.api_key) == ("openai", "http://h/v1", "k")
    assert (settings.default_model, settings.timeout_seconds, settings.options) == ("m", 3.0, {"top_p": 0.5})


def test_the_vendors_key_is_not_sent_to_another_host(tmp_path: Path) -> None:
    text = '[providers.mine]\nprovider_type = "openai"\n'
    environ = {"OPENAI_API_KEY": "vendor"}
    assert provider_settings(load(tmp_path, text, environ), "mine").api_key == "vendor"
    assert provider_settings(load(tmp_path, text + 'base_url = "http://h"\n', environ), "mine").api_key is None


def test_an_own_key_variable_wins_over_the_vendors(tmp_path: Path) -> None:
    text = '[providers.openai]\napi_key_env = "WORK_KEY"\n'
    environ = {"OPENAI_API_KEY": "private", "WORK_KEY": "work"}
    assert provider_settings(load(tmp_path, text, environ), "openai").api_key == "work"
    assert (
        provider_settings(load(tmp_path, text, environ | {"LLMSPELL_PROVIDER_OPENAI_API_KEY": "x"}), "openai").api_key
        == "x"
    )


def test_configured_providers_are_tables_and_keys(tmp_path: Path) -> None:
    text = "[providers.a]\nenabled = true\n[providers.b]\nenabled = false\n"
    assert load(tmp_path, text, {"GROQ_API_KEY": "k"}).provider_names() == ["a", "groq"]
    assert load(tmp_path).provider_names() == ["a"]


def test_the_default_file_loads_without_warnings_and_changes_nothing(tmp_path: Path) -> None:
    assert tomllib.loads(default_toml())
    config = load(tmp_path, default_toml())
    (tmp_path / "llmspell.toml").unlink()
    assert config.warnings == []
    assert config.as_dict() == load(tmp_path).as_dict()


def test_every_commented_setting_of_the_default_file_is_known(tmp_path: Path) -> None:
    text = "\n".join(
        line[1:] if line[:1] == "#" and line[1:2] not in {" ", ""} else line for line in default_toml().splitlines()
    )
    config = load(tmp_path, text.replace("~/.ssh", "/"), {"OPENAI_API_KEY": "k"})
    assert [warning for warning in config.warnings if "nothing reads" in warning or "did you mean" in warning] == []
    assert len(config.flat()) > 70


def test_every_shipped_profile_loads_without_unknown_settings(tmp_path: Path) -> None:
    for profile in Profiles().all():
        assert profile.description
        config = load(tmp_path, profile=f"{profile.kind}/{profile.name}", environ={"OPENAI_API_KEY": "k"})
        assert [w for w in config.warnings if "nothing reads" in w or "did you mean" in w] == []
        config.check()


def test_set_keeps_comments_and_order(tmp_path: Path) -> None:
    path = tmp_path / "llmspell.toml"
    path.write_text("# top\n[runtime]\n# how long\nscript_timeout_seconds = 5 # seconds\n")
    assert set_value(path, "runtime.script_timeout_seconds", "9") == 9
    assert set_value(path, "tools.file_operations.allowed_paths", '["/tmp"]') == ["/tmp"]
    assert set_value(path, "providers.x.api_key", "12345") == "12345"
    text = path.read_text()
    assert "# top" in text
    assert "# how long\nscript_timeout_seconds = 9 # seconds" in text
    config = load(tmp_path)
    assert config.get("tools.file_operations.allowed_paths") == ["/tmp"]
    assert config.get("providers.x.api_key", secrets=True) == "12345"


def test_set_refuses_what_would_not_load_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "llmspell.toml"
    path.write_text("[runtime]\nscript_timeout_seconds = 5\n")
    with pytest.raises(ValidationError, match="must be a whole number"):
        set_value(path, "runtime.script_timeout_seconds", "soon")
    with pytest.raises(ValidationError, match="one setting, not a table"):
        set_value(path, "runtime.script_timeout_seconds.long", "1")
    assert path.read_text() == "[runtime]\nscript_timeout_seconds = 5\n"


def test_set_in_the_default_file_makes_the_setting_active(tmp_path: Path) -> None:
    path = tmp_path / "llmspell.toml"
    path.write_text(default_toml())
    set_value(path, "default_engine", "javascript")
    set_value(path, "runtime.security.allow_process_spawn", "true")
    config = load(tmp_path)
    assert config.get("default_engine") == "javascript"
    assert config.get("runtime.security.allow_process_spawn") is True


def test_set_does_not_replace_a_table_by_a_value(tmp_path: Path) -> None:
    path = tmp_path / "llmspell.toml"
    path.write_text("[tools.calculator]\nprecision = 3\n")
    with pytest.raises(ValidationError, match="calculator is a table"):
        set_value(path, "tools.calculator", "5")
    assert set_value(path, "tools.calculator.limits", '{"digits": 3}') == {"digits": 3}
    assert load(tmp_path).get("tools.calculator.limits.digits") == 3


def test_a_key_that_a_variable_names_is_a_secret(tmp_path: Path) -> None:
    config = load(tmp_path, '[providers.x]\napi_key_env = "MY_KEY"\n', {"MY_KEY": "sk-from-elsewhere"})
    assert "sk-from-elsewhere" in config.secrets()
    assert config.get("providers.x.api_key_env") == "MY_KEY"


def test_variables_for_a_table_and_its_inside_do_not_clash(tmp_path: Path) -> None:
    environ = {"LLMSPELL_TOOLS__X": "text", "LLMSPELL_TOOLS__X__SIZE": "3"}
    assert load(tmp_path, environ=environ).get("tools.x") == {"size": 3}


def test_the_smallest_limit_holds_for_a_script(tmp_path: Path) -> None:
    assert script_limits(load(tmp_path), "lua") == (300.0, 50_000_000)
    assert script_limits(load(tmp_path), "lua", 900) == (900, 50_000_000)
    text = "[engines.lua]\ntimeout_ms = 2000\n[engines.javascript]\nmax_heap_size_bytes = 1000000\n"
    config = load(tmp_path, text + '[runtime.security]\nprofile = "high"\n')
    assert script_limits(config, "lua") == (2.0, 25_000_000)
    assert script_limits(config, "javascript") == (30.0, 1_000_000)
    (tmp_path / "llmspell.toml").unlink()
    assert script_limits(load(tmp_path, profile="security/low"), "lua")[1] == 512_000_000


def test_headers_may_hold_keys_whatever_they_are_called(tmp_path: Path) -> None:
    text = '[providers.lab.headers]\nX-Team = "team-secret-1"\nAccept = "text/plain"\n'
    config = load(tmp_path, text + '[tools.http_request.default_headers]\nX-Key = "k-secret-2"\nUser-Agent = "me"\n')
    assert config.get("providers.lab.headers") == {"X-Team": "********", "Accept": "text/plain"}
    assert config.get("tools.http_request.default_headers") == {"X-Key": "********", "User-Agent": "me"}
    assert {"team-secret-1", "k-secret-2"} <= set(config.secrets())
    assert config.section("providers.lab.headers")["X-Team"] == "team-secret-1"
