"""The contract of a tool. A plugin is one class:

    class Parameters(BaseModel):
        city: str = Field(description="Name of the city.")

    class Weather(Tool[Parameters]):
        name = "weather"
        description = "Tells today's weather of a city."
        parameters = Parameters

        async def run(self, params: Parameters, ctx: ExecutionContext) -> dict[str, object]:
            answer = await ctx.http.get(f"https://weather.example/{params.city}")
            return {"temperature": answer.json()["celsius"]}

The core validates the arguments, calls `run`, times it and wraps what it returns; the field descriptions are read by
a model, so they are written for one.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar, final
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict

from llmspell_core.component import BaseAgent, HookPoints, stream_once
from llmspell_core.errors import LLMSpellError, ToolError, ValidationError
from llmspell_core.foreign import describe, is_its_own
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput, OutputMetadata, plain
from llmspell_core.parameters import ParameterDef, ToolSchema, model_schema, validated, without_superseded
from llmspell_core.purse import indented
from llmspell_core.returns import Returns

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext

__all__ = [
    "NoParameters",
    "ParameterDef",
    "Returns",
    "SecurityLevel",
    "SecurityRequirements",
    "Tool",
    "ToolResourceLimits",
    "ToolResult",
    "ToolSchema",
]


class SecurityLevel(IntEnum):
    """Safe < Restricted < Privileged; a grant allows every level at or below it."""

    SAFE = 0
    RESTRICTED = 1
    PRIVILEGED = 2

    def allows(self, required: SecurityLevel) -> bool:
        return self >= required

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> SecurityLevel:
        try:
            return cls[word.upper()]
        except KeyError:
            raise ValidationError(
                f"'{word}' is not a security level", field="security_level", hint="Use safe, restricted or privileged."
            ) from None


@dataclass(frozen=True, slots=True)
class SecurityRequirements:
    """What a tool needs to be allowed; shown to people before they allow it."""

    file_permissions: tuple[str, ...] = ()
    network_permissions: tuple[str, ...] = ()
    env_permissions: tuple[str, ...] = ()
    custom_requirements: Mapping[str, str] = field(default_factory=dict)


MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ToolResourceLimits:
    """What a tool of a security level should get along with, told to whoever asks; nothing is stopped for exceeding it.

    Bytes, milliseconds, bytes per second and operations per second; None is unlimited.
    """

    max_memory_bytes: int | None = 100 * MIB
    max_cpu_time_ms: int | None = 30_000
    max_network_bps: int | None = 10 * MIB
    max_file_ops_per_sec: int | None = 100

    @classmethod
    def for_level(cls, level: SecurityLevel) -> ToolResourceLimits:
        if level == SecurityLevel.SAFE:
            return cls(10 * MIB, 5_000, MIB, 10)
        return cls() if level == SecurityLevel.RESTRICTED else cls(None, None, None, None)


@dataclass(slots=True)
class ToolResult:
    """What a tool hands back when bare data is not enough.

    Args:
        result: the payload, plain data.
        operation: what was done; by default the `operation` parameter or the tool's name.
        text: the payload as plain text, for tools whose output is text (a file's content). Without it the text is the
            JSON of the envelope.
        text_is_json: `text` is the JSON of `result`, which scripts find under `data`, too.
        extra: further keys at the top level of the envelope.
        error: what went wrong when `success` is False: `{"message", "code"?, "details"?}` or a message.
    """

    result: Any = None
    operation: str | None = None
    success: bool = True
    message: str | None = None
    error: str | dict[str, Any] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    text: str | None = None
    text_is_json: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def failure(
        cls, message: str, /, *, operation: str | None = None, result: Any = None, **details: Any
    ) -> ToolResult:
        error: dict[str, Any] = {"message": message} | ({"details": details} if details else {})
        return cls(result=result, operation=operation, success=False, error=error)

    def envelope(self, operation: str) -> dict[str, Any]:
        """`operation`, `success`, then `message`, `result`, `error`, `metadata` where present."""
        data: dict[str, Any] = {"operation": self.operation or operation, "success": self.success}
        if self.message is not None:
            data["message"] = self.message
        if self.result is not None:
            data["result"] = plain(self.result)
        if self.error is not None:
            data["error"] = {"message": self.error} if isinstance(self.error, str) else plain(self.error)
        if self.metadata:
            data["metadata"] = plain(self.metadata)
        return data | plain(self.extra) if self.extra else data


class NoParameters(BaseModel):
    """For tools that take none."""

    model_config = ConfigDict(extra="allow")


class NoSettings(BaseModel):
    """The settings of a tool that has none."""


P = TypeVar("P", bound=BaseModel)


_places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _threads() -> asyncio.Semaphore:
    """As many places as the loop's executor has threads."""
    loop = asyncio.get_running_loop()
    found = _places.get(loop)
    if found is None:
        found = _places[loop] = asyncio.Semaphore(min(32, (os.cpu_count() or 1) + 4))
    return found


class Tool(BaseAgent, Generic[P]):
    """One thing a script, a model or a person can ask for.

    Class attributes:
        name: lower case with dashes; the entry point has the same name.
        description: one sentence for a model.
        parameters: a pydantic model; unknown keys of a call are an error.
        settings: a pydantic model of the table `[tools.<name>]`; what a tool does not declare there is no setting.
        category: filesystem, web, api, analysis, data, system, media, utility, or a word of your own.
        security_level: what a policy must grant before the tool runs.
        aliases: other names that find it.
        requires: import names of libraries that may be missing; checked before the first run.
        requires_extra: what to install when one of them is missing, e.g. `llmspell-tool-pdf[render]`.
        default_timeout: seconds, where it needs more than `tools.timeouts.default`; the configuration has the last word.
        returns: what each operation answers, by its name (`""` where there are none); the reference shows it.
        example: parameters that must succeed anywhere, offline; `llmspell tool test` runs them. None: nothing such exists.
    """

    component_type: ClassVar[Literal["tool"]] = "tool"
    template_parameters: ClassVar[tuple[str, ...]] = ()
    """Parameters that are texts of a template language of the tool's own: in the steps of a workflow their `{{x}}` stays
    as it is when the workflow does not know it, where elsewhere it is an error."""
    hook_points: ClassVar[HookPoints | None] = HookPoints("BeforeToolExecution", "AfterToolExecution", "ToolError")
    parameters: type[P]
    settings: ClassVar[type[BaseModel]] = NoSettings
    category: str = "utility"
    security_level: SecurityLevel = SecurityLevel.SAFE
    security_requirements: SecurityRequirements = SecurityRequirements()
    aliases: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    requires_extra: str | None = None
    returns: Mapping[str, Returns] = {}
    example: Mapping[str, Any] | None = None
    default_timeout: float | None = None
    _run_is_async: ClassVar[bool] = True
    _schema: ToolSchema | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._run_is_async = inspect.iscoroutinefunction(cls.run)
        if not (isinstance(cls.settings, type) and issubclass(cls.settings, BaseModel)):
            raise TypeError(f"{cls.__name__}.settings must be a pydantic model, not {type(cls.settings).__name__}")

    def run(self, params: P, ctx: ExecutionContext) -> Any:
        """The tool's work, `async def` or plain `def` (then it runs in a thread).

        Returns: plain data, or a `ToolResult`. Raises: any `LLMSpellError`; other exceptions become `ToolError`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define run")

    @property
    def schema(self) -> ToolSchema:
        if self._schema is None:
            self._schema = ToolSchema(self.name, self.description, model_schema(self.parameters))
        return self._schema

    def answers_failure(self, operation: str) -> bool:
        """Whether a failure of that operation is an answer with `success = false`, for which scripts look."""
        found = self.returns.get(operation)
        return found is not None and found.answers_failure

    @property
    def resource_limits(self) -> ToolResourceLimits:
        return ToolResourceLimits.for_level(self.security_level)

    def validate_parameters(self, params: Any) -> P:
        """`params` as the tool's parameter model. Raises: ValidationError naming the field."""
        return validated(self.name, self.parameters, params, hint=f"See: llmspell tool info {self.name} --show-schema")

    def hook_input(self, input: AgentInput) -> dict[str, Any]:
        arguments = _arguments(input)
        return {
            "tool_name": self.name,
            "category": self.category,
            "security_level": str(self.security_level),
            "parameters": dict(arguments) if isinstance(arguments, Mapping) else arguments,
        }

    def input_from_hook(self, data: dict[str, Any], input: AgentInput) -> AgentInput:
        given, before = data.get("parameters", {}), _arguments(input)
        if isinstance(given, Mapping) and isinstance(before, Mapping):
            given = without_superseded(self.parameters, before, given)
        return AgentInput(text=input.text, parameters={"parameters": given})

    @final
    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        arguments = _arguments(input)
        params = self.validate_parameters(arguments)
        await self._tool_validation_hook(arguments, context)
        self.check_requirements()
        child = context.create_child() if context.tool_name != self.name else context
        child.tool_name = self.name
        started = time.perf_counter()
        result = await self._call(params, child)
        made = result if isinstance(result, ToolResult) else ToolResult(result)
        try:
            return self._output(made, str(getattr(params, "operation", None) or self.name), started)
        except Exception as error:
            raise self._no_data(error) from error

    async def _tool_validation_hook(self, arguments: dict[str, Any], context: ExecutionContext) -> None:
        if context.desk is not None and context.desk.hooks.any_active("ToolValidation"):
            # a copy: what is checked here stays what was asked about
            data = {"tool_name": self.name, "params": plain(arguments), "valid": True, "errors": []}
            await context.desk.hooks.run(context.desk.hooks.context("ToolValidation", self, context, data))

    async def _call(self, params: P, context: ExecutionContext) -> Any:
        try:
            if self._run_is_async:
                return await self.run(params, context)
            async with _threads():  # until the result is taken: else threads run ahead and fill the memory with results
                return await asyncio.to_thread(self.run, params, context)
        except LLMSpellError:
            raise
        except BaseException as error:
            if not is_its_own(error):
                raise
            if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
                raise self._half_a_character() from None
            raise ToolError(
                describe(error),
                tool_name=self.name,
                hint="The tool raised this itself; report it to its author if it looks like a defect.",
            ) from error

    def _no_data(self, error: Exception) -> ToolError:
        """The tool returned what cannot be handed over: a NaN, a list that contains itself, an object without a text."""
        problem = (
            "it is nested too deeply, or contains itself" if isinstance(error, RecursionError) else describe(error)
        )
        return ToolError(
            f"{self.name}: its result is no data: {problem}",
            tool_name=self.name,
            hint="What a tool returns must be plain: texts, numbers, lists and tables. Report it to the tool's author.",
        )

    def _half_a_character(self) -> ValidationError:
        """JSON can say "\\ud800" alone, which no encoding can write."""
        return ValidationError(
            f"{self.name}: a text in the parameters holds half of a surrogate pair",
            field="parameters",
            hint="Pass whole Unicode characters.",
        )

    def _output(self, made: ToolResult, operation: str, started: float) -> AgentOutput:
        elapsed = round((time.perf_counter() - started) * 1000)
        envelope = made.envelope(operation)
        metadata = OutputMetadata(
            execution_time_ms=elapsed, extra={"operation": envelope["operation"], "response": envelope}
        )
        text = made.text if made.text is not None else indented(envelope)
        if made.text is not None:
            metadata.extra["output_style"] = "text"
            if made.text_is_json:
                metadata.extra["text_is_json"] = True
        return AgentOutput(text=text, metadata=metadata)

    @classmethod
    def missing_requirements(cls) -> list[str]:
        """Import names in `requires` that are not installed."""
        from importlib.util import find_spec

        return [name for name in cls.requires if find_spec(name) is None]

    def check_requirements(self) -> None:
        """Raises: ToolError naming the missing library and how to install it."""
        if not self.requires:
            return
        missing = self.missing_requirements()
        if missing:
            raise ToolError(
                f"{self.name} needs {', '.join(missing)}, which is not installed",
                tool_name=self.name,
                hint=f"pip install {self.requires_extra or ' '.join(missing)}",
            )

    def stream_execute(self, input: AgentInput, context: ExecutionContext) -> AsyncIterator[AgentChunk]:
        return stream_once(self, input, context)


def _arguments(input: AgentInput) -> dict[str, Any]:
    """Tools read `parameters["parameters"]`; a bare parameter map is accepted too."""
    inner = input.parameters.get("parameters")
    return dict(inner) if isinstance(inner, Mapping) else input.parameters if inner is None else inner
