"""The tool `uuid-generator`."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from typing import Any, Literal

from pydantic import BaseModel, Field

from llmspell_core.context import ExecutionContext
from llmspell_core.errors import ValidationError
from llmspell_core.tool import Tool, ToolResult
from llmspell_tools_utility.returns import UUID

Form = Literal["standard", "hyphenated", "simple", "urn", "braced"]

NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
    # The namespaces of llmspell's own components: the same name gives the same id everywhere.
    "agent": uuid.UUID("6ba13d5a-3f5d-4a5b-9f7e-3d5a2f4d3a2b"),
    "tool": uuid.UUID("7cb24e6b-4f6e-5b6c-af8f-4e6b3f5e4b3c"),
    "workflow": uuid.UUID("8dc35f7c-5f7f-6c7d-bf9f-5f7c4f6f5c4d"),
}
# RFC 9562, and the forms that `format` writes. Python's own reader drops hyphens, braces and underscores anywhere.
HYPHENATED = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
WRITTEN = re.compile(rf"[0-9A-Fa-f]{{32}}|{HYPHENATED}|(?i:urn:uuid:){HYPHENATED}|\{{{HYPHENATED}\}}")
VARIANTS = {
    uuid.RFC_4122: "RFC4122",
    uuid.RESERVED_NCS: "NCS",
    uuid.RESERVED_MICROSOFT: "Microsoft",
    uuid.RESERVED_FUTURE: "Future",
}


class Parameters(BaseModel):
    operation: Literal["generate", "component_id", "deterministic", "custom", "validate"] = Field(
        "generate",
        description="generate a UUID; component_id '<prefix>_<uuid>'; deterministic: the same name gives the same id; "
        "custom: join prefix, time, uuid and suffix; validate a UUID.",
    )
    version: Literal["v1", "1", "v4", "4", "v5", "5"] = Field(
        "v4", description="For generate: v4 is random, v1 holds the time, v5 derives from `namespace` and `name`."
    )
    format: Form = Field("standard", description="How the UUID is written.")
    namespace: str | None = Field(
        None, description=f"For v5 and deterministic: one of {', '.join(NAMESPACES)}, or a UUID. Default dns, or agent."
    )
    name: str | None = Field(None, description="For v5 and deterministic: the name the id is derived from.")
    prefix: str = Field("component", description="For component_id and custom: what the id starts with.")
    short: bool = Field(False, description="For component_id and custom: only the first 8 digits of the UUID.")
    timestamp: bool = Field(False, description="For custom: include the Unix time in seconds.")
    suffix: str | None = Field(None, description="For custom: what the id ends with.")
    uuid: str | None = Field(None, description="For validate: the text to check.")


class UuidGenerator(Tool[Parameters]):
    name = "uuid-generator"
    description = "Makes and checks UUIDs: random, time-based or derived from a name, and ids for components."
    parameters = Parameters
    returns = UUID
    example = {"operation": "generate"}

    async def run(self, params: Parameters, ctx: ExecutionContext) -> ToolResult:
        return OPERATIONS[params.operation](params)


def _generate(params: Parameters) -> ToolResult:
    version = f"v{params.version.removeprefix('v')}"
    made = _time_based() if version == "v1" else uuid.uuid4() if version == "v4" else _derived(params, "dns")
    form = "hyphenated" if params.format == "standard" else params.format
    result = {"uuid": _written(made, params.format), "version": version, "format": form}
    return ToolResult(result, message=f"Generated UUID {version}")


def _time_based() -> uuid.UUID:
    # A random node with the multicast bit, as RFC 9562 allows, so that no id gives away the machine's address.
    return uuid.uuid1(node=secrets.randbits(48) | 1 << 40)


def _derived(params: Parameters, default: str) -> uuid.UUID:
    if not params.name:
        raise ValidationError(
            "uuid-generator: 'name' is required", field="name", hint="Pass the name the id is to be derived from."
        )
    return uuid.uuid5(_namespace(params.namespace or default), params.name)


def _namespace(text: str) -> uuid.UUID:
    known = NAMESPACES.get(text.lower())
    if known is not None:
        return known
    try:
        return _read(text)
    except ValueError:
        raise ValidationError(
            f"uuid-generator: '{text[:60]}' is not a namespace",
            field="namespace",
            hint=f"Use {', '.join(NAMESPACES)}, or a UUID.",
        ) from None


def _read(text: str) -> uuid.UUID:
    """Raises: ValueError for what is not a UUID to the letter."""
    if not WRITTEN.fullmatch(text):
        message = "not a UUID"
        raise ValueError(message)
    return uuid.UUID(text.lower())


def _written(value: uuid.UUID, form: Form) -> str:
    return {"simple": value.hex, "urn": value.urn, "braced": f"{{{value}}}"}.get(form, str(value))


def _component_id(params: Parameters) -> ToolResult:
    made = f"{params.prefix}_{_random_part(params)}"
    return ToolResult({"id": made, "prefix": params.prefix, "short": params.short}, message="Generated component id")


def _random_part(params: Parameters) -> str:
    made = uuid.uuid4()
    return made.hex[:8] if params.short else _written(made, params.format)


def _deterministic(params: Parameters) -> ToolResult:
    made = _written(_derived(params, "agent"), params.format)
    result = {"id": made, "namespace": params.namespace or "agent", "name": params.name}
    return ToolResult(result, message="Generated deterministic id")


def _custom(params: Parameters) -> ToolResult:
    prefix = params.prefix if "prefix" in params.model_fields_set else ""
    moment = str(int(time.time())) if params.timestamp else ""
    parts = (prefix, moment, _random_part(params), params.suffix)
    result = {"id": "_".join(p for p in parts if p), "timestamp": params.timestamp, "short": params.short}
    return ToolResult(result, message="Generated custom id")


def _validate(params: Parameters) -> ToolResult:
    if params.uuid is None:
        raise ValidationError("uuid-generator: 'uuid' is required", field="uuid", hint="Pass the UUID to check.")
    facts = _facts(params.uuid)
    # The facts stand at the top level too: scripts read `result.valid`.
    lifted = {key: value for key, value in facts.items() if key != "error"}
    return ToolResult(facts, message="UUID is valid" if facts["valid"] else "UUID is not valid", extra=lifted)


def _facts(text: str) -> dict[str, Any]:
    try:
        value = _read(text)
    except ValueError:
        return {
            "valid": False,
            "error": f"'{text[:60]}' is not a UUID: it needs 32 hexadecimal digits, in groups of 8-4-4-4-12 or in one",
        }
    version = f"v{value.version}" if value.version else None
    return {"valid": True, "uuid": str(value), "version": version, "variant": VARIANTS[value.variant]}


OPERATIONS = {
    "generate": _generate,
    "component_id": _component_id,
    "deterministic": _deterministic,
    "custom": _custom,
    "validate": _validate,
}
