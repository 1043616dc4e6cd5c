"""Running one step: condition, hooks, attempts with a time limit each, circuit breaker, fallback, verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError, TimeoutError, WorkflowError
from llmspell_core.messages import plain
from llmspell_core.workflow.action import Answer, act
from llmspell_core.workflow.analysis import error_type
from llmspell_core.workflow.placeholder import substitute
from llmspell_core.workflow.record import StepResult
from llmspell_core.workflow.strategy import CONTINUE, FAIL_FAST, Breaker, ErrorStrategy

if TYPE_CHECKING:
    from llmspell_core.trace import Span
    from llmspell_core.workflow.frame import Frame
    from llmspell_core.workflow.run import WorkflowRun
    from llmspell_core.workflow.step import Step

__all__ = ["StepRunner"]


def _note(span: Span, result: StepResult) -> None:
    """How a step went, in the record of the run."""
    if result.retry_count:
        span.attributes["retries"] = result.retry_count
    if result.skipped:
        span.status, span.error = "skipped", result.error
    elif not result.success:
        span.fail(result.exception or str(result.error))


class StepRunner:
    """Runs the steps of one `WorkflowRun`."""

    def __init__(self, run: WorkflowRun) -> None:
        self._run = run
        self._config = run.workflow.config

    async def run(self, step: Step, frame: Frame, index: int, blocked: str | None) -> StepResult:
        """How the step went. Raises only cancellation."""
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
            if blocked is not None or not await self._wanted(step, frame):
                result.skipped = True
                result.error = f"skipped: '{blocked}' did not succeed" if blocked else None
                return result
            await self._begin(step, frame, index)
            await self._work(step, frame, index, result)
        except LLMSpellError as error:
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
        if isinstance(step.target, Mapping) and step.target.get("error_strategy") is not None:
            # An inline workflow that deals with failures itself is not run again as a whole.
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

    async def _begin(self, step: Step, frame: Frame, index: int) -> None:
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
        except LLMSpellError as error:
            result.success = False
            self._blame(result, step, error)

    async def _after_failure(self, step: Step, data: dict[str, Any], result: StepResult) -> None:
        if self.strategy(step).tolerate:
            result.tolerated = True
        verdict = await self._run.workflow.notify("on_step_error", {**data, "error": result.error}, self._run)
        if verdict == "skip":
            result.tolerated = True

    def _blame(self, result: StepResult, step: Step, error: LLMSpellError) -> None:
        result.error, result.exception = error.message, error
        result.error_type = error_type(error, step.kind)

    # -- the work ---------------------------------------------------------------------------------------------------

    async def _work(self, step: Step, frame: Frame, index: int, result: StepResult) -> None:
        strategy = self.strategy(step)
        try:
            answer = await self._attempts(step, frame, index, result, strategy)
        except LLMSpellError as error:
            if strategy.fallback is None:
                raise
            answer = await self._fallback(step, frame, strategy, error)
            result.fallback_used = True
        result.success = True
        result.output, result.details = answer.output, answer.details
        await self._run.set_shared(answer.updates)

    async def _attempts(
        self, step: Step, frame: Frame, index: int, result: StepResult, strategy: ErrorStrategy
    ) -> Answer:
        breaker = self._breaker(step, strategy)
        attempts = strategy.max_attempts
        while True:
            try:
                return await self._guarded(step, frame, index, breaker, result.retry_count)
            except LLMSpellError as error:
                if result.retry_count + 1 >= attempts and await self._asked(step, error, result):
                    attempts += 1
                if result.retry_count + 1 >= attempts or not self._worth_it(error):
                    raise
                delay = self._delay(strategy, result.retry_count, error)
            result.retry_count += 1
            await asyncio.sleep(delay)

    async def _asked(self, step: Step, error: LLMSpellError, result: StepResult) -> bool:
        """Whether the default error handler wants another attempt; it is asked where nothing else was said."""
        own = step.error_strategy is not None or step.retry_attempts or self._config.strategy.kind != "fail_fast"
        handler = self._run.workflow.default_error_handler
        if own or handler is None or result.retry_count >= self._config.max_retry_attempts:
            return False
        verdict = await handler(
            {"message": error.message, **error.to_dict()}, {**self._about(step, 0, result.retry_count)}
        )
        result.tolerated = verdict == "skip"
        return bool(verdict == "retry")

    def _worth_it(self, error: LLMSpellError) -> bool:
        return not self._config.retry_only_retryable or error.is_retryable()

    def _delay(self, strategy: ErrorStrategy, retries: int, error: LLMSpellError) -> float:
        """Seconds before the next attempt; never less than what the other side asked for."""
        base = self._config.retry_delay_ms if strategy.backoff_ms is None else strategy.backoff_ms
        delay = base * (2**retries if self._config.exponential_backoff else 1) / 1000
        asked = getattr(error, "retry_after", None)
        return max(delay, float(asked)) if isinstance(asked, (int, float)) else float(delay)

    def _breaker(self, step: Step, strategy: ErrorStrategy) -> Breaker | None:
        if strategy.breaker is None:
            return None
        found: Breaker = self._run.desk.workflows.breaker(step.kind, step.target_name, strategy.breaker)
        return found

    async def _guarded(self, step: Step, frame: Frame, index: int, breaker: Breaker | None, retry: int) -> Answer:
        if breaker is not None:
            breaker.allow(step.target_name)
        try:
            answer = await self._hooked(step, frame, index, retry)
        except LLMSpellError:
            if breaker is not None:
                breaker.failed()
            raise
        except asyncio.CancelledError:
            if breaker is not None:
                breaker.abandoned()
            raise
        if breaker is not None:
            breaker.succeeded()
        return answer

    async def _hooked(self, step: Step, frame: Frame, index: int, retry: int) -> Answer:
        """One attempt between its hooks: they may change the input, replace the step, or change its output."""
        given = substitute(step.input, frame)
        hooks, run = self._run.desk.hooks, self._run
        if not hooks.any_active("BeforeWorkflowStage", "AfterWorkflowStage", "workflow_step_boundary"):
            return await self._timed(step, given, frame)
        data = {**run.about(), **self._about(step, index, retry), "input": plain(given)}
        before = hooks.context("BeforeWorkflowStage", run.workflow, run.context, data)
        outcome = await hooks.run(before)
        await run.phase("workflow_step_boundary", {"step_name": step.name, "at": "start"})
        if outcome.replaced:
            return Answer(outcome.value)
        answer = await self._timed(step, before.data["input"] if outcome.modified else given, frame)
        after = before.at("AfterWorkflowStage", result={"output": plain(answer.output)})
        changed = await hooks.run(after)
        await run.phase("workflow_step_boundary", {"step_name": step.name, "at": "end"})
        if changed.replaced:
            return Answer(changed.value)
        return Answer(after.data["result"]["output"], answer.details, answer.updates) if changed.modified else answer

    async def _timed(self, step: Step, given: Any, frame: Frame) -> Answer:
        limit = step.timeout
        if limit is None and step.kind != "workflow":  # a workflow has a limit of its own
            limit = self._config.default_step_timeout
        deadline = asyncio.timeout(limit)
        try:
            async with deadline:
                return await act(step, given, frame)
        except LLMSpellError:
            raise
        except OSError as error:  # the loop's TimeoutError is one
            if not deadline.expired():
                raise WorkflowError(f"{type(error).__name__}: {error}", step=step.name) from error
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
        return await self._timed(other, substitute(other.input, inner), inner)
