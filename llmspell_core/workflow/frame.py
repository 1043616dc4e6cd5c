"""What a step can see while it runs: variables, inputs, shared data and the results of the steps before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import WorkflowError
from llmspell_core.workflow.placeholder import MISSING

if TYPE_CHECKING:
    from llmspell_core.workflow.record import StepResult
    from llmspell_core.workflow.run import WorkflowRun

__all__ = ["Frame"]


class Frame:
    """One level of a run: the whole of it, a branch, or an iteration. Inner levels see the outer ones."""

    __slots__ = ("before", "label", "parent", "results", "run", "variables")

    def __init__(
        self,
        run: WorkflowRun,
        variables: Mapping[str, Any] | None = None,
        *,
        parent: Frame | None = None,
        label: str | None = None,
    ) -> None:
        self.run = run
        self.parent = parent
        self.label = label
        """`branch_<name>` or `iteration_<n>`: part of the state keys of its steps."""
        self.variables: dict[str, Any] = {**(parent.variables if parent else {}), **(variables or {})}
        self.results: dict[str, StepResult] = {}
        self.before: Mapping[str, StepResult] | None = None

    def child(self, variables: Mapping[str, Any] | None = None, *, label: str | None = None) -> Frame:
        return Frame(self.run, variables, parent=self, label=label or self.label)

    def apart(self, before: Mapping[str, StepResult]) -> Frame:
        """The same level for one of many steps that run beside each other: it sees `before`, and none of the others."""
        made = self.child()
        made.before = before
        return made

    def result(self, name: str) -> StepResult | None:
        """The newest result of a step, of this level first."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.results:
                return frame.results[name]
            if frame.before is not None:
                return frame.before.get(name)
            frame = frame.parent
        found = self.run.results.get(name)
        return found if found is not None or self.run.outer is None else self.run.outer.result(name)

    # -- for placeholders ---------------------------------------------------------------------------------------------

    def is_step(self, name: str) -> bool:
        return name in self.run.step_names or (self.run.outer is not None and self.run.outer.is_step(name))

    def has_run(self, name: str) -> bool:
        found = self.result(name)
        return found is not None and found.success

    def output_of(self, name: str) -> tuple[Any, Any]:
        found = self.result(name)
        return (None, None) if found is None else (found.output, found.details)

    def branch_output(self, branch: str, step: str) -> Any:
        found = self.run.branches.get(branch, {}).get(step)
        if found is None and self.run.outer is not None:
            return self.run.outer.branch_output(branch, step)
        return found.output if found is not None and found.success else MISSING

    def variable_or(self, name: str, default: Any) -> Any:
        return self.variables.get(name, default)

    def input_or(self, key: str, default: Any) -> Any:
        if key in self.run.fields:
            return self.run.fields[key]
        return self.run.input.text if key in {"text", "input"} and self.run.input.text else default

    def shared_or(self, key: str, default: Any) -> Any:
        return self.run.shared.get(key, default)

    def names(self) -> list[str]:
        run = self.run
        own = [*self.variables, *run.fields, *run.shared, *run.step_names, *(("text",) if run.input.text else ())]
        return own if run.outer is None else [*own, *run.outer.names()]

    # -- for conditions -----------------------------------------------------------------------------------------------

    def shared_value(self, key: str) -> Any:
        return self.run.shared.get(key, self.run.fields.get(key))

    def has_shared(self, key: str) -> bool:
        return self.shared_value(key) is not None

    def input_value(self, key: str) -> Any:
        return self.input_or(key, None)

    def variable(self, name: str) -> Any:
        return self.variables.get(name)

    def step_state(self, step: str) -> Mapping[str, Any]:
        found = self.result(step) or self._by_id(step)
        if found is not None:
            return {"success": found.success, "output": found.output, "error": found.error}
        if not self.is_step(step) and step not in self.run.known:
            raise WorkflowError(f"there is no step '{step}' in this workflow", step=step)
        return {"success": False, "output": None, "error": None}

    def _by_id(self, step: str) -> StepResult | None:
        return next((r for r in self.all_results().values() if r.step_id == step), None)

    def function_context(self) -> dict[str, Any]:
        """What custom steps and condition functions get; fields of the input are there under their own names too."""
        run = self.run
        seen = self.all_results()
        steps = {name: result.output for name, result in seen.items() if result.success}
        return {
            **run.fields,
            "input": {"text": run.input.text, **run.fields},
            "steps": steps,
            "shared_data": dict(run.shared),
            "execution_id": run.id,
            "workflow_name": run.workflow.name,
            **self.variables,
        }

    def all_results(self) -> dict[str, StepResult]:
        """The newest result of every step that this level can see."""
        if self.before is not None:
            return {**self.before, **self.results}
        if self.parent is not None:
            return {**self.parent.all_results(), **self.results}
        if self.run.outer is None:
            return dict(self.run.results)  # what this level has is there, too
        return {**self.run.outer.all_results(), **self.run.results}
