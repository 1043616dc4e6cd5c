"""Every example runs as its first lines say, on the real local model; the first ones also against a server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("examples/lua/*.lua"), *ROOT.glob("examples/js/*.js")])
PYTHON = sorted(ROOT.glob("examples/python/*.py"))
FIRST = [ROOT / "examples/lua/first_agent.lua", ROOT / "examples/js/first_agent.js"]
TESTED = {"agent_as_tool", "extract_table", "fallback_chain", "first_agent", "handoff_triage", "tool_approval"}
"""Examples that other tests run on the local model, here and in test_examples_agents."""
Cli = Callable[..., Any]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT / "examples"))


@pytest.mark.parametrize("script", SCRIPTS, ids=named)
def test_every_script_says_how_to_run_it(script: Path) -> None:
    what, how, *_ = script.read_text(encoding="utf-8").splitlines()
    assert len(what) > 40
    assert how.removeprefix("--").removeprefix("//").split() == ["llmspell", "run", f"examples/{named(script)}"]


@pytest.mark.model
@pytest.mark.parametrize("script", [script for script in SCRIPTS if script.stem not in TESTED], ids=named)
def test_every_script_runs(script: Path, isolated: Path, invoke_cli: Cli, smollm2: Path) -> None:
    shutil.copytree(ROOT / "examples", isolated / "examples")
    done = invoke_cli("run", f"examples/{named(script)}", timeout=100).assert_success()
    assert done.stdout.strip()


def test_every_script_exists_in_both_languages() -> None:
    names = [{path.stem for path in SCRIPTS if path.suffix == suffix} for suffix in (".lua", ".js")]
    assert names[0] == names[1]


@pytest.mark.model
@pytest.mark.parametrize("program", PYTHON, ids=named)
def test_every_program_runs(program: Path, isolated: Path, smollm2: Path) -> None:
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def check(done: Any) -> None:
    """The model answered, called the calculator with arguments of its own, and the calculator answered."""
    lines = dict(line.split(None, 1) for line in done.assert_success().stdout.splitlines() if line[:1].isalpha())
    assert len(lines["answer"].strip()) > 1
    assert "12 * 34" in lines["tool"]
    assert lines["result"] == "408"


@pytest.mark.model
@pytest.mark.parametrize("script", FIRST, ids=named)
def test_the_first_agent_answers_and_calls_the_calculator(script: Path, invoke_cli: Cli, smollm2: Path) -> None:
    check(invoke_cli("run", str(script), timeout=100))


@pytest.fixture
def server(smollm2: Path) -> Iterator[str]:
    """The HTTP server of xllamacpp in a process of its own; its address."""
    pytest.importorskip("xllamacpp")
    process = subprocess.Popen(
        [sys.executable, "-m", "llmspell_provider_llamacpp.serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    wanted: dict[str, Any] = {
        "backend": "xllamacpp",
        "model": str(smollm2),
        "alias": "smollm2",
        "api_key": "test-key-of-the-server",
    }
    wanted |= {"context_size": 2048, "threads": 1, "parallel": 1, "gpu_layers": None}
    process.stdin.write(json.dumps(wanted) + "\n")
    process.stdin.flush()
    yield json.loads(process.stdout.readline())["url"]
    process.stdin.close()
    process.wait(20)
    process.stdout.close()


@pytest.mark.model
@pytest.mark.parametrize("script", FIRST, ids=named)
def test_the_same_scripts_use_a_server_through_the_provider_openai(script: Path, invoke_cli: Cli, server: str) -> None:
    env = {"LLMSPELL_PROVIDERS__OPENAI__BASE_URL": server, "OPENAI_API_KEY": "test-key-of-the-server"}
    check(invoke_cli("run", str(script), "--", "--model", "openai/smollm2", timeout=100, env=env))
