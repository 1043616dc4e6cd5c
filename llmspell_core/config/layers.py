"""Layers of settings, merged leaf by leaf; every leaf remembers which layer it came from.

A leaf is whatever is not a table, and an empty table. Tables merge, everything else replaces; a provider table of a
file replaces the provider of that name as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.config.document import Document, Keys

__all__ = ["Layer", "Leaf", "Merged", "canonical", "leaves", "nested"]

_SECURITY = ("allow_file_access", "allow_network_access", "allow_process_spawn", "max_tool_level", "require_fence", "max_memory_bytes",
             "max_execution_time_ms", "profile")  # fmt: skip
_MOVED: dict[Keys, Keys] = {
    **{("security", key): ("runtime", "security", key) for key in _SECURITY},
    ("state", "max_state_size_bytes"): ("runtime", "state_persistence", "max_state_size_bytes"),
}
_PROVIDER_KEYS = {"api_base": "base_url", "model": "default_model", "timeout": "timeout_seconds"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value. `written` is the path as its author wrote it, before aliases."""

    value: Any
    layer: Layer
    written: Keys

    @property
    def origin(self) -> str:
        return self.layer.origin(self.written)


@dataclass(slots=True)
class Layer:
    """Settings of one source.

    Attributes:
        kind: default, profile, own profile, security, file, vendor, environment or override.
        label: what `config show` says for the whole layer.
        variables: for the environment: which variable set which path.
        document: for a file: finds the line of a path.
        project: whether it is a file of the working folder.
    """

    kind: str
    label: str
    tree: dict[str, Any]
    document: Document | None = None
    variables: dict[Keys, str] = field(default_factory=dict)
    project: bool = False

    def origin(self, keys: Keys) -> str:
        """Where the value at `keys` was written: `default`, `FILE:LINE`, `environment NAME`, ..."""
        for length in range(len(keys), 0, -1):
            if variable := self.variables.get(keys[:length]):
                return f"environment {variable}"
        line = self.document.line(keys) if self.document and self.kind == "file" else None
        return f"{self.label}:{line}" if line else self.label


def leaves(tree: dict[str, Any], prefix: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*prefix, str(key)))
        else:
            yield (*prefix, str(key)), value


def nested(flat: dict[Keys, Any]) -> dict[str, Any]:
    """The tree whose leaves are `flat`."""
    tree: dict[str, Any] = {}
    for keys, value in flat.items():
        table = tree
        for key in keys[:-1]:
            if not isinstance(table.get(key), dict):
                table[key] = {}
            table = table[key]
        table[keys[-1]] = {} if value == {} else value
    return tree


def canonical(keys: Keys) -> Keys:
    """The path that `keys` means, with the specification's other spellings resolved."""
    keys = _MOVED.get(keys, keys)
    if keys[:1] != ("providers",):
        return keys
    if len(keys) > 2 and keys[1] == "providers":
        keys = ("providers", *keys[2:])
    if len(keys) == 4 and keys[2] == "defaults":
        keys = (*keys[:2], keys[3])
    return (*keys[:2], _PROVIDER_KEYS.get(keys[2], keys[2])) if len(keys) == 3 else keys


class Merged(dict[Keys, Leaf]):
    """Path -> leaf, after all layers that were added; the last one added wins."""

    def add(self, layer: Layer, value: Callable[[Any], Any] = lambda value: value) -> None:
        """Lay `layer` over what is there; `value` treats each leaf (substitution)."""
        own = {canonical(keys): Leaf(value(item), layer, keys) for keys, item in leaves(layer.tree)}
        if layer.kind in {"profile", "own profile", "file"}:
            self._drop_providers({keys[1] for keys in own if keys[0] == "providers" and len(keys) > 2})
        if not self:
            self.update(own)
            return
        for keys, leaf in own.items():
            self._put(keys, leaf)

    def _drop_providers(self, names: set[str]) -> None:
        for keys in [keys for keys in self if keys[0] == "providers" and keys[1:2] and keys[1] in names]:
            del self[keys]

    def put(self, keys: Keys, leaf: Leaf) -> None:
        """Set one leaf; tables that it replaces go."""
        self._put(keys, leaf)

    def _put(self, keys: Keys, leaf: Leaf) -> None:
        if leaf.value == {} and any(other[: len(keys)] == keys for other in self):
            return
        for length in range(1, len(keys)):
            self.pop(keys[:length], None)
        if keys not in self:
            for other in [other for other in self if other[: len(keys)] == keys]:
                del self[other]
        self[keys] = leaf

    def tree(self) -> dict[str, Any]:
        return nested({keys: leaf.value for keys, leaf in self.items()})

    def revalue(self, keys: Keys, value: Any) -> None:
        """Another value for the leaf at `keys`; it keeps its origin."""
        leaf = self[keys]
        self[keys] = Leaf(value, leaf.layer, leaf.written)
