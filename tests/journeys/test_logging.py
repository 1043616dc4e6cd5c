"""What `[logging]` and `[debug]` do to what the program writes about itself."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmspell_core.cli.logs import FileLog, start
from llmspell_core.errors import ConfigurationError
from llmspell_core.redaction import Redaction
from llmspell_core.script.result import ScriptResult
from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]
Run = Callable[..., ScriptResult]
KEY = "sk-0123456789abcdef"
NOISY = f"""Debug.warn("careful {KEY}", "my.module") Debug.info("fine") Debug.debug("tiny") print("out")"""


@pytest.fixture
def settings(trusted_settings: Callable[[str], Path]) -> Callable[[str], Path]:
    return trusted_settings


def test_without_settings_the_terminal_gets_warnings(invoke_cli: Cli) -> None:
    done = invoke_cli("exec", 'Debug.warn("careful") Debug.info("fine") print("out")').assert_success()
    assert (done.stdout, done.stderr) == ("out\n", "WARNING llmspell.script: careful\n")


def test_the_level_of_the_terminal_is_a_setting_that_the_command_line_replaces(
    invoke_cli: Cli, settings: Callable[[str], Path]
) -> None:
    settings('[logging]\nconsole_level = "error"\n')
    assert invoke_cli("exec", NOISY).assert_success().stderr == ""
    assert "INFO llmspell.script: fine" in invoke_cli("--trace", "info", "exec", NOISY).assert_success().stderr
    settings("[logging]\nconsole_enabled = false\n")
    assert invoke_cli("exec", NOISY).assert_success().stderr == ""
    assert "fine" in invoke_cli("exec", NOISY, env={"LLMSPELL_LOG": "info"}).assert_success().stderr


def test_the_file_has_a_level_of_its_own_and_no_secret(
    invoke_cli: Cli, isolated: Path, settings: Callable[[str], Path]
) -> None:
    settings('[logging]\nlog_file = "logs/a.log"\nlog_level = "info"\nconsole_level = "error"\n')
    done = invoke_cli("exec", NOISY, env={"OPENAI_API_KEY": KEY}).assert_success()
    text = (isolated / "logs" / "a.log").read_text(encoding="utf-8")
    assert done.stderr == ""
    assert "WARNING llmspell.script: [my.module] careful ********" in text
    assert "INFO llmspell.script: fine" in text
    assert "tiny" not in text
    assert KEY not in text
    assert (isolated / "logs" / "a.log").stat().st_mode & 0o077 == 0, "only its owner may read it"


def test_json_lines_in_the_file_and_on_the_terminal(
    invoke_cli: Cli, isolated: Path, settings: Callable[[str], Path]
) -> None:
    settings('[logging]\nlog_file = "a.log"\njson_format = true\n')
    done = invoke_cli("exec", NOISY, env={"OPENAI_API_KEY": KEY}).assert_success()
    (shown,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (shown["level"], shown["logger"]) == ("warning", "llmspell.script")
    assert shown["message"] == "[my.module] careful ********"
    rows = [json.loads(line) for line in (isolated / "a.log").read_text(encoding="utf-8").splitlines()]
    assert {"timestamp", "level", "logger", "message"} == set(rows[0])
    assert "fine" in [row["message"] for row in rows]


def test_a_script_cannot_forge_a_line_or_reach_the_terminal(invoke_cli: Cli) -> None:
    done = invoke_cli("exec", r'Debug.warn("one\nERROR llmspell: forged\27[2J\7")').assert_success()
    assert done.stderr == "WARNING llmspell.script: one\n    ERROR llmspell: forged\\x1b[2J\\x07\n"


def test_a_file_that_cannot_be_written_is_one_error(
    invoke_cli: Cli, isolated: Path, settings: Callable[[str], Path]
) -> None:
    (isolated / "folder").mkdir()
    settings('[logging]\nlog_file = "folder"\n')
    done = invoke_cli("exec", "print(1)")
    assert done.exit_code == 1
    assert "the log file folder cannot be written: Is a directory" in done.stderr
    assert "Hint: Name another file in logging.log_file" in done.stderr


def test_a_full_disk_does_not_stop_the_program(invoke_cli: Cli, settings: Callable[[str], Path]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    settings('[logging]\nlog_file = "/dev/full"\n')
    done = invoke_cli("exec", NOISY).assert_success()
    assert done.stdout == "out\n"
    assert "Traceback" not in done.stderr


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("llmspell.test.files")
    made.propagate = False
    made.setLevel(logging.INFO)
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def rotating(path: Path, **more: Any) -> FileLog:
    handler = FileLog(path, {"max_size_mb": 1, "max_backups": 2, **more})
    handler._most = 1000
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def test_full_files_are_numbered_and_packed_and_the_oldest_go(tmp_path: Path, logger: logging.Logger) -> None:
    logger.addHandler(rotating(tmp_path / "a.log"))
    for number in range(100):
        logger.info("%04d %s", number, "x" * 100)
    assert sorted(path.name for path in tmp_path.glob("a.log*")) == ["a.log", "a.log.1", "a.log.2.gz"]
    packed = gzip.decompress((tmp_path / "a.log.2.gz").read_bytes()).decode()
    kept = packed + (tmp_path / "a.log.1").read_text("utf-8") + (tmp_path / "a.log").read_text("utf-8")
    numbers = [int(line[:4]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 100)), "nothing in between is lost"


def test_without_backups_the_file_begins_anew(tmp_path: Path, logger: logging.Logger) -> None:
    logger.addHandler(rotating(tmp_path / "a.log", max_backups=0))
    for _ in range(100):
        logger.info("x" * 100)
    assert (tmp_path / "a.log").stat().st_size < 2000
    assert not (tmp_path / "a.log.1").exists()


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path, logger: logging.Logger) -> None:
    logger.addHandler(rotating(tmp_path / "a.log"))
    logger.info("one")
    (tmp_path / "a.log").rename(tmp_path / "b.log")
    logger.info("two")
    assert [(tmp_path / name).read_text("utf-8") for name in ("b.log", "a.log")] == ["one\n", "two\n"]


WRITER = """
import logging, sys
from pathlib import Path
from llmspell_core.cli.logs import FileLog

path, name = sys.argv[1:]
log = logging.getLogger(name)
log.setLevel(logging.INFO)
handler = FileLog(Path(path), {"max_size_mb": 1, "max_backups": 200, "compress": False})
handler._most = 1000
handler.setFormatter(logging.Formatter("%(message)s"))
log.addHandler(handler)
for number in range(200):
    log.info("%s %04d", name, number)
"""


def test_several_processes_share_a_file_and_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.log")]
    writers = [subprocess.Popen([*command, name]) for name in ("p", "q")]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    lines = [line for path in tmp_path.glob("a.log*") for line in path.read_text("utf-8").splitlines()]
    assert sorted(lines) == sorted(f"{name} {number:04d}" for name in "pq" for number in range(200))


def test_starting_again_replaces_what_was_there(tmp_path: Path) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        for _ in range(3):
            start("info", {"log_file": str(tmp_path / "a.log")}, Redaction())
        assert len([h for h in root.handlers if h not in before]) == 3
    finally:
        start("off", {"console_enabled": False}, Redaction())
        for handler in [h for h in root.handlers if h not in before]:
            root.removeHandler(handler)
        root.setLevel(level)


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        FileLog(tmp_path / "file" / "a.log", {})


DEBUG = """return {level = Debug.getLevel(), enabled = Debug.isEnabled(), rules = Debug.getFilterSummary().rules,
  seen = (function() Debug.debug("a", "net.http") Debug.debug("b", "mine") Debug.debug("c")
    local seen = {} for _, e in ipairs(Debug.getCapturedEntries()) do seen[#seen + 1] = e.message end return seen end)()}"""


DEBUG_JS = """Debug.debug("a", "net.http"); Debug.debug("b", "mine"); Debug.debug("c");
  return {level: Debug.getLevel(), enabled: Debug.isEnabled(), rules: Debug.getFilterSummary().rules,
    seen: Debug.getCapturedEntries().map((e) => e.message)}"""


@pytest.mark.parametrize(("language", "source"), [("lua", DEBUG), ("javascript", DEBUG_JS)])
def test_debug_begins_as_the_configuration_says(run_script: Run, language: str, source: str) -> None:
    table = {"level": "debug", "module_filters": {"disabled": ["net"]}}
    value = run_script(source, language, config={"debug": table}).value
    assert (value["level"], value["enabled"], value["seen"]) == ("DEBUG", True, ["b", "c"])
    assert value["rules"] == [{"pattern": "net", "pattern_type": "hierarchical", "enabled": False}]
    assert (
        run_script("Debug.error('x') return #Debug.getCapturedEntries()", config={"debug": {"enabled": False}}).value
        == 0
    )


@pytest.mark.parametrize("level", ["warn", "trace"])
def test_no_error_repeats_a_key_wherever_it_is_configured(
    invoke_cli: Cli, settings: Callable[[str], Path], level: str
) -> None:
    settings(
        f'[providers.lab]\nprovider_type = "openai"\napi_key = "{KEY}"\n[providers.lab.headers]\nX-Team = "team-1234"\n'
    )
    for output in ("text", "json"):
        done = invoke_cli(
            "--trace",
            level,
            "--output",
            output,
            "exec",
            f"error('{KEY} team-1234 env-5678')",
            env={"MY_TOKEN": "env-5678"},
        )
        assert done.exit_code == 1
        said = done.stdout + done.stderr
        assert "********" in said
        assert not [secret for secret in (KEY, "team-1234", "env-5678") if secret in said]
