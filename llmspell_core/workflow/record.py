"""What a workflow is given and what comes out of it, as records that survive JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llmspell_core.errors import LLMSpellError, ValidationError
from llmspell_core.messages import AgentInput, Media, Record, as_list, new_id, plain
from llmspell_core.names import check_known, nearest
from llmspell_core.workflow.options import flag, milliseconds, number, snake_keys, whole
from llmspell_core.workflow.strategy import CONTINUE, FAIL_FAST, ErrorStrategy

__all__ = ["Definition", "StepResult", "WorkflowConfig", "WorkflowResult", "WorkflowStatus", "workflow_input"]

WorkflowStatus = Literal["pending", "running", "completed", "failed", "cancelled", "partially_completed", "paused"]
TEXT_KEYS = ("text", "input", "prompt", "message", "content")


@dataclass(frozen=True, slots=True)
class WorkflowConfig(Record):
    """Limits and error handling. Times in seconds, None: unlimited."""

    max_execution_time: float | None = 300
    default_step_timeout: float | None = 30
    max_retry_attempts: int = 3
    retry_delay_ms: float = 1000
    exponential_backoff: bool = True
    continue_on_error: bool = False
    default_error_strategy: ErrorStrategy = FAIL_FAST
    retry_only_retryable: bool = False

    @classmethod
    def fast(cls) -> WorkflowConfig:
        return cls(60, 10, 1, 500, exponential_backoff=False)

    @classmethod
    def robust(cls) -> WorkflowConfig:
        strategy = ErrorStrategy("retry", 5, 2000)
        return cls(1800, 120, 5, 2000, continue_on_error=True, default_error_strategy=strategy)

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> WorkflowConfig:
        """From a workflow's table: `config` (a word or a table), `timeout_ms`, `error_strategy`, `max_retries`.

        Raises: ValidationError.
        """
        given = table.get("config")
        if isinstance(given, WorkflowConfig):
            base = given
        elif isinstance(given, str):
            base = _preset(given)
        elif given is None or isinstance(given, Mapping):
            base = cls.from_dict(given or {})
        else:
            raise ValidationError("'config' is a word or a table of settings", field="config")
        changes = _config_changes(table, base)
        return cls(**{name: changes.get(name, getattr(base, name)) for name in cls.__slots__})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowConfig:
        given = snake_keys(data)
        check_known("config", given, _SETTINGS, "setting")
        return cls(**{name: read(given[name], name) for name, read in _SETTINGS.items() if name in given})

    @property
    def strategy(self) -> ErrorStrategy:
        """What holds for steps that say nothing."""
        if not self.continue_on_error:
            return self.default_error_strategy
        if self.default_error_strategy.kind == "fail_fast":
            return CONTINUE
        return replace(self.default_error_strategy, tolerate=True)


def _preset(word: str) -> WorkflowConfig:
    presets = {"default": WorkflowConfig, "fast": WorkflowConfig.fast, "robust": WorkflowConfig.robust}
    if word not in presets:
        raise ValidationError(
            f"Unknown config: {word}", field="config", hint="Use fast, robust, or a table of settings."
        )
    return presets[word]()


def _limit(value: Any, name: str) -> float | None:
    return None if value is None else number(value, name, above=True)


_SETTINGS: dict[str, Callable[[Any, str], Any]] = {
    "max_execution_time": _limit,
    "default_step_timeout": _limit,
    "max_retry_attempts": whole,
    "retry_delay_ms": number,
    "exponential_backoff": flag,
    "continue_on_error": flag,
    "default_error_strategy": lambda value, _: ErrorStrategy.read(value),
    "retry_only_retryable": flag,
}


def _config_changes(table: Mapping[str, Any], base: WorkflowConfig) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    limit = milliseconds(table)
    if limit is not None:
        changes["max_execution_time"] = limit
    strategy = table.get("error_strategy", table.get("on_error"))
    if strategy is not None:
        changes["default_error_strategy"] = ErrorStrategy.read(strategy, "workflow")
    retries = 0 if table.get("max_retries") is None else whole(table["max_retries"], "max_retries")
    if retries:
        changes["default_error_strategy"] = ErrorStrategy("retry", retries + 1, base.retry_delay_ms)
    return changes


COMMON = (
    *("type", "workflow_type", "id", "name", "description", "config", "timeout", "timeout_ms"),
    *("error_strategy", "on_error", "max_retries"),
)
"""What every type understands."""


@dataclass(slots=True)
class Definition:
    """A workflow as it was written: what all types have in common, and in `options` the rest.

    An option that a type never asked for while it was made is one that it does not have: see `check`.
    """

    type: str
    name: str
    description: str = ""
    config: WorkflowConfig = field(default_factory=WorkflowConfig)
    options: dict[str, Any] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=lambda: set(COMMON), init=False, repr=False, compare=False)

    @classmethod
    def read(cls, type_: str, table: Mapping[str, Any] | list[Any], also: Iterable[str] = ()) -> Definition:
        """From a table; a bare list is taken for its steps. `also`: options that somebody else reads."""
        given = snake_keys(table) if isinstance(table, Mapping) else {"steps": as_list(table)}
        name = given.get("name") or new_id("workflow")
        if not isinstance(name, str):
            raise ValidationError("a workflow's name is a string", field="name")
        made = cls(type_, name, str(given.get("description") or ""), WorkflowConfig.read(given), given)
        made._asked.update(also)
        return made

    def option(self, *names: str, default: Any = None) -> Any:
        """The first of these options that is set."""
        self._asked.update(names)
        return next((self.options[n] for n in names if self.options.get(n) is not None), default)

    def number(self, *names: str, default: int, least: int = 1) -> int:
        """A whole number. Raises: ValidationError naming the option."""
        return whole(self.option(*names, default=default), names[0], least=least)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false. Raises: ValidationError naming the option."""
        return flag(self.option(name, default=default), name)

    def beside(self, table: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """These options, with those of an inner table laid over them. Raises: ValidationError for others in the table."""
        self._asked.update(names)
        given = snake_keys(table)
        check_known(self.type, given, names)
        return {name: self.options[name] for name in names if name in self.options} | given

    def check(self, *more: str, whole: bool = True) -> None:
        """Every option was asked for.

        Args:
            more: options that are read later.
            whole: False when the type could not be made, and perhaps would have asked for more: then only what looks
                like another option is wrong.

        Raises:
            ValidationError: names the unknown options.
        """
        known = self._asked.union(more)
        given = self.options if whole else {name: 0 for name in self.options if name in known or nearest(name, known)}
        check_known(f"workflow '{self.name}'", given, known)


@dataclass(slots=True)
class StepResult(Record):
    """How one step went. `details` is all that is known of the output (a tool's envelope, a nested workflow's result)."""

    step_id: str
    step_name: str
    success: bool = False
    output: Any = None
    error: str | None = None
    duration_ms: float = 0.0
    retry_count: int = 0
    step_type: str = ""
    target: str = ""
    skipped: bool = False
    tolerated: bool = False
    fallback_used: bool = False
    error_type: str | None = None
    details: Any = None
    exception: LLMSpellError | None = field(default=None, repr=False, compare=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.duration_ms / 1000

    def to_dict(self) -> dict[str, Any]:
        data = {name: plain(getattr(self, name)) for name in self.__slots__ if name != "exception"}
        return data | {"duration": self.duration}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepResult:
        known = {k: v for k, v in data.items() if k in cls.__slots__ and k != "exception"}
        return cls(**known)

    @property
    def stops(self) -> bool:
        """Whether the steps after it must not run."""
        return not (self.success or self.skipped or self.tolerated)


@dataclass(slots=True)
class WorkflowResult(Record):
    """How a run went. Outputs live in the state under `state_keys`; `metadata` holds them too, for the caller at hand."""

    execution_id: str
    workflow_type: str
    workflow_name: str
    success: bool = False
    status: WorkflowStatus = "pending"
    summary: str = ""
    state_keys: list[str] = field(default_factory=list)
    steps_executed: int = 0
    steps_failed: int = 0
    steps_skipped: int = 0
    duration: float = 0.0
    error: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def workflow_input(value: Any) -> AgentInput:
    """An input for a workflow: every field of a table stays available to placeholders.

    `text` (or `input`, `prompt`, ...) becomes the text; a bare string is `text`. Raises: ValidationError for anything
    that is neither an `AgentInput`, nor a mapping, a string or nothing.
    """
    if isinstance(value, AgentInput):
        return value
    if value is None or value == []:
        return AgentInput()
    if isinstance(value, str):
        return AgentInput(text=value)
    if not isinstance(value, Mapping):
        raise ValidationError(f"a workflow's input is a table, got {type(value).__name__}", field="input")
    text = next((value[k] for k in TEXT_KEYS if isinstance(value.get(k), str)), "")
    given = value.get("parameters")
    fields = {**(given if isinstance(given, Mapping) else {}), **{k: v for k, v in value.items() if k != "media"}}
    media = [Media.from_dict(m) for m in value.get("media") or () if isinstance(m, Mapping) and "data" in m]
    return AgentInput(text=text, media=media, parameters=fields)
