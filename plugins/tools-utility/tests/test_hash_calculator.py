from __future__ import annotations

import base64
import hashlib
import sys

import pytest
from llmspell_tools_utility import hash_calculator

from llmspell_core.errors import NotFoundError, ResourceLimitError, SecurityError, ToolError, ValidationError

TEXT = "hello world"


LABELS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512", "blake2b": "BLAKE2b"}


@pytest.mark.parametrize("algorithm", LABELS)
async def test_digest_of_a_text(invoke, algorithm):
    result = (await invoke("hash-calculator", operation="hash", algorithm=algorithm, input=TEXT))["result"]
    assert result == {
        "algorithm": LABELS[algorithm],
        "hash": hashlib.new(algorithm, TEXT.encode()).hexdigest(),
        "format": "hex",
    }


async def test_sha256_is_the_default_and_dashes_do_not_matter(invoke):
    plain = await invoke("hash-calculator", operation="hash", input="")
    dashed = await invoke("hash-calculator", operation="hash", algorithm="SHA-256", input="")
    assert plain["result"] == dashed["result"]
    assert plain["result"]["hash"].startswith("e3b0c44298fc1c14")


async def test_blake3(invoke):
    pytest.importorskip("blake3", reason="the extra llmspell-tools-utility[blake3] is not installed")
    result = (await invoke("hash-calculator", operation="hash", algorithm="blake3", input=""))["result"]
    assert result["hash"] == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


async def test_missing_blake3_says_what_to_install(invoke, monkeypatch):
    monkeypatch.setitem(sys.modules, "blake3", None)
    with pytest.raises(ToolError) as caught:
        await invoke("hash-calculator", operation="hash", algorithm="blake3", input="")
    assert "llmspell-tools-utility[blake3]" in caught.value.hint


async def test_base64_form(invoke):
    result = (await invoke("hash-calculator", operation="hash", input=TEXT, format="base64"))["result"]
    assert base64.b64decode(result["hash"]) == hashlib.sha256(TEXT.encode()).digest()


async def test_file_of_several_pieces(invoke, tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "data.bin").write_bytes(data)
    result = (await invoke("hash-calculator", operation="hash", input_type="file", file="data.bin"))["result"]
    assert result["hash"] == hashlib.sha256(data).hexdigest()


async def test_file_alone_means_the_file(invoke, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    result = (await invoke("hash-calculator", operation="hash", file="a.txt"))["result"]
    assert result["hash"] == hashlib.sha256(TEXT.encode()).hexdigest()


async def test_missing_file_is_not_found(invoke):
    with pytest.raises(NotFoundError):
        await invoke("hash-calculator", operation="hash", file="absent.txt")


async def test_file_outside_the_policy_is_refused(invoke):
    with pytest.raises(SecurityError):
        await invoke("hash-calculator", operation="hash", file="/etc/hostname")


async def test_file_beyond_the_limit_is_refused(invoke, tmp_path, monkeypatch):
    monkeypatch.setattr(hash_calculator, "MAX_FILE", 1000)
    (tmp_path / "big").write_bytes(b"x" * 1001)
    with pytest.raises(ResourceLimitError) as caught:
        await invoke("hash-calculator", operation="hash", file="big")
    assert (caught.value.limit, caught.value.used) == (1000, 1001)


async def test_right_hash_is_verified(invoke):
    digest = hashlib.sha256(TEXT.encode())
    for expected, form in ((digest.hexdigest().upper(), "hex"), (base64.b64encode(digest.digest()).decode(), "base64")):
        envelope = await invoke(
            "hash-calculator", operation="verify", input=TEXT, expected_hash=expected, expected_format=form
        )
        assert envelope["result"] == {"verified": True, "algorithm": "SHA-256"}


async def test_wrong_hash_is_a_success_that_says_no(invoke):
    envelope = await invoke("hash-calculator", operation="verify", input=TEXT, expected_hash="00ff")
    assert envelope["success"]
    actual = hashlib.sha256(TEXT.encode()).hexdigest()
    assert envelope["result"] == {"verified": False, "algorithm": "SHA-256", "expected": "00ff", "actual": actual}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"operation": "hash"}, "input"),
        ({"operation": "hash", "input_type": "file"}, "file"),
        ({"operation": "verify", "input": "x"}, "expected_hash"),
        ({"operation": "verify", "input": "x", "expected_hash": "not hex"}, "expected_hash"),
        ({"operation": "hash", "input": "x", "algorithm": "crc32"}, "algorithm"),
    ],
)
async def test_wrong_parameters_name_the_field(invoke, parameters, field):
    with pytest.raises(ValidationError) as caught:
        await invoke("hash-calculator", **parameters)
    assert caught.value.field == field
