"""Contexts that a script makes for its agents, and memory that contexts of one scope share."""

from __future__ import annotations

from collections.abc import Mapping
from sys import getsizeof
from typing import TYPE_CHECKING, Any

from llmspell_core.context import SCOPE_WORDS, ContextScope, ExecutionContext
from llmspell_core.errors import NotFoundError, ValidationError
from llmspell_core.messages import plain
from llmspell_core.names import check_known
from llmspell_core.purse import OBJECT, Purse

if TYPE_CHECKING:
    from llmspell_core.script.scope import ScriptScope

POLICIES = ("inherit", "isolate", "copy", "share")

DATA_BYTES = 50_000_000  # values that were replaced count too


def _contexts(scope: ScriptScope) -> dict[str, ExecutionContext]:
    made: dict[str, ExecutionContext] = scope.data.setdefault("Agent.contexts", {})
    return made


def find_context(scope: ScriptScope, id_: str) -> ExecutionContext:
    """Raises: NotFoundError."""
    found = _contexts(scope).get(id_)
    if found is None:
        raise NotFoundError(f"Context '{id_}' not found", hint="Make it with Agent.create_context.", name=id_)
    return found


def _keep(scope: ScriptScope, context: ExecutionContext) -> str:
    scope.purse.take(OBJECT + scope.call_bytes + getsizeof(context.data))
    context.purse = scope.purse
    _contexts(scope)[context.id] = context
    return context.id


def _policy(word: Any) -> Any:
    chosen = str(word or "inherit").lower()
    if chosen not in POLICIES:
        raise ValidationError(f"'{word}' is not an inheritance: {', '.join(POLICIES)}", field="inheritance")
    return chosen


def create_context(scope: ScriptScope, config: dict[str, Any] | None) -> str:
    given = config or {}
    context: ExecutionContext = scope.runtime.context(
        ContextScope.parse(given.get("scope") or "global"),
        session_id=given.get("session_id"),
        user_id=given.get("user_id"),
    )
    context.conversation_id = given.get("conversation_id")
    context.inheritance = _policy(given.get("inheritance"))
    data = given.get("data")
    context.data.update(data if isinstance(data, Mapping) else {})
    security = given.get("security")
    if isinstance(security, Mapping):
        check_known("Agent.create_context: security", security, ("permissions", "level"))
        context.permissions = frozenset(map(str, security.get("permissions") or ()))
        context.set("security", dict(security))
    return _keep(scope, context)


def create_child_context(scope: ScriptScope, parent: str, where: Any, inheritance: str | None) -> str:
    child = find_context(scope, parent).create_child(ContextScope.parse(where or "global"), _policy(inheritance))
    return _keep(scope, child)


def update_context(scope: ScriptScope, id_: str, key: str, value: Any) -> None:
    _purse(scope).spend(key, value)
    find_context(scope, id_).set(key, value)


def get_context_data(scope: ScriptScope, id_: str, key: str) -> Any:
    return plain(find_context(scope, id_).get(key))


def remove_context(scope: ScriptScope, id_: str) -> None:
    _contexts(scope).pop(id_, None)


def _is_scope(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, str) and value.partition(":")[0] in SCOPE_WORDS)


def set_shared_memory(scope: ScriptScope, where: Any, key: Any, value: Any) -> None:
    """`(scope, key, value)`, or `(key, value)` in the global scope. A value of nil removes the key."""
    if value is None and not _is_scope(where):
        where, key, value = "global", where, key
    memory, place = scope.runtime.shared_memory, ContextScope.parse(where)
    if value is None:
        memory.remove(place, str(key))
    else:
        memory.set(place, str(key), value)


def _purse(scope: ScriptScope) -> Purse:
    purse: Purse = scope.data.setdefault("Agent.contexts.purse", Purse("contexts", DATA_BYTES, scope.purse))
    return purse


def get_shared_memory(scope: ScriptScope, where: Any, key: str | None) -> Any:
    if key is None:
        where, key = "global", where
    return scope.runtime.shared_memory.get(ContextScope.parse(where), str(key))
