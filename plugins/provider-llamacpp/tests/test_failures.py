"""What goes wrong with a model on this machine, and what the person is told."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from llmspell_provider_llamacpp import backend as backends
from llmspell_provider_llamacpp.pool import Running
from llmspell_provider_llamacpp.provider import LlamaCppProvider

from llmspell_core.errors import (
    ConfigurationError,
    ContextTooLongError,
    MissingDependencyError,
    ModelNotFoundError,
    NotFoundError,
    ProviderError,
    StorageError,
    ValidationError,
)
from llmspell_core.messages import Message
from llmspell_core.provider import CompletionRequest, Provider, ProviderSettings, ToolDefinition
from llmspell_core.testing.local_model import model_file

Make = Callable[..., LlamaCppProvider]
HELLO = [Message("user", "Say hello.")]
BACKENDS = [name for name, needed in backends.BACKENDS.items() if all(map(find_spec, needed))]
pytestmark = pytest.mark.skipif(not BACKENDS, reason="no llama.cpp library is installed")


def hello(model: str = "smollm2", max_tokens: int = 4) -> CompletionRequest:
    return CompletionRequest(model, list(HELLO), max_tokens=max_tokens)


def servers_of(provider: LlamaCppProvider) -> dict[str, int]:
    return {name: running.server.pid for name, running in provider.pool._running.items()}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_gone(pid: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def children() -> list[str]:
    found = [listing.read_text().split() for listing in Path("/proc/self/task").glob("*/children")]
    return [pid for pids in found for pid in pids if is_alive(int(pid))]


async def test_a_missing_model_is_named_with_the_command_that_fetches_it(make: Make) -> None:
    with pytest.raises(ModelNotFoundError) as known:
        await make().complete(hello())
    assert known.value.message == "the local model 'smollm2' is not on this machine"
    assert "llmspell model pull smollm2" in str(known.value.hint)
    with pytest.raises(ModelNotFoundError) as near:
        await make().model_info("tinylama")
    assert "llmspell model pull tinyllama" in str(near.value.hint)
    for name in ("../escape", ".hidden", ""):
        with pytest.raises(ValidationError):
            await make().model_info(name)


@pytest.mark.model
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_truncated_model_is_named_with_the_command_that_renews_it(
    models: Path, make: Make, backend: str
) -> None:
    whole = model_file()
    link = models / "smollm2" / "smollm2.gguf"
    link.unlink()
    with whole.open("rb") as source:
        link.write_bytes(source.read(20_000_000))
    with pytest.raises((StorageError, ProviderError)) as caught:
        await make(backend=backend).complete(hello())
    assert "smollm2" in caught.value.message
    assert "llmspell model pull smollm2 --force" in str(caught.value.hint)


async def test_a_file_that_is_no_model_is_never_started(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "models" / "junk"
    folder.mkdir(parents=True)
    (folder / "junk.gguf").write_bytes(b"GGUF" + bytes(range(256)))
    with pytest.raises(StorageError, match="the file of the local model 'junk' is damaged") as caught:
        await make().complete(hello("junk"))
    assert "llmspell model pull junk --force" in str(caught.value.hint)
    assert (await make().list_local_models())[0].description.startswith("damaged")


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_server_that_does_not_start_shows_its_last_words(tmp_path: Path, make: Make, backend: str) -> None:
    """A header that can be read, and nothing behind it: only the library notices."""
    folder = tmp_path / "models" / "hollow"
    folder.mkdir(parents=True)
    field = struct.pack("<Q", 20) + b"general.architecture" + struct.pack("<IQ", 8, 5) + b"llama"
    (folder / "hollow.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + field)
    provider = make(backend=backend)
    with pytest.raises(ProviderError, match=r"the server of the local model 'hollow' \(.*\) did not start") as caught:
        await provider.complete(hello("hollow"))
    assert "llama_model_load" in str(caught.value.hint), "the log's end is missing"
    assert not servers_of(provider)


@pytest.mark.model
async def test_a_server_that_takes_too_long_is_ended(models: Path, make: Make) -> None:
    provider = make(start_timeout=0.01)
    with pytest.raises(ProviderError, match=r"was not ready within 0\.01 seconds"):
        await provider.complete(hello())
    assert not children(), "a half-started server is left"


@pytest.mark.model
async def test_cancelling_while_a_server_starts_leaves_no_process(models: Path, make: Make) -> None:
    for moment in (0.0, 0.05, 0.15):
        provider = make()
        call = asyncio.ensure_future(provider.complete(hello()))
        await asyncio.sleep(moment)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await provider.close()
        assert not children()


@pytest.mark.model
async def test_a_file_of_another_size_than_was_pulled_is_damaged(models: Path, make: Make) -> None:
    (models / "smollm2" / "metadata.json").write_text('{"file": "smollm2.gguf", "size_bytes": 12}')
    with pytest.raises(StorageError, match="bytes instead of 12"):
        await make().complete(hello())


@pytest.mark.model
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_prompt_that_does_not_fit_is_named_as_such(models: Path, make: Make, backend: str) -> None:
    provider = make(backend=backend, context_size=256)
    with pytest.raises(ContextTooLongError):
        await provider.complete(CompletionRequest("smollm2", [Message("user", "word " * 600)]))
    assert (await provider.complete(hello())).text


@pytest.mark.model
@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_server_that_dies_fails_the_call_and_is_started_again(models: Path, make: Make, backend: str) -> None:
    provider = make(backend=backend)
    story = CompletionRequest("smollm2", [Message("user", "Count from 1 to 500: 1, 2, 3,")], max_tokens=500)
    call = asyncio.ensure_future(provider.complete(story))
    while not servers_of(provider):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    pid = servers_of(provider)["smollm2"]
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProviderError, match=r"stopped while it was answering .*lack of memory"):
        await call
    assert (await provider.complete(hello())).text
    assert servers_of(provider)["smollm2"] != pid


PARENT = """
import asyncio, sys
from importlib.metadata import entry_points
from llmspell_core.messages import Message
from llmspell_core.provider import CompletionRequest, ProviderSettings
load = lambda name: next(p for p in entry_points(group="llmspell.providers") if p.name == name).load()
async def main():
    options = {"model_directory": sys.argv[1], "backend": sys.argv[2], "n_threads": 1}
    provider = load("local")(ProviderSettings("local", "local", options=options), make_provider=lambda s: load("openai")(s))
    await provider.complete(CompletionRequest("smollm2", [Message("user", "Hi.")], max_tokens=2))
    print(provider.pool._running["smollm2"].server.pid, flush=True)
    async for chunk in provider.stream(CompletionRequest("smollm2", [Message("user", "Tell me a story.")], max_tokens=500)):
        print(chunk.type, flush=True)
asyncio.run(main())
"""


@pytest.mark.model
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_server_outlives_a_parent_that_is_killed(models: Path, backend: str) -> None:
    command = [sys.executable, "-c", PARENT, str(models), backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline().strip() == "text"
        assert is_alive(pid)
        parent.kill()
    assert is_gone(pid, within=2.0), "the server is an orphan"


@pytest.mark.model
async def test_two_agents_share_one_server_and_close_ends_it(models: Path, make: Make) -> None:
    provider = make()
    await asyncio.gather(provider.complete(hello()), provider.complete(hello()))
    (pid,) = servers_of(provider).values()
    await provider.close()
    assert is_gone(pid, within=0.5)


@pytest.mark.model
async def test_the_least_recently_used_model_leaves_when_another_comes(models: Path, make: Make) -> None:
    for name in ("second", "third"):
        (models / name).mkdir()
        (models / name / "m.gguf").symlink_to(model_file())
    provider = make(backend=BACKENDS[-1], max_loaded=2)
    for name in ("smollm2", "second", "smollm2", "third"):
        await provider.complete(hello(name, 1))
    assert set(servers_of(provider)) == {"smollm2", "third"}
    assert {m.id for m in await provider.list_local_models() if m.loaded} == {"smollm2", "third"}
    assert await provider.unload_model("third")
    assert set(servers_of(provider)) == {"smollm2"}


@pytest.mark.model
async def test_a_call_for_another_model_waits_until_a_server_is_idle(models: Path, make: Make) -> None:
    (models / "second").mkdir()
    (models / "second" / "m.gguf").symlink_to(model_file())
    provider = make(backend=BACKENDS[-1], max_loaded=1)
    answers = await asyncio.gather(*(provider.complete(hello(name)) for name in ("smollm2", "second", "smollm2")))
    assert all(answer.text for answer in answers)
    assert len(servers_of(provider)) == 1


@pytest.mark.model
async def test_loading_one_model_does_not_hold_up_another(models: Path, make: Make) -> None:
    (models / "second").mkdir()
    (models / "second" / "m.gguf").symlink_to(model_file())
    provider = make(backend=BACKENDS[-1])
    await provider.complete(hello())
    start, released = provider.pool._start, asyncio.Event()

    async def slowly(model: str) -> Running:
        await released.wait()
        return await start(model)

    provider.pool._start = slowly
    waiting = [asyncio.ensure_future(provider.complete(hello("second"))) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await asyncio.wait_for(provider.complete(hello()), 10)).text
    released.set()
    answers = await asyncio.gather(*waiting)
    assert all(answer.text for answer in answers)
    assert len(servers_of(provider)) == 2, "both calls share the second server"


@pytest.mark.model
async def test_without_the_partner_plugin_the_error_says_what_to_install(models: Path, make: Make) -> None:
    def nobody(settings: ProviderSettings) -> Provider:
        raise NotFoundError("provider 'openai' not found", what="providers")

    provider = make(make_provider=nobody)
    with pytest.raises(MissingDependencyError) as caught:
        await provider.complete(hello())
    assert caught.value.hint == "pip install llmspell-provider-openai"
    assert not servers_of(provider)


async def test_without_a_library_the_error_names_both_ways_to_get_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda _name: None)
    health = await make().health()
    assert not health.healthy
    assert "llmspell-provider-llamacpp[xllamacpp]" in str(health.reason)
    assert "llmspell-provider-llamacpp[build]" in str(health.reason)
    with pytest.raises(MissingDependencyError, match="llama-cpp-python is not installed"):
        backends.choose_backend("llama-cpp-python")


async def test_wrong_settings_are_named(make: Make) -> None:
    with pytest.raises(ConfigurationError, match=r"providers\.local\.max_loaded is 'many'"):
        make(max_loaded="many")
    health = await make(backend="torch").health()
    assert "'torch' is not a llama.cpp backend" in str(health.reason)


@pytest.mark.model
async def test_a_tool_that_is_not_offered_cannot_be_forced(models: Path, make: Make) -> None:
    tool = ToolDefinition("add", "Adds.", {"type": "object"})
    request = CompletionRequest("smollm2", list(HELLO), tools=[tool], tool_choice="subtract")
    with pytest.raises(ValidationError, match="'subtract', which is not among the tools"):
        await make().complete(request)


@pytest.mark.model
@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_server_refuses_others_on_this_machine(models: Path, make: Make, backend: str) -> None:
    import urllib.error
    import urllib.request

    provider = make(backend=backend)
    await provider.complete(hello())
    server = provider.pool._running["smollm2"].server
    assert server.url.startswith("http://127.0.0.1:")
    request = urllib.request.Request(
        f"{server.url}/chat/completions", b'{"messages": []}', {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(urllib.request.urlopen, request)
    with caught.value as refused:
        assert refused.code == 401
    assert server.api_key not in Path(f"/proc/{server.pid}/cmdline").read_text()
    assert server.api_key not in Path(f"/proc/{server.pid}/environ").read_text()


def test_few_processors_mean_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    assert backends.default_threads() == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)
    assert backends.default_threads() == backends.MOST_THREADS
