"""`llmspell config`, `init` and `info`, as a person types them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llmspell_core.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Llmspell = Callable[..., Outcome]


@pytest.fixture
def llmspell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Llmspell:
    """Runs one command in an empty folder of somebody without any settings."""
    import os

    for name in [name for name in os.environ if name.startswith("LLMSPELL_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        code = main(arguments)
        caught = capsys.readouterr()
        return Outcome(code, caught.out, caught.err)

    return run


def test_show_says_where_each_value_comes_from(
    trusted_settings: Callable[[str], Path], llmspell: Llmspell, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted_settings('[providers.openai]\napi_key = "sk-secret"\n[runtime]\nscript_timeout_seconds = 9\n')
    monkeypatch.setenv("LLMSPELL_HOOKS__ENABLED", "false")
    shown = llmspell("config", "show")
    lines = {line.split(" = ")[0]: line for line in shown.out.splitlines()}
    assert lines["runtime.script_timeout_seconds"].startswith("runtime.script_timeout_seconds = 9 ")
    assert lines["runtime.script_timeout_seconds"].endswith(f"# {Path.cwd()}/llmspell.toml:4")
    assert lines["hooks.enabled"].endswith("# environment LLMSPELL_HOOKS__ENABLED")
    assert lines["default_engine"].endswith("# default")
    assert "sk-secret" not in shown.out
    assert 'providers.openai.api_key = "********"' in shown.out
    assert "# profile:security/high" in llmspell("--security-profile", "high", "config", "show", "runtime").out


def test_a_profile_that_would_loosen_the_configured_one_is_refused_aloud(llmspell: Llmspell) -> None:
    Path("llmspell.toml").write_text('[runtime.security]\nprofile = "high"\n', encoding="utf-8")
    assert "so high holds" in llmspell("--security-profile", "low", "exec", "print(1)").err
    assert llmspell("--security-profile", "high", "exec", "print(1)").err == ""


def test_a_setting_without_effect_is_never_shown_as_if_it_had_one(
    trusted_settings: Callable[[str], Path], llmspell: Llmspell
) -> None:
    trusted_settings("[rag]\nenabled = true\n[hooks]\nenabled = true\n")
    rows = {row.split(" = ")[0]: row for row in llmspell("config", "show").out.splitlines()}
    assert rows["rag.enabled"].endswith("llmspell.toml:2; no effect")
    assert not rows["hooks.enabled"].endswith("no effect")
    assert not [key for key in rows if key.startswith("rag.") and key != "rag.enabled"]
    assert llmspell("config", "show", "--output", "json").data["without_effect"] == ["rag.enabled"]
    assert "Warning: sessions: no effect" in llmspell("config", "set", "sessions.enabled", "true").err
    trusted_settings("[rag]\nenabled = true\n")
    assert "rag: no effect, because this version has no retrieval" in llmspell("config", "check").out
    assert "1 setting without effect; see: llmspell config check" in llmspell("exec", "print(1)").err


def test_a_misspelt_variable_is_told_without_any_file(llmspell: Llmspell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSPELL_RUNTIME__SECURITY__PROFIL", "high")
    assert "1 setting without effect; see: llmspell config check" in llmspell("exec", "print(1)").err
    assert "runtime.security.profil: did you mean profile?" in llmspell("config", "check").out
    monkeypatch.delenv("LLMSPELL_RUNTIME__SECURITY__PROFIL")
    monkeypatch.setenv("LLMSPELL_RUNTIME__SECURITY__PROFILE", "high")
    assert llmspell("exec", "print(1)").err == ""


def test_show_of_one_section_is_plain_data_on_request(llmspell: Llmspell) -> None:
    shown = llmspell("config", "show", "tools.network", "--output", "json").data
    assert shown["settings"] == {"tools": {"network": {"verify_ssl": True}}}
    assert shown["origins"]["tools.network.verify_ssl"] == "default"
    assert tomllib.loads(llmspell("config", "show", "tools", "--format", "toml").out)["tools"]["enabled"] is True
    assert llmspell("config", "show", "--section", "hooks", "--format", "json").data["hooks"]["enabled"] is True


def test_what_show_prints_can_be_read_as_toml(llmspell: Llmspell) -> None:
    assert tomllib.loads(llmspell("config", "show").out)["default_engine"] == "lua"


def test_show_of_an_unknown_section_offers_the_right_one(llmspell: Llmspell) -> None:
    outcome = llmspell("config", "show", "runtme")
    assert outcome.code == 1
    assert "there is no setting 'runtme'" in outcome.err
    assert "runtime" in outcome.err


def test_get_prints_one_value(llmspell: Llmspell) -> None:
    assert llmspell("config", "get", "default_engine").out == "lua\n"
    assert llmspell("config", "get", "tools.file_operations.allowed_paths").out == '[".", "/tmp"]\n'
    assert llmspell("config", "get", "runtime.script_timeout_seconds", "--output", "json").data == 300
    assert llmspell("config", "get", "providers.default_provider") == (0, "", "")
    outcome = llmspell("config", "get", "runtime.scipt_timeout_seconds")
    assert outcome.code == 1
    assert "Did you mean runtime.script_timeout_seconds" in outcome.err


def test_set_changes_the_file_and_get_sees_it(llmspell: Llmspell) -> None:
    assert llmspell("config", "set", "runtime.script_timeout_seconds", "60").code == 0
    assert Path("llmspell.toml").exists()
    assert llmspell("config", "get", "runtime.script_timeout_seconds").out == "60\n"
    secret = llmspell("config", "set", "providers.openai.api_key", "sk-secret")
    assert "sk-secret" not in secret.out + secret.err
    assert "sk-secret" in Path("llmspell.toml").read_text()


def test_set_refuses_a_wrong_value_and_an_unknown_name(llmspell: Llmspell) -> None:
    refused = llmspell("config", "set", "runtime.script_timeout_seconds", "soon")
    assert refused.code == 1
    assert "must be a whole number" in refused.err
    assert not Path("llmspell.toml").exists()
    for key, told in (
        ("runtime.max_concurent_scripts", "did you mean max_concurrent_scripts?"),
        ("hooks.zzz", "nothing reads this setting"),
        ("tools.calculatr.x", "did you mean 'calculator'?"),
    ):
        odd = llmspell("config", "set", key, "3")
        assert (odd.code, told in odd.err) == (1, True), odd.err
        assert not Path("llmspell.toml").exists()
    plugins = llmspell("config", "set", "weather.city", "Oslo")
    assert (plugins.code, "nothing reads this setting" in plugins.err) == (0, True)


def test_check_accepts_what_init_wrote(llmspell: Llmspell) -> None:
    assert llmspell("config", "init").code == 0
    checked = llmspell("config", "check", "--output", "json")
    assert checked.code == 0
    assert checked.data["valid"] is True
    assert checked.data["path"].endswith("llmspell.toml")
    assert checked.data["errors"] == []
    assert checked.data["warnings"] == [
        "no provider is configured and no key is set: agents use the local model smollm2"
    ]


def test_check_shows_every_error_with_its_place(llmspell: Llmspell) -> None:
    Path("other.toml").write_text('[runtime]\nmax_concurrent_scripts = "ten"\n[hooks]\nenabled = 5\n')
    checked = llmspell("config", "check", "--file", "other.toml")
    assert checked.code == 1
    assert 'error: runtime.max_concurrent_scripts must be a whole number, but it is "ten" (text)' in checked.out
    assert "other.toml:2" in checked.out
    assert "error: hooks.enabled must be true or false" in checked.out
    assert checked.out.rstrip().endswith("not valid")
    assert llmspell("config", "validate", "--file", "other.toml").code == 1


def test_check_of_bad_toml_is_one_clear_error(llmspell: Llmspell) -> None:
    Path("llmspell.toml").write_text("default_engine = lua\n")
    checked = llmspell("config", "check", "--output", "json")
    assert checked.code == 1
    assert "line 1, column 18" in checked.data["errors"][0]


@pytest.mark.parametrize("command", [["config", "show"], ["config", "get", "default_engine"], ["info"]])
def test_bad_toml_is_an_error_without_a_traceback(llmspell: Llmspell, command: list[str]) -> None:
    Path("llmspell.toml").write_text("[runtime\n")
    outcome = llmspell(*command)
    assert outcome.code == 1
    assert "llmspell.toml, line 1" in outcome.err
    assert "Hint:" in outcome.err
    assert "Traceback" not in outcome.err


def test_init_does_not_replace_a_file_unasked(llmspell: Llmspell) -> None:
    Path("llmspell.toml").write_text("# mine\n")
    refused = llmspell("config", "init")
    assert refused.code == 1
    assert "--force" in refused.err
    assert Path("llmspell.toml").read_text() == "# mine\n"
    assert llmspell("config", "init", "--force").code == 0
    assert llmspell("config", "init", "--output", "deep/own.toml").code == 0
    assert Path("deep/own.toml").read_text() == Path("llmspell.toml").read_text()
    assert llmspell("config", "generate").out == Path("llmspell.toml").read_text()


def test_profiles_are_listed_by_category(llmspell: Llmspell) -> None:
    text = llmspell("config", "list-profiles").out
    assert "Core:" in text
    assert "development" in text
    found = {each["name"]: each for each in llmspell("config", "list-profiles", "-d", "--output", "json").data}
    assert found["local"]["layers"] == ["bases/cli", "features/llm-local", "envs/dev"]
    assert found["local"]["category"] == "Local LLM"
    assert "security/high" in found
    assert "script_timeout_seconds = 600" in llmspell("config", "show-profile", "envs/dev").out


def test_an_unknown_profile_offers_the_right_one(llmspell: Llmspell) -> None:
    outcome = llmspell("--profile", "developmnt", "config", "show")
    assert outcome.code == 1
    assert "Did you mean development?" in outcome.err


def test_a_missing_configuration_file_is_named(llmspell: Llmspell) -> None:
    outcome = llmspell("config", "show", "--config", "nowhere.toml")
    assert outcome.code == 1
    assert "nowhere.toml does not exist" in outcome.err


@pytest.mark.parametrize(("language", "extension"), [("lua", "lua"), ("javascript", "js")])
def test_init_makes_a_folder_whose_settings_are_right(llmspell: Llmspell, language: str, extension: str) -> None:
    made = llmspell("init", "spells", "--language", language)
    assert made.code == 0
    assert f"llmspell run examples/hello_world.{extension}" in made.out
    assert Path(f"spells/examples/hello_world.{extension}").exists()
    assert "# spells" in Path("spells/README.md").read_text()
    assert llmspell("config", "get", "default_engine", "--config", "spells/llmspell.toml").out.strip() == language
    assert llmspell("init", "spells", "--language", language).code == 1
    assert llmspell("init", "spells", "--language", language, "--force").code == 0


def test_info_tells_what_is_there(llmspell: Llmspell) -> None:
    data = llmspell("info", "--output", "json").data
    assert {"lua", "javascript"} <= {engine["name"] for engine in data["engines"]}
    assert set(data["components"]) == {"tools", "providers", "engines", "globals", "templates"}
    assert data["configuration"]["security_profile"] == "medium"
    assert "fence" in llmspell("info").out


@pytest.mark.parametrize(("language", "extension"), [("lua", "lua"), ("javascript", "js")])
def test_the_example_of_a_new_folder_runs(llmspell: Llmspell, language: str, extension: str) -> None:
    assert llmspell("init", "spells", "--language", language).code == 0
    ran = llmspell("run", f"spells/examples/hello_world.{extension}", "--", "--name", "Ada")
    assert ran.code == 0
    assert ran.out.startswith("Hello, Ada!\nInstalled tools: ")
