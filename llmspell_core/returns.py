"""What a tool answers, as data: the reference, `llmspell tool info` and the contract tests are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Returns"]


@dataclass(frozen=True, slots=True)
class Returns:
    """What one operation of a tool answers.

    Args:
        fields: of `result`, by name: the type and what it means. A name with `?` is not always there; `item.name` is a
            field of the items of a list. Empty: `about` says it all.
        about: what to know besides the fields, e.g. that `result` is the value itself.
        example: parameters of a call that works offline and in an empty folder; the contract tests run it.
        shows: what `result` of the example holds, as far as it is the same each time.
        answers_failure: a failure is answered with `success = false`, where other operations raise an error in scripts,
            because scripts of this operation look at `success`.
    """

    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    about: str = ""
    example: Mapping[str, Any] | None = None
    shows: Any = None
    answers_failure: bool = False

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {"fields": {name: list(spec) for name, spec in self.fields.items()}}
        known = {"about": self.about, "example": self.example, "shows": self.shows}
        data |= {name: value for name, value in known.items() if value not in (None, "")}
        return data | ({"answers_failure": True} if self.answers_failure else {})

    def problems(self, result: Any) -> list[str]:
        """What about the result of a call is not as declared."""
        if not self.fields:
            return []
        if not isinstance(result, Mapping):
            return [f"result is {type(result).__name__}, not an object"]
        top = {name.removesuffix("?") for name in self.fields if "." not in name}
        needed = {name for name in top if name in self.fields}
        said = [f"'{name}' is missing" for name in sorted(needed - set(result))]
        said += [f"'{name}' is not declared" for name in sorted(set(result) - top)]
        specs = {name.removesuffix("?"): spec for name, spec in self.fields.items()}
        return said + [
            f"'{name}' is {value!r:.60}, not {specs[name][0]}"
            for name, value in result.items()
            if name in specs and not _is_a(specs[name][0], value)
        ]


KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _is_a(words: str, value: Any) -> bool:
    """Whether a value has one of the types, written as `string or null`; `any` is any."""
    kinds = [kind for word in words.split(" or ") for kind in KINDS.get(word, (object,))]
    return isinstance(value, tuple(kinds)) and not (isinstance(value, bool) and words in {"number", "integer"})
