"""One execution of a workflow: its data, its results, and the running of its steps.

A workflow type gets a `WorkflowRun` and arranges steps with `sequence`, `step`, `frame` and `holds`; attempts, time
limits, strategies, hooks, events and the state are taken care of here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ApprovalRequiredError, LLMSpellError, PluginError, WorkflowError
from llmspell_core.executor import Done, Executor, Job
from llmspell_core.messages import AgentInput, new_id, plain
from llmspell_core.pace import Pace
from llmspell_core.purse import OBJECT, weigh
from llmspell_core.workflow.attempt import StepRunner
from llmspell_core.workflow.condition import Condition
from llmspell_core.workflow.frame import Frame
from llmspell_core.workflow.order import in_order
from llmspell_core.workflow.record import StepResult
from llmspell_core.workflow.results import Results
from llmspell_core.workflow.step import Step

if TYPE_CHECKING:
    from llmspell_core.context import ExecutionContext
    from llmspell_core.workflow.workflow import Workflow

__all__ = ["Progress", "WorkflowRun"]

log = logging.getLogger("llmspell.workflow")


@dataclass(slots=True)
class Progress:
    """How a list of steps went. `stopped`: the failure after which the rest did not run."""

    results: list[StepResult] = field(default_factory=list)
    stopped: StepResult | None = None

    @property
    def successful(self) -> int:
        return sum(r.success for r in self.results)

    @property
    def failed(self) -> int:
        return sum(not r.success and not r.skipped for r in self.results)

    @property
    def output(self) -> Any:
        """Of the last step that succeeded."""
        return next((r.output for r in reversed(self.results) if r.success), None)


class WorkflowRun:
    """Everything of one execution; nothing of it is shared with another one."""

    def __init__(
        self,
        workflow: Workflow,
        input: AgentInput,
        context: ExecutionContext,
        steps: Iterable[Step],
        outer: Frame | None = None,
        undo: list[tuple[Step, Frame]] | None = None,
    ) -> None:
        self.id = new_id()
        self.workflow = workflow
        self.input = input
        self.fields: dict[str, Any] = {k: v for k, v in input.parameters.items() if k != "parameters"}
        self.context = context
        self.desk = context.require_desk()
        self.outer = outer
        """Of a workflow written in place of a step: what the step sees; its shared data is this run's, too."""
        self.shared: dict[str, Any] = outer.run.shared if outer is not None else dict(workflow.shared)
        known = tuple(steps)
        self.step_names = frozenset(step.name for step in known)
        self.known = self.step_names.union(step.id for step in known)
        """Names and ids."""
        self.results: dict[str, StepResult] = {}
        self.history: list[StepResult] = []
        self.branches: dict[str, dict[str, StepResult]] = {}
        self.agent_outputs: dict[str, Any] = {}
        self.kept = Results(self.desk.state, self.id)
        self.started = time.perf_counter()
        self.root = Frame(self, outer.variables if outer is not None else None)
        self.undo: list[tuple[Step, Frame]] = [] if undo is None else undo
        """What would undo the steps that succeeded, in their order."""
        self.deadline: asyncio.Timeout | None = None
        self.pace = Pace()
        """For types that do a lot between two steps."""
        self._purse = context.purse
        self._held = 0
        self._runner = StepRunner(self)
        self._index = 0

    @property
    def elapsed_ms(self) -> int:
        return round((time.perf_counter() - self.started) * 1000)

    @property
    def is_late(self) -> bool:
        """Whether the workflow's time is up; steps may have missed it, by not letting themselves be cancelled."""
        return self.deadline is not None and self.deadline.expired()

    @property
    def state_keys(self) -> list[str]:
        """What this run has written, in order."""
        return list(self.kept.keys)

    def known_outside(self) -> set[str]:
        """Names and ids of the steps of the workflows in which this one is a step."""
        found: set[str] = set()
        outer = self.outer
        while outer is not None:
            found |= outer.run.known
            outer = outer.run.outer
        return found

    # -- what types use -----------------------------------------------------------------------------------------------

    async def sequence(self, steps: Sequence[Step], frame: Frame | None = None) -> Progress:
        """Run steps one after the other, in the order of their dependencies, until one fails for good."""
        frame, done = frame or self.root, Progress()
        previous: Step | None = None
        for step in in_order(steps, self.known):
            if previous is not None:
                data = {"from_step": previous.name, "to_step": step.name}
                await self.phase("WorkflowStageTransition", data, "workflow_step_boundary")
            result = await self.step(step, frame, blocked=_blocker(step, frame))
            done.results.append(result)
            previous = step
            if result.stops:
                done.stopped = result
                break
        return done

    async def step(self, step: Step, frame: Frame | None = None, *, blocked: str | None = None) -> StepResult:
        """Run one step and write down how it went. Failure is a result; only cancellation is raised."""
        frame = frame or self.root
        result = await self.attempt(step, frame, blocked=blocked)
        await self.record(step, result, frame)
        return result

    async def attempt(self, step: Step, frame: Frame, *, blocked: str | None = None) -> StepResult:
        """Run one step without writing anything down."""
        self._index += 1
        return await self._runner.run(step, frame, self._index, blocked)

    async def scatter(
        self, work: Iterable[tuple[Step, Frame]], *, limit: int
    ) -> AsyncGenerator[tuple[int, StepResult], None]:
        """Run many independent steps through the runtime's executor, at most `limit` at once.

        Yields position and result as they are ready; `work` is drawn from lazily. Close it early to cancel the rest.
        The steps see what was there before, not each other, wherever they run.

        Raises: PluginError when the executor answers what nobody asked, or does not answer. ApprovalRequiredError.
        """
        open_: dict[int, tuple[Step, Frame]] = {}
        question: ApprovalRequiredError | None = None

        async def here(job: Job) -> StepResult:
            return await self.attempt(*open_[job.index])

        executor = self.desk.workflows.executor()
        async with aclosing(executor.run(self._jobs(work, open_), here, limit=limit)) as answers:
            async for done in answers:
                if done.index not in open_:
                    raise _broken(executor, f"answered job {done.index}, which does not wait for an answer")
                step, frame = open_.pop(done.index)
                if isinstance(done.error, ApprovalRequiredError):
                    question = done.error  # the others can still be asked, or end
                    continue
                result = _result_of(step, done)
                await self.record(step, result, frame)
                yield done.index, result
        if open_:
            raise _broken(executor, f"left {len(open_)} jobs without an answer")
        if question is not None:
            raise question

    def _jobs(self, work: Iterable[tuple[Step, Frame]], open_: dict[int, tuple[Step, Frame]]) -> Iterator[Job]:
        config = self.workflow.config.to_dict()
        fields = {**self.fields, "text": self.input.text}
        before = self.root.all_results()
        outputs = {name: r.output for name, r in before.items() if r.success}
        tables: dict[int, dict[str, Any]] = {}
        for index, (step, frame) in enumerate(work):
            open_[index] = (step, frame.apart(before))
            table = tables[id(step)] = tables.get(id(step)) or step.to_dict()
            yield Job(index, table, fields, frame.variables, self.shared, outputs, config, portable=step.portable)

    async def record(self, step: Step, result: StepResult, frame: Frame) -> None:
        """Make a result known to later steps, and to the state.

        Raises: ResourceLimitError when all that the script of this run holds is too large.
        """
        if self._purse is not None:
            self._held += self._purse.take(OBJECT + max(weigh(result.output), weigh(result.details)))
        frame.results[step.name] = self.results[step.name] = result
        self.history.append(result)
        if result.success and step.compensate is not None:
            self.undo.append((step.compensate, frame))
        if result.success and step.kind == "agent":
            self.agent_outputs[result.target] = result.output
        await self.kept.save(step, result, frame)
        await self.pace.breathe()  # after it: steps that are begun together see the same results

    @contextmanager
    def lending(self, size: int) -> Iterator[None]:
        """Inside, so many bytes are held for a step. Raises: ResourceLimitError."""
        if self._purse is None or not size:
            yield
            return
        self._purse.take(size)
        try:
            yield
        finally:
            self._purse.give_back(size)

    def forget(self) -> None:
        """Nobody can ask for its results any more."""
        if self._purse is not None:
            self._purse.give_back(self._held)
        self._held = 0

    async def holds(
        self, condition: Condition, frame: Frame | None = None, *, name: str = "", limit: float = 1.0
    ) -> bool:
        """Evaluate a condition. Raises: WorkflowError naming it, when it cannot be evaluated or takes too long."""
        await self.phase("condition_evaluation", {"condition": name, "type": condition.kind})
        try:
            async with asyncio.timeout(limit):
                return await condition.holds(frame or self.root)
        except TimeoutError:
            reason = f"it took longer than {limit:g} s"
        except WorkflowError as error:
            reason = error.message
        label = f"condition '{name}'" if name else "a condition"
        raise WorkflowError(f"{label} could not be evaluated: {reason}", workflow=self.workflow.name)

    def failure(self, result: StepResult) -> WorkflowError:
        """The error of a workflow that stopped at this step."""
        made = WorkflowError(
            f"step '{result.step_name}' failed: {result.error}",
            hint=result.exception.hint if result.exception else None,
            step=result.step_name,
            workflow=self.workflow.name,
        )
        made.__cause__ = result.exception
        return made

    async def set_shared(self, updates: Mapping[str, Any]) -> None:
        """Change shared data of this run; conditions and placeholders see it at once."""
        if updates:
            self.shared.update(updates)
            await self.phase("workflow_shared_data", {"updates": plain(updates)})
            self.emit("workflow.state.updated", {"keys": sorted(updates)})

    async def phase(self, point: str, data: dict[str, Any], *more: str) -> None:
        """Tell hooks and the workflow's own listeners that the run has come to `point` (and to the points in `more`).

        Raises:
            CancelledByHookError: a hook said no.
        """
        for name in (point, *more):
            await self.workflow.notify(name, data, self)
            if name in self.desk.hooks.active:
                hook = self.desk.hooks.context(name, self.workflow, self.context, {**self.about(), **data})
                await self.desk.hooks.run(hook)

    def emit(self, event: str, data: dict[str, Any]) -> None:
        if self.desk.events.wants(event):
            self.desk.events.emit(event, {**self.about(), **data}, self.context)

    def about(self) -> dict[str, Any]:
        workflow = self.workflow
        return {
            "workflow_id": workflow.id,
            "workflow_name": workflow.name,
            "workflow_type": workflow.type,
            "execution_id": self.id,
        }

    async def put(self, key: str, value: Any) -> None:
        """Write `workflow:<execution>:<key>` to the state. Raises: WorkflowError when the store refuses."""
        await self.kept.put(key, value)

    async def roll_back(self, error: LLMSpellError) -> list[dict[str, Any]]:
        """Undo finished steps that say how, last first; a compensation that fails does not keep the others from running."""
        undone = []
        self.deadline = None  # undoing has the time that its steps have
        while self.undo:
            step, frame = self.undo.pop()
            problem = await self._undo(step, frame, error)
            undone.append({"step": step.name, "success": problem is None, "error": problem})
            if problem is not None:
                log.warning("compensation %s of workflow %s failed: %s", step.name, self.workflow.name, problem)
        return undone

    async def _undo(self, step: Step, frame: Frame, error: LLMSpellError) -> str | None:
        """Run one compensation, in the run whose step it undoes; what went wrong, if anything."""
        try:
            await self.phase("WorkflowRollback", {"step_name": step.name, "error": error.message})
            result = await frame.run.attempt(step, frame)
        except LLMSpellError as refused:
            return refused.message
        return None if result.success else str(result.error)


def _blocker(step: Step, frame: Frame) -> str | None:
    """The dependency that did not succeed."""
    return next((wanted for wanted in step.dependencies if not frame.step_state(wanted)["success"]), None)


def _broken(executor: Executor, what: str) -> PluginError:
    return PluginError(f"executor '{executor.name}' {what}", hint="Its author must fix it.", plugin=executor.name)


def _result_of(step: Step, done: Done) -> StepResult:
    """The result of a job, wherever it ran."""
    if isinstance(done.value, StepResult):
        return done.value
    if isinstance(done.value, Mapping):
        return StepResult.from_dict(done.value)
    error = done.error
    message = error.message if isinstance(error, LLMSpellError) else f"{type(error).__name__}: {error}"
    failed = StepResult(step.id, step.name, error=message, step_type=step.kind, target=step.target_name)
    failed.exception = error if isinstance(error, LLMSpellError) else WorkflowError(message, step=step.name)
    failed.error_type = "Unknown"
    return failed
