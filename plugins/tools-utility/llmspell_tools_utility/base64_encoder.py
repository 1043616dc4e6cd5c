"""The tool `base64-encoder`."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ValidationError
from llmspell_core.tool import SecurityRequirements, Tool, ToolResult
from llmspell_tools_utility.base64_text import Alphabet, read_base64
from llmspell_tools_utility.limit import MIB, deadline, require_size
from llmspell_tools_utility.returns import BASE64

MAX_BYTES = 50 * MIB
MAX_SECONDS = 5


class Parameters(BaseModel):
    operation: Literal["encode", "decode"] = Field(description="encode to base64, or decode from it.")
    input: str | None = Field(
        None,
        description="The text to encode, or the base64 to decode (RFC 4648; white space is skipped, the padding may be missing).",
    )
    input_file: str | None = Field(None, description="Path of a file to read instead of `input`.")
    output_file: str | None = Field(None, description="Path of a file to write the output to, instead of returning it.")
    variant: Alphabet = Field("standard", description="url-safe writes '-' and '_' in place of '+' and '/'.")
    binary_input: bool = Field(False, description="For encode: `input` is bytes written in hexadecimal.")

    @field_validator("variant", mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return value.lower().replace("_", "-").replace("urlsafe", "url-safe") if isinstance(value, str) else value


class Base64Encoder(Tool[Parameters]):
    name = "base64-encoder"
    description = "Encodes text, bytes or a file as base64, and decodes base64."
    parameters = Parameters
    returns = BASE64
    security_requirements = SecurityRequirements(file_permissions=("read", "write"))
    example = {"operation": "encode", "input": "Hello, World!"}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        async with deadline(self.name, MAX_SECONDS):
            data = await _given(params, ctx)
            made = _encoded(params, data) if params.operation == "encode" else _decoded(params, data)
            if params.output_file is not None:
                return await _saved(params, made, ctx)
        return _returned(params, made)


async def _given(params: Parameters, ctx: ExecutionContext) -> bytes:
    if params.input_file is not None:
        data = await asyncio.to_thread(_read, params.input_file, ctx)
    elif params.input is not None:
        data = params.input.encode()
    else:
        raise ValidationError(
            "base64-encoder: 'input' is required",
            field="input",
            hint="Pass a text as `input` or a path as `input_file`.",
        )
    require_size("the input", len(data), MAX_BYTES)
    return data


def _read(path: str, ctx: ExecutionContext) -> bytes:
    with ctx.files.open(path) as file:
        return file.read(MAX_BYTES + 1)


def _encoded(params: Parameters, data: bytes) -> bytes:
    if params.binary_input and params.input_file is None:
        data = _from_hex(data)
    return base64.urlsafe_b64encode(data) if params.variant == "url-safe" else base64.b64encode(data)


def _from_hex(data: bytes) -> bytes:
    try:
        return bytes.fromhex(data.decode())
    except ValueError:
        raise ValidationError(
            "base64-encoder: 'input' is not hexadecimal",
            field="input",
            hint="With binary_input write every byte as two digits 0-9 or a-f; for text leave binary_input out.",
        ) from None


def _decoded(params: Parameters, data: bytes) -> bytes:
    try:
        return read_base64(data, params.variant)
    except ValueError as error:
        field = "input" if params.input_file is None else "input_file"
        raise ValidationError(
            f"base64-encoder: '{field}' is not {params.variant} base64: {error}",
            field=field,
            hint="Check that nothing is cut off, and that `variant` fits: '-' and '_' mean url-safe.",
        ) from None


async def _saved(params: Parameters, made: bytes, ctx: ExecutionContext) -> ToolResult:
    path = str(params.output_file)
    await ctx.files.write_bytes(path, made)
    metadata = {"variant": params.variant, "file_path": path, "file_size": len(made)}
    return ToolResult(message=f"Wrote {len(made)} bytes to {path}", metadata=metadata)


def _returned(params: Parameters, made: bytes) -> ToolResult:
    text, binary = _text(made)
    binary = params.binary_input if params.operation == "encode" else binary
    word = "encoded" if params.operation == "encode" else "decoded"
    result = {"output": text, word: text, "variant": params.variant, "binary": binary}
    return ToolResult(result, message=f"Data {word}")


def _text(data: bytes) -> tuple[str, bool]:
    """The bytes as text, or in hexadecimal (then True) when they are not UTF-8."""
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return data.hex(), True
