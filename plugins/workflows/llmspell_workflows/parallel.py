"""Branches at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmspell_core.errors import ApprovalRequiredError, ValidationError, WorkflowError
from llmspell_core.messages import as_list
from llmspell_core.names import check_known
from llmspell_core.time_limit import time_limit
from llmspell_core.workflow import Definition, Outcome, Progress, Step, WorkflowRun, WorkflowType, each, read_steps
from llmspell_core.workflow.condition import text_of
from llmspell_core.workflow.options import milliseconds, snake_keys

__all__ = ["Branch", "Parallel"]

BRANCH = ("name", "steps", "description", "required", "optional", "timeout", "timeout_ms", "definition")
BEGUN_AT_ONCE = 64
"""Branches that are begun in one turn of the event loop, however many may run at once."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A sequence of steps that runs beside others. `timeout` in seconds."""

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    required: bool = True
    timeout: float | None = None

    @classmethod
    def read(cls, value: Any, number: int) -> Branch:
        """A table with `steps`, or one step that is a branch of its own."""
        if not isinstance(value, Mapping):
            raise ValidationError(f"a branch is a table, got {type(value).__name__}", field="branches")
        given = {**value, **value["definition"]} if isinstance(value.get("definition"), Mapping) else value
        table = snake_keys(given)
        alone = "steps" not in table or "type" in table  # a step, perhaps an inline workflow with steps of its own
        name = str(table.get("name") or f"branch_{number}")
        steps = read_steps({**table, "name": name} if alone else table["steps"], f"{name}_step")
        required = table.get("required") is not False and table.get("optional") is not True
        if not alone:
            check_known(f"branch '{name}'", table, BRANCH)
        limit = None if alone else milliseconds(table)
        return cls(name, steps, str(table.get("description") or ""), required, limit)


@dataclass(slots=True)
class BranchResult:
    branch: Branch
    done: Progress = field(default_factory=Progress)
    duration_ms: float = 0.0
    error: str | None = None
    cancelled: bool = False
    question: ApprovalRequiredError | None = None
    ended: bool = False

    @property
    def success(self) -> bool:
        return self.error is None and self.question is None and not self.cancelled and not self.done.failed

    @property
    def stopped(self) -> bool:
        return self.error is not None or self.done.stopped is not None

    def to_dict(self) -> dict[str, Any]:
        return {
            "branch_name": self.branch.name,
            "success": self.success,
            "required": self.branch.required,
            "duration_ms": self.duration_ms,
            "error": self.reason(),
            "step_results": [result.to_dict() for result in self.done.results],
        }

    def reason(self) -> str | None:
        failed = next((r.error for r in self.done.results if not r.success and not r.skipped), None)
        return self.error or failed or ("cancelled" if self.cancelled else None)


class Parallel(WorkflowType):
    name = "parallel"
    description = "Runs branches at the same time; succeeds when every required branch does."
    features = ("concurrency limit", "required and optional branches", "fail fast", "time limits")

    def __init__(self, definition: Definition) -> None:
        super().__init__(definition)
        entries = [*as_list(definition.option("branches")), *as_list(definition.option("steps"))]
        entries += [_agent_entry(agent) for agent in as_list(definition.option("agents"))]
        self.branches = tuple(each(Branch.read, entries))
        counted = Counter(branch.name for branch in self.branches)
        twice = next((name for name, times in counted.items() if times > 1), None)
        if twice is not None:
            raise ValidationError(f"two branches are named '{twice}'", field="branches")
        self._needs = self._awaited()
        self.max_concurrency = definition.number("max_concurrency", default=4)
        tolerant = definition.config.strategy.tolerate
        self.fail_fast = definition.flag("fail_fast", default=not tolerant)
        self.continue_on_optional = definition.flag("continue_on_optional_failure", default=True)
        self.tolerant = tolerant
        self.merge = _merge_strategy(str(definition.option("merge_strategy", default="map")))

    def all_steps(self) -> Iterable[Step]:
        return tuple(step for branch in self.branches for step in branch.steps)

    def plan(self) -> list[str]:
        from llmspell_core.workflow.order import in_order

        known = {name for step in self.all_steps() for name in (step.name, step.id)}
        order = in_order(
            [Step(b.name, "function", None, dependencies=tuple(self._needs[b.name])) for b in self.branches]
        )
        branches = {branch.name: branch for branch in self.branches}
        return [step.name for place in order for step in in_order(branches[place.name].steps, known)]

    def _awaited(self) -> dict[str, list[str]]:
        """For each branch, the other ones of which it needs a step."""
        owners = {name: b.name for b in self.branches for step in b.steps for name in (step.name, step.id)}
        needs: dict[str, list[str]] = {}
        for branch in self.branches:
            own = {name for step in branch.steps for name in (step.name, step.id)}
            wanted = (name for step in branch.steps for name in step.dependencies if name not in own)
            needs[branch.name] = list(dict.fromkeys(owners[name] for name in wanted if name in owners))
        return needs

    async def run(self, run: WorkflowRun) -> Outcome:
        await run.phase("parallel_fork", {"branches": [b.name for b in self.branches]})
        results, stopped_early = await self._run_branches(run)
        await run.phase("parallel_join", {"branches": {r.branch.name: r.success for r in results}})
        failed = [r for r in results if not r.success and self._counts(r)]
        broken = next((r for r in failed if r.stopped), None)
        if broken is not None and not self.tolerant:
            raise _failure(run, broken, stopped_early)
        extra = self._extra(results, stopped_early)
        outputs = {r.branch.name: r.done.output for r in results if r.success}
        return Outcome(output=self.merge(outputs), extra=extra, success=not failed)

    def _counts(self, result: BranchResult) -> bool:
        """Whether the failure of this branch is one of the workflow."""
        return result.branch.required or not self.continue_on_optional

    async def _run_branches(self, run: WorkflowRun) -> tuple[list[BranchResult], bool]:
        """At most `max_concurrency` at once; a branch is begun when those that it needs have ended."""
        results = {branch.name: BranchResult(branch, cancelled=True) for branch in self.branches}
        turns = _Turns(self._needs)
        tasks: set[asyncio.Task[BranchResult]] = set()
        finished: asyncio.Queue[asyncio.Task[BranchResult]] = asyncio.Queue()
        stopped = False
        try:
            while (turns or tasks) and not stopped:
                begun = 0
                while turns and len(tasks) < self.max_concurrency:
                    task = asyncio.ensure_future(self._run_branch(run, results[turns.next()]))
                    task.add_done_callback(finished.put_nowait)
                    tasks.add(task)
                    begun += 1
                    if begun % BEGUN_AT_ONCE == 0:
                        await asyncio.sleep(0)
                task = await finished.get()
                tasks.discard(task)
                result = task.result()
                turns.ended(result.branch.name)
                stopped = self.fail_fast and result.stopped and self._counts(result)
            stopped = stopped and not all(result.ended for result in results.values())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not stopped:
            _pass_on_questions(results.values())
        return list(results.values()), stopped

    async def _run_branch(self, run: WorkflowRun, result: BranchResult) -> BranchResult:
        branch = result.branch
        started = time.perf_counter()
        frame = run.root.child({"branch": branch.name}, label=f"branch_{branch.name}")
        run.branches[branch.name] = frame.results
        try:
            async with time_limit(branch.timeout):
                result.done = await run.sequence(branch.steps, frame)
        except TimeoutError:
            result.error = f"branch '{branch.name}' did not finish within {branch.timeout:g} s"
        except ApprovalRequiredError as question:  # the other branches may finish, or ask something themselves
            result.question = question
        except WorkflowError as error:
            result.error = error.message
        result.cancelled = False
        result.duration_ms = (time.perf_counter() - started) * 1000
        result.ended = True
        await run.phase("parallel_synchronization", {"branch": branch.name, "success": result.success})
        return result

    def _extra(self, results: list[BranchResult], stopped_early: bool) -> dict[str, Any]:
        return {
            "total_branches": len(results),
            "successful_branches": sum(r.success for r in results),
            "failed_branches": sum(not r.success for r in results),
            "stopped_early": stopped_early,
            "max_concurrency": self.max_concurrency,
            "fail_fast": self.fail_fast,
            "branches": [result.to_dict() for result in results],
        }


class _Turns:
    """Which branches can begin, in the order in which they are written."""

    def __init__(self, needs: Mapping[str, list[str]]) -> None:
        self._waits = {name: set(needed) for name, needed in needs.items() if needed}
        self._ready = deque(name for name in needs if name not in self._waits)
        self._needed_by: dict[str, list[str]] = {}
        for name, needed in self._waits.items():
            for other in needed:
                self._needed_by.setdefault(other, []).append(name)

    def __bool__(self) -> bool:
        return bool(self._ready)

    def next(self) -> str:
        return self._ready.popleft()

    def ended(self, name: str) -> None:
        for other in self._needed_by.get(name, ()):
            self._waits[other].discard(name)
            if not self._waits[other]:
                self._ready.append(other)


Merge = Callable[[dict[str, Any]], Any]


def _merge_strategy(word: str) -> Merge:
    """How the outputs of the branches become the workflow's."""
    known: dict[str, Merge] = {
        "map": lambda outputs: outputs,
        "list": lambda outputs: list(outputs.values()),
        "concat": lambda outputs: "\n\n".join(text_of(value) for value in outputs.values()),
        "first": lambda outputs: next(iter(outputs.values()), None),
    }
    if word not in known:
        raise ValidationError(
            f"Unknown merge strategy: {word}", field="merge_strategy", hint=f"Use one of {', '.join(known)}."
        )
    return known[word]


def _agent_entry(agent: Any) -> dict[str, Any]:
    """`agents = {{agent = "name", tools = {...}}, "other"}`: a branch for each."""
    if isinstance(agent, Mapping) and "agent" in agent:
        entry = dict(agent)
        entry.setdefault(
            "name", agent["agent"] if isinstance(agent["agent"], str) else getattr(agent["agent"], "name", None)
        )
        return entry
    return {"name": agent if isinstance(agent, str) else getattr(agent, "name", None), "agent": agent}


def _pass_on_questions(results: Iterable[BranchResult]) -> None:
    for result in results:
        if result.question is not None:
            raise result.question


def _failure(run: WorkflowRun, result: BranchResult, stopped_early: bool) -> WorkflowError:
    if result.done.stopped is None:
        return WorkflowError(str(result.reason()), workflow=run.workflow.name)
    made = run.failure(result.done.stopped)
    rest = "; the other branches were stopped" if stopped_early else ""
    told = WorkflowError(
        f"branch '{result.branch.name}': {made.message}{rest}", hint=made.hint, step=made.step, workflow=made.workflow
    )
    told.__cause__ = made.__cause__
    return told
