"""The security profiles low, medium, high and custom ones: settings that lie right above the defaults.

What a file says explicitly wins over its security profile. A profile that is asked for on the command line can only
make the settings stricter.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llmspell_core.config.document import Keys
from llmspell_core.config.layers import Layer, Leaf, Merged, leaves
from llmspell_core.config.profile import Profiles
from llmspell_core.errors import ValidationError

__all__ = ["PROFILE", "chosen", "narrowed", "security_layers", "stricter", "tightened"]

PROFILES = ("low", "medium", "high")
_SCRIPT = "the script itself"
_USUAL = Leaf("medium", Layer("default", "default", {}), ())
PROFILE = ("runtime", "security", "profile")
_LEVELS = ("safe", "restricted", "privileged")
_LIBRARIES = ("none", "basic", "standard", "all")


def chosen(merged: Merged) -> Leaf:
    return merged.get(PROFILE, _USUAL)


def stricter(asked: Merged, configured: Merged) -> Leaf:
    """The profile that was asked for on the command line, or the configured one where somebody set a stricter one."""
    before, now = chosen(configured), chosen(asked)
    if before.layer.kind == "default":
        return now
    custom = _custom(asked)
    ranks = [PROFILES.index(_chain(leaf, custom)[-1]) for leaf in (before, now)]
    return before if ranks[0] > ranks[1] else now


def security_layers(leaf: Leaf, merged: Merged, profiles: Profiles) -> list[Layer]:
    """The layers of the profile named by `leaf`, lowest first.

    Raises:
        ValidationError: it does not exist.
    """
    custom = _custom(merged)
    *chain, name = _chain(leaf, custom)
    layers = profiles.layers(f"security/{name}")
    for each in reversed(chain):
        table = {key: value for key, value in custom[each].items() if key != "extends"}
        layers.append(Layer("security", f"profile:security/{each}", {"runtime": {"security": table}}))
    return layers


def _chain(leaf: Leaf, custom: dict[str, dict[str, Any]]) -> list[str]:
    """The profile's name and those it extends; the last one is low, medium or high."""
    names = [str(leaf.value)]
    while names[-1] not in PROFILES:
        name = names[-1]
        if name not in custom or name in names[:-1]:
            raise _unknown(name, leaf, custom)
        names.append(str(custom[name].get("extends", "medium")))
    return names


def _custom(merged: Merged) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for keys, leaf in merged.items():
        if keys[:2] == ("security", "profiles") and len(keys) == 4:
            found.setdefault(keys[2], {})[keys[3]] = leaf.value
    return found


def _unknown(name: str, chosen: Leaf, custom: dict[str, dict[str, Any]]) -> ValidationError:
    known = [*PROFILES, *custom]
    near = get_close_matches(name, known, n=1)
    advice = f"Did you mean {near[0]}? " if near else ""
    return ValidationError(
        f"there is no security profile '{name}' ({chosen.origin})",
        field="runtime.security.profile",
        hint=f"{advice}There are {', '.join(known)}; another one needs a table [security.profiles.{name}].",
    )


def narrowed(merged: Merged, name: str, folder: Path) -> Merged:
    """A copy of `merged` as strict as the profile low, medium or high; what is stricter already stays.

    Args:
        folder: where profiles of the user's own are kept.
    """
    copy = Merged(merged)
    before = PROFILES.index(_chain(chosen(copy), _custom(copy))[-1])
    if PROFILES.index(name) < before:
        return copy
    if PROFILES.index(name) > before:
        copy[PROFILE] = Leaf(name, Layer("override", _SCRIPT, {}), PROFILE)
    return tightened(copy, Profiles(folder).layers(f"security/{name}"), by=_SCRIPT)


def tightened(merged: Merged, layers: list[Layer], by: str = "command line") -> Merged:
    """`merged`, where every value of the profile that is stricter than what is set wins."""
    for layer in layers:
        for keys, value in leaves(layer.tree):
            current = merged.get(keys)
            if current is None or _stricter(keys, value, current.value):
                merged[keys] = Leaf(value, replace(layer, label=f"{layer.label} ({by})"), keys)
    return merged


def _stricter(keys: Keys, new: Any, old: Any) -> bool:
    if keys[:2] == ("tools", "permissions"):  # what a tool counts as: the higher, the fewer scripts may use it
        new, old = old, new
    for order in (_LEVELS, _LIBRARIES):
        if new in order and old in order:
            return order.index(new) < order.index(old)
    if isinstance(new, list):
        return "*" not in new and new != old
    return bool(new < old) if isinstance(old, (int, float)) else False
