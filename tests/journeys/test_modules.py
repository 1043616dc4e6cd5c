"""What `require` finds: the script's folder, configured folders, and only what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LUA = "local ok, m = pcall(require, 'greet') return ok and m.word or m"
JS = "try { return require('greet').word } catch (e) { return e.message }"
CASES = pytest.mark.parametrize(
    ("language", "source", "file", "module"),
    [
        ("lua", LUA, "greet.lua", "return {word = 'hello'}"),
        ("javascript", JS, "greet.js", "exports.word = 'hello'"),
    ],
)
Run = Callable[..., Any]


@CASES
def test_a_configured_folder_is_searched(
    language: str, source: str, file: str, module: str, run_script: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / file).write_text(module, encoding="utf-8")
    config = {"engines": {language: {"module_paths": [str(folder)]}}}
    assert run_script(source, language, config=config).value == "hello"
    assert "not found" in run_script(source, language).value


@CASES
def test_only_allowed_modules_are_loaded_when_there_is_a_list(
    language: str, source: str, file: str, module: str, run_script: Run, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(module, encoding="utf-8")
    table: dict[str, Any] = {"module_paths": [str(tmp_path)], "allowed_modules": ["other"]}
    assert "may not be loaded" in run_script(source, language, config={"engines": {language: table}}).value
    table["allowed_modules"] = ["greet"]
    assert run_script(source, language, config={"engines": {language: table}}).value == "hello"


def test_a_text_is_no_module_and_says_how_to_read_it(run_script: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "data.json").write_text('{"a": 1}', encoding="utf-8")
    config = {"engines": {"javascript": {"module_paths": [str(tmp_path)]}}}
    source = 'await import("notes.txt", {with: {type: "text"}}); return 1'
    with pytest.raises(Exception, match="cannot be imported: modules are"):
        run_script(source, "javascript", config=config)
    assert (
        run_script('const {default: d} = await import("data.json"); return d.a', "javascript", config=config).value == 1
    )
