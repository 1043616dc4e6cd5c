"""`llmspell model` and `llmspell provider`, with model files small enough for a test."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from llmspell_core.testing.fake_server import FakeServer, Received, Reply
from llmspell_core.testing.fixtures import CliResult

Cli = Callable[..., CliResult]
EMPTY_MODEL = struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + bytes(40)


@pytest.fixture
def model_file(isolated: Path) -> Path:
    """A model without any tensor: enough to be kept, listed and removed."""
    shared = isolated / "home" / "models"
    if shared.is_symlink():
        shared.unlink()
    path = isolated / "tiny.gguf"
    path.write_bytes(EMPTY_MODEL)
    return path


def test_a_file_becomes_a_model_that_is_listed_described_and_removed(invoke_cli: Cli, model_file: Path) -> None:
    done = invoke_cli("model", "pull", str(model_file)).assert_success()
    assert "tiny is ready (64 B)" in done.stdout
    assert "Fetching" in done.stderr
    assert invoke_cli("model", "list").assert_success().stdout == "tiny\n"
    data = json.loads(invoke_cli("model", "list", "--output", "json").assert_success().stdout)
    assert (data["count"], data["models"][0]["id"], data["models"][0]["size_bytes"]) == (1, "tiny", 64)
    assert "tiny.gguf" in invoke_cli("model", "info", "tiny").assert_success().stdout
    assert "tiny is deleted" in invoke_cli("model", "remove", "tiny", "--yes").assert_success().stdout
    done = invoke_cli("model", "list").assert_success()
    assert done.stdout == ""
    assert "llmspell model pull smollm2" in done.stderr


def test_quiet_says_only_the_result(invoke_cli: Cli, model_file: Path) -> None:
    done = invoke_cli("--quiet", "model", "pull", str(model_file)).assert_success()
    assert done.stderr == ""


def test_pulling_as_json_leaves_one_document_on_stdout(invoke_cli: Cli, model_file: Path) -> None:
    done = invoke_cli("model", "pull", str(model_file), "--output", "json").assert_success()
    assert json.loads(done.stdout)["id"] == "tiny"


def test_the_embedded_default_model_is_among_the_available_ones(invoke_cli: Cli) -> None:
    data = json.loads(invoke_cli("model", "available", "--output", "json").assert_success().stdout)
    assert "smollm2" in [model["id"] for model in data["models"]]


def test_status_names_the_local_provider(invoke_cli: Cli, model_file: Path) -> None:
    rows = json.loads(invoke_cli("model", "status", "--output", "json").assert_success().stdout)
    served = {row["backend"]: row["models"] for row in rows}
    assert served["llamacpp"] == 0
    assert len(served) == len(rows), "two names of one plugin count once"


def test_an_unknown_backend_says_what_to_install(invoke_cli: Cli) -> None:
    done = invoke_cli("model", "list", "--backend", "nowhere")
    assert done.exit_code == 1
    assert "no local provider 'nowhere'" in done.stderr
    assert "pip install" in done.stderr


def test_providers_say_whether_they_have_a_key_but_never_the_key(invoke_cli: Cli) -> None:
    with_key = {"OPENAI_API_KEY": "sk-hidden-away"}
    done = invoke_cli("provider", "list", "--output", "json", env=with_key).assert_success()
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["openai"]["has_credentials"] is True
    assert rows["openai"]["enabled"] is True
    assert rows["openai"]["streaming"] is True
    assert rows["groq"]["enabled"] is False
    assert "sk-hidden-away" not in done.stdout
    text = invoke_cli("providers", "--detailed", env=with_key).assert_success().stdout
    assert "openai" in text
    assert "sk-hidden-away" not in text


def test_an_unknown_provider_lists_the_known_ones(invoke_cli: Cli) -> None:
    done = invoke_cli("provider", "test", "opnai")
    assert done.exit_code == 1
    assert "openai" in done.stderr


def test_a_home_that_cannot_hold_models_is_explained(invoke_cli: Cli, model_file: Path) -> None:
    done = invoke_cli("model", "pull", str(model_file), env={"LLMSPELL_HOME": "/dev/null/home"})
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert "LLMSPELL_HOME" in done.stderr


def test_the_list_of_providers_is_for_programs_in_a_pipe_and_models_of_unknown_size_have_a_dash(
    invoke_cli: Cli,
) -> None:
    rows = invoke_cli("provider", "list").assert_success().stdout.splitlines()
    assert "openai\topenai\tno\tno\t-" in rows
    assert not any(row.startswith("name") for row in rows)
    assert "\t0 B\t" not in invoke_cli("model", "available").assert_success().stdout


def test_a_provider_that_does_not_answer_says_why_and_what_to_do_in_sentences(invoke_cli: Cli) -> None:
    done = invoke_cli("provider", "test", "openai")
    assert done.exit_code == 1
    assert "has no API key. Set the environment variable OPENAI_API_KEY" in done.stderr


# -- a server that holds models -------------------------------------------------------------------------------------


def library(received: Received) -> Reply:
    """As Ollama answers about its models."""
    details = {"format": "gguf", "family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
    model = {
        "name": "llama3.2:latest",
        "model": "llama3.2:latest",
        "size": 2_000_000_000,
        "digest": "a8",
        "details": details,
    }
    if received.path == "/api/pull":
        return Reply(pieces=[b'{"status":"pulling manifest"}\n', b'{"status":"success"}\n'])
    if received.path == "/api/delete":
        return Reply()
    return Reply(body={"models": [] if received.path == "/api/ps" else [model]})


CASES = [
    (("model", "list"), "llama3.2"),
    (("model", "list", "--backend", "ollama", "--verbose"), "Q4_K_M"),
    (("model", "info", "llama3.2"), "2000000000"),
    (("model", "info", "llama3.2@ollama"), "ollama"),
    (("model", "pull", "llama3.2@ollama"), "llama3.2 is ready (2.0 GB)"),
    (("model", "remove", "llama3.2", "--yes"), "llama3.2 is deleted (2.0 GB)"),
    (("model", "status"), "ollama"),
]


@pytest.mark.parametrize(("arguments", "said"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
async def test_models_of_an_ollama_server_are_found_without_saying_where(
    invoke_cli: Cli, model_file: Path, arguments: tuple[str, ...], said: str
) -> None:
    async with FakeServer(library) as server:
        done = await asyncio.to_thread(invoke_cli, *arguments, env={"OLLAMA_BASE_URL": server.url})
    assert said in done.assert_success().stdout


def test_a_model_that_nobody_has_is_an_error_of_the_first_provider(invoke_cli: Cli, model_file: Path) -> None:
    done = invoke_cli("model", "info", "nonsense", env={"OLLAMA_BASE_URL": "http://127.0.0.1:9"})
    assert done.exit_code == 1
    assert "'nonsense' is not on this machine" in done.stderr
