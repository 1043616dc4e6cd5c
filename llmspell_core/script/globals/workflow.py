"""The script global `Workflow`: arrange tools, agents, functions and other workflows in steps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ValidationError
from llmspell_core.script.declare import Builder, Function, Global, Param, Setter
from llmspell_core.script.globals.workflow_instance import INPUT, WORKFLOW, execute, live
from llmspell_core.workflow.workflow import Workflow

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

log = logging.getLogger("llmspell.script.workflow")
BASIC = ("sequential", "conditional", "loop", "parallel")
LARGE = 200_000
"""Bytes of a call that describes a workflow, beyond which it is read in a thread: the loop has others to serve."""
RANGE = {"start": 1, "end": 10, "step": 1}


class _Settings:
    """What a script said for all of its workflows."""

    def __init__(self) -> None:
        self.handler: Any = None
        self.debug = False
        self.workflows: list[Workflow] = []


def _settings(scope: ScriptScope) -> _Settings:
    found: _Settings = scope.data.setdefault("Workflow", _Settings())
    return found


# -- making -------------------------------------------------------------------------------------------------------


def make(scope: ScriptScope, type_: str, config: Any) -> Workflow:
    """A registered workflow of this script, which goes when the script ends."""
    scope.keep()
    return _kept(scope, _made(scope, type_, config))


def making(scope: ScriptScope, type_: str, config: Any) -> Workflow | Awaitable[Workflow]:
    """The same; what takes a while to be read comes later."""
    if scope.call_bytes <= LARGE:
        return make(scope, type_, config)
    scope.keep()
    return _make_aside(scope, type_, config)


async def _make_aside(scope: ScriptScope, type_: str, config: Any) -> Workflow:
    return _kept(scope, await asyncio.to_thread(_made, scope, type_, config))


def _made(scope: ScriptScope, type_: str, config: Any) -> Workflow:
    table = live(scope, config)
    if isinstance(table, dict) and "timeout_ms" not in table and "config" not in table:
        table["config"] = {"max_execution_time": None}  # the script has a time limit of its own
    made: Workflow = scope.runtime.workflows.make(type_, table, register=False)
    return made


def _kept(scope: ScriptScope, workflow: Workflow) -> Workflow:
    scope.runtime.workflows.add(workflow)
    settings = _settings(scope)
    settings.workflows.append(workflow)
    workflow.default_error_handler = settings.handler
    _trace(settings, workflow)
    scope.on_close(lambda: scope.runtime.workflows.discard(workflow))
    return workflow


def _trace(settings: _Settings, workflow: Workflow) -> None:
    """With `enableDebug()` every step leaves a line in the log."""

    def note(event: str) -> Any:
        def write(data: Mapping[str, Any]) -> None:
            if settings.debug:
                log.info("%s %s: %s", workflow.name, event, data.get("step_name"))

        return write

    for event in ("before_step", "after_step", "on_step_error"):
        workflow.on(event, note(event))


def _maker(type_: str) -> Any:
    def function(scope: ScriptScope, config: Any) -> Workflow | Awaitable[Workflow]:
        return making(scope, type_, {} if config is None else config)

    return function


def create(scope: ScriptScope, config: dict[str, Any]) -> Workflow | Awaitable[Workflow]:
    type_ = config.get("type") or config.get("workflow_type")
    if not isinstance(type_, str):
        raise ValidationError("Workflow type not specified", field="type", hint="Set type = 'sequential', for example.")
    return making(scope, type_, {k: v for k, v in config.items() if k not in {"type", "workflow_type"}})


def build(scope: ScriptScope, fields: dict[str, Any]) -> Workflow | Awaitable[Workflow]:
    given = dict(fields)
    if isinstance(given.get("range"), dict):
        given["range"] = {**RANGE, **given["range"]}
    return create(scope, given)


async def register(scope: ScriptScope, type_: str, config: dict[str, Any] | None) -> str:
    made = making(scope, type_, config or {})
    return (made if isinstance(made, Workflow) else await made).id


# -- finding ------------------------------------------------------------------------------------------------------


def types(scope: ScriptScope) -> list[str]:
    found = scope.runtime.workflows.types()
    return [name for name in BASIC if name in found] + [name for name in found if name not in BASIC]


def list_workflows(scope: ScriptScope) -> list[dict[str, Any]]:
    found = list(scope.runtime.workflows.values())
    if found:
        return [{"id": w.id, "name": w.name, "type": "instance"} for w in found]
    kinds = {name: scope.runtime.workflows.type(name) for name in types(scope)}
    return [
        {"id": name, "type": name, "description": kind.description, "features": list(kind.features)}
        for name, kind in kinds.items()
    ]


def get(scope: ScriptScope, id_or_name: str) -> Workflow:
    found: Workflow = scope.runtime.workflows.find(id_or_name)
    return found


def remove(scope: ScriptScope, id_or_name: str) -> None:
    scope.runtime.workflows.remove(id_or_name)


def clear(scope: ScriptScope) -> None:
    scope.runtime.workflows.clear()


def set_default_error_handler(scope: ScriptScope, function: int | None) -> None:
    settings = _settings(scope)
    settings.handler = None if function is None else scope.callback(function)
    for workflow in settings.workflows:
        workflow.default_error_handler = settings.handler


def enable_debug(scope: ScriptScope, enabled: bool) -> None:
    _settings(scope).debug = enabled


def is_debug_enabled(scope: ScriptScope) -> bool:
    return _settings(scope).debug


async def execute_workflow(scope: ScriptScope, workflow: Any, input_: Any) -> dict[str, Any]:
    found = get(scope, workflow) if isinstance(workflow, str) else scope.resolve(workflow)
    if not isinstance(found, Workflow):
        raise ValidationError("Workflow.execute: a workflow, or its id or name, is expected", field="workflow")
    return await execute(scope, found, input_)


# -- declarations -------------------------------------------------------------------------------------------------

STEP = Param(
    "step", "object", callbacks=("*",), doc="`name`, `type`, what to call, `input`, `timeout_ms`, `retry_count`."
)
STEPS = Param("steps", "array", callbacks=("*",))
ANY = Param("value", "any", callbacks=("*",))
NUMBER = Param("n", "integer")
TEXT = Param("text", "string")
NAME = Param("id_or_name", "string")

KINDS = tuple(
    Setter(name, field="type", value=name, aliases=aliases, doc=f"A {name} workflow.")
    for name, aliases in (
        ("sequential", ()),
        ("parallel", ()),
        ("conditional", ()),
        ("loop", ("loop_workflow",)),
        ("fan_out", ()),
        ("map_reduce", ()),
    )
)

BUILDER = Builder(
    "builder",
    doc="Collects how a workflow is to be.",
    build=Function("build", build, returns="Workflow", doc="Make and register the workflow."),
    setters=(
        *KINDS,
        Setter("type", TEXT, doc="A workflow of that type."),
        Setter("name", Param("name", "string")),
        Setter("description", TEXT),
        Setter("error_strategy", ANY, aliases=("on_error",), doc="fail_fast, continue, retry, or a table."),
        Setter("max_retries", NUMBER, doc="Run a failing step again, at most so often."),
        Setter("timeout_ms", Param("ms", "number"), aliases=("timeout",), doc="For the whole workflow."),
        Setter("add_step", STEP, mode="append", field="steps", doc="One more step; for `parallel` one more branch."),
        Setter(
            "step",
            (Param("name", "string"), Param("definition", "object", callbacks=("*",))),
            mode="append",
            field="steps",
            doc='`step("a", {tool = ..., params = ...})`.',
        ),
        Setter(
            "add_template_step",
            (Param("name", "string"), Param("template_id", "string"), Param("params", "object", required=False)),
            mode="append",
            field="steps",
            doc="A step that runs a template.",
        ),
        Setter("condition", ANY, doc="Chooses between the then steps and the else steps."),
        Setter("add_then_step", STEP, mode="append", field="then_steps", doc="Runs when the condition holds."),
        Setter("add_else_step", STEP, mode="append", field="else_steps", doc="Runs when no condition holds."),
        Setter("when_true", ANY, mode="append", field="then_steps", doc="A step or a list of steps."),
        Setter("when_false", ANY, mode="append", field="else_steps", doc="A step or a list of steps."),
        Setter(
            "add_branch",
            (Param("condition", "any", callbacks=("*",)), STEPS),
            mode="append",
            field="branches",
            doc="An else-if branch.",
        ),
        Setter(
            "branch",
            (Param("name", "string"), Param("definition", "object", callbacks=("*",))),
            mode="append",
            field="branches",
            doc="A named branch.",
        ),
        Setter("with_range", Param("range", "object"), field="range", doc="`start`, `end` (exclusive), `step`."),
        Setter("with_collection", Param("list", "any"), field="collection", doc="The items to go over."),
        Setter("with_while", ANY, field="while_condition", doc="An expression, e.g. `shared_data.count < 3`."),
        Setter("loop_condition", ANY, doc="A function; the loop ends when it returns false."),
        Setter("max_iterations", NUMBER),
        Setter("break_condition", ANY, mode="append", field="break_conditions", doc="Ends the loop when it holds."),
        Setter("aggregation_strategy", ANY, doc="collect_all, last_only, none, or a table."),
        Setter("body", ANY, mode="append", field="steps", doc="A step or a list of steps of the loop."),
        Setter("max_concurrency", NUMBER),
        Setter("fail_fast", Param("enabled", "boolean"), doc="Stop other branches when a required one fails."),
        Setter("merge_strategy", TEXT, doc="How a parallel workflow's `output` is made: map, list, concat or first."),
        Setter("target", ANY, mode="append", field="targets", doc="One more target of a fan-out."),
        Setter("join", ANY, doc="all, any, first_success, or `{quorum = n}`."),
        Setter("items", ANY, doc="What a map-reduce goes over: a list or a name."),
        Setter("map_step", ANY, doc="Runs for every item."),
        Setter("reduce_step", ANY, doc="Gets `{{map.results}}`."),
        Setter("chunk_size", NUMBER),
        Setter("on_item_error", TEXT, doc="fail or skip."),
        Setter("input", ANY, doc="What every target of a fan-out is given."),
        Setter(
            "option", Param("options", "object", callbacks=("*",)), mode="merge", doc="Further options of the type."
        ),
    ),
)


def _table_form(type_: str, doc: str) -> Function:
    config = Param(
        "config", "any", required=False, callbacks=("*",), doc="A table, or a list of steps; nothing: a builder."
    )
    return Function(type_, _maker(type_), (config,), "Workflow", doc)


def _source(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


GLOBAL = Global(
    "Workflow",
    doc="Arrange tools, agents, functions and other workflows in steps.",
    handles=(WORKFLOW,),
    builders=(BUILDER,),
    sources={"lua": _source("workflow.lua"), "javascript": _source("workflow.js")},
    needs=("workflows",),
    functions=(
        _table_form("sequential", "A workflow whose steps run one after the other: `name`, `steps`."),
        _table_form("parallel", "Branches at the same time: `name`, `branches` or `steps`, `max_concurrency`."),
        _table_form("conditional", "The first branch whose condition holds: `name`, `branches`, `default_branch`."),
        _table_form("loop", "A body again and again: `name`, `iterator`, `body`, `break_conditions`."),
        _table_form("fan_out", "One input to many targets: `name`, `targets`, `input`, `join`."),
        _table_form("map_reduce", "A step for every item: `name`, `items`, `map_step`, `reduce_step`."),
        Function(
            "create",
            create,
            (Param("config", "object", callbacks=("*",), doc="With `type`, and what that type takes."),),
            "Workflow",
            "A workflow of any type.",
            aliases=("new",),
        ),
        Function("types", types, returns="array", doc="Names of the types."),
        Function("list", list_workflows, returns="array", doc="Registered workflows; without any: the types."),
        Function("get", get, (NAME,), "Workflow", "A registered workflow; raises when there is none."),
        Function(
            "register",
            register,
            (Param("type", "string"), Param("config", "object", required=False, callbacks=("*",))),
            "string",
            "Make a workflow; returns its id.",
        ),
        Function("remove", remove, (NAME,), "null", "Forget a workflow.", aliases=("delete",)),
        Function("clear", clear, returns="null", doc="Forget all workflows."),
        Function(
            "set_default_error_handler",
            set_default_error_handler,
            (Param("handler", "function", required=False, doc="Gets error and context; returns retry, skip or fail."),),
            "null",
            "Ask a function when a step fails that says nothing about failure.",
            aliases=("setDefaultErrorHandler",),
        ),
        Function(
            "enable_debug",
            enable_debug,
            (Param("enabled", "boolean", default=True),),
            "null",
            "Write every step to the log, at the level info (`--trace info`).",
            aliases=("enableDebug",),
        ),
        Function(
            "is_debug_enabled", is_debug_enabled, returns="boolean", doc="Whether it is.", aliases=("isDebugEnabled",)
        ),
        Function(
            "execute",
            execute_workflow,
            (Param("workflow", "any", doc="A workflow, its id or its name."), INPUT),
            "object",
            "Run a workflow; the same as its method.",
            blocking=True,
            async_variant=True,
        ),
    ),
)
