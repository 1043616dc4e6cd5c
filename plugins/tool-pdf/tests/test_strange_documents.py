"""Documents that other programs read wrongly. Most are read in this process: a child for each would take a minute."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from llmspell_tool_pdf.pdf_worker import REMARKS, ProblemError, answer

CASES = Path(__file__).parent / "cases"
HELLO = "Hello page one"

TEXTS = {
    **dict.fromkeys(("plain", "badlength", "brokenxref", "enc-owner-rc4"), HELLO),
    **dict.fromkeys(("enc-rc4-40", "info", "infobad", "infoloop", "infoyear", "junkhead500", "rot90"), HELLO),
    "nocontents": "",
    "nopages": "",
    "cjk": "你好",
    "cjk-gbk": "你好",
    "sjis": "日本",
    "tj": "Hello world\nnext line",
    "inlineimg": "before\nafter",
    "controlchars": "a\0b\x07c\u203ad",
    "ligature": "office 🦊",
    "differences": "fin",
    "actualtext": "o ce",  # what is drawn; the text behind it is not read
    "form": "Name:\nname: Jane Roe",
}

PROBLEMS = {
    "badpage": (f"{HELLO}\n\n\n\nHello page three", 2, "incomplete"),
    "badpage2": (f"{HELLO}\n\n\n\nHello page three", 2, "could not be read"),
    "missingfont": (f"{HELLO}\n\n{'�' * 14}\n\nHello page three", 2, "incomplete"),
    "halfsurrogate": ("x\ufffdy", 1, "does not say which characters"),
    "contentsarray": ("split \nstring", 1, "incomplete"),
    "xobjloop": ("before\nin form\n", 1, "incomplete"),
    "nullpage": (f"{HELLO}\n\nHello page three", None, "announces 3 pages, 2 were found"),
    "wrongcount": (HELLO, None, "announces 1000000 pages, 1 were found"),
}

REFUSED = {
    **dict.fromkeys(("empty", "html", "junkhead", "noeof", "treeloop"), "document"),
    "enc-user-rc4": "password",
}


AES = ("enc-owner-aes", "enc-owner-aes256", "enc-user-aes256")
HAS_AES = find_spec("cryptography") is not None


@pytest.fixture(autouse=True)
def _remarks(caplog: pytest.LogCaptureFixture) -> Any:
    import logging

    logging.getLogger().addHandler(REMARKS)
    yield
    logging.getLogger().removeHandler(REMARKS)


def read(name: str, operation: str = "text") -> dict[str, Any]:
    request = {"operation": operation, "start": 1, "end": 0, "limit": 1024 * 1024}
    return answer(request, (CASES / f"{name}.pdf").read_bytes())


@pytest.mark.filterwarnings("ignore")
def test_what_can_be_read_is_read() -> None:
    for name, text in TEXTS.items():
        found = read(name)
        assert found["text"] == text, name
        assert "problems" not in found, (name, found)
    assert read("form")["fields"] == {"name": "Jane Roe"}


def test_what_cannot_be_read_is_said() -> None:
    for name, (text, page, problem) in PROBLEMS.items():
        found = read(name)
        assert found["text"] == text, name
        [said] = found["problems"]
        assert said["page"] == page, name
        assert problem in said["problem"], (name, said)
        found["text"].encode()


def test_what_is_no_readable_document_is_refused() -> None:
    for name, kind in REFUSED.items():
        for operation in ("text", "metadata"):
            with pytest.raises(ProblemError) as caught:
                read(name, operation)
            assert caught.value.kind == kind, name


def test_dates_that_are_none_stay_the_text_they_are() -> None:
    info, bad, year = (read(name, "metadata") for name in ("info", "infobad", "infoyear"))
    assert (info["created"], info["changed"]) == ("2024-02-29T12:00:00+05:30", "D:20241301")
    assert (info["keywords"], info["subject"], info["title"]) == ("a, b", "17", "Äö🦊")
    assert (bad["created"], bad["changed"]) == ("yesterday", "9999-12-31T23:59:59+00:00")
    assert (year["created"], year["changed"]) == ("D:191010203040506", "2024-01-01T12:00:00-08:00")


def test_properties_in_a_circle_do_not_hide_the_rest() -> None:
    found = read("infoloop", "metadata")
    assert (found["page_count"], found["title"]) == (1, None)
    assert "properties could not be read" in found["problems"][0]["problem"]
    assert read("junkhead500", "metadata")["pdf_version"] == "1.4"


@pytest.mark.parametrize("name", AES)
@pytest.mark.parametrize("operation", ["text", "metadata"])
def test_aes_is_read_or_the_missing_library_is_named(name: str, operation: str) -> None:
    if HAS_AES and "owner" in name:
        found = read(name, operation)
        assert found["text" if operation == "text" else "title"] in (HELLO, "Secret title")
        assert "problems" not in found
        return
    with pytest.raises(ProblemError) as caught:
        read(name, operation)
    assert caught.value.kind == ("password" if HAS_AES else "cipher")


async def test_the_tool_says_it_in_its_message(process: Any, tmp_path: Path) -> None:
    for name in ("badpage", "form"):
        (tmp_path / f"{name}.pdf").write_bytes((CASES / f"{name}.pdf").read_bytes())
    bad = await process(input="badpage.pdf")
    assert "page 2: it may be incomplete" in bad["message"]
    assert bad["result"]["result"]["problems"][0]["page"] == 2
    form = await process(operation="extract_pages", input="form.pdf")
    assert (form["result"]["fields"], form["message"]) == ({"name": "Jane Roe"}, "PDF extract_pages done")
