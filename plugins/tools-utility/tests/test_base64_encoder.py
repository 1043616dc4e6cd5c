from __future__ import annotations

import pytest
from llmspell_tools_utility import base64_encoder

from llmspell_core.errors import ResourceLimitError, SecurityError, ValidationError


async def test_text_there_and_back(invoke):
    encoded = (await invoke("base64-encoder", operation="encode", input="Grüße"))["result"]
    assert encoded == {"output": "R3LDvMOfZQ==", "encoded": "R3LDvMOfZQ==", "variant": "standard", "binary": False}
    decoded = (await invoke("base64-encoder", operation="decode", input=encoded["output"]))["result"]
    assert decoded == {"output": "Grüße", "decoded": "Grüße", "variant": "standard", "binary": False}


async def test_variants_differ_in_two_letters(invoke):
    common = {"operation": "encode", "input": "fbff", "binary_input": True}
    assert (await invoke("base64-encoder", **common))["result"]["output"] == "+/8="
    safe = (await invoke("base64-encoder", **common, variant="url_safe"))["result"]
    assert safe == {"output": "-_8=", "encoded": "-_8=", "variant": "url-safe", "binary": True}


async def test_bytes_that_are_no_text_come_back_in_hexadecimal(invoke):
    result = (await invoke("base64-encoder", operation="decode", input="-_8=", variant="url-safe"))["result"]
    assert (result["output"], result["binary"]) == ("fbff", True)


async def test_line_breaks_and_missing_padding_are_read(invoke):
    assert (await invoke("base64-encoder", operation="decode", input="aGVs\nbG8"))["result"]["output"] == "hello"


@pytest.mark.parametrize("text", ["a", "!!!!", "-_8=", "aGVsbG8=aGVsbG8="])
async def test_what_is_not_base64_is_refused(invoke, text):
    with pytest.raises(ValidationError) as caught:
        await invoke("base64-encoder", operation="decode", input=text)
    assert caught.value.field == "input"


async def test_odd_hexadecimal_is_refused(invoke):
    with pytest.raises(ValidationError) as caught:
        await invoke("base64-encoder", operation="encode", input="abc", binary_input=True)
    assert "hexadecimal" in caught.value.message


async def test_file_to_file_and_back(invoke, tmp_path):
    data = bytes(range(256))
    (tmp_path / "in.bin").write_bytes(data)
    envelope = await invoke("base64-encoder", operation="encode", input_file="in.bin", output_file="out.b64")
    assert "result" not in envelope
    assert envelope["metadata"] == {"variant": "standard", "file_path": "out.b64", "file_size": 344}
    await invoke("base64-encoder", operation="decode", input_file="out.b64", output_file="again.bin")
    assert (tmp_path / "again.bin").read_bytes() == data


async def test_file_wins_over_input(invoke, tmp_path):
    (tmp_path / "in.txt").write_text("file")
    result = (await invoke("base64-encoder", operation="encode", input="text", input_file="in.txt"))["result"]
    assert result["output"] == "ZmlsZQ=="


async def test_files_outside_the_policy_are_refused(invoke):
    with pytest.raises(SecurityError):
        await invoke("base64-encoder", operation="encode", input="x", output_file="/etc/llmspell-test")


async def test_input_is_required(invoke):
    with pytest.raises(ValidationError) as caught:
        await invoke("base64-encoder", operation="encode")
    assert caught.value.field == "input"


async def test_limit_holds_for_text_and_file(invoke, tmp_path, monkeypatch):
    monkeypatch.setattr(base64_encoder, "MAX_BYTES", 10)
    (tmp_path / "big").write_bytes(b"x" * 11)
    for parameters in ({"input": "x" * 11}, {"input_file": "big"}):
        with pytest.raises(ResourceLimitError):
            await invoke("base64-encoder", operation="encode", **parameters)
