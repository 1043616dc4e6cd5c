from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

import pypdf
import pytest
from llmspell_tool_pdf import pdf_processor
from pypdf import PdfWriter

from llmspell_core.errors import (
    NotFoundError,
    ResourceLimitError,
    SecurityError,
    TimeoutError,
    ToolError,
    ValidationError,
)

PAGES = ["Page one speaks of owls.", "Page two of cats.", "Page three: Gr\xfc\xdfe."]


async def test_text_of_all_pages(process, make_pdf):
    make_pdf("a.pdf", PAGES)
    envelope = await process(input="a.pdf")
    assert envelope["operation"] == "pdf_processor_execute"
    inner = envelope["result"]
    text = "\n\n".join(PAGES)
    assert inner["result"] == {"text": text, "file_path": "a.pdf", "length": len(text), "truncated": False}
    assert (inner["operation"], inner["success"]) == ("extract_text", True)
    assert inner["metadata"] == {"tool": "pdf-processor", "operation": "extract_text"}
    assert inner["text"] == text


@pytest.mark.parametrize(
    ("range_", "wanted", "end"),
    [
        ({}, PAGES, 3),
        ({"start_page": 2}, PAGES[1:], 3),
        ({"start_page": 2, "end_page": 2}, PAGES[1:2], 2),
        ({"end_page": 99}, PAGES, 3),
    ],
)
async def test_text_of_some_pages(process, make_pdf, range_, wanted, end):
    make_pdf("a.pdf", PAGES)
    payload = (await process(operation="extract_pages", input="a.pdf", **range_))["result"]["result"]
    assert payload == {
        "text": "\n\n".join(wanted),
        "file_path": "a.pdf",
        "start_page": range_.get("start_page", 1),
        "end_page": end,
        "page_count": 3,
        "truncated": False,
    }


@pytest.mark.parametrize(
    ("range_", "field"),
    [
        ({"start_page": 4}, "start_page"),
        ({"start_page": 0}, "start_page"),
        ({"start_page": 3, "end_page": 2}, "end_page"),
    ],
)
async def test_pages_that_are_not_there_name_the_field(process, make_pdf, range_, field):
    make_pdf("a.pdf", PAGES)
    with pytest.raises(ValidationError) as caught:
        await process(operation="extract_pages", input="a.pdf", **range_)
    assert caught.value.field == field


async def test_metadata_of_file_and_document(process, make_pdf):
    path = make_pdf("Spells.PDF", PAGES)
    payload = (await process(operation="extract_metadata", input="Spells.PDF"))["result"]["result"]
    modified = datetime.fromisoformat(payload.pop("modified"))
    assert abs(modified.timestamp() - path.stat().st_mtime) < 1
    assert payload.pop("note")
    assert payload == {
        "file_size": path.stat().st_size,
        "file_name": "Spells.PDF",
        "file_extension": "pdf",
        "page_count": 3,
        "encrypted": False,
        "pdf_version": "1.7",
        "title": "Spells",
        "author": "Ada",
        "subject": None,
        "keywords": None,
        "creator": None,
        "producer": None,
        "created": "2024-03-15T10:30:00+00:00",
        "changed": None,
    }


async def test_text_is_cut_at_its_limit(process, make_pdf, monkeypatch):
    monkeypatch.setattr(pdf_processor, "MAX_TEXT", 30)
    make_pdf("a.pdf", PAGES)
    payload = (await process(input="a.pdf"))["result"]["result"]
    assert payload["text"] == "\n\n".join(PAGES)[:30] + pdf_processor.TRUNCATED
    assert payload["truncated"] is True


async def test_file_beyond_the_limit_is_refused(process, make_pdf, monkeypatch):
    monkeypatch.setattr(pdf_processor, "MAX_FILE", 100)
    make_pdf("a.pdf", PAGES)
    with pytest.raises(ResourceLimitError):
        await process(input="a.pdf")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "not a PDF"), (b"PK\x03\x04 zip", "not a PDF"), (b"%PDF-1.7\ngarbage", "damaged"), (None, "damaged")],
)
async def test_file_that_is_no_pdf_names_the_field(process, make_pdf, tmp_path, content, words):
    whole = make_pdf("whole.pdf", PAGES).read_bytes()
    broken = whole.replace(b"/Type /Catalog", b"/Type /Nothing").replace(b"/Pages 2 0 R", b"/Pages 99 0 R")
    (tmp_path / "bad.pdf").write_bytes(broken if content is None else content)
    with pytest.raises(ValidationError) as caught:
        await process(input="bad.pdf")
    assert caught.value.field == "input"
    assert words in caught.value.message


async def test_file_with_a_password_says_what_to_do(process, make_pdf, tmp_path):
    encrypt(make_pdf("a.pdf", PAGES), tmp_path / "locked.pdf", "secret")
    with pytest.raises(ToolError) as caught:
        await process(input="locked.pdf")
    assert "password" in caught.value.message
    assert caught.value.hint


async def test_encryption_without_a_password_is_no_obstacle(process, make_pdf, tmp_path):
    encrypt(make_pdf("a.pdf", PAGES), tmp_path / "open.pdf", "")
    assert PAGES[0] in (await process(input="open.pdf"))["result"]["text"]


@pytest.fixture
def aes_pdf(make_pdf, tmp_path):
    pytest.importorskip("cryptography", reason="the extra llmspell-tool-pdf[crypto] is not installed")
    encrypt(make_pdf("a.pdf", PAGES), tmp_path / "aes.pdf", "", "AES-256")


async def test_aes_is_read_where_its_library_is(process, aes_pdf):
    assert PAGES[0] in (await process(input="aes.pdf"))["result"]["text"]


async def test_aes_without_its_library_says_what_to_install(process, aes_pdf, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "pypdf").symlink_to(Path(pypdf.__file__).parent, target_is_directory=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "pypdf")
    with pytest.raises(ToolError) as caught:
        await process(input="aes.pdf")
    assert "llmspell-tool-pdf[crypto]" in caught.value.hint


async def test_document_without_pages_has_no_text(process, tmp_path):
    with PdfWriter() as writer:
        writer.write(tmp_path / "empty.pdf")
    assert (await process(input="empty.pdf"))["result"]["text"] == ""


async def test_call_as_a_whole_has_a_deadline(process, make_pdf, monkeypatch):
    monkeypatch.setattr(pdf_processor, "MAX_TOTAL_SECONDS", 0)
    make_pdf("a.pdf", PAGES)
    with pytest.raises(TimeoutError) as caught:
        await process(input="a.pdf")
    assert caught.value.hint


async def test_missing_file_is_not_found(process):
    with pytest.raises(NotFoundError):
        await process(input="absent.pdf")


async def test_file_outside_the_policy_is_refused(process):
    with pytest.raises(SecurityError):
        await process(input="/etc/hostname")


async def test_hanging_extraction_is_killed(process, make_pdf, tmp_path, monkeypatch):
    (tmp_path / "endless.py").write_text("while True: pass\n")
    monkeypatch.setattr(pdf_processor, "WORKER", tmp_path / "endless.py")
    monkeypatch.setattr(pdf_processor, "MAX_SECONDS", 0.3)
    make_pdf("a.pdf", PAGES)
    ticks = 0
    task = asyncio.ensure_future(process(input="a.pdf"))
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    with pytest.raises(TimeoutError):
        await task
    assert ticks > 5
    assert not [pid for listing in Path("/proc/self/task").glob("*/children") for pid in listing.read_text().split()]


async def test_missing_library_says_what_to_install(process, make_pdf, monkeypatch):
    make_pdf("a.pdf", PAGES)
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(ToolError) as caught:
        await process(input="a.pdf")
    assert "pip install pypdf" in caught.value.hint


def encrypt(source: Path, target: Path, password: str, algorithm: str = "RC4-128") -> None:
    writer = PdfWriter(clone_from=source)
    writer.encrypt(password, "owner", algorithm=algorithm)
    writer.write(target)
    writer.close()
