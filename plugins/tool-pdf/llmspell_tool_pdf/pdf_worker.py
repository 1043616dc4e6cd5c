"""The process that runs pypdf; it imports neither llmspell nor its caller.

A hostile PDF may keep a parser busy for ever or blow up in memory; here a deadline and a memory limit hold.

Standard input: one line of JSON `{"operation", "start", "end", "limit"}` (end 0: to the last page), then the PDF.
Standard output: JSON `{"ok": {...}}` or `{"error": {"kind", "message"}}`, where kind is document, password, cipher,
start_page or end_page.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

PROPERTIES = {
    "title": "/Title",
    "author": "/Author",
    "subject": "/Subject",
    "keywords": "/Keywords",
    "creator": "/Creator",
    "producer": "/Producer",
    "created": "/CreationDate",
    "changed": "/ModDate",
}


class ProblemError(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    logging.disable()  # pypdf remarks on every small irregularity
    try:
        answer: dict[str, Any] = {"ok": _answer(request, sys.stdin.buffer.read())}
    except ProblemError as problem:
        answer = {"error": {"kind": problem.kind, "message": problem.message}}
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))


def _answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    try:
        document = _opened(data)
        if request["operation"] == "metadata":
            return _properties(document)
        return _text(document, request["start"], request["end"], request["limit"])
    except (ProblemError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes pypdf raise errors of every kind
        raise ProblemError("document", f"the file is damaged ({type(error).__name__}: {error})"[:300]) from None


def _opened(data: bytes) -> Any:
    import pypdf
    from pypdf.errors import DependencyError, PdfReadError

    if b"%PDF-" not in data[:1024]:
        raise ProblemError("document", "the file is not a PDF")
    try:
        document = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if document.is_encrypted and not document.decrypt(""):
            raise ProblemError("password", "the file is protected by a password")
        len(document.pages)
    except DependencyError as error:
        raise ProblemError("cipher", f"the file is encrypted in a way that needs more: {error}") from None
    except PdfReadError as error:
        raise ProblemError("document", f"the file is damaged ({error})"[:300]) from None
    return document


def _text(document: Any, start: int, end: int, limit: int) -> dict[str, Any]:
    count = len(document.pages)
    if start > max(count, 1):
        raise ProblemError("start_page", f"there is no page {start}: the document has {count}")
    if end and end < start:
        raise ProblemError("end_page", f"the last page {end} lies before the first page {start}")
    last = min(end or count, count)
    texts: list[str] = []
    size = 0
    for number in range(start, last + 1):
        texts.append(document.pages[number - 1].extract_text())
        size += len(texts[-1].encode("utf-8", "replace"))
        if size > limit:
            break
    return {"text": "\n\n".join(texts), "page_count": count, "end_page": last}


def _properties(document: Any) -> dict[str, Any]:
    declared = document.metadata or {}
    known = {name: _plain(declared.get(key)) for name, key in PROPERTIES.items()}
    dates = {"created": _date(document, "creation_date"), "changed": _date(document, "modification_date")}
    facts = {
        "page_count": len(document.pages),
        "encrypted": bool(document.is_encrypted),
        "pdf_version": document.pdf_header.removeprefix("%PDF-"),
    }
    return {**facts, **known, **{name: date for name, date in dates.items() if date}}


def _plain(value: Any) -> str | None:
    return None if value is None else str(value)


def _date(document: Any, name: str) -> str | None:
    try:
        date = getattr(document.metadata, name, None)
    except ValueError:  # written in no known way; the text itself is given instead
        return None
    return None if date is None else str(date.isoformat())


if __name__ == "__main__":
    main()
