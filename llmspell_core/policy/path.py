"""Decides about paths: by component, after following links, denied before allowed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmspell_core.errors import SecurityError, ValidationError
from llmspell_core.policy.settings import PolicySettings

__all__ = ["PathMode", "PathRules"]

PathMode = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One configured path and the real place it stands for; a place of None is everywhere."""

    text: str
    place: Path | None

    def covers(self, path: Path) -> bool:
        return self.place is None or path == self.place or self.place in path.parents


class PathRules:
    """The path part of a policy. Links in the configured paths are followed once, when it is made."""

    def __init__(self, settings: PolicySettings) -> None:
        self._settings = settings
        self._base = settings.base
        self._allowed = self._rules(settings.allowed_paths)
        self._denied = self._rules(settings.denied_paths)
        self._sensitive = self._rules(settings.sensitive_paths)
        self._read_only = self._rules(settings.read_only_paths)

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
            raise self._denial(
                asked,
                real,
                f"the security profile '{self._settings.profile}' denies file access",
                "runtime.security.allow_file_access",
            )
        if rule := _covering(self._denied, real):
            raise self._denial(asked, real, f"'{rule.text}' is in denied_paths", "security.sandbox.denied_paths")
        if rule := self._sensitive_rule(real):
            reason = f"'{rule.text}' is a sensitive place"
            raise self._denial(asked, real, reason, "tools.file_operations.allowed_paths")
        if not _covering(self._allowed, real):
            allowed = ", ".join(rule.text for rule in self._allowed) or "nothing"
            raise self._denial(
                asked, real, f"it is not below an allowed path ({allowed})", "tools.file_operations.allowed_paths"
            )
        if mode == "write":
            self._check_change(real, asked)

    def _sensitive_rule(self, real: Path) -> _Rule | None:
        rule = _covering(self._sensitive, real)
        if rule is None or any(rule.covers(a.place) for a in self._allowed if a.place and a.covers(real)):
            return None
        return rule

    def check_tree(self, real: Path, asked: str | os.PathLike[str]) -> None:
        """Refuse to move a directory that holds, or would become, a place that is denied or read-only."""
        for rule in (*self._denied, *self._sensitive, *self._read_only):
            if rule.place is not None and real in rule.place.parents:
                raise self._denial(asked, real, f"'{rule.text}' is below it", None)

    def _check_change(self, real: Path, asked: str | os.PathLike[str]) -> None:
        if rule := _covering(self._read_only, real):
            raise self._denial(asked, real, f"'{rule.text}' holds llmspell's own settings and is read-only here", None)
        extension = real.suffix.lstrip(".").lower()
        if extension in self._settings.blocked_extensions:
            raise self._denial(
                asked,
                real,
                f"files ending in .{extension} may not be written",
                "tools.file_operations.blocked_extensions",
            )
        if self._settings.allowed_extensions and extension and extension not in self._settings.allowed_extensions:
            raise self._denial(
                asked,
                real,
                f"files ending in .{extension} are not among allowed_extensions",
                "tools.file_operations.allowed_extensions",
            )

    def _denial(self, asked: str | os.PathLike[str], real: Path, reason: str, key: str | None) -> SecurityError:
        shown = f"'{os.fspath(asked)}'"
        if str(real) != os.fspath(asked):
            shown += f" (really '{real}')"
        hint = (
            f"If this should be possible, change {key} in the configuration."
            if key
            else "Edit it yourself, outside of llmspell."
        )
        return SecurityError(f"access to {shown} is denied: {reason}", violation_type="path_denied", hint=hint)


def _covering(rules: tuple[_Rule, ...], path: Path) -> _Rule | None:
    return next((rule for rule in rules if rule.covers(path)), None)
