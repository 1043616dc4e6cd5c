"""What the header of a GGUF file says about the model."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from llmspell_core.errors import ValidationError

__all__ = ["GgufHeader", "read_header"]

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
# The largest vocabularies have some hundred thousand words and as many merges, in some 20 MB.
MAX_BYTES, MAX_VALUES, MAX_DEPTH = 128 * 2**20, 2_000_000, 3
SHOWN = 200
# llama.cpp's llama_ftype, as far as people meet it
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """`context_length` in tokens as trained; `knows_tools`: the chat template has a place for tools."""

    architecture: str
    name: str | None
    quantization: str | None
    context_length: int | None
    knows_tools: bool


def read_header(path: Path) -> GgufHeader:
    """Raises: ValidationError when the file is not GGUF or ends within its header."""
    try:
        with path.open("rb") as file:
            return header_of(read_fields(file, path))
    except (struct.error, EOFError, UnicodeDecodeError, OverflowError, MemoryError):
        raise ValidationError(f"{path.name} is cut off or damaged: its header cannot be read", field="model") from None


def header_of(fields: dict[str, Any]) -> GgufHeader:
    architecture = str(fields.get("general.architecture", "unknown"))
    name, length = fields.get("general.name"), fields.get(f"{architecture}.context_length")
    kind = fields.get("general.file_type", -1)
    return GgufHeader(
        architecture[:SHOWN],
        name[:SHOWN] if isinstance(name, str) else None,
        FILE_TYPES.get(kind) if isinstance(kind, int) else None,
        length if isinstance(length, int) and 0 < length < 2**31 else None,
        "tools" in str(fields.get("tokenizer.chat_template", "")),
    )


def read_fields(file: BinaryIO, path: Path) -> dict[str, Any]:
    """Every metadata field but the arrays."""
    if file.read(4) != b"GGUF":
        raise ValidationError(f"{path.name} is not a GGUF file", field="model")
    version, _tensors, count = struct.unpack("<IQQ", file.read(20))
    if version not in {2, 3}:
        raise ValidationError(f"{path.name} is a GGUF file of version {version}; 2 and 3 are known", field="model")
    reader = _Reader(file)
    fields: dict[str, Any] = {}
    for _ in range(count):
        key = reader.string()
        fields[key] = reader.value(reader.number("I"))
    return fields


class _Reader:
    """Reads values, up to a size, a number and a depth that no model comes near: a header is somebody else's data."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._bytes = MAX_BYTES
        self._values = MAX_VALUES

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self._take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        return self._take(self.number("Q")).decode("utf-8")

    def value(self, kind: int, depth: int = 0) -> Any:
        self._values -= 1
        if self._values < 0 or depth > MAX_DEPTH:
            raise EOFError
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            return self._skip_array(depth)
        if kind not in SCALARS:
            raise EOFError
        return self.number(SCALARS[kind])

    def _skip_array(self, depth: int) -> None:
        """Vocabularies: long, and nothing for us."""
        kind, count = self.number("I"), self.number("Q")
        if kind in SCALARS:
            self._spend(count * struct.calcsize("<" + SCALARS[kind]))
            self._file.seek(count * struct.calcsize("<" + SCALARS[kind]), 1)
            return
        if count > self._values:
            raise EOFError
        for _ in range(count):
            self.value(kind, depth + 1)

    def _take(self, size: int) -> bytes:
        self._spend(size)
        data = self._file.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _spend(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise EOFError
