"""UUIDs, base64 and text exactly as their standards have them: what other tools let through."""

from __future__ import annotations

import base64
import hashlib

import pytest

from llmspell_core.errors import ValidationError

UUID = "550e8400-e29b-41d4-a716-446655440000"

UUIDS = {
    UUID: True,
    UUID.upper(): True,
    UUID.replace("-", ""): True,
    f"urn:uuid:{UUID}": True,
    f"URN:UUID:{UUID}": True,
    f"{{{UUID}}}": True,
    "00000000-0000-0000-0000-000000000000": True,
    "ffffffff-ffff-ffff-ffff-ffffffffffff": True,
    "550e8400e29b41d4a71644665544_000": False,
    "550e-8400e29b41d4a716446655440000": False,
    "550e8400-e29b41d4-a716-446655440000": False,
    f"{{{UUID}": False,
    f"{UUID}}}": False,
    f"urn:{UUID}": False,
    f"urn:uuid:{{{UUID}}}": False,
    f" {UUID}": False,
    f"{UUID}\n": False,
    "\u0665" + UUID[1:]: False,
    "0x" + UUID.replace("-", "")[2:]: False,
}


async def test_a_uuid_is_one_to_the_letter(invoke):
    for text, valid in UUIDS.items():
        facts = (await invoke("uuid-generator", operation="validate", uuid=text))["result"]
        assert facts["valid"] is valid, text
        if not valid:
            with pytest.raises(ValidationError):
                await invoke("uuid-generator", operation="deterministic", name="x", namespace=text)


DECODED = [
    ("-_-_", "url-safe", "fbffbf"),
    ("+/+/", "standard", "fbffbf"),
    ("aGk=", "standard", "hi"),
    ("aGk", "url-safe", "hi"),
    ("aGVs\r\nbG8h\n", "standard", "hello!"),
    ("", "standard", ""),
    ("+/+/", "url-safe", None),
    ("-_-_", "standard", None),
    ("aGk==", "standard", None),
    ("aA=", "standard", None),
    ("aGVsbG8h====", "standard", None),
    ("aGVsbG8h=", "standard", None),
    ("aGl=", "standard", None),  # the same bytes as aGk=, and two bits more
    ("aGk=aGk=", "standard", None),
    ("a", "standard", None),
    ("aGk\u00e9", "standard", None),
    ("=", "standard", None),
]


async def test_base64_is_read_by_its_standard(invoke):
    for text, variant, expected in DECODED:
        call = {"operation": "decode", "input": text, "variant": variant}
        if expected is None:
            with pytest.raises(ValidationError) as caught:
                print(text, variant, await invoke("base64-encoder", **call))
            assert caught.value.field == "input"
        else:
            assert (await invoke("base64-encoder", **call))["result"]["decoded"] == expected, text


async def test_an_expected_hash_is_read_as_decode_reads_it(invoke):
    """The input is chosen so that its hash has both letters in which the alphabets differ."""
    digest = hashlib.md5(b"0", usedforsecurity=False).digest()
    standard, safe = base64.b64encode(digest).decode(), base64.urlsafe_b64encode(digest).decode()
    assert "+" in standard
    assert "/" in standard
    call = {"operation": "verify", "input": "0", "algorithm": "md5", "expected_format": "base64"}
    for written in (standard, standard.rstrip("="), safe, safe.rstrip("=")):
        assert (await invoke("hash-calculator", **call, expected_hash=written))["result"]["verified"] is True
    for written in (f"{standard}=", standard.replace("+", "-"), standard[:-3] + "h=="):
        with pytest.raises(ValidationError):
            print(written, await invoke("hash-calculator", **call, expected_hash=written))


async def test_a_line_ends_where_editors_end_it(invoke):
    lines = {"": 0, "a": 1, "a\n": 1, "a\r\nb\rc\n\n": 4, "a\u2028b\u0085c\x0bd\x0ce": 1}
    for text, count in lines.items():
        made = await invoke("text-manipulator", operation="count", count_type="lines", input=text)
        assert made["result"]["result"] == count, text
    made = await invoke("text-manipulator", operation="indent", input="a\u2028b\n\n c", options={"spaces": 2})
    assert made["result"]["result"] == "  a\u2028b\n\n   c"


async def test_characters_are_code_points(invoke):
    family = "\U0001f468\u200d\U0001f469"
    assert (await invoke("text-manipulator", operation="count", input=family))["result"]["result"] == 3
    assert (await invoke("text-manipulator", operation="reverse", input=family))["result"]["result"] == family[::-1]
