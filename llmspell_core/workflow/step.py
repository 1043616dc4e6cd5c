"""A step as data: what to call, with what, for how long, after which others, and what to do when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llmspell_core.errors import ValidationError
from llmspell_core.messages import as_list, new_id
from llmspell_core.workflow.condition import Condition
from llmspell_core.workflow.spelling import snake_keys
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
INLINE = ("steps", "branches", "agents", "body", "targets", "map_step")


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
            raise ValidationError(f"a step is a table, got {type(value).__name__}", field="step")
        given = {**value, **value["definition"]} if isinstance(value.get("definition"), Mapping) else value
        table = snake_keys(given)
        name = table.get("name") or default_name
        if not isinstance(name, str):
            raise ValidationError("a step needs a 'name'", field="name", hint="Its output is found under that name.")
        kind, target = _what(name, table)
        return cls(
            name,
            kind,
            target,
            next((table[k] for k in INPUTS if table.get(k) is not None), None),
            id=str(table.get("id") or new_id("step")),
            timeout=_seconds(name, table),
            retry_attempts=int(table.get("retry_count") or table.get("retry_attempts") or 0),
            dependencies=tuple(str(d) for d in as_list(table.get("dependencies", table.get("depends_on")))),
            **_parts(name, table),
        )

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
        return str(getattr(self.target, "name", None) or getattr(self.target, "__name__", None) or self.name)

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


def read_steps(value: Any, prefix: str = "step") -> tuple[Step, ...]:
    """A list of steps, one step, or a table with `steps`; nameless ones are numbered.

    Raises:
        ValidationError: a step is wrong, or two have one name.
    """
    if isinstance(value, Mapping) and not Step.is_step(value) and "steps" not in value and value != {}:
        Step.read(value)  # says what is wrong with it
    if isinstance(value, Mapping) and "steps" in value and "type" not in value:
        value = value["steps"]
    steps = tuple(Step.read(item, f"{prefix}_{i}") for i, item in enumerate(as_list(value), 1))
    names = [step.name for step in steps]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValidationError(f"two steps are named '{twice}'", field="steps", hint="Give each step its own name.")
    return steps


def _what(name: str, table: Mapping[str, Any]) -> tuple[StepKind, Any]:
    given = table.get("type") or table.get("step_type")
    word = WORDS.get(str(given), str(given)) if given else _guess(table)
    if word not in KINDS:
        if word and any(key in table for key in INLINE):
            return "workflow", {**table, "type": word}
        raise ValidationError(
            f"Unknown step type: '{given or word}'",
            field="type",
            hint=f"Step '{name}' may be one of {', '.join(KINDS)}.",
        )
    target = next((table[key] for key in TARGETS[word] if table.get(key) is not None), None)
    if target is None or target == "":
        raise ValidationError(
            f"step '{name}': '{TARGETS[word][0]}' is missing",
            field=TARGETS[word][0],
            hint=f"A step of type {word} needs {TARGETS[word][0]} = ...; was it created?",
        )
    return word, target  # type: ignore[return-value]  # checked against KINDS


def _guess(table: Mapping[str, Any]) -> str:
    found = next((kind for kind, keys in TARGETS.items() if any(table.get(k) is not None for k in keys)), None)
    if found:
        return found
    return "sequential" if "steps" in table else "parallel" if "branches" in table or "agents" in table else ""


def _seconds(name: str, table: Mapping[str, Any]) -> float | None:
    value = table.get("timeout_ms")
    seconds = value / 1000 if isinstance(value, (int, float)) else table.get("timeout")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0):
        raise ValidationError(f"step '{name}': the timeout must be more than 0", field="timeout_ms")
    return None if seconds is None else float(seconds)


def _parts(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    strategy, condition = table.get("error_strategy", table.get("on_error")), table.get("condition")
    if any(key in table for key in INLINE):
        strategy = None  # an inline workflow's strategy is that of its own steps
    undo = table.get("compensate", table.get("rollback"))
    if isinstance(undo, Callable):  # type: ignore[arg-type]
        undo = {"execute": undo}
    return {
        "error_strategy": None if strategy is None else ErrorStrategy.read(strategy, name),
        "condition": None if condition is None else Condition.read(condition),
        "compensate": None if undo is None else Step.read(undo, f"{name}_compensation"),
        "tools": tuple(str(getattr(tool, "name", tool)) for tool in as_list(table.get("tools"))),
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (str, int, float, bool))
