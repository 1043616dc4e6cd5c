"""Decides about paths: by component, after following links, denied before allowed."""

from __future__ import annotations

import copy
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from llmspell_core.errors import SecurityError, ValidationError
from llmspell_core.policy.read_only import ReadOnly, ancestors, folded
from llmspell_core.policy.settings import PolicySettings

__all__ = ["PathMode", "PathRules", "decodable"]

PathMode = Literal["read", "write"]
FOLDS_CASE = sys.platform in {"darwin", "win32"}
OUTSIDE = "Do it yourself, outside of llmspell."


def decodable(name: str) -> str:
    """A name as text that every encoding can write."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _Rule:
    """One configured path and the real place it stands for; a place of None is everywhere."""

    text: str
    place: Path | None

    def covers(self, path: Path) -> bool:
        if self.place is None:
            return True
        place, path = _comparable(self.place), _comparable(path)
        return path == place or place in path.parents


def _comparable(path: Path) -> Path:
    """Where `A` and `a` are one file, leave for one of them is leave for both."""
    return Path(folded(path)) if FOLDS_CASE else path


class _Bans:
    """Configured paths that are forbidden, in every spelling. They are many, and asked about for every file."""

    def __init__(self, rules: tuple[_Rule, ...]) -> None:
        self._all = next((rule for rule in rules if rule.place is None), None)
        self._places = {folded(rule.place): rule for rule in reversed(rules) if rule.place is not None}

    def rule(self, real: Path) -> _Rule | None:
        if self._all is not None:
            return self._all
        return next((self._places[text] for text in ancestors(folded(real)) if text in self._places), None)

    def below(self, real: Path) -> _Rule | None:
        """One whose place is below the folder `real`."""
        start = folded(real).rstrip(os.sep) + os.sep
        return next((rule for text, rule in self._places.items() if text.startswith(start)), None)


class PathRules:
    """The path part of a policy. Links in the configured paths are followed once, before the first file is touched."""

    def __init__(self, settings: PolicySettings) -> None:
        self._settings = settings
        self._base = settings.base
        self._allowed = self._rules(settings.allowed_paths)

    @cached_property
    def _denied(self) -> _Bans:
        return _Bans(self._rules(self._settings.denied_paths))

    @cached_property
    def _sensitive(self) -> _Bans:
        return _Bans(self._rules(self._settings.sensitive_paths))

    @cached_property
    def _read_only(self) -> ReadOnly:
        """Made for the first change: most runs write nothing."""
        places = ((text, self.absolute(text)) for text in self._settings.read_only_paths)
        named = [rule.place for rule in self._allowed if rule.place is not None]
        return ReadOnly(places, self._base, [*named, Path(os.path.realpath(tempfile.gettempdir()))])

    def only(self, folder: str | os.PathLike[str]) -> PathRules:
        """The same rules, except that `folder` is what is allowed, and nothing else."""
        rules = copy.copy(self)
        rules._allowed = self._rules((os.fspath(folder),))  # noqa: SLF001 - its own class
        return rules

    def _rules(self, texts: tuple[str, ...]) -> tuple[_Rule, ...]:
        return tuple(
            _Rule(text, None if text == "*" else Path(os.path.realpath(self.absolute(text)))) for text in texts
        )

    def absolute(self, path: str | os.PathLike[str]) -> Path:
        """The absolute form of what a person wrote, links not followed.

        Raises:
            ValidationError: it cannot be a path at all.
        """
        text = os.fspath(path)
        if not text or "\0" in text:
            raise ValidationError(f"{text!r} is not a path", field="path", hint="Give the name of a file or directory.")
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise ValidationError(f"{text!r} is not a path: it holds half a character", field="path") from None
        return self._base / Path(text).expanduser() if text.startswith("~") else self._base / text

    def check(self, real: Path, mode: PathMode, asked: str | os.PathLike[str]) -> None:
        """Decide about `real`, a path without links.

        Args:
            asked: what the caller wrote, for the message.

        Raises:
            SecurityError: naming the path, the rule and the key to change.
        """
        if not self._settings.allow_file_access:
            reason = f"the security profile '{self._settings.profile}' denies file access"
            raise _denial(asked, real, reason, "Set runtime.security.allow_file_access = true.")
        if rule := self._denied.rule(real):
            reason = f"'{rule.text}' is in denied_paths"
            raise _denial(asked, real, reason, f'Remove "{rule.text}" from security.sandbox.denied_paths.')
        if rule := self._sensitive_rule(real):
            raise _denial(asked, real, f"'{rule.text}' is a sensitive place", _allow(real, alone=True))
        if not any(rule.covers(real) for rule in self._allowed):
            allowed = ", ".join(rule.text for rule in self._allowed) or "nothing"
            raise _denial(asked, real, f"it is not below an allowed path ({allowed})", _allow(real))
        if mode == "write":
            self._check_change(real, asked)

    def _sensitive_rule(self, real: Path) -> _Rule | None:
        rule = self._sensitive.rule(real)
        if rule is None or any(rule.covers(a.place) for a in self._allowed if a.place and a.covers(real)):
            return None
        return rule

    def check_tree(self, real: Path, asked: str | os.PathLike[str]) -> None:
        """Refuse to move a directory that holds, or would become, a place that is denied or read-only."""
        if rule := self._denied.below(real) or self._sensitive.below(real):
            raise _denial(asked, real, f"'{rule.text}' is below it", OUTSIDE)
        if reason := self._read_only.tree_reason(real):
            raise _denial(asked, real, f"it may not be moved: {reason}", OUTSIDE)

    def _check_change(self, real: Path, asked: str | os.PathLike[str]) -> None:
        if reason := self._read_only.reason(real):
            raise _denial(asked, real, f"{reason} and is read-only here", OUTSIDE)
        extension, settings = real.suffix.lstrip(".").lower(), self._settings
        if extension in settings.blocked_extensions:
            hint = f'Remove "{extension}" from tools.file_operations.blocked_extensions.'
            raise _denial(asked, real, f"files ending in .{extension} may not be written", hint)
        if settings.allowed_extensions and extension and extension not in settings.allowed_extensions:
            hint = f'Add "{extension}" to tools.file_operations.allowed_extensions.'
            raise _denial(asked, real, f"files ending in .{extension} are not among allowed_extensions", hint)


def _allow(real: Path, *, alone: bool = False) -> str:
    """Advises the narrowest folder: never the whole disk, or all that is the user's, for the sake of one file in it.

    Args:
        alone: what lies beside it is not to be allowed, too.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where nobody has a home
    wide = {Path(real.anchor), home, *home.parents}
    if real in wide:
        return "Name the folder that is needed in tools.file_operations.allowed_paths if this should be possible."
    place = real if alone or real.parent in wide else real.parent
    return f'Add "{decodable(str(place))}" to tools.file_operations.allowed_paths if this should be possible.'


def _denial(asked: str | os.PathLike[str], real: Path, reason: str, hint: str) -> SecurityError:
    shown = f"'{decodable(os.fspath(asked))}'"
    if str(real) != os.fspath(asked):
        shown += f" (really '{decodable(str(real))}')"
    return SecurityError(f"access to {shown} is denied: {reason}", violation_type="path_denied", hint=hint)
