"""Conditions: which branch is taken, whether a step runs, when a loop ends.

Written as a word (`always`, `never`), a table with `type`, `step:NAME:EXPECTED`, an expression, or a function.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from llmspell_core.errors import LLMSpellError, ValidationError, WorkflowError
from llmspell_core.messages import as_list
from llmspell_core.names import check_known, suggestion
from llmspell_core.workflow.expression import Expression, Names, truth
from llmspell_core.workflow.options import snake_keys

__all__ = ["Condition", "Facts"]

MAX_DEPTH = 50


class Facts(Names, Protocol):
    """What a condition may look at."""

    def has_shared(self, key: str) -> bool: ...

    def function_context(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `data` is its table; `expression`, `function` and `parts` are what was made of it."""

    kind: str
    data: Mapping[str, Any]
    expression: Expression | None = None
    function: Callable[..., Any] | None = None
    parts: tuple[Condition, ...] = ()

    @classmethod
    def read(cls, value: Any, depth: int = 0) -> Condition:
        """A condition in any of its forms.

        Raises:
            ValidationError: "Unknown condition type: x", or a field is missing.
            WorkflowError: an expression that cannot be read.
        """
        if depth > MAX_DEPTH:
            raise ValidationError(f"conditions are nested deeper than {MAX_DEPTH}", field="condition")
        if isinstance(value, Condition):
            return value
        if isinstance(value, bool):
            return cls("always" if value else "never", {})
        if callable(value):
            return cls("custom", {}, function=value)
        if isinstance(value, str):
            return cls._from_text(value)
        if isinstance(value, Mapping):
            return cls._from_table(value, depth)
        raise ValidationError(f"a condition is a table, a word or a function, got {value!r}", field="condition")

    @classmethod
    def _from_text(cls, text: str) -> Condition:
        if text in {"always", "never"}:
            return cls(text, {})
        if text.startswith("step:"):
            name, _, expected = text[5:].rpartition(":")
            return cls("step_result_equals", {"step": name, "expected": expected})
        return cls("custom", {"expression": text}, expression=Expression(text))

    @classmethod
    def _from_table(cls, table: Mapping[str, Any], depth: int) -> Condition:
        table = snake_keys(table)
        word = str(table.get("type") or _guess(table))
        kind = ALIASES.get(_snake(word), _snake(word))
        if kind not in CHECKS:
            raise ValidationError(
                f"Unknown condition type: {word}{suggestion(word, CHECKS)}",
                field="condition",
                hint=f"Use one of {', '.join(sorted(CHECKS))}.",
            )
        own = (name for names in (*REQUIRED.get(kind, ()), EXPECTED if kind in EXPECTING else ()) for name in names)
        check_known(f"condition {kind}", table, ("type", "name", "description", *own), "field")
        for names in REQUIRED.get(kind, ()):
            if all(table.get(name) is None for name in names):
                raise ValidationError(f"condition {kind}: '{names[0]}' is missing", field=names[0])
        if kind == "custom":
            return cls._custom(table)
        inner = as_list(table.get("conditions")) if kind != "not" else [table["condition"]]
        return cls(kind, table, parts=tuple(cls.read(item, depth + 1) for item in inner))

    @classmethod
    def _custom(cls, table: Mapping[str, Any]) -> Condition:
        function = table.get("evaluate")
        if callable(function):
            return cls("custom", table, function=function)
        text = table.get("expression")
        if not isinstance(text, str):
            raise ValidationError("condition custom: 'expression' is a text, 'evaluate' a function", field="expression")
        return cls("custom", table, expression=Expression(text))

    async def holds(self, facts: Facts) -> bool:
        """Whether it holds now.

        Raises:
            WorkflowError: it cannot be evaluated (unknown step, values that cannot be compared, a function that raises).
        """
        if self.function is not None:
            return truth(await _called(self.function, facts))
        return await CHECKS[self.kind](self, facts)

    def to_dict(self) -> dict[str, Any]:
        if self.kind in {"and", "or"}:
            return {"type": self.kind, "conditions": [part.to_dict() for part in self.parts]}
        if self.kind == "not":
            return {"type": "not", "condition": self.parts[0].to_dict()}
        made: dict[str, Any] = {**self.data, "type": self.kind}
        return made | ({"evaluate": self.function} if self.function is not None else {})

    def steps(self) -> Iterator[str]:
        """The steps that it asks about."""
        for part in self.parts:
            yield from part.steps()
        if self.expression is not None:
            yield from self.expression.steps
        name = (
            self.first(*STEP) if STEP in REQUIRED.get(self.kind, ()) and self.kind != "agent_classification" else None
        )
        if name is not None:
            yield str(name)

    def first(self, *names: str) -> Any:
        return next((self.data[name] for name in names if self.data.get(name) is not None), None)


async def _called(function: Callable[..., Any], facts: Facts) -> Any:
    try:
        value = function(facts.function_context())
        return await value if inspect.isawaitable(value) else value
    except LLMSpellError as error:
        raise WorkflowError(f"a condition function failed: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise WorkflowError(f"a condition function failed: {type(error).__name__}: {error}") from error


def _snake(word: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()


def _guess(table: Mapping[str, Any]) -> str:
    return "custom" if "expression" in table or "evaluate" in table else ""


def text_of(value: Any) -> str:
    """A value as it appears inside a text: text itself, JSON of tables, integral floats without `.0`."""
    import json

    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def same(left: Any, right: Any) -> bool:
    """Equality as scripts mean it: a text equals the text form of a number, but true is not 1."""
    if isinstance(left, str) != isinstance(right, str) and left is not None and right is not None:
        return text_of(left) == text_of(right)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


async def _all(condition: Condition, facts: Facts) -> bool:
    for part in condition.parts:
        if not await part.holds(facts):
            return False
    return True


async def _any(condition: Condition, facts: Facts) -> bool:
    for part in condition.parts:
        if await part.holds(facts):
            return True
    return False


async def _not(condition: Condition, facts: Facts) -> bool:
    return not await condition.parts[0].holds(facts)


def _step(condition: Condition, facts: Facts) -> Mapping[str, Any]:
    return facts.step_state(str(condition.first("step", "step_name", "step_id")))


def _classified(condition: Condition, facts: Facts) -> bool:
    step, wanted = str(condition.first("step", "step_name")), str(condition.first("expected_type", "expected", "value"))
    found = facts.shared_value(f"{step}_classification")
    if found is None:
        found = facts.step_state(step)["output"]
    return wanted.lower() in text_of(found).lower()


def _plainly(check: Callable[[Condition, Facts], bool]) -> Check:
    async def run(condition: Condition, facts: Facts) -> bool:
        return check(condition, facts)

    return run


EXPECTED = ("value", "expected", "expected_value", "expected_output")
EXPECTING = ("shared_data_equals", "step_result_equals")


def _expected(condition: Condition) -> Any:
    return condition.first(*EXPECTED)


Check = Callable[[Condition, Facts], Awaitable[bool]]
CHECKS: dict[str, Check] = {
    "always": _plainly(lambda _c, _f: True),
    "never": _plainly(lambda _c, _f: False),
    "shared_data_equals": _plainly(lambda c, f: same(f.shared_value(str(c.first("key"))), _expected(c))),
    "shared_data_exists": _plainly(lambda c, f: f.has_shared(str(c.first("key")))),
    "step_result_equals": _plainly(lambda c, f: same(_step(c, f)["output"], _expected(c))),
    "step_succeeded": _plainly(lambda c, f: _step(c, f)["success"] is True),
    "step_failed": _plainly(lambda c, f: _step(c, f)["error"] is not None),
    "step_output_contains": _plainly(
        lambda c, f: str(c.first("search_text", "text", "value")) in text_of(_step(c, f)["output"])
    ),
    "agent_classification": _plainly(_classified),
    "and": _all,
    "or": _any,
    "not": _not,
    "custom": _plainly(lambda c, f: truth(c.expression.evaluate(f)) if c.expression else False),
}
ALIASES = {"step_output_equals": "step_result_equals", "expression": "custom", "function": "custom"}
STEP = ("step", "step_name", "step_id")
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "shared_data_equals": (("key",),),
    "shared_data_exists": (("key",),),
    "step_result_equals": (STEP,),
    "step_succeeded": (STEP,),
    "step_failed": (STEP,),
    "step_output_contains": (STEP, ("search_text", "text", "value")),
    "agent_classification": (STEP, ("expected_type", "expected", "value")),
    "and": (("conditions",),),
    "or": (("conditions",),),
    "not": (("condition",),),
    "custom": (("expression", "evaluate"),),
}
