"""The script global `Hook`: script functions in the hook chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell_core.errors import ComponentError, ResourceLimitError, ValidationError
from llmspell_core.hooks import PRIORITIES, HookContext, HookHandle, parse_point, parse_priority
from llmspell_core.script.callbacks import Patience
from llmspell_core.script.declare import Function, Global, Handle, Param
from llmspell_core.script.view import spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell_core.script.scope import ScriptScope


MOST_HOOKS = 5_000


class ScriptHook:
    """A registration as a script holds it."""

    def __init__(self, handle: HookHandle) -> None:
        self.handle = handle

    def check(self) -> HookHandle:
        if self.handle.registry is None:
            raise ComponentError("Hook already unregistered")
        return self.handle


def register(scope: ScriptScope, point: str, function: int, priority: Any) -> ScriptHook:
    own, patience = _own(scope), Patience(f"hook on '{parse_point(point)}'", scope.runtime.hooks.timeout)
    callback = scope.callback(function, patience)
    if len(own) >= MOST_HOOKS:
        raise ResourceLimitError(
            "too many hooks",
            resource="hooks",
            limit=MOST_HOOKS,
            used=len(own),
            hint="Everybody waits for every hook of a point. Register one that looks at the data, and unregister it.",
        )

    async def call(context: HookContext) -> Any:
        return await callback(spelled(scope, context.to_dict()))

    # The same function again at one point is a mistake; another script's first function is not.
    name = f"script:{scope.process_id}:{function}:{point}"
    handle = scope.runtime.hooks.register(point, call, priority, name=name, language=scope.language, keeps_time=True)
    own[handle.id] = scope.on_close(handle.unregister)
    return ScriptHook(handle)


def _own(scope: ScriptScope) -> dict[str, Callable[[], None]]:
    """The hooks this script registered, by id, with what makes the script's end forget them.

    `list` shows those of the host and of others, which are not its to end.
    """
    ids: dict[str, Callable[[], None]] = scope.data.setdefault("Hook", {})
    return ids


def list_hooks(scope: ScriptScope, query: Any) -> list[dict[str, Any]]:
    wanted = {"hook_point": query} if isinstance(query, str) else query or {}
    priority = wanted.get("priority")
    found = scope.runtime.hooks.registered(
        wanted.get("hook_point"),
        language=wanted.get("language"),
        priority=None if priority is None else parse_priority(priority),
        tag=wanted.get("tag"),
    )
    words = {number: word for word, number in PRIORITIES.items()}
    rows = [handle.to_dict() for handle in found]
    return [{**row, "priority": words.get(row["priority"], row["priority"])} for row in rows]


def unregister(scope: ScriptScope, handle: Any) -> bool:
    known = scope.resolve(handle)
    if isinstance(known, ScriptHook):
        return end(scope, known)
    if not isinstance(known, str):
        raise ValidationError(
            "Hook.unregister: a hook, or its id, is expected",
            field="hook",
            hint="Pass what Hook.register returned, or its id().",
        )
    found = scope.runtime.hooks.find(str(known)) if str(known) in _own(scope) else None
    return found is not None and end(scope, ScriptHook(found))


def hook_id(_scope: ScriptScope, hook: ScriptHook) -> str:
    return hook.check().id


def hook_point(_scope: ScriptScope, hook: ScriptHook) -> str:
    return hook.check().point


def end(scope: ScriptScope, hook: ScriptHook) -> bool:
    forget = _own(scope).pop(hook.handle.id, None)
    if forget is not None:
        forget()
    return hook.handle.unregister()


GLOBAL = Global(
    "Hook",
    doc="Functions that run before and after an operation and may change it.",
    handles=(
        Handle(
            "Hook",
            methods=(
                Function("id", hook_id, returns="string", doc="Its id; raises when it was unregistered."),
                Function("hook_point", hook_point, returns="string", doc="Its point; raises when it was unregistered."),
                Function("unregister", end, returns="boolean", doc="End it; whether it was still there."),
            ),
            doc="A registered hook.",
        ),
    ),
    functions=(
        Function(
            "register",
            register,
            (
                Param("point", "string", doc="A hook point, e.g. `BeforeToolExecution`."),
                Param("hook", "function", doc="Gets the context; returns nil, a word, or a table with `type`."),
                Param("priority", "any", required=False, doc="highest, high, normal, low, lowest, or a number."),
            ),
            "Hook",
            "Run a function at a hook point until it is unregistered or the script ends.",
        ),
        Function(
            "list",
            list_hooks,
            (
                Param(
                    "filter",
                    "any",
                    required=False,
                    options=("hook_point", "language", "priority", "tag"),
                    doc="A point, or `hook_point`, `language`, `priority`, `tag`.",
                ),
            ),
            "array",
            "Registered hooks.",
        ),
        Function(
            "unregister",
            unregister,
            (Param("hook", "any", doc="The handle or its id."),),
            "boolean",
            "End a hook of this script.",
        ),
    ),
)
