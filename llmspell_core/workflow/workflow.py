"""A workflow: a component that runs steps. And the contract of a workflow type, which decides how they are arranged.

A type is one class in the entry-point group `llmspell.workflows`:

    class Backwards(WorkflowType):
        name = "backwards"
        description = "Runs its steps from the last to the first."

        def __init__(self, definition):
            super().__init__(definition)
            self.steps = read_steps(definition.option("steps"))

        def all_steps(self):
            return self.steps

        async def run(self, run):
            done = await run.sequence(tuple(reversed(self.steps)))
            if done.stopped:
                raise run.failure(done.stopped)
            return Outcome(output=done.output, extra={"total_steps": len(self.steps)})

    runtime.workflows.make("backwards", {"name": "w", "steps": [...]})     Workflow.create({type = "backwards", ...})

An instance belongs to one workflow and is used by any number of runs at once: what changes belongs into `run`.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llmspell_core.component import BaseAgent, HookPoints
from llmspell_core.errors import ComponentError, LLMSpellError, TimeoutError, WorkflowError
from llmspell_core.messages import AgentInput, AgentOutput, OutputMetadata, new_id, plain
from llmspell_core.workflow.analysis import analyse, error_type
from llmspell_core.workflow.order import in_order
from llmspell_core.workflow.record import Definition, StepResult, WorkflowConfig, WorkflowResult, WorkflowStatus
from llmspell_core.workflow.run import WorkflowRun
from llmspell_core.workflow.step import Step

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext

__all__ = ["Outcome", "Workflow", "WorkflowType"]

log = logging.getLogger("llmspell.workflow")
MAX_DEPTH = 10
CHAIN = "workflow_chain"
OUTER = "workflow_outer"


@dataclass(slots=True)
class Outcome:
    """What a type's `run` returns.

    Attributes:
        output: the workflow's result; usually that of its last step.
        extra: facts for `metadata.extra` of the result (counts, which branch was taken, ...); plain data.
        success: whether everything that had to succeed did.
    """

    output: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    success: bool | None = None


class WorkflowType(ABC):
    """How the steps of a workflow are arranged.

    Class attributes:
        name: that of the entry point, and the `type` in scripts.
        description, features: shown by `Workflow.list()`.
        steps_option: the option that `add_step` appends to.

    Raises (from `__init__`): ValidationError when the definition's options make no sense.
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    features: ClassVar[tuple[str, ...]] = ()
    steps_option: ClassVar[str] = "steps"

    def __init__(self, definition: Definition) -> None:
        self.definition = definition

    @abstractmethod
    def all_steps(self) -> Iterable[Step]:
        """Every step that may run, in the order of the text."""

    @abstractmethod
    async def run(self, run: WorkflowRun) -> Outcome:
        """One execution. Raises: `run.failure(result)` for a step that ends it, or another LLMSpellError."""

    def plan(self) -> list[str]:
        """The names of the steps in the order in which they would run. Raises: WorkflowError for wrong dependencies."""
        return [step.name for step in in_order(tuple(self.all_steps()))]


@dataclass(slots=True)
class Totals:
    executions: int = 0
    successful: int = 0
    duration_ms: float = 0.0
    last: float | None = None


class Workflow(BaseAgent):
    """A workflow of some type. Made by `runtime.workflows.make`; executed by `runtime.run_workflow`."""

    component_type: ClassVar[Literal["workflow"]] = "workflow"
    hook_points: ClassVar[HookPoints | None] = HookPoints(
        "BeforeWorkflowStart", "AfterWorkflowComplete", "WorkflowError"
    )

    def __init__(self, definition: Definition, kind: type[WorkflowType]) -> None:
        self.definition = definition
        self._kind = kind
        self._made = kind(definition)
        self.name = definition.name
        self.description = definition.description or kind.description
        self.id = f"workflow_{new_id()}"
        self.created_at = time.time()
        self.shared: dict[str, Any] = {}
        self.last: WorkflowRun | None = None
        self.last_result: WorkflowResult | None = None
        self.totals = Totals()
        self.default_error_handler: Callable[..., Any] | None = None
        self._listeners: dict[str, list[Callable[..., Any]]] = {}
        self._running = 0

    @property
    def type(self) -> str:
        return self._kind.name

    @property
    def config(self) -> WorkflowConfig:
        return self.definition.config

    @property
    def status(self) -> WorkflowStatus:
        if self._running:
            return "running"
        return self.last_result.status if self.last_result else "pending"

    # -- its steps ----------------------------------------------------------------------------------------------------

    def get_steps(self) -> list[Step]:
        return list(self._made.all_steps())

    def add_step(self, step: Step | Mapping[str, Any]) -> None:
        """Append a step; runs that are under way keep the old ones. Raises: ValidationError."""
        option = self._kind.steps_option
        present = self.definition.options.get(option)
        self._rebuild(option, [*(present if isinstance(present, list) else []), step])

    def remove_step(self, name: str) -> bool:
        """Drop the step of that name or id; whether there was one."""
        option = self._kind.steps_option
        present = self.definition.options.get(option)
        read = [(item, Step.read(item, "")) for item in (present if isinstance(present, list) else [])]
        left = [item for item, step in read if name not in {step.name, step.id}]
        if len(left) == len(read):
            return False
        self._rebuild(option, left)
        return True

    def _rebuild(self, option: str, steps: list[Any]) -> None:
        old = self.definition
        made = Definition(old.type, old.name, old.description, old.config, {**old.options, option: steps})
        self._made = self._kind(made)
        self.definition = made

    def validate(self) -> list[str]:
        """What is wrong with it: dependencies and names. An empty list: nothing."""
        problems = []
        steps = self.get_steps()
        if not steps:
            problems.append("it has no steps")
        try:
            self._made.plan()
        except LLMSpellError as error:
            problems.append(error.message)
        return problems

    def plan_execution(self) -> list[str]:
        return self._made.plan()

    def get_results(self) -> list[StepResult]:
        """Of the last execution, in the order in which steps ended."""
        return list(self.last.history) if self.last else []

    def get_step_result(self, name: str) -> StepResult | None:
        return self.last.results.get(name) if self.last else None

    def reset(self) -> None:
        """Forget executions and shared data."""
        self.last = self.last_result = None
        self.shared.clear()
        self.totals = Totals()

    # -- listeners ----------------------------------------------------------------------------------------------------

    def on(self, event: str, listener: Callable[..., Any]) -> Callable[[], None]:
        """Call `listener(data)` at `before_start`, `after_complete`, `on_error`, `before_step`, `after_step`,
        `on_step_error`, or any phase (`loop_iteration_start`, ...) or name of your own. Returns what ends it.

        A listener may return `{continue_execution = false, message}` to stop the run, `{state_updates = {...}}` to change
        shared data, and at `on_step_error` the word `skip`. Its errors are logged.
        """
        self._listeners.setdefault(event, []).append(listener)
        return lambda: self._listeners[event].remove(listener)

    async def notify(self, event: str, data: Mapping[str, Any], run: WorkflowRun) -> Any:
        """Call the listeners of an event; the last word one of them returned. Raises: WorkflowError when one stops the run."""
        word = None
        for listener in tuple(self._listeners.get(event, ())):
            value = await self._tell(listener, event, {**run.about(), **data})
            if not isinstance(value, Mapping):
                word = value if value is not None else word
                continue
            updates = value.get("state_updates")
            if isinstance(updates, Mapping):
                await run.set_shared(updates)
            if value.get("continue_execution") is False:
                raise WorkflowError(str(value.get("message") or f"stopped by {event}"), workflow=self.name)
        return word

    async def _tell(self, listener: Callable[..., Any], event: str, data: dict[str, Any]) -> Any:
        from llmspell_core.workflow.action import call

        try:
            return await call(listener, data)
        except LLMSpellError as error:
            log.warning("%s of workflow %s raised: %s; going on", event, self.name, error.message)
            return None

    # -- running ------------------------------------------------------------------------------------------------------

    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        run = self._new_run(input, context)
        self._running += 1
        status: WorkflowStatus = "cancelled"
        outcome, error = Outcome(), None
        try:
            outcome = await self._bounded(run)
            status = _verdict(outcome, run)
        except LLMSpellError as failed:
            status, error = "failed", failed
        finally:
            self._running -= 1
            result = self._finish(run, status, outcome, error)
            if status == "cancelled":
                self._report_cancelled(run, result)
        if error is not None:
            raise await self._fail(run, result, error)
        return await self._complete(run, result)

    def _report_cancelled(self, run: WorkflowRun, result: WorkflowResult) -> None:
        """Say what was done; the outermost workflow speaks for those in it."""
        done = [name for name, step in run.results.items() if step.success]
        run.emit("workflow.cancelled", {"completed_steps": done, "duration_ms": run.elapsed_ms})
        if len(run.context.get(CHAIN)) == 1:
            log.warning("%s Done: %s", result.summary, ", ".join(done) or "nothing")

    def _new_run(self, input: AgentInput, context: ExecutionContext) -> WorkflowRun:
        from llmspell_core.context import ContextScope

        if context.desk is None:
            raise ComponentError("a workflow needs a runtime", hint="Use runtime.run_workflow(workflow, input).")
        chain = context.get(CHAIN) or ()
        if len(chain) >= MAX_DEPTH:
            raise WorkflowError(
                f"workflows are nested deeper than {MAX_DEPTH}: {' > '.join(chain)}", workflow=self.name
            )
        inner = context.create_child()
        outer = inner.data.pop(OUTER, None)  # for this run alone, not for what it calls
        run = WorkflowRun(self, input, inner, self._made.all_steps(), outer)
        run.context.scope = ContextScope("workflow", run.id)
        run.context.set(CHAIN, (*chain, self.name))
        return run

    async def _bounded(self, run: WorkflowRun) -> Outcome:
        limit = self.config.max_execution_time
        made = self._made
        try:
            async with asyncio.timeout(limit) as deadline:
                self._made.plan()
                await run.phase("workflow_start", {"input": run.fields}, "before_start")
                await run.put("state", {"status": "running", "shared_data": run.shared})
                return await made.run(run)
        except builtins.TimeoutError as error:
            if not deadline.expired():
                raise WorkflowError(f"{type(error).__name__}: {error}", workflow=self.name) from error
            raise TimeoutError(
                f"workflow '{self.name}' did not finish within {limit:g} s",
                hint="Raise its timeout_ms.",
                duration_ms=round((limit or 0) * 1000),
            ) from None

    def _finish(
        self, run: WorkflowRun, status: WorkflowStatus, outcome: Outcome, error: LLMSpellError | None
    ) -> WorkflowResult:
        succeeded = status in {"completed", "partially_completed"} and outcome.success is not False
        if outcome.success is None and status == "partially_completed":
            succeeded = False
        result = WorkflowResult(run.id, self.type, self.name, succeeded, status)
        result.steps_executed = sum(not r.skipped for r in run.history)
        result.steps_failed = sum(not r.success and not r.skipped for r in run.history)
        result.steps_skipped = sum(r.skipped or r.tolerated for r in run.history)
        result.duration = time.perf_counter() - run.started
        result.error = error.message if error else _first_error(run)
        result.state_keys = run.state_keys
        result.summary = self._summary(result)
        result.metadata = self._extra(run, result, outcome)
        self.last, self.last_result = run, result
        self.totals.executions += 1
        self.totals.successful += succeeded
        self.totals.duration_ms += result.duration * 1000
        self.totals.last = time.time()
        return result

    def _summary(self, result: WorkflowResult) -> str:
        kind = self.type.replace("_", " ").capitalize()
        done = result.steps_executed - result.steps_failed
        counts = f"{done} of {result.steps_executed} steps in {round(result.duration * 1000)} ms."
        words = {
            "completed": "completed successfully.",
            "partially_completed": "completed successfully, with failures."
            if result.success
            else "partially completed.",
            "cancelled": "was cancelled.",
        }
        return f"{kind} workflow '{self.name}' {words.get(result.status, f'failed: {result.error}.')} {counts}"

    def _extra(self, run: WorkflowRun, result: WorkflowResult, outcome: Outcome) -> dict[str, Any]:
        extra: dict[str, Any] = {
            "execution_id": run.id,
            "workflow_id": self.id,
            "workflow_type": self.type,
            "workflow_name": self.name,
            "success": result.success,
            "status": result.status,
            "outputs": plain({name: r.output for name, r in run.results.items() if r.success}),
            "output": plain(outcome.output),
            "state_keys": run.state_keys,
            **plain(outcome.extra),
        }
        if run.agent_outputs:
            extra["agent_outputs"] = plain(run.agent_outputs)
        if result.error is not None:
            extra["error"] = result.error
        return extra

    async def _complete(self, run: WorkflowRun, result: WorkflowResult) -> AgentOutput:
        await run.put("final_output", result.metadata["output"])
        await self._checkpoint(run, result)
        await run.phase("workflow_complete", {"status": result.status, "success": result.success}, "after_complete")
        metadata = OutputMetadata(execution_time_ms=round(result.duration * 1000), extra=result.metadata)
        return AgentOutput(result.summary, metadata=metadata)

    async def _checkpoint(self, run: WorkflowRun, result: WorkflowResult) -> None:
        snapshot = {
            "status": result.status,
            "shared_data": run.shared,
            "steps": {name: r.success for name, r in run.results.items()},
        }
        await run.put("state", snapshot)
        await run.phase("WorkflowCheckpoint", plain(snapshot), "workflow_state_change")
        run.emit("workflow.state.updated", {"keys": ["state"], "status": result.status})

    async def _fail(self, run: WorkflowRun, result: WorkflowResult, error: LLMSpellError) -> LLMSpellError:
        """The error to raise, after undoing what can be undone and writing down why."""
        failed = next((r for r in reversed(run.history) if r.stops), None)
        kind = failed.error_type if failed and isinstance(error, WorkflowError) else error_type(error)
        done = sum(r.success for r in run.history)
        total = max(len(self.get_steps()), len(run.history))
        analysis = analyse(kind or "Unknown", successful=done, failed=result.steps_failed, total=total)  # type: ignore[arg-type]
        result.metadata["error_analysis"] = analysis
        try:
            undone = await run.roll_back(error)
            if undone:
                result.metadata["rolled_back"] = undone
            await run.put("error", {"message": error.message, "analysis": analysis, "rolled_back": undone})
            await self._checkpoint(run, result)
            await run.phase("on_error", {"error": error.message, "message": error.message, "analysis": analysis})
        except LLMSpellError as second:
            log.warning("after the failure of workflow %s: %s", self.name, second.message)
        return self._told(error, analysis)

    def _told(self, error: LLMSpellError, analysis: Mapping[str, Any]) -> LLMSpellError:
        if type(error) is not WorkflowError:
            return error
        message = f"{self.type.replace('_', ' ').capitalize()} workflow '{self.name}' failed: {error.message}"
        made = WorkflowError(message, hint=error.hint or analysis["hint"], step=error.step, workflow=self.name)
        made.__cause__ = error.__cause__
        return made


def _verdict(outcome: Outcome, run: WorkflowRun) -> WorkflowStatus:
    if outcome.success is False or any(not r.success and not r.skipped for r in run.history):
        return "partially_completed"
    return "completed"


def _first_error(run: WorkflowRun) -> str | None:
    return next((r.error for r in run.history if not r.success and not r.skipped and r.error), None)
