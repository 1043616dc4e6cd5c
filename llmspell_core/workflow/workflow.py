"""A workflow: a component that runs steps as its type arranges them."""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llmspell_core.component import BaseAgent, HookPoints
from llmspell_core.errors import ApprovalRequiredError, ComponentError, LLMSpellError, TimeoutError, WorkflowError
from llmspell_core.messages import AgentInput, AgentOutput, OutputMetadata, new_id, plain
from llmspell_core.time_limit import time_limit
from llmspell_core.workflow.action import OUTER, UNDO, as_workflow_error, call
from llmspell_core.workflow.analysis import analyse, error_type
from llmspell_core.workflow.ending import Totals, result_of, snapshot, verdict
from llmspell_core.workflow.kind import Outcome, WorkflowType
from llmspell_core.workflow.problems import FOUND, all_problems, each, problems_of
from llmspell_core.workflow.record import Definition, StepResult, WorkflowConfig, WorkflowResult, WorkflowStatus
from llmspell_core.workflow.references import check_conditions, check_references
from llmspell_core.workflow.run import WorkflowRun
from llmspell_core.workflow.step import Step
from llmspell_core.workflow.strategy import Circuits

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext

__all__ = ["Workflow"]

log = logging.getLogger("llmspell.workflow")
MAX_DEPTH = 10
CHAIN = "workflow_chain"
MOST_NAMED = 20
LAST_WORDS = 0.5
"""Seconds in which a cancelled run may write down how far it came."""


class Workflow(BaseAgent):
    """A workflow of some type. Made by `runtime.workflows.make`; executed by `runtime.run_workflow`."""

    component_type: ClassVar[Literal["workflow"]] = "workflow"
    hook_points: ClassVar[HookPoints | None] = HookPoints(
        "BeforeWorkflowStart", "AfterWorkflowComplete", "WorkflowError"
    )

    def __init__(self, definition: Definition, kind: type[WorkflowType]) -> None:
        """Raises: ValidationError that tells of everything that is wrong with the definition."""
        self.definition = definition
        self._kind = kind
        self._made = _arranged(kind, definition)
        self.name = definition.name
        self.description = definition.description or kind.description
        self.id = f"workflow_{new_id()}"
        self.created_at = time.time()
        self.shared: dict[str, Any] = {}
        self.last: WorkflowRun | None = None
        self.last_result: WorkflowResult | None = None
        self.totals = Totals()
        self.circuits = Circuits()
        """Of functions and of workflows in place of a step, which exist only here."""
        self.inner: dict[str, Workflow] = {}
        """Workflows written in place of a step, by the step's id."""
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
        self._made = _arranged(self._kind, made)
        self.definition = made

    def validate(self) -> list[str]:
        """All that is wrong with it: dependencies, and names of steps that do not exist. An empty list: nothing."""
        problems = [] if self._has_work() else ["it has no steps"]
        for check in (self._made.plan, lambda: check_references(self.get_steps(), self._made.conditions())):
            try:
                with all_problems():
                    check()
            except LLMSpellError as error:
                problems += problems_of(error)
        return problems

    def _has_work(self) -> bool:
        return bool(self.get_steps() or self.definition.options.get(self._kind.steps_option))

    def plan_execution(self) -> list[str]:
        return self._made.plan()

    def get_results(self) -> list[StepResult]:
        """Of the last execution, in the order in which steps ended."""
        return list(self.last.history) if self.last else []

    def get_step_result(self, name: str) -> StepResult | None:
        return self.last.results.get(name) if self.last else None

    def reset(self) -> None:
        """Forget executions and shared data."""
        if self.last is not None:
            self.last.forget()
        self.last = self.last_result = None
        self.shared.clear()
        self.totals = Totals()

    def share(self, other: Workflow) -> None:
        """Have the shared data, the listeners and the error handler of another workflow."""
        self.shared = other.shared
        self._listeners = other._listeners
        self.default_error_handler = other.default_error_handler

    # -- listeners ----------------------------------------------------------------------------------------------------

    def on(self, event: str, listener: Callable[..., Any]) -> Callable[[], None]:
        """Call `listener(data)` at `before_start`, `after_complete`, `on_error`, `before_step`, `after_step`,
        `on_step_error`, or any phase (`loop_iteration_start`, ...) or name of your own. Returns what ends it.

        A listener may return `{continue_execution = false, message}` to stop the run, `{state_updates = {...}}` to change
        shared data, and at `on_step_error` the word `skip`. Its errors are logged.
        """
        listeners = self._listeners.setdefault(event, [])
        listeners.append(listener)

        def end() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return end

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
        try:
            return await call(listener, data)
        except LLMSpellError as error:
            log.warning("%s of workflow %s raised: %s; going on", event, self.name, error.message)
            return None

    # -- running ------------------------------------------------------------------------------------------------------

    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        run = self._new_run(input, context)
        self._running += 1
        try:
            outcome = await self._bounded(run)
        except ApprovalRequiredError as question:
            await self._paused(run, question)
            raise
        except LLMSpellError as error:
            raise await self._fail(run, error) from error.__cause__
        except Exception as error:
            raise await self._fail(run, as_workflow_error(error)) from error
        except asyncio.CancelledError:
            await self._cancelled(run)
            raise
        finally:
            self._running -= 1
            run.desk.workflows.finished.add(run.kept)
        return await self._complete(run, self._finish(run, verdict(outcome, run), outcome))

    async def _paused(self, run: WorkflowRun, question: ApprovalRequiredError) -> None:
        """A step waits for a person. Nothing failed, so nothing is undone; the caller gets the question."""
        self._finish(run, "paused", Outcome(), question)
        waiting = {"agent": question.agent, "tools": question.tools}
        run.emit("workflow.paused", {**waiting, "duration_ms": run.elapsed_ms})
        await self._last_words(run, "paused", waiting=waiting)

    async def _cancelled(self, run: WorkflowRun) -> None:
        """Say what was done; the outermost workflow speaks for those in it."""
        result = self._finish(run, "cancelled", Outcome())
        done = [name for name, step in run.results.items() if step.success]
        run.emit("workflow.cancelled", {"completed_steps": done, "duration_ms": run.elapsed_ms})
        if len(run.context.get(CHAIN)) == 1:
            more = f", and {len(done) - MOST_NAMED:,} more" if len(done) > MOST_NAMED else ""
            log.warning("%s Done: %s%s", result.summary, ", ".join(done[:MOST_NAMED]) or "nothing", more)
        await self._last_words(run, "cancelled")

    async def _last_words(self, run: WorkflowRun, status: WorkflowStatus, **more: Any) -> None:
        """Leave the state as it is now; a store that does not answer does not hold up the end."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                await run.put("state", {**snapshot(run, status), **more})
        except (LLMSpellError, builtins.TimeoutError) as error:
            log.warning("workflow %s: the state of its end is not written: %s", self.name, error)

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
        outer, undo = inner.data.pop(OUTER, None), inner.data.pop(UNDO, None)  # for this run, not for what it calls
        run = WorkflowRun(self, input, inner, self._made.all_steps(), outer, undo)
        run.context.scope = ContextScope("workflow", run.id)
        run.context.set(CHAIN, (*chain, self.name))
        return run

    async def _bounded(self, run: WorkflowRun) -> Outcome:
        limit = self.config.max_execution_time
        made = self._made
        try:
            async with time_limit(limit) as run.deadline:
                made.plan()
                check_conditions(self.get_steps(), made.conditions(), run.known_outside())
                await run.phase("workflow_start", {"input": run.fields}, "before_start")
                await run.put("state", {"status": "running", "shared_data": run.shared})
                outcome = await made.run(run)
        except (builtins.TimeoutError, LLMSpellError) as error:
            if isinstance(error, ApprovalRequiredError) or not run.is_late:
                raise
        else:
            if not run.is_late:
                return outcome
        raise TimeoutError(
            f"workflow '{self.name}' did not finish within {limit:g} s",
            hint="Raise its timeout_ms.",
            duration_ms=round((limit or 0) * 1000),
        )

    def _finish(
        self, run: WorkflowRun, status: WorkflowStatus, outcome: Outcome, error: LLMSpellError | None = None
    ) -> WorkflowResult:
        result = result_of(run, status, outcome, error)
        if self.last is not None and self.last is not run:
            self.last.forget()
        self.last, self.last_result = run, result
        self.totals.add(result)
        return result

    async def _complete(self, run: WorkflowRun, result: WorkflowResult) -> AgentOutput:
        await run.put("final_output", result.metadata["output"])
        await self._checkpoint(run, result)
        result.state_keys = result.metadata["state_keys"] = run.state_keys
        result.metadata["state_complete"] = run.kept.is_complete
        await run.phase("workflow_complete", {"status": result.status, "success": result.success}, "after_complete")
        metadata = OutputMetadata(execution_time_ms=round(result.duration * 1000), extra=result.metadata)
        return AgentOutput(result.summary, metadata=metadata)

    async def _checkpoint(self, run: WorkflowRun, result: WorkflowResult) -> None:
        state = snapshot(run, result.status)
        await run.put("state", state)
        await run.phase("WorkflowCheckpoint", plain(state), "workflow_state_change")
        run.emit("workflow.state.updated", {"keys": ["state"], "status": result.status})

    async def _fail(self, run: WorkflowRun, error: LLMSpellError) -> LLMSpellError:
        """The error to raise, after undoing what can be undone and writing down why."""
        result = self._finish(run, "failed", Outcome(), error)
        analysis = self._analysis(run, result, error)
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

    def _analysis(self, run: WorkflowRun, result: WorkflowResult, error: LLMSpellError) -> dict[str, Any]:
        failed = next((r for r in reversed(run.history) if r.stops), None)
        kind = failed.error_type if failed and isinstance(error, WorkflowError) else error_type(error)
        done = sum(r.success for r in run.history)
        total = max(len(self.get_steps()), len(run.history))
        return analyse(kind or "Unknown", successful=done, failed=result.steps_failed, total=total)  # type: ignore[arg-type]

    def _told(self, error: LLMSpellError, analysis: Mapping[str, Any]) -> LLMSpellError:
        if type(error) is not WorkflowError:
            return error
        message = f"{self.type.replace('_', ' ').capitalize()} workflow '{self.name}' failed: {error.message}"
        made = WorkflowError(message, hint=error.hint or analysis["hint"], step=error.step, workflow=self.name)
        made.__cause__ = error.__cause__
        return made


def _arranged(kind: type[WorkflowType], definition: Definition) -> WorkflowType:
    with all_problems(f"workflow '{definition.name}'"):
        try:
            made = kind(definition)
        except FOUND:  # perhaps because of an option that is misspelt
            each(lambda given, _: given.check(*kind.later_options, whole=False), [definition])
            raise
        definition.check(*kind.later_options)
        return made
    raise AssertionError  # all_problems raises
