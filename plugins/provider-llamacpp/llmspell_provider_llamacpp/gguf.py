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
    return GgufHeader(
        architecture,
        fields.get("general.name"),
        FILE_TYPES.get(fields.get("general.file_type", -1)),
        fields.get(f"{architecture}.context_length"),
        "tools" in str(fields.get("tokenizer.chat_template", "")),
    )


def read_fields(file: BinaryIO, path: Path) -> dict[str, Any]:
    """Every metadata field but the arrays."""
    if file.read(4) != b"GGUF":
        raise ValidationError(f"{path.name} is not a GGUF file", field="model")
    version, _tensors, count = struct.unpack("<IQQ", exactly(file, 20))
    if version not in {2, 3}:
        raise ValidationError(f"{path.name} is a GGUF file of version {version}; 2 and 3 are known", field="model")
    fields: dict[str, Any] = {}
    for _ in range(count):
        key = read_string(file)
        fields[key] = read_value(file, number(file, "I"))
    return fields


def exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def number(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, exactly(file, struct.calcsize("<" + code)))[0]


def read_string(file: BinaryIO) -> str:
    return exactly(file, number(file, "Q")).decode("utf-8")


def read_value(file: BinaryIO, kind: int) -> Any:
    if kind == STRING:
        return read_string(file)
    if kind == ARRAY:
        return skip_array(file)
    if kind not in SCALARS:
        raise EOFError
    return number(file, SCALARS[kind])


def skip_array(file: BinaryIO) -> None:
    """Vocabularies: long, and nothing for us."""
    kind, count = number(file, "I"), number(file, "Q")
    if kind in SCALARS:
        file.seek(count * struct.calcsize("<" + SCALARS[kind]), 1)
        return
    for _ in range(count):
        read_value(file, kind)
