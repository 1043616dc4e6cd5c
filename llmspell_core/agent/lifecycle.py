"""The states an agent goes through, what may follow what, and the record of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmspell_core.errors import CancelledByHookError, ComponentError
from llmspell_core.hooks import HookContext
from llmspell_core.messages import new_id

if TYPE_CHECKING:
    from llmspell_core.hooks import Hooks

__all__ = ["Lifecycle", "State", "Transition"]

State = Literal[
    "Uninitialized",
    "Initializing",
    "Ready",
    "Running",
    "Paused",
    "Terminating",
    "Terminated",
    "Error",
    "Recovering",
]

ALLOWED: dict[State, tuple[State, ...]] = {
    "Uninitialized": ("Initializing", "Error"),
    "Initializing": ("Ready", "Error", "Terminating"),
    "Ready": ("Running", "Paused", "Terminating", "Error"),
    "Running": ("Ready", "Paused", "Terminating", "Error"),
    "Paused": ("Ready", "Running", "Terminating", "Error"),
    "Error": ("Recovering", "Terminating", "Terminated"),
    "Recovering": ("Ready", "Error", "Terminating"),
    "Terminating": ("Terminated", "Error"),
    "Terminated": (),
}
NAMED_POINTS: dict[State, str] = {
    "Initializing": "BeforeAgentInit",
    "Terminating": "BeforeAgentShutdown",
    "Terminated": "AfterAgentShutdown",
    "Error": "AgentError",
    "Paused": "agent_paused",
    "Recovering": "agent_recovering",
}
MAX_RECOVERIES = 3
KEPT = 200


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state. `timestamp` in Unix seconds, `elapsed` the seconds spent in `source`."""

    source: State
    target: State
    timestamp: float
    elapsed: float
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        data = {"from": self.source, "to": self.target, "timestamp": self.timestamp, "elapsed": self.elapsed}
        return data | ({"reason": self.reason} if self.reason else {})


class Lifecycle:
    """The state of one agent. `go` asks the hooks, whose Cancel vetoes; `move` does not.

    Args:
        hooks: None when there is nobody to ask (an agent without a runtime).
    """

    def __init__(self, name: str, hooks: Hooks | None = None) -> None:
        self.name = name
        self.state: State = "Uninitialized"
        self.history: deque[Transition] = deque(maxlen=KEPT)
        self.total = 0
        self.error_count = 0
        self.recovery_attempts = 0
        self.last_error: str | None = None
        self.epoch = 0
        """Counts stops: an execution that began in an earlier epoch ends before its next turn."""
        self.hooks = hooks
        self._created = self._entered = time.monotonic()
        self._times: dict[str, float] = {}
        self._before_pause: State = "Ready"
        self._resumed: asyncio.Event | None = None
        self._preparing: asyncio.Lock | None = None

    @property
    def can_execute(self) -> bool:
        return self.state == "Ready" or self.state == "Running"

    @property
    def is_healthy(self) -> bool:
        return self.state not in {"Error", "Recovering", "Terminating", "Terminated"}

    def move(self, target: State, reason: str | None = None) -> None:
        """Raises: ComponentError when `target` may not follow the present state."""
        if target not in ALLOWED[self.state]:
            raise self._illegal(target)
        self._enter(target, reason)

    def _enter(self, target: State, reason: str | None) -> None:
        source, now = self.state, time.monotonic()
        elapsed = now - self._entered
        self.history.append(Transition(source, target, time.time(), elapsed, reason))
        self._times[source] = self._times.get(source, 0.0) + elapsed
        self._entered = now
        self.total += 1
        self.state = target
        if self._resumed is not None and target != "Paused":
            self._resumed.set()

    def _illegal(self, target: State) -> ComponentError:
        following = ", ".join(ALLOWED[self.state]) or "nothing"
        return ComponentError(
            f"agent '{self.name}' cannot go from {self.state} to {target}", hint=f"{self.state} allows: {following}."
        )

    async def go(self, target: State, reason: str | None = None) -> None:
        """Raises: ComponentError, or CancelledByHookError when a hook vetoes; the state is unchanged then."""
        if target not in ALLOWED[self.state]:
            raise self._illegal(target)
        if self.hooks is not None and self.hooks.active:
            await self._ask(self.hooks, target, reason)
        self.move(target, reason)

    async def _ask(self, hooks: Hooks, target: State, reason: str | None) -> None:
        named = "AfterAgentInit" if (self.state, target) == ("Initializing", "Ready") else NAMED_POINTS.get(target)
        points = (f"agent_state_{self.state}_exit", named, f"agent_state_{target}_enter")
        data = {"from": self.state, "to": target, "reason": reason}
        for point in points:
            if point is not None and point in hooks.active:
                await hooks.run(HookContext(point, self.name, "agent", dict(data), new_id()))

    async def _become_ready(self) -> None:
        try:
            await self.go("Ready")
        except CancelledByHookError as error:
            self.fail(error.message)
            raise

    async def initialize(self) -> None:
        await self.go("Initializing")
        await self._become_ready()

    async def prepare(self) -> None:
        """Initialise an agent that was never used. Raises: ComponentError when it cannot execute."""
        if self.state in {"Uninitialized", "Initializing"}:
            if self._preparing is None:
                self._preparing = asyncio.Lock()
            async with self._preparing:
                if self.state == "Uninitialized":
                    await self.initialize()
        if not self.can_execute:
            raise ComponentError(
                f"agent '{self.name}' is {self.state.lower()} and cannot execute", hint=_way_out(self.state)
            )

    async def pause(self) -> None:
        before = self.state
        await self.go("Paused")
        self._before_pause = before
        self._resumed = asyncio.Event()

    async def resume(self) -> None:
        """Back to the state it was paused in."""
        if self.state != "Paused":
            raise ComponentError(f"agent '{self.name}' is {self.state.lower()}, not paused")
        await self.go(self._before_pause)

    async def checkpoint(self, epoch: int) -> None:
        """Where an execution waits while the agent is paused. Raises: ComponentError when it was stopped meanwhile."""
        while self.state == "Paused" and self._resumed is not None:
            await self._resumed.wait()
        if epoch != self.epoch:
            raise ComponentError(f"agent '{self.name}' was stopped")

    async def recover(self) -> None:
        """Raises: ComponentError after three attempts, or when there is nothing to recover from."""
        if self.state == "Error" and self.recovery_attempts >= MAX_RECOVERIES:
            raise ComponentError(
                f"agent '{self.name}' did not recover in {MAX_RECOVERIES} attempts",
                hint=f"Its last error: {self.last_error}. Build a new one.",
            )
        await self.go("Recovering")
        self.recovery_attempts += 1
        await self._become_ready()
        self.last_error = None

    def fail(self, message: str) -> None:
        """Into Error, without asking anybody."""
        self.move("Error", message)
        self.error_count += 1
        self.last_error = message

    async def set_error(self, message: str) -> None:
        await self.go("Error", message)
        self.error_count += 1
        self.last_error = message

    def end(self) -> None:
        """To Terminated from wherever it is, without asking anybody."""
        self.epoch += 1
        if self.state != "Terminated":
            self._enter("Terminated", None)

    def metrics(self) -> dict[str, Any]:
        now = time.monotonic()
        times = dict(self._times)
        times[self.state] = times.get(self.state, 0.0) + now - self._entered
        data = {
            "current_state": self.state,
            "total_transitions": self.total,
            "error_count": self.error_count,
            "recovery_attempts": self.recovery_attempts,
            "uptime": now - self._created,
            "is_healthy": self.is_healthy,
            "state_time_distribution": times,
        }
        return data | ({"last_transition": self.history[-1].timestamp} if self.history else {})


def _way_out(state: State) -> str:
    ways = {"Paused": "Resume it first.", "Error": "Recover it first.", "Recovering": "Wait until it has recovered."}
    return ways.get(state, "Build a new agent.")
