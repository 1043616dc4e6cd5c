"""The tool `hash-calculator`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

from pydantic import BaseModel, Field, field_validator, model_validator

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ToolError, ValidationError
from llmspell_core.tool import SecurityLevel, SecurityRequirements, Tool, ToolResult
from llmspell_tools_utility.base64_text import read_either
from llmspell_tools_utility.limit import MIB, deadline, require_size
from llmspell_tools_utility.returns import HASH

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_FILE = 100 * MIB
MAX_SECONDS = 30
CHUNK = MIB

Encoding = Literal["hex", "base64"]
LABELS = {"sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512", "blake2b": "BLAKE2b"}


class Parameters(BaseModel):
    operation: Literal["hash", "verify"] = Field(
        description="hash computes a digest; verify compares it with `expected_hash`."
    )
    algorithm: Literal["md5", "sha1", "sha256", "sha512", "blake2b", "blake3"] = Field(
        "sha256", description="The hash function; 'sha-256' is read as 'sha256'. md5 and sha1 only detect accidents."
    )
    input_type: Literal["string", "file"] = Field("string", description="Whether to hash `input` or the file `file`.")
    input: str | None = Field(None, description="The text to hash, taken as UTF-8.")
    file: str | None = Field(None, description="Path of the file to hash.")
    format: Encoding = Field("hex", description="How the digest is written.")
    expected_hash: str | None = Field(None, description="For verify: the digest to compare with.")
    expected_format: Encoding = Field(
        "hex", description="How `expected_hash` is written; base64 of either alphabet, with or without padding."
    )

    @field_validator("algorithm", mode="before")
    @classmethod
    def _plain_name(cls, value: Any) -> Any:
        return value.lower().replace("-", "") if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _file_means_file(cls, values: Any) -> Any:
        """A file without an input can only mean one thing."""
        if (
            isinstance(values, dict)
            and "input_type" not in values
            and values.get("file")
            and values.get("input") is None
        ):
            return {**values, "input_type": "file"}
        return values


class HashCalculator(Tool[Parameters]):
    name = "hash-calculator"
    description = "Computes the hash of a text or a file, or verifies one against a known hash."
    parameters = Parameters
    returns = HASH
    security_level = SecurityLevel.RESTRICTED
    security_requirements = SecurityRequirements(file_permissions=("read",))
    example = {"operation": "hash", "input": "hello world"}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        expected = _expected(params) if params.operation == "verify" else b""
        async with deadline(self.name, MAX_SECONDS):
            digest = await _digest(params, ctx)
        return _compared(params, digest, expected) if params.operation == "verify" else _computed(params, digest)


class Hash(Protocol):
    def update(self, data: Buffer, /) -> object: ...

    def digest(self) -> bytes: ...


def _new(algorithm: str) -> Hash:
    if algorithm == "blake3":
        return _new_blake3()
    return hashlib.new(algorithm, usedforsecurity=False)


def _new_blake3() -> Hash:
    try:
        made: Hash = import_module("blake3").blake3()
    except ImportError:
        raise ToolError(
            "hash-calculator needs blake3, which is not installed",
            tool_name="hash-calculator",
            hint="pip install 'llmspell-tools-utility[blake3]'",
        ) from None
    return made


async def _digest(params: Parameters, ctx: ExecutionContext) -> bytes:
    hasher = _new(params.algorithm)
    if params.input_type == "string":
        hasher.update(_required(params.input, "input").encode())
        return hasher.digest()
    with await asyncio.to_thread(ctx.files.open, _required(params.file, "file")) as file:
        # Piece by piece, so that a deadline or a cancellation stops the work between two of them.
        async for piece in _pieces(file):
            await asyncio.to_thread(hasher.update, piece)
    return hasher.digest()


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    total = 0
    while piece := await asyncio.to_thread(file.read, CHUNK):
        total += len(piece)
        require_size("the file", total, MAX_FILE)
        yield piece


def _required(value: str | None, name: str) -> str:
    if value is None:
        raise ValidationError(
            f"hash-calculator: '{name}' is required", field=name, hint="Pass `input` for a text, or `file` for a file."
        )
    return value


def _expected(params: Parameters) -> bytes:
    text = _required_hash(params.expected_hash)
    try:
        return bytes.fromhex(text) if params.expected_format == "hex" else read_either(text.encode())
    except ValueError:
        raise ValidationError(
            f"hash-calculator: 'expected_hash' is not {params.expected_format}",
            field="expected_hash",
            hint="Say how it is written with expected_format: hex or base64.",
        ) from None


def _required_hash(text: str | None) -> str:
    if not text or not text.strip():
        raise ValidationError(
            "hash-calculator: 'expected_hash' is required", field="expected_hash", hint="Pass the hash to compare with."
        )
    return text.strip()


def _written(digest: bytes, form: Encoding) -> str:
    return digest.hex() if form == "hex" else base64.b64encode(digest).decode()


def _label(params: Parameters) -> str:
    """As the standards write it."""
    return LABELS.get(params.algorithm, params.algorithm.upper())


def _computed(params: Parameters, digest: bytes) -> ToolResult:
    result = {"algorithm": _label(params), "hash": _written(digest, params.format), "format": params.format}
    return ToolResult(result, message=f"Calculated {_label(params)} hash")


def _compared(params: Parameters, digest: bytes, expected: bytes) -> ToolResult:
    if hmac.compare_digest(digest, expected):
        return ToolResult({"verified": True, "algorithm": _label(params)}, message="Hash verification passed")
    forms = {"expected": _written(expected, params.format), "actual": _written(digest, params.format)}
    return ToolResult({"verified": False, "algorithm": _label(params), **forms}, message="Hash verification failed")
