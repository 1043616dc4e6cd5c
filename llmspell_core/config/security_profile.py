"""The security profiles low, medium, high and custom ones: settings that lie right above the defaults.

What a file says explicitly wins over its security profile. A profile that is asked for on the command line can only
make the settings stricter.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from llmspell_core.config.layers import Layer, Leaf, Merged, leaves
from llmspell_core.config.profile import Profiles
from llmspell_core.errors import ValidationError

__all__ = ["PROFILES", "security_layers", "tightened"]

PROFILES = ("low", "medium", "high")
_USUAL = Leaf("medium", Layer("default", "default", {}), ())
_LEVELS = ("safe", "restricted", "privileged")
_LIBRARIES = ("none", "basic", "standard", "all")


def security_layers(merged: Merged, profiles: Profiles) -> list[Layer]:
    """The layers of the profile that `merged` chooses, lowest first.

    Raises:
        ValidationError: it does not exist.
    """
    chosen = merged.get(("runtime", "security", "profile"), _USUAL)
    custom = _custom(merged)
    name, chain = str(chosen.value), []
    while name not in PROFILES:
        if name not in custom or name in chain:
            raise _unknown(name, chosen, custom)
        chain.append(name)
        name = str(custom[name].get("extends", "medium"))
    layers = profiles.layers(f"security/{name}")
    for each in reversed(chain):
        table = {key: value for key, value in custom[each].items() if key != "extends"}
        layers.append(Layer("security", f"profile:security/{each}", {"runtime": {"security": table}}))
    return layers


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


def tightened(merged: Merged, layers: list[Layer]) -> Merged:
    """`merged`, where every value of the profile that is stricter than what is set wins."""
    for layer in layers:
        for keys, value in leaves(layer.tree):
            current = merged.get(keys)
            if current is None or _stricter(value, current.value):
                merged[keys] = Leaf(value, replace(layer, label=f"{layer.label} (command line)"), keys)
    return merged


def _stricter(new: Any, old: Any) -> bool:
    for order in (_LEVELS, _LIBRARIES):
        if new in order and old in order:
            return order.index(new) < order.index(old)
    if isinstance(new, list):
        return "*" not in new and new != old
    return bool(new < old) if isinstance(old, (int, float)) else False
