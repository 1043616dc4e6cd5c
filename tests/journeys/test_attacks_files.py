"""What a hostile script writes for the next run to execute or believe, and what it reads as a module: both languages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.errors import ScriptError
from llmspell_core.runtime import Runtime

LANGUAGES = pytest.mark.parametrize("language", ["lua", "javascript"])
SUFFIX = {"lua": "lua", "javascript": "js"}
WRITE = {
    "lua": """
        local written = {}
        for _, path in ipairs(JSON.parse(ARGS.paths)) do
          local tries = {
            {operation = "write", path = path, content = "evil"}, {operation = "append", path = path, content = "evil"},
            {operation = "copy", source_path = "mine.txt", target_path = path},
            {operation = "move", source_path = "mine.txt", target_path = path}, {operation = "delete", path = path},
          }
          for _, try in ipairs(tries) do
            local ok, answer = pcall(Tool.execute, "file-operations", try)
            if ok and answer.success then written[#written + 1] = try.operation .. " " .. path end
          end
          local file = io.open(path, "a")
          if file then file:close() written[#written + 1] = "open " .. path end
        end
        return table.concat(written, ", ")
    """,
    "javascript": """
        const written = [];
        for (const path of JSON.parse(ARGS.paths)) {
          const tries = [
            {operation: "write", path, content: "evil"}, {operation: "append", path, content: "evil"},
            {operation: "copy", source_path: "mine.txt", target_path: path},
            {operation: "move", source_path: "mine.txt", target_path: path}, {operation: "delete", path},
          ];
          for (const one of tries) {
            try {
              const answer = await Tool.execute("file-operations", one);
              if (answer.success) written.push(one.operation + " " + path);
            } catch (error) { if (!/denied/.test(error.message)) written.push(error.message); }
          }
        }
        return written.join(", ");
    """,
}


async def run(language: str, source: str, cwd: Path, config: dict[str, Any] | None = None, **options: Any) -> Any:
    async with Runtime(config or {}, cwd=cwd) as runtime:
        return (await runtime.run_script(source, engine=language, timeout=60, **options)).value


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which somebody works, as llmspell finds it when no variable moves anything."""
    for name in ("LLMSPELL_HOME", "LLMSPELL_CACHE_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "somebody"
    (home / ".config" / "llmspell").mkdir(parents=True)
    (home / ".config" / "llmspell" / "config.toml").write_text("")
    (home / "mine.txt").write_text("mine")
    (home / ".bashrc").write_text("")
    site = home / "project" / ".venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (home / "project" / ".git" / "hooks").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    return home


@LANGUAGES
@pytest.mark.parametrize("profile", ["low", "medium"])
async def test_nothing_is_written_for_the_next_run(language: str, profile: str, home: Path) -> None:
    paths = [
        ".config/llmspell/config.toml", ".llmspell/config.toml", ".llmspell/trust.json", ".llmspell.toml", "llmspell.toml",
        "project/.venv/lib/python3.11/site-packages/x.pth", "project/.git/hooks/post-checkout", "project/llmspell.toml",
        ".cache/llmspell/catalog/00000000.json", f"/tmp/llmspell-{os.getuid()}/00000000.json", ".bashrc", "~/.profile",
    ]  # fmt: skip
    config = {"runtime": {"security": {"profile": profile}}}
    assert await run(language, WRITE[language], home, config, args={"paths": json.dumps(paths)}) == ""
    assert (home / "mine.txt").read_text() == "mine"
    assert (home / ".bashrc").read_text() == ""


@LANGUAGES
async def test_the_catalog_is_not_written_wherever_it_is_kept(
    language: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(home / "cached"))
    paths = ["cached/catalog/00000000.json", "cached/catalog", "Cached/catalog/x/engine.json"]
    assert await run(language, WRITE[language], home, args={"paths": json.dumps(paths)}) == ""


@LANGUAGES
async def test_the_log_and_its_older_files_are_not_written(language: str, home: Path) -> None:
    """They hold the record of what was denied."""
    config = {
        "logging": {"log_file": "own.log", "max_backups": 2},
        "engines": {language: {"module_paths": ["modules"]}},
    }
    paths = ["own.log", "own.log.1", "own.log.2.gz", "modules/greet.lua", "modules/greet.js"]
    assert await run(language, WRITE[language], home, config, args={"paths": json.dumps(paths)}) == ""


# -- what is read as a module ------------------------------------------------------------------------------------------

READS = {
    "lua": (
        "return require('hidden.part')",
        "return dofile('hidden/part.lua')",
        "return assert(loadfile('hidden/part.lua'))()",
    ),
    "javascript": (
        "return require('./hidden/part.js')",
        "import part from './hidden/part.js';\nexport default part;",
        "return (await import('./hidden/part.js')).default",
    ),
}
MODULE = {"lua": "return 'the secret'", "javascript": "export default 'the secret'; "}


def module(language: str, read: str) -> str:
    return "module.exports = 'the secret'" if "require(" in read and language == "javascript" else MODULE[language]


CASES = pytest.mark.parametrize(("language", "read"), [(lang, read) for lang, all_ in READS.items() for read in all_])


def script(folder: Path, language: str, read: str) -> Path:
    (folder / "hidden").mkdir(parents=True)
    (folder / "hidden" / f"part.{SUFFIX[language]}").write_text(module(language, read), "utf-8")
    own = folder / f"own.{SUFFIX[language]}"
    own.write_text(read, "utf-8")
    return own


async def run_file(path: Path, cwd: Path, config: dict[str, Any] | None = None) -> Any:
    async with Runtime(config or {}, cwd=cwd) as runtime:
        return (await runtime.run_script(path=path, timeout=60)).value


@LANGUAGES
async def test_modules_come_from_the_folder_of_the_script_wherever_it_is(language: str, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    narrow = {"tools": {"file_operations": {"allowed_paths": [str(tmp_path / "work")]}}}
    own = script(tmp_path / "scripts", language, READS[language][0])
    assert await run_file(own, tmp_path / "work", narrow) == "the secret"


@CASES
async def test_a_denied_folder_has_no_modules(language: str, read: str, tmp_path: Path) -> None:
    own = script(tmp_path, language, read)
    denied = {"security": {"sandbox": {"denied_paths": [str(tmp_path / "hidden")]}}}
    with pytest.raises(ScriptError, match="denied_paths"):
        await run_file(own, tmp_path, denied)


@LANGUAGES
async def test_a_sensitive_place_has_no_modules_by_a_link_either(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    own = script(tmp_path, language, READS[language][0])
    (tmp_path / "hidden").rename(tmp_path / ".ssh")
    (tmp_path / "hidden").symlink_to(".ssh")
    with pytest.raises(ScriptError, match="sensitive place"):
        await run_file(own, tmp_path)


@LANGUAGES
@pytest.mark.parametrize("number", [0, 1])
async def test_a_link_out_of_the_folder_is_not_followed(language: str, number: int, tmp_path: Path) -> None:
    own = script(tmp_path / "scripts", language, READS[language][number])
    (tmp_path / "scripts" / "hidden").rename(tmp_path / "outside")
    (tmp_path / "scripts" / "hidden").symlink_to(tmp_path / "outside")
    narrow = {"tools": {"file_operations": {"allowed_paths": [str(tmp_path / "scripts")]}}}
    with pytest.raises(ScriptError, match=r"not found|not below an allowed path"):
        await run_file(own, tmp_path / "scripts", narrow)


@LANGUAGES
async def test_a_script_in_a_denied_folder_runs_because_the_operator_named_it(language: str, tmp_path: Path) -> None:
    own = script(tmp_path / "closed", language, "return 'ran'")
    denied = {"security": {"sandbox": {"denied_paths": [str(tmp_path / "closed")]}}}
    assert await run_file(own, tmp_path, denied) == "ran"
