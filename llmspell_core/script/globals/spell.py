"""The script globals `Spell` and `ErrorStrategy`: the shortest way from an idea to a running workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.script.declare import Function, Global, Handle, Param
from llmspell_core.script.globals.workflow import make
from llmspell_core.script.globals.workflow_instance import INPUT, execute, live
from llmspell_core.workflow.strategy import BreakerSettings
from llmspell_core.workflow.workflow import Workflow

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope
    from llmspell_core.script.values import View


class Spell:
    """A named workflow that is ready to be cast."""

    def __init__(self, name: str, description: str, workflow: Workflow) -> None:
        self.name = name
        self.description = description
        self.workflow = workflow


def create(scope: ScriptScope, config: dict[str, Any]) -> Spell:
    """`{name, workflow, error_strategy?, description?}`; `workflow` may also be a table, or a list of steps."""
    table = live(scope, config)
    workflow = table.get("workflow", table.get("steps"))
    if isinstance(workflow, (list, Mapping)) and workflow:
        type_ = str(workflow.get("type") or "sequential") if isinstance(workflow, Mapping) else "sequential"
        workflow = make(scope, type_, workflow)
    if isinstance(workflow, str):
        workflow = scope.runtime.workflows.find(workflow)
    if not isinstance(workflow, Workflow):
        raise ValidationError(
            "Spell.create: 'workflow' is required", field="workflow", hint="Give it Workflow.sequential({...})."
        )
    changes = _changes(table, workflow)
    if changes:
        workflow = scope.runtime.workflows.variant(workflow, **changes)
    return Spell(str(table.get("name") or workflow.name), str(table.get("description") or ""), workflow)


def _changes(table: Mapping[str, Any], workflow: Workflow) -> dict[str, Any]:
    """What the spell says of its workflow: how it deals with failures, and a name if it has none."""
    changes: dict[str, Any] = {}
    strategy = table.get("error_strategy")
    if strategy is not None:
        changes = {"error_strategy": strategy, "on_error": None, "max_retries": None}
    if table.get("name") and workflow.definition.option("name") is None:
        changes["name"] = str(table["name"])
    return changes


async def cast(scope: ScriptScope, spell: Spell, input_: Any) -> View | dict[str, Any]:
    return await execute(scope, spell.workflow, input_)


def _strategy(kind: str) -> Any:
    def make_table(_scope: ScriptScope, options: dict[str, Any] | None = None) -> dict[str, Any]:
        return {**(options or {}), "type": kind}

    return make_table


def _options(*names: str) -> tuple[Param, ...]:
    return (Param("options", "object", required=False, callbacks=("*",), options=names),)


BREAKER = tuple(each.name for each in fields(BreakerSettings))

STRATEGIES = Global(
    "ErrorStrategy",
    needs=("workflows",),
    doc="What happens when a step fails, as tables for `error_strategy`.",
    functions=(
        Function(
            "cascade",
            _strategy("cascade"),
            _options("retry_count", "backoff_ms", "circuit_breaker", "fallback", "step", "value", "on_exhausted"),
            "object",
            "Retry, then a circuit breaker, then a fallback: `retry_count`, `circuit_breaker`, `fallback`, `on_exhausted`.",
        ),
        Function(
            "retry",
            _strategy("retry"),
            _options("max_attempts", "backoff_ms"),
            "object",
            "Run it again: `max_attempts`, `backoff_ms`.",
        ),
        Function(
            "circuit_breaker",
            _strategy("circuit_breaker"),
            _options("circuit_breaker", *BREAKER),
            "object",
            "Stop calling what is broken: `failure_threshold`, `open_duration_ms`.",
        ),
        Function(
            "fallback",
            _strategy("fallback"),
            _options("fallback", "step", "value"),
            "object",
            "Take something else: `step` or `value`.",
        ),
        Function("fail_fast", _strategy("fail_fast"), returns="object", doc="The first failure ends the workflow."),
        Function("continue_on_error", _strategy("continue"), returns="object", doc="Note it and go on."),
    ),
)

GLOBAL = Global(
    "Spell",
    doc="A whole workflow in one table: `Spell.create({...}):cast({...})`.",
    handles=(
        Handle(
            "Spell",
            fields=("name", "description"),
            doc="A workflow that is ready to be cast.",
            methods=(
                Function(
                    "cast",
                    cast,
                    (INPUT,),
                    "object",
                    "Run it with these fields; the result is that of a workflow.",
                    blocking=True,
                    async_variant=True,
                ),
            ),
        ),
    ),
    functions=(
        Function(
            "create",
            create,
            (
                Param(
                    "config",
                    "object",
                    callbacks=("*",),
                    options=("name", "workflow", "steps", "error_strategy", "description"),
                    doc="`name`, `workflow` (or `steps`), `error_strategy`, `description`.",
                ),
            ),
            "Spell",
            "Make a spell.",
        ),
    ),
    needs=("workflows",),
)
