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
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

VERSION = re.compile(rb"%PDF-(\d\.\d)")
DATE = re.compile(
    r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:(Z)(?:00'?00'?)?|([+-])(\d\d)'?(?:(\d\d)'?)?)?", re.ASCII
)
# Letters that fonts draw as one sign; what is searched for is written with letters.
LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
DEEPEST = 32  # fields in fields
MOST_PROBLEMS = 100

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


class Remarks(logging.Handler):
    """What pypdf remarks on while it reads a page; standard error would show it to nobody."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.texts) < MOST_PROBLEMS:
            self.texts.append(record.getMessage()[:200])


REMARKS = Remarks()


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    logging.getLogger().addHandler(REMARKS)
    try:
        said: dict[str, Any] = {"ok": answer(request, sys.stdin.buffer.read())}
    except ProblemError as problem:
        said = {"error": {"kind": problem.kind, "message": problem.message}}
    sys.stdout.buffer.write(json.dumps(said, ensure_ascii=False).encode("utf-8", "replace"))


def answer(request: dict[str, Any], data: bytes) -> dict[str, Any]:
    from pypdf.errors import DependencyError

    try:
        document = _opened(data)
        if request["operation"] == "metadata":
            return _properties(document, data)
        return _text(document, request["start"], request["end"], request["limit"])
    except (ProblemError, MemoryError):
        raise
    except DependencyError as error:  # at the first text of the document, in some files
        raise ProblemError("cipher", f"the file is encrypted in a way that needs more: {error}") from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes pypdf raise errors of every kind
        raise ProblemError("document", f"the file is damaged ({type(error).__name__}: {error})"[:300]) from None


def _opened(data: bytes) -> Any:
    import pypdf
    from pypdf.errors import PdfReadError

    if b"%PDF-" not in data[:1024]:
        raise ProblemError("document", "the file is not a PDF")
    try:
        document = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if document.is_encrypted and not document.decrypt(""):
            raise ProblemError("password", "the file is protected by a password")
        len(document.pages)
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
    problems = _miscounted(document, count)
    fields: dict[str, str] = {}
    size = 0
    for number in range(start, last + 1):
        page = document.pages[number - 1]
        text, problem = _page(page)
        found = dict(_fields(page))
        texts.append("\n".join([text, *(f"{name}: {value}" for name, value in found.items())]).lstrip("\n"))
        fields |= found
        if problem and len(problems) < MOST_PROBLEMS:
            problems.append({"page": number, "problem": problem})
        size += len(texts[-1].encode("utf-8", "replace"))
        if size > limit:
            break
    said: dict[str, Any] = {"fields": fields} if fields else {}
    if problems:
        said["problems"] = problems
    return {"text": "\n\n".join(texts), "page_count": count, "end_page": last, **said}


def _miscounted(document: Any, count: int) -> list[dict[str, Any]]:
    try:
        announced = int(document.root_object["/Pages"]["/Count"])
    except Exception:  # noqa: BLE001 - a damaged file makes pypdf raise errors of every kind
        return []
    if announced <= count:
        return []
    return [{"page": None, "problem": f"the document announces {announced} pages, {count} were found"}]


def _page(page: Any) -> tuple[str, str | None]:
    """The text of a page, and what kept it from being read as a whole."""
    from pypdf.errors import DependencyError

    REMARKS.texts.clear()
    try:
        text = _whole(page.extract_text())
    except (MemoryError, DependencyError):
        raise
    except Exception as error:  # noqa: BLE001 - the other pages are not worse for it
        return "", f"it could not be read ({type(error).__name__}: {error})"[:200]
    if REMARKS.texts:
        return text, f"it may be incomplete ({REMARKS.texts[0]})"
    if "\ufffd" in text:
        return text, "its font does not say which characters some letters are"
    if not text.strip() and _draws_text(page):
        return text, "there is text on it that could not be read"
    return text, None


def _draws_text(page: Any) -> bool:
    try:
        contents = page.get_contents()
        return contents is not None and re.search(rb"(?<!\S)BT(?!\S)", contents.get_data()) is not None
    except Exception:  # noqa: BLE001 - see above
        return True


def _whole(text: str) -> str:
    """Halves of characters become U+FFFD, so that every encoding can write it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").translate(LIGATURES)


def _fields(page: Any) -> Iterator[tuple[str, str]]:
    """What was filled in on a page: name and value of each field that has one."""
    try:
        notes = list(page.get("/Annots") or ())
    except Exception:  # noqa: BLE001 - see above
        return
    for note in notes:
        try:
            field = note.get_object()
            if field.get("/Subtype") == "/Widget" and (value := _value(_inherited(field, "/V"))):
                yield _field_name(field), value
        except Exception:  # noqa: BLE001, S112 - one field that is no field
            continue


def _lineage(field: Any) -> Iterator[Any]:
    for _ in range(DEEPEST):
        yield field
        if "/Parent" not in field:
            return
        field = field["/Parent"]


def _inherited(field: Any, key: str) -> Any:
    return next((each[key] for each in _lineage(field) if key in each), None)


def _field_name(field: Any) -> str:
    return _whole(".".join(reversed([str(each["/T"]) for each in _lineage(field) if "/T" in each])))


def _value(value: Any) -> str:
    """Texts as they are, names without their slash (a box that is not ticked is `/Off`), lists joined."""
    if isinstance(value, list):
        return ", ".join(_value(each) for each in value)
    if value is None or value == "/Off" or isinstance(value, dict):
        return ""
    return _whole(str(value)).removeprefix("/")


def _properties(document: Any, data: bytes) -> dict[str, Any]:
    from pypdf.errors import DependencyError

    version = VERSION.search(data[:1024])
    facts: dict[str, Any] = {
        "page_count": len(document.pages),
        "encrypted": bool(document.is_encrypted),
        "pdf_version": version[1].decode() if version else None,
    }
    try:
        declared = document.metadata or {}
        known = {name: _plain(declared.get(key)) for name, key in PROPERTIES.items()}
    except (MemoryError, DependencyError):
        raise
    except Exception as error:  # noqa: BLE001 - what the document says about itself is not all there is to know
        problem = f"its properties could not be read ({type(error).__name__})"
        return {**facts, **dict.fromkeys(PROPERTIES), "problems": [{"page": None, "problem": problem}]}
    return {**facts, **known, "created": _date(known["created"]), "changed": _date(known["changed"])}


def _plain(value: Any) -> str | None:
    if value is None:
        return None
    return ", ".join(str(each) for each in value) if isinstance(value, list) else _whole(str(value))


def _date(text: str | None) -> str | None:
    """As ISO 8601 where it is a date to the letter, else the text itself: half of a date would be another one."""
    match = DATE.fullmatch(text or "")
    if match is None:
        return text
    year, month, day, hour, minute, second = (None if part is None else int(part) for part in match.groups()[:6])
    try:
        moment = datetime(
            year or 0,
            1 if month is None else month,
            1 if day is None else day,
            hour or 0,
            minute or 0,
            second or 0,
            tzinfo=_zone(match),
        )
    except ValueError:
        return text
    return moment.isoformat()


def _zone(match: re.Match[str]) -> timezone | None:
    if match[7]:
        return UTC
    if not match[8]:
        return None
    span = timedelta(hours=int(match[9]), minutes=int(match[10] or 0))
    if int(match[10] or 0) > 59:
        raise ValueError(match[10])
    return timezone(-span if match[8] == "-" else span)


if __name__ == "__main__":
    main()
