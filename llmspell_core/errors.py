"""Every error that llmspell raises on purpose.

    LLMSpellError
    ├── ComponentError            a component was used in a state that does not allow it
    ├── ConfigurationError        a setting is missing, unknown or wrong
    ├── ValidationError           somebody's input is wrong; `field` names it
    ├── NotFoundError             nothing of that name; carries near matches
    ├── PluginError               a plugin cannot be imported, breaks its contract or clashes
    │   └── MissingDependencyError    it needs a package that is not installed
    ├── ProviderError             a model provider failed; retriable unless a subclass says no
    │   ├── AuthenticationError       no key, or a key that was refused
    │   ├── QuotaExceededError        the account has no credit left
    │   ├── OverloadedError           the provider asks to come back later
    │   ├── ContextTooLongError       the conversation does not fit the model
    │   ├── ContentRefusedError       the provider declined to answer
    │   └── ModelNotFoundError        the provider does not have that model
    ├── ToolError                 a tool failed while it ran
    ├── WorkflowError             a workflow step failed
    ├── ScriptError               a script failed; carries language, file, line, source line
    ├── StorageError              state or artifacts could not be read or written
    ├── SecurityError             the policy says no
    ├── NetworkError              a host could not be reached
    │   └── RateLimitError            too many requests; `retry_after` in seconds
    ├── ResourceError             something ran out for the moment
    ├── ResourceLimitError        a declared limit was reached
    ├── TimeoutError              a deadline passed
    ├── ApprovalRequiredError     an agent waits for a person's consent; `record` names the saved run
    ├── CancelledByHookError      a hook cancelled the operation
    └── InternalError             a defect of llmspell itself

What happened is `message`, what to do next is `hint`. `str(error)` is `"<Kind> error: <message>"`. `type` is the name above,
`code` the same in short (`RateLimitError`: `rate_limit`), `retryable` whether another attempt may help.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

__all__ = [
    "ApprovalRequiredError",
    "AuthenticationError",
    "CancelledByHookError",
    "ComponentError",
    "ConfigurationError",
    "ContentRefusedError",
    "ContextTooLongError",
    "InternalError",
    "LLMSpellError",
    "MissingDependencyError",
    "ModelNotFoundError",
    "NetworkError",
    "NotFoundError",
    "OverloadedError",
    "PluginError",
    "ProviderError",
    "QuotaExceededError",
    "RateLimitError",
    "ResourceError",
    "ResourceLimitError",
    "ScriptError",
    "SecurityError",
    "StorageError",
    "TimeoutError",
    "ToolError",
    "ValidationError",
    "WorkflowError",
    "error_from_dict",
    "failure_of",
]

Category = Literal["Logic", "Configuration", "Network", "External", "Internal", "Security", "Resource"]
Severity = Literal["Info", "Warning", "Error", "Critical", "Fatal"]


def _code(name: str) -> str:
    """`RateLimitError` -> `rate_limit`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removesuffix("Error") or name).lower()


class LLMSpellError(Exception):
    """Root of the tree.

    Args:
        message: what failed, where and why, in one sentence.
        hint: what to do next; shown on its own line.
        details: keyword fields of the subclass (`provider`, `line`, ...), readable as attributes.
    """

    kind: ClassVar[str] = "Error"
    code: str = "error"
    category_: ClassVar[Category] = "Internal"
    severity_: ClassVar[Severity] = "Error"
    retryable: ClassVar[bool] = False
    default_delay_ms: ClassVar[int] = 1000
    exit_code: ClassVar[int] = 1
    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.code = _code(cls.__name__)

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        unknown = set(details) - set(self.fields)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        message = message or f"an error without a message ({type(self).__name__})"
        super().__init__(message)
        self.message = message
        self.hint = hint
        for name in self.fields:
            setattr(self, name, details.get(name))

    def __str__(self) -> str:
        return f"{self.kind} error: {self.message}"

    def category(self) -> Category:
        return self.category_

    def severity(self) -> Severity:
        return self.severity_

    def is_retryable(self) -> bool:
        return self.retryable

    def retry_delay_ms(self) -> int | None:
        """Milliseconds to wait before another attempt; None when there should be none."""
        return self.default_delay_ms if self.is_retryable() else None

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data: `kind`, `type`, `code`, `message`, `retryable`, `hint` and the subclass's fields."""
        data: dict[str, Any] = {"kind": self.kind, "type": type(self).__name__, "code": self.code}
        data |= {"message": self.message, "retryable": self.is_retryable()}
        if self.hint:
            data["hint"] = self.hint
        for name in self.fields:
            value = getattr(self, name)
            if value is not None:
                data[name] = value
        return data


class ComponentError(LLMSpellError):
    kind = "Component"
    category_ = "Logic"


class ConfigurationError(LLMSpellError):
    kind = "Configuration"
    category_ = "Configuration"
    fields: ClassVar[tuple[str, ...]] = ("setting", "path")
    setting: str | None
    path: str | None


class ValidationError(LLMSpellError):
    """`field` names what is wrong; `problems` are the single messages when there is more than one."""

    kind = "Validation"
    category_ = "Logic"
    severity_ = "Warning"
    fields: ClassVar[tuple[str, ...]] = ("field", "problems")
    field: str | None
    problems: list[str] | None


class UsageError(ValidationError):
    """The command line itself is wrong."""

    exit_code = 2


class NotFoundError(LLMSpellError):
    kind = "Not found"
    category_ = "Logic"
    fields: ClassVar[tuple[str, ...]] = ("what", "name", "near")
    what: str | None
    name: str | None
    near: list[str] | None


class PluginError(LLMSpellError):
    kind = "Plugin"
    category_ = "External"
    fields: ClassVar[tuple[str, ...]] = ("plugin", "distribution", "version")
    plugin: str | None
    distribution: str | None
    version: str | None


class MissingDependencyError(PluginError):
    fields: ClassVar[tuple[str, ...]] = ("plugin", "distribution", "version", "package")
    package: str | None


class ProviderError(LLMSpellError):
    kind = "Provider"
    category_ = "Network"
    retryable = True
    default_delay_ms = 2000
    fields: ClassVar[tuple[str, ...]] = ("provider", "model", "status")
    provider: str | None
    model: str | None
    status: int | None


class AuthenticationError(ProviderError):
    retryable = False


class QuotaExceededError(ProviderError):
    retryable = False


class OverloadedError(ProviderError):
    fields: ClassVar[tuple[str, ...]] = ("provider", "model", "status", "retry_after")
    retry_after: float | None

    def retry_delay_ms(self) -> int | None:
        return _seconds_to_ms(self.retry_after) or self.default_delay_ms


class ContextTooLongError(ProviderError):
    retryable = False


class ContentRefusedError(ProviderError):
    retryable = False


class ModelNotFoundError(ProviderError):
    retryable = False


class ToolError(LLMSpellError):
    """A tool failed; `envelope` is its whole answer where it gave one, with `success` false."""

    kind = "Tool"
    category_ = "External"
    fields: ClassVar[tuple[str, ...]] = ("tool_name", "envelope")
    tool_name: str | None
    envelope: dict[str, Any] | None


def failure_of(envelope: dict[str, Any], name: str) -> ToolError:
    """The error for a tool's answer that says `success = false`."""
    error = envelope.get("error")
    facts: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    details = facts.get("details")
    return ToolError(
        str(facts.get("message") or envelope.get("message") or f"tool '{name}' reported a failure"),
        tool_name=name,
        hint=details.get("hint") if isinstance(details, dict) else None,
        envelope=envelope,
    )


class WorkflowError(LLMSpellError):
    kind = "Workflow"
    category_ = "External"
    fields: ClassVar[tuple[str, ...]] = ("step", "workflow")
    step: str | None
    workflow: str | None


class ScriptError(LLMSpellError):
    """A script failed: `phase` is syntax, runtime, memory, crash, deadline or exit.

    `code` is that of what the script has thrown, if that had one. `output` is what was printed before.
    """

    kind = "Script"
    category_ = "External"
    fields: ClassVar[tuple[str, ...]] = ("language", "file", "line", "source_line", "traceback", "phase")
    language: str | None
    file: str | None
    line: int | None
    source_line: str | None
    traceback: str | None
    phase: str | None
    output: str = ""


class StorageError(LLMSpellError):
    kind = "Storage"
    category_ = "Internal"
    default_delay_ms = 100
    fields: ClassVar[tuple[str, ...]] = ("operation",)
    operation: str | None

    def is_retryable(self) -> bool:
        return self.operation in {"read", "write", "lock"}


class SecurityError(LLMSpellError):
    kind = "Security"
    category_ = "Security"
    severity_ = "Critical"
    fields: ClassVar[tuple[str, ...]] = ("violation_type",)
    violation_type: str | None

    def __str__(self) -> str:
        return f"Security violation: {self.message}"


class NetworkError(LLMSpellError):
    kind = "Network"
    category_ = "Network"
    retryable = True


class RateLimitError(NetworkError):
    kind = "Rate limit"
    fields: ClassVar[tuple[str, ...]] = ("retry_after", "provider")
    retry_after: float | None
    provider: str | None

    def retry_delay_ms(self) -> int | None:
        return _seconds_to_ms(self.retry_after) or self.default_delay_ms


class ResourceError(LLMSpellError):
    kind = "Resource"
    category_ = "Resource"
    retryable = True
    default_delay_ms = 500
    fields: ClassVar[tuple[str, ...]] = ("resource_type",)
    resource_type: str | None


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value or "")


class ResourceLimitError(LLMSpellError):
    kind = "Resource limit"
    category_ = "Resource"
    fields: ClassVar[tuple[str, ...]] = ("resource", "limit", "used")
    resource: str | None
    limit: Any
    used: Any

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        """The message names the limit, also where only the message is shown."""
        super().__init__(message, hint=hint, **details)
        limit, used = _number(self.limit), _number(self.used)
        if limit and str(self.limit) not in self.message and limit not in self.message:
            now = f"{used}, " if used and self.used else ""
            self.message = f"{self.message} ({self.resource}: {now}at most {limit})"

    def __str__(self) -> str:
        return f"Resource limit error: {self.resource} limit {self.limit} reached (used {self.used}): {self.message}"


class TimeoutError(LLMSpellError):
    kind = "Timeout"
    category_ = "Resource"
    severity_ = "Warning"
    retryable = True
    default_delay_ms = 5000
    fields: ClassVar[tuple[str, ...]] = ("duration_ms",)
    duration_ms: int | None

    def retry_delay_ms(self) -> int | None:
        return 2 * self.duration_ms if self.duration_ms else self.default_delay_ms


class CancelledByHookError(LLMSpellError):
    kind = "Cancelled"
    category_ = "Logic"
    fields: ClassVar[tuple[str, ...]] = ("hook_point",)
    hook_point: str | None


class ApprovalRequiredError(LLMSpellError):
    """A run stopped because a tool call needs consent and nobody could be asked.

    `record` is the id of the saved run, `tools` the names of the tools that wait.
    """

    kind = "Approval required"
    category_ = "Security"
    severity_ = "Warning"
    fields: ClassVar[tuple[str, ...]] = ("record", "agent", "tools")
    record: str | None
    agent: str | None
    tools: list[str] | None


class InternalError(LLMSpellError):
    kind = "Internal"
    severity_ = "Fatal"


def _seconds_to_ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _tree(root: type[LLMSpellError]) -> dict[str, type[LLMSpellError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def error_from_dict(data: dict[str, Any]) -> LLMSpellError:
    """Rebuild what `to_dict` wrote; an unknown type becomes a plain `LLMSpellError`."""
    cls = _tree(LLMSpellError).get(str(data.get("type")), LLMSpellError)
    details = {name: data[name] for name in cls.fields if name in data}
    return cls(str(data.get("message", "unknown error")), hint=data.get("hint"), **details)
