"""Finding, merging and checking the layers of the configuration.

overrides (command line)  >  LLMSPELL_SECTION__KEY  >  OPENAI_API_KEY and the like
>  the project's llmspell.<LLMSPELL_ENV>.toml  >  the project's file  >  the same two of the user  >  --profile
>  the security profile  >  defaults

The project's files are those of the working folder. Until it is trusted they can only make things stricter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.config.configuration import Config
from llmspell_core.config.discovery import home, sibling, user_file, user_home
from llmspell_core.config.document import Document, decoded, parse, read
from llmspell_core.config.environment import environment_layer, unknown_variables, vendor_layer
from llmspell_core.config.layers import Layer, Leaf, Merged
from llmspell_core.config.profile import Profiles
from llmspell_core.config.security_profile import (
    PROFILE,
    PROFILES,
    Ceiling,
    chosen,
    is_known,
    rank,
    security_layers,
    stricter,
)
from llmspell_core.config.untrusted import Ignored, laid_over
from llmspell_core.errors import ConfigurationError, StorageError
from llmspell_core.places import project_places

if TYPE_CHECKING:
    from llmspell_core.config.trust import Project, State

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
        path: an explicit file; otherwise `LLMSPELL_CONFIG`, otherwise the user's own file and, over it, the one in the
            working folder, unless `profile` is given. The latter is limited until its folder is trusted: see `Trust`.
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
    loading = _Loading(os.environ if environ is None else environ, Path(cwd or current_folder()), check=check)
    return loading.run(path, profile, overrides or {})


def current_folder() -> Path:
    """Raises: ConfigurationError when it does not exist any more."""
    try:
        return Path.cwd()
    except OSError:
        raise ConfigurationError("the current folder does not exist any more", hint="Go to another one: cd ~") from None


def ignored_in(project: Project) -> list[Ignored]:
    """What the folder sets that has an effect only when it is trusted.

    Raises: ConfigurationError when a file of it is not valid.
    """
    layers = [_file_layer(decoded(str(project.folder / name), project.contents[name])) for name in project.names]
    nobody = load_config(environ={"HOME": os.devnull}, cwd=os.devnull)
    nobody.check()
    return laid_over(nobody.merged, layers, Profiles(), project.folder, lambda value: value)[1]


class _Loading:
    """One call of `load_config`: what it collects on its way."""

    def __init__(self, environ: Mapping[str, str], cwd: Path, *, check: bool) -> None:
        self.environ = environ
        self.cwd = cwd
        self.check = check
        self.home = home(environ)
        self.notes: list[str] = []
        self.files: list[Path] = []
        self.ignored: list[Ignored] = []
        self.skipped: list[str] = []

    def run(self, path: str | Path | None, profile: str | None, overrides: dict[str, Any]) -> Config:
        profile = profile or self.environ.get("LLMSPELL_PROFILE") or None
        named = path or self.environ.get("LLMSPELL_CONFIG")
        documents = self._documents(named, profile)
        project = None if named or profile else self._project()
        self.profiles = Profiles(self.home / "profiles", _inline_profiles(documents))
        self.layers = self.profiles.layers(profile) if profile else []
        self.layers += [_file_layer(document) for document in documents]
        self.top = Layer("override", "command line", overrides)
        state = self._state(project) if project is not None else None
        merged = self._with_project(project, state) if project is not None and state else self._merged([])
        config = self._config(merged)
        config.untrusted = project.folder if project is not None and state not in {None, "trusted"} else None
        config.trust_changed = state == "changed"
        config.ignored, config.skipped = self.ignored, self.skipped
        if self.check and any(leaf.layer.kind not in _TRUSTED for leaf in merged.values()):
            config.check()
        return config

    def _config(self, merged: Merged) -> Config:
        return Config(
            merged,
            path=self.files[-1] if self.files else None,
            home=self.home,
            files=self.files,
            notes=self.notes,
            environ=self.environ,
            cwd=self.cwd,
        )

    def _documents(self, named: str | Path | None, profile: str | None) -> list[Document]:
        """The operator's: a named file is always read; the user's own only when no profile replaces it."""
        if named:
            main: Path | None = self.cwd / _expanded(str(named), self.environ, self.home)
        else:
            main = None if profile else user_file(self.environ)
        if main is None:
            return []
        beside = sibling(main, self.environ)
        read_ = [main, beside] if beside else [main]
        self.files = read_[::-1]
        return [read(path) for path in read_]

    def _project(self) -> Project | None:
        """What lies in the working folder; nothing more is imported where nothing does."""
        if not any(os.path.lexists(path) for path in project_places(self.environ, str(self.cwd))):
            return None
        from llmspell_core.config.trust import Project

        project = Project.of(self.cwd, self.environ)
        self.skipped += [f"{project.folder / name} is no plain file, so it is not read" for name in project.strange]
        return project if project.names else None

    def _state(self, project: Project) -> State:
        from llmspell_core.config.trust import Trust

        try:
            return Trust(self.environ).state(project)
        except StorageError as error:
            self.skipped.append(f"{error.message}. {error.hint or ''}".rstrip())
            return "unknown"

    def _with_project(self, project: Project, state: State) -> Merged:
        names = [name for name in project.names if state == "trusted" or name not in project.outside]
        self.skipped += [
            f"{project.folder / name} leads to another folder and is not trusted, so it is not read: llmspell trust"
            for name in project.names
            if name not in names
        ]
        documents = [decoded(str(self.cwd / name), project.contents[name]) for name in names]
        self.files = [*(self.cwd / name for name in reversed(names)), *self.files]
        layers = [replace(_file_layer(document), project=True) for document in documents]
        if state == "trusted":
            return self._merged(layers)
        operators = self._merged([])
        base = self._typed(operators)
        if base is None:  # what is stricter than something wrong? The error of the operator's settings comes first.
            return operators
        merged, self.ignored = laid_over(base, layers, self.profiles, self.cwd, self._path)
        return merged

    def _typed(self, merged: Merged) -> Merged | None:
        """`merged` with every value as its setting wants it; None when that cannot be."""
        from llmspell_core.errors import ValidationError

        config = self._config(merged)
        try:
            config.check()
        except ValidationError:
            if self.check:
                raise
            return None
        return config.merged

    def _merged(self, project: list[Layer]) -> Merged:
        """Twice: the security profile lies below the layers that choose it.

        Args:
            project: the layers of a trusted folder.
        """
        base = self._stack([defaults_layer(), *self.layers], self.top, quiet=True)
        layers = [*self.layers, *(self._below_profile(layer, base) for layer in project)]
        first = self._stack([defaults_layer(), *layers], self.top, quiet=True)
        asked = chosen(first).layer.kind == "override"
        leaf = (
            stricter(first, self._stack([defaults_layer(), *layers], _NOTHING, quiet=True)) if asked else chosen(first)
        )
        security = security_layers(leaf, first, self.profiles)
        merged = self._stack([defaults_layer(), *security, *layers], self.top, quiet=False)
        self.notes += [f"{name}: no setting has this name" for name in unknown_variables(self.environ)]
        if asked:
            merged[PROFILE] = leaf
        return self._limited(merged, base, first)

    def _below_profile(self, layer: Layer, base: Merged) -> Layer:
        """A project's layer without a security profile that is looser than the one the operator chose."""
        own = Merged()
        own.add(layer)
        wanted, holds = own.get(PROFILE), chosen(base)
        if wanted is None or holds.layer.kind == "default":
            return layer
        both = Merged(base)
        both.update({keys: leaf for keys, leaf in own.items() if keys[:2] == ("security", "profiles")})
        if rank(wanted, both) >= rank(holds, both):
            return layer
        del own[PROFILE]
        return replace(layer, tree=own.tree())

    def _limited(self, merged: Merged, base: Merged, first: Merged) -> Merged:
        """Below the ceilings: of the profile that the command line or the environment asks for, for every file; of the
        one that the operator chose, for the files of a project."""
        kind, ceilings = chosen(base).layer.kind, list[tuple[Ceiling, Callable[[Leaf], bool]]]()
        if kind in {"override", "environment"}:
            stronger = {"override", kind}
            known = base if is_known(chosen(base), base) else first
            ceilings.append((self._ceiling(chosen(base), known), lambda leaf: leaf.layer.kind in stronger))
        elif kind != "default" and any(leaf.layer.project for leaf in merged.values()):
            ceilings.append((self._ceiling(chosen(base), base), lambda leaf: not leaf.layer.project))
        if not ceilings:
            return merged
        merged = self._typed(merged) or merged
        for ceiling, spared in ceilings:
            merged = ceiling.over(merged, str(self.cwd), spared)
        return merged

    def _ceiling(self, leaf: Leaf, merged: Merged) -> Ceiling:
        by = "command line" if leaf.layer.kind == "override" else leaf.origin
        layers = security_layers(leaf, merged, self.profiles)
        return Ceiling.of(PROFILES[rank(leaf, merged)], layers, by)

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
    base = defaults_layer()
    chosen = Profiles().layers("security/medium")
    for layer in (base, *chosen, *(_file_layer(document) for document in documents)):
        merged.add(layer)
    return merged.tree()


def defaults_layer() -> Layer:
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
