"""A step as data: what to call, with what, for how long, after which others, and what to do when it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmspell_core.errors import LLMSpellError, ValidationError
from llmspell_core.messages import as_list, new_id
from llmspell_core.names import check_known
from llmspell_core.workflow.condition import Condition
from llmspell_core.workflow.options import milliseconds, snake_keys, whole
from llmspell_core.workflow.problems import FOUND, all_problems, each, located
from llmspell_core.workflow.strategy import ErrorStrategy

__all__ = ["Step", "StepKind", "read_steps"]

StepKind = Literal["tool", "agent", "workflow", "template", "function"]
KINDS = ("tool", "agent", "workflow", "template", "function")
TARGETS: dict[str, tuple[str, ...]] = {
    "tool": ("tool", "tool_name"),
    "agent": ("agent", "agent_id", "agent_name"),
    "workflow": ("workflow", "workflow_id"),
    "template": ("template_id", "template"),
    "function": ("execute", "function", "callable"),
}
INPUTS = ("input", "parameters", "params", "prompt")
WORDS = {"custom": "function", "llm": "agent"}
OTHERS = (
    *("name", "type", "step_type", "id", "description", "definition", "timeout", "timeout_ms", "retry_attempts"),
    *("retry_count", "dependencies", "depends_on", "error_strategy", "on_error", "condition", "compensate", "rollback"),
    *("tools", "required", "optional"),
)
INLINE = ("steps", "branches", "agents", "body", "targets", "map_step", "then_steps", "else_steps")
STEP_FIELDS = (*INPUTS, *OTHERS)
"""What a workflow in place of a step may have beside its own options."""
KNOWN = frozenset((*(key for keys in TARGETS.values() for key in keys), *INPUTS, *OTHERS))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a workflow.

    Attributes:
        target: a name; or an instance (agent, workflow), a callable (function), or the table of an inline workflow.
        input: parameters of a tool, prompt of an agent, fields of a workflow; placeholders at any depth.
        timeout: seconds for one attempt; None: the workflow's default.
        retry_attempts: further runs after a failure.
        dependencies: ids or names of steps that must have succeeded before.
        compensate: the step that undoes this one when the workflow fails later.
        tools: tools that an agent step gives its agent.
    """

    name: str
    kind: StepKind
    target: Any
    input: Any = None
    id: str = field(default_factory=lambda: new_id("step"))
    timeout: float | None = None
    retry_attempts: int = 0
    dependencies: tuple[str, ...] = ()
    error_strategy: ErrorStrategy | None = None
    condition: Condition | None = None
    compensate: Step | None = None
    tools: tuple[str, ...] = ()

    @classmethod
    def read(cls, value: Any, default_name: str | None = None) -> Step:
        """A step from the table that a script writes.

        Raises:
            ValidationError: "Unknown step type: 'x'", no name, or nothing to call.
        """
        if isinstance(value, Step):
            return value
        if not isinstance(value, Mapping):
            named = f"step '{default_name}': " if default_name else ""
            raise ValidationError(f"{named}a step is a table, got {type(value).__name__}", field="step")
        given = {**value, **value["definition"]} if isinstance(value.get("definition"), Mapping) else value
        table = snake_keys(given)
        name = table.get("name") or default_name
        if not isinstance(name, str):
            raise ValidationError("a step needs a 'name'", field="name", hint="Its output is found under that name.")
        fields, wrong = {}, _unknown(table)
        for field_name, read in _READERS.items():
            try:
                fields[field_name] = read(name, table)
            except FOUND as error:
                wrong.append(error)
        if wrong:
            raise located(f"step '{name}'", wrong)
        kind, target = fields.pop("what")
        return cls(name, kind, target, **fields)

    @staticmethod
    def is_step(table: Mapping[str, Any]) -> bool:
        """Whether a table says what to call (as a plain value does not)."""
        table = snake_keys(table)
        words = {key for keys in TARGETS.values() for key in keys}
        return any(table.get(key) is not None for key in words) or any(key in table for key in INLINE)

    @property
    def target_name(self) -> str:
        """What messages and circuit breakers call the target."""
        if isinstance(self.target, str):
            return self.target
        if isinstance(self.target, Mapping):
            return str(self.target.get("name") or self.name)
        return str(getattr(self.target, "name", None) or self.name)

    @property
    def is_inline(self) -> bool:
        """Whether it is a workflow that is written in place of a step."""
        return self.kind == "workflow" and isinstance(self.target, Mapping)

    @property
    def portable(self) -> bool:
        """Whether the step is plain data that another process can run."""
        return isinstance(self.target, (str, Mapping)) and _is_plain(self.target) and _is_plain(self.input)

    def to_dict(self) -> dict[str, Any]:
        """The table that `read` takes. Functions and instances are left as they are."""
        data: dict[str, Any] = {"id": self.id, "name": self.name, "type": self.kind}
        data[TARGETS[self.kind][0]] = self.target
        optional = {
            "input": self.input,
            "timeout_ms": None if self.timeout is None else round(self.timeout * 1000),
            "retry_count": self.retry_attempts or None,
            "dependencies": list(self.dependencies) or None,
            "error_strategy": self.error_strategy.to_dict() if self.error_strategy else None,
            "condition": self.condition.to_dict() if self.condition else None,
            "compensate": self.compensate.to_dict() if self.compensate else None,
            "tools": list(self.tools) or None,
        }
        return data | {k: v for k, v in optional.items() if v is not None}


def _unknown(table: Mapping[str, Any]) -> list[LLMSpellError]:
    """An inline workflow's own options are checked when it is made."""
    if any(key in table for key in INLINE) and table.get("type") not in (*KINDS, *WORDS):
        return []
    try:
        check_known("", table, KNOWN, "field")
    except ValidationError as error:
        error.message = error.message.removeprefix(": ")
        return [error]
    return []


def read_steps(value: Any, prefix: str = "step") -> tuple[Step, ...]:
    """A list of steps, one step, or a table with `steps`; nameless ones are numbered.

    Raises:
        ValidationError: steps are wrong, or share a name or an id; it tells of all of them.
    """
    if isinstance(value, Mapping) and "steps" in value and "type" not in value:
        value = value["steps"]
    with all_problems("the list of steps"):
        steps = tuple(each(lambda item, number: Step.read(item, f"{prefix}_{number}"), as_list(value)))
        each(lambda name, _: _twice("are named", name), _repeated(step.name for step in steps))
        each(lambda id_, _: _twice("have the id", id_), _repeated(step.id for step in steps))
    return steps


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def _twice(how: str, value: str) -> None:
    raise ValidationError(f"two steps {how} '{value}'", field="steps", hint="Give each step its own.")


def _what(name: str, table: Mapping[str, Any]) -> tuple[StepKind, Any]:
    given = table.get("type") or table.get("step_type")
    word = WORDS.get(str(given), str(given)) if given else _guess(table)
    if word not in KINDS:
        if word and any(key in table for key in INLINE):
            return "workflow", {**table, "name": name, "type": word}
        raise ValidationError(
            f"Unknown step type: '{given or word}'",
            field="type",
            hint=f"Step '{name}' may be one of {', '.join(KINDS)}.",
        )
    target = next((table[key] for key in TARGETS[word] if table.get(key) is not None), None)
    if target is None or target == "":
        raise ValidationError(
            f"'{TARGETS[word][0]}' is missing",
            field=TARGETS[word][0],
            hint=f"A step of type {word} needs {TARGETS[word][0]} = ...; was it created?",
        )
    if word == "function" and not callable(target):
        raise ValidationError(f"'{TARGETS[word][0]}' is not a function", field=TARGETS[word][0])
    return word, target  # type: ignore[return-value]  # checked against KINDS


def _guess(table: Mapping[str, Any]) -> str:
    found = next((kind for kind, keys in TARGETS.items() if any(table.get(k) is not None for k in keys)), None)
    if found:
        return found
    return "sequential" if "steps" in table else "parallel" if "branches" in table or "agents" in table else ""


def _retries(_: str, table: Mapping[str, Any]) -> int:
    key = "retry_attempts" if table.get("retry_count") is None else "retry_count"
    return 0 if table.get(key) is None else whole(table[key], key)


def _dependencies(_: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    wanted = as_list(table.get("dependencies", table.get("depends_on")))
    if not all(isinstance(name, str) for name in wanted):
        raise ValidationError("'dependencies' are names or ids of steps", field="dependencies")
    return tuple(wanted)


def _strategy(name: str, table: Mapping[str, Any]) -> ErrorStrategy | None:
    given = table.get("error_strategy", table.get("on_error"))
    if given is None or any(key in table for key in INLINE):
        return None  # an inline workflow's strategy is that of its own steps
    return ErrorStrategy.read(given, name)


def _compensation(name: str, table: Mapping[str, Any]) -> Step | None:
    undo = table.get("compensate", table.get("rollback"))
    if undo is None:
        return None
    return Step.read({"execute": undo} if callable(undo) else undo, f"{name}_compensation")


_READERS: dict[str, Callable[[str, Mapping[str, Any]], Any]] = {
    "what": _what,
    "input": lambda _, table: next((table[k] for k in INPUTS if table.get(k) is not None), None),
    "id": lambda _, table: str(table.get("id") or new_id("step")),
    "timeout": lambda _, table: milliseconds(table),
    "retry_attempts": _retries,
    "dependencies": _dependencies,
    "error_strategy": _strategy,
    "condition": lambda _, table: None if table.get("condition") is None else Condition.read(table["condition"]),
    "compensate": _compensation,
    "tools": lambda _, table: tuple(str(getattr(tool, "name", tool)) for tool in as_list(table.get("tools"))),
}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (str, int, float, bool))
