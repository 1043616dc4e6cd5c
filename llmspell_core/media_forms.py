"""How callers write a piece of media: a path, bytes, base64, an address. Everything else is an error that names the forms."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from llmspell_core.errors import ValidationError

__all__ = ["PATH", "media_fields", "sniffed"]

PATH = "path"
"""The key of a media's `metadata` that names the file which is read when the media is sent."""
HINT = (
    'Write {path = "cat.png"}, {base64 = "...", format = "png"}, {bytes = {137, 80, ...}}, {url = "https://..."} '
    "or just the path."
)
SOURCES = ("path", "base64", "data", "bytes", "url")
DETAILS = ("width", "height", "color_space", "metadata", "detail")
KEYS = frozenset({*SOURCES, *DETAILS, "type", "mime_type", "format", "filename"})
KINDS = ("text", "image", "audio", "video", "binary")
MIME = {
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "pdf": "application/pdf",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    **{word: f"image/{word}" for word in ("png", "jpeg", "webp", "gif", "tiff", "bmp")},
}
MAGIC = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF": "application/pdf",
    b"BM": "image/bmp",
}


def media_fields(value: Any) -> dict[str, Any]:
    """The fields of a `Media`. Raises: ValidationError."""
    if isinstance(value, str):
        linked = value.startswith(("data:", "https://", "http://"))
        return media_fields({"url" if linked else "path": value})
    if isinstance(value, bytes | bytearray):
        return media_fields({"bytes": value})
    if not isinstance(value, Mapping):
        raise _wrong(f"a piece of media is a table or a path, not {type(value).__name__}")
    unknown = sorted(str(key) for key in value if key not in KEYS)
    if unknown:
        raise _wrong(f"a piece of media has no field '{unknown[0]}'")
    given = [name for name in SOURCES if value.get(name) not in (None, "", {}, [])]
    if len(given) != 1:
        raise _wrong("a piece of media has no content" if not given else f"media has both {given[0]} and {given[1]}")
    mime = _mime(value)
    details = {name: value[name] for name in DETAILS if name in value and name != "metadata"}
    metadata = dict(value.get("metadata") or {}) | details
    data, found = _content(given[0], value[given[0]], str(value.get("type") or ""))
    if given[0] == "path":
        metadata[PATH] = value["path"]
    mime = mime or found
    made = {"type": value.get("type") or _kind(mime), "data": data, "mime_type": mime, "metadata": metadata}
    if made["type"] not in KINDS:
        raise _wrong(f"'{made['type']}' is no kind of media; there are {', '.join(KINDS)}")
    return made | {"filename": value.get("filename")}


def sniffed(data: bytes) -> str | None:
    """The MIME type that the first bytes tell of."""
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(data[8:12])
    return next((mime for start, mime in MAGIC.items() if data.startswith(start)), None)


def _content(source: str, value: Any, kind: str) -> tuple[str, str | None]:
    """Base64, or an address; and the MIME type where it can be seen."""
    if source == "bytes":
        raw = _bytes(value)
        return base64.b64encode(raw).decode("ascii"), sniffed(raw)
    if not isinstance(value, str):
        raise _wrong(f"the field '{source}' of media is a text, not {type(value).__name__}")
    if source == "path":
        return "", MIME.get(value.rpartition(".")[2].lower())
    if kind == "text" or value.startswith(("https://", "http://")):
        return value, None
    head, comma, body = value.partition(",") if value.startswith("data:") else ("", "", value)
    if source == "url" and not comma:
        raise _wrong(f"'{value[:60]}' is no address of media: it begins with https://, http:// or data:")
    try:
        raw = base64.b64decode(body, validate=True)
    except (ValueError, binascii.Error):
        raise _wrong(f"the field '{source}' of media is not base64") from None
    mime = head.removeprefix("data:").partition(";")[0] or sniffed(raw[:16])
    return value, mime or None


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, Mapping):  # how a typed array may cross
        value = list(value.values())
    try:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise TypeError
        return bytes(int(number) for number in value)
    except (TypeError, ValueError):
        raise _wrong("the field 'bytes' of media is a list of numbers from 0 to 255") from None


def _mime(value: Mapping[str, Any]) -> str | None:
    if value.get("mime_type"):
        return str(value["mime_type"])
    word = str(value.get("format") or "").lower()
    if word and word not in MIME:
        raise _wrong(f"'{word}' is no format of media; there are {', '.join(sorted(MIME))}")
    return MIME.get(word)


def _kind(mime: str | None) -> str:
    kind = (mime or "image").partition("/")[0]
    return kind if kind in KINDS else "binary"


def _wrong(what: str) -> ValidationError:
    return ValidationError(what, field="media", hint=HINT)
