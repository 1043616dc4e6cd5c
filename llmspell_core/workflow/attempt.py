"""Running one step: condition, hooks, attempts with a time limit each, circuit breaker, fallback, verdict."""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.agent.place import current
from llmspell_core.errors import (
    ApprovalRequiredError,
    CancelledByHookError,
    LLMSpellError,
    ResourceError,
    TimeoutError,
    WorkflowError,
)
from llmspell_core.messages import plain
from llmspell_core.purse import Room
from llmspell_core.time_limit import time_limit
from llmspell_core.workflow.action import Answer, act, as_workflow_error, call
from llmspell_core.workflow.analysis import error_type
from llmspell_core.workflow.filling import filled
from llmspell_core.workflow.placeholder import substitute
from llmspell_core.workflow.record import StepResult
from llmspell_core.workflow.strategy import CIRCUIT, CONTINUE, FAIL_FAST, Breaker, Circuits, ErrorStrategy

if TYPE_CHECKING:
    from llmspell_core.trace import Span
    from llmspell_core.workflow.frame import Frame
    from llmspell_core.workflow.run import WorkflowRun
    from llmspell_core.workflow.step import Step

__all__ = ["StepRunner"]

log = logging.getLogger("llmspell.workflow")
MOST_DOUBLINGS = 30


def _note(span: Span, result: StepResult) -> None:
    """How a step went, in the record of the run."""
    if result.retry_count:
        span.attributes["retries"] = result.retry_count
    if result.skipped:
        span.status, span.error = "skipped", result.error
    elif not result.success:
        span.fail(result.exception or str(result.error))


def _is_being_cancelled() -> bool:
    """Whether somebody wants this run to end; what a step calls may also be cancelled for itself."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


class StepRunner:
    """Runs the steps of one `WorkflowRun`."""

    def __init__(self, run: WorkflowRun) -> None:
        self._run = run
        self._config = run.workflow.config

    async def run(self, step: Step, frame: Frame, index: int, blocked: str | None) -> StepResult:
        """How the step went. Raises only cancellation, and ApprovalRequiredError: the step waits for a person.

        A run that goes on after such a wait is begun again; a step that had a result then has it now.
        """
        above = current()
        if above is None:
            return await self._traced(step, frame, index, blocked)
        with above.below(f"{frame.label}:{step.name}" if frame.label else step.name).entered() as here:
            found = here.ledger.steps.get(here.path)
            if found is not None and step.kind != "workflow":  # the steps of a workflow are known one by one
                return await self._again(step, found)
            here.ledger.steps[here.path] = result = await self._traced(step, frame, index, blocked)
            return result

    async def _again(self, step: Step, found: StepResult | Mapping[str, Any]) -> StepResult:
        result = found if isinstance(found, StepResult) else StepResult.from_dict(found)
        result.step_id = step.id
        if step.kind == "function" and isinstance(result.details, Mapping):
            await self._run.set_shared(result.details.get("state_updates") or {})
        return result

    async def _traced(self, step: Step, frame: Frame, index: int, blocked: str | None) -> StepResult:
        tracer = self._run.desk.tracer
        if tracer is None:
            return await self._run_step(step, frame, index, blocked)
        with tracer.span("step", step.name, type=step.kind, target=step.target_name) as span:
            result = await self._run_step(step, frame, index, blocked)
            _note(span, result)
            return result

    async def _run_step(self, step: Step, frame: Frame, index: int, blocked: str | None) -> StepResult:
        started = time.perf_counter()
        result = StepResult(step.id, step.name, step_type=step.kind, target=step.target_name)
        try:
            if self._run.is_late:
                raise TimeoutError("the workflow's time is up", hint="Raise its timeout_ms.")
            if blocked is not None or not await self._wanted(step, frame):
                result.skipped = True
                result.error = f"skipped: '{blocked}' did not succeed" if blocked else None
                return result
            await self._begin(step, index)
            await self._work(step, frame, index, result)
        except ApprovalRequiredError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a step does, the run has its result
            self._blame(result, step, error)
        result.duration_ms = (time.perf_counter() - started) * 1000
        await self._end(step, index, result)
        return result

    async def _wanted(self, step: Step, frame: Frame) -> bool:
        return step.condition is None or await self._run.holds(step.condition, frame, name=step.name)

    def strategy(self, step: Step) -> ErrorStrategy:
        if step.error_strategy is not None:
            return step.error_strategy
        if step.retry_attempts:
            return ErrorStrategy("retry", step.retry_attempts + 1, self._config.retry_delay_ms)
        if step.is_inline:  # its steps have the strategy, or one of their own
            return CONTINUE if self._config.strategy.tolerate else FAIL_FAST
        return self._config.strategy

    # -- before and after -----------------------------------------------------------------------------------------------

    def _about(self, step: Step, index: int, retry: int = 0) -> dict[str, Any]:
        return {
            "step_name": step.name,
            "step_type": step.kind,
            "step_index": index,
            "retry_attempt": retry,
            "target": step.target_name,
        }

    async def _begin(self, step: Step, index: int) -> None:
        data = self._about(step, index)
        self._run.emit("workflow.step.started", data)
        await self._run.workflow.notify("before_step", data, self._run)

    async def _end(self, step: Step, index: int, result: StepResult) -> None:
        data = {**self._about(step, index, result.retry_count), "duration_ms": result.duration_ms}
        if result.success:
            self._run.emit("workflow.step.completed", data)
        else:
            self._run.emit("workflow.step.failed", {**data, "error": result.error, "error_type": result.error_type})
        try:
            if result.success:
                await self._run.workflow.notify("after_step", {**data, "output": plain(result.output)}, self._run)
            else:
                await self._after_failure(step, data, result)
        except Exception as error:  # noqa: BLE001 - as in `_run_step`
            result.success = False
            self._blame(result, step, error)

    async def _after_failure(self, step: Step, data: dict[str, Any], result: StepResult) -> None:
        if self.strategy(step).tolerate:
            result.tolerated = True
        verdict = await self._run.workflow.notify("on_step_error", {**data, "error": result.error}, self._run)
        if verdict == "skip":
            result.tolerated = True

    def _blame(self, result: StepResult, step: Step, error: Exception) -> None:
        known = error if isinstance(error, LLMSpellError) else as_workflow_error(error, step.name)
        result.error, result.exception = known.message, known
        result.error_type = error_type(known, step.kind)

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _work(self, step: Step, frame: Frame, index: int, result: StepResult) -> None:
        strategy = self.strategy(step)
        try:
            answer = await self._attempts(step, frame, index, result, strategy)
        except ApprovalRequiredError:
            raise
        except LLMSpellError as error:
            if strategy.fallback is None:
                raise
            answer = await self._fallback(step, frame, strategy, error)
            result.fallback_used = True
        await self._run.set_shared(answer.updates)
        result.success = True
        result.output, result.details = answer.output, answer.details

    async def _attempts(
        self, step: Step, frame: Frame, index: int, result: StepResult, strategy: ErrorStrategy
    ) -> Answer:
        breaker = self._breaker(step, strategy)
        attempts = strategy.max_attempts
        while True:
            try:
                return await self._hooked(step, frame, index, breaker, result.retry_count)
            except LLMSpellError as error:
                if not self._worth_it(error):
                    raise
                if result.retry_count + 1 >= attempts and await self._asked(step, error, index, result):
                    attempts += 1
                if result.retry_count + 1 >= attempts:
                    raise
                delay = self._delay(strategy, result.retry_count, error)
            result.retry_count += 1
            await asyncio.sleep(delay)

    async def _asked(self, step: Step, error: LLMSpellError, index: int, result: StepResult) -> bool:
        """Whether the default error handler wants another attempt; it is asked where nothing else was said."""
        own = step.error_strategy is not None or step.retry_attempts or self._config.strategy.kind != "fail_fast"
        handler = self._run.workflow.default_error_handler
        if own or handler is None or result.retry_count >= self._config.max_retry_attempts:
            return False
        about = {**self._run.about(), **self._about(step, index, result.retry_count)}
        try:
            verdict = await call(handler, {"message": error.message, **error.to_dict()}, about)
        except LLMSpellError as broken:
            log.warning("the default error handler raised: %s; the step fails", broken.message)
            return False
        result.tolerated = verdict == "skip"
        return bool(verdict == "retry")

    def _worth_it(self, error: LLMSpellError) -> bool:
        """Whether another attempt makes sense. A person's or a hook's no, and an open circuit, stay what they are."""
        if isinstance(error, (ApprovalRequiredError, CancelledByHookError)):
            return False
        if isinstance(error, ResourceError) and error.resource_type == CIRCUIT:
            return False
        return not self._config.retry_only_retryable or error.is_retryable()

    def _delay(self, strategy: ErrorStrategy, retries: int, error: LLMSpellError) -> float:
        """Seconds before the next attempt; never less than what the other side asked for."""
        base = self._config.retry_delay_ms if strategy.backoff_ms is None else strategy.backoff_ms
        delay = base * (2 ** min(retries, MOST_DOUBLINGS) if self._config.exponential_backoff else 1) / 1000
        asked = getattr(error, "retry_after", None)
        return max(delay, float(asked)) if isinstance(asked, (int, float)) else float(delay)

    def _breaker(self, step: Step, strategy: ErrorStrategy) -> Breaker | None:
        """The circuit of what the step calls; what exists in this workflow only has it in the workflow."""
        if strategy.breaker is None:
            return None
        known = isinstance(step.target, str) or step.kind == "agent"
        circuits: Circuits = self._run.desk.workflows.circuits if known else self._run.workflow.circuits
        return circuits.of(step.kind, step.target_name, strategy.breaker)

    async def _hooked(self, step: Step, frame: Frame, index: int, breaker: Breaker | None, retry: int) -> Answer:
        """One attempt between its hooks: they may change the input, replace the step, or change its output."""
        room = Room()
        given = filled(step, frame, room)
        with self._run.lending(room.used):
            return await self._between_hooks(step, given, frame, (index, retry), breaker)

    async def _between_hooks(
        self, step: Step, given: Any, frame: Frame, place: tuple[int, int], breaker: Breaker | None
    ) -> Answer:
        hooks, run = self._run.desk.hooks, self._run
        if not hooks.any_active("BeforeWorkflowStage", "AfterWorkflowStage", "workflow_step_boundary"):
            return await self._guarded(step, given, frame, breaker)
        data = {**run.about(), **self._about(step, *place), "input": plain(given)}
        before = hooks.context("BeforeWorkflowStage", run.workflow, run.context, data)
        outcome = await hooks.run(before)
        await run.phase("workflow_step_boundary", {"step_name": step.name, "at": "start"})
        if outcome.replaced:
            return Answer(outcome.value)
        answer = await self._guarded(step, before.data["input"] if outcome.modified else given, frame, breaker)
        after = before.at("AfterWorkflowStage", result={"output": plain(answer.output)})
        changed = await hooks.run(after)
        await run.phase("workflow_step_boundary", {"step_name": step.name, "at": "end"})
        if changed.replaced:
            return Answer(changed.value)
        return Answer(after.data["result"]["output"], answer.details, answer.updates) if changed.modified else answer

    async def _guarded(self, step: Step, given: Any, frame: Frame, breaker: Breaker | None) -> Answer:
        """The call, if the circuit is closed. Only what the target did counts for it."""
        if breaker is None:
            return await self._timed(step, given, frame)
        breaker.allow(step.target_name)
        try:
            answer = await self._timed(step, given, frame)
        except (asyncio.CancelledError, ApprovalRequiredError):
            breaker.abandoned()
            raise
        except LLMSpellError:
            breaker.failed()
            raise
        breaker.succeeded()
        return answer

    async def _timed(self, step: Step, given: Any, frame: Frame) -> Answer:
        limit = step.timeout
        if limit is None and step.kind != "workflow":  # a workflow has a limit of its own
            limit = self._config.default_step_timeout
        timed_out = False
        try:
            async with time_limit(limit) as deadline:
                try:
                    answer = await act(step, given, frame)
                finally:
                    timed_out = deadline.expired()
            if not timed_out:
                return answer
        except LLMSpellError:
            raise
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            raise WorkflowError("what it called was cancelled", step=step.name) from None
        except Exception as error:
            if not (timed_out and isinstance(error, builtins.TimeoutError)):
                raise as_workflow_error(error, step.name) from error
        raise TimeoutError(
            f"step '{step.name}' did not finish within {limit:g} s",
            hint="Raise its timeout_ms.",
            duration_ms=round((limit or 0) * 1000),
        )

    async def _fallback(self, step: Step, frame: Frame, strategy: ErrorStrategy, error: LLMSpellError) -> Answer:
        assert strategy.fallback is not None
        other = strategy.fallback.step
        if other is None:
            return Answer(substitute(strategy.fallback.value, frame), {"fallback_for": error.message})
        inner = frame.child({"error": error.message})
        return await self._timed(other, filled(other, inner, Room()), inner)
