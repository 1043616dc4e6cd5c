"""The models on this machine: one folder each, with the GGUF file and what is known about it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llmspell_core.errors import LLMSpellError, ModelNotFoundError, StorageError, ValidationError
from llmspell_core.provider import LocalModel
from llmspell_provider_llamacpp.catalog import BACKEND, known_models
from llmspell_provider_llamacpp.gguf import GgufHeader, read_header

__all__ = ["ModelStore", "StoredModel", "default_directory"]

METADATA = "metadata.json"


def default_directory() -> Path:
    """`$LLMSPELL_HOME/models/llamacpp`, by default below `~/.llmspell`."""
    home = os.environ.get("LLMSPELL_HOME")
    return (Path(home) if home else Path.home() / ".llmspell") / "models" / BACKEND


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model file with its header. `metadata`: what was written down when it was pulled."""

    id: str
    path: Path
    header: GgufHeader
    metadata: dict[str, Any]

    def record(self) -> LocalModel:
        stat = self.path.stat()
        return LocalModel(
            self.id,
            BACKEND,
            stat.st_size,
            self.header.quantization,
            stat.st_mtime,
            path=str(self.path),
            description=self.metadata.get("description", ""),
            license=self.metadata.get("license"),
            source=self.metadata.get("source"),
        )


class ModelStore:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def folder(self, model: str) -> Path:
        """Raises: ValidationError for a name that would leave the directory."""
        if not model or model.startswith(".") or any(c in model for c in "/\\:\0"):
            raise ValidationError(f"'{model}' is not a name of a local model", field="model")
        return self.directory / model

    def ids(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        return sorted(d.name for d in self.directory.iterdir() if d.is_dir() and self.file_in(d) is not None)

    def all(self) -> list[LocalModel]:
        """Every model whose file can be read; a damaged one appears with a description that says so."""
        return [self._record(model) for model in self.ids()]

    def _record(self, model: str) -> LocalModel:
        try:
            return self.get(model).record()
        except LLMSpellError as error:
            return LocalModel(model, BACKEND, description=f"damaged: {error.message}")

    def get(self, model: str) -> StoredModel:
        """Raises: ModelNotFoundError when it is not here, StorageError when its file is damaged; both say how to pull."""
        name = model.partition(":")[0]
        folder = self.folder(name)
        path = self.file_in(folder)
        if path is None:
            raise self._missing(name)
        metadata = self.metadata(folder)
        self._check_size(name, path, metadata.get("size_bytes"))
        try:
            header = header_from(metadata) or read_header(path)
        except ValidationError as error:
            raise damaged(name, path, error.message) from None
        return StoredModel(name, path, header, metadata)

    def _check_size(self, name: str, path: Path, expected: int | None) -> None:
        size = path.stat().st_size
        if expected is not None and size != expected:
            raise damaged(name, path, f"it has {size} bytes instead of {expected}")

    def _missing(self, name: str) -> ModelNotFoundError:
        known = [m.id for m in known_models()]
        near = get_close_matches(name, [*self.ids(), *known], n=1)
        pull = name if name in known else near[0] if near and near[0] in known else "smollm2"
        here = f" Here: {', '.join(self.ids())}." if self.ids() else ""
        return ModelNotFoundError(
            f"the local model '{name}' is not on this machine",
            provider="local",
            model=name,
            hint=f"Run: llmspell model pull {pull}.{here}",
        )

    def file_in(self, folder: Path) -> Path | None:
        named = folder / str(self.metadata(folder).get("file", ""))
        if named.is_file():
            return named
        return next(iter(sorted(folder.glob("*.gguf"))), None)

    def metadata(self, folder: Path) -> dict[str, Any]:
        try:
            data = json.loads((folder / METADATA).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def write_metadata(self, folder: Path, data: dict[str, Any]) -> None:
        temporary = folder / f".{METADATA}"
        temporary.write_text(json.dumps(data, indent=2), "utf-8")
        temporary.replace(folder / METADATA)

    def remove(self, model: str) -> LocalModel:
        folder = self.folder(model.partition(":")[0])
        if self.file_in(folder) is None:
            raise self._missing(folder.name)
        record = self._record(folder.name)
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StorageError(f"{folder} cannot be removed: {error.strerror}", operation="write") from None
        return record


def header_from(metadata: dict[str, Any]) -> GgufHeader | None:
    try:
        return GgufHeader(**metadata["header"])
    except (KeyError, TypeError):
        return None


def header_data(header: GgufHeader) -> dict[str, Any]:
    return asdict(header)


def damaged(name: str, path: Path, why: str) -> StorageError:
    return StorageError(
        f"the file of the local model '{name}' is damaged: {why} ({path})",
        hint=f"Fetch it again: llmspell model pull {name} --force",
    )
