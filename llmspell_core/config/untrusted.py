"""The settings of a working folder that nobody has trusted: they may only make things stricter."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from llmspell_core.config.authority import ANYBODY, Narrowed, Rule
from llmspell_core.config.document import Keys
from llmspell_core.config.layers import Layer, Leaf, Merged
from llmspell_core.config.profile import Profiles
from llmspell_core.config.secrecy import shown
from llmspell_core.config.security_profile import (
    PERMISSIONS,
    PROFILE,
    PROFILES,
    Ceiling,
    base_profile,
    held,
    raise_level,
    spoken_for,
)

__all__ = ["Ignored", "laid_over", "note"]

_VARIABLE = re.compile(r"(\$?)\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_STRONGER = {"vendor", "environment", "override"}


class Ignored(NamedTuple):
    """A setting of an untrusted folder that has no effect, or not all of it."""

    keys: Keys
    value: Any
    origin: str


def laid_over(
    base: Merged, layers: list[Layer], profiles: Profiles, cwd: Path, expand: Callable[[Any], Any]
) -> tuple[Merged, list[Ignored]]:
    """What an untrusted folder makes of the operator's settings, and what of its own was ignored.

    Args:
        base: the operator's settings, typed.
        layers: the folder's files, the stronger one last.
        expand: what is done with `~` in values.
    """
    return _Laying(base, profiles, str(cwd), expand).over(layers)


class _Laying:
    def __init__(self, base: Merged, profiles: Profiles, cwd: str, expand: Callable[[Any], Any]) -> None:
        self._merged = Merged(base)
        self._profiles = profiles
        self._cwd = cwd
        self._expand = expand
        self._ignored: list[Ignored] = []

    def over(self, layers: list[Layer]) -> tuple[Merged, list[Ignored]]:
        asked = Merged()
        for layer in layers:
            asked.add(layer)
        profile = asked.pop(PROFILE, None)
        for keys, leaf in self._typed(asked):
            self._say(keys, leaf)
        if profile is not None:
            self._narrow(profile)
        return self._merged, self._ignored

    def _typed(self, asked: Merged) -> Iterator[tuple[Keys, Leaf]]:
        """What the folder may say something about, each value as its setting wants it."""
        from llmspell_core.config.checks import typed_value

        for keys, leaf in asked.items():
            if leaf.value == {}:
                continue
            rule = _rule(keys)
            if rule is None or rule.meet is None or _reads_environment(leaf.value):
                self._ignore(keys, leaf)
                continue
            value, problem = typed_value(keys, _plain(self._expand, leaf.value))
            if problem:  # it stays as it is written, for whoever checks the configuration to complain about
                self._merged.put(keys, leaf)
            else:
                yield keys, Leaf(value, leaf.layer, leaf.written)

    def _say(self, keys: Keys, leaf: Leaf) -> None:
        rule = _rule(keys)
        assert rule is not None
        assert rule.meet is not None
        if keys[:2] == PERMISSIONS:
            if leaf.value != "safe":
                raise_level(self._merged, keys[2], leaf)
            if leaf.value != "privileged":
                self._ignore(keys, leaf)
            return
        if rule is not ANYBODY:
            keys = spoken_for(keys, self._merged)
        there = self._merged.get(keys)
        if there is not None and there.layer.kind in _STRONGER:
            return
        before = held(self._merged, keys, base_profile(self._merged))
        met: Narrowed = rule.meet(before, leaf.value, self._cwd)
        if not met.whole:
            self._ignore(keys, leaf)
        if met.value != before:
            self._merged.put(keys, Leaf(met.value, leaf.layer, leaf.written))

    def _narrow(self, leaf: Leaf) -> None:
        """A profile of the operator's is a ceiling where it is stricter."""
        before, name = base_profile(self._merged), leaf.value
        if name not in PROFILES or PROFILES.index(name) < PROFILES.index(before):
            self._ignore(PROFILE, leaf)
        elif name != before:
            self._merged[PROFILE] = leaf
            Ceiling.of(name, self._profiles.layers(f"security/{name}"), leaf.origin).over(self._merged, self._cwd)

    def _ignore(self, keys: Keys, leaf: Leaf) -> None:
        self._ignored.append(Ignored(keys, leaf.value, leaf.origin))


def note(folder: Path, ignored: list[Ignored], *, changed: bool) -> str:
    """One line: what an untrusted folder sets without effect, and how to trust it."""
    names = list(dict.fromkeys(shown(".".join(each.keys))[:80] for each in ignored))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    state = "has changed since it was trusted" if changed else "is not trusted"
    where = shown(str(folder))
    listed = f"{', '.join(names[:SHOWN])}{more}"
    return (
        f"{where} {state}, so its configuration can only tighten; ignored: {listed}. "
        f"To trust it: llmspell trust {shlex.quote(where)}"
    )


SHOWN = 4


def _rule(keys: Keys) -> Rule | None:
    from llmspell_core.config.authority import RAISED
    from llmspell_core.config.settings import rule_of

    return RAISED if keys[:2] == PERMISSIONS and len(keys) == 3 else rule_of(keys)


def _reads_environment(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_reads_environment, value))
    if isinstance(value, dict):
        return any(map(_reads_environment, value.values()))
    return isinstance(value, str) and any(not found[1] for found in _VARIABLE.finditer(value))


def _plain(expand: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(expand, item) for item in value]
    return expand(_VARIABLE.sub(lambda found: found[0][1:], value)) if isinstance(value, str) else value
