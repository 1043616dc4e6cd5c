"""The security profiles low, medium, high and custom ones: settings that lie right above the defaults.

What a file says explicitly wins over the security profile that it names itself. A profile that is named above it (on the
command line, in the environment; for a project's file: by the operator) is a ceiling: nothing below is looser than it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from llmspell_core.config.authority import usual_paths
from llmspell_core.config.document import Keys
from llmspell_core.config.layers import Layer, Leaf, Merged
from llmspell_core.config.profile import Profiles
from llmspell_core.errors import ValidationError

__all__ = ["PERMISSIONS", "PROFILE", "Ceiling", "base_profile", "chosen", "held", "is_known", "narrowed", "raise_level", "rank",
           "security_layers", "spoken_for", "stricter"]  # fmt: skip

PROFILES = ("low", "medium", "high")
_SCRIPT = "the script itself"
_USUAL = Leaf("medium", Layer("default", "default", {}), ())
PROFILE = ("runtime", "security", "profile")


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


def rank(leaf: Leaf, merged: Merged) -> int:
    """How strict the profile named by `leaf` is: 0 for low, 2 for high."""
    return PROFILES.index(_chain(leaf, _custom(merged))[-1])


def is_known(leaf: Leaf, merged: Merged) -> bool:
    return leaf.value in (*PROFILES, *_custom(merged))


def base_profile(merged: Merged) -> str:
    return PROFILES[rank(chosen(merged), merged)]


def narrowed(merged: Merged, name: str, folder: Path, cwd: str) -> Merged:
    """A copy of `merged` as strict as the profile low, medium or high; what is stricter already stays.

    Args:
        folder: where profiles of the user's own are kept.
        cwd: what relative paths start from.
    """
    copy = Merged(merged)
    before = rank(chosen(copy), copy)
    if PROFILES.index(name) < before:
        return copy
    if PROFILES.index(name) > before:
        copy[PROFILE] = Leaf(name, Layer("override", _SCRIPT, {}), PROFILE)
    return Ceiling.of(name, Profiles(folder).layers(f"security/{name}"), _SCRIPT).over(copy, cwd)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Nothing is looser than a security profile has it, whoever says so.

    Attributes:
        by: who asked for it, for `config show`.
        values: what the profile has for each setting of the policy. `low` leaves what it does not name to the operator.
    """

    name: str
    by: str
    values: Merged
    own: frozenset[Keys]

    @classmethod
    def of(cls, name: str, layers: list[Layer], by: str) -> Ceiling:
        """Args: layers: those of the profile, which is `name` or extends it."""
        from llmspell_core.config.loading import defaults_layer

        own, values = Merged(), Merged()
        values.add(defaults_layer())
        for layer in layers:
            own.add(layer)
            values.add(layer)
        return cls(name, by, values if name != "low" else own, frozenset(own))

    def over(self, merged: Merged, cwd: str, spared: Callable[[Leaf], bool] = lambda _: False) -> Merged:
        """`merged`, whose values are typed, with the stricter of both for each setting.

        Args:
            spared: says of what is set whether it stays as it is.
        """
        for keys, leaf in list(merged.items()):
            if not spared(leaf):
                self._limit(merged, keys, leaf, cwd)
        for keys in self.own - {PROFILE}:
            if keys not in merged:
                merged[keys] = self._leaf(keys, self.values[keys].value)
        return merged

    def _limit(self, merged: Merged, keys: Keys, leaf: Leaf, cwd: str) -> None:
        from llmspell_core.config.settings import rule_of

        rule = rule_of(keys)
        if keys[:2] == PERMISSIONS and len(keys) == 3:
            self._limit_level(merged, keys, leaf)
        if rule is None or rule.meet is None or not rule.is_order or keys == PROFILE:
            return
        if self.name == "low" and spoken_for(keys, self.values) not in self.own:
            return
        asked = usual_paths() if is_usual(leaf) else leaf.value
        met = rule.meet(held(self.values, keys, self.name), asked, cwd)
        if met.value != asked:
            merged[keys] = self._leaf(keys, met.value)

    def _limit_level(self, merged: Merged, keys: Keys, leaf: Leaf) -> None:
        """What a tool was said to count as holds from now on only where that is stricter than what it says itself."""
        if self.name == "low" or leaf.layer.kind in {"default", "security"}:
            return
        raise_level(merged, keys[2], leaf)
        if keys in self.values:
            merged[keys] = self._leaf(keys, self.values[keys].value)
        else:
            del merged[keys]

    def _leaf(self, keys: Keys, value: Any) -> Leaf:
        label = f"profile:security/{self.name} ({self.by})"
        return Leaf(value, Layer("security", label, {}), keys)


PERMISSIONS = ("tools", "permissions")
_INSTEAD: dict[Keys, Keys] = {
    ("security", "sandbox", "allowed_paths"): ("tools", "file_operations", "allowed_paths"),
    ("security", "sandbox", "allowed_domains"): ("tools", "http_request", "allowed_hosts"),
}
"""Two names for one thing: the first holds where it is set."""


def raise_level(merged: Merged, tool: str, leaf: Leaf) -> None:
    """The tool counts as that level at least."""
    from llmspell_core.config.authority import RAISED

    keys = ("tools", "minimum_permissions", tool)
    before = merged[keys].value if keys in merged else None
    merged.pop(keys[:2], None)
    merged[keys] = Leaf(RAISED.meet(before, leaf.value, "").value, leaf.layer, leaf.written)  # type: ignore[misc]


def spoken_for(keys: Keys, merged: Merged) -> Keys:
    """The setting that decides what `keys` is about: itself, or its other name."""
    for first, second in _INSTEAD.items():
        if keys in (first, second):
            return first if _value(merged, first) is not None else second
    return keys


def held(merged: Merged, keys: Keys, profile: str) -> Any:
    """What holds for the setting at `keys`, also where only the policy knows a default."""
    from llmspell_core.config.views import policy_default

    keys = spoken_for(keys, merged)
    leaf = merged.get(keys)
    if leaf is not None and is_usual(leaf) and keys[-1] == "allowed_paths":
        return usual_paths()
    return policy_default(".".join(keys), profile) if leaf is None or leaf.value is None else leaf.value


def is_usual(leaf: Leaf) -> bool:
    """Whether it is the default of `allowed_paths`, which stands for the working and the temporary folder."""
    return leaf.layer.kind == "default" and leaf.written[-1:] == ("allowed_paths",)


def _value(merged: Merged, keys: Keys) -> Any:
    return merged[keys].value if keys in merged else None
