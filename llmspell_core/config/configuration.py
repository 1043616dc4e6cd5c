"""The merged configuration: values, typed settings, and where each value came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.config.layers import Layer, Merged, canonical, leaves
from llmspell_core.config.secrecy import masked
from llmspell_core.errors import NotFoundError, ValidationError

if TYPE_CHECKING:
    from llmspell_core.config.checks import Problem, Tables
    from llmspell_core.config.document import Keys
    from llmspell_core.config.settings import Settings
    from llmspell_core.config.untrusted import Ignored

__all__ = ["Config", "Row"]

SETTINGS = "Every setting is in docs/reference/configuration.md; see also: llmspell config show"
SHIPPED = frozenset(("default", "profile", "security"))
"""Layers that come with llmspell, and may name tools that are not installed here."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `config show`: dotted key, value (secrets masked), where it came from."""

    key: str
    value: Any
    origin: str


class Config:
    """What `load_config` returns. Read-only.

    Attributes:
        path: the strongest configuration file; None when there is none.
        home: the folder of llmspell's own files, `~/.llmspell`.
        files: all files that were read, the strongest first.
        environ: the environment it was made from.
        cwd: what relative paths in it start from.
        untrusted: the working folder, when it has a configuration that is not trusted.
        trust_changed: whether it was trusted before something in it changed.
        ignored: what that folder sets without effect.
        skipped: what is to be said of its files that are not read at all.
        plugin_tables: says which tables plugins read; set by whoever knows what is installed.
    """

    def __init__(
        self,
        merged: Merged,
        *,
        path: Path | None,
        home: Path,
        files: list[Path],
        notes: list[str],
        environ: Mapping[str, str],
        cwd: Path = Path(),
    ) -> None:
        self.path = path
        self.home = home
        self.cwd = cwd
        self.untrusted: Path | None = None
        self.trust_changed = False
        self.ignored: list[Ignored] = []
        self.skipped: list[str] = []
        self.files = files
        self._merged = merged
        self._notes = notes
        self.environ = environ
        self.plugin_tables: Callable[[], Tables] = dict
        self._tree = merged.tree()

    def __repr__(self) -> str:
        return f"Config(path={str(self.path) if self.path else None!r}, {len(self._merged)} settings)"

    def changed(self, changes: Mapping[str, Any], *, replacing: str | None = None) -> Config:
        """A configuration with `changes` laid over this one, which stays as it is.

        Args:
            replacing: the dotted name of a table that goes before.

        Raises:
            ValidationError: a value has the wrong type, or nothing reads such a setting.
        """
        merged = Merged(self._merged)
        gone = tuple(replacing.split(".")) if replacing else None
        for keys in [keys for keys in merged if gone is not None and keys[: len(gone)] == gone]:
            del merged[keys]
        merged.add(Layer("override", "script", dict(changes)))
        made = self._like(merged)
        made.check()
        made.check_read(list(leaves(dict(changes))))
        return made

    def check_read(self, written: Iterable[tuple[Keys, Any]]) -> None:
        """`written`: settings that somebody makes now. Raises: ValidationError for one that has no effect."""
        from llmspell_core.config.absent import missing_part

        settings, _ = self._typed
        for problem in self._unknown(settings) if settings is not None else ():
            size = len(problem.keys)
            if (
                any(canonical(keys)[:size] == problem.keys for keys, _ in written)
                and missing_part(problem.keys) is None
            ):
                raise ValidationError(problem.message, field=".".join(problem.keys), hint=problem.hint or SETTINGS)

    def _like(self, merged: Merged) -> Config:
        own = {"path": self.path, "home": self.home, "files": self.files, "notes": self._notes, "cwd": self.cwd}
        made = Config(merged, environ=self.environ, **own)  # type: ignore[arg-type]
        made.plugin_tables = self.plugin_tables
        made.untrusted, made.trust_changed = self.untrusted, self.trust_changed
        made.ignored, made.skipped = self.ignored, self.skipped
        return made

    @property
    def merged(self) -> Merged:
        """Every value with where it came from."""
        return self._merged

    def get(self, key: str, default: Any = None, *, secrets: bool = False) -> Any:
        """The value at the dotted `key`, a table as a dict; `default` when there is none.

        Secrets are masked unless `secrets` asks for them.
        """
        keys = tuple(key.split(".")) if key else ()
        value: Any = self._tree
        for part in keys:
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return _copied(value) if secrets else masked(keys, _copied(value))

    def has(self, key: str) -> bool:
        return self.get(key, _MISSING) is not _MISSING

    def section(self, name: str, *, secrets: bool = True) -> dict[str, Any]:
        """The table at the dotted `name` with its real values, for code; empty when there is none.

        Raises:
            ValidationError: there is a value, but it is not a table.
        """
        value = self.get(name, {}, secrets=secrets)
        if not isinstance(value, dict):
            raise ValidationError(f"{name} is one setting, not a table", field=name, hint=f"Use config.get('{name}').")
        return value

    def origin(self, key: str) -> str | None:
        """Where the value came from: `default`, `profile:NAME`, `FILE:LINE`, `environment NAME`, `command line`."""
        leaf = self._merged.get(tuple(key.split(".")))
        return leaf.origin if leaf else None

    def flat(self, section: str | None = None) -> list[Row]:
        """Every setting below `section`, sorted by key.

        Raises:
            NotFoundError: there is nothing of that name.
        """
        if section and not self.has(section):
            raise self.unknown(section)
        return sorted(self._rows(section), key=lambda row: row.key)

    def as_dict(self) -> dict[str, Any]:
        """All settings, secrets masked."""
        tree: dict[str, Any] = self.get("", secrets=False)
        return tree

    def provider_names(self) -> list[str]:
        """The `[providers.*]` tables that are not disabled, and the vendors whose key variable is set."""
        tables = self.section("providers")
        return [name for name, table in tables.items() if isinstance(table, dict) and table.get("enabled", True)]

    def secrets(self) -> list[str]:
        """The values that must not appear in any text."""
        from llmspell_core.config.secrecy import is_secret, secrets_in

        found = [leaf.value for keys, leaf in self._merged.items() if is_secret(keys) and isinstance(leaf.value, str)]
        found += [each for leaf in self._merged.values() for each in secrets_in(leaf.value)]
        tables = [table for table in self.section("providers").values() if isinstance(table, dict)]
        named = [self.environ.get(str(table.get("api_key_env"))) for table in tables]
        return [value for value in (*found, *named) if value]

    @cached_property
    def settings(self) -> Settings:
        """The typed settings.

        Raises:
            ValidationError: a value has the wrong type; every problem is named.
        """
        settings, problems = self._typed
        if settings is None:
            raise self._error(problems)
        return settings

    def tightened(self, profile: str) -> Config:
        """This configuration where low, medium or high is stricter than it; itself where nothing is to be changed."""
        from llmspell_core.config.security_profile import narrowed

        merged = narrowed(self._merged, profile, self.home / "profiles", str(self.cwd))
        values, before = ({keys: leaf.value for keys, leaf in each.items()} for each in (merged, self._merged))
        return self if values == before else self._like(merged)

    def problems(self) -> list[Problem]:
        """Every error and warning that `config check` shows, errors first; messages say where the value was set."""
        from llmspell_core.config.checks import Problem, contradictions

        settings, found = self._typed
        if settings is not None:
            found = [*contradictions(settings), *self._unknown(settings)]
        found = [self._placed(problem) for problem in found]
        if self.ignored:
            found += self._ignored_problems()
        found += [Problem("warning", (), note) for note in (*self._notes, *self.trust_notes())]
        return sorted(found, key=lambda problem: problem.severity)

    def trust_notes(self) -> list[str]:
        """What is to be said about a folder that is not trusted, a line each; nothing when all of it has effect."""
        from llmspell_core.config.secrecy import shown
        from llmspell_core.config.untrusted import note

        found = [shown(each) for each in self.skipped]
        if self.untrusted and self.ignored:
            found.append(note(self.untrusted, self.ignored, changed=self.trust_changed))
        return found

    @property
    def needs_checking(self) -> bool:
        """Whether somebody wrote settings here, in a file or in the environment: one may be misspelt."""
        return bool(self.files) or any(leaf.layer.kind == "environment" for leaf in self._merged.values())

    def without_effect(self) -> list[str]:
        """The dotted keys of settings that nothing reads; a table stands for what is in it."""
        settings, _ = self._typed
        found = self._unknown(settings) if settings is not None else ()
        return [".".join(problem.keys) for problem in found]

    def _unknown(self, settings: Settings) -> Iterator[Problem]:
        """What nobody reads of all that somebody here wrote.

        A variable of the environment may be another program's: it is only told.
        """
        from llmspell_core.config.checks import unknown

        for problem in unknown(settings, self.plugin_tables):
            size = len(problem.keys)
            kinds = {leaf.layer.kind for keys, leaf in self._merged.items() if keys[:size] == problem.keys}
            if not kinds <= SHIPPED:
                yield replace(problem, severity="warning") if kinds <= {"environment", *SHIPPED} else problem

    def _ignored_problems(self) -> Iterator[Problem]:
        """What is wrong in the part of an untrusted file that is ignored: it would be an error once it is trusted.

        A misspelt restriction is one of those that look as if they held.
        """
        from llmspell_core.config.checks import typed, unknown
        from llmspell_core.config.layers import nested
        from llmspell_core.config.secrecy import shown

        ignored = {each.keys: each.value for each in self.ignored}
        settings, found = typed(nested({keys: leaf.value for keys, leaf in self._merged.items()} | ignored))
        if settings is not None:
            found = list(unknown(settings, self.plugin_tables))
        for problem in found:
            size = len(problem.keys)
            origin = next((each.origin for each in self.ignored if each.keys[:size] == problem.keys), None)
            if origin is not None:
                yield replace(problem, message=shown(f"{problem.message} ({origin})"))

    @property
    def warnings(self) -> list[str]:
        return [problem.message for problem in self.problems() if problem.severity == "warning"]

    def check(self) -> None:
        """Types every value, and reads texts of the environment as what their setting wants.

        Raises:
            ValidationError: with every error.
        """
        from llmspell_core.config.checks import contradictions

        found = [*contradictions(self.settings), *self._unknown(self.settings)]
        errors = [problem for problem in found if problem.severity == "error"]
        if errors:
            raise self._error(errors)
        self._adopt(self.settings.model_dump())

    def unknown(self, key: str) -> NotFoundError:
        """The error for a key that does not exist, with near matches."""
        names = {".".join(keys[:length]) for keys in self._merged for length in range(1, len(keys) + 1)}
        near = get_close_matches(key, sorted(names), n=3, cutoff=0.6)
        hint = f"Did you mean {' or '.join(near)}?" if near else "'llmspell config show' lists every setting."
        return NotFoundError(f"there is no setting '{key}'", what="setting", name=key, near=near, hint=hint)

    @cached_property
    def _typed(self) -> tuple[Settings | None, list[Problem]]:
        from llmspell_core.config.checks import typed

        return typed(self._tree)

    def _adopt(self, typed: dict[str, Any]) -> None:
        from llmspell_core.config.checks import is_declared
        from llmspell_core.config.environment import guessed

        for keys, leaf in list(self._merged.items()):
            value: Any = typed
            for key in keys:
                value = value[key]
            if leaf.layer.kind == "environment" and isinstance(value, str) and not is_declared(keys):
                value = guessed(value)
            if value != leaf.value or type(value) is not type(leaf.value):
                self._merged.revalue(keys, value)
        self._tree = self._merged.tree()

    def _placed(self, problem: Problem) -> Problem:
        from dataclasses import replace

        from llmspell_core.config.secrecy import shown

        origin = self._nearest_origin(problem.keys)
        return replace(problem, message=shown(f"{problem.message} ({origin})" if origin else problem.message))

    def _nearest_origin(self, keys: tuple[str, ...]) -> str | None:
        leaf = self._merged.get(keys) or next(
            (leaf for path, leaf in self._merged.items() if path[: len(keys)] == keys), None
        )
        if leaf is None or leaf.layer.kind == "default":
            return None
        return leaf.origin if keys in self._merged else leaf.layer.origin(keys)

    def _error(self, problems: list[Problem]) -> ValidationError:
        placed = [self._placed(problem) for problem in problems]
        first = placed[0]
        message = "\n  ".join(problem.message for problem in placed)
        return ValidationError(
            message, field=".".join(first.keys), hint=first.hint or "Correct the value where it is set."
        )

    def _rows(self, section: str | None) -> Iterator[Row]:
        prefix = tuple(section.split(".")) if section else ()
        for keys, leaf in self._merged.items():
            if keys[: len(prefix)] == prefix:
                yield Row(".".join(keys), masked(keys, leaf.value), leaf.origin)


_MISSING = object()


def _copied(value: Any) -> Any:
    """Callers may change what they get."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
