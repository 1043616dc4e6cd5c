"""What every agent has: configuration, a lifecycle, counts, limits on one execution, and alerts on its metrics.

A custom agent subclasses `Agent` and writes `respond`:

    class Greeter(Agent):
        async def respond(self, input, context):
            return AgentOutput(f"Hello, {input.text}!")

    runtime.agents.add(Greeter(AgentConfig("greeter"), runtime))
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from llmspell_core.agent.config import AgentConfig
from llmspell_core.agent.lifecycle import Lifecycle, State
from llmspell_core.agent.place import Ledger, Place, current
from llmspell_core.component import BaseAgent, HookPoints, stream_once
from llmspell_core.errors import (
    ApprovalRequiredError,
    CancelledByHookError,
    ComponentError,
    LLMSpellError,
    ResourceLimitError,
    TimeoutError,
)
from llmspell_core.messages import AgentChunk, AgentInput, AgentOutput
from llmspell_core.time_limit import time_limit

if TYPE_CHECKING:
    from llmspell_core.agent.alerts import Alerts
    from llmspell_core.context import ExecutionContext
    from llmspell_core.desk import Desk

__all__ = ["Agent"]


class Agent(BaseAgent):
    """A component that answers. Subclasses write `respond`.

    Attributes:
        alerts: evaluated after each execution; None until some are configured.
    """

    component_type: ClassVar[Literal["agent"]] = "agent"
    input_fields: ClassVar[frozenset[str] | None] = None
    """What a table that is said to it may hold; None: whatever it likes to read."""
    hook_points: ClassVar[HookPoints | None] = HookPoints("BeforeAgentExecution", "AfterAgentExecution", "AgentError")

    def __init__(self, config: AgentConfig, desk: Desk) -> None:
        self.config = config
        self.name = config.name
        self.description = config.description
        self.lifecycle = Lifecycle(config.name, desk.hooks)
        self.executions = 0
        self.failures = 0
        self.busy_ms = 0.0
        self.tool_invocations = 0
        self.alerts: Alerts | None = None
        self._error: str | None = None
        self._desk = desk
        self._active = 0
        self._started = False

    @property
    def state(self) -> State:
        return self.lifecycle.state

    @property
    def last_error(self) -> str | None:
        """Why it is in Error, or why its last failed execution failed."""
        return self.lifecycle.last_error or self._error

    @property
    def supports_streaming(self) -> bool:
        return True

    @property
    def children(self) -> tuple[str, ...]:
        """Names of the agents it is made of."""
        return ()

    @abstractmethod
    async def respond(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        """The agent's own work, inside its limits."""

    async def execute_impl(self, input: AgentInput, context: ExecutionContext) -> AgentOutput:
        return await self.limited(lambda: self.respond(input, context), input, context)

    def stream_execute(self, input: AgentInput, context: ExecutionContext) -> AsyncIterator[AgentChunk]:
        """Text chunks as they come, then `end` with the whole output. Closing the iterator stops the run."""
        return stream_once(self, AgentInput.of(input), context)

    async def limited(
        self, work: Callable[[], Awaitable[AgentOutput]], input: AgentInput, context: ExecutionContext
    ) -> AgentOutput:
        """Do `work` as one execution: at a place in the run, in the state Running, counted, within its limits."""
        place = current()
        if place is None or place.agent is not self or place.is_taken:
            return await self._placed(place, work, input, context)
        place.is_taken = True
        self._check_depth(context)
        limit = self.config.limits.max_execution_time_secs
        if place.seconds is not None:
            limit = min(limit, place.seconds)
        await self._begin()
        started = time.perf_counter()
        try:
            async with time_limit(limit) as deadline:
                return await work()
        except LLMSpellError as error:
            self._note(error, place)
            raise
        except Exception as error:
            told = self._told(error, deadline, place)
            self._note(told, place)
            raise told from error
        finally:
            place.seconds = (deadline.when() or 0.0) - asyncio.get_running_loop().time()
            await self._finish(started)

    async def _placed(
        self,
        above: Place | None,
        work: Callable[[], Awaitable[AgentOutput]],
        input: AgentInput,
        context: ExecutionContext,
    ) -> AgentOutput:
        """An execution that did not come through `run_agent`: below what is under way, or a run of its own."""
        place = Place(Ledger(), self.name, self) if above is None else above.below(self.name, self)
        with place.entered():
            if above is not None:
                return await self.limited(work, input, context)
            from llmspell_core.agent.resuming import agent_root, whole_run

            return await whole_run(
                self._desk,
                place,
                lambda: agent_root(self, input, self._desk),
                context,
                lambda: self.limited(work, input, context),
            )

    def _note(self, error: LLMSpellError, place: Place) -> None:
        place.note()
        if not isinstance(error, ApprovalRequiredError):
            self.failures += 1
            self._error = error.message

    def _check_depth(self, context: ExecutionContext) -> None:
        place = current()
        if place is not None and place.budget is not None:
            place.budget.check_depth()
        limit = self.config.limits.max_recursion_depth
        if context.agent_depth > limit:
            raise ResourceLimitError(
                f"agent '{self.name}' is called by agents that call each other",
                hint="Raise max_recursion_depth, or let an agent not call its callers.",
                resource="recursion depth",
                limit=limit,
                used=context.agent_depth,
            )

    async def _begin(self) -> None:
        lifecycle = self.lifecycle
        if not lifecycle.can_execute:
            await lifecycle.prepare()
        self._active += 1
        if lifecycle.state == "Ready":
            try:
                await lifecycle.go("Running")
            except BaseException:
                self._active -= 1
                raise

    async def _finish(self, started: float) -> None:
        self._active -= 1
        self.executions += 1
        self.busy_ms += (time.perf_counter() - started) * 1000
        if not self._active and not self._started and self.lifecycle.state == "Running":
            with contextlib.suppress(CancelledByHookError):  # a hook keeps it in Running, where it can execute as well
                await self.lifecycle.go("Ready")
        if self.alerts is not None:
            self.alerts.evaluate(self)

    def _told(self, error: Exception, deadline: asyncio.Timeout, place: Place) -> LLMSpellError:
        """The error that callers see of one that is not ours."""
        if isinstance(error, builtins.TimeoutError) and deadline.expired():
            return self._timed_out(place)
        return ComponentError(
            f"agent '{self.name}' failed: {type(error).__name__}: {error}",
            hint="The code of the agent, or of something it uses, raised this; it looks like a defect there.",
        )

    def _timed_out(self, place: Place) -> TimeoutError:
        """The error of this execution's time limit, which may be what another agent left of its own."""
        own = self.config.limits.max_execution_time_secs
        first = place.budget.above if place.budget is not None else None
        if place.seconds is None or place.seconds >= own or first is None or first.limits is None:
            what, owner, limit = f"agent '{self.name}' did not finish within {own:g} s", self.name, own
        else:
            owner, limit = first.agent, first.limits.max_execution_time_secs
            what = f"agent '{owner}' and those it handed over to did not finish within {limit:g} s; '{self.name}' was at work"
        hint = f"Raise max_execution_time(seconds) on the builder of '{owner}', or give it less to do."
        return TimeoutError(what, hint=hint, duration_ms=int(limit * 1000))

    # -- the lifecycle -------------------------------------------------------------------------------------------------

    async def initialize(self) -> None:
        await self.lifecycle.initialize()

    async def start(self) -> None:
        """To Running, where it stays between executions until it is stopped."""
        await self.lifecycle.go("Running")
        self._started = True

    async def pause(self) -> None:
        """Refuse new executions; those under way wait before their next turn."""
        await self.lifecycle.pause()
        await self._auto_save()

    async def resume(self) -> None:
        await self.lifecycle.resume()

    async def stop(self) -> None:
        """Back to Ready; executions under way end before their next turn, with an error."""
        await self.lifecycle.go("Ready", "stopped")
        self._started = False
        self.lifecycle.epoch += 1
        await self._auto_save()

    async def recover(self) -> None:
        await self.lifecycle.recover()
        self._error = None

    async def set_error(self, message: str) -> None:
        await self.lifecycle.set_error(message)

    async def terminate(self) -> None:
        """For good. Raises: CancelledByHookError when a hook wants it to stay."""
        if self.lifecycle.state == "Uninitialized":
            await self.lifecycle.initialize()
        await self.lifecycle.go("Terminating")
        self.lifecycle.epoch += 1
        await self.lifecycle.go("Terminated")

    def end(self) -> None:
        """Like `terminate`, at once and without asking hooks: its owner is going away."""
        self.lifecycle.end()

    async def _auto_save(self) -> None:
        """Keep what should outlive a pause; agents with a memory of their own override it."""

    # -- numbers -------------------------------------------------------------------------------------------------------

    def metrics(self) -> dict[str, Any]:
        done = max(self.executions, 1)
        return {
            "requests_total": self.executions,
            "requests_failed": self.failures,
            "requests_active": self._active,
            "tool_invocations": self.tool_invocations,
            "avg_execution_time_ms": self.busy_ms / done,
            "success_rate": (self.executions - self.failures) / done,
            "error_rate": self.failures / done,
        }
