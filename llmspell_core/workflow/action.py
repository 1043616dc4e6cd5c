"""What a step does once its input is known: call a tool, an agent, a workflow, a template or a function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import LLMSpellError, ValidationError, WorkflowError, failure_of
from llmspell_core.json_text import read_json
from llmspell_core.messages import AgentInput, AgentOutput
from llmspell_core.purse import MOST_PARSED, Room, json_weight
from llmspell_core.workflow.condition import text_of
from llmspell_core.workflow.record import workflow_input

if TYPE_CHECKING:
    from llmspell_core.component import BaseAgent
    from llmspell_core.workflow.frame import Frame
    from llmspell_core.workflow.step import Step

__all__ = ["Answer", "act", "as_workflow_error", "call"]

OUTER = "workflow_outer"
"""Key of a context: the frame of the step that an inline workflow stands in, for that workflow alone."""
UNDO = "workflow_undo"
"""Key of a context: where a nested workflow leaves what would undo it."""


@dataclass(slots=True)
class Answer:
    """What a call gave: the value that later steps see, everything that is known, and changes of the shared data."""

    output: Any
    details: Any = None
    updates: dict[str, Any] = field(default_factory=dict)


async def act(step: Step, given: Any, frame: Frame) -> Answer:
    """Make the call of a step.

    Raises:
        NotFoundError: an unknown tool, agent, workflow or template.
        LLMSpellError: whatever was called raised; a tool that reports failure raises ToolError.
    """
    return await _ACTIONS[step.kind](step, given, frame)


async def _tool(step: Step, given: Any, frame: Frame) -> Answer:
    if given is not None and not isinstance(given, Mapping):
        given = {"input": given}  # what most tools call their main parameter
    parameters = _as_text(step, dict(given or {}), frame)
    output = await frame.run.desk.invoke_tool(_name(step), parameters, frame.run.context)
    envelope = _envelope(output)
    if envelope is None:
        return Answer(output.text, {"text": output.text})
    if envelope.get("success") is False:
        raise failure_of(envelope, _name(step))
    if output.metadata.extra.get("output_style") == "text":
        return Answer(output.text, envelope)
    return Answer(_main(envelope), envelope)


def _as_text(step: Step, parameters: dict[str, Any], frame: Frame) -> dict[str, Any]:
    """A placeholder may have become a table where the tool wants a text: then it is written out."""
    written = step.input if isinstance(step.input, Mapping) else {}
    tables = [k for k, v in parameters.items() if isinstance(v, (Mapping, list)) and isinstance(written.get(k), str)]
    if tables:
        types = {p.name: p.type for p in frame.run.desk.tools.find(_name(step)).schema.parameters}
        parameters |= {key: text_of(parameters[key]) for key in tables if str(types.get(key)) == "string"}
    return parameters


def _envelope(output: AgentOutput) -> dict[str, Any] | None:
    found = output.metadata.extra.get("response")
    if isinstance(found, dict):
        return found
    if json_weight(output.text) > MOST_PARSED:
        return None
    try:
        parsed = read_json(output.text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and "success" in parsed else {"success": True, "result": parsed}


def _main(envelope: Mapping[str, Any]) -> Any:
    """The result proper: many tools put it under `result` beside a repetition of the question."""
    result = envelope.get("result", envelope.get("message"))
    return result["result"] if isinstance(result, Mapping) and "result" in result else result


def _name(step: Step) -> str:
    if isinstance(step.target, str):
        return step.target
    name = getattr(step.target, "name", None) or (step.target.get("name") if isinstance(step.target, Mapping) else None)
    if not isinstance(name, str):
        raise ValidationError(f"step '{step.name}': the {step.kind} is named by a string", field=step.kind)
    return name


async def _agent(step: Step, given: Any, frame: Frame) -> Answer:
    agent = frame.run.desk.workflows.agent(step)
    input_ = _prompt(given, frame, agent)
    output = await frame.run.desk.run_agent(agent, input_, frame.run.context)
    usage = output.metadata.extra
    details = {"text": output.text, "model": output.metadata.model, "token_count": output.metadata.token_count}
    return Answer(output.text, details | ({"usage": usage} if usage else {}))


def _prompt(given: Any, frame: Frame, agent: BaseAgent) -> AgentInput:
    if isinstance(given, AgentInput):
        return given
    if isinstance(given, Mapping) and given:
        made = AgentInput.of(dict(given))
        if made.text:
            from llmspell_core.agent.overrides import check_input

            check_input(agent, given, "input")
            return made
        return replace(made, text=_lines(given), parameters={})
    return AgentInput(text=text_of(given) if given is not None and given != {} else default_prompt(frame))


def default_prompt(frame: Frame) -> str:
    """For an agent step without an input: the item or the workflow's input, then what the steps before found."""
    variables, run = frame.variables, frame.run
    if "current_item" in variables:
        parts = [text_of(variables["current_item"])]
    else:
        fields = {k: v for k, v in run.fields.items() if v != run.input.text}
        parts = [part for part in (run.input.text, _lines(fields)) if part]
    context, room = frame.function_context()["steps"], Room()
    parts += [f"{name}:\n{text_of(room.take(output))}" for name, output in context.items()]
    return "\n\n".join(parts)


def _lines(table: Mapping[str, Any]) -> str:
    return "\n".join(f"{key}: {text_of(table[key])}" for key in sorted(table))  # Lua tables have no order


async def _workflow(step: Step, given: Any, frame: Frame) -> Answer:
    run = frame.run
    workflow = run.desk.workflows.nested(step, run.workflow)
    fields = {**run.fields, **({"text": run.input.text} if run.input.text else {})} if given is None else given
    if not isinstance(fields, (str, Mapping, AgentInput)):
        fields = {"text": text_of(fields), "input": fields}
    context = run.context.create_child()
    undo: list[Any] = []
    context.set(UNDO, undo)
    if step.is_inline:  # written in place: its steps see what this step sees
        context.set(OUTER, frame)
    try:
        output = await run.desk.run_workflow(workflow, workflow_input(fields), context)
        if step.compensate is not None:
            undo.clear()
    finally:  # what it did is undone with this run, unless it was undone already, or the step itself says how
        run.undo.extend(undo)
    extra = output.metadata.extra
    run.agent_outputs.update(extra.get("agent_outputs") or {})
    return Answer(extra.get("output", output.text), {"text": output.text, **extra})


async def _template(step: Step, given: Any, frame: Frame) -> Answer:
    if given is not None and not isinstance(given, Mapping):
        raise ValidationError(f"the params of template '{_name(step)}' are a table", field="params")
    output = await frame.run.desk.run_template(_name(step), dict(given or {}), frame.run.context)
    report = output.metadata.extra.get("template") or {}
    return Answer(report.get("result", output.text), {"text": output.text, **report})


async def _function(step: Step, given: Any, frame: Frame) -> Answer:
    context = frame.function_context()
    if given is not None:
        context["input"] = {**context["input"], **given} if isinstance(given, Mapping) else given
    value = await call(step.target, context)
    if not (isinstance(value, Mapping) and isinstance(value.get("success"), bool)):
        return Answer(value)
    if not value["success"]:
        raise WorkflowError(str(value.get("error") or f"step '{step.name}' reported a failure"), step=step.name)
    updates = value.get("state_updates")
    return Answer(value.get("output"), dict(value), dict(updates) if isinstance(updates, Mapping) else {})


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a script or of Python, plain or async. Raises: LLMSpellError; others become WorkflowError."""
    try:
        value = function(*arguments)
        return await value if inspect.isawaitable(value) else value
    except LLMSpellError:
        raise
    except Exception as error:
        raise as_workflow_error(error) from error


def as_workflow_error(error: Exception, step: str | None = None) -> WorkflowError:
    """A foreign exception as an error that the caller of a workflow understands."""
    made = WorkflowError(f"{type(error).__name__}: {error}", step=step)
    made.__cause__ = error
    return made


_ACTIONS: dict[str, Callable[[Step, Any, Frame], Awaitable[Answer]]] = {
    "tool": _tool,
    "agent": _agent,
    "workflow": _workflow,
    "template": _template,
    "function": _function,
}
