"""A workflow as a script holds it: running it, its outputs, shared data, callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import NotFoundError, ValidationError, WorkflowError
from llmspell_core.events import Event
from llmspell_core.hooks.points import WORKFLOW_PHASES
from llmspell_core.messages import plain
from llmspell_core.script.declare import Function, Handle, Param
from llmspell_core.script.reference import is_function, is_object
from llmspell_core.script.view import View, once
from llmspell_core.workflow.run import WorkflowRun
from llmspell_core.workflow.workflow import Workflow

if TYPE_CHECKING:
    from llmspell_core.messages import AgentOutput
    from llmspell_core.script.scope import ScriptScope

TOP = ("success", "status", "outputs", "output", "error")
STATES = {"pending": "ready", "partially_completed": "completed", "cancelled": "failed"}


def result_view(output: AgentOutput) -> dict[str, Any]:
    """The table of one execution: `text`, `success`, `status`, `outputs`, `output`, `metadata.extra`, ..."""
    extra = plain(output.metadata.extra)
    elapsed = output.metadata.execution_time_ms or 0
    view: dict[str, Any] = {
        "text": output.text,
        "media": [m.to_dict() for m in output.media],
        "tool_calls": [c.to_dict() for c in output.tool_calls],
        "metadata": {"execution_time_ms": elapsed, "extra": {k: v for k, v in extra.items() if k not in TOP}},
        "success": extra.get("success", True),
        "status": extra.get("status", "completed"),
        "execution_id": extra.get("execution_id"),
        "workflow_type": extra.get("workflow_type"),
        "outputs": extra.get("outputs", {}),
        "output": extra.get("output"),
        "data": extra.get("outputs", {}),
        "duration_ms": elapsed,
    }
    if "error" in extra:
        view["error"] = extra["error"]
    return view


async def execute(scope: ScriptScope, workflow: Workflow, input_: Any) -> View | dict[str, Any]:
    given = scope.resolve(input_)
    return once(result_view(await scope.runtime.run_workflow(workflow, given, scope.context)))


def get_info(_scope: ScriptScope, workflow: Workflow) -> dict[str, Any]:
    return {"id": workflow.id, "name": workflow.name, "type": workflow.type}


def _last(workflow: Workflow) -> WorkflowRun:
    if workflow.last is None:
        raise WorkflowError("No workflow execution found. Run execute() first.", workflow=workflow.name)
    return workflow.last


def get_output(_scope: ScriptScope, workflow: Workflow, step: str) -> Any:
    found = _last(workflow).results.get(step)
    return plain(found.output) if found is not None and found.success else None


def get_all_outputs(_scope: ScriptScope, workflow: Workflow) -> dict[str, Any]:
    return {name: plain(r.output) for name, r in _last(workflow).results.items() if r.success}


def list_outputs(_scope: ScriptScope, workflow: Workflow) -> list[str]:
    return [name for name, result in _last(workflow).results.items() if result.success]


async def clear_outputs(scope: ScriptScope, workflow: Workflow) -> dict[str, int]:
    run = _last(workflow)
    deleted = sum(result.success for result in run.results.values())
    run.results.clear()
    for key in await scope.runtime.state.keys(f"workflow:{run.id}:"):
        await scope.runtime.state.delete(key)
    return {"deleted": deleted}


def get_execution_id(_scope: ScriptScope, workflow: Workflow) -> str:
    return _last(workflow).id


async def set_shared_data(scope: ScriptScope, workflow: Workflow, key: str, value: Any) -> None:
    for full in (f"workflow:{workflow.id}:shared:{key}", f"shared:{key}"):
        await scope.runtime.state.set(full, value)
    workflow.shared[key] = value


def get_shared_data(_scope: ScriptScope, workflow: Workflow, key: str) -> Any:
    newest = workflow.last.shared if workflow.last else {}
    return workflow.shared.get(key, newest.get(key))


async def set_state(scope: ScriptScope, workflow: Workflow, key: str, value: Any) -> bool:
    await scope.runtime.state.set(f"workflow:{workflow.id}:{key}", value)
    return True


async def get_state(scope: ScriptScope, workflow: Workflow, key: str) -> Any:
    return await scope.runtime.state.get(f"workflow:{workflow.id}:{key}")


def _listen(event: str) -> Any:
    def register(scope: ScriptScope, workflow: Workflow, function: int) -> dict[str, str]:
        scope.on_close(workflow.on(event, scope.callback(function)))
        return {
            "message": f"callback registered for {event}",
            "workflow_id": workflow.id,
            "hook_type": EVENTS.get(event, event),
        }

    return register


EVENTS = {"before_start": "before_execute", "after_complete": "after_execute"}
NAMES = {name: event for event, name in EVENTS.items()}
LISTENED = (
    *("before_start", "after_complete", "on_error", "before_step", "after_step", "on_step_error"),
    *("WorkflowStageTransition", "WorkflowCheckpoint", "WorkflowRollback", *sorted(WORKFLOW_PHASES)),
)


def on(scope: ScriptScope, workflow: Workflow, event: str, function: int) -> dict[str, str]:
    """Raises: ValidationError, an event that no workflow of this type has; its listener would never be called."""
    name = NAMES.get(event, event)
    known = (*LISTENED, *getattr(scope.runtime.workflows.type(workflow.type), "phases", ()))
    if name not in known:
        near = get_close_matches(event, known, n=2)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Use one of {', '.join(known)}."
        raise ValidationError(f"Unknown workflow event: {event}", field="event", hint=hint)
    found: dict[str, str] = _listen(name)(scope, workflow, function)
    return found


def emit(scope: ScriptScope, workflow: Workflow, event: str, data: Any) -> dict[str, Any]:
    about = {"workflow_id": workflow.id, "workflow_name": workflow.name, "workflow_type": workflow.type}
    scope.runtime.events.publish(Event(event, {**about, "data": data}, language=scope.language))
    return {"success": True, "workflow_id": workflow.id, "event_name": event}


def debug(_scope: ScriptScope, workflow: Workflow) -> dict[str, Any]:
    keys = list(workflow.last.state_keys) if workflow.last else []
    runtime = {"created_at": workflow.created_at, "state_keys": keys}
    return {"workflow_id": workflow.id, "name": workflow.name, "type": workflow.type, "runtime": runtime}


def validate(scope: ScriptScope, workflow: Workflow) -> dict[str, Any]:
    errors = workflow.validate()
    warnings = [w for step in workflow.get_steps() if (w := _absent(scope, step.kind, step.target)) is not None]
    return {"valid": not errors, "workflow_id": workflow.id, "warnings": warnings, "errors": errors}


def _absent(scope: ScriptScope, kind: str, target: Any) -> str | None:
    """A target that is not there yet; it may still be made before the workflow runs."""
    if not isinstance(target, str):
        return None
    finders = {
        "tool": scope.runtime.tools.find,
        "agent": scope.runtime.agents.find,
        "workflow": scope.runtime.workflows.find,
        "template": scope.runtime.templates.find,
    }
    try:
        finders[kind](target)
    except NotFoundError as error:
        return error.message
    return None


def get_metrics(_scope: ScriptScope, workflow: Workflow) -> dict[str, Any]:
    totals = workflow.totals
    execution: dict[str, Any] = {
        "total_executions": totals.executions,
        "successful_executions": totals.successful,
        "failed_executions": totals.executions - totals.successful,
        "average_duration_ms": totals.duration_ms / max(totals.executions, 1),
    }
    if totals.last is not None:
        execution["last_execution_time"] = round(totals.last * 1000)
    return {"workflow_id": workflow.id, "execution": execution}


def get_status(_scope: ScriptScope, workflow: Workflow) -> dict[str, str]:
    return {"state": STATES.get(workflow.status, workflow.status)}


def add_step(scope: ScriptScope, workflow: Workflow, step: Mapping[str, Any]) -> None:
    scope.keep()
    workflow.add_step(live(scope, step))


def live(scope: ScriptScope, value: Any) -> Any:
    """`value` with its functions made callable and its handles replaced by their objects."""
    if is_function(value):
        return scope.callback(value)
    if is_object(value):
        return scope.get(value)
    if isinstance(value, dict):
        return {key: live(scope, item) for key, item in value.items()}
    return [live(scope, item) for item in value] if isinstance(value, list) else value


KEY = Param("key", "string")
FUNCTION = Param("function", "function", doc="Gets a table; may return `{continue_execution, state_updates, message}`.")
INPUT = Param(
    "input", "any", required=False, doc="A table of fields for placeholders; `text` is the text; or a string."
)
REGISTERED = "`message`, `workflow_id`, `hook_type`."

WORKFLOW = Handle(
    "Workflow",
    fields=("id", "name", "type"),
    doc="A workflow.",
    methods=(
        Function(
            "execute",
            execute,
            (INPUT,),
            "object",
            "Run it; raises when it fails. `text`, `success`, `status`, `outputs`, `output`, `metadata.extra`.",
            blocking=True,
            async_variant=True,
        ),
        Function("get_info", get_info, returns="object", doc="`id`, `name`, `type`.", aliases=("getInfo",)),
        Function("get_output", get_output, (Param("step", "string"),), "any", "A step's output of the last execution."),
        Function("get_all_outputs", get_all_outputs, returns="object", doc="Step name -> output."),
        Function("list_outputs", list_outputs, returns="array", doc="Names of steps that have an output."),
        Function("clear_outputs", clear_outputs, returns="object", doc="Forget them, in the state too: `deleted`."),
        Function("get_execution_id", get_execution_id, returns="string", doc="Of the last execution."),
        Function(
            "set_shared_data",
            set_shared_data,
            (KEY, Param("value", "any", required=False)),
            "null",
            "Data that conditions and placeholders of later executions see.",
        ),
        Function("get_shared_data", get_shared_data, (KEY,), "any", "A value of the shared data."),
        Function(
            "set_state",
            set_state,
            (KEY, Param("value", "any", required=False)),
            "boolean",
            "Store a value, until the runtime ends.",
            aliases=("setState",),
        ),
        Function("get_state", get_state, (KEY,), "any", "A stored value.", aliases=("getState",)),
        Function(
            "on_before_execute",
            _listen("before_start"),
            (FUNCTION,),
            "object",
            f"Call a function before each execution: {REGISTERED}",
            aliases=("onBeforeExecute",),
        ),
        Function(
            "on_after_execute",
            _listen("after_complete"),
            (FUNCTION,),
            "object",
            f"Call a function after each execution that succeeded: {REGISTERED}",
            aliases=("onAfterExecute",),
        ),
        Function(
            "on_error",
            _listen("on_error"),
            (FUNCTION,),
            "object",
            f"Call a function when it fails: {REGISTERED}",
            aliases=("onError",),
        ),
        Function(
            "on_before_step",
            _listen("before_step"),
            (FUNCTION,),
            "object",
            f"Call a function before each step: {REGISTERED}",
        ),
        Function(
            "on_after_step",
            _listen("after_step"),
            (FUNCTION,),
            "object",
            f"Call a function after each step: {REGISTERED}",
        ),
        Function(
            "on_step_error",
            _listen("on_step_error"),
            (FUNCTION,),
            "object",
            f"Call a function when a step has failed; it may return `skip`: {REGISTERED}",
        ),
        Function(
            "on",
            on,
            (Param("event", "string", doc="A phase, e.g. `loop_iteration_start`."), FUNCTION),
            "object",
            f"Call a function at any phase of an execution: {REGISTERED}",
        ),
        Function(
            "emit",
            emit,
            (Param("event", "string"), Param("data", "any", required=False)),
            "object",
            "Publish an event of this workflow: `success`, `workflow_id`, `event_name`.",
        ),
        Function("debug", debug, returns="object", doc="`workflow_id`, `name`, `type`, `runtime`."),
        Function("validate", validate, returns="object", doc="`valid`, `errors`, `warnings`, `workflow_id`."),
        Function(
            "get_metrics",
            get_metrics,
            returns="object",
            doc="Counts and times of its executions.",
            aliases=("getMetrics",),
        ),
        Function("get_status", get_status, returns="object", doc="`state`: ready, running, completed or failed."),
        Function(
            "add_step",
            add_step,
            (Param("step", "object", callbacks=("*",)),),
            "null",
            "Append a step to a built workflow.",
        ),
    ),
)
