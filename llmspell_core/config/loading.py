"""Finding, merging and checking the layers of the configuration.

overrides (command line)  >  LLMSPELL_SECTION__KEY  >  OPENAI_API_KEY and the like
>  llmspell.<LLMSPELL_ENV>.toml  >  the configuration file  >  --profile  >  the security profile  >  defaults
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llmspell_core.config.configuration import Config
from llmspell_core.config.discovery import discover, home, sibling, user_home
from llmspell_core.config.document import Document, parse, read
from llmspell_core.config.environment import environment_layer, unknown_variables, vendor_layer
from llmspell_core.config.layers import Layer, Merged
from llmspell_core.config.profile import Profiles
from llmspell_core.config.security_profile import PROFILE, chosen, security_layers, stricter, tightened

__all__ = ["load_config"]

_VARIABLE = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NOTHING = Layer("override", "command line", {})
_TRUSTED = {"default", "security", "profile", "vendor"}


def load_config(
    path: str | Path | None = None,
    profile: str | None = None,
    overrides: dict[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    *,
    check: bool = True,
) -> Config:
    """The configuration of this process.

    Args:
        path: an explicit file; otherwise `LLMSPELL_CONFIG`, otherwise the first one of the usual places, unless
            `profile` is given.
        profile: `NAME`, `presets/NAME` or `layer,layer`; otherwise `LLMSPELL_PROFILE`.
        overrides: a tree that wins over everything, e.g. `{"runtime": {"script_timeout_seconds": 5}}`.
        environ: instead of `os.environ`.
        cwd: where to look for `llmspell.toml`; the current folder otherwise.
        check: False leaves errors for `Config.problems()`; a file that is not TOML is an error all the same.

    Raises:
        ConfigurationError: a file is missing or is not valid TOML, or profiles extend each other in a circle.
        NotFoundError: an unknown profile.
        ValidationError: a value has the wrong type; says where it was set, what was expected and what was given.
    """
    return _Loading(os.environ if environ is None else environ, Path(cwd or Path.cwd())).run(
        path, profile, overrides or {}, check=check
    )


class _Loading:
    """One call of `load_config`: what it collects on its way."""

    def __init__(self, environ: Mapping[str, str], cwd: Path) -> None:
        self.environ = environ
        self.cwd = cwd
        self.home = home(environ)
        self.notes: list[str] = []
        self.files: list[Path] = []

    def run(self, path: str | Path | None, profile: str | None, overrides: dict[str, Any], *, check: bool) -> Config:
        profile = profile or self.environ.get("LLMSPELL_PROFILE") or None
        documents = self._documents(self._main_file(path, profile))
        profiles = Profiles(self.home / "profiles", _inline_profiles(documents))
        layers = profiles.layers(profile) if profile else []
        layers += [_file_layer(document) for document in documents]
        merged = self._merged(profiles, layers, overrides)
        config = Config(
            merged,
            path=self.files[0] if self.files else None,
            home=self.home,
            files=self.files,
            notes=self.notes,
            environ=self.environ,
        )
        if check and any(leaf.layer.kind not in _TRUSTED for leaf in merged.values()):
            config.check()
        return config

    def _main_file(self, path: str | Path | None, profile: str | None) -> Path | None:
        """A named file is always read; the usual places only when no profile replaces them."""
        named = path or self.environ.get("LLMSPELL_CONFIG")
        if named:
            return self.cwd / _expanded(str(named), self.environ, self.home)
        return None if profile else discover(self.environ, self.cwd)

    def _documents(self, main: Path | None) -> list[Document]:
        if main is None:
            return []
        beside = sibling(main, self.environ)
        self.files = [main, beside] if beside else [main]
        return [read(path) for path in self.files]

    def _merged(self, profiles: Profiles, layers: list[Layer], overrides: dict[str, Any]) -> Merged:
        """Twice: the security profile lies below the layers that choose it."""
        top = Layer("override", "command line", overrides)
        first = self._stack([_defaults(), *layers], top, quiet=True)
        asked = chosen(first).layer.kind == "override"
        leaf = stricter(first, self._stack([_defaults(), *layers], _NOTHING, quiet=True)) if asked else chosen(first)
        security = security_layers(leaf, first, profiles)
        merged = self._stack([_defaults(), *security, *layers], top, quiet=False)
        self.notes += [f"{name}: no setting has this name" for name in unknown_variables(self.environ)]
        if asked:
            merged[PROFILE] = leaf
            return tightened(merged, security)
        return merged

    def _stack(self, layers: list[Layer], top: Layer, *, quiet: bool) -> Merged:
        merged = Merged()
        for layer in layers:
            merged.add(layer, self._substitution(layer, quiet=quiet))
        merged.add(vendor_layer(self.environ))
        merged.add(environment_layer(self.environ, merged.tree()), self._path)
        merged.add(top)
        return merged

    def _substitution(self, layer: Layer, *, quiet: bool) -> Callable[[Any], Any]:
        def substituted(value: Any) -> Any:
            if isinstance(value, list):
                return [substituted(item) for item in value]
            if not isinstance(value, str):
                return value
            return self._path(_VARIABLE.sub(lambda found: self._variable(found, layer, quiet=quiet), value))

        return substituted

    def _variable(self, found: re.Match[str], layer: Layer, *, quiet: bool) -> str:
        if found[1]:
            return found[0][1:]
        if found[2] not in self.environ and not quiet:
            self.notes.append(f"{layer.label}: ${{{found[2]}}} is not set, so it is empty")
        return self.environ.get(found[2], "")

    def _path(self, value: Any) -> Any:
        return _expanded(value, self.environ, self.home) if isinstance(value, str) else value


def stacked(documents: list[Document]) -> dict[str, Any]:
    """What files alone say, over the defaults: to check a file before it is written."""
    merged = Merged()
    base = _defaults()
    chosen = Profiles().layers("security/medium")
    for layer in (base, *chosen, *(_file_layer(document) for document in documents)):
        merged.add(layer)
    return merged.tree()


def _defaults() -> Layer:
    path = Path(__file__).with_name("defaults.toml")
    return Layer("default", "default", parse("default", path.read_text("utf-8")).tree)


def _file_layer(document: Document) -> Layer:
    tree = {key: value for key, value in document.tree.items() if key not in {"profiles", "profile", "metadata"}}
    return Layer("file", document.name, tree, document)


def _inline_profiles(documents: list[Document]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for document in documents:
        tables = document.tree.get("profiles")
        found.update(tables if isinstance(tables, dict) else {})
    return {name: table for name, table in found.items() if isinstance(table, dict)}


def _expanded(text: str, environ: Mapping[str, str], own: Path) -> str:
    """`~` is the user's home directory, `~/.llmspell` llmspell's own."""
    if text == "~/.llmspell" or text.startswith("~/.llmspell/"):
        return str(own) + text.removeprefix("~/.llmspell")
    if text == "~" or text.startswith("~/"):
        return str(user_home(environ)) + text[1:]
    return text
