"""Who may say a setting: the operator alone, anybody, or a project as far as it makes things stricter.

Settings classes carry one of these rules for each key; what carries none is the operator's. The same rules say what it
means that one value is a ceiling for another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

__all__ = ["ANYBODY", "CHOICE", "FALSE", "HOSTS", "LARGER", "LEVEL", "LISTED", "MORE", "OPERATOR", "PATHS", "RAISED",
           "SAME", "SMALLER", "SOME_OR_ALL", "TRUE", "Narrowed", "Rule"]  # fmt: skip

LEVELS = ("safe", "restricted", "privileged")
_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_WEB_PORTS = {"80", "443"}
_LOCAL = {"localhost", "metadata.google.internal"}


class Narrowed(NamedTuple):
    """The stricter of two values, and whether all that was asked for is in it."""

    value: Any
    whole: bool = True


Meet = Callable[[Any, Any, str], Narrowed]
"""(what holds, what is asked for, the working folder) -> what holds of both. Values of a wrong type change nothing."""


class Rule(NamedTuple):
    """Who may say a setting. `meet` is None where only the operator may."""

    name: str
    meet: Meet | None = None

    @property
    def is_order(self) -> bool:
        """Whether the setting belongs to the policy: one value of it is stricter than another."""
        return self.meet is not None and self.name != "anybody"


def _number(held: Any, asked: Any, choose: Callable[..., Any]) -> Narrowed:
    if not isinstance(asked, int | float) or isinstance(asked, bool):
        return Narrowed(held, asked is None)
    if held is None:
        return Narrowed(asked)
    value = choose(held, asked)
    return Narrowed(value, value == asked)


def _smaller(held: Any, asked: Any, _: str) -> Narrowed:
    return _number(held, asked, min)


def _larger(held: Any, asked: Any, _: str) -> Narrowed:
    return _number(held, asked, max)


def _false(held: Any, asked: Any, _: str) -> Narrowed:
    value = bool(held) and asked is not False
    return Narrowed(value, value == bool(asked))


def _true(held: Any, asked: Any, _: str) -> Narrowed:
    value = bool(held) or asked is True
    return Narrowed(value, value == bool(asked))


def _level(held: Any, asked: Any, _: str) -> Narrowed:
    if asked not in LEVELS or held not in LEVELS:
        return Narrowed(held, asked == held)
    value = min(held, asked, key=LEVELS.index)
    return Narrowed(value, value == asked)


def _raised(held: Any, asked: Any, _: str) -> Narrowed:
    if asked not in LEVELS:
        return Narrowed(held, asked is None)
    value = max(held if held in LEVELS else LEVELS[0], asked, key=LEVELS.index)
    return Narrowed(value, value == asked)


def _more(held: Any, asked: Any, _: str) -> Narrowed:
    given, more = _items(held), _items(asked)
    return Narrowed([*given, *(each for each in more if each not in given)])


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _both(held: Sequence[Any], asked: Sequence[Any], covers: Callable[[Any, Any], bool]) -> Narrowed:
    """What is below an entry of both lists. `covers(wide, narrow)`."""
    kept = [each for each in asked if any(covers(wide, each) for wide in held)]
    more = [each for each in held if each not in kept and any(covers(wide, each) for wide in asked)]
    return Narrowed([*kept, *more], len(kept) == len(asked))


def _listed(held: Any, asked: Any, _: str) -> Narrowed:
    if not isinstance(asked, list | tuple):
        return Narrowed(held, asked is None)
    return _both(_items(held), _items(asked), _matches)


def _matches(wide: str, narrow: str) -> bool:
    return wide in ("*", narrow) or (not re.search(r"[*?\[]", narrow) and fnmatchcase(narrow, wide))


def _same(held: Any, asked: Any, _: str) -> Narrowed:
    if not isinstance(asked, list | tuple):
        return Narrowed(held, asked is None)
    if "*" in asked and "*" not in _items(held):
        return Narrowed(held, whole=False)
    return _both(_items(held), _items(asked), lambda wide, narrow: bool(wide == narrow))


def _some_or_all(held: Any, asked: Any, cwd: str) -> Narrowed:
    """Here an empty list is all, so what is left of two lists cannot be said when it is nothing."""
    if not _items(held):
        return Narrowed(_items(asked))
    if not _items(asked):
        return Narrowed(held, whole=False)
    met = _listed(held, asked, cwd)
    return met if met.value else Narrowed(held, whole=False)


def _paths(held: Any, asked: Any, cwd: str) -> Narrowed:
    """Folders; what is asked for is pinned to where it really is now."""
    if not isinstance(asked, list | tuple):
        return Narrowed(held, asked is None)
    given = _items(held)
    real = {each: _real(each, cwd) for each in (*given, *_items(asked)) if isinstance(each, str)}
    opened = [real[each] for each in given if each != "*"]
    wanted = [real[each] for each in asked if each in real and _is_plain(real[each], opened)]
    met = _both([real[each] for each in given], wanted, _holds)
    written = {real[each]: each for each in given}
    return Narrowed([written.get(each, each) for each in met.value], met.whole and len(wanted) == len(asked))


def _real(path: str, cwd: str) -> str:
    return path if path == "*" else os.path.realpath(os.path.join(cwd, os.path.expanduser(path)))  # noqa: PTH111, PTH118


def _holds(wide: str, narrow: str) -> bool:
    return wide in ("*", narrow) or (narrow != "*" and narrow.startswith(wide.rstrip(os.sep) + os.sep))


def _is_plain(path: str, opened: Iterable[str]) -> bool:
    """Whether to name `path` opens no more than what is around it: a sensitive place must be named to be open."""
    from llmspell_core.policy.settings import SENSITIVE_PATHS

    inside = [place for place in (_real(each, "/") for each in SENSITIVE_PATHS) if _holds(place, path)]
    return not inside or any(_holds(inside[0], each) and _holds(each, path) for each in opened)


def _hosts(held: Any, asked: Any, _: str) -> Narrowed:
    if not isinstance(asked, list | tuple):
        return Narrowed(held, asked is None)
    return _both(_items(held), _items(asked), _covers_host)


def _covers_host(wide: Any, narrow: Any) -> bool:
    """To name an address or a port opens what a wider entry leaves closed, so these must be named by both."""
    if not isinstance(wide, str) or not isinstance(narrow, str):
        return False
    wide, narrow = wide.strip().lower(), narrow.strip().lower()
    if wide == narrow:
        return True
    name, _, port = narrow.partition(":")
    if not _NAME.fullmatch(name) or name in _LOCAL or name.endswith(".localhost") or _is_address(name):
        return False
    if port and port not in _WEB_PORTS:
        return False
    return wide in ("*", name) or (wide.startswith("*.") and name.endswith(wide[1:]))


def _is_address(name: str) -> bool:
    import ipaddress

    with suppress(ValueError):
        ipaddress.ip_network(name, strict=False)
        return True
    return re.fullmatch(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+))*", name) is not None


def usual_paths() -> list[str]:
    """What `allowed_paths` means where nobody sets it."""
    import tempfile

    return [".", tempfile.gettempdir()]


OPERATOR = Rule("operator")
ANYBODY = Rule("anybody", lambda _held, asked, _cwd: Narrowed(asked))
CHOICE = Rule("security profile", _same)
"""The security profile: known by its rank; see `llmspell_core.config.security_profile`."""
SMALLER = Rule("smaller", _smaller)
LARGER = Rule("larger", _larger)
FALSE = Rule("false", _false)
TRUE = Rule("true", _true)
LEVEL = Rule("lower level", _level)
RAISED = Rule("higher level", _raised)
MORE = Rule("longer list", _more)
LISTED = Rule("part of the list", _listed)
SAME = Rule("part of the list, word by word", _same)
SOME_OR_ALL = Rule("part of the list, where none is all", _some_or_all)
PATHS = Rule("folders inside", _paths)
HOSTS = Rule("hosts inside", _hosts)
