"""Where results of executions are kept: in the runtime's state, under `workflow:<execution>:`.

A state that has no room any more forgets the oldest executions first. What does not fit even then is left out of it; the
execution goes on, and its own result has everything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError, ResourceLimitError, WorkflowError
from llmspell_core.messages import plain

if TYPE_CHECKING:
    from llmspell_core.state import State, StateStore
    from llmspell_core.workflow.frame import Frame
    from llmspell_core.workflow.record import StepResult
    from llmspell_core.workflow.step import Step

__all__ = ["Finished", "Results"]

log = logging.getLogger("llmspell.workflow")
ABOUT = (
    "step_id",
    "step_name",
    "success",
    "error",
    "duration_ms",
    "retry_count",
    "step_type",
    "target",
    "fallback_used",
)


class Results:
    """What one execution has written; `keys` are the full ones, in order."""

    def __init__(self, state: State, execution: str) -> None:
        self._state = state
        self._prefix = f"workflow:{execution}:"
        self.keys: dict[str, None] = {}
        self.is_complete = True

    async def put(self, key: str, value: Any) -> None:
        """Write `workflow:<execution>:<key>`. Raises: WorkflowError when the store refuses."""
        full = self._prefix + key
        try:
            await self._state.set(full, plain(value))
        except ResourceLimitError as error:
            if self.is_complete:
                log.warning("results of %s are not all in the state: %s", self._prefix[:-1], error.message)
            self.is_complete = False
        except LLMSpellError as error:
            raise WorkflowError(f"the state could not be written: {error.message}", hint=error.hint) from error
        else:
            self.keys[full] = None

    async def save(self, step: Step, result: StepResult, frame: Frame) -> None:
        """Write down how a step went, and its output in all the places where it is looked for."""
        metadata = {name: getattr(result, name) for name in ABOUT}
        metadata |= {"duration": result.duration, "error_type": result.error_type}
        await self.put(f"step:{step.name}:metadata", metadata)
        if not result.success:
            return
        record = {
            "step_name": step.name,
            "step_id": step.id,
            "output": result.output,
            "duration_ms": result.duration_ms,
            "retry_count": result.retry_count,
        }
        await self.put(step.name, record)
        await self.put(f"step:{step.name}:output", result.output)
        if frame.label:
            await self.put(f"{frame.label}:{step.name}", record)
        if step.kind in {"agent", "workflow"}:
            place = f"{'agent' if step.kind == 'agent' else 'nested'}:{result.target}"
            await self.put(f"{place}:output", result.output)
            await self.put(
                f"{place}:metadata", {**metadata, "details": result.details if step.kind == "agent" else None}
            )


class Finished:
    """The executions that have ended, oldest first."""

    def __init__(self, state: StateStore) -> None:
        self._state = state
        self._keys: list[Iterable[str]] = []
        if not state.durable:
            state.on_full = self.forget_oldest

    def add(self, results: Results) -> None:
        self._keys.append(results.keys)

    async def forget_oldest(self) -> bool:
        """Delete what the oldest execution has left; whether there was one."""
        if not self._keys:
            return False
        for key in list(self._keys.pop(0)):
            await self._state.delete(key)
        return True
